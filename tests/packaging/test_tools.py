"""
What the Makefile calls: locks that hold, licences that are read right, machines that are told what they lack.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools.licences import is_allowed
from tools.partners import PACKAGES, main, missing_packages

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(
    "expression",
    [
        "MIT",
        "MIT OR GPL-3.0-only",
        "GPL-3.0-only OR Apache-2.0",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        "MIT/Apache-2.0",
        "Unlicense/MIT",
    ],
)
def test_a_licence_that_can_be_met_is_allowed(expression: str) -> None:
    """One allowed side of OR is enough."""
    assert is_allowed(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "GPL-3.0-only",
        "AGPL-3.0-only",
        "AGPL-3.0-only OR LicenseRef-SEL",
        "MIT AND GPL-2.0-only",
        "(MIT OR Apache-2.0) AND LGPL-3.0",
        "MIT OR",
        "(MIT",
        "MIT)",
        "proprietary",
        "GPL-2.0 WITH Classpath-exception-2.0",
    ],
)
def test_a_licence_that_binds_or_is_unknown_is_refused(expression: str) -> None:
    """Both sides of AND must be allowed, and what cannot be read is not."""
    assert not is_allowed(expression)


@pytest.mark.parametrize("name", ["runtime", "dev", "ldap"])
def test_a_lock_is_exact_and_hashed(name: str) -> None:
    """Every line of a lock is one version with at least one hash, and no line names an index."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    entries = [entry for entry in re.sub(r" \\\n\s*", " ", text).splitlines() if not entry.startswith("#")]

    assert entries
    for entry in entries:
        assert re.fullmatch(
            r"[a-z0-9._-]+(\[[a-z,]+\])?==[^\s;]+( ; .+?)?( --hash=sha256:[0-9a-f]{64})+ *", entry
        ), entry


def test_the_locks_agree_and_cover_what_is_declared() -> None:
    """What runs has the same versions in tests, and every declared dependency is locked."""

    def versions(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, flags=re.MULTILINE))

    runtime, dev, ldap = versions("runtime"), versions("dev"), versions("ldap")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert runtime == {name: dev[name] for name in runtime}
    assert runtime == {name: ldap[name] for name in runtime}
    assert {re.split(r"[<>=\[]", item)[0] for item in project["dependencies"]} <= set(runtime)
    for extra in project["optional-dependencies"].values():
        assert {re.split(r"[<>=\[]", item)[0] for item in extra} - {"pymta-server"} <= set(dev) | set(ldap)


def test_a_machine_without_rust_is_told_so_in_one_line(tmp_path: Path) -> None:
    """tools/machine.py names what is missing on its own line, and fails."""
    (tmp_path / "cc").symlink_to("/bin/true")
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "machine.py"],
        env={"PATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    assert 1 == done.returncode
    assert ["cargo is missing: install Rust >= 1.85"] == done.stdout.splitlines()


def test_a_machine_with_an_old_rust_is_told_so(tmp_path: Path) -> None:
    """Debian 12's rustc cannot build edition 2024; better said here than by cargo."""
    for name, text in {"cc": "", "cargo": "", "rustc": "echo rustc 1.63.0"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "machine.py"],
        env={"PATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    assert 1 == done.returncode
    assert ["the Rust compiler is too old: install Rust >= 1.85"] == done.stdout.splitlines()


def test_missing_partners_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With none of the programs to be found, every package is named once; with all of them, none."""
    assert [] == missing_packages()

    monkeypatch.setattr("tools.partners.SEARCHED", str(tmp_path))

    assert sorted(set(PACKAGES.values())) == missing_packages()


def test_somebody_who_is_not_root_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without root nothing is tried: one line with the command to run."""
    monkeypatch.setattr("tools.partners.SEARCHED", str(tmp_path))
    monkeypatch.setattr("tools.partners.os.geteuid", lambda: 1000)
    monkeypatch.setattr("tools.partners.install", lambda packages: pytest.fail("tried to install"))

    assert 1 == main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("as root: apt-get install " + " ".join(sorted(set(PACKAGES.values()))))


def test_every_target_of_the_makefile_is_in_its_help() -> None:
    """What the README and CI name exists, and says what it is for."""
    shown = subprocess.run(["make", "help"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout

    for target in ("run", "venv", "develop", "test", "lint", "wheel", "bench", "soak", "clean", "help"):
        assert re.search(rf"^  make {target} +\S", shown, flags=re.MULTILINE), target
