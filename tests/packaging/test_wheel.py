"""
The wheel, as somebody without Rust gets it: built, installed in an empty virtual environment, and relaying a message.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.partners.ports import free_port
from tests.partners.program import Program
from tests.partners.smtp_tools import Sink, swaks

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(300)]

CONFIGURATION = """\
[server]
hostname = "wheel.test"
data_folder = "{folder}/data"

[[listeners]]
name = "relay"
address = "127.0.0.1:{port}"
trusted_networks = ["127.0.0.0/8"]

[routing]
smarthosts = ["127.0.0.1:{next_hop_port}"]

[http]
enabled = false
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that `make wheel` makes, in a folder of its own; what `make develop` compiled is not compiled again."""
    folder = tmp_path_factory.mktemp("wheel")
    maturin = Path(sys.executable).with_name("maturin")
    run(maturin, "build", "--release", "--strip", "--locked", "--quiet", "--out", folder, cwd=ROOT)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an empty virtual environment in which nothing but the wheel and its lock are installed."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", folder)
    pip = (
        folder / "bin" / "python",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "-q",
        "--no-deps",
    )
    run(*pip, "--require-hashes", "-r", ROOT / "requirements" / "runtime.txt")
    run(*pip, "--no-index", wheel)
    return folder / "bin"


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a program without the tree on its path; its output, or AssertionError with it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert 0 == done.returncode, f"{command}: {done.stdout}"
    return done.stdout


def test_one_wheel_is_for_every_python_from_3_11(wheel: Path) -> None:
    """Its name says the stable ABI of 3.11, and it holds what typed programs and lawyers look for, once."""
    names = zipfile.ZipFile(wheel).namelist()

    assert wheel.name.startswith("pymta_server-")
    assert "-cp311-abi3-" in wheel.name
    for expected in ("pymta/_core.pyi", "pymta/py.typed", "pymta/_core.abi3.so", "pymta/cli/__init__.py"):
        assert 1 == names.count(expected), expected
    assert [] == [name for name in names if name.endswith(".so") and name != "pymta/_core.abi3.so"]
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert [] == [name for name in names if name.startswith(("tests/", "bench/", "tools/"))]


def test_the_wheel_needs_what_the_lock_has(installed: Path) -> None:
    """pip finds nothing missing or contradictory."""
    assert "No broken requirements found." in run(installed / "python", "-m", "pip", "check")


def test_the_installed_server_relays_a_message(installed: Path, sink: Sink, tmp_path: Path) -> None:
    """swaks → the installed `pymta serve` → smtp-sink."""
    port = free_port()
    configuration = tmp_path / "pymta.toml"
    configuration.write_text(
        CONFIGURATION.format(folder=tmp_path, port=port, next_hop_port=sink.port), encoding="utf-8"
    )
    run(installed / "pymta", "check", "--config", configuration)
    with Program(
        installed / "pymta", "serve", "--config", configuration, output=tmp_path / "output"
    ) as server:
        server.wait_listening(port)
        result = swaks(port, "--from", "author@example.test", "--to", "reader@example.test")
        assert 0 == result.exit_status, result.transcript + server.text()

        assert 1 == sink.wait_count(1), server.text()
    assert 0 == server.process.returncode, server.text()
