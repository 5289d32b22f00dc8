"""
The directory that the settings mean.
"""

import inspect
from collections.abc import Callable

from pymta.config.settings import Settings
from pymta.directory import Directory, Lookup, TableLookup, settled
from pymta.directory.srs import Srs, load_secret
from pymta.mail.errors import ConfigError, PymtaError
from pymta.mail.names import InvalidName, canonical_name

__all__ = ["DirectoryDomains", "open_directory", "open_login_secret", "open_lookup", "open_srs"]


def open_lookup(settings: Settings) -> Lookup:
    """
    The source of entries.

    Raises:
        ConfigError: It cannot be used.
    """
    if settings.directory.source == "none":
        return TableLookup()
    if settings.directory.source == "ldap":
        from pymta.directory.ldap import LdapLookup

        return LdapLookup(settings.ldap)
    if settings.directory.source == "file":
        from pymta.auth.schemes import scheme_of
        from pymta.directory.file import read_directory

        return read_directory(settings.directory_file, check_password=scheme_of)
    from pymta.directory.sqlite import SqliteLookup  # a library of megabytes

    try:
        return SqliteLookup(settings.directory_file)
    except (PymtaError, OSError) as error:
        raise ConfigError(str(error), option="directory.file") from error


def open_srs(settings: Settings, *, now_ms: Callable[[], int]) -> Srs | None:
    """
    Addresses for what is forwarded; None where it leaves with the reverse-path that it has.

    Raises:
        ConfigError: The secret cannot be read or made.
    """
    if not settings.forwarding.srs or settings.directory.source == "none":
        return None
    try:
        secret = load_secret(settings.srs_secret_file)
    except OSError as error:
        raise ConfigError(str(error), option="forwarding.srs_secret_file") from error
    return Srs(secret, now_ms=now_ms, days_max=settings.forwarding.srs_days_max)


def open_directory(settings: Settings, lookup: Lookup, srs: Srs | None = None) -> Directory:
    """The directory over *lookup* by the rules of *settings*."""
    postmaster = settings.directory.postmaster
    return Directory(
        lookup,
        detail_delimiters=settings.directory.detail_delimiters,
        postmaster=None if postmaster is None else str(postmaster),
        srs=srs,
    )


def open_login_secret(settings: Settings) -> bytes:
    """
    What tells the keys that are made up for unknown accounts from real ones: the same for all workers, and for ever.

    Raises:
        ConfigError: It cannot be read or made.
    """
    try:
        return load_secret(settings.login_secret_file)
    except OSError as error:
        raise ConfigError(str(error), option="server.data_folder") from error


class DirectoryDomains:
    """The directory's domains, as the router asks for them."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def covers(self, domain: str) -> bool | None:
        """Whether it is one of them; None where that has to be waited for."""
        name = _canonical(domain)
        if name is None:
            return not domain  # a bare postmaster is ours by nature (RFC 5321 §4.5.1)
        answer = self._directory.domain(name)
        if inspect.iscoroutine(answer):
            answer.close()
            return None
        return answer is not None

    async def find(self, domain: str) -> bool:
        """`covers`, waited for."""
        name = _canonical(domain)
        return not domain if name is None else await settled(self._directory.domain(name)) is not None


def _canonical(domain: str) -> str | None:
    """None for what is no host name: an address literal, nothing."""
    if not domain or domain.startswith("["):
        return None
    try:
        return canonical_name(domain)
    except InvalidName:
        return None
