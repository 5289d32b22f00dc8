"""The mechanisms, octets in and steps out: known answers of the RFCs, an independent client, and nonsense."""

import base64
import hashlib

import pytest
import scramp
from hypothesis import given
from hypothesis import strategies as st

from pymta.auth import sasl
from pymta.auth.sasl import (
    CertificateOffered,
    Challenge,
    Channel,
    Failed,
    KeysWanted,
    Malformed,
    PasswordOffered,
    Proven,
    TokenOffered,
)
from pymta.auth.sasl.scram import ScramSha256
from pymta.auth.scram import ScramKeys

END_POINT = hashlib.sha256(b"a certificate").digest()
KEYS = ScramKeys.of_password("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)


BARE = Channel()


def begun(name: str, channel: Channel = BARE) -> sasl.Mechanism:
    mechanism = sasl.begin(name, channel)
    assert mechanism is not None
    return mechanism


# ---- PLAIN and LOGIN


@pytest.mark.parametrize(
    ("response", "account", "password", "authorization"),
    [
        (b"\0tim\0tanstaaftanstaaf", "tim", "tanstaaftanstaaf", ""),  # RFC 4616 §4
        (b"Ursel\0Kurt\0xipj3plmq", "Kurt", "xipj3plmq", "Ursel"),
        ("\0bücher@x\0pässword".encode(), "bücher@x", "pässword", ""),
    ],
)
def test_plain_is_three_parts(response: bytes, account: str, password: str, authorization: str) -> None:
    step = begun("PLAIN").start(response)

    assert isinstance(step, PasswordOffered)
    assert (account, password, authorization) == (step.account, step.password.reveal(), step.authorization)
    assert password not in repr(step)


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\0a\0b\0c",
        b"\0\0p",
        b"\0a\0",
        b"a\0p",
        b"\0\xff\0p",
        b"\0a\0\xff",
        b"\0" + b"a" * 256 + b"\0p",
        b"\0a\0" + b"p" * 256,
        b"\0a\r\n\0p",
    ],
)
def test_plain_refuses_what_is_not(response: bytes) -> None:
    assert isinstance(begun("PLAIN").start(response), Malformed)


def test_login_asks_twice() -> None:
    mechanism = begun("LOGIN")

    assert Challenge(b"Username:") == mechanism.start(None)
    assert Challenge(b"Password:") == mechanism.respond(b"tim")
    step = mechanism.respond(b"secret")
    assert isinstance(step, PasswordOffered)
    assert ("tim", "secret") == (step.account, step.password.reveal())
    assert Challenge(b"Password:") == begun("LOGIN").start(b"tim")
    assert isinstance(begun("LOGIN").start(b""), Malformed)


# ---- SCRAM


def test_scram_is_the_rfc_s_example() -> None:
    """
    RFC 7677 §3.
    """
    mechanism = ScramSha256(Channel(), nonce=lambda: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")

    assert KeysWanted("user") == mechanism.start(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
    assert Challenge(
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    ) == mechanism.keys(KEYS)
    assert Proven("user", "", b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") == mechanism.respond(
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )


def exchanged(name: str, ours: Channel, client: scramp.ScramClient, keys: ScramKeys = KEYS) -> sasl.Step:
    mechanism = begun(name, ours)
    step = mechanism.start(client.get_client_first().encode())
    if not isinstance(step, KeysWanted):
        return step
    first = mechanism.keys(keys)
    assert isinstance(first, Challenge)
    client.set_server_first(first.octets.decode())
    step = mechanism.respond(client.get_client_final().encode())
    if isinstance(step, Proven):
        client.set_server_final(step.proof.decode())
    return step


@pytest.mark.parametrize("name", ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
@pytest.mark.parametrize(("password", "proven"), [("pencil", True), ("pencils", False)])
def test_scram_with_an_independent_client(name: str, password: str, proven: bool) -> None:
    binding = ("tls-server-end-point", END_POINT) if name.endswith("PLUS") else None
    client = scramp.ScramClient([name], "a=b,c@x.example", password, channel_binding=binding)
    step = exchanged(name, Channel(end_point=END_POINT), client)

    if proven:
        assert isinstance(step, Proven)
        assert "a=b,c@x.example" == step.account
    else:
        assert Failed("a=b,c@x.example", "wrong password") == step


def test_scram_bound_to_another_certificate_fails() -> None:
    """
    A man in the middle shows a certificate of his own.
    """
    client = scramp.ScramClient(
        ["SCRAM-SHA-256-PLUS"], "user", "pencil", channel_binding=("tls-server-end-point", b"x" * 32)
    )

    assert Failed("user", "bound to another channel") == exchanged(
        "SCRAM-SHA-256-PLUS", Channel(end_point=END_POINT), client
    )


@pytest.mark.parametrize(
    ("name", "end_point", "first"),
    [
        ("SCRAM-SHA-256", END_POINT, b"y,,n=user,r=abc"),  # it could bind and was told that we cannot
        ("SCRAM-SHA-256", END_POINT, b"p=tls-server-end-point,,n=user,r=abc"),
        ("SCRAM-SHA-256-PLUS", END_POINT, b"n,,n=user,r=abc"),
        ("SCRAM-SHA-256-PLUS", END_POINT, b"p=tls-unique,,n=user,r=abc"),
    ],
)
def test_scram_is_not_talked_down(name: str, end_point: bytes, first: bytes) -> None:
    assert isinstance(begun(name, Channel(end_point=end_point)).start(first), Failed)


def test_scram_believes_a_client_that_could_bind_where_we_cannot() -> None:
    assert KeysWanted("user") == begun("SCRAM-SHA-256").start(b"y,,n=user,r=abc")


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n,,n=user",
        b"n,,n=,r=abc",
        b"n,,n=us=er,r=abc",
        b"n,,m=ext,n=user,r=abc",  # a mandatory extension
        b"n,,n=user,r=",
        b"x,,n=user,r=abc",
        b"n,,n=\xff,r=abc",
        b"n,,n=user,r=a\0bc",
        b"n,,n=user,r=" + b"a" * 5000,
    ],
)
def test_scram_refuses_what_is_no_first_message(first: bytes) -> None:
    assert isinstance(begun("SCRAM-SHA-256").start(first), Malformed)


@pytest.mark.parametrize(
    "final", [b"", b"c=biws", b"c=biws,r=abcN,p=", b"c=!,r=abcN,p=AA==", b"c=biws,r=abcN,p=AA=="]
)
def test_scram_refuses_what_is_no_final_message(final: bytes) -> None:
    mechanism = ScramSha256(Channel(), nonce=lambda: "N")
    mechanism.start(b"n,,n=user,r=abc")
    mechanism.keys(KEYS)

    assert isinstance(mechanism.respond(final), Malformed)


def test_scram_wants_its_own_nonce_back() -> None:
    mechanism = ScramSha256(Channel(), nonce=lambda: "N")
    mechanism.start(b"n,,n=user,r=abc")
    mechanism.keys(KEYS)
    proof = base64.b64encode(b"p" * 32)

    assert Failed("user", "another nonce") == mechanism.respond(b"c=biws,r=abc,p=" + proof)


# ---- tokens and certificates


def test_oauthbearer_is_the_rfc_s_example() -> None:
    """
    RFC 7628 §4.1, and §4.3 for a token that is refused.
    """
    mechanism = begun("OAUTHBEARER")
    step = mechanism.start(
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
    )

    assert isinstance(step, TokenOffered)
    assert "user@example.com" == step.account
    assert "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==" == step.token.reveal()
    refused = mechanism.refused()
    assert isinstance(refused, Challenge)
    assert b'"status":"invalid_token"' in refused.octets
    assert Failed("user@example.com", "the token was refused") == mechanism.respond(b"\x01")


def test_xoauth2_is_its_predecessor() -> None:
    step = begun("XOAUTH2").start(b"user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3Rl\x01\x01")

    assert isinstance(step, TokenOffered)
    assert ("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3Rl") == (step.account, step.token.reveal())


@pytest.mark.parametrize("name", ["OAUTHBEARER", "XOAUTH2"])
@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\x01",
        b"n,a=u,\x01auth=Basic dTpw\x01\x01",
        b"n,a=u,\x01auth=Bearer \x01\x01",
        b"n,a=u,\x01auth=Bearer a b\x01\x01",
        b"n,a=u,\x01auth=Bearer a\x01",
        b"user=u\x01auth=Bearer t\x01",
        b"n,a=u,\x01auth=Bearer " + b"t" * 20_000 + b"\x01\x01",
        b"\xff",
    ],
)
def test_a_malformed_token_is_refused(name: str, response: bytes) -> None:
    assert isinstance(begun(name).start(response), Malformed)


def test_external_is_the_certificate() -> None:
    channel = Channel(certificate_addresses=("a@x.example",))

    assert Challenge(b"") == begun("EXTERNAL", channel).start(None)
    assert CertificateOffered(("a@x.example",)) == begun("EXTERNAL", channel).start(b"")
    assert CertificateOffered(("a@x.example",), "b@x.example") == begun("EXTERNAL", channel).start(
        b"b@x.example"
    )
    assert isinstance(begun("EXTERNAL").start(b"a@x.example"), Failed)
    assert isinstance(begun("EXTERNAL", channel).start(b"\xff"), Malformed)


# ---- all


@given(st.sampled_from(sasl.NAMES), st.lists(st.binary(max_size=200), min_size=1, max_size=3))
def test_no_octets_break_a_mechanism(name: str, responses: list[bytes]) -> None:
    mechanism = begun(name, Channel(end_point=END_POINT))
    step = mechanism.start(responses[0])
    for response in responses[1:]:
        if isinstance(step, KeysWanted):
            step = mechanism.keys(KEYS)
        if not isinstance(step, Challenge):
            return
        step = mechanism.respond(response)
    assert not isinstance(step, Proven)


def test_a_mechanism_that_we_do_not_have_is_none() -> None:
    assert sasl.begin("CRAM-MD5", Channel()) is None
    assert sasl.begin("plain", Channel()) is None
