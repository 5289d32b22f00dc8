"""What a verdict may say, and that a route choice cannot hold nonsense."""

from collections.abc import Callable
from typing import Any

import pytest

from pymta.mail.route import TlsMode
from pymta.mail.verdict import RouteChoice, accept, defer, discard, hold, refuse
from pymta.policy import Reply


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("no such customer", "550 5.7.1 no such customer"),
        ("552 5.3.4 too large", "552 5.3.4 too large"),
        ("554 go away", "554 5.7.1 go away"),
        ("550", "550 5.7.1 "),
        ("5500 is not a code", "550 5.7.1 5500 is not a code"),
        (Reply(521, None, "no mail here"), "521 no mail here"),
    ],
)
def test_refuse_says_what_it_was_given(given: str | Reply, sent: str) -> None:
    """
    Plain text gets the usual code, text that begins like a reply is one.
    """
    assert sent == str(refuse(given).reply)


def test_defer_has_a_temporary_code() -> None:
    assert "451 4.7.1 try again later" == str(defer().reply)
    assert "421 4.7.0 bye" == str(defer("421 4.7.0 bye").reply)


@pytest.mark.parametrize(
    "make", [lambda: refuse("450 no"), lambda: defer("550 no"), lambda: refuse("250 fine")]
)
def test_a_code_of_another_class_is_a_mistake(make: Callable[[], object]) -> None:
    """
    Permanence is the first digit and nothing else, so refuse cannot carry a 4yz nor defer a 5yz.
    """
    with pytest.raises(ValueError, match="yz is needed"):
        make()


def test_a_verdict_knows_the_line_that_made_it() -> None:
    verdicts = [refuse("no"), defer("later"), discard(), hold(), accept(reason="on the list")]

    assert {"test_verdict.py"} == {verdict.where.partition(":")[0] for verdict in verdicts}
    assert 1 == len({verdict.where for verdict in verdicts})


def test_a_reply_cannot_be_made_to_hold_two_lines_of_protocol() -> None:
    """
    What a script puts into a reply may have come from the client (CRLF injection).
    """
    assert "\r" not in str(refuse("no\r\n250 yes").reply)


@pytest.mark.parametrize(
    "hop", ["relay.example.net", "relay.example.net:2525", "192.0.2.1:25", "[2001:db8::1]:25"]
)
def test_a_next_hop_is_written_as_in_the_configuration(hop: str) -> None:
    assert (hop,) == RouteChoice(next_hop=hop).next_hops


@pytest.mark.parametrize(
    "hop", ["", "a b", "a:0", "a:65536", "a:x", "2001:db8::1", "user@host", "a,b", "a\r\n", "[::1", "<a>"]
)
def test_what_is_no_next_hop_is_refused(hop: str) -> None:
    with pytest.raises(ValueError, match="next hop"):
        RouteChoice(next_hop=("good.example.net", hop))


def test_a_route_choice_checks_what_else_it_is_given() -> None:
    """
    A script is rarely type-checked, and a wrong word here would be found when the mail leaves.
    """
    untyped: Any = RouteChoice
    assert TlsMode.REQUIRED is untyped(tls="required").tls
    assert ("a", "b") == untyped(next_hop=["a", "b"]).next_hop
    for arguments in ({"tls": "sometimes"}, {"source": "eth0"}, {"transport": "uucp"}):
        with pytest.raises(ValueError):  # noqa: PT011 - three messages of three libraries
            untyped(**arguments)
