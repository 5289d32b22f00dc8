"""
Our own sink as the next hop of a test: `pymta.sink.Sink` in a thread, so that a test sees envelope and octets of each
message, and can change how it answers while mail is on its way.

Not smtp-sink (partners/smtp_tools.py), which keeps lines, and not a mock: it is what `pymta sink` runs.
"""

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from pymta._core import Envelope
from pymta.sink.behaviour import Behaviour, Behaviours
from pymta.sink.server import Sink, SinkOptions
from tests.partners.ca import Issued
from tests.partners.waiting import wait_until

STOP_S_MAX = 10


class Kept(NamedTuple):
    """One message as the sink got it."""

    envelope: Envelope
    content: bytes

    @property
    def forward_paths(self) -> list[str]:
        return [str(recipient.forward_path) for recipient in self.envelope.recipients]

    @property
    def header_section(self) -> bytes:
        """Without the empty line."""
        return self.content.partition(b"\r\n\r\n")[0] + b"\r\n"

    def without_trace(self) -> bytes:
        """The content below our Received field, which must be its first."""
        assert self.content.startswith(b"Received: from "), self.content[:200]
        rest = self.content.split(b"\r\n")
        lines = 1
        while rest[lines].startswith((b" ", b"\t")):
            lines += 1
        return b"\r\n".join(rest[lines:])


class _KeepingSink(Sink):
    """Keeps messages in memory, as the file format of the sink's folder has a header of its own."""

    def __init__(self, options: SinkOptions, tls: ssl.SSLContext | None) -> None:
        super().__init__(options, tls=tls)
        self.keeps = True
        self.kept: list[Kept] = []

    def took(self, envelope: Envelope, octets: int, content: bytearray | None) -> Path | None:
        assert content is not None
        super().took(envelope, octets, None)
        self.kept.append(Kept(envelope, bytes(content)))
        return None


class OurSink:
    """A running sink; a context manager that stops it."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        lmtp: bool = False,
        certificate: Issued | None = None,
        behaviours: Behaviours | None = None,
        message_octets_max: int = 128 << 20,
    ) -> None:
        """
        Start it on a port that the system picks, unless *port* is told.

        Args:
            certificate: With one it offers STARTTLS.
        """
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate_file, certificate.key_file)
        options = SinkOptions(
            host=host,
            port=port,
            lmtp=lmtp,
            message_octets_max=message_octets_max,
            behaviours=behaviours or Behaviours(),
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.host = host
        self._sink = _KeepingSink(options, context)
        self.port = self._on_loop(self._sink.start())

    @property
    def messages(self) -> list[Kept]:
        """What came, in order."""
        return list(self._sink.kept)

    @property
    def connection_count(self) -> int:
        """Connections so far."""
        return self._sink.counts.connections

    @property
    def tls_versions(self) -> set[str]:
        """Of the connections that are open now; "" for one in the clear."""
        objects = (
            connection._transport.get_extra_info("ssl_object") for connection in tuple(self._sink.connections)
        )
        return {"" if found is None else str(found.version()) for found in objects}

    def behave(self, **shares: Any) -> None:
        """From now on answer like that (`Behaviours`); without arguments take everything."""
        self._call(lambda: setattr(self._sink, "behaviour", Behaviour(Behaviours(**shares))))

    @property
    def deferred_count(self) -> int:
        """4yz replies so far, of its behaviour."""
        return self._sink.counts.deferred

    @property
    def slow_count(self) -> int:
        """Messages so far whose reply is late."""
        return self._sink.counts.slow

    def wait(self, count: int = 1, *, limit_s: float = 20) -> list[Kept]:
        """`messages`, when there are at least *count*."""
        return wait_until(
            lambda: found if len(found := self.messages) >= count else None,
            f"{count} messages at our sink",
            limit_s=limit_s,
        )

    def wait_for(self, count: int, forward_path: str, *, limit_s: float = 20) -> list[Kept]:
        """Those for *forward_path*, when there are at least *count*."""

        def found() -> list[Kept] | None:
            kept = [message for message in self.messages if forward_path in message.forward_paths]
            return kept if len(kept) >= count else None

        return wait_until(found, f"{count} messages for {forward_path} at our sink", limit_s=limit_s)

    def wait_no_connection(self, *, limit_s: float = 20) -> None:
        """Return when nobody is connected."""
        wait_until(lambda: not self._sink.connections, "nobody is connected to our sink", limit_s=limit_s)

    def stop(self) -> None:
        """Stop it; connections are closed."""
        if self._thread.is_alive():
            self._on_loop(self._stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_S_MAX)
            self._loop.close()

    async def _stop(self) -> None:
        await self._sink.stop()
        # Farewells are written and transports closed in the loop's next rounds.
        while self._sink.connections:
            for connection in tuple(self._sink.connections):
                connection._transport.abort()
            await asyncio.sleep(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _on_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(STOP_S_MAX)

    def _call(self, change: Callable[[], object]) -> None:
        async def changed() -> None:
            change()

        self._on_loop(changed())
