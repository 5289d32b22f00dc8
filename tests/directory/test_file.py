"""A directory in a TOML file: what it says is what is found, and what is wrong is named with its line."""

from pathlib import Path
from textwrap import dedent

import pytest

from pymta.auth.schemes import scheme_of
from pymta.directory import Account, Alias, Domain, TableLookup
from pymta.directory.file import read_directory
from pymta.mail.errors import ConfigError

WHOLE = """
[domains."Example.org"]
catch_all = ["ALICE@example.org"]
[domains."bücher.example"]
suspended = true

[accounts."Alice@example.org"]
password = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="
app_passwords = { phone = "{SSHA}c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0" }
addresses = ["@Shop.example", "A@else.example"]
quota_octets = 1000
quota_messages = 7
mail_folder = "people/alice"
[accounts."bob@example.org"]

[aliases."info@example.org"]
targets = ["alice@example.org"]
[aliases."all@example.org"]
targets = ["info@example.org", "x@far.example", "BOB@example.org"]
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "directory.toml"
    file.write_text(dedent(text), encoding="utf-8")
    return file


def read(folder: Path, text: str) -> TableLookup:
    return read_directory(written(folder, text), check_password=scheme_of)


def test_what_it_says_is_found(tmp_path: Path) -> None:
    lookup = read(tmp_path, WHOLE)

    assert Domain(name="example.org", catch_all=("alice@example.org",)) == lookup.domain("example.org")
    assert Domain(name="xn--bcher-kva.example", suspended=True) == lookup.domain("xn--bcher-kva.example")
    assert Account(
        name="alice@example.org",
        addresses=("@shop.example", "a@else.example"),
        quota_octets=1000,
        quota_messages=7,
        mail_folder="people/alice",
    ) == lookup.account("alice@example.org")
    assert Account(name="bob@example.org") == lookup.account("bob@example.org")
    assert Alias(
        address="info@example.org", targets=("alice@example.org",), members_may_send=True
    ) == lookup.alias("info@example.org")
    assert Alias(
        address="all@example.org", targets=("info@example.org", "x@far.example", "bob@example.org")
    ) == lookup.alias("all@example.org")
    assert ["", "phone"] == [one.label for one in lookup.passwords("alice@example.org")]
    assert lookup.domain("else.example") is None


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("[domains", None, "not TOML"),
        ('[domains."a.example"]\nx = 1', 1, "unknown field"),
        ('[domains."a b"]', 1, "not a host name"),
        ('[domains."a.example"]\n[domains."A.example"]', 2, 'the same as "a.example"'),
        ('[accounts."x@a.example"]', 1, "its domain is none"),
        ('[domains."a.example"]\n[accounts.x]', 2, "not an address"),
        ('[domains."a.example"]\n[accounts."x@a.example"]\npassword = "secret"', 3, "not a stored password"),
        ('[domains."a.example"]\n[accounts."x@a.example"]\nmail_folder = "../x"', 3, "below the mailboxes"),
        ('[domains."a.example"]\n[aliases."x@a.example"]\ntargets = []', 3, "at least one"),
        ('[domains."a.example"]\n[aliases."x@a.example"]\ntargets = ["y@a.example"]', 3, "neither"),
        ('[domains."a.example"]\n[accounts."x@a.example"]\nquota_octets = -1', 2, ">= 1"),
        ('[domains."a.example"]\n[accounts."x@a.example"]\nquota_messages = 9999999999', 2, "<= 2147483648"),
        ('[domains."a.example"]\ncatch_all = ["y@a.example"]', 2, "neither an account nor an alias"),
        ('[domains."a.example"]\n[accounts."x@a.example"]\naddresses = ["x y"]', 3, "not an address"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, line: int | None, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)

    assert problem in caught.value.problem
    assert line in (None, caught.value.line)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_directory(tmp_path / "nothing.toml")
