#!/usr/bin/env python3
"""Counts the public items of each library: what `cargo doc --all-features` lists in its all.html.

These are types, traits, functions, constants and macros. Modules, methods and hidden items are none, and an item that is exported at
two places counts where it is defined.

    python3 .ci/surface.py target/doc
"""

import re
import sys
from collections import Counter
from pathlib import Path

LIBRARIES = ["kcl_core", "kcl_local", "kcl_dynamo", "kcl_multilang"]


def items(page):
    return re.findall(r'<li><a href="[^"]*">([^<]*)</a></li>', page.read_text())


def main():
    for library in LIBRARIES:
        page = Path(sys.argv[1]) / library / "all.html"
        if not page.exists():
            continue
        names = items(page)
        modules = Counter(name.split("::")[0] if "::" in name else "the root" for name in names)
        parts = ", ".join(f"{count} {module}" for module, count in modules.most_common())
        print(f"{len(names):4} public items of {library}: {parts}")


if __name__ == "__main__":
    main()
