"""`pymta domain|account|alias`, as an operator types them; passwords never as arguments."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pymta.auth.schemes import verify
from pymta.cli import command_line
from pymta.directory.sqlite import SqliteLookup


@pytest.fixture
def data(tmp_path: Path) -> Path:
    run(tmp_path, "domain", "add", "Example.org")
    run(tmp_path, "account", "add", "alice@example.org", typed="correct horse\n")
    return tmp_path


def run(data: Path, *words: str, typed: str | bytes = "", fails: bool = False) -> Result:
    result = CliRunner().invoke(command_line, [*words, "--no-config", "--data", str(data)], input=typed)
    assert fails is (result.exit_code != 0), result.output
    return result


def passwords(data: Path, account: str) -> list[tuple[str, str]]:
    lookup = SqliteLookup(data / "directory.db")
    return [(password.label, password.stored.reveal()) for password in lookup.passwords(account)]


def test_two_commands_make_a_domain_and_an_account(data: Path) -> None:
    stored = {text.split("}")[0]: text for _, text in passwords(data, "alice@example.org")}

    assert 2 == len(stored)
    assert all(verify(text, "correct horse") for text in stored.values())
    shown = run(data, "account", "show", "ALICE@example.org").output
    assert "alice@example.org" in shown
    assert "argon2" not in shown


def test_a_password_can_be_changed_and_given_to_an_application(data: Path) -> None:
    run(data, "account", "passwd", "alice@example.org", typed="another horse\n")
    made = run(data, "account", "passwd", "alice@example.org", "--app", "phone").output.strip()
    labels = {label: text for label, text in passwords(data, "alice@example.org") if "SCRAM" not in text}

    assert "argon2" in labels[""]
    assert verify(labels[""], "another horse")
    assert "argon2" not in labels["phone"], "each one would cost a wrong login its time"
    assert verify(labels["phone"], made)
    run(data, "account", "passwd", "alice@example.org", "--app", "phone", "--remove")
    assert {""} == {label for label, _ in passwords(data, "alice@example.org")}


def test_a_stored_password_can_be_brought(data: Path) -> None:
    stored = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="
    run(data, "account", "add", "old@example.org", "--stored", typed=stored + "\n")

    assert [("", stored)] == passwords(data, "old@example.org")
    refused = run(data, "account", "passwd", "old@example.org", "--stored", typed="{PLAIN}x\n", fails=True)
    assert "Error: not a stored password of a known scheme\n" == refused.stderr


def test_an_account_is_changed_and_listed(data: Path) -> None:
    words = (
        "--quota",
        "500M",
        "--quota-messages",
        "1000",
        "--address",
        "@else.example",
        "--suspend",
        "--refuse-mail",
    )
    run(data, "account", "set", "alice@example.org", *words)
    row = json.loads(run(data, "account", "list", "--json").output)[0]

    assert (500 << 20, 1000, ["@else.example"], True, False) == (
        row["quota_octets"],
        row["quota_messages"],
        row["addresses"],
        row["suspended"],
        row["receives_mail"],
    )
    assert "no logins, refuses mail" in run(data, "account", "list").output
    assert ", 1000 messages" in run(data, "account", "show", "alice@example.org").output
    for option, wrong in (("messages", "many"), ("messages", "0"), ("", "0"), ("", "99999999T"), ("", "-1")):
        name = f"--quota-{option}".rstrip("-")
        run(data, "account", "set", "alice@example.org", name, wrong, fails=True)
    run(data, "account", "set", "alice@example.org", "--quota-messages", "none")
    run(data, "account", "set", "alice@example.org", "--quota", "none", "--address", "none", "--resume")
    row = json.loads(run(data, "account", "list", "--json").output)[0]
    assert (None, None) == (row["quota_octets"], row["quota_messages"])
    assert ([], False) == (row["addresses"], row["suspended"])


def test_aliases_and_groups(data: Path) -> None:
    run(data, "alias", "add", "info@example.org", "alice@example.org")
    run(data, "alias", "add", "all@example.org", "info@example.org", "bob@far.example", "--members-may-send")
    run(data, "alias", "set", "all@example.org", "--target", "alice@example.org")
    rows = json.loads(run(data, "alias", "list", "--json").output)

    assert [
        ("all@example.org", ["alice@example.org"], True),
        ("info@example.org", ["alice@example.org"], True),
    ] == [(row["address"], row["targets"], row["members_may_send"]) for row in rows]
    assert "all@example.org, info@example.org" in run(data, "account", "show", "alice@example.org").output
    run(data, "alias", "remove", "all@example.org")
    assert "all@" not in run(data, "domain", "show", "example.org").output


def test_domains_are_listed_with_how_many_addresses_they_have(data: Path) -> None:
    run(data, "account", "add", "bob@example.org", "--no-password")
    run(data, "alias", "add", "info@example.org", "alice@example.org")
    run(data, "domain", "add", "empty.example")
    rows = [line.split() for line in run(data, "domain", "list").output.splitlines()]

    assert ["example.org", "2", "1"] in rows
    assert ["empty.example", "0", "0"] in rows


def test_a_domain_catches_all_and_is_suspended(data: Path) -> None:
    run(data, "domain", "set", "example.org", "--catch-all", "alice@example.org", "--suspend")
    shown = run(data, "domain", "show", "example.org").output

    assert "example.org, suspended" in shown
    assert "catch-all to alice@example.org" in shown
    run(data, "domain", "set", "example.org", "--no-catch-all", "--resume")
    assert "catch-all" not in run(data, "domain", "show", "example.org").output


@pytest.mark.parametrize(
    ("words", "typed", "line"),
    [
        (("account", "add", "x@far.example"), "", "no domain far.example"),
        (("account", "add", "x@example.org"), "short\n", "expected a password of at least 8 characters"),
        (("account", "add", "x@example.org"), "", "expected a password of at least 8 characters"),
        (("account", "add", "x@example.org"), "with\0nul in it\n", "expected a password without control"),
        (("account", "add", "x@example.org"), b"latin \xe4\xf6\xfc\n", "expected UTF-8, got other octets"),
        (
            ("account", "passwd", "alice@example.org", "--app", "\udcff"),
            "",
            "expected UTF-8, got other octets",
        ),
        (
            ("account", "set", "alice@example.org", "--folder", "\udcff"),
            "",
            "expected UTF-8, got other octets",
        ),
        (("account", "show", "x@example.org"), "", "no account x@example.org"),
        (("alias", "add", "x@example.org", "y@example.org"), "", "y@example.org is neither"),
        (("domain", "remove", "example.org"), "", "remove them first"),
    ],
)
def test_an_error_is_one_line(data: Path, words: tuple[str, ...], typed: str | bytes, line: str) -> None:
    result = run(data, *words, typed=typed, fails=True)

    assert 1 == result.exit_code
    assert line in result.stderr
    assert 1 == result.stderr.count("\n")


def test_a_directory_from_elsewhere_is_not_changed(tmp_path: Path) -> None:
    config = tmp_path / "pymta.toml"
    config.write_text('[server]\nhostname = "mx.example.org"\n[directory]\nsource = "none"\n')
    result = CliRunner().invoke(command_line, ["domain", "add", "a.example", "--config", str(config)])

    assert 1 == result.exit_code
    assert 'source is "none"' in result.stderr


def test_a_root_that_may_not_become_the_owner_is_told_whose_the_folder_is(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container without that capability: one line with the folder, not an errno."""

    def refused(number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    owner = os.stat_result((0o40700, 0, 0, 2, 4711, 4711, 0, 0, 0, 0))
    monkeypatch.setattr("pymta.cli.directory.os.geteuid", lambda: 0)
    monkeypatch.setattr("pymta.cli.directory.os.setegid", refused)
    real = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path, **how: owner if path == data else real(path, **how))

    shown = run(data, "account", "list", fails=True).output

    assert (
        f"Error: {data} belongs to user 4711, whom this process may not become: run it as that user\n"
        == shown
    )


def test_a_directory_that_may_not_be_opened_is_named_once(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file and the reason, in one line."""

    def refused(file: Path, **how: object) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr("pymta.directory.database.open_shared_database", refused)

    shown = run(data, "account", "list", fails=True).output

    assert f"Error: {data / 'directory.db'}: Permission denied\n" == shown
