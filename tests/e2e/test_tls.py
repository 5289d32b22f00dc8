"""
TLS on both sides of a real server, with certificates of a test's own authority.

How a context is made is tests/tls; here is what a client and a next hop get to see, and that nothing goes out in the clear
where it must not.
"""

import smtplib
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.our_sink import OurSink
from tests.e2e.wire import Wire
from tests.partners.ca import CertificateAuthority, Issued
from tests.partners.postfix import Postfix
from tests.partners.pymta import Pymta, next_hop

HELLO = "Subject: hello\r\n\r\nhello\r\n"
SHORT = {"retry_s_min": 1, "retry_s_max": 1}


def listener(issued: Issued, tls: str) -> dict[str, Any]:
    return {"tls": tls, "certificate_file": issued.certificate_file, "key_file": issued.key_file}


def verified_by(authority: CertificateAuthority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.ca_file))


def test_starttls_in(
    start_pymta: Callable[..., Pymta], our_sink: OurSink, authority: CertificateAuthority
) -> None:
    """
    The certificate is ours, STARTTLS is not announced again, what was said before is forgotten, the trace says ESMTPS.
    """
    issued = authority.issue("127.0.0.1")
    server = start_pymta(routes=[next_hop(our_sink.port)], listener=listener(issued, "starttls"))

    with server.client() as client:
        client.ehlo()
        assert client.has_extn("starttls")
        assert 220 == client.starttls(context=verified_by(authority))[0]
        assert 503 == client.docmd("MAIL FROM:<author@example.net>")[0]
        client.ehlo()
        assert not client.has_extn("starttls")
        client.sendmail("author@example.net", ["reader@example.org"], HELLO)

    (kept,) = our_sink.wait(1)
    assert b" with ESMTPS " in kept.header_section.replace(b"\r\n\t", b" ")
    assert "author@example.net" == str(kept.envelope.reverse_path)
    assert server.wait_event("connect", accepted=1)["tls"].startswith("TLSv1.3 ")


def test_implicit_tls_in(
    start_pymta: Callable[..., Pymta], our_sink: OurSink, authority: CertificateAuthority
) -> None:
    """
    Beside a listener in the clear; who speaks no TLS there is not answered in the clear.
    """
    issued = authority.issue("127.0.0.1")
    secured = {
        "name": "secured",
        "trusted_networks": ["127.0.0.0/8"],
        **listener(issued, "implicit"),
    }
    server = start_pymta(routes=[next_hop(our_sink.port)], listeners=[secured])

    with smtplib.SMTP_SSL(
        "127.0.0.1", server.ports["secured"], timeout=10, context=verified_by(authority)
    ) as client:
        client.ehlo()
        assert not client.has_extn("starttls")
        client.sendmail("author@example.net", ["reader@example.org"], HELLO)
    with Wire(server.ports["secured"], greeted=False) as plain:
        plain.send(b"EHLO client.example.net\r\n")
        said = plain.rest()

    our_sink.wait(1)
    assert not any(octet in said for octet in (b"220", b"250", b"mail.example.test"))
    assert "secured" == server.wait_event("connect", accepted=1)["listener"]


def test_starttls_from_client_to_postfix(
    start_pymta: Callable[..., Pymta], start_postfix: Callable[..., Postfix], authority: CertificateAuthority
) -> None:
    """
    Encrypted on both ways: Postfix verifies nothing, we verify it, and its own trace says so.
    """
    ours, theirs = authority.issue("127.0.0.1"), authority.issue("127.0.0.1")
    postfix = start_postfix(
        Postfix.next_hop,
        "example.test",
        smtpd_tls_security_level="may",
        smtpd_tls_chain_files=f"{theirs.key_file}, {theirs.certificate_file}",
        smtpd_tls_received_header="yes",
    )
    server = start_pymta(
        routes=[next_hop(postfix.port, tls="verified")],
        listener=listener(ours, "starttls"),
        delivery={"ca_file": authority.ca_file},
    )

    with server.client() as client:
        client.starttls(context=verified_by(authority))
        client.sendmail("author@example.net", ["reader@example.test"], HELLO)

    (message,) = postfix.wait_messages(1)
    assert b"using TLSv1.3 with cipher" in message
    assert b"by postfix.test (Postfix) with ESMTPS" in message


@pytest.mark.parametrize("tls", ["opportunistic", "required", "verified"])
def test_starttls_out_with_a_good_certificate(
    start_pymta: Callable[..., Pymta],
    start_sink: Callable[..., OurSink],
    authority: CertificateAuthority,
    tls: str,
) -> None:
    sink = start_sink(certificate=authority.issue("127.0.0.1"))
    server = start_pymta(routes=[next_hop(sink.port, tls=tls)], delivery={"ca_file": authority.ca_file})

    with server.client() as client:
        client.sendmail("author@example.net", ["reader@example.org"], HELLO)

    sink.wait(1)
    assert {"TLSv1.3"} == sink.tls_versions
    server.wait_event("done", delivered=1)


@pytest.mark.parametrize("fault", ["another name", "expired", "another authority"])
def test_a_wrong_certificate_stops_only_what_is_to_be_verified(
    start_pymta: Callable[..., Pymta],
    start_sink: Callable[..., OurSink],
    authority: CertificateAuthority,
    tmp_path: Any,
    fault: str,
) -> None:
    """
    "verified" defers with 4.7.4 and sends nothing; "required" and "opportunistic" encrypt with whoever is there.
    """
    if fault == "another authority":
        (tmp_path / "other").mkdir()
        issued = CertificateAuthority(tmp_path / "other").issue("127.0.0.1")
    elif fault == "expired":
        issued = authority.issue("127.0.0.1", expired=True)
    else:
        issued = authority.issue("mx.example.com")
    sink = start_sink(certificate=issued)
    modes = ("verified", "required", "opportunistic")
    server = start_pymta(
        routes=[next_hop(sink.port, f"{tls}.example", tls=tls) for tls in modes],
        delivery={"ca_file": authority.ca_file},
    )

    with server.client() as client:
        client.sendmail("author@example.net", [f"reader@{tls}.example" for tls in modes], HELLO)

    deferred = server.wait_event("attempt", forward_path="reader@verified.example")
    assert ("deferred", "451 4.7.4") == (deferred["outcome"], deferred["reply"][:9])
    sink.wait(2)
    server.wait_events(2, "attempt", outcome="delivered")
    assert {"TLSv1.3"} == sink.tls_versions
    arrived = {path for kept in sink.messages for path in kept.forward_paths}
    assert {"reader@required.example", "reader@opportunistic.example"} == arrived
    assert ["reader@verified.example"] == [row.forward_path for row in server.queue()]


def test_without_starttls_only_what_may_be_clear_goes_out(
    start_pymta: Callable[..., Pymta], our_sink: OurSink
) -> None:
    """
    The next hop does not offer it: "required" and "verified" are deferred with 4.7.4, "opportunistic" is delivered.
    """
    modes = ("verified", "required", "opportunistic")
    server = start_pymta(routes=[next_hop(our_sink.port, f"{tls}.example", tls=tls) for tls in modes])

    with server.client() as client:
        client.sendmail("author@example.net", [f"reader@{tls}.example" for tls in modes], HELLO)

    for tls in ("verified", "required"):
        deferred = server.wait_event("attempt", forward_path=f"reader@{tls}.example")
        assert ("deferred", "451 4.7.4") == (deferred["outcome"], deferred["reply"][:9])
    (kept,) = our_sink.wait(1)
    assert ["reader@opportunistic.example"] == kept.forward_paths


def test_what_waited_for_tls_goes_out_when_the_next_hop_has_it(
    start_pymta: Callable[..., Pymta], start_sink: Callable[..., OurSink], authority: CertificateAuthority
) -> None:
    """
    The deferral is no verdict for ever: the same port with a certificate gets the message.
    """
    before = start_sink()
    server = start_pymta(
        routes=[next_hop(before.port, tls="verified")],
        queue=SHORT,
        # Attempts while no sink listens shall not leave it alone for a minute.
        delivery={"ca_file": authority.ca_file, "suspend_s_min": 1},
    )
    with server.client() as client:
        client.sendmail("author@example.net", ["reader@example.org"], HELLO)
    server.wait_event("attempt", outcome="deferred")
    before.stop()

    after = start_sink(port=before.port, certificate=authority.issue("127.0.0.1"))

    after.wait(1)
    assert [] == before.messages
    server.wait_queue_empty()


def test_each_name_has_its_certificate(
    start_pymta: Callable[..., Pymta], authority: CertificateAuthority
) -> None:
    """
    By SNI, at every listener; a name that nobody has gets the listener's own; a reload brings another one.
    """
    own, second, third = (
        authority.issue(name) for name in ("mx.example.test", "mail.example.org", "*.example.net")
    )
    files = {"certificate_file": second.certificate_file, "key_file": second.key_file}
    tables = [{"names": ["mail.example.org"], **files}]
    server = start_pymta(listener=listener(own, "starttls"), certificates=tables)

    def shown(name: str) -> str:
        context = verified_by(authority)
        context.check_hostname = False
        with server.client() as client:
            client.ehlo()
            client._host = name  # type: ignore[attr-defined] # what smtplib asks for as server name
            client.starttls(context=context)
            assert isinstance(client.sock, ssl.SSLSocket)
            certificate = client.sock.getpeercert()
            assert certificate is not None
            return str(certificate["subjectAltName"][0][1])

    assert ["mail.example.org", "mx.example.test", "mx.example.test"] == [
        shown(name) for name in ("Mail.Example.ORG", "mx.example.test", "a.example.net")
    ]
    files = {"certificate_file": third.certificate_file, "key_file": third.key_file}
    server.configure(certificates=[*tables, {"names": ["*.example.net"], **files}])
    server.reload()
    assert ["mail.example.org", "*.example.net"] == [shown(n) for n in ("mail.example.org", "a.example.net")]
