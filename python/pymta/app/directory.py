"""
The directory that the settings mean.
"""

from pymta.config.settings import Settings
from pymta.directory import Directory, Lookup, TableLookup
from pymta.mail.errors import ConfigError, PymtaError

__all__ = ["open_directory", "open_lookup"]


def open_lookup(settings: Settings) -> Lookup:
    """
    The source of entries.

    Raises:
        ConfigError: It cannot be used.
    """
    if settings.directory.source == "none":
        return TableLookup()
    from pymta.directory.sqlite import SqliteLookup  # a library of megabytes

    try:
        return SqliteLookup(settings.directory_file)
    except (PymtaError, OSError) as error:
        raise ConfigError(str(error), option="directory.file") from error


def open_directory(settings: Settings, lookup: Lookup) -> Directory:
    """The directory over *lookup* by the rules of *settings*."""
    postmaster = settings.directory.postmaster
    return Directory(
        lookup,
        detail_delimiters=settings.directory.detail_delimiters,
        postmaster=None if postmaster is None else str(postmaster),
    )
