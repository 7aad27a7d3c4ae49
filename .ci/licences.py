#!/usr/bin/env python3
"""Checks the lock files against deny.toml: licences, banned crates and sources.

A small part of what `cargo deny check licenses bans sources` does, for machines that do not have cargo-deny.
"""

import json
import re
import subprocess
import sys
import tomllib


def allowed(expression, allow):
    """Whether an SPDX expression can be satisfied with the allowed licences."""
    # Older manifests write a slash for OR.
    words = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    at = 0

    def take(word):
        nonlocal at
        if at < len(words) and words[at] == word:
            at += 1
            return True
        return False

    def one():
        nonlocal at
        if take("("):
            inner = either()
            if not take(")"):
                raise ValueError(f"no closing bracket in `{expression}`")
            return inner
        if at == len(words):
            raise ValueError(f"`{expression}` ends too early")
        licence = words[at]
        at += 1
        if take("WITH"):
            licence += " WITH " + words[at]
            at += 1
        return licence in allow

    def both():
        result = one()
        while take("AND"):
            result = one() and result
        return result

    def either():
        result = both()
        while take("OR"):
            result = both() or result
        return result

    result = either()
    if at != len(words):
        raise ValueError(f"`{words[at]}` is unexpected in `{expression}`")
    return result


def main():
    with open("deny.toml", "rb") as file:
        rules = tomllib.load(file)
    allow = set(rules["licenses"]["allow"])
    banned = {entry["crate"] for entry in rules["bans"]["deny"]}
    sources = {"registry+" + url for url in rules["sources"]["allow-registry"]}
    packages = {}
    for manifest in ["Cargo.toml", "tests/fuzz/Cargo.toml", "tests/beside/rusqlite/Cargo.toml", "tests/beside/sqlx/Cargo.toml"]:
        command = ["cargo", "metadata", "--manifest-path", manifest, "--format-version", "1", "--locked", "--all-features"]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["packages"]
        packages.update({package["id"]: package for package in found})

    faults = []
    for package in packages.values():
        name = f"{package['name']} {package['version']}"
        if package["source"] is not None and package["source"] not in sources:
            faults.append(f"{name} comes from {package['source']}")
        if package["name"] in banned:
            faults.append(f"{name} is banned")
        if package["license"] is None:
            faults.append(f"{name} names no licence")
            continue
        try:
            if not allowed(package["license"], allow):
                faults.append(f"{name} is under {package['license']}, which deny.toml does not allow")
        except ValueError as error:
            faults.append(f"{name}: {error}")
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(packages)} packages, {len(faults)} against deny.toml")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
