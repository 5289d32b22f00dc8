"""
Whatever an authority answers, the outcome is a certificate that fits or one line that says why there is none.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pymta.acme.challenges import Challenges
from pymta.acme.issuer import issue
from pymta.acme.network import ANSWER_OCTETS_MAX
from pymta.acme.outcome import NotIssued
from pymta.acme.store import Store
from pymta.config.settings.acme import AcmeSettings
from pymta.config.values import HostName
from tests.acme.authority import Answer, Authority
from tests.partners.ca import CertificateAuthority

NAME = "mail.example.test"
PROBLEM = (("Content-Type", "application/problem+json"),)
ACCOUNT = Answer(201, {"status": "valid"}, (("Location", "URL/account/1"),))
VALID = Answer(
    body={"identifier": {"type": "dns", "value": NAME}, "status": "valid", "challenges": []},
)


def order(status: str, **more: Any) -> dict[str, Any]:
    return {
        "status": status,
        "identifiers": [{"type": "dns", "value": NAME}],
        "authorizations": ["URL/authorization"],
        "finalize": "URL/finalize",
        **more,
    }


ORDERED = Answer(201, order("ready"), (("Location", "URL/order/1"),))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Authority]]:
    with ExitStack() as stack:
        yield lambda **answers: stack.enter_context(
            Authority(tmp_path / "authority", {name.replace("_", "/"): one for name, one in answers.items()})
        )


def ask(authority: Authority, folder: Path, **more: Any) -> bytes:
    settings = AcmeSettings(
        names=(HostName.parse(NAME),),
        directory_url=f"{authority.url}/dir",
        agree_to_terms=True,
        ca_file=authority.ca_file,
        **{"attempt_s_max": 5, **more},
    )
    store = Store(folder / "acme")
    store.prepare([NAME])
    Challenges(store.folder).clear()
    return issue(NAME, settings, store, user_agent="pymta/test", say=lambda action, detail: None)


def refused(authority: Authority, folder: Path, **more: Any) -> NotIssued:
    with pytest.raises(NotIssued) as caught:
        ask(authority, folder, **more)
    assert "\n" not in str(caught.value)
    assert [] == [file for file in (folder / "acme" / "challenges").rglob("*") if file.is_file()]
    return caught.value


def problem(kind: str, detail: str, status: int = 400, *fields: tuple[str, str]) -> Answer:
    return Answer(
        status, {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail}, (*PROBLEM, *fields)
    )


def test_what_it_says_is_what_the_operator_reads(start: Callable[..., Authority], tmp_path: Path) -> None:
    authority = start(account=problem("unsupportedContact", "no such\nmailbox", 400))

    assert "unsupportedContact: no such mailbox" == str(refused(authority, tmp_path))


def test_a_rate_limit_says_for_how_long(start: Callable[..., Authority], tmp_path: Path) -> None:
    limited = problem("rateLimited", "too many certificates", 429, ("Retry-After", "7200"))
    authority = start(account=ACCOUNT, order=limited)

    error = refused(authority, tmp_path)

    assert ("rateLimited: too many certificates", 7200) == (str(error), error.retry_after_s)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"dir": Answer(503, b"<h1>busy</h1>")}, "answered 503"),
        ({"dir": Answer(503, b"", (("Retry-After", "soon"),))}, "answered 503"),
        ({"dir": Answer(body=b"no JSON")}, "Unexpected response"),
        ({"dir": Answer(body=b"[1, 2]")}, "makes no sense"),
        ({"dir": Answer(body={"newNonce": "URL/nonce"})}, "newAccount"),
        ({"dir": Answer(body=b"x" * (ANSWER_OCTETS_MAX + 1))}, "more than"),
        ({"dir": Answer(302, b"", (("Location", "URL/dir"),))}, "redirects"),
        ({"account": Answer(500, {"hello": "world"})}, "about:blank"),
        ({"account": ACCOUNT, "order": Answer(201, {"status": "what"})}, "what"),
        ({"account": ACCOUNT, "order": Answer(201, b"[]")}, ""),
        ({"account": ACCOUNT, "order": ORDERED, "authorization": Answer(body={})}, ""),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(
    start: Callable[..., Authority], tmp_path: Path, answers: dict[str, Answer], said: str
) -> None:
    assert said in str(refused(start(**answers), tmp_path))


def test_a_challenge_that_is_not_offered_is_named(start: Callable[..., Authority], tmp_path: Path) -> None:
    token = "dG9rZW4tdG9rZW4tdG9rZW4"
    offered = [
        {"type": kind, "url": "URL/challenge", "status": "pending", "token": token}
        for kind in ("dns-01", "new-02")
    ]
    pending = {"identifier": {"type": "dns", "value": NAME}, "status": "pending", "challenges": offered}
    authority = start(account=ACCOUNT, order=ORDERED, authorization=Answer(body=pending))

    assert "does not offer http-01 but dns-01" in str(refused(authority, tmp_path))


def test_one_that_never_comes_to_an_end_is_left(start: Callable[..., Authority], tmp_path: Path) -> None:
    authority = start(
        account=ACCOUNT,
        order=ORDERED,
        authorization=VALID,
        finalize=Answer(body=order("processing")),
        order_1=Answer(body=order("processing")),
    )

    assert "the authority takes too long" in str(refused(authority, tmp_path, attempt_s_max=1))
    assert "finalize" in authority.asked


def test_a_certificate_for_another_key_is_not_kept(start: Callable[..., Authority], tmp_path: Path) -> None:
    """It would be shown to everybody, and no handshake would succeed."""
    strange = CertificateAuthority(tmp_path).issue(NAME)
    authority = start(
        account=ACCOUNT,
        order=ORDERED,
        authorization=VALID,
        finalize=Answer(body=order("valid", certificate="URL/certificate")),
        order_1=Answer(body=order("valid", certificate="URL/certificate")),
        certificate=Answer(body=strange.certificate_file.read_bytes()),
    )

    assert "another key" in str(refused(authority, tmp_path))


def test_an_account_key_that_cannot_be_used_is_not_replaced(
    start: Callable[..., Authority], tmp_path: Path
) -> None:
    authority = start()
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "account.key").write_bytes(b"damaged")

    assert "account's key" in str(refused(authority, tmp_path))
    assert b"damaged" == (tmp_path / "acme" / "account.key").read_bytes()
