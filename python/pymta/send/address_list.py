"""
Addresses out of an address list (RFC 5322 §3.4): what `-t` finds in To, Cc and Bcc, and what arguments hold.

Display names and comments are left out, groups opened. Rule: what cannot be read for certain is an error, never a guess:
a wrong guess sends mail to a stranger. Time is linear in the length.
"""

import re
from typing import Final

__all__ = ["parse_address_list"]

ADDRESSES_MAX: Final = 100_000

_SPACE_ABOUT: Final = re.compile(r"[ \t]*([.@])[ \t]*")
_ROUTE: Final = re.compile(r"@[^:]*:")
# A quoted string and a domain literal may hold anything, with a backslash before what would end them.
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LITERAL: Final = re.compile(r"\[(?:[^\[\]\\]|\\.)*\]", re.DOTALL)
_PLAIN: Final = re.compile(r'[^"()\[\]<>,:;\\]+')


def parse_address_list(text: str) -> list[str]:
    """
    The addresses of *text*, in order, as written but for white space about `@` and dots.

    They are not checked to be addresses: `root` may be meant, and `Address` says the rest.

    Raises:
        ValueError: It is no address list; the text says where.
    """
    return _Parser(text).parse()


class _Parser:
    """Reads from left to right; `_plain` is what is outside angle brackets, `_angle` what is inside."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: list[str] = []
        self._plain: list[str] = []
        self._angle: list[str] | None = None
        self._angle_is_open = False
        self._in_group = False

    def parse(self) -> list[str]:
        text = self._text
        while self._at < len(text):
            character = text[self._at]
            if character in '"[':
                self._add(self._matched(_QUOTED if character == '"' else _LITERAL, character))
            elif character == "(":
                self._skip_comment()
            elif (plain := _PLAIN.match(text, self._at)) is not None:
                self._add(plain[0])
                self._at = plain.end()
            else:
                self._at += 1
                self._special(character)
        if self._angle_is_open:
            raise ValueError('an address has no ">"')
        self._end()
        return self._found

    def _special(self, character: str) -> None:
        if self._angle_is_open:
            if character == ">":
                self._angle_is_open = False
            elif character in ",:":  # a source route: <@a,@b:user@c>
                self._add(character)
            else:
                raise ValueError(f'unexpected "{character}" within angle brackets')
        elif character == "<" and self._angle is None:
            self._angle, self._angle_is_open = [], True
        elif character == ",":
            self._end()
        elif character == ":" and not self._in_group and self._angle is None:
            self._in_group = True
            self._plain.clear()
        elif character == ";":
            # Ends a group; elsewhere it is what some mail programs wrote for a comma.
            self._end()
            self._in_group = False
        else:
            raise ValueError(f'unexpected "{character}" after "{"".join(self._plain).strip()}"')

    def _add(self, piece: str) -> None:
        if self._angle_is_open:
            assert self._angle is not None, "opened with the bracket"
            self._angle.append(piece)
        elif self._angle is not None and piece.strip():
            raise ValueError(f'unexpected "{piece.strip()}" after an address')
        else:
            self._plain.append(piece)

    def _matched(self, pattern: re.Pattern[str], opening: str) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError(f"a {opening} has no end")
        self._at = found.end()
        return found[0]

    def _skip_comment(self) -> None:
        depth, at, text = 0, self._at, self._text
        while at < len(text):
            character = text[at]
            at += 2 if character == "\\" else 1
            depth += (character == "(") - (character == ")")
            if not depth:
                self._at = at
                self._plain.append(" ")  # a comment parts words, as white space does
                return
        raise ValueError("a comment has no end")

    def _end(self) -> None:
        angle, plain = self._angle, "".join(self._plain).strip()
        self._angle = None
        self._plain.clear()
        if angle is not None:
            address = _ROUTE.sub("", "".join(angle).strip(), count=1)
            if not address:
                raise ValueError("<> is no address to send to")
        elif plain:
            address = plain
        else:
            return  # an empty place between commas, which old lists have (RFC 5322 §4.4)
        if '"' not in address:
            address = _SPACE_ABOUT.sub(r"\1", address)
            if re.search(r"\s", address):
                raise ValueError(f'expected an address, got "{address}"')
        if len(self._found) >= ADDRESSES_MAX:
            raise ValueError(f"more than {ADDRESSES_MAX} addresses")
        self._found.append(address)
