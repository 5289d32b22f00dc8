"""`sendmail -bs` against a server that is a few lines of a test: what is said to it at the end, and what its end means."""

import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymta.send.stdio import pass_through

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: what closes sends a reset."""


@pytest.fixture
def output(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "output", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def spoken(tmp_path: Path, output: int, said: bytes, *, farewell: bytes, resets: bool) -> tuple[bool, bytes]:
    """What `pass_through` answers where the client says that, and all that the server heard until it closed."""
    (tmp_path / "input").write_bytes(said)
    heard = b""

    def serve(listening: socket.socket) -> None:
        nonlocal heard
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(10)
            while not heard.upper().endswith(b"QUIT\r\n"):
                heard += connection.recv(1000)
            connection.sendall(farewell)
            connection.settimeout(0.2)
            try:
                heard += connection.recv(1000)
            except TimeoutError:
                pass
            if resets:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=serve, args=(listening,))
        server.start()
        with (
            socket.create_connection(listening.getsockname()) as connection,
            (tmp_path / "input").open("rb") as stream,
        ):
            try:
                done = pass_through(connection, input_fd=stream.fileno(), output_fd=output, wait_s_max=5)
            finally:
                server.join(10)
    return done, heard


@pytest.mark.parametrize("said", [b"NOOP\r\nQUIT\r\n", b"NOOP\r\nquit\r\n", b"QUIT\r\n"])
def test_who_has_said_quit_is_not_helped_to_say_it_again(tmp_path: Path, output: int, said: bytes) -> None:
    """A second one came to a closed connection now and then, whose reset looked like a failure."""
    assert (True, said) == spoken(tmp_path, output, said, farewell=b"221 bye\r\n", resets=False)


def test_who_ends_without_quit_is_helped(tmp_path: Path, output: int) -> None:
    assert (True, b"NOOP\r\nQUIT\r\n") == spoken(
        tmp_path, output, b"NOOP\r\n", farewell=b"221 bye\r\n", resets=False
    )


def test_a_reset_behind_the_goodbye_is_an_end_like_any_other(tmp_path: Path, output: int) -> None:
    done, _ = spoken(tmp_path, output, b"QUIT\r\n", farewell=b"250 ok\r\n221 bye\r\n", resets=True)

    assert done
    assert b"250 ok\r\n221 bye\r\n" == os.pread(output, 1000, 0)


def test_a_reset_without_goodbye_is_a_failure(tmp_path: Path, output: int) -> None:
    with pytest.raises(ConnectionResetError):
        spoken(tmp_path, output, b"QUIT\r\n", farewell=b"250 ok\r\n", resets=True)
