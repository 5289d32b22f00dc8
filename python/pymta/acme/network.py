"""
The HTTP under the `acme` library: whom it trusts, how long it waits, how much it reads, and what it was told to wait.

The library reads whole answers and waits for each octet anew; here an answer has a size and an attempt has an end.
"""

import ssl
import time
from pathlib import Path
from typing import Any, Final

import requests
from acme import client, messages
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from requests.adapters import HTTPAdapter

__all__ = ["AttemptTooLong", "Network"]

ANSWER_OCTETS_MAX: Final = 1024 * 1024
REQUEST_S_MAX: Final = 30.0
NONCES_MAX: Final = 10
_PIECE_OCTETS: Final = 16 * 1024


class AttemptTooLong(requests.RequestException):
    """The time of the attempt is over."""


class Network(client.ClientNetwork):
    """Signs, sends and reads, until *end_s* of the monotonic clock."""

    def __init__(self, key: JWKEC, *, ca_file: Path | None, user_agent: str, end_s: float) -> None:
        super().__init__(key, alg=ES256, user_agent=user_agent, timeout=int(REQUEST_S_MAX))
        self.verify_ssl = _authorities(ca_file)  # requests takes a path as well
        self.session.mount("https://", _Adapter(end_s))
        self.session.mount("http://", _Adapter(end_s))
        self.retry_after_s = 0.0
        """What the last answer that was a refusal asked us to wait."""

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """A signed request; one whose nonce was used up or forgotten is sent again with another (RFC 8555 §6.5)."""
        for _ in range(NONCES_MAX - 1):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return self._post_once(*args, **kwargs)

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        answer = super()._send_request(method, url, *args, **kwargs)
        if not answer.ok:
            self.retry_after_s = _seconds(answer.headers.get("Retry-After", ""))
        return answer


class _Adapter(HTTPAdapter):
    def __init__(self, end_s: float) -> None:
        self._end_s = end_s
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """One request and its whole answer, which is bounded."""
        self._left_s()
        answer = super().send(request, *args, **{**kwargs, "stream": True})
        read, octets = [], 0
        for piece in answer.iter_content(_PIECE_OCTETS):
            read.append(piece)
            octets += len(piece)
            if octets > ANSWER_OCTETS_MAX:
                raise requests.RequestException(f"an answer of more than {ANSWER_OCTETS_MAX} octets")
            self._left_s()
        # What requests would have done, had it read without a bound.
        answer._content = b"".join(read)
        return answer

    def _left_s(self) -> float:
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise AttemptTooLong("the authority takes too long")
        return left_s


def _authorities(ca_file: Path | None) -> Any:
    """A file or folder of authorities, as OpenSSL's own; requests would bring a list of its own."""
    if ca_file is not None:
        return str(ca_file)
    system = ssl.get_default_verify_paths()
    return system.cafile or system.capath or True


def _seconds(text: str) -> float:
    """A Retry-After that is a number; a date is as good as none, because the shortest wait is minutes."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0.0
