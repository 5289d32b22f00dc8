"""
What of a configuration a running server cannot take over: which options wait for the next start.

It compares values. What a reload refuses altogether (a listener's address, the mailboxes' folder) is not its affair.
"""

from typing import Final

from pymta.config.settings import Settings

__all__ = ["waiting_for_restart"]

# Sections that are read once, at the start (docs/operations.md, "Start, reload, stop"), and what is taken over all the same.
_READ_ONCE: Final = ("server", "spool", "dns", "delivery", "http", "log", "sink")
_TAKEN_OVER: Final = frozenset({"delivery.tls"})

# Of sections that are taken over, what is not.
_READ_ONCE_OPTIONS: Final = frozenset({"acme.addresses"})


def waiting_for_restart(began_with: Settings, now: Settings) -> tuple[str, ...]:
    """The options, such as `http.address`, in which *now* differs from what the server *began_with*, to no effect."""
    partly = {option.partition(".")[0] for option in _READ_ONCE_OPTIONS}
    return tuple(
        option
        for section in (*_READ_ONCE, *sorted(partly))
        for option, before, after in _options(section, getattr(began_with, section), getattr(now, section))
        if before != after
        and option not in _TAKEN_OVER
        and (section in _READ_ONCE or option in _READ_ONCE_OPTIONS)
    )


def _options(section: str, before: object, after: object) -> list[tuple[str, object, object]]:
    if before is None or after is None:  # a section that is there or not
        return [(section, before, after)]
    names: tuple[str, ...] = type(after).__struct_fields__  # type: ignore[attr-defined] # each section is a msgspec.Struct
    return [(f"{section}.{name}", getattr(before, name), getattr(after, name)) for name in names]
