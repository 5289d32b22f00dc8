"""
An authority that answers what a test tells it to: badly, mostly. The good answers are pebble's (tests/e2e/tls).
"""

import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.partners.ca import CertificateAuthority


class Answer(NamedTuple):
    """What is answered to one request."""

    status: int = 200
    body: bytes | dict[str, Any] = b""
    fields: tuple[tuple[str, str], ...] = ()


class Authority:
    """An HTTPS server on a port of the system's choice; a context manager that stops it."""

    def __init__(self, folder: Path, answers: dict[str, Answer | Callable[[bytes], Answer]]) -> None:
        """
        Args:
            folder: For the certificate of the server itself.
            answers: By path; `dir` and `nonce` are answered well where they are not among them, all else with 404.
        """
        folder.mkdir(parents=True, exist_ok=True)
        vouching = CertificateAuthority(folder)
        issued = vouching.issue("127.0.0.1")
        self.ca_file = vouching.ca_file
        self.asked: list[str] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner._answer(self, answers)

            do_HEAD = do_POST = do_GET  # noqa: N815 - the base class calls them so

            def log_message(self, *arguments: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate_file, issued.key_file)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def _answer(
        self, handler: BaseHTTPRequestHandler, answers: dict[str, Answer | Callable[[bytes], Answer]]
    ) -> None:
        name = handler.path.strip("/")
        self.asked.append(name)
        sent = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        known: dict[str, Answer | Callable[[bytes], Answer]] = {
            "dir": Answer(
                body={
                    "newNonce": f"{self.url}/nonce",
                    "newAccount": f"{self.url}/account",
                    "newOrder": f"{self.url}/order",
                }
            ),
            "nonce": Answer(),
            **answers,
        }
        found = known.get(name, Answer(404))
        answer = found if isinstance(found, Answer) else found(sent)
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        body = body.replace(b"URL/", f"{self.url}/".encode())
        handler.send_response(answer.status)
        handler.send_header("Replay-Nonce", "bm9uY2U")
        handler.send_header("Content-Length", str(len(body)))
        for key, value in answer.fields:
            handler.send_header(key, value.replace("URL/", f"{self.url}/"))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()
