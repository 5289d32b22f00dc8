"""The partner that is pymta itself: it starts, tells what it did, and comes back on the same port with the same queue."""

from pathlib import Path

from tests.partners.pymta import Pymta, next_hop
from tests.partners.smtp_tools import Sink


def send(server: Pymta, forward_path: str) -> None:
    with server.client() as client:
        client.sendmail("author@example.net", [forward_path], "Subject: hello\r\n\r\nhello\r\n")


def test_it_tells_what_it_did_and_survives_a_kill(tmp_path: Path, sink: Sink) -> None:
    routes = [next_hop(1, "nowhere.example"), next_hop(sink.port)]
    with Pymta(tmp_path / "pymta", routes=routes) as server:
        send(server, "reader@nowhere.example")
        spool_id = server.wait_event("attempt", outcome="deferred")["spool_id"]
        port = server.port
        server.kill()
        server.start()
        assert [spool_id] == [row.spool_id for row in server.queue()]
        assert port == server.port
        send(server, "reader@example.org")
        server.wait_event("done", delivered=1)
        assert 0 < server.memory_octets() <= server.memory_octets(peak=True)
    sink.wait_count(1)
