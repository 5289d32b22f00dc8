"""
Let clients log in with an OAuth bearer token (OAUTHBEARER, XOAUTH2): ask the issuer whether it is good (RFC 7662).

A token must be active, for us, and for the account that the client names. The question is a blocking one, so it is asked
in a thread and the hook is `async def`. An issuer that does not answer lets nobody in, and tells nobody "no" for good.
"""

import asyncio
import base64
import json
import os
import urllib.parse
import urllib.request

from pymta.policy import Credentials, Session, Verdict, accept, defer, refuse

ENDPOINT = os.environ.get("PYMTA_INTROSPECTION", "https://login.example.org/introspect")
CLIENT_ID = os.environ.get("PYMTA_CLIENT_ID", "mail.example.org")
CLIENT_SECRET = os.environ.get("PYMTA_CLIENT_SECRET", "")
TIMEOUT_S = 5
ANSWER_OCTETS_MAX = 65_536


def introspect(token: str) -> dict[str, object]:
    """What the issuer says about a token; OSError or ValueError where it says nothing of use."""
    secret = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - the operator's own URL
        ENDPOINT,
        data=urllib.parse.urlencode({"token": token, "token_type_hint": "access_token"}).encode(),
        headers={"Authorization": f"Basic {secret}", "Accept": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - likewise
        claims = json.loads(answer.read(ANSWER_OCTETS_MAX))
    return claims if isinstance(claims, dict) else {}


async def token(session: Session, credentials: Credentials) -> Verdict:
    try:
        claims = await asyncio.to_thread(introspect, credentials.password.reveal())
    except (OSError, ValueError) as error:
        return defer("454 4.7.0 temporary authentication failure", reason=f"issuer: {error}")
    if claims.get("active") is not True:
        return refuse("535 5.7.8 authentication credentials invalid", reason="token not active")
    audience = claims.get("aud", CLIENT_ID)
    if CLIENT_ID not in (audience if isinstance(audience, list) else [audience]):
        return refuse(
            "535 5.7.8 authentication credentials invalid", reason="token for somebody else's service"
        )
    if str(claims.get("username", "")).lower() != credentials.account.lower():
        return refuse("535 5.7.8 authentication credentials invalid", reason="token of another account")
    return accept(reason="token")
