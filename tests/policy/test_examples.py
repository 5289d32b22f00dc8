"""Each policy in examples/policies does what it says, asked without a server."""

import base64
import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs

import pytest

from pymta.mail.route import TlsMode
from pymta.mail.verdict import RouteChoice
from pymta.policy import Recipient, TlsFacts
from pymta.testing import PolicyTest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "policies"
HOUR_S = 3600

MIXED = (
    "From: author@example.net\r\n"
    "MIME-Version: 1.0\r\n"
    'Content-Type: multipart/mixed; boundary="b"\r\n'
    "\r\n"
    "--b\r\n"
    "Content-Type: text/plain\r\n"
    "\r\n"
    "See attachment.\r\n"
    "--b\r\n"
    "Content-Type: application/octet-stream\r\n"
    "Content-Disposition: attachment; {filename}\r\n"
    "\r\n"
    "MZ\r\n"
    "--b--\r\n"
)


@pytest.fixture
def example(request: pytest.FixtureRequest) -> Iterator[PolicyTest]:
    """The script that the test names, with example.test as our relay domain."""
    with PolicyTest(EXAMPLES / f"{request.param}.py", relay_domains=["example.test"]) as loaded:
        yield loaded


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", [name], indirect=True, ids=[name])


def test_every_example_is_tested_and_says_what_it_is_for() -> None:
    """
    Each file has a docstring and loads without a warning, and this file has a test for it.
    """
    for path in EXAMPLES.glob("*.py"):
        with PolicyTest(path) as loaded:
            assert [] == loaded.troubles
        assert f"def test_{path.stem}(" in Path(__file__).read_text(), path.name
        assert path.read_text().startswith('"""'), path.name


@of("allow_list_relay")
def test_allow_list_relay(example: PolicyTest) -> None:
    for peer, trusted in [
        ("192.0.2.3", True),
        ("198.51.100.25", True),
        ("2001:db8:25::9", True),
        ("192.0.2.16", False),
    ]:
        client = example.client(peer_address=peer)
        client.connect()

        assert trusted == client.rcpt("someone@elsewhere.example").accepted
        assert client.rcpt("user@example.test").accepted


@of("customer_quota")
def test_customer_quota(example: PolicyTest) -> None:
    """
    The last recipient of the day is taken, the next is put off until the day is over; others are not touched.
    """
    alice, bob = example.client(account="alice"), example.client(account="bob")
    for _ in range(1000):
        assert alice.rcpt("someone@elsewhere.example").accepted
    over = alice.rcpt("someone@elsewhere.example")

    assert (452, "alice is at 1000 a day") == (over.code, over.reason)
    assert bob.rcpt("someone@elsewhere.example").accepted
    example.clock.advance(24 * HOUR_S)
    assert alice.rcpt("someone@elsewhere.example").accepted


@of("rewrite_recipients")
def test_rewrite_recipients(example: PolicyTest) -> None:
    answer = example.message(
        recipients=[
            Recipient("Support@old.example.test"),
            Recipient("support@old.example.test", notify="NEVER"),
            Recipient("kim@example.test"),
            Recipient("eve@elsewhere.example", notify="SUCCESS"),
            Recipient("postmaster"),
        ]
    )
    by_address = {str(r.forward_path): r for r in answer.message.recipients}

    assert [
        "Support@example.test",
        "kim@example.test",
        "lee@example.test",
        "eve@elsewhere.example",
        "postmaster",
    ] == list(by_address)
    assert "rfc822;support@old.example.test" == by_address["lee@example.test"].original
    assert "NEVER" == by_address["lee@example.test"].notify
    assert "SUCCESS" == by_address["eve@elsewhere.example"].notify
    assert () == example.client().message(recipients=["eve@elsewhere.example"]).decisions


@of("stamp_header_fields")
def test_stamp_header_fields(example: PolicyTest) -> None:
    """
    A forged mark goes; the results of others stay.
    """
    forged = (
        "Authentication-Results: mail.example.test; dkim=pass\n"
        "Authentication-Results: other.example; spf=pass\n"
        "X-Example-Account: admin\n"
        "Subject: hello\n\nbody\n"
    )
    outside = example.client(tls=TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384")).message(forged)
    inside = example.client(account="alice").message(forged)

    assert ["other.example; spf=pass"] == outside.fields("Authentication-Results")
    assert [] == outside.fields("X-Example-Account")
    assert ["TLSv1.3 TLS_AES_256_GCM_SHA384"] == outside.fields("X-Example-Protection")
    assert ["alice"] == inside.fields("X-Example-Account")
    assert ["none"] == inside.fields("X-Example-Protection")
    assert "hello" == inside.field("subject")


@of("tenant_egress")
def test_tenant_egress(example: PolicyTest) -> None:
    bank = example.client(account="clerk@Bank.example.test").message()
    shop = example.client().message(reverse_path="news@shop.example.test")
    neither = example.client().message(reverse_path=None)

    assert RouteChoice(source="192.0.2.17", tls=TlsMode.VERIFIED) == example.route("example.net", bank)
    assert RouteChoice(source="192.0.2.18") == example.route("example.net", shop)
    assert example.route("example.net", neither) is None
    assert {"tenant": "bank.example.test"} == bank.tags


@of("hold_large_mail")
def test_hold_large_mail(example: PolicyTest) -> None:
    large = b"Subject: film\r\n\r\n" + b"0123456789\r\n" * (2 * 1024 * 1024)
    outside = example.client().message(large)

    assert ("hold", "24 MiB from outside") == (outside.action, outside.reason)
    assert "accept" == example.client(account="alice").message(large).action
    assert "accept" == example.client().message(b"Subject: note\r\n\r\nshort\r\n").action
    assert 552 == example.mail(size_octets=200 * 1024 * 1024).code
    assert example.mail(size_octets=30 * 1024 * 1024).accepted


@of("greylist")
def test_greylist(example: PolicyTest) -> None:
    """
    Too soon is still too soon; after five minutes the network is known, whoever it writes to.
    """
    stranger = example.client(peer_address="203.0.113.7")
    assert "first seen" == stranger.rcpt("user@example.test").reason
    example.clock.advance(60)
    assert "came back too soon" == stranger.rcpt("user@example.test").reason
    example.clock.advance(300)
    neighbour = example.client(peer_address="203.0.113.8")
    assert neighbour.rcpt("user@example.test").accepted
    assert neighbour.rcpt("other@example.test").accepted
    assert 450 == example.client(peer_address="203.0.114.8").rcpt("user@example.test").code
    assert example.client(peer_address="203.0.115.8", trusted=True).rcpt("user@example.test").accepted
    example.clock.advance(36 * 24 * HOUR_S)
    assert 450 == stranger.rcpt("user@example.test").code


@of("attachment_block")
@pytest.mark.parametrize(
    ("filename", "accepted"),
    [
        ('filename="photo.jpg"', True),
        ('filename="exe"', True),
        ('filename="invoice.exe"', False),
        ('filename="invoice.pdf.EXE"', False),
        ('filename="invoice.exe. ."', False),
        ("filename*0=invoice; filename*1=.e;\r\n filename*2=xe", False),
        ("filename*=utf-8''%69nvoice%2Eexe", False),
    ],
)
def test_attachment_block(example: PolicyTest, filename: str, accepted: bool) -> None:
    """
    RFC 2231 pieces over folded lines do not hide a name (notes/attacks.md, multi-line filename bypass).
    """
    assert accepted == example.message(MIXED.format(filename=filename)).accepted


@pytest.mark.parametrize("example", ["attachment_block"], indirect=True)
def test_attachment_block_looks_at_every_name(example: PolicyTest) -> None:
    """
    Some readers show the name of Content-Type, whatever Content-Disposition says.
    """
    two_names = MIXED.replace("octet-stream", 'octet-stream; name="invoice.exe"')

    assert not example.message(two_names.format(filename='filename="invoice.pdf"')).accepted


def test_auth_from_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The right password lets in, nothing else does; without a database nobody gets in and the client may come back.
    """
    monkeypatch.setenv("PYMTA_ACCOUNTS", str(tmp_path / "accounts.sqlite"))
    script = EXAMPLES / "auth_from_database.py"
    spec = importlib.util.spec_from_file_location("auth_from_database", script)
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    with PolicyTest(script, strict=False) as t:
        assert 451 == t.auth("alice@example.test", "right").code
        program.add_account(tmp_path / "accounts.sqlite", "Alice@example.test", "right")
        for account, password in [
            ("alice@example.test", "wrong"),
            ("alice@example.test", ""),
            ("nobody", "right"),
        ]:
            answer = t.auth(account, password)
            assert 535 == answer.code
            assert not answer.accepted
        assert "535 5.7.8 authentication failed, too often" == str(answer.reply)
        assert t.session.account is None
        assert t.auth("ALICE@example.test", "right").accepted
        assert "ALICE@example.test" == t.session.account


@of("suppression_list")
def test_suppression_list(example: PolicyTest) -> None:
    gone = "gone@example.test"
    example.attempt("550 5.7.1 not from you", forward_path=gone)
    assert example.rcpt(gone).accepted
    example.attempt("550 5.1.1 no such user", forward_path=gone)
    assert 550 == example.rcpt(gone).code
    example.clock.advance(31 * 24 * HOUR_S)
    assert example.rcpt(gone).accepted
    example.attempt("550 5.1.1 no such user", forward_path=gone)
    example.attempt("250 2.0.0 ok", forward_path=gone)
    assert example.rcpt(gone).accepted


class Issuer(BaseHTTPRequestHandler):
    """Says of a token what it was told, to whom knows the secret."""

    claims: ClassVar[dict[str, object]] = {
        "good": {"active": True, "username": "alice@example.test", "aud": "mail.example.org"},
        "for-many": {"active": True, "username": "Alice@example.test", "aud": ["web", "mail.example.org"]},
        "old": {"active": False, "username": "alice@example.test"},
        "bob": {"active": True, "username": "bob@example.test"},
        "elsewhere": {"active": True, "username": "alice@example.test", "aud": "web"},
        "truthy": {"active": "true", "username": "alice@example.test"},
        "odd": ["active"],
    }

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        known = (
            self.headers["Authorization"] == "Basic " + base64.b64encode(b"mail.example.org:s3cret").decode()
        )
        found = self.claims.get(form["token"][0])
        self.send_response(200 if known and found is not None else 500)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name there
        pass


def test_token_introspection(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Only an active token for us and for the account that is named lets in; an issuer with trouble says "later".
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), Issuer) as issuer:
        threading.Thread(target=issuer.serve_forever, daemon=True).start()
        monkeypatch.setenv("PYMTA_INTROSPECTION", f"http://127.0.0.1:{issuer.server_port}/introspect")
        monkeypatch.setenv("PYMTA_CLIENT_SECRET", "s3cret")
        with PolicyTest(EXAMPLES / "token_introspection.py") as t:
            assert t.token("ALICE@example.test", "good").accepted
            assert t.client().token("alice@example.test", "for-many").accepted
            for token in ("old", "bob", "elsewhere", "truthy", "odd"):
                answer = t.client().token("alice@example.test", token)
                assert (535, False) == (answer.code, answer.accepted), token
            assert 454 == t.client().token("alice@example.test", "unheard-of").code
        issuer.shutdown()
    with PolicyTest(EXAMPLES / "token_introspection.py") as t:
        assert 454 == t.token("alice@example.test", "good").code
