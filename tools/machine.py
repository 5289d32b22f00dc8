"""
Say what this machine lacks for building pymta, one line for each thing; silent where nothing is missing.

Not an installer. Run by the Makefile with whatever Python the machine has, even one that is too old: standard library
only, and no syntax that an older Python 3 does not know.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

PYTHON_MIN = (3, 11)
RUST_MIN = (1, 85)  # edition 2024; rust-version in Cargo.toml


def missing() -> list[str]:
    """One sentence for each thing that is missing, with what to do."""
    found = []
    name = "python{}.{}".format(*sys.version_info[:2])
    if sys.version_info < PYTHON_MIN:
        found.append(name + " is too old: install Python >= 3.11, or name it with make PYTHON=...")
    else:
        try:
            import ensurepip  # noqa: F401 -- Debian leaves it out of Python; venv itself notices half-way
        except ImportError:
            found.append(name + " cannot make virtual environments: apt-get install " + name + "-venv")
    if shutil.which("cc") is None:
        found.append("a C compiler is missing (the linker of Rust): apt-get install gcc libc6-dev")
    if shutil.which("cargo") is None:
        found.append("cargo is missing: install Rust >= 1.85")
    elif _rust_version() < RUST_MIN:
        found.append("the Rust compiler is too old: install Rust >= 1.85")
    return found


def _rust_version() -> tuple[int, int]:
    shown = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True)
    match = re.match(r"rustc (\d+)\.(\d+)", shown.stdout)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


if __name__ == "__main__":
    lacks = missing()
    for line in lacks:
        sys.stderr.write(line + "\n")
    sys.exit(1 if lacks else 0)
