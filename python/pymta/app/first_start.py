"""
What the embedded default needs and nobody has made yet: a certificate, a domain, an account to try things with.

Only for a start without a configuration. What is there is left alone, so that it happens once.
"""

import secrets
from pathlib import Path
from typing import Final, NamedTuple

from pymta.auth.schemes import stored_forms
from pymta.auth.settings import hash_cost
from pymta.config.settings import Settings
from pymta.directory.editor import DirectoryEditor
from pymta.tls.self_made import write_self_made

__all__ = ["ACCOUNT", "FirstAccount", "prepare", "take_back"]

DOMAIN: Final = "example.test"
ACCOUNT: Final = f"user@{DOMAIN}"
_VALID_DAYS: Final = 825  # what clients of today take (CA/Browser Forum, 2018)
_PASSWORD_OCTETS: Final = 12


class FirstAccount(NamedTuple):
    """An account that was made just now; its password is told once and kept by nobody."""

    name: str
    password: str


def prepare(settings: Settings) -> FirstAccount | None:
    """
    Make what is missing.

    Returns:
        The account, where it was made.

    Raises:
        PymtaError, OSError: Something cannot be made.
    """
    file = settings.directory_file
    for folder in (Path(settings.server.data_folder), file.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for listener in settings.listeners:
        if listener.certificate_file is not None and listener.key_file is not None:
            _make_certificate(listener.certificate_file, listener.key_file, settings.server.hostname.name)
    editor = DirectoryEditor(file)
    try:
        if editor.domains():
            return None
        password = _new_password()
        editor.add_domain(DOMAIN)
        editor.add_account(
            ACCOUNT, stored_forms(password, hash_cost(settings.auth), scram=settings.auth.scram)
        )
        return FirstAccount(ACCOUNT, password)
    finally:
        editor.close()


def take_back(settings: Settings) -> None:
    """
    Remove the account and its domain again, where the start failed before anybody was told the password.

    The next start makes them anew, with a password that somebody knows.
    """
    editor = DirectoryEditor(settings.directory_file)
    try:
        editor.remove_account(ACCOUNT)
        editor.remove_domain(DOMAIN)
    finally:
        editor.close()


def _new_password() -> str:
    """One that can be written behind any option of any command: a hyphen in front would make it one itself."""
    while (password := secrets.token_urlsafe(_PASSWORD_OCTETS)).startswith("-"):
        continue
    return password


def _make_certificate(certificate_file: Path, key_file: Path, hostname: str) -> None:
    if certificate_file.exists() and key_file.exists():
        return
    certificate_file.parent.mkdir(mode=0o700, exist_ok=True)
    write_self_made(certificate_file, key_file, (hostname, "localhost", "127.0.0.1"), valid_days=_VALID_DAYS)
