"""
The two SASL mechanisms that put a password on the wire: PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login).

Framing only: base64 and cancelling are Rust's, who may log in is policy's. The full set comes with accounts.
"""

from pymta._core import Reply
from pymta.mail.secret import Secret
from pymta.policy.session import Credentials

__all__ = ["Login"]

_MALFORMED = Reply(501, "5.5.2", "malformed authentication response")

# RFC 4616 §2 gives each of PLAIN's three parts 255 octets.
PART_OCTETS_MAX = 255


class Login:
    """One attempt to log in."""

    __slots__ = ("_account", "mechanism")

    def __init__(self, mechanism: str) -> None:
        self.mechanism = mechanism
        self._account: str | None = None

    @staticmethod
    def begin(mechanism: str) -> "Login | None":
        """An attempt with that mechanism; None where we do not have it."""
        return Login(mechanism) if mechanism in ("PLAIN", "LOGIN") else None

    @property
    def challenge(self) -> bytes:
        """What to ask where there was no initial response."""
        return b"Username:" if self.mechanism == "LOGIN" else b""

    def answer(self, response: bytes) -> Credentials | bytes | Reply:
        """The credentials, the next challenge, or the reply to nonsense."""
        return self._plain(response) if self.mechanism == "PLAIN" else self._login(response)

    def _plain(self, response: bytes) -> Credentials | Reply:
        parts = response.split(b"\0")
        if (
            len(parts) != 3
            or not parts[1]
            or not parts[2]
            or any(len(part) > PART_OCTETS_MAX for part in parts)
        ):
            return _MALFORMED
        texts = [_text(part) for part in parts]
        authorization, account, password = texts
        if authorization is None or account is None or password is None:
            return _MALFORMED
        return Credentials("PLAIN", account, Secret(password), authorization)

    def _login(self, response: bytes) -> Credentials | bytes | Reply:
        text = _text(response)
        if not text or "\0" in text or len(response) > PART_OCTETS_MAX:
            return _MALFORMED
        if self._account is None:
            self._account = text
            return b"Password:"
        return Credentials("LOGIN", self._account, Secret(text))


def _text(octets: bytes) -> str | None:
    """RFC 4616 §2: UTF-8 and nothing else."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return None
