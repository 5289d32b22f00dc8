"""What people get wrong: each mistake is told at once, in a line that names what to look at, and makes nothing."""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
from click.testing import CliRunner, Result

import pymta
from pymta.admin.control import SuspendRequest
from pymta.cli import _COMMANDS, command_line
from tests.cli.running import RunningControl

LISTENER = (
    '[[listeners]]\nname = "{0}"\naddress = "127.0.0.1:{0}"\ntls = "implicit"\ncertificate_file = "{0}.pem"\n'
)


def run(*words: str) -> Result:
    return CliRunner(env={"PYMTA_CONFIG": None}).invoke(command_line, words)


@pytest.mark.parametrize(
    "words",
    [
        ("account", "list"),
        ("account", "show", "alice@example.org"),
        ("alias", "list"),
        ("domain", "list"),
        ("vacation", "show", "alice@example.org"),
        ("mailbox", "check", "alice@example.org"),
    ],
)
def test_a_question_in_the_wrong_folder_makes_nothing_there(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = run(*words, "--no-config", "--data", str(tmp_path / "data"))

    assert 1 == result.exit_code
    assert result.stderr.startswith(f"Error: there is no {tmp_path}/data/directory.db: ")
    assert 1 == result.stderr.count("\n")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [("domain", "set", "example.org"), ("alias", "set", "info@example.org")])
def test_a_change_of_nothing_is_wrong_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = run(*words, "--no-config", "--data", str(tmp_path))

    assert 2 == result.exit_code
    assert "Error: nothing to change: see --help" in result.stderr


def test_check_tells_of_every_file_that_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "pymta.toml"
    file.write_text(
        '[server]\nhostname = "mail.example.org"\n' + LISTENER.format(4650) + LISTENER.format(9930)
    )
    result = run("check", "--config", str(file))

    assert 1 == result.exit_code
    assert "" == result.stdout
    first, second = result.stderr.splitlines()
    assert first.startswith("Error: ")
    assert "4650.pem" in first
    assert second.startswith("Error: ")
    assert "9930.pem" in second


def test_check_of_somebody_elses_folder_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(file: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(Path, "exists", refused)
    result = run("check", "--no-config", "--data", str(tmp_path))

    assert isinstance(result.exception, SystemExit), "a traceback otherwise"
    assert "certificate.pem" in result.stderr.splitlines()[0]
    assert result.stderr.splitlines()[0].startswith("Error: ")


def test_only_a_domain_that_is_suspended_is_resumed(tmp_path: Path) -> None:
    with RunningControl(tmp_path) as running:
        result = run("queue", "resume", "exmaple.org", "--data", str(tmp_path))

        assert 1 == result.exit_code
        assert result.stderr.startswith("Error: exmaple.org is not suspended")
        assert [] == running.control.asked
        running.control.suspended_domains = {"example.org": 60}
        assert (
            "Example.org: goes on\n" == run("queue", "resume", "Example.org", "--data", str(tmp_path)).output
        )
        assert [SuspendRequest(domain="Example.org", duration_s=0)] == running.control.asked


@pytest.mark.parametrize("group", sorted(_COMMANDS))
def test_help_cuts_no_sentence_short(group: str) -> None:
    """On a terminal of 80 columns; click would end it with dots."""
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(command_line, [group, "--help"]).output

    assert [] == [line for line in shown.splitlines()[1:] if line.endswith("...")]


@pytest.mark.parametrize("words", [("check",), ("load", "--help"), ("serve", "--help")])
def test_a_full_disk_behind_the_output_is_one_line(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = called(*words, stdout=full)

    assert (1, "Error: No space left on device\n") == (done.returncode, done.stderr)


def test_an_output_that_is_closed_is_no_fault(tmp_path: Path) -> None:
    done = called("check", "--no-config", "--data", str(tmp_path), shell='exec "$@" >&-')

    assert (0, "") == (done.returncode, done.stderr)


def test_a_current_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    done = called("status", "--no-config", shell=f'cd "{tmp_path}" && rmdir "{tmp_path}" && exec "$@"')

    assert (1, "Error: the current folder does not exist any more\n") == (done.returncode, done.stderr)


def called(
    *words: str, shell: str = 'exec "$@"', stdout: IO[bytes] | int = subprocess.DEVNULL
) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, started by a line of shell."""
    folder = str(Path(pymta.__file__).parents[1])
    return subprocess.run(
        ["/bin/sh", "-c", shell, "sh", sys.executable, "-m", "pymta", *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": folder},
        timeout=60,
    )


def test_a_folded_field_is_shown_with_spaces(tmp_path: Path) -> None:
    with RunningControl(tmp_path) as running:
        running.control.header_section = "Received: from a\r\n\tby b\x1b\r\n"
        shown = run("queue", "show", "01j8zq2x9v000", "--data", str(tmp_path)).output

    assert "\n            by b\\x1b\n" in shown
