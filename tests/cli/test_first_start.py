"""What a start without a configuration makes: once, for its owner only, and told once."""

import ssl
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from pymta.app import first_start
from pymta.app.first_start import ACCOUNT, prepare
from pymta.auth.schemes import verify
from pymta.cli import command_line
from pymta.cli.serve import banner
from pymta.config.default import load_default
from pymta.directory.sqlite import SqliteLookup


def test_a_certificate_and_an_account_are_made_once(tmp_path: Path) -> None:
    loaded = load_default(tmp_path / "data")
    made = prepare(loaded.settings)

    assert made is not None
    assert ACCOUNT == made.name
    lookup = SqliteLookup(loaded.settings.directory_file)
    assert all(verify(one.stored.reveal(), made.password) for one in lookup.passwords(ACCOUNT))
    lookup.close()
    files = {path: path.read_bytes() for path in (tmp_path / "data" / "tls").iterdir()}
    assert {"certificate.pem", "key.pem"} == {path.name for path in files}
    assert 0o600 == stat.S_IMODE((tmp_path / "data" / "tls" / "key.pem").stat().st_mode)
    assert 0o700 == stat.S_IMODE((tmp_path / "data").stat().st_mode)
    assert prepare(loaded.settings) is None
    assert files == {path: path.read_bytes() for path in files}


def test_a_password_is_never_taken_for_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`swaks --auth-password -x` asks for an option that nobody has; one password in 64 began like that."""
    drawn = iter(["-first", "--second", "third-"])
    monkeypatch.setattr(first_start.secrets, "token_urlsafe", lambda octets: next(drawn))
    made = prepare(load_default(tmp_path).settings)

    assert made is not None
    assert "third-" == made.password


def test_the_certificate_is_for_this_host(tmp_path: Path) -> None:
    prepare(load_default(tmp_path).settings)
    shown = ssl._ssl._test_decode_cert(str(tmp_path / "tls" / "certificate.pem"))  # type: ignore[attr-defined] # CPython's

    assert {("DNS", "mail.example.test"), ("DNS", "localhost"), ("IP Address", "127.0.0.1")} == set(
        shown["subjectAltName"]
    )


def test_the_password_is_told_at_the_start_that_made_it(tmp_path: Path) -> None:
    loaded = load_default(tmp_path)
    made = prepare(loaded.settings)
    assert made is not None

    assert f"account {ACCOUNT}, password {made.password}" in banner(loaded, [], made)
    assert ", password " not in banner(loaded, [], prepare(loaded.settings))


def test_a_start_that_fails_leaves_no_account_whose_password_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a port is taken: the account would be there, so that no later start could tell its password."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(98, "Address already in use", "127.0.0.1:2525")

    monkeypatch.setattr("pymta.app.run", refused)
    result = CliRunner().invoke(command_line, ["serve", "--no-config", "--data", str(tmp_path)])

    assert "Error: 127.0.0.1:2525: Address already in use\n" == result.output
    assert prepare(load_default(tmp_path).settings) is not None


def test_a_folder_may_have_an_awkward_name(tmp_path: Path) -> None:
    folder = tmp_path / 'qu"ote \\ ü'
    settings = load_default(folder).settings

    assert folder == settings.server.data_folder
    assert folder / "tls" / "key.pem" == settings.listeners[-1].key_file
