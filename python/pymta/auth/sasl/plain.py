"""
The two mechanisms that put a password on the wire: PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login).
"""

from pymta.auth.sasl.steps import Challenge, Channel, ClientFirst, Malformed, PasswordOffered, Step, text_of
from pymta.mail.secret import Secret

__all__ = ["Login", "Plain"]


class Plain(ClientFirst):
    """`authorization NUL account NUL password`, at once."""

    name = "PLAIN"

    def __init__(self, channel: Channel) -> None:
        del channel

    def respond(self, response: bytes) -> Step:
        parts = [text_of(part) for part in response.split(b"\0")]
        if len(parts) != 3:
            return Malformed("not three parts")
        authorization, account, password = parts
        if authorization is None or not account or not password:
            return Malformed("a part is empty, too long or no UTF-8")
        return PasswordOffered(account, Secret(password), authorization)


class Login(ClientFirst):
    """Asks for the account, then for the password."""

    name = "LOGIN"

    def __init__(self, channel: Channel) -> None:
        del channel
        self._account: str | None = None

    def start(self, initial: bytes | None) -> Step:
        return Challenge(b"Username:") if initial is None else self.respond(initial)

    def respond(self, response: bytes) -> Step:
        text = text_of(response)
        if not text:
            return Malformed("empty, too long or no UTF-8")
        if self._account is None:
            self._account = text
            return Challenge(b"Password:")
        return PasswordOffered(self._account, Secret(text))
