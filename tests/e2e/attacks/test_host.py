"""
What other users of the host can reach: files, sockets, the HTTP port (attacks.md, rows 27, 28, 36 and 38).
"""

import http.client
import os
import stat
from pathlib import Path

import pytest

from tests.partners.pymta import Pymta

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT")
PATHS = ("/admin", "/queue", "/reload", "/status", "/../etc/passwd", "//evil.example/", "/metrics", "/ready")


def test_no_file_is_for_others_whatever_the_umask(folder: Path) -> None:
    """
    Row 38: mail in the clear is in the segments, also in one that was set aside or goes to disk while it comes.
    """
    before = os.umask(0)
    try:
        with Pymta(folder, spool={"spill_octets": 65536}) as server:
            with server.client() as client:
                client.sendmail("a@example.net", ["b@example.test"], "\r\n" + "0123456789abcdef\r\n" * 10_000)
            data = folder / "data"
            found = [(path, stat.S_IMODE(path.lstat().st_mode)) for path in (data, *data.rglob("*"))]
    finally:
        os.umask(before)

    assert [] == [(path, oct(mode)) for path, mode in found if mode & 0o077]
    assert any(path.suffix == ".seg" for path, _ in found)
    assert (data / "control.sock") in {path for path, _ in found}


@pytest.mark.parametrize("what", ["spool", "control.sock"])
def test_what_others_put_in_its_place_is_not_followed(folder: Path, tmp_path: Path, what: str) -> None:
    """
    Rows 27 and 28: a symbolic link to something precious in the data folder.
    """
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "kept").write_text("as it was", encoding="utf-8")
    with Pymta(folder) as server:
        server.stop()
        place = folder / "data" / what
        if place.is_dir():
            place.rename(tmp_path / "aside")
        place.symlink_to(precious)
        try:
            server.start()
        except AssertionError:
            assert "spool" == what, "a socket's place can be taken again"
        if what == "spool":
            place.unlink()
            server.start()

    assert ["kept"] == [path.name for path in precious.iterdir()]
    assert "as it was" == (precious / "kept").read_text(encoding="utf-8")


@pytest.mark.parametrize("method", METHODS)
def test_nothing_can_be_changed_by_http(attacked: Pymta, method: str) -> None:
    """
    Row 36: nobody is asked for a password there, so there is nothing to find but numbers.
    """
    for path in PATHS:
        client = http.client.HTTPConnection("127.0.0.1", attacked.http_port, timeout=10)
        client.request(method, path, body=b"{}" if method != "GET" else None)
        reply = client.getresponse()
        said = reply.read()
        client.close()
        if method == "GET" and path in ("/metrics", "/ready"):
            assert 200 == reply.status
        else:
            assert reply.status in (400, 404, 405), (method, path)
            assert len(said) < 100
