"""What a forward-path stands for: aliases, groups, details, catch-all, postmaster, loops and limits."""

import pytest

from pymta._core import Address
from pymta.directory import Account, Alias, Directory, Domain, NotKnownYet, Resolution, TableLookup, settled
from pymta.directory.directory import DEPTH_MAX, TARGETS_MAX


def alias(address: str, *targets: str, members_may_send: bool = False) -> Alias:
    return Alias(address=address, targets=targets, members_may_send=members_may_send)


DOMAINS = [
    Domain(name="a.example"),
    Domain(name="catch.example", catch_all=("alice@a.example",)),
    Domain(name="gone.example", suspended=True),
    Domain(name="xn--bcher-kva.example"),
]
ACCOUNTS = [
    Account(name="alice@a.example", addresses=("extra@elsewhere.example", "@whole.example")),
    Account(name="bob@a.example"),
    Account(name="closed@a.example", receives_mail=False),
    Account(name="old@gone.example"),
    Account(name="müller@xn--bcher-kva.example"),
]
ALIASES = [
    alias("info@a.example", "alice@a.example", members_may_send=True),
    alias("team@a.example", "alice@a.example", "bob@a.example", "out@else.example"),
    alias("all@a.example", "team@a.example", "bob@a.example"),
    alias("bob@a.example", "bob@a.example", "copy@else.example"),
    alias("one@a.example", "two@a.example"),
    alias("two@a.example", "one@a.example"),
    alias("void@a.example", "nobody@a.example"),
    alias("off@a.example", "closed@a.example"),
]
DIRECTORY = Directory(TableLookup(DOMAINS, ACCOUNTS, ALIASES), postmaster="Alice@a.example")


def resolved(path: str, directory: Directory = DIRECTORY) -> Resolution:
    answer = directory.resolve(Address(path))
    assert isinstance(answer, Resolution)
    return answer


def deliveries(path: str) -> list[tuple[str, str]]:
    return [(delivery.account.name, delivery.detail) for delivery in resolved(path).deliveries]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("alice@a.example", [("alice@a.example", "")]),
        ("ALICE@A.Example", [("alice@a.example", "")]),
        ('"alice"@a.example', [("alice@a.example", "")]),
        ("alice+lists+x@a.example", [("alice@a.example", "lists+x")]),
        ("info@a.example", [("alice@a.example", "")]),
        ("info+tag@a.example", [("alice@a.example", "tag")]),
        ("anything@catch.example", [("alice@a.example", "")]),
        ("postmaster@a.example", [("alice@a.example", "")]),
        ("Postmaster", [("alice@a.example", "")]),
        ("MÜLLER@bücher.example", [("müller@xn--bcher-kva.example", "")]),
    ],
)
def test_an_address_is_the_account_that_it_stands_for(path: str, expected: list[tuple[str, str]]) -> None:
    assert "found" == resolved(path).status
    assert expected == deliveries(path)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("x@elsewhere.example", "not_ours"),
        ("x@[192.0.2.1]", "not_ours"),
        ("nobody@a.example", "unknown"),
        ("+alice@a.example", "unknown"),
        ("void@a.example", "unknown"),
        ("us\u200ber@a.example", "unknown"),
        ("us\u200ber@elsewhere.example", "not_ours"),
        ("x@xn--a.example", "not_ours"),
        ("old@gone.example", "suspended"),
        ("who@gone.example", "suspended"),
        ("closed@a.example", "suspended"),
        ("off@a.example", "suspended"),
        ("one@a.example", "loop"),
    ],
)
def test_an_address_that_cannot_be_delivered_says_why(path: str, status: str) -> None:
    resolution = resolved(path)

    assert status == resolution.status
    assert ((), ()) == (resolution.deliveries, resolution.forwards)


def test_a_group_is_all_its_members_once() -> None:
    resolution = resolved("all@a.example")

    assert ["alice@a.example", "bob@a.example"] == sorted(d.account.name for d in resolution.deliveries)
    assert {"out@else.example", "copy@else.example"} == {str(address) for address in resolution.forwards}
    assert ("all@a.example", "team@a.example", "bob@a.example") == resolution.via


def test_an_alias_of_its_own_name_keeps_a_copy() -> None:
    resolution = resolved("bob@a.example")

    assert ["bob@a.example"] == [delivery.account.name for delivery in resolution.deliveries]
    assert ["copy@else.example"] == [str(address) for address in resolution.forwards]


def test_a_chain_that_is_too_deep_is_a_loop() -> None:
    chain = [alias(f"a{n}@a.example", f"a{n + 1}@a.example") for n in range(DEPTH_MAX + 2)]
    directory = Directory(TableLookup(["a.example"], [f"a{DEPTH_MAX + 2}@a.example"], chain))

    assert "loop" == resolved("a0@a.example", directory).status
    assert "found" == resolved("a4@a.example", directory).status


def test_a_group_that_grows_beyond_the_limit_is_not_followed() -> None:
    wide = [alias("g@a.example", *(f"m{n}@a.example" for n in range(TARGETS_MAX + 1)))]

    assert "loop" == resolved("g@a.example", Directory(TableLookup(["a.example"], [], wide))).status


def test_a_postmaster_of_another_domain_gets_what_is_for_a_bare_one() -> None:
    directory = Directory(TableLookup(["a.example"]), postmaster="admin@far.example")

    for path in ("postmaster", "postmaster@a.example"):
        assert ["admin@far.example"] == [str(address) for address in resolved(path, directory).forwards]


def test_without_a_postmaster_a_bare_one_is_unknown() -> None:
    directory = Directory(TableLookup(["a.example"]))

    assert "unknown" == resolved("postmaster", directory).status
    assert "unknown" == resolved("postmaster@a.example", directory).status


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("alice@a.example", True),
        ("Alice+list@A.example", True),
        ("extra@elsewhere.example", True),
        ("any@whole.example", True),
        ("info@a.example", True),  # an alias that lets its members send
        ("team@a.example", False),  # one that does not
        ("bob@a.example", False),
        ("other@elsewhere.example", False),
        ("x@[192.0.2.1]", False),
    ],
)
def test_an_account_may_use_its_own_addresses_only(address: str, allowed: bool) -> None:
    assert allowed is DIRECTORY.may_use(ACCOUNTS[0], Address(address))


def test_an_account_of_a_suspended_domain_is_suspended() -> None:
    account = DIRECTORY.account("old@gone.example")

    assert isinstance(account, Account)
    assert account.suspended


async def test_a_lookup_that_has_to_ask_elsewhere_is_asked_again() -> None:
    """
    The seam for LDAP and for a database on another host: the same rules, with answers that come later.
    """

    class Far(TableLookup):
        def __init__(self) -> None:
            super().__init__(DOMAINS, ACCOUNTS, ALIASES)
            self.fetched: list[str] = []

        def alias(self, address: str) -> Alias | None:
            if address not in self.fetched:

                async def fetch() -> None:
                    self.fetched.append(address)

                raise NotKnownYet(fetch)
            return super().alias(address)

    far = Far()
    answer = Directory(far).resolve(Address("all@a.example"))

    assert not isinstance(answer, Resolution)
    assert 2 == len((await settled(answer)).deliveries)
    assert far.fetched
