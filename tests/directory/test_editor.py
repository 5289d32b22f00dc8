"""Changes to the directory: what is written is canonical and consistent, or refused in a line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymta.directory import Directory
from pymta.directory.editor import DirectoryEditor, EntryProblem
from pymta.directory.sqlite import SqliteLookup


@pytest.fixture
def editor(tmp_path: Path) -> Iterator[DirectoryEditor]:
    made = DirectoryEditor(tmp_path / "directory.db")
    made.add_domain("A.Example")
    made.add_account("Alice@a.example", ["$argon2id$x", "{SCRAM-SHA-256}y"])
    yield made
    made.close()


def test_what_is_added_is_what_the_server_finds(editor: DirectoryEditor, tmp_path: Path) -> None:
    editor.add_account("bob@A.EXAMPLE", quota_octets=5, addresses=("@Else.example", "X@y.example"))
    editor.add_alias("Team@a.example", ["ALICE@a.example", "bob@a.example", "bob@a.example"])
    editor.set_domain("a.example", catch_all=["bob@a.example"], suspended=None)
    lookup = SqliteLookup(tmp_path / "directory.db")
    bob = lookup.account("bob@a.example")
    team = lookup.alias("team@a.example")
    domain = lookup.domain("a.example")

    assert bob is not None
    assert (5, ("@else.example", "x@y.example"), "a.example/bob") == (
        bob.quota_octets,
        bob.addresses,
        bob.mail_folder,
    )
    assert team is not None
    assert (("alice@a.example", "bob@a.example"), False) == (team.targets, team.members_may_send)
    assert domain is not None
    assert ("bob@a.example",) == domain.catch_all
    passwords = lookup.passwords("alice@a.example")
    assert {"$argon2id$x", "{SCRAM-SHA-256}y"} == {p.stored.reveal() for p in passwords}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda e: e.add_domain("a.EXAMPLE"), "there is a domain a.example already"),
        (lambda e: e.add_domain("no domain"), "not a host name"),
        (lambda e: e.add_domain("word"), "expected a domain such as"),
        (lambda e: e.add_account("ALICE@a.example"), "there is an account alice@a.example already"),
        (lambda e: e.add_account("x@other.example"), "no domain other.example"),
        (lambda e: e.add_account("x"), "not an address"),
        (lambda e: e.add_account("x@a.example", mail_folder="../etc"), "below the mailboxes' root"),
        (lambda e: e.add_account("x@a.example", mail_folder="/etc"), "below the mailboxes' root"),
        (lambda e: e.add_account("x@a.example", mail_folder="a.example/alice"), "is another account's"),
        (lambda e: e.remove_domain("a.example"), "1 accounts"),
        (lambda e: e.remove_account("nobody@a.example"), "no account nobody@a.example"),
        (lambda e: e.add_alias("x@a.example", ["nobody@a.example"]), "neither an account nor an alias"),
        (lambda e: e.add_alias("x@a.example", ["x@a.example"]), "leads to itself"),
        (lambda e: e.add_alias("alice@a.example", ["x@else.example"]), "name it as a target too"),
        (lambda e: e.remove_alias("x@a.example"), "no alias x@a.example"),
        (lambda e: e.set_password("alice@a.example", "x" * 65, []), "expected a label"),
        (lambda e: e.remove_password("alice@a.example", "phone"), "no password 'phone'"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(editor: DirectoryEditor, change: object, problem: str) -> None:
    assert callable(change)
    before = editor.domains(), editor.accounts(), editor.aliases()

    with pytest.raises(EntryProblem) as caught:
        change(editor)

    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert before == (editor.domains(), editor.accounts(), editor.aliases())


def test_an_account_that_an_alias_needs_is_not_removed(editor: DirectoryEditor) -> None:
    editor.add_alias("info@a.example", ["alice@a.example"])
    with pytest.raises(EntryProblem, match="leads to alice"):
        editor.remove_account("alice@a.example")
    editor.remove_alias("info@a.example")
    editor.remove_account("alice@a.example")

    assert [] == editor.accounts()
    editor.remove_domain("a.example")
    assert [] == editor.domains()


def test_an_alias_with_one_target_may_be_used_by_it(editor: DirectoryEditor, tmp_path: Path) -> None:
    editor.add_alias("info@a.example", ["alice@a.example"])
    directory = Directory(SqliteLookup(tmp_path / "directory.db"))
    alice = editor.account("alice@a.example")

    assert directory.may_use(alice, "info@a.example") is True
    editor.set_alias("info@a.example", targets=None, members_may_send=False)
    assert Directory(SqliteLookup(tmp_path / "directory.db")).may_use(alice, "info@a.example") is False


def test_an_account_goes_with_its_passwords(editor: DirectoryEditor, tmp_path: Path) -> None:
    editor.set_password("alice@a.example", "phone", ["$argon2id$z"])
    assert ["", "phone"] == editor.password_labels("alice@a.example")
    editor.remove_account("alice@a.example")

    assert [] == list(SqliteLookup(tmp_path / "directory.db").passwords("alice@a.example"))


def test_a_better_form_does_not_replace_a_newer_password(editor: DirectoryEditor) -> None:
    old = ["$argon2id$x", "{SCRAM-SHA-256}y"]
    editor.set_password("alice@a.example", "", ["$argon2id$new"])

    assert not editor.replace_stored("alice@a.example", "", old, ["$argon2id$better"])
    assert editor.replace_stored("alice@a.example", "", ["$argon2id$new"], ["$argon2id$better"])
