"""
Real clients log in and submit, over both doors and by every mechanism; strangers and guessers do not.
"""

import base64
import json
import smtplib
import ssl
from collections.abc import Callable
from typing import Literal

import pytest
import scramp
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from pymta.auth.schemes import stored_forms
from tests.e2e.submission.conftest import CHEAP, PASSWORD, House
from tests.partners.ca import CertificateAuthority

ALICE = "alice@example.test"
FAR = "reader@far.example"
TOKENS = """
from pymta.policy import *

def token(session, credentials):
    if credentials.account == "alice@example.test" and credentials.password.matches("a-good-token"):
        return accept(reason="token")
"""
DOORS: tuple[Literal["starttls", "implicit"], ...] = ("starttls", "implicit")


@pytest.mark.parametrize("tls", DOORS)
def test_swaks(start_house: Callable[..., House], tls: Literal["starttls", "implicit"]) -> None:
    house = start_house()
    for mechanism in ("PLAIN", "LOGIN"):
        sent = house.clients.swaks(ALICE, PASSWORD, FAR, mechanism=mechanism, tls=tls)
        assert sent.ok, sent.said
    assert not house.clients.swaks(ALICE, "wrong horse", FAR, tls=tls).ok

    house.server.wait_events(2, "done", delivered=1)
    assert ["PLAIN", "LOGIN"] == [event["mechanism"] for event in house.logins("ok")]
    assert {ALICE} == {event["account"] for event in house.logins("ok")}


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256"])
def test_msmtp(start_house: Callable[..., House], mechanism: str) -> None:
    """
    msmtp's SCRAM is GNU SASL's, so it is none of ours; it checks our proof, too.
    """
    house = start_house()
    for tls in DOORS:
        sent = house.clients.msmtp(ALICE, PASSWORD, FAR, mechanism=mechanism, tls=tls)
        assert sent.ok, sent.said
        refused = house.clients.msmtp(ALICE, "wrong horse", FAR, mechanism=mechanism, tls=tls)
        assert not refused.ok
        assert "535" in refused.said

    house.server.wait_events(2, "done", delivered=1)
    assert [mechanism] * 2 == [event["mechanism"] for event in house.logins("ok")]
    failed = house.server.wait_events(2, "auth", outcome="failed")
    assert ["wrong password"] * 2 == [event["cause"] for event in failed]


@pytest.mark.parametrize("tls", DOORS)
def test_curl(start_house: Callable[..., House], tls: Literal["starttls", "implicit"]) -> None:
    house = start_house()
    sent = house.clients.curl(ALICE, PASSWORD, FAR, tls=tls)
    assert sent.ok, sent.said
    assert not house.clients.curl(ALICE, "wrong horse", FAR, tls=tls).ok

    house.server.wait_event("done", delivered=1)


def test_curl_with_a_bearer_token(start_house: Callable[..., House]) -> None:
    """
    The policy's hook knows which tokens are good; a refused one is refused in the mechanism's own way.
    """
    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        house = start_house(policy=TOKENS, auth={"mechanisms": [mechanism]})
        for token, ok in (("a-good-token", True), ("another", False)):
            options = ("--oauth2-bearer", token, "--user", f"{ALICE}:")
            sent = house.clients.curl(ALICE, "", FAR, tls="implicit", options=options)
            assert ok is sent.ok, sent.said
        assert mechanism == house.server.wait_event("auth", outcome="ok")["mechanism"]
        assert "refused" in house.server.wait_event("auth", outcome="failed")["cause"]


def test_curl_with_a_client_certificate(
    start_house: Callable[..., House], authority: CertificateAuthority
) -> None:
    house = start_house(submission={"client_ca_file": authority.ca_file})
    mine = authority.issue(ALICE)
    nobody = authority.issue("nobody@example.test")
    for issued, ok in ((mine, True), (nobody, False)):
        sent = house.clients.curl(
            ALICE,
            "",
            FAR,
            tls="implicit",
            options=(
                "--cert",
                str(issued.certificate_file),
                "--key",
                str(issued.key_file),
                "--login-options",
                "AUTH=EXTERNAL",
                "--user",
                f"{ALICE}:",
            ),
        )
        assert ok is sent.ok, sent.said

    house.server.wait_event("done", delivered=1)
    assert ["EXTERNAL"] == [event["mechanism"] for event in house.logins("ok")]


@pytest.mark.parametrize("listener", ["submission", "submissions"])
def test_scram_bound_to_the_certificate(start_house: Callable[..., House], listener: str) -> None:
    """
    SCRAM-SHA-256-PLUS by scramp, over the certificate that the client was shown; bound to another one it fails.
    """
    house = start_house()
    leaf = x509.load_pem_x509_certificate(house.issued.certificate_file.read_bytes())
    shown = leaf.fingerprint(hashes.SHA256())
    for binding, password, code in (
        (shown, PASSWORD, 235),
        (shown, "wrong horse", 535),
        (b"x" * 32, PASSWORD, 535),
    ):
        client = scramp.ScramClient(
            ["SCRAM-SHA-256-PLUS"], ALICE, password, channel_binding=("tls-server-end-point", binding)
        )
        with secured(house, listener) as smtp:
            assert "SCRAM-SHA-256-PLUS" in smtp.esmtp_features["auth"]
            first = base64.b64encode(client.get_client_first().encode()).decode()
            status, challenge = smtp.docmd("AUTH", f"SCRAM-SHA-256-PLUS {first}")
            assert 334 == status
            client.set_server_first(base64.b64decode(challenge).decode())
            status, challenge = smtp.docmd(base64.b64encode(client.get_client_final().encode()).decode())
            if status == 334:
                client.set_server_final(base64.b64decode(challenge).decode())
                status, _ = smtp.docmd("")
            assert code == status, challenge


def secured(house: House, listener: str) -> smtplib.SMTP:
    """A connection under TLS, greeted."""
    context = ssl.create_default_context(cafile=str(house.clients.ca_file))
    context.check_hostname = False
    port = house.server.ports[listener]
    if listener == "submissions":
        client: smtplib.SMTP = smtplib.SMTP_SSL(
            "127.0.0.1", port, context=context, local_hostname="c.example"
        )
    else:
        client = smtplib.SMTP("127.0.0.1", port, local_hostname="c.example")
        client.starttls(context=context)
    client.ehlo()
    return client


def test_smtplib(start_house: Callable[..., House]) -> None:
    """
    Python's own client; in the clear it is offered no login, and gets none.
    """
    house = start_house()
    with house.server.client(listener="submission") as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features
        assert 538 == client.docmd("AUTH", "PLAIN AGEAYg==")[0]
        client.starttls()
        client.login(ALICE, PASSWORD)
        client.sendmail(ALICE, [FAR], "Subject: x\r\n\r\nx\r\n")

    done = house.server.wait_event("done", delivered=1)
    shown = house.server.events("accept", spool_id=done["spool_id"])[0]
    assert ALICE == shown["reverse_path"]


def test_nobody_sends_without_a_login(start_house: Callable[..., House]) -> None:
    """
    Nor learns which addresses there are.
    """
    house = start_house()
    with secured(house, "submissions") as client:
        client.docmd(f"MAIL FROM:<{ALICE}>")
        for path in (FAR, ALICE, "nobody@example.test"):
            assert (530, b"5.7.0 authentication required") == client.docmd(f"RCPT TO:<{path}>")


def test_the_log_says_who_failed_and_never_with_what(start_house: Callable[..., House]) -> None:
    house = start_house()
    secret = "hunter2-hunter2"
    for account in (ALICE, "nobody@example.test"):
        assert not house.clients.curl(account, secret, FAR, tls="implicit").ok
    house.server.stop()

    failed = house.logins("failed")
    assert [(ALICE, "wrong password"), ("nobody@example.test", "no such account")] == [
        (event["account"], event["cause"]) for event in failed
    ]
    assert secret not in json.dumps(house.server.log())
    house.server.start()


def test_every_worker_knows_the_accounts(start_house: Callable[..., House]) -> None:
    """
    Also one that was added after they began.
    """
    house = start_house(server={"workers": 2})
    house.editor.set_password("bob@example.test", "", stored_forms("another horse", CHEAP, scram=True))
    for _ in range(6):
        with secured(house, "submissions") as client:
            client.login("bob@example.test", "another horse")
            client.sendmail("bob@example.test", [ALICE], "Subject: x\r\n\r\nx\r\n")

    house.server.wait_events(6, "done", delivered=1)
    assert 6 == len(list(house.server.data.glob("mail/example.test/alice/new/*")))
