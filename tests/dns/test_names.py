"""
Every spelling of a name has one canonical form, and what is no host name has none (attacks.md, row 35).
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta.dns import InvalidName, canonical_name


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("example.org", "example.org"),
        ("EXAMPLE.Org", "example.org"),
        ("example.org.", "example.org"),
        ("_25._tcp.mx.example.org", "_25._tcp.mx.example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),  # not strasse.example, which is somebody else's
        ("example。org", "example.org"),  # ideographic full stop
        ("example．org", "example.org"),  # full-width full stop
        ("\u212a.example", "k.example"),  # Kelvin sign
        ("ｅxample.org", "example.org"),  # full-width letter
        ("a" * 63 + ".org", "a" * 63 + ".org"),
    ],
)
def test_one_form_for_every_spelling(written: str, canonical: str) -> None:
    assert canonical == canonical_name(written)


@pytest.mark.parametrize(
    "written",
    [
        "",
        ".",
        "..",
        ".example.org",
        "example..org",
        "example.org..",
        "-example.org",
        "a" * 64 + ".org",
        ".".join(["a" * 60] * 5),
        "exam ple.org",
        "example.org\n",
        "example.org\r\nMAIL",
        "example\0.org",
        "a\\046b.org",
        "a/b.org",
        "a@b.org",
        "[192.0.2.1]",
        "xn--\u00fc.example",
        "xn--a.example",  # decodes to nothing
        "xn--BCHER-KVA1.example",
        "xn--strasse-.example",
        "\u202eexample.org",  # right-to-left override
        "\ud800.org",
        "a.\u00ad.org",  # nothing is left of the label
    ],
)
def test_what_is_no_host_name_has_no_form(written: str) -> None:
    with pytest.raises(InvalidName):
        canonical_name(written)


@given(st.text(max_size=80))
def test_the_form_is_safe_and_final(written: str) -> None:
    """Whatever is written: refused, or ASCII that is its own canonical form."""
    try:
        canonical = canonical_name(written)
    except InvalidName:
        return

    assert canonical == canonical_name(canonical)
    assert set(canonical) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")
