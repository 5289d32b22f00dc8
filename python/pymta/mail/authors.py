"""
The addresses in an address-list field: From, Sender (RFC 5322 §3.4).

Strict on purpose: it is asked *whether* a message says it is from somebody, and a field that two readers could read
differently must not pass as either reading. What it cannot read for sure is a ValueError.
"""

import re
from typing import Final

__all__ = ["addresses_of"]

# What one field may cost; a header section is larger.
FIELD_OCTETS_MAX: Final = 16_384
ADDRESSES_MAX: Final = 100

_QUOTED: Final = re.compile(r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*"')
_ATOM: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\x80-\U0010ffff-]+")
_LITERAL: Final = re.compile(r"\[[^\[\]\\\x00-\x1f\x7f]*\]")
_SPACE: Final = re.compile(r"[ \t]+")


def addresses_of(value: bytes | str) -> list[str]:
    """
    The addresses of an unfolded field.

    Raises:
        ValueError: It is no address list, or uses what is obsolete and ambiguous (routes, comments inside addresses).
    """
    text = value.decode("utf-8") if isinstance(value, bytes) else value
    if len(text) > FIELD_OCTETS_MAX:
        raise ValueError("field too long")
    found: list[str] = []
    tokens: list[str] = []
    in_group = False
    for part in [*_tokens(text), ","]:
        if part == ":" and not in_group and tokens and "<" not in tokens and "@" not in tokens:
            in_group, tokens = True, []  # a display name before a group (§3.4)
        elif part in (",", ";"):
            if part == ";" and not in_group:
                raise ValueError("a semicolon outside of a group")
            if any(word != " " for word in tokens):
                found.append(_address(tokens))
            tokens = []
            in_group = in_group and part != ";"
            if len(found) > ADDRESSES_MAX:
                raise ValueError("too many addresses")
        else:
            tokens.append(part)
    if in_group:
        raise ValueError("a group without its end")
    return found


def _tokens(text: str) -> list[str]:
    """Words, quoted strings, literals and specials; comments and space are left out, but end a word."""
    tokens: list[str] = []
    at = 0
    while at < len(text):
        character = text[at]
        if character == "(":
            at = _comment_end(text, at)
            tokens.append(" ")
            continue
        if character in "<>@,;:":
            tokens.append(character)
            at += 1
            continue
        match = (
            _SPACE.match(text, at)
            or _QUOTED.match(text, at)
            or _ATOM.match(text, at)
            or _LITERAL.match(text, at)
        )
        if match is None:
            raise ValueError(f"unexpected character {character!r}")
        tokens.append(" " if match[0].isspace() else match[0])
        at = match.end()
    return tokens


def _comment_end(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "(":
            depth += 1
        elif text[at] == ")":
            depth -= 1
            if not depth:
                return at + 1
        at += 1
    raise ValueError("a comment without its end")


def _address(tokens: list[str]) -> str:
    """The address of one mailbox: `display name <address>`, or the address alone."""
    words = [word for word in tokens if word != " "]
    if "<" in words:
        begin = tokens.index("<")
        if words.count("<") != 1 or words.count(">") != 1 or words[-1] != ">":
            raise ValueError("angle brackets that do not belong together")
        inner = tokens[begin + 1 : len(tokens) - 1 - tokens[::-1].index(">")]
    else:
        if ">" in words:
            raise ValueError("an angle bracket too many")
        inner = tokens
    while inner and inner[0] == " ":
        inner = inner[1:]
    while inner and inner[-1] == " ":
        inner = inner[:-1]
    if len(inner) != 3 or inner[1] != "@" or inner[0] in "<>@:" or inner[2] in "<>@:" or inner[2][0] == '"':
        raise ValueError("not an address")
    return "".join(inner)
