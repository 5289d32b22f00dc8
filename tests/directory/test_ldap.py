"""A directory in LDAP, asked of Debian's slapd: the same rules, answers that come later, and no name that is a filter."""

import asyncio
import inspect
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymta._core import Address
from pymta.auth.guard import Guard
from pymta.auth.login import Logins
from pymta.auth.verifier import Verifier
from pymta.config.settings.auth import AuthSettings
from pymta.config.settings.ldap import LdapSettings
from pymta.config.values import DomainPattern
from pymta.directory import Directory, settled
from pymta.directory.ldap import DirectoryUnreachable, LdapLookup, escaped
from pymta.mail.errors import ConfigError
from pymta.mail.secret import Secret
from tests.partners.slapd import BASE, FINDER, READER, READER_PASSWORD, Slapd
from tests.partners.waiting import wait_until

ENTRIES = f"""
dn: uid=alice,{BASE}
objectClass: inetOrgPerson
cn: Alice
sn: Alice
uid: alice
mail: alice@example.org
employeeNumber: 5000
labeledURI: shop@else.example
userPassword: {{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g=

dn: uid=star,{BASE}
objectClass: inetOrgPerson
cn: Star
sn: Star
mail: we*ird(x)@example.org

dn: uid=one,{BASE}
objectClass: inetOrgPerson
cn: one
sn: one
mail: twice@example.org

dn: uid=two,{BASE}
objectClass: inetOrgPerson
cn: two
sn: two
mail: twice@example.org

dn: cn=team@example.org,{BASE}
objectClass: nisMailAlias
cn: team@example.org
rfc822MailMember: alice@example.org
rfc822MailMember: out@far.example
rfc822MailMember: no address
"""


class Watch:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def slapd(tmp_path: Path) -> Iterator[Slapd]:
    pytest.importorskip("bonsai", reason="the extra ldap is not installed")
    if not Slapd.is_installed():
        pytest.skip("slapd is not installed")
    with Slapd(tmp_path / "slapd", ENTRIES) as running:
        yield running


def settings(slapd: Slapd, folder: Path, **more: object) -> LdapSettings:
    (folder / "secret").write_text(READER_PASSWORD + "\n")
    given = {
        "url": slapd.url,
        "bind_dn": READER,
        "bind_password_file": folder / "secret",
        "base_dn": BASE,
        "domains": (DomainPattern("example.org"),),
        "alias_filter": "(&(objectClass=nisMailAlias)(cn={address}))",
        "addresses_attribute": "labeledURI",
        "quota_attribute": "employeeNumber",
        "timeout_s": 2,
        **more,
    }
    return LdapSettings(**given)  # type: ignore[arg-type] # by name, as the file has them


async def test_entries_become_accounts_and_aliases(slapd: Slapd, tmp_path: Path) -> None:
    lookup = LdapLookup(settings(slapd, tmp_path))
    directory = Directory(lookup)
    alice = await settled(directory.account("Alice@Example.ORG"))

    assert alice is not None
    assert (("shop@else.example",), 5000) == (alice.addresses, alice.quota_octets)
    assert ["{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="] == [
        one.stored.reveal() for one in await settled(directory.passwords(alice))
    ]
    team = await settled(directory.resolve(Address("team+x@example.org")))
    assert (["alice@example.org"], ["out@far.example"]) == (
        [delivery.account.name for delivery in team.deliveries],
        [str(address) for address in team.forwards],
    )
    assert "unknown" == (await settled(directory.resolve(Address("bob@example.org")))).status
    assert "not_ours" == (await settled(directory.resolve(Address("alice@else.example")))).status
    assert await settled(directory.may_use(alice, "shop@else.example"))
    lookup.close()


async def test_an_answer_is_remembered_for_a_while(slapd: Slapd, tmp_path: Path) -> None:
    watch = Watch()
    lookup = LdapLookup(settings(slapd, tmp_path, remember_s=30), monotonic=watch)
    directory = Directory(lookup)
    await settled(directory.resolve(Address("alice@example.org")))

    assert not inspect.iscoroutine(directory.resolve(Address("alice@example.org")))
    watch.now_s += 31
    later = directory.resolve(Address("alice@example.org"))
    assert inspect.iscoroutine(later)
    assert "found" == (await later).status
    lookup.close()


@pytest.mark.parametrize(
    "name",
    [
        "*@example.org",
        "a*@example.org",
        '"*)(uid=*"@example.org',
        '"alice)(mail=*"@example.org',
        "\\2a@example.org",
    ],
)
async def test_no_name_is_a_filter(slapd: Slapd, tmp_path: Path, name: str) -> None:
    """
    LDAP injection (notes/attacks.md, row 17): a star finds the one whose name has a star, and nobody else.
    """
    lookup = LdapLookup(settings(slapd, tmp_path))
    directory = Directory(lookup)

    assert await settled(directory.account(name)) is None
    assert await settled(directory.account("we*ird(x)@example.org")) is None  # no dot-string, so it is quoted
    lookup.close()


def test_all_but_letters_and_digits_are_escaped() -> None:
    assert "a.b@x" == escaped("a.b@x")
    assert r"\2a\29\28uid\5c\00\c3\bc" == escaped("*)(uid\\\0ü")


async def test_a_server_that_is_gone_is_our_trouble_until_it_is_back(slapd: Slapd, tmp_path: Path) -> None:
    lookup = LdapLookup(settings(slapd, tmp_path, remember_s=0))
    directory = Directory(lookup)
    assert await settled(directory.account("alice@example.org")) is not None
    slapd.stop()
    lookup._known.clear()
    with pytest.raises(DirectoryUnreachable):
        await settled(directory.account("alice@example.org"))
    slapd.start()
    assert await settled(directory.account("alice@example.org")) is not None
    lookup.close()


def all_stopped(pid: int) -> bool:
    """Whether all threads of a process stand still."""
    states = (stat.read_text().rpartition(") ")[2][0] for stat in Path(f"/proc/{pid}/task").glob("*/stat"))
    return all(state == "T" for state in states)


async def test_a_server_that_hangs_lets_nobody_wait_longer_than_the_limit(
    slapd: Slapd, tmp_path: Path
) -> None:
    """However many wait before him, for an entry or for a password."""
    lookup = LdapLookup(settings(slapd, tmp_path, verify="bind", connections_max=1))
    os.kill(slapd.program.pid, signal.SIGSTOP)
    # Each of its threads: until one of them has met the signal, the others go on answering.
    wait_until(lambda: all_stopped(slapd.program.pid), "slapd stands still")
    try:
        async with asyncio.timeout(2 * 2):
            answers = await asyncio.gather(
                *(settled(Directory(lookup).account(f"user{n}@example.org")) for n in range(4)),
                *(lookup.is_password(None, Secret("password")) for _ in range(4)),
                return_exceptions=True,
            )
    finally:
        os.kill(slapd.program.pid, signal.SIGCONT)
    assert 8 * [DirectoryUnreachable] == [type(answer) for answer in answers]
    lookup.close()


async def test_two_entries_for_one_address_are_trouble(slapd: Slapd, tmp_path: Path) -> None:
    lookup = LdapLookup(settings(slapd, tmp_path))
    with pytest.raises(DirectoryUnreachable, match="2 entries"):
        await settled(Directory(lookup).account("twice@example.org"))
    lookup.close()


async def test_many_who_ask_for_one_name_ask_once(slapd: Slapd, tmp_path: Path) -> None:
    lookup = LdapLookup(settings(slapd, tmp_path))
    directory = Directory(lookup)
    answers = await asyncio.gather(*(settled(directory.account("alice@example.org")) for _ in range(50)))

    assert all(answer is not None for answer in answers)
    assert 1 == len(lookup._idle)
    lookup.close()


async def test_a_password_that_cannot_be_read_is_a_configuration_error(slapd: Slapd, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        LdapLookup(settings(slapd, tmp_path, bind_password_file=tmp_path / "nothing"))


# ---- passwords that the server itself verifies ------------------------------------------------------------------------


async def is_right(lookup: LdapLookup, name: str, password: str) -> bool:
    """As a login asks."""
    directory = Directory(lookup)
    verifier = Verifier(AuthSettings(), directory, secret=b"password", on_trouble=lambda what, error: None)
    try:
        return await verifier.is_right(await settled(directory.account(name)), Secret(password))
    finally:
        await verifier.aclose()


@pytest.mark.parametrize(
    ("name", "password", "right"),
    [
        ("alice@example.org", "password", True),
        ("Alice@Example.ORG", "password", True),
        ("alice@example.org", "Password", False),
        ("alice@example.org", "", False),  # which an LDAP server takes for anonymous, and lets in
        ("alice@example.org", READER_PASSWORD, False),
        ("bob@example.org", "password", False),
        ("bob@example.org", "", False),
        ("we*ird(x)@example.org", "password", False),  # has no password
        ("alice@else.example", "password", False),
    ],
)
async def test_a_bind_tells_whether_a_password_is_right(
    slapd: Slapd, tmp_path: Path, name: str, password: str, right: bool
) -> None:
    lookup = LdapLookup(settings(slapd, tmp_path, verify="bind"))

    assert right == await is_right(lookup, name, password)
    lookup.close()


async def test_with_bind_nobody_need_be_allowed_to_read_passwords(slapd: Slapd, tmp_path: Path) -> None:
    """Who asks may look for entries, and sees no password in them."""
    right = {}
    for verify in ("hash", "bind"):
        lookup = LdapLookup(settings(slapd, tmp_path, verify=verify, bind_dn=FINDER))
        right[verify] = await is_right(lookup, "alice@example.org", "password")
        lookup.close()

    assert {"hash": False, "bind": True} == right


async def test_a_password_that_was_changed_is_changed_at_once(slapd: Slapd, tmp_path: Path) -> None:
    lookup = LdapLookup(settings(slapd, tmp_path, verify="bind"))
    assert await is_right(lookup, "alice@example.org", "password")

    slapd.modify(f"uid=alice,{BASE}", "userPassword", "another")

    assert not await is_right(lookup, "alice@example.org", "password")
    assert await is_right(lookup, "alice@example.org", "another")
    lookup.close()


async def test_a_server_that_is_gone_is_no_wrong_password(slapd: Slapd, tmp_path: Path) -> None:
    lookup = LdapLookup(settings(slapd, tmp_path, verify="bind", remember_s=60))
    directory = Directory(lookup)
    account = await settled(directory.account("alice@example.org"))
    verifier = Verifier(AuthSettings(), directory, secret=b"password", on_trouble=lambda what, error: None)
    slapd.stop()

    for asked in (account, None):
        with pytest.raises(DirectoryUnreachable):
            await verifier.is_right(asked, Secret("password"))
    await verifier.aclose()
    lookup.close()


async def test_scram_is_not_offered_where_the_server_verifies(slapd: Slapd, tmp_path: Path) -> None:
    """There are no keys, so nobody could log in by it."""
    offered = {}
    for verify in ("hash", "bind"):
        lookup = LdapLookup(settings(slapd, tmp_path, verify=verify))
        directory = Directory(lookup)
        verifier = Verifier(AuthSettings(), directory, secret=b"x", on_trouble=lambda what, error: None)
        logins = Logins(AuthSettings(), directory, verifier, Guard(AuthSettings()))
        offered[verify] = logins.mechanisms(
            tls=True, end_point=True, certificate=False, keys=True, tokens=False
        )
        await verifier.aclose()
        lookup.close()

    assert ("PLAIN", "LOGIN") == offered["bind"]
    assert "SCRAM-SHA-256" in offered["hash"]
