"""
DSNs have the structure that RFC 3464 and RFC 6522 ask for, go to those who asked for them, and never cause another.
"""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta._core import Envelope, Recipient, Reply
from pymta.report import ACTIONS, Action, Fate, ReportSettings, compose_dsn, is_wanted
from tests.report.samples import (
    CONTENT,
    NOW_MS,
    SETTINGS,
    Spooled,
    dsn_of,
    fate,
    parsed,
    part_octets,
    parts_of,
    spooled,
    status_of,
)


def test_a_dsn_is_a_multipart_report_of_three_parts() -> None:
    """RFC 6522 §3: text, status, returned message."""
    message = parsed(dsn_of(spooled()))

    assert "multipart/report" == message.get_content_type()
    assert "delivery-status" == message.get_param("report-type")
    assert ["text/plain", "message/delivery-status", "message/rfc822"] == [
        part.get_content_type() for part in message.iter_parts()
    ]


def test_a_dsn_says_that_no_person_wrote_it_and_goes_back_to_the_author() -> None:
    """RFC 3464 §2, RFC 3834 §5."""
    message = parsed(dsn_of(spooled()))

    assert "auto-replied" == message["Auto-Submitted"]
    assert "Mail Delivery System <postmaster@mx.example.test>" == message["From"]
    assert "author@example.test" == message["To"]
    assert "Mon, 23 Nov 2026 09:21:00 +0000" == message["Date"]
    assert "<report.0000000000abc.1795425660000@mx.example.test>" == message["Message-ID"]
    assert "<one@example.test>" == message["In-Reply-To"] == message["References"]


def test_its_envelope_has_a_null_reverse_path_and_asks_for_no_dsn() -> None:
    """RFC 3461 §6.1."""
    injection = dsn_of(spooled())

    assert Envelope(None, [Recipient("author@example.test", notify="NEVER")]) == injection.envelope
    assert "dsn failed" == injection.cause


@pytest.mark.parametrize("action", ACTIONS)
def test_a_message_with_a_null_reverse_path_is_never_reported(action: Action) -> None:
    """RFC 5321 §4.5.5, whatever NOTIFY says."""
    eager = Recipient("user@example.org", notify="SUCCESS,FAILURE,DELAY")

    assert None is compose_dsn(
        spooled(eager, reverse_path=None), [fate(action)], settings=SETTINGS, now_ms=NOW_MS
    )


@pytest.mark.parametrize(("first", "second"), list(product(ACTIONS, ACTIONS)))
def test_a_dsn_about_a_dsn_is_impossible(first: Action, second: Action) -> None:
    """Whatever becomes of a DSN, it is reported to nobody; and its recipient would not want it either."""
    eager = Recipient("user@example.org", notify="SUCCESS,FAILURE,DELAY")
    injection = dsn_of(spooled(eager), fate(first))
    again = Spooled(injection.envelope, injection.content)

    assert None is compose_dsn(again, [fate(second)], settings=SETTINGS, now_ms=NOW_MS)
    assert not is_wanted(injection.envelope.recipient(0), second)


WANTED: dict[str | None, set[str]] = {
    None: {"failed", "delayed"},
    "NEVER": set(),
    "FAILURE": {"failed"},
    "DELAY": {"delayed"},
    "SUCCESS": {"delivered", "relayed", "expanded"},
    "SUCCESS,FAILURE": {"failed", "delivered", "relayed", "expanded"},
    "FAILURE,DELAY": {"failed", "delayed"},
    "SUCCESS,DELAY": {"delayed", "delivered", "relayed", "expanded"},
    "SUCCESS,FAILURE,DELAY": set(ACTIONS),
}


@pytest.mark.parametrize(("notify", "action"), list(product(WANTED, ACTIONS)))
def test_notify_decides(notify: str | None, action: Action) -> None:
    """RFC 3461 §4.1, all of the matrix."""
    message = spooled(Recipient("user@example.org", notify=notify))
    injection = compose_dsn(message, [fate(action)], settings=SETTINGS, now_ms=NOW_MS)

    assert (action in WANTED[notify]) == (injection is not None)


def test_only_recipients_that_asked_are_named() -> None:
    """One DSN for several recipients, the gravest first; the silent one is left out."""
    message = spooled(
        Recipient("late@example.org"),
        Recipient("silent@example.org", notify="NEVER"),
        Recipient("done@example.org", notify="SUCCESS"),
        Recipient("gone@example.org"),
    )
    injection = dsn_of(message, fate("delayed", 0), fate("failed", 1), fate("relayed", 2), fate("failed", 3))
    _, *recipients = status_of(injection)

    assert [
        ("rfc822; gone@example.org", "failed"),
        ("rfc822; late@example.org", "delayed"),
        ("rfc822; done@example.org", "relayed"),
    ] == [(group["Final-Recipient"], group["Action"]) for group in recipients]
    assert b"silent" not in injection.content
    assert "Your message could not be delivered" == parsed(injection)["Subject"]


def test_the_status_part_has_the_fields_of_rfc_3464() -> None:
    """Those of the message and those of a failed recipient, with what came by ENVID and ORCPT."""
    message = spooled(
        Recipient("user@example.org", original="rfc822;alias@example.net"), envid="QQ314159", ret="HDRS"
    )

    assert [
        {
            "Original-Envelope-Id": "QQ314159",
            "Reporting-MTA": "dns; mx.example.test",
            "Arrival-Date": "Mon, 23 Nov 2026 08:21:00 +0000",
        },
        {
            "Original-Recipient": "rfc822; alias@example.net",
            "Final-Recipient": "rfc822; user@example.org",
            "Action": "failed",
            "Status": "5.1.1",
            "Remote-MTA": "dns; mx.example.org",
            "Diagnostic-Code": "smtp; 550 5.1.1 no such user",
            "Last-Attempt-Date": "Mon, 23 Nov 2026 09:21:00 +0000",
            "Final-Log-ID": "0000000000abc",
        },
    ] == status_of(dsn_of(message))


def test_a_delay_says_until_when_it_is_tried() -> None:
    """RFC 3464 §2.3.9, and only for a delay."""
    group = status_of(dsn_of(spooled(), fate("delayed")))[1]

    assert "Sat, 28 Nov 2026 08:21:00 +0000" == group["Will-Retry-Until"]
    assert ("delayed", "4.7.1") == (group["Action"], group["Status"])


def test_our_own_diagnosis_is_not_said_to_be_the_remote_hosts() -> None:
    """RFC 3464 §2.3.5 and §2.3.6: nobody was reached."""
    trouble = Reply(451, "4.4.1", "connection timed out")
    group = status_of(dsn_of(spooled(), fate(reply=trouble, host="", is_expired=True)))[1]

    assert "Remote-MTA" not in group
    assert "x-pymta; connection timed out" == group["Diagnostic-Code"]
    assert "4.4.1" == group["Status"]


@pytest.mark.parametrize(
    ("action", "reply", "is_expired", "expected"),
    [
        ("failed", Reply(550, None, "no"), False, "5.0.0"),
        ("failed", Reply(451, None, "no"), True, "4.4.7"),
        ("failed", Reply(451, "4.2.2", "full"), True, "4.2.2"),
        ("delayed", Reply(421, None, "no"), False, "4.0.0"),
        ("relayed", Reply(250, None, "ok"), False, "2.0.0"),
        ("delivered", Reply(250, "2.1.5", "ok"), False, "2.1.5"),
    ],
)
def test_every_recipient_has_a_status_of_the_right_class(
    action: Action, reply: Reply, is_expired: bool, expected: str
) -> None:
    """RFC 3464 §2.3.4: a remote host that gives no enhanced code still gets one."""
    assert expected == fate(action, reply=reply, is_expired=is_expired).status


def test_a_thousand_recipients_are_all_in_the_status_and_some_in_the_text() -> None:
    """The readable part stays readable."""
    message = spooled(*(f"user{number}@example.org" for number in range(1000)))
    injection = dsn_of(message, *(fate(index=index) for index in range(1000)))
    text = part_octets(injection)[0]

    assert 1001 == len(status_of(injection))
    assert SETTINGS.text_recipients_max == text.count(b"@example.org>")
    assert b"and 980 more" in text


# ---- what is returned ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ret", "action", "expected"),
    [
        ("FULL", "failed", "message/rfc822"),
        (None, "failed", "message/rfc822"),
        ("HDRS", "failed", "text/rfc822-headers"),
        ("FULL", "delayed", "text/rfc822-headers"),
        ("FULL", "relayed", "text/rfc822-headers"),
    ],
)
def test_ret_decides_how_much_is_returned(ret: str | None, action: Action, expected: str) -> None:
    """RFC 3461 §4.3: RET is about failures; else the header section."""
    message = spooled(Recipient("user@example.org", notify="SUCCESS,FAILURE,DELAY"), ret=ret)

    assert expected == parts_of(dsn_of(message, fate(action)))[2].get_content_type()


def awkward() -> list[bytes]:
    """Contents that a composer would be tempted to correct."""
    return [
        CONTENT,
        CONTENT.removesuffix(b"\r\n"),
        b"\r\n",
        b"",
        b"no header section at all\r\n",
        b"Subject: x\r\n\r\n--=_report_0000000000abc_0--\r\n",
        b"Subject: x\r\n\r\nFrom the start\r\n.\r\n..\r\n \r\n\r\n\r\n",
        "Subject: ü\r\n\r\nüber\r\n".encode("latin-1"),
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nopen",
        b"Subject: x\r\n\r\n" + b"l" * 5000 + b"\r\n",
    ]


@pytest.mark.parametrize("octets", awkward())
def test_what_is_returned_is_octet_for_octet_what_was_received(octets: bytes) -> None:
    """However awkward; and the declared body type fits (RFC 6152)."""
    injection = dsn_of(spooled(octets=octets, body="8BITMIME"))

    assert octets == part_octets(injection)[2]
    assert ("7BIT" if octets.isascii() else "8BITMIME") == injection.envelope.body
    part = parts_of(injection)[2]
    assert ("7bit" if octets.isascii() else "8bit") == part.get("Content-Transfer-Encoding", "7bit")


def test_a_large_message_is_returned_as_its_header_section() -> None:
    """*content_octets_max* bounds what a forged reverse-path gets from us."""
    settings = ReportSettings(reporting_mta="mx.example.test", content_octets_max=len(CONTENT))
    exact = dsn_of(spooled(ret="FULL"), settings=settings)
    large = dsn_of(spooled(ret="FULL", octets=CONTENT + b"x\r\n"), settings=settings)

    assert CONTENT == part_octets(exact)[2]
    assert CONTENT.partition(b"\r\n\r\n")[0] + b"\r\n" == part_octets(large)[2]


@pytest.mark.parametrize(("octets_max", "expected"), [(100, b"A: 1\r\n"), (5, b""), (6, b"A: 1\r\n")])
def test_a_large_header_section_is_cut_after_a_line(octets_max: int, expected: bytes) -> None:
    """Bounded, and still made of lines."""
    settings = ReportSettings(reporting_mta="mx.example.test", content_octets_max=octets_max)
    message = spooled(octets=b"A: 1\r\nB: " + b"x" * 500 + b"\r\n\r\nbody\r\n")

    assert expected == part_octets(dsn_of(message, settings=settings))[2]


def test_octets_that_are_not_lines_are_not_put_between_lines() -> None:
    """BINARYMIME and stray CR, LF and NUL: the header section only, encoded if need be (outbound smuggling)."""
    binary = dsn_of(spooled(body="BINARYMIME"))
    stray = dsn_of(spooled(octets=b"A: 1\nB: 2\0\r\n\r\nbody\r\n"))

    assert "text/rfc822-headers" == parts_of(binary)[2].get_content_type()
    part = parts_of(stray)[2]
    assert "base64" == part["Content-Transfer-Encoding"]
    assert b"A: 1\nB: 2\0\r\n" == part.get_payload(decode=True)
    for injection in (binary, stray):
        assert (
            injection.content.count(b"\r\n")
            == injection.content.count(b"\n")
            == injection.content.count(b"\r")
        )


# ---- beyond ASCII --------------------------------------------------------------------------------------------------


def test_addresses_beyond_ascii_are_reported_in_utf_8() -> None:
    """RFC 6533 §4 and §5: the global types, SMTPUTF8 in the envelope, the address type utf-8."""
    octets = "From: ü@example.test\r\nSubject: grüße\r\n\r\nhello\r\n".encode()
    message = spooled("jürgen@example.org", reverse_path="ü@example.test", octets=octets, smtputf8=True)
    injection = dsn_of(message)

    assert ["text/plain", "message/global-delivery-status", "message/global"] == [
        part.get_content_type() for part in parts_of(injection)
    ]
    assert "utf-8; jürgen@example.org" == status_of(injection)[1]["Final-Recipient"]
    assert (True, "8BITMIME") == (injection.envelope.smtputf8, injection.envelope.body)
    assert "\r\nTo: <ü@example.test>\r\n".encode() in injection.content
    assert octets == part_octets(injection)[2]
    assert "message/global-headers" == parts_of(dsn_of(message, fate("delayed")))[2].get_content_type()


def test_smtputf8_that_was_not_needed_is_not_asked_of_the_next_hop() -> None:
    """A message declared SMTPUTF8 with nothing but ASCII in it can be reported anywhere."""
    injection = dsn_of(spooled(smtputf8=True))

    assert (False, "7BIT") == (injection.envelope.smtputf8, injection.envelope.body)
    assert "message/delivery-status" == parts_of(injection)[1].get_content_type()


def test_a_reply_beyond_ascii_needs_nothing_of_the_next_hop() -> None:
    """It is readable in the text, harmless in the status."""
    injection = dsn_of(spooled(), fate(reply=Reply(550, "5.1.1", "пользователь не найден")))

    assert injection.content.isascii()
    assert "пользователь не найден" in parts_of(injection)[0].get_content()
    assert "smtp; 550 5.1.1 ???????????? ?? ??????" == status_of(injection)[1]["Diagnostic-Code"]


# ---- what strangers say --------------------------------------------------------------------------------------------

EVIL = [
    "no\r\nBcc: victim@example.org\r\n\r\nbuy",
    "no\n\nAction: delivered",
    "no\x00\x1b[31m\x7f\x85",
    "no\u2028Status: 2.0.0\u202e",
    "x" * 4000,
    "x " * 2000,
    "--=_report_0000000000abc_0--",
]


@pytest.mark.parametrize("text", EVIL)
def test_nothing_that_a_stranger_says_leaves_its_field(text: str) -> None:
    """Attacks row 9: the reply, the host's name, ENVID and ORCPT."""
    recipient = Recipient("user@example.org", original=f"rfc822;{text}"[:500])
    message = spooled(recipient, envid=text[:100])
    injection = dsn_of(message, fate(reply=Reply(550, "5.1.1", text), host=text[:300]))
    groups = status_of(injection)
    header_section = injection.content.partition(b"\r\n\r\n")[0]

    assert 2 == len(groups)
    assert ["Original-Envelope-Id", "Reporting-MTA", "Arrival-Date"] == list(groups[0])
    assert [
        "Original-Recipient",
        "Final-Recipient",
        "Action",
        "Status",
        "Remote-MTA",
        "Diagnostic-Code",
        "Last-Attempt-Date",
        "Final-Log-ID",
    ] == list(groups[1])
    assert ("failed", "5.1.1") == (groups[1]["Action"], groups[1]["Status"])
    assert b"Bcc" not in header_section
    assert all(32 <= octet < 127 or octet in b"\r\n\t" for octet in injection.content)
    assert all(len(line) <= 998 for line in injection.content.split(b"\r\n"))
    assert (
        injection.content.count(b"\r\n") == injection.content.count(b"\n") == injection.content.count(b"\r")
    )


@given(said=st.text(), octets=st.binary(max_size=300))
def test_whatever_is_said_and_returned_the_structure_stands(said: str, octets: bytes) -> None:
    """Three parts, one recipient, only pairs of CR and LF; what is returned whole is what was received."""
    injection = dsn_of(spooled(octets=octets), fate(reply=Reply(550, None, said), host=said[:200]))
    body = parts_of(injection)[2]

    assert 2 == len(status_of(injection))
    assert (
        injection.content.count(b"\r\n") == injection.content.count(b"\n") == injection.content.count(b"\r")
    )
    assert b"\0" not in injection.content
    if body.get_content_type() == "message/rfc822":
        assert octets == part_octets(injection)[2]


def test_a_message_id_that_is_none_is_not_repeated() -> None:
    """What goes into our header section is a printable Message-ID or nothing."""
    for field in (b"<a b@c>", b"<a@b> <c@d>", b"<a\x00@b>", b"x", "<ü@b>".encode(), b"<a@b\x0bBcc:x>"):
        octets = b"Message-ID: " + field + b"\r\nSubject: x\r\n\r\n"

        assert "In-Reply-To" not in parsed(dsn_of(spooled(octets=octets)))


def test_a_bare_postmaster_gets_its_report() -> None:
    """The one reverse-path without a domain (RFC 5321 §4.1.1.3)."""
    injection = dsn_of(spooled(reverse_path="postmaster"))

    assert "postmaster@mx.example.test" == parsed(injection)["To"]
    assert "postmaster" == str(injection.envelope.recipient(0).forward_path)


def test_fates_of_no_recipient_make_no_dsn() -> None:
    """Nothing happened that can be told."""
    nothing: list[Fate] = []

    assert None is compose_dsn(spooled(), nothing, settings=SETTINGS, now_ms=NOW_MS)
