"""
The fake says what the real thing says about the same zone, but for TTLs and where aliases led.
"""

import pytest

from pymta.dns import Answer, Found, StubResolver
from pymta.testing.resolver import FakeResolver

FAKE = FakeResolver(
    mx={
        "example.test": [(20, "mx2.example.test"), (10, "mx1.example.test")],
        "null.example.test": [(0, ".")],
    },
    addresses={
        "mx1.example.test": ["2001:db8::1", "192.0.2.1"],
        "only6.example.test": ["2001:db8::6"],
        "implicit.example.test": ["192.0.2.7", "2001:db8::7"],
    },
    txt={"text.example.test": [b"v=spf1 -all"]},
    ptr={"192.0.2.1": ["mx1.example.test"]},
    unavailable=["broken.test"],
)


def said(answer: Answer[object]) -> tuple[str, tuple[object, ...]]:
    return type(answer).__name__, answer.records if isinstance(answer, Found) else ()


@pytest.mark.parametrize(
    "domain",
    ["example.test", "null.example.test", "implicit.example.test", "nowhere.example.test", "broken.test"],
)
async def test_about_mx_records(resolver: StubResolver, domain: str) -> None:
    assert said(await resolver.mx(domain)) == said(await FAKE.mx(domain))


@pytest.mark.parametrize("families", ["both", "ipv4", "ipv6"])
@pytest.mark.parametrize(
    "host", ["mx1.example.test", "only6.example.test", "nowhere.example.test", "broken.test"]
)
async def test_about_addresses(resolver: StubResolver, host: str, families: str) -> None:
    real = await resolver.addresses(host, families)

    assert said(real) == said(await FAKE.addresses(host, families))


async def test_about_texts_and_names(resolver: StubResolver) -> None:
    assert said(await resolver.txt("text.example.test")) == said(await FAKE.txt("text.example.test"))
    assert said(await resolver.ptr("192.0.2.1")) == said(await FAKE.ptr("192.0.2.1"))
