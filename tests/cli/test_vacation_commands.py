"""`pymta vacation`, as an operator types it: who is away, since when, and one line for what cannot be."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pymta.cli import command_line

ALICE = "alice@example.org"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    run(tmp_path, "domain", "add", "example.org")
    run(tmp_path, "account", "add", ALICE, "--no-password")
    return tmp_path


def run(data: Path, *words: str, typed: str | bytes = "", fails: bool = False) -> Result:
    result = CliRunner().invoke(command_line, [*words, "--no-config", "--data", str(data)], input=typed)
    assert fails is (result.exit_code != 0), result.output
    return result


def test_somebody_is_away_and_back(data: Path) -> None:
    said = run(data, "vacation", "set", ALICE, "--days", "1", typed="Back soon.\n").output
    assert f"{ALICE} is away until further notice\n" == said

    shown = run(data, "vacation", "show", ALICE).output
    assert shown.startswith(f"{ALICE} is away until further notice; nobody is told again within 1 day\n")
    assert "Back soon." in shown

    assert f"{ALICE} is back\n" == run(data, "vacation", "end", ALICE).output
    assert f"{ALICE} is not away\n" == run(data, "vacation", "show", ALICE).output


def test_an_absence_that_is_to_come_is_told_as_one(data: Path) -> None:
    days = ("--from", "2999-12-24", "--until", "3000-01-07")
    said = run(data, "vacation", "set", ALICE, *days, typed="Back soon.\n").output

    assert f"{ALICE} will be away from 2999-12-24 until 3000-01-07\n" == said


@pytest.mark.parametrize(
    ("options", "typed", "line"),
    [
        ((), "", "Error: expected a text, got an empty one"),
        ((), b"aw\xe4y", "Error: expected UTF-8, got other octets in an option or in what was read"),
        (("--subject", "aw\udce4y"), "x", "Error: expected UTF-8, got other octets"),
        (("--address", "alice"), "x", "Error: --address: not an address: 'alice'"),
        (("--until", "tomorrow"), "x", "expected a day such as 2026-12-24, got 'tomorrow'"),
        (("--until", "2020-01-01"), "x", "Error: --until: 2020-01-01 is over before the absence begins"),
        (("--from", "2999-12-24", "--until", "2999-12-24"), "x", "Error: --until: 2999-12-24 is over"),
    ],
)
def test_what_cannot_be_is_one_line(
    data: Path, options: tuple[str, ...], typed: str | bytes, line: str
) -> None:
    result = run(data, "vacation", "set", ALICE, *options, typed=typed, fails=True)

    assert line in result.stderr.splitlines()[-1]
    assert isinstance(result.exception, SystemExit), "a traceback otherwise"
