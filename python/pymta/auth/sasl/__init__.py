"""
SASL mechanisms, the server's side, as values (RFC 4422): a response in, the next step out.

SMTP, IMAP, POP3 and ManageSieve frame them differently (base64, SASL-IR, `*` to cancel) and share everything else. A
mechanism looks nothing up: where it needs to know whether a password is right, or somebody's keys, its step is a
question, and whoever drives it (`auth/login.py`) gives the answer.

    begin(name, channel) → Mechanism
    mechanism.start(initial_response or None) → Step
    mechanism.respond(response) → Step            after each Challenge
    mechanism.keys(…) → Step                      after KeysWanted
    mechanism.refused() → Step                    after TokenOffered where the token is no good

Rule: a step never says *why* to the client; `cause` is for the log.
"""

from collections.abc import Callable
from typing import Final

from pymta.auth.sasl.bearer import OAuthBearer, XOAuth2
from pymta.auth.sasl.external import External
from pymta.auth.sasl.plain import Login, Plain
from pymta.auth.sasl.scram import ScramSha256, ScramSha256Plus
from pymta.auth.sasl.steps import (
    CertificateOffered,
    Challenge,
    Channel,
    Failed,
    KeysWanted,
    Malformed,
    Mechanism,
    PasswordOffered,
    Proven,
    Step,
    TokenOffered,
)

__all__ = [
    "NAMES",
    "CertificateOffered",
    "Challenge",
    "Channel",
    "Failed",
    "KeysWanted",
    "Malformed",
    "Mechanism",
    "PasswordOffered",
    "Proven",
    "Step",
    "TokenOffered",
    "begin",
]

_MADE: Final[dict[str, Callable[[Channel], Mechanism]]] = {
    "SCRAM-SHA-256-PLUS": ScramSha256Plus,
    "SCRAM-SHA-256": ScramSha256,
    "PLAIN": Plain,
    "LOGIN": Login,
    "OAUTHBEARER": OAuthBearer,
    "XOAUTH2": XOAuth2,
    "EXTERNAL": External,
}

NAMES: Final = tuple(_MADE)
"""All mechanisms, the best first."""


def begin(name: str, channel: Channel) -> Mechanism | None:
    """An exchange with that mechanism over that channel; None where we do not have it."""
    made = _MADE.get(name)
    return None if made is None else made(channel)
