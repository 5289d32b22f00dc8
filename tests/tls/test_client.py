"""
What each TLS mode accepts from a next hop, and what a failure means.
"""

import ssl
from pathlib import Path

import pytest

from pymta.deliver.tls_policy import ClientContexts, after_failed_handshake, after_missing_starttls
from pymta.mail.route import TlsMode
from tests.partners.ca import CertificateAuthority
from tests.tls.conftest import shake_hands

UNVERIFIED = [TlsMode.OPPORTUNISTIC, TlsMode.REQUIRED]


def server_with(authority: CertificateAuthority, name: str, *, expired: bool = False) -> ssl.SSLContext:
    issued = authority.issue(name, expired=expired)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate_file, issued.key_file)
    return context


@pytest.fixture
def contexts(authority: CertificateAuthority) -> ClientContexts:
    return ClientContexts(authority.ca_file)


def test_verified_takes_the_right_certificate(
    authority: CertificateAuthority, contexts: ClientContexts
) -> None:
    server = server_with(authority, "mx.example.test")

    assert {"mx.example.test"} == shake_hands(
        server, contexts.for_mode(TlsMode.VERIFIED), "mx.example.test"
    ).names


def test_verified_takes_a_literal_with_its_address(
    authority: CertificateAuthority, contexts: ClientContexts
) -> None:
    assert shake_hands(
        server_with(authority, "192.0.2.1"), contexts.for_mode(TlsMode.VERIFIED), "192.0.2.1"
    ).names


@pytest.mark.parametrize(
    ("name", "expired", "why"),
    [("other.example.test", False, "Hostname mismatch"), ("mx.example.test", True, "expired")],
)
def test_verified_refuses_the_wrong_certificate(
    authority: CertificateAuthority, contexts: ClientContexts, name: str, expired: bool, why: str
) -> None:
    server = server_with(authority, name, expired=expired)

    with pytest.raises(ssl.SSLCertVerificationError, match=why):
        shake_hands(server, contexts.for_mode(TlsMode.VERIFIED), "mx.example.test")


def test_verified_refuses_an_authority_that_it_does_not_know(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = CertificateAuthority(tmp_path / "other")

    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        shake_hands(
            server_with(authority, "mx.example.test"),
            ClientContexts(other.ca_file).for_mode(TlsMode.VERIFIED),
            "mx.example.test",
        )


def test_the_systems_authorities_do_not_know_a_tests(authority: CertificateAuthority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(
            server_with(authority, "mx.example.test"),
            ClientContexts().for_mode(TlsMode.VERIFIED),
            "mx.example.test",
        )


@pytest.mark.parametrize("mode", UNVERIFIED)
def test_the_others_take_any_certificate(
    authority: CertificateAuthority, contexts: ClientContexts, mode: TlsMode
) -> None:
    server = server_with(authority, "other.example.test", expired=True)

    assert "TLSv1.3" == shake_hands(server, contexts.for_mode(mode), "mx.example.test").version


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # the version is deprecated, which is the point
def test_only_opportunistic_takes_an_old_version(
    authority: CertificateAuthority, contexts: ClientContexts
) -> None:
    """What an old receiver has is better than the clear, but not what "required" means (RFC 8996)."""
    server = server_with(authority, "mx.example.test")
    server.maximum_version = ssl.TLSVersion.TLSv1_1
    server.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    server.set_ciphers("ALL:@SECLEVEL=0")

    assert (
        "TLSv1.1" == shake_hands(server, contexts.for_mode(TlsMode.OPPORTUNISTIC), "mx.example.test").version
    )
    with pytest.raises(ssl.SSLError, match=r"(?i)version|protocol"):
        shake_hands(server, contexts.for_mode(TlsMode.REQUIRED), "mx.example.test")


@pytest.mark.parametrize("mode", [TlsMode.OPPORTUNISTIC, TlsMode.REQUIRED, TlsMode.VERIFIED])
def test_a_context_is_made_once(contexts: ClientContexts, mode: TlsMode) -> None:
    assert contexts.for_mode(mode) is contexts.for_mode(mode)


def test_an_unusable_ca_file_is_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_bytes(b"")

    with pytest.raises(OSError, match=r"(?i)no certificate"):
        ClientContexts(tmp_path / "empty.pem")
    with pytest.raises(OSError, match="No such file"):
        ClientContexts(tmp_path / "missing.pem")


def test_only_opportunistic_goes_on_in_the_clear() -> None:
    assert None is after_failed_handshake(TlsMode.OPPORTUNISTIC, "wrong version number")
    for mode in (TlsMode.REQUIRED, TlsMode.VERIFIED):
        reply = after_failed_handshake(mode, "certificate has expired")
        assert reply is not None
        assert (451, "4.7.4") == (reply.code, reply.enhanced)
        assert "certificate has expired" in reply.text


def test_only_what_asks_for_tls_waits_for_starttls() -> None:
    replies = {mode: after_missing_starttls(mode) for mode in TlsMode}

    assert {TlsMode.NONE, TlsMode.OPPORTUNISTIC} == {mode for mode, reply in replies.items() if reply is None}
    assert {"4.7.4"} == {reply.enhanced for reply in replies.values() if reply is not None}
