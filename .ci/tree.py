#!/usr/bin/env python3
"""Checks what the source tree promises and no compiler checks.

- A file of code has at most 500 lines, a numbered example at most 80.
- `kcl-core/src/decide` is pure: no clock, no task, no chance, no input or output, no order of a hash map.
- The modules of a crate import one another without a circle.
- Time, tasks and chance are taken from the files that are named here, and from no other outside of tests.
- Each path and each test that the Markdown files name exists.
- No two types of a crate have the same name.
- The libraries that are built without a test program of their own contain no test: it would never run.
- A function's name has at most 60 characters: a test that shows more says the rest in its doc comment.
- At most 10 programs of tests are linked anew after a change of the core.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

MOST_LINES = 500
MOST_LINES_OF_AN_EXAMPLE = 80
LONGEST_NAME = 60
MOST_TEST_PROGRAMS = 10
# Two types here still have the same name: the modules of `Error` qualify it.
TWICE = {("kcl-core/src/", "Error")}
# `test = false` in their Cargo.toml; their tests are in tests/tests/parts/.
WITHOUT_TESTS = re.compile(r"(examples|tests)/src/")
DECIDE = "kcl-core/src/decide/"
IMPURE = {
    "kcl-core/src/runtime.rs",
    "kcl-dynamo/src/runtime.rs",
    "kcl-local/src/runtime.rs",
    "kcl-multilang/src/runtime.rs",
}
IMPURE_WORDS = re.compile(
    r"\b(tokio|futures_util|futures_core|async|await|HashMap|HashSet|Instant|SystemTime|fastrand|rand|Clock"
    r"|std::(fs|env|net|thread|io|process)|aws_\w+|tracing|metrics)\b"
)


def code(path):
    """The lines of a file that are neither comments nor its inline tests."""
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        if line.startswith("mod tests {"):
            return
        line = re.sub(r"//.*", "", line)
        if line.strip():
            yield number, line


def is_test(path):
    name = Path(path).name
    return name.endswith("_test.rs") or "_test/" in path or "/tests/" in path or name in {"cases.rs", "notation.rs", "scene.rs", "wire_oracle.rs"}


def sizes(files):
    for path in files:
        lines = len(Path(path).read_text().splitlines())
        is_numbered = re.fullmatch(r"examples/\d\d_\w+\.rs", path)
        most = MOST_LINES_OF_AN_EXAMPLE if is_numbered else MOST_LINES
        if lines > most:
            yield f"{path}: {lines} lines, at most {most} are allowed"


def purity(files):
    for path in files:
        if path.startswith(DECIDE) and not is_test(path):
            for number, line in code(path):
                found = IMPURE_WORDS.search(line)
                if found:
                    yield f"{path}:{number}: `{found[0]}` has no place in a pure decision"


def exceptions(files):
    for path in files:
        if re.match(r"kcl-\w+/src/", path) and not is_test(path) and path not in IMPURE:
            for number, line in code(path):
                if "disallowed_methods" in line:
                    yield f"{path}:{number}: only {', '.join(sorted(IMPURE))} may lift the lint"
    for path in IMPURE:
        if not Path(path).exists():
            yield f"{path} is named in .ci/tree.py and does not exist"


def imports(files):
    """For each crate what each of its modules imports from the others, by name: `crate::other`, in or out of braces."""
    crates = {}
    for path in files:
        found = re.match(r"([\w/-]*?)src/(\w+)", path)
        if not found or is_test(path) or found[2] in {"lib", "bin", "main"}:
            continue
        modules = crates.setdefault(found[1], {})
        text = "\n".join(line for _, line in code(path))
        used = modules.setdefault(found[2], set())
        for braces, word in re.findall(r"\bcrate::(?:\{([^;]*?)\}|(\w+))", text):
            used.update([word] if word else re.findall(r"(?:^|,)\s*(\w+)", braces))
    for modules in crates.values():
        for name, used in modules.items():
            modules[name] = {other for other in used if other in modules and other != name}
    return crates


def circles(files):
    for crate, modules in imports(files).items():
        while True:
            # The floor imports nothing that is left, the roof is imported by nothing; what is left in the end goes in circles.
            imported = set().union(*modules.values()) if modules else set()
            outer = [name for name, used in modules.items() if not used & modules.keys() or name not in imported]
            if not outer:
                break
            for name in outer:
                del modules[name]
        for name, used in modules.items():
            yield f"{crate}src: `{name}` is in a circle of imports, with {', '.join(sorted(used & modules.keys()))}"


def names(markdown, files):
    functions = set()
    for path in files:
        functions.update(re.findall(r"\bfn (\w+)", Path(path).read_text()))
    tops = {path.split("/")[0] for path in everything()}
    for page in markdown:
        fenced = False
        for number, line in enumerate(Path(page).read_text().splitlines(), 1):
            if line.startswith("```"):
                fenced = not fenced
            if fenced:
                continue
            for word in re.findall(r"`([^`\s]+)`", line) + re.findall(r"\]\(([^)#:\s]+)\)", line):
                is_path = re.fullmatch(r"[\w.*-]+(/[\w.*-]+)*/?", word) and (word.split("/")[0] in tops)
                if is_path and not list(Path().glob(word.rstrip("/"))):
                    yield f"{page}:{number}: there is no `{word}`"
                is_test_name = re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+){4,}", word)
                # Metrics have long names too, and a test of their own.
                if is_test_name and word not in functions and not word.startswith("kcl_"):
                    yield f"{page}:{number}: there is no test `{word}`"


def tests_that_never_run(files):
    for path in files:
        if WITHOUT_TESTS.match(path):
            for number, line in enumerate(Path(path).read_text().splitlines(), 1):
                if re.match(r"\s*#\[(cfg\(test\)|(\w+::)?test\b)", line):
                    yield f"{path}:{number}: this test would never run: move it to tests/tests/parts/"


def long_names(files):
    for path in files:
        for name in re.findall(r"\bfn (\w+)", Path(path).read_text()):
            if len(name) > LONGEST_NAME:
                yield f"{path}: `{name}` has {len(name)} characters, at most {LONGEST_NAME} are allowed"


def docs(files):
    """Lines of comments for each line of code, in the crates, without tests: what a reader is told, for what there is to read."""
    comments = code_lines = 0
    for path in files:
        if re.match(r"kcl-\w+/src/", path) and not is_test(path):
            for line in Path(path).read_text().splitlines():
                if line.startswith("mod tests {"):
                    break
                line = line.strip()
                comments += line.startswith("//")
                code_lines += bool(line) and not line.startswith("//")
    return comments / code_lines


def crate(path):
    """What stands for the crate that a file is compiled into: a library, a program, or a group of tests with all that it includes."""
    program = re.match(r".*?src/bin/\w+|.*?src/", path)
    target = re.match(r"(?:tests/)?(?:.*?/)??(?:tests|benches|examples|fuzz_targets)/\w+", path)
    return (program or target or re.match(".*", path))[0]


def twice(files):
    declared = re.compile(r"^\s*(?:pub(?:\([^)]*\))?\s+)?(?:struct|enum|trait|union)\s+(\w+)|^(?:pub(?:\([^)]*\))?\s+)?type\s+(\w+)", re.M)
    crates = {}
    for path in files:
        for found in declared.finditer(Path(path).read_text()):
            crates.setdefault(crate(path), []).append((found[1] or found[2], path))
    for name, types in crates.items():
        common = re.sub(r"/tests/\w+$", "/tests/support", name)
        types = types + (crates.get(common, []) if common != name else [])
        first = {}
        for type_name, path in types:
            is_known = (name, type_name) in TWICE
            if type_name in first and not is_known:
                yield f"{path}: there is a type `{type_name}` in {first[type_name]} too"
            first.setdefault(type_name, path)


def test_programs():
    """All that `cargo test` links, but the documentation's tests: every package depends on the core, or is it."""
    command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    packages = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["packages"]
    programs = [f"{package['name']}'s {target['name']}" for package in packages for target in package["targets"] if target["test"]]
    if len(programs) > MOST_TEST_PROGRAMS:
        yield f"{len(programs)} programs of tests, at most {MOST_TEST_PROGRAMS} are allowed: {', '.join(programs)}"


def everything():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [path for path in listed if Path(path).is_file()]


def main():
    listed = everything()
    rust = [path for path in listed if path.endswith(".rs")]
    markdown = [path for path in listed if path.endswith(".md")]
    faults = [*sizes(rust), *purity(rust), *exceptions(rust), *circles(rust), *names(markdown, rust), *long_names(rust), *twice(rust)]
    faults += [*tests_that_never_run(rust), *test_programs()]
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(rust)} files of code, {len(markdown)} pages, {docs(rust):.3f} lines of comments a line of code, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
