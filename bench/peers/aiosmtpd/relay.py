"""
aiosmtpd as a relay: its controller, and a handler that hands each message on before its 250.

    relay.py PORT NEXT_HOP_PORT

It has no queue: what a next hop does not take now is answered with a 4yz reply, and nothing of it is on this disk. Connections to
the next hop are kept, one a thread, because smtplib waits.
"""

import asyncio
import smtplib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from aiosmtpd.smtp import SMTP, Envelope, Session  # type: ignore[import-not-found] # fetched

CONNECTIONS_MAX = 20


class Relay:
    """The handler."""

    def __init__(self, next_hop_port: int) -> None:
        self._next_hop_port = next_hop_port
        self._local = threading.local()
        self._threads = ThreadPoolExecutor(CONNECTIONS_MAX)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name for it
        """Hand on, then answer."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._hand_on, envelope)
        except (OSError, smtplib.SMTPException) as error:
            return f"451 4.4.1 {type(error).__name__}"
        return "250 2.0.0 handed on"

    def _hand_on(self, envelope: Envelope) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = smtplib.SMTP(
                "127.0.0.1", self._next_hop_port, local_hostname="aiosmtpd.test", timeout=60
            )
        try:
            connection.sendmail(envelope.mail_from, envelope.rcpt_tos, envelope.original_content)
        except (OSError, smtplib.SMTPException):
            self._local.connection = None
            raise


async def main(port: int, next_hop_port: int) -> None:
    """Serve until killed."""
    handler = Relay(next_hop_port)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, hostname="aiosmtpd.test"), "127.0.0.1", port, backlog=1000
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
