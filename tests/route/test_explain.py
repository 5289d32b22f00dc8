"""
What `explain` says is what the queue would do, and why.
"""

from collections.abc import Callable

import pytest

from pymta._core import Reply
from pymta.config.values import NextHop
from pymta.mail.route import Route
from pymta.mail.verdict import RouteChoice
from pymta.route import Router, Rule, explain

Make = Callable[..., Router]


@pytest.mark.parametrize(
    "domain",
    ["example.test", "us-backup.example.test", "null.example.test", "broken.test", "two.test", "[192.0.2.5]"],
)
async def test_it_says_what_the_queue_does(make_router: Make, domain: str) -> None:
    rules = (Rule(pattern="two.test", next_hops=(NextHop("192.0.2.5", 2525),)),)

    told = await explain(make_router(rules=rules), domain)
    done = await make_router(rules=rules).route(domain)

    assert done == told.outcome


async def test_each_step_is_told_with_its_ttl(make_router: Make) -> None:
    told = await explain(make_router(), "us-backup.example.test")

    assert [
        ("rule", "us-backup.example.test", None),
        ("dns", "MX us-backup.example.test", 3600),
        ("drop", "preference 20 and worse", None),
        ("dns", "addresses of mx1.example.test", 3600),
    ] == [(step.kind, step.what, step.ttl_s) for step in told.steps]
    assert (
        "10 mx1.example.test, 20 mx2.example.test, 20 us.example.test, 30 e1.example.test"
        == told.steps[1].found
    )


async def test_the_text_is_for_a_person(make_router: Make) -> None:
    text = (await explain(make_router(), "example.test")).as_text()

    assert (
        """\
example.test: smtp, by MX
  site      {mx1.,mx2.}example.test
  TLS       opportunistic
  source    as [delivery] says
  holds     60 s
  hop 1     mx1.example.test  192.0.2.1:25
  hop 2     mx1.example.test  [2001:db8::1]:25
  hop 3     mx2.example.test  192.0.2.2:25

why:
  rule    example.test: no rule, no smarthost: smtp to MX records, port 25, TLS opportunistic
  dns     MX example.test: 10 mx1.example.test, 20 mx2.example.test  (TTL 3600 s)
"""
        in text + "\n"
    )


async def test_a_refusal_is_told_with_what_becomes_of_the_mail(make_router: Make) -> None:
    never = (await explain(make_router(), "null.example.test")).as_text()
    later = (await explain(make_router(), "broken.test")).as_text()

    assert "mail is returned" in never
    assert "556 5.1.10" in never
    assert "mail waits and is tried again" in later
    assert "no answer (SERVFAIL)" in later


async def test_it_can_be_read_by_a_program(make_router: Make) -> None:
    route = (await explain(make_router(), "example.test", RouteChoice(source="192.0.2.9"))).as_dict()
    reply = (await explain(make_router(), "null.example.test")).as_dict()

    assert "192.0.2.9" == route["route"]["source"]
    assert {"host": "mx2.example.test", "address": "192.0.2.2", "port": 25} == route["route"]["hops"][2]
    assert (556, "5.1.10") == (reply["reply"]["code"], reply["reply"]["enhanced"])
    assert {"kind", "what", "found", "ttl_s", "authenticated"} == set(route["steps"][1])


async def test_it_changes_nothing(make_router: Make) -> None:
    router = make_router()

    told = await explain(router, "example.test")

    assert isinstance(told.outcome, Route)
    assert not isinstance(told.outcome, Reply)
    assert None is router.cached("example.test")
