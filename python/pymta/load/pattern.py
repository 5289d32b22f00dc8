"""
Who messages are from and for: addresses with parts that change.

    {n}         the number of the message, from 1
    {r}         the number of the recipient within its message, from 1
    {1-1000}    a random number of that range, drawn anew each time

    user{1-50}@domain{1-1000}.example.test

`<>` alone is the null reverse-path. Rule: a pattern is tried when it is read, so that a run does not stop in the middle
for an address that is none.
"""

import re
from collections.abc import Callable
from random import Random
from typing import Final

from pymta._core import Address

__all__ = ["AddressPattern"]

_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_RANGE: Final = re.compile(r"(\d{1,12})-(\d{1,12})", re.ASCII)
_PLACES_MAX: Final = 16

Part = str | Callable[[int, int, Random], str]


class AddressPattern:
    """
    A pattern of addresses.

    Raises:
        ValueError: It is none, or what it makes are no addresses.
    """

    __slots__ = ("_parts", "changes_with_message", "changes_with_recipient", "is_null", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_null = text == "<>"
        self.changes_with_message = False
        self.changes_with_recipient = False
        self._parts: list[Part] = []
        if self.is_null:
            return
        pieces = _PLACE.split(text)
        if len(pieces) > 2 * _PLACES_MAX:
            raise ValueError(f'at most {_PLACES_MAX} places in braces, got "{text}"')
        for at, piece in enumerate(pieces):
            if at % 2:
                self._parts.append(self._place(piece))
            elif piece:
                self._parts.append(piece)
        self._try()

    def _place(self, place: str) -> Part:
        if place == "n":
            self.changes_with_message = True
            return lambda number, _recipient, _random: str(number)
        if place == "r":
            self.changes_with_recipient = True
            return lambda _number, recipient, _random: str(recipient)
        found = _RANGE.fullmatch(place)
        if found is None:
            raise ValueError(f'expected {{n}}, {{r}} or a range such as {{1-1000}}, got "{{{place}}}"')
        least, most = int(found[1]), int(found[2])
        if least > most:
            raise ValueError(f'expected the smaller number first, got "{{{place}}}"')
        self.changes_with_message = True
        span = most - least + 1
        return lambda _number, _recipient, random: str(least + int(random.random() * span))

    def _try(self) -> None:
        for number in (1, 10**12):
            made = self.make(number, number, Random(0))  # noqa: S311 - not for secrets
            try:
                Address(made)
            except ValueError as error:
                raise ValueError(f'"{made}" is no address: {error}') from None

    @property
    def is_ascii(self) -> bool:
        """Whether no SMTPUTF8 is needed for it."""
        return self.text.isascii()

    def make(self, number: int, recipient: int, random: Random) -> str:
        """The address for a message, and for which of its recipients; empty for the null reverse-path."""
        return "".join(
            part if isinstance(part, str) else part(number, recipient, random) for part in self._parts
        )
