"""
Certificates from a real authority (Debian's pebble), as clients get to see them: the first, the next, and none.
"""

import datetime
import json
import smtplib
import ssl
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.e2e.our_sink import OurSink
from tests.partners.pebble import Pebble
from tests.partners.ports import free_port
from tests.partners.pymta import PYTHON, Pymta, next_hop
from tests.partners.waiting import wait_until

NAME, SECOND = "mail.example.test", "mx.example.test"
STARTTLS = {"tls": "starttls"}
HELLO = "Subject: hello\r\n\r\nhello\r\n"


@pytest.fixture
def start_pebble(tmp_path: Path) -> Iterator[Callable[..., Pebble]]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Pebble(tmp_path / "pebble", **options))


def acme(pebble: Pebble, **more: Any) -> dict[str, Any]:
    return {
        "names": [NAME],
        "directory_url": pebble.directory_url,
        "agree_to_terms": True,
        "ca_file": pebble.ca_file,
        "addresses": [f"127.0.0.1:{pebble.http_port}"],
        "retry_s_min": 1,
        "retry_s_max": 2,
        **more,
    }


def trusting(pebble: Pebble) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=pebble.root())


def shown(server: Pymta, context: ssl.SSLContext, name: str = NAME) -> ssl.SSLSocket:
    """A connection after STARTTLS that asked for *name*; `ssl.SSLError` where the client is not satisfied."""
    with server.client() as client:
        client.ehlo()
        client._host = name  # type: ignore[attr-defined] # what smtplib asks for as server name
        client.starttls(context=context)
        client.noop()
        assert isinstance(client.sock, ssl.SSLSocket)
        return client.sock


def names_shown(server: Pymta, pebble: Pebble, name: str = NAME) -> list[str]:
    with server.client() as client:
        client.ehlo()
        client._host = name  # type: ignore[attr-defined] # what smtplib asks for as server name
        client.starttls(context=trusting(pebble))
        assert isinstance(client.sock, ssl.SSLSocket)
        certificate = client.sock.getpeercert()
        assert certificate is not None
        return [str(value) for _, value in certificate["subjectAltName"]]


def each_is_shown(server: Pymta, pebble: Pebble, names: list[str]) -> bool:
    """Whether clients that ask for these names are satisfied; a worker may not have looked yet."""
    try:
        return all([name] == names_shown(server, pebble, name) for name in names)
    except ssl.SSLCertVerificationError:
        return False


def pymta(server: Pymta, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pymta", *arguments, "--config", str(server.config_file)],
        capture_output=True,
        text=True,
        timeout=50,
        env={"PYTHONPATH": str(PYTHON), "PATH": "/usr/bin:/bin"},
    )


# ---- a certificate ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_certificate_by_http(
    start_pymta: Callable[..., Pymta], start_pebble: Callable[..., Pebble], workers: int
) -> None:
    """
    A server without any certificate has one a moment after its start, and clients that verify are satisfied, whichever
    worker they meet. One process asks, each step is a line of the log.
    """
    pebble = start_pebble(PEBBLE_WFE_NONCEREJECT="30")
    server = start_pymta(listener=STARTTLS, acme=acme(pebble), server={"workers": workers})

    issued = server.wait_event("admin", action="certificate issued")

    assert issued["detail"].startswith(f"{NAME}, until 20")
    actions = [event["action"] for event in server.events("admin")]
    steps = ["acme account", "acme order", "acme challenge", "certificate issued"]
    assert steps == [action for action in actions if action.startswith(("acme", "certificate"))]

    # Sixteen in a row meet both workers but once in 30,000 times.
    wait_until(lambda: each_is_shown(server, pebble, [NAME] * 16), "every worker shows it", limit_s=10)


def test_what_is_kept_is_the_owners_alone(
    start_pymta: Callable[..., Pymta], start_pebble: Callable[..., Pebble]
) -> None:
    pebble = start_pebble()
    server = start_pymta(listener=STARTTLS, acme=acme(pebble))
    server.wait_event("admin", action="certificate issued")

    files = [file for file in (server.data / "acme").rglob("*") if file.is_file()]

    names = {"account.key", f"{NAME}.pem", "self-made.pem", "self-made.key", "attempts.json"}
    assert names == {file.name for file in files}  # no challenge is left
    private = [file for file in files if file.name != "self-made.pem"]
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in private}
    assert 0o700 == stat.S_IMODE((server.data / "acme").stat().st_mode)


@pytest.mark.parametrize("workers", [1, 2])
def test_each_name_has_its_certificate_and_a_reload_brings_another(
    start_pymta: Callable[..., Pymta], start_pebble: Callable[..., Pebble], workers: int
) -> None:
    pebble = start_pebble()
    server = start_pymta(listener=STARTTLS, acme=acme(pebble), server={"workers": workers})
    server.wait_event("admin", action="certificate issued")

    server.configure(acme={"names": [NAME, SECOND]})
    server.reload()
    server.wait_events(2, "admin", action="certificate issued")

    names = [NAME, SECOND] * 8
    wait_until(lambda: each_is_shown(server, pebble, names), "every worker shows both", limit_s=10)
    assert 1 == len(server.events("admin", action="acme account"))


def test_a_restart_asks_for_nothing(
    start_pymta: Callable[..., Pymta], start_pebble: Callable[..., Pebble]
) -> None:
    """What is there and good is shown from the first connection on."""
    pebble = start_pebble()
    server = start_pymta(listener=STARTTLS, acme=acme(pebble))
    server.wait_event("admin", action="certificate issued")
    root = trusting(pebble)
    pebble.stop()

    server.restart()

    shown(server, root)
    server.stop()
    assert 1 == len(server.events("admin", action="acme order"))


def test_an_authority_with_customers_of_its_own(
    start_pymta: Callable[..., Pymta], start_pebble: Callable[..., Pebble], tmp_path: Path
) -> None:
    """
    External account binding: refused without it, and the log says which options are meant.
    """
    secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    (tmp_path / "secret").write_text(secret + "\n")
    pebble = start_pebble(customers={"kid-1": secret})
    server = start_pymta(listener=STARTTLS, acme=acme(pebble), trouble_expected=True)
    assert "acme.account_id" in server.wait_event("trouble", what="certificate not issued")["error"]

    server.configure(acme={"account_id": "kid-1", "account_secret_file": tmp_path / "secret"})
    server.reload()

    server.wait_event("admin", action="certificate issued")


# ---- by TLS ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_certificate_by_tls_at_a_listener(
    start_pymta: Callable[..., Pymta],
    start_pebble: Callable[..., Pebble],
    our_sink: OurSink,
    workers: int,
) -> None:
    """
    The authority comes to the port of implicit TLS, and whichever worker it meets has the proof; mail goes in there too.
    """
    port = free_port()
    pebble = start_pebble(tls_port=port)
    server = start_pymta(
        start=False,
        routes=[next_hop(our_sink.port)],
        listeners=[{"name": "secured", "tls": "implicit", "trusted_networks": ["127.0.0.0/8"]}],
        acme=acme(pebble, challenge="tls-alpn-01", addresses=[], names=[NAME, SECOND]),
        server={"workers": workers},
    )
    server.ports["secured"] = port
    server.write_config()
    server.start()

    server.wait_events(2, "admin", action="certificate issued")

    def sent() -> bool:
        try:
            with smtplib.SMTP_SSL("127.0.0.1", port, timeout=10, context=relaxed(pebble)) as client:
                client.sendmail("author@example.net", ["reader@example.org"], HELLO)
        except ssl.SSLCertVerificationError:
            return False  # a worker has not looked yet
        return True

    wait_until(sent, "a client that trusts the authority is satisfied", limit_s=10)
    our_sink.wait(1)


def relaxed(pebble: Pebble) -> ssl.SSLContext:
    """Verifies who vouches for it, not its name, which is an address here."""
    context = trusting(pebble)
    context.check_hostname = False
    return context


def test_a_certificate_by_tls_at_an_address_of_its_own(
    start_pymta: Callable[..., Pymta], start_pebble: Callable[..., Pebble]
) -> None:
    pebble = start_pebble()
    addresses = [f"127.0.0.1:{pebble.tls_port}"]
    server = start_pymta(listener=STARTTLS, acme=acme(pebble, challenge="tls-alpn-01", addresses=addresses))

    server.wait_event("admin", action="certificate issued")

    assert [NAME] == names_shown(server, pebble)


# ---- the next one ----------------------------------------------------------------------------------------------------


def put_certificate(server: Pymta, *, days: int, days_ago: int) -> bytes:
    """A certificate of somebody else's, as an earlier run would have kept it."""
    now = datetime.datetime.now(datetime.UTC)
    leaf = trustme.CA().issue_cert(
        NAME,
        not_before=now - datetime.timedelta(days=days_ago),
        not_after=now + datetime.timedelta(days=days - days_ago),
    )
    folder = server.data / "acme"
    folder.mkdir(mode=0o700, parents=True)
    octets = leaf.private_key_pem.bytes() + leaf.cert_chain_pems[0].bytes()
    (folder / f"{NAME}.pem").write_bytes(octets)
    return octets


@pytest.mark.parametrize(("days_ago", "is_renewed"), [(55, False), (61, True), (95, True)])
def test_a_certificate_is_renewed_when_a_third_of_its_life_is_left(
    start_pymta: Callable[..., Pymta],
    start_pebble: Callable[..., Pebble],
    days_ago: int,
    is_renewed: bool,
) -> None:
    """Also one that has ended meanwhile, because the server was off."""
    pebble = start_pebble()
    server = start_pymta(listener=STARTTLS, acme=acme(pebble), start=False)
    before = put_certificate(server, days=90, days_ago=days_ago)

    server.start()

    if is_renewed:
        server.wait_event("admin", action="certificate issued")
        assert [NAME] == names_shown(server, pebble)
    else:
        server.stop()
        assert [] == server.events("admin", action="acme order")
        assert before == (server.data / "acme" / f"{NAME}.pem").read_bytes()


def test_a_damaged_file_does_not_stop_a_start(
    start_pymta: Callable[..., Pymta], start_pebble: Callable[..., Pebble]
) -> None:
    """Neither a certificate nor the one of our own making: another one is made, or asked for."""
    pebble = start_pebble()
    server = start_pymta(listener=STARTTLS, acme=acme(pebble), start=False)
    octets = put_certificate(server, days=90, days_ago=1)
    (server.data / "acme" / f"{NAME}.pem").write_bytes(octets[: len(octets) // 2])
    for name in ("self-made.pem", "self-made.key"):
        (server.data / "acme" / name).write_bytes(b"damaged")

    server.start()

    server.wait_event("admin", action="certificate issued")
    assert [NAME] == names_shown(server, pebble)


def test_an_operator_can_renew_and_see_what_there_is(
    start_pymta: Callable[..., Pymta], start_pebble: Callable[..., Pebble]
) -> None:
    """
    `pymta acme renew`, `pymta tls`, /metrics.
    """
    pebble = start_pebble()
    server = start_pymta(listener=STARTTLS, acme=acme(pebble), http=True)
    server.wait_event("admin", action="certificate issued")
    first = (server.data / "acme" / f"{NAME}.pem").read_bytes()

    renewed = pymta(server, "acme", "renew")
    strange = pymta(server, "acme", "renew", "other.example")
    listed = pymta(server, "tls")
    for_programs = pymta(server, "tls", "--json")

    assert (0, f"{NAME}: issued\n") == (renewed.returncode, renewed.stdout), renewed.stderr
    assert first != (server.data / "acme" / f"{NAME}.pem").read_bytes()
    assert 1 == strange.returncode
    assert "other.example is none of acme.names" in strange.stderr
    assert 0 == listed.returncode, listed.stderr
    assert NAME in listed.stdout
    assert "who asks for its name; everybody else at relay" in listed.stdout
    (row,) = json.loads(for_programs.stdout)
    assert [NAME] == row["names"]
    assert row["days_left"] > 80
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    assert f'name="{NAME}"}}' in metrics
    assert 'pymta_acme_orders_total{outcome="issued"} 2.0' in metrics


# ---- none ------------------------------------------------------------------------------------------------------------


def test_mail_goes_on_while_the_authority_is_away(
    start_pymta: Callable[..., Pymta], start_pebble: Callable[..., Pebble], our_sink: OurSink
) -> None:
    """
    Encrypted with a certificate of our own making; when the authority is back there is a real one.
    """
    pebble = start_pebble()
    pebble.stop()
    server = start_pymta(
        listener=STARTTLS, acme=acme(pebble), routes=[next_hop(our_sink.port)], trouble_expected=True
    )
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE

    failed = server.wait_event("trouble", what="certificate not issued")
    with server.client() as client:
        client.starttls(context=anybody)
        client.sendmail("author@example.net", ["reader@example.org"], HELLO)
    our_sink.wait(1)
    assert (NAME, 1) == (failed["where"], failed["count"])
    assert "refused" in failed["error"].lower()

    pebble.start()
    server.wait_event("admin", action="certificate issued")
    assert [NAME] == names_shown(server, pebble)


def test_an_authority_that_comes_in_vain_is_not_asked_all_the_time(
    start_pymta: Callable[..., Pymta], start_pebble: Callable[..., Pebble]
) -> None:
    """
    It finds nobody at the port it comes to: the log says what it said, and a restart does not make it asked again at once.
    """
    pebble = start_pebble()
    elsewhere = [f"127.0.0.1:{free_port()}"]
    settings = acme(pebble, addresses=elsewhere, retry_s_min=3600, retry_s_max=7200)
    server = start_pymta(listener=STARTTLS, acme=settings, trouble_expected=True)
    failed = server.wait_event("trouble", what="certificate not issued")
    assert f"http-01 of {NAME} failed: connection: " in failed["error"]
    assert failed["error"].endswith("asked again in 3600 s")

    server.restart()
    again = pymta(server, "acme", "renew", NAME)
    listed = pymta(server, "tls")
    server.stop()

    assert 1 == again.returncode
    assert "http-01 of" in again.stdout
    assert "(2 failures)" in listed.stdout
    assert [1, 2] == [event["count"] for event in server.events("trouble")]


def test_a_directory_that_nobody_vouches_for_is_not_talked_to(
    start_pymta: Callable[..., Pymta], start_pebble: Callable[..., Pebble]
) -> None:
    pebble = start_pebble()
    settings = acme(pebble)
    del settings["ca_file"]
    server = start_pymta(listener=STARTTLS, acme=settings, trouble_expected=True)

    assert "certificate verify failed" in server.wait_event("trouble")["error"]
