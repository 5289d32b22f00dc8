"""
The DNS servers do, without pymta, what tests rely on.
"""

from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode

from tests.partners.dns import Knot, SilentServer, Unbound, answers


def ask(running: Knot | Unbound, name: str, kind: str) -> dns.message.Message:
    question = dns.message.make_query(name, kind)
    question.flags |= dns.flags.AD
    return dns.query.udp(question, running.address, port=running.port, timeout=5)


def said(message: dns.message.Message) -> tuple[str, list[str]]:
    return dns.rcode.to_text(message.rcode()), [rrset.to_text() for rrset in message.answer]


def test_knot_answers_counts_fails_and_changes(tmp_path: Path) -> None:
    with Knot(tmp_path, {"example.test": "@ 60 MX 10 mx\n"}, broken=("broken.test",)) as knot:
        before = knot.query_count("MX")

        assert ("NOERROR", ["example.test. 60 IN MX 10 mx.example.test."]) == said(
            ask(knot, "example.test", "MX")
        )
        assert ("NXDOMAIN", []) == said(ask(knot, "missing.example.test", "MX"))
        assert ("SERVFAIL", []) == said(ask(knot, "broken.test", "MX"))
        assert ("REFUSED", []) == said(ask(knot, "other.test", "MX"))
        assert 4 == knot.query_count("MX") - before

        knot.replace_zone("example.test", "@ 60 MX 10 other\n")
        assert ["example.test. 60 IN MX 10 other.example.test."] == said(ask(knot, "example.test", "MX"))[1]
    assert not answers(knot.address, knot.port)


def test_unbound_validates_what_knot_signs_and_asks_nobody_else(tmp_path: Path) -> None:
    for name in ("knot", "unbound"):
        (tmp_path / name).mkdir()
    zones = {"signed.test": "@ MX 10 mx\n", "plain.test": "@ MX 10 mx\n"}
    with Knot(tmp_path / "knot", zones, signed=("signed.test",)) as knot:
        anchors = knot.signing_keys("signed.test")
        with Unbound(tmp_path / "unbound", knot, tuple(zones), trust_anchors=anchors) as unbound:
            signed, plain = ask(unbound, "signed.test", "MX"), ask(unbound, "plain.test", "MX")
            outside = ask(unbound, "example.org", "MX")

    assert (True, False) == (bool(signed.flags & dns.flags.AD), bool(plain.flags & dns.flags.AD))
    assert ("REFUSED", []) == said(outside)


def test_silence_is_silence() -> None:
    with SilentServer() as silent:
        assert not answers(silent.address, silent.port)
