"""
TLS of a connection: the handshake within it, and what it vouches for afterwards.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from pymta.auth.sasl import Channel
from pymta.policy.annotations import TlsFacts

__all__ = ["channel_of", "shake_hands", "tls_facts"]


async def shake_hands(
    transport: asyncio.Transport,
    protocol: asyncio.Protocol,
    context: ssl.SSLContext,
    *,
    s_max: float,
    begins: Callable[[], None],
) -> asyncio.Transport | None:
    """
    After the answer to STARTTLS was put out: the connection under TLS, or None where there will be none.

    Args:
        transport: In the clear, not reading.
        protocol: Gets what comes under TLS.
        context: What is shown to the client.
        s_max: How long it may take, in seconds.
        begins: Called when it begins to read: what the protocol is handed from now on is already under TLS, and to be kept
            until the handshake is known to be over. A client sends on together with its Finished, and asyncio's own loop
            hands that over before it tells whoever waits for the handshake. At most what came in one turn of the loop.
    """
    try:
        async with asyncio.timeout(s_max):
            # The answer has to be gone first: uvloop does not take over a transport that still has octets to write.
            while transport.get_write_buffer_size():  # noqa: ASYNC110 - there is no event for "all is written"
                await asyncio.sleep(0.001)
            transport.resume_reading()
            begins()
            secured = await asyncio.get_running_loop().start_tls(
                transport, protocol, context, server_side=True, ssl_handshake_timeout=s_max
            )
    except (OSError, TimeoutError):
        return None
    return None if secured is None or secured.is_closing() else secured


def channel_of(transport: asyncio.BaseTransport) -> Channel:
    """What a connection vouches for, for a login."""
    tls: Any = transport.get_extra_info("ssl_object")
    if tls is None:
        return Channel()
    certificate = tls.getpeercert() or {}
    names = certificate.get("subjectAltName", ())
    return Channel(
        end_point=getattr(tls.context, "end_point", None),
        certificate_addresses=tuple(value for kind, value in names if kind == "email"),
    )


def tls_facts(transport: asyncio.BaseTransport) -> TlsFacts | None:
    """What protects a connection; None in the clear."""
    tls: Any = transport.get_extra_info("ssl_object")
    if tls is None:
        return None
    cipher = tls.cipher()
    certificate = tls.getpeercert()
    subject = None
    if certificate:
        subject = ",".join(f"{key}={value}" for rdn in certificate.get("subject", ()) for key, value in rdn)
    return TlsFacts(version=tls.version() or "", cipher=cipher[0] if cipher else "", client_subject=subject)
