"""
One field of a DSN, as octets. The one place where what a peer said becomes part of a header section (attacks row 9).

Rule: whatever the text, what comes out is one field: no control character, no line over 998 octets, no line that is not
a continuation.
"""

__all__ = ["breakable", "field", "harmless"]

# RFC 5322 §2.1.1: where we fold, and how long a word without white space may be before it is broken up.
LINE_CHARACTERS_WANTED = 76
WORD_CHARACTERS_MAX = 200  # at most 800 octets of UTF-8
EXACT_OCTETS_MAX = 900  # an address has at most 254, an id 100 (RFC 3461 §4.4), an ORCPT 500 (RFC 3461 §4.2)
VALUE_CHARACTERS_MAX = 2000


def harmless(text: str, *, ascii_only: bool) -> str:
    """
    The text on one line, cut at 2000 characters: what does not print, and (if *ascii_only*) what is not ASCII, becomes
    a question mark.
    """
    if text.isascii() and text.isprintable():
        return text[:VALUE_CHARACTERS_MAX]  # nearly always, and a DSN may have thousands of recipients
    kept = []
    for character in text[:VALUE_CHARACTERS_MAX]:
        if character in "\r\n\t":
            kept.append(" ")
        elif character.isprintable() and (character.isascii() or not ascii_only):
            kept.append(character)
        else:
            kept.append("?")
    return "".join(kept)


def breakable(text: str) -> str:
    """The text with a space in words over 200 characters, so that lines can be made of it."""
    return " ".join(
        word[at : at + WORD_CHARACTERS_MAX]
        for word in text.split()
        for at in range(0, len(word), WORD_CHARACTERS_MAX)
    )


def field(name: str, value: str, *, ascii_only: bool = True, folded: bool = True) -> bytes:
    """
    `name: value CRLF`, made harmless.

    Args:
        name: A constant of ours.
        value: Anything.
        ascii_only: False in the message/global variants only (RFC 6533).
        folded: White space may be changed and lines folded. False for what must stay exact, an address or an id.
    """
    text = harmless(value, ascii_only=ascii_only)
    if (
        text.isascii()
        and len(name) + 2 + len(text) <= LINE_CHARACTERS_WANTED
        and (not folded or "  " not in text)
    ):
        return f"{name}: {text}\r\n".encode()
    if not folded:
        exact = text.encode()[:EXACT_OCTETS_MAX].decode(errors="ignore")
        return f"{name}: {exact}\r\n".encode()
    lines = [f"{name}:"]
    for word in breakable(text).split():
        if len(lines[-1]) + 1 + len(word) > LINE_CHARACTERS_WANTED and lines != [f"{name}:"]:
            lines.append("")
        lines[-1] += f" {word}"
    return "\r\n".join([*lines, ""]).encode()
