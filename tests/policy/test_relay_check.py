"""Never an open relay, whatever the address looks like (notes/attacks.md, open-relay tricks)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta._core import Address, Envelope
from pymta.config.values import DomainPattern
from pymta.policy.checks.relay import RelayDomains, relay_check
from pymta.policy.session import Listener, ListenerRole, Session
from pymta.testing import FakeClock

US = RelayDomains(
    ["us.example", ".sub.example", "bücher.example", "straße.example", "[192.0.2.9]", "UPPER.example."]
)


class Protocol:
    envelope = Envelope(None, [])  # the null reverse-path gives nobody permission


def session(*, trusted: bool = False, account: str | None = None, role: ListenerRole = "relay") -> Session:
    made = Session(
        id="s1",
        peer_address="198.51.100.1",
        peer_port=25,
        listener=Listener("x", role),
        clock=FakeClock(),
        protocol=Protocol(),
        trusted=trusted,
    )
    made.account = account
    return made


def test_a_domain_of_the_configuration_is_the_same_to_the_check_and_to_the_router() -> None:
    """
    IDNA 2003 had made `strasse` of `straße`: somebody else's domain would have been relayed for, and ours refused.
    """
    ours = RelayDomains([str(DomainPattern.parse("straße.example"))])

    for domain, covered in (
        ("straße.example", True),
        ("xn--strae-oqa.example", True),
        ("strasse.example", False),
    ):
        assert covered is ours.covers(Address(f"a@{domain}").canonical_domain)


def code_for(
    path: str, *, trusted: bool = False, account: str | None = None, role: ListenerRole = "relay"
) -> int | None:
    client = session(trusted=trusted, account=account, role=role)
    verdict = relay_check(client, Address(path), US)
    return None if verdict is None or verdict.reply is None else verdict.reply.code


@pytest.mark.parametrize(
    "path",
    [
        "a@us.example",
        "a+tag@US.Example",
        "a=b.example@us.example",  # VERP and SRS have no other sign
        "prvs=0123456789=a@us.example",
        '"a b"@us.example',
        "grå@us.example",
        "a@deep.er.sub.example",
        "a@bücher.example",
        "a@xn--bcher-kva.example",
        "a@straße.example",
        "a@[192.0.2.9]",
        "a@upper.example",
        "postmaster",
        "PostMaster",
    ],
)
def test_mail_for_a_relay_domain_is_taken_from_anyone(path: str) -> None:
    assert code_for(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "a@ext.example",
        "a%ext.example@us.example",  # percent hack
        "a%ext.example%other@us.example",
        "a%ext.example@ext.example",
        '"a@ext.example"@us.example',  # quoted @
        '"a%ext.example"@us.example',
        '"a\\@ext.example"@us.example',
        "ext.example!a@us.example",  # bang path
        '"ext.example!a"@us.example',
        "us.example!a@ext.example",
        "a@[127.0.0.1]",  # address literals
        "a@[192.0.2.1]",
        "a@[IPv6:::1]",
        "a@xus.example",  # a suffix is not a domain
        "a@us.example.ext.example",
        "a@sub.example",  # .sub.example is what is below it
        "a@evilsub.example",
        "a@strasse.example",  # folded by IDNA 2003, not ours
        "a@us\uff0eexample",  # full-width dot
        "a\uff20ext.example@us.example",  # full-width @, % and !
        "a\uff05ext.example@us.example",
        "ext.example\uff01a@us.example",
        "a\ufe6aext.example@us.example",  # small percent sign
    ],
)
def test_a_stranger_cannot_relay(path: str) -> None:
    """
    Neither to another domain, nor through a local part that our next hop could read as a further hop.
    """
    checked = session()
    verdict = relay_check(checked, Address(path), US)
    assert verdict is not None

    assert "550 5.7.1 relay access denied" == str(verdict.reply)
    assert [("rcpt", "relay_check", "refuse", path)] == [
        (d.stage, d.hook, d.verdict, d.about) for d in checked.decisions
    ]


@pytest.mark.parametrize(
    "path",
    [
        "a@ext.example.",
        "a@us.example.",
        "a@ext@us.example",
        "a%[127.0.0.1]@us.example",
        "@us.example:a@ext.example",
        "a@",
    ],
)
def test_a_form_that_is_no_address_does_not_get_this_far(path: str) -> None:
    """
    The trailing dot and the second @ are refused by the grammar; a source route is taken off by the SMTP parser, and what is
    left is checked as any other address.
    """
    with pytest.raises(ValueError):  # noqa: PT011 - which sentence is pymta-types' affair
        Address(path)


@pytest.mark.parametrize(
    "path", ["a@ext.example", "a%ext.example@us.example", "a@[127.0.0.1]", "a@us.example"]
)
def test_trusted_and_logged_in_clients_send_anywhere(path: str) -> None:
    assert code_for(path, trusted=True) is None
    assert code_for(path, account="alice") is None
    assert code_for(path, account="alice", role="submission") is None


@pytest.mark.parametrize("path", ["a@us.example", "a@ext.example", "postmaster"])
def test_submission_wants_a_login_first(path: str) -> None:
    """
    RFC 6409 §4.3: also for our own domains, or the port would be a second port 25.
    """
    assert 530 == code_for(path, role="submission")


def test_lmtp_takes_relay_domains_only() -> None:
    assert code_for("a@us.example", role="lmtp") is None
    assert 550 == code_for("a@ext.example", role="lmtp")


def test_without_relay_domains_nothing_is_taken() -> None:
    assert relay_check(session(), Address("a@us.example"), RelayDomains([])) is not None


def test_everything_does_not_cover_address_literals() -> None:
    everything = RelayDomains(["*"])

    assert relay_check(session(), Address("a@ext.example"), everything) is None
    assert relay_check(session(), Address("a@[127.0.0.1]"), everything) is not None
    assert relay_check(session(), Address("a%b@ext.example"), everything) is not None


@pytest.mark.parametrize("entry", ["", ".", " ".strip()])
def test_an_empty_domain_is_a_mistake(entry: str) -> None:
    """
    An empty suffix would be the end of every domain.
    """
    with pytest.raises(ValueError, match="expected a domain"):
        RelayDomains([entry])


@given(
    st.text(min_size=1, max_size=40),
    st.sampled_from(["us.example", "ext.example", "US.EXAMPLE", "x.us.example"]),
)
def test_no_text_gets_a_stranger_out(local_part: str, domain: str) -> None:
    """
    Any address at all that is let through is for a relay domain, and its local part has no sign of a further hop.
    """
    try:
        address = Address(f"{local_part}@{domain}")
    except ValueError:
        return
    if relay_check(session(), address, US) is None:
        assert "us.example" == address.domain.lower()
        assert not set("%!@") & set(address.local_part)
