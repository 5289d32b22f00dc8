"""
SCRAM-SHA-256 (RFC 5802, RFC 7677), with and without channel binding to the server's certificate (RFC 5929 §4).

    client-first   gs2-header n=account,r=nonce
    server-first   r=nonce+ours,s=salt,i=iterations
    client-final   c=base64(gs2-header [binding]),r=nonce+ours,p=proof
    server-final   v=signature

Not the library that we test against (scramp): it asks for an account's keys by a plain call in the middle of a message,
and a directory may have to be asked over the network.

An unknown account goes the same way to the same end, with keys made up by whoever drives the exchange: only the proof
is wrong then.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Final

from pymta.auth.sasl.steps import (
    Challenge,
    Channel,
    ClientFirst,
    Failed,
    KeysWanted,
    Malformed,
    Proven,
    Step,
    text_of,
)
from pymta.auth.scram import ScramKeys

__all__ = ["ScramSha256", "ScramSha256Plus"]

MESSAGE_OCTETS_MAX: Final = 4096
_NONCE_OCTETS: Final = 18
_END_POINT: Final = "tls-server-end-point"

# RFC 5802 §7: gs2-header and client-first-message-bare. A mandatory extension (m=) is refused by not matching.
_FIRST: Final = re.compile(
    r"(?P<gs2>(?P<flag>n|y|p=(?P<binding>[A-Za-z0-9.-]+)),(?:a=(?P<authorization>(?:[^,=]|=2C|=3D)+))?,)"
    r"(?P<bare>n=(?P<account>(?:[^,=]|=2C|=3D)+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^,]*)*)"
)
_FINAL: Final = re.compile(
    r"(?P<unproven>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^,]*)*),p=(?P<proof>[A-Za-z0-9+/=]+)"
)


class ScramSha256(ClientFirst):
    """Without channel binding; a client that says it could have bound, and was not offered to, is believed."""

    name = "SCRAM-SHA-256"
    binds = False

    def __init__(
        self, channel: Channel, *, nonce: Callable[[], str] = lambda: secrets.token_urlsafe(_NONCE_OCTETS)
    ) -> None:
        """
        Args:
            channel: What can be bound to.
            nonce: Makes our part of the nonce.
        """
        self._end_point = channel.end_point
        self._make_nonce = nonce
        self._keys: ScramKeys | None = None
        self._gs2 = self._bare = self._nonce = self._first = ""
        self._account = self._authorization = ""

    def respond(self, response: bytes) -> Step:
        text = text_of(response, octets_max=MESSAGE_OCTETS_MAX)
        if text is None:
            return Malformed("too long or no UTF-8")
        return self._client_first(text) if self._keys is None else self._client_final(text)

    def _client_first(self, text: str) -> Step:
        match = _FIRST.fullmatch(text)
        if match is None:
            return Malformed("not a client-first-message")
        self._account, self._authorization = _name(match["account"]), _name(match["authorization"] or "")
        if self.binds:
            if match["binding"] != _END_POINT:
                return Failed(self._account, f"channel binding {match['flag']} where {_END_POINT} is offered")
        elif match["binding"] is not None:
            return Failed(self._account, "channel binding without -PLUS")
        elif match["flag"] == "y" and self._end_point is not None:
            # The client saw no -PLUS, and we announced it: somebody in between took it away (RFC 5802 §6).
            return Failed(self._account, "the offer of channel binding was removed on the way")
        self._gs2, self._bare, self._nonce = match["gs2"], match["bare"], match["nonce"] + self._make_nonce()
        return KeysWanted(self._account)

    def keys(self, keys: ScramKeys) -> Step:
        self._keys = keys
        self._first = f"r={self._nonce},s={_base64(keys.salt)},i={keys.iterations}"
        return Challenge(self._first.encode())

    def _client_final(self, text: str) -> Step:
        keys = self._keys
        assert keys is not None
        match = _FINAL.fullmatch(text)
        if match is None:
            return Malformed("not a client-final-message")
        bound = self._gs2.encode() + (self._end_point or b"" if self.binds else b"")
        try:
            binding = base64.b64decode(match["binding"], validate=True)
            proof = base64.b64decode(match["proof"], validate=True)
        except binascii.Error:
            return Malformed("not base64")
        if not hmac.compare_digest(binding, bound):
            return Failed(self._account, "bound to another channel")
        if not hmac.compare_digest(match["nonce"], self._nonce):
            return Failed(self._account, "another nonce")
        signed = f"{self._bare},{self._first},{match['unproven']}".encode()
        signature = hmac.digest(keys.stored_key, signed, "sha256")
        if len(proof) != len(signature):
            return Malformed("a proof of another length")
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        if not hmac.compare_digest(hashlib.sha256(client_key).digest(), keys.stored_key):
            return Failed(self._account, "wrong password")
        verifier = _base64(hmac.digest(keys.server_key, signed, "sha256"))
        return Proven(self._account, self._authorization, f"v={verifier}".encode())


class ScramSha256Plus(ScramSha256):
    """Bound to the server's certificate: a man in the middle with another one gets nowhere."""

    name = "SCRAM-SHA-256-PLUS"
    binds = True


def _name(text: str) -> str:
    """RFC 5802 §5.1: a comma and an equals sign are written =2C and =3D."""
    return text.replace("=2C", ",").replace("=3D", "=")


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
