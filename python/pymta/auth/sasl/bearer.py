"""
OAuth bearer tokens: OAUTHBEARER (RFC 7628) and XOAUTH2, its predecessor, which some large clients know only.

A token that is no good is answered with a JSON challenge, which the client acknowledges, and then refused.
"""

import re
from typing import Final

from pymta.auth.sasl.steps import Challenge, Channel, ClientFirst, Failed, Malformed, Step, TokenOffered
from pymta.mail.secret import Secret

__all__ = ["OAuthBearer", "XOAuth2"]

# Tokens with many claims are long; AUTH lines of SMTP end at 12 KiB in any case.
RESPONSE_OCTETS_MAX: Final = 16_384
_NAME: Final = r"[^\x00-\x1f,=\x7f]{1,255}"
# RFC 6750 §2.1 b64token, and no more than that.
_B64TOKEN: Final = r"[A-Za-z0-9._~+/-]+=*"
_OAUTHBEARER: Final = re.compile(
    rf"n,(?:a=(?P<account>(?:[^\x00-\x1f,=\x7f]|=2C|=3D){{1,255}}))?,\x01"
    rf"(?:[A-Za-z]+=[^\x00\x01]*\x01)*?auth=[Bb]earer (?P<token>{_B64TOKEN})\x01(?:[A-Za-z]+=[^\x00\x01]*\x01)*\x01"
)
_XOAUTH2: Final = re.compile(rf"user=(?P<account>{_NAME})\x01auth=Bearer (?P<token>{_B64TOKEN})\x01\x01")
_NO_GOOD: Final = b'{"status":"invalid_token","schemes":"bearer"}'


class OAuthBearer(ClientFirst):
    """`n,a=account,^Aauth=Bearer token^A^A`."""

    name = "OAUTHBEARER"
    grammar = _OAUTHBEARER

    def __init__(self, channel: Channel) -> None:
        del channel
        self._account: str | None = None

    def respond(self, response: bytes) -> Step:
        if self._account is not None:
            # Whatever the acknowledgement is: it was no, and it is over.
            return Failed(self._account, "the token was refused")
        try:
            text = response.decode() if len(response) <= RESPONSE_OCTETS_MAX else ""
        except UnicodeDecodeError:
            text = ""
        match = self.grammar.fullmatch(text)
        if match is None:
            return Malformed("not a bearer token")
        self._account = (match["account"] or "").replace("=2C", ",").replace("=3D", "=")
        return TokenOffered(self._account, Secret(match["token"]))

    def refused(self) -> Step:
        return Challenge(_NO_GOOD)


class XOAuth2(OAuthBearer):
    """`user=account^Aauth=Bearer token^A^A`."""

    name = "XOAUTH2"
    grammar = _XOAUTH2
