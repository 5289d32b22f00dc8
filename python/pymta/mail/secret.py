"""
Text that must not be printed: a password, a token, a key.

Rule (ARCHITECTURE.md, invariants): a secret reaches a log, a traceback or an error message only where somebody wrote
`reveal()`, which is easy to look for.
"""

import hmac
from typing import Final, NoReturn, final

__all__ = ["Secret"]


@final
class Secret:
    """A secret text. It prints as `***` and compares in constant time; it cannot be pickled."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text: Final = text

    def reveal(self) -> str:
        """The text itself. Whoever calls this answers for where it goes."""
        return self._text

    def matches(self, text: str) -> bool:
        """Whether it is *text*; takes the same time whether the first or the last character differs."""
        return hmac.compare_digest(self._text.encode(), text.encode())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.matches(other._text)

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written anywhere")
