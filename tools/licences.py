"""
Refuse a dependency whose licence would bind whoever passes pymta on: the crates of Cargo.lock, the wheels of runtime.txt
and of the extras' locks.

Not legal advice, and not a reader of licence texts: it believes what a package declares (SPDX expressions, and the
classifiers of older Python packages), and a package that declares nothing that is known here is refused, too.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Permissive, or (MPL-2.0) binding for its own files only. SPDX identifiers.
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT", "MIT-0", "MPL-2.0",
    "PSF-2.0", "Python-2.0", "Unicode-3.0", "Unicode-DFS-2016", "Unlicense", "Zlib",
    "Apache-2.0 WITH LLVM-exception",
}  # fmt: skip

# What packages that do not have an SPDX expression say instead.
FREE_TEXT = {
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
    "MIT License": "MIT",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "any-OSI": "MIT",  # apsw: whichever the OSI approved of, so this one
}


def is_allowed(expression: str) -> bool:
    """
    Whether an SPDX expression can be met with allowed licences alone: any side of OR will do, of AND both must.

    A slash is read as OR, as older crates mean it. What cannot be read is not allowed.
    """
    tokens = re.findall(r"\(|\)|[^\s()/]+|/", expression)
    try:
        value = _either(tokens)
    except IndexError:
        return False
    return value and not tokens


def _either(tokens: list[str]) -> bool:
    value = _both(tokens)
    while tokens and tokens[0] in ("OR", "/"):
        del tokens[0]
        value = _both(tokens) or value
    return value


def _both(tokens: list[str]) -> bool:
    value = _one(tokens)
    while tokens and tokens[0] == "AND":
        del tokens[0]
        value = _one(tokens) and value
    return value


def _one(tokens: list[str]) -> bool:
    name = tokens.pop(0)
    if name == "(":
        value = _either(tokens)
        return tokens.pop(0) == ")" and value
    if tokens and tokens[0] == "WITH":
        name = f"{name} WITH {tokens[1]}"
        del tokens[:2]
    return name in ALLOWED


def crates() -> Iterator[tuple[str, str]]:
    """Each crate of the workspace's lock that is not ours, as (name and version, declared licence)."""
    run = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    )
    for package in json.loads(run.stdout)["packages"]:
        if package["source"] is not None:
            yield f"crate {package['name']} {package['version']}", package["license"] or ""


def wheels() -> Iterator[tuple[str, str]]:
    """Each package that an installed pymta or one of its extras brings along, as (name and version, declared licence)."""
    for name, may_be_missing in _locked().items():
        try:
            fields = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            if may_be_missing:
                continue
            raise
        yield f"package {name} {fields['Version']}", _declared(fields)


def _locked() -> dict[str, bool]:
    """The packages of the locks, and whether one may not be there: for another platform, or of an extra that is built."""
    found: dict[str, bool] = {}
    for lock in ("runtime", "acme", "ldap"):
        text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
        for name, marker in re.findall(r"^([A-Za-z0-9._-]+)==[^\s;]+( ;[^\\]*)?", text, flags=re.MULTILINE):
            found.setdefault(name, bool(marker) or lock == "ldap")
    return found


def _declared(fields: metadata.PackageMetadata) -> str:
    if "License-Expression" in fields:
        return fields["License-Expression"]
    said = [c for c in fields.get_all("Classifier") or [] if c.startswith("License :: OSI Approved :: ")]
    if not said and "License" in fields:
        said = [fields["License"].strip()]
    return " AND ".join(FREE_TEXT.get(text, text) for text in said)


def main() -> int:
    """0 where all is allowed; else 1 and a line for each that is not."""
    checked, refused = 0, []
    for name, licence in (*crates(), *wheels()):
        checked += 1
        if not is_allowed(licence):
            refused.append(f"{name}: {licence or 'no licence declared'}")
    for line in refused:
        print(line, file=sys.stderr)
    print(f"licences: {checked} dependencies, {len(refused)} refused")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
