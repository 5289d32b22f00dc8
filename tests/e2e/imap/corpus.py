"""
Mail on which servers differ: what writers of mail do, what standards allow, and what nobody should send.

With LF lines, as a Maildir has it.
"""

import base64
import random

SIMPLE = b"From: Ann <ann@example.net>\nTo: bob@example.org\nSubject: hello\nMessage-ID: <1@example.net>\n"

# Each begins with a header field that no other has, so a difference tells where it is.
MESSAGES = [
    SIMPLE + b"Date: Mon, 2 Nov 2026 10:00:01 +0100\n\nhello world\nsecond line\n",
    SIMPLE + b"\nno date, no line end",
    b"Subject: only this\n\n",
    b"From: a@b\nSubject: no body and no empty line\n",
    b'From: "Joe Q. Public" <john.q.public@example.com>\nTo: Mary Smith <mary@x.test>, jdoe@example.org, Who? '
    b'<one@y.test>\nCc: <boss@nil.test>, "Giant; \\"Big\\" Box" <sysservices@example.net>\n'
    b"Date: Tue, 1 Jul 2003 10:52:37 +0200\nMessage-ID: <5678.21-Nov-1997@example.com>\n\nHi everyone.\n",
    b"From: Pete <pete@silly.example>\nTo: A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;\n"
    b"Cc: Undisclosed recipients:;\nDate: Thu, 13 Feb 1969 23:32:54 -0330\nMessage-ID: <testabcd.1234@silly.example>\n\n"
    b"Testing.\n",
    b"From: =?utf-8?Q?J=C3=BCrgen_M=C3=BCller?= <jm@example.net>\nTo: =?iso-8859-1?B?SvZyZw==?= <j@example.org>\n"
    b"Subject: =?utf-8?B?R3LDvMOfZSBhdXMgS8O2bG4=?=\nDate: Wed, 3 Jan 2024 08:00:00 +0000\n\nText\n",
    b"From: R <r@example.net>\nSender: S <s@example.net>\nReply-To: T <t@example.net>, u@example.net\n"
    b"Bcc: v@example.net\nIn-Reply-To: <1@example.net>\nReferences: <0@example.net> <1@example.net>\n"
    b"Message-ID: <2@example.net>\nSubject: Re: hello\nDate: Mon, 2 Nov 2026 11:00:00 +0100\n\nanswer\n",
    b"Subject: folded\n  over\n\tthree lines\nFrom: x@example.net (Comment \\) Name)\nDate: 21 Nov 97 09:55:06 GMT\n\nx\n",
    b"Subject: \nFrom:\nTo: \nDate: not a date\n\nempty fields\n",
    b'Subject: "quotes" and \\backslash\\\nMessage-ID: <"a \\" b"@example.net>\n\nx\n',
    b"Content-Type: text/html; charset=UTF-8\nContent-Transfer-Encoding: quoted-printable\nSubject: html\n\n"
    b"<html><body><p>Gr=C3=BC=C3=9Fe, =\nworld</p></body></html>\n",
    b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\nSubject: base64\n\n"
    b"R3LDvMOfZSBhdXMgS8O2bG4K\n",
    b'MIME-Version: 1.0\nSubject: mixed\nContent-Type: multipart/mixed; boundary="=_x"\n\npreamble\n--=_x\n'
    b"Content-Type: text/plain; charset=us-ascii; format=flowed\n\nthe text\nof two lines\n--=_x\n"
    b'Content-Type: application/pdf; name="a b.pdf"\nContent-Disposition: attachment; filename="a b.pdf"; size=3\n'
    b"Content-Transfer-Encoding: base64\nContent-ID: <id@x>\nContent-Description: a file\nContent-MD5: Q2hlY2s=\n"
    b"Content-Language: en, de\nContent-Location: http://example.net/\n\nQUJD\n--=_x--\nepilogue\n",
    b"MIME-Version: 1.0\nSubject: alternative in mixed\nContent-Type: multipart/mixed; boundary=a\n\n--a\n"
    b"Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\nplain\n--b\n"
    b"Content-Type: text/html\n\n<p>html</p>\n--b--\n\n--a\nContent-Type: image/png; name=x.png\n"
    b"Content-Transfer-Encoding: base64\nContent-Disposition: inline\n\niVBORw0KGgo=\n--a--\n",
    b"MIME-Version: 1.0\nSubject: forwarded\nContent-Type: multipart/mixed; boundary=a\n\n--a\n\nsee below\n--a\n"
    b"Content-Type: message/rfc822\nContent-Description: the other\n\nFrom: Q <q@example.net>\nSubject: inner\n"
    b"Date: Fri, 21 Nov 1997 09:55:06 -0600\nMessage-ID: <inner@example.net>\n\ninner text\n--a\n"
    b"Content-Type: message/rfc822\n\nSubject: inner two\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--i\n"
    b"Content-Type: text/html\n\ntwo\n--i--\n--a--\n",
    b"Content-Type: message/rfc822\nSubject: outer\n\nSubject: all of it\nFrom: z@example.net\n\ninner body\n",
    b"Subject: digest\nContent-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: one\n\nfirst\n--d\n\n"
    b"Subject: two\n\nsecond\n--d--\n",
    b"Subject: report\nContent-Type: multipart/report; report-type=delivery-status; boundary=r\n\n--r\n\nsorry\n--r\n"
    b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nAction: failed\n\n--r\n"
    b"Content-Type: text/rfc822-headers\n\nSubject: lost\n--r--\n",
    b"Subject: long name\nContent-Type: application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20;\n"
    b' title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2="isn\'t it!"\n'
    b"Content-Disposition: attachment; filename*=utf-8''%e2%82%ac%20rates.txt\n\nx\n",
    b"Subject: comment\nContent-Type: text/plain; charset=us-ascii (Plain text)\nContent-Transfer-Encoding: 8BIT\n\nx\n",
    b"Subject: no boundary\nContent-Type: multipart/mixed\n\n--x\n\nlost\n--x--\n",
    b"Subject: unclosed\nContent-Type: multipart/mixed; boundary=u\n\n--u\n\nfirst\n--u\nContent-Type: text/html\n\n"
    b"second, without an end\n",
    b"Subject: wrong type\nContent-Type: garbage\n\nx\n",
    b"Subject: old uuencode\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: x-uuencode\n\nbegin\n",
    b"Subject: twice\nSubject: again\nFrom: first@example.net\nFrom: second@example.net\nTo: a@x\nTo: b@x\n\nx\n",
    b"From: root\nTo: just a name, a@b, <c>, @d, e@\nSubject: careless addresses\n\nx\n",
    b"From: <@a.example,@b.example:c@d.example>\nTo: a . b @ c . d\nSubject: obsolete\nDate: Fri, 21 Nov 97 09(c):55:06 EST\n\n"
    b"x\n",
    b"Received: from a by b; Mon, 2 Nov 2026 10:00:00 +0000\nX-Long: "
    + b"x" * 3000
    + b"\nSubject: long header\n\nx\n",
    b"Subject: many lines\n\n" + b"0123456789 a line of some length to be read in pieces\n" * 5000,
    b"Subject: =?utf-8?Q?Re:_hello?=\nIn-Reply-To: <2@example.net>\nMessage-ID: <3@example.net>\n"
    b"Date: Mon, 2 Nov 2026 12:00:00 +0100\nFrom: Carl <carl@example.net>\n\nx\n",
    b"Subject: [list] Fwd: hello (fwd)\nReferences: <missing@example.net>\nMessage-ID: <4@example.net>\n"
    b"Date: Mon, 2 Nov 2026 13:00:00 +0100\nFrom: dora@example.net\n\nx\n",
    b"Subject: elsewhere\nReferences: <missing@example.net>\nMessage-ID: <5@example.net>\n"
    b"Date: Mon, 2 Nov 2026 09:00:00 +0100\nFrom: Emil <emil@example.net>\n\nx\n",
]

WORDS = ["alpha", "beta", "gamma", "delta", "hello", "world", "report", "invoice", "meeting", "notes"]
NAMES = ["Ann", "bob", "Carl", "Dora", "Emil", "Zoe"]


def conversation(seed: int, count: int) -> list[bytes]:
    """Mail of a few people who answer each other, some of it lost, some without a date."""
    chance = random.Random(seed)
    sent: list[tuple[str, str, list[str]]] = []
    found = []
    for number in range(count):
        own = f"c{seed}.{number}@example.net"
        references: list[str] = []
        subject = " ".join(chance.sample(WORDS, 2))
        if sent and chance.random() < 0.7:
            parent, its_subject, its_references = chance.choice(sent)
            references = [*its_references, parent][-chance.randint(1, 8) :]
            subject = chance.choice(["Re: ", "RE: [x] ", "Fwd: ", "", "aw: "]) + its_subject
        sent.append((own, subject.removeprefix("Re: "), references))
        if chance.random() < 0.2:
            continue  # lost
        name = chance.choice(NAMES)
        fields = [
            f"From: {name} <{name.lower()}{chance.randint(1, 3)}@example.net>",
            f"To: {chance.choice(NAMES)}@example.org",
            f"Subject: {subject}",
            f"Message-ID: <{own}>",
        ]
        if chance.random() < 0.3:
            fields.append(f"Cc: {chance.choice(NAMES)} <cc{chance.randint(1, 9)}@example.org>")
        if chance.random() < 0.9:
            fields.append(
                f"Date: {chance.randint(1, 28)} Nov 2026 {chance.randint(0, 23):02}:{chance.randint(0, 59):02}:00 "
                f"{chance.choice(['+0000', '+0100', '-0800', '+0530'])}"
            )
        if references and chance.random() < 0.8:
            fields.append("References: " + " ".join(f"<{each}>" for each in references))
        elif references:
            fields.append(f"In-Reply-To: <{references[-1]}>")
        body = "\n".join(" ".join(chance.sample(WORDS, 3)) for _ in range(chance.randint(1, 20)))
        found.append("\n".join([*fields, "", body, ""]).encode())
    return found


def random_message(chance: random.Random) -> bytes:
    """A message of random parts and header fields, such as honest programs write."""
    fields = [f"Subject: {random_text(chance)}", f"From: {random_addresses(chance)}"]
    for name in ("To", "Cc", "Sender", "Reply-To"):
        if chance.random() < 0.5:
            fields.append(f"{name}: {random_addresses(chance)}")
    chance.shuffle(fields)
    return ("\n".join(fields) + "\n" + random_part(chance, 3)).encode()


def random_text(chance: random.Random) -> str:
    """A field's text, perhaps with encoded words."""
    words = [
        *WORDS,
        "=?utf-8?Q?gr=C3=BCn?=",
        "=?iso-8859-1?Q?=E9t=E9?=",
        '"quoted"',
        "(x)",
        "a\\b",
        "[list]",
        "Re:",
    ]
    return " ".join(chance.sample(words, chance.randint(1, 4)))


def random_addresses(chance: random.Random) -> str:
    """A list of addresses in their usual forms."""
    forms = [
        "{n}@example.net",
        "{n} <{n}@example.net>",
        '"{n}, {n}." <{n}@example.net>',
        "{n}@example.net ({n})",
    ]
    forms += [
        "=?utf-8?Q?=C3=84{n}?= <{n}@example.net>",
        "<{n}@sub.example.net>",
        "team: {n}@x.example, b@y.example;",
    ]
    forms += ['"{n} x"@example.net', "{n}@[127.0.0.1]", "{n} ({n}) <{n}@example.net>", "empty:;"]
    count = chance.randint(1, 3)
    return ", ".join(chance.choice(forms).format(n=chance.choice(NAMES)) for _ in range(count))


def random_part(chance: random.Random, depth: int) -> str:
    """Header fields about a part, an empty line and its body."""
    kind = chance.choice(
        ["text", "text", "file", "multipart", "multipart", "message"] if depth else ["text", "file"]
    )
    if kind == "multipart":
        boundary = f"b{chance.randrange(10**6)}"
        parts = [random_part(chance, depth - 1) for _ in range(chance.randint(1, 3))]
        body = "".join(f"--{boundary}\n{part}\n" for part in parts)
        subtype = chance.choice(["mixed", "alternative", 'related; type="text/html"'])
        preamble = chance.choice(["", "for those without MIME\n"])
        return (
            f'Content-Type: multipart/{subtype};\n boundary="{boundary}"\n\n{preamble}{body}--{boundary}--\n'
        )
    if kind == "message":
        inner = (
            random_message(chance).decode()
            if chance.random() < 0.5
            else f"Subject: in\n{random_part(chance, 0)}"
        )
        return f"Content-Type: message/rfc822\n\n{inner}"
    fields = []
    if kind == "file":
        name = chance.choice(["a.png", "b c.png", "=?utf-8?Q?=C3=A4.png?=", "d;e.png"])
        fields.append(f'Content-Type: image/png; name="{name}"')
        fields.append(f'Content-Disposition: {chance.choice(["inline", "attachment"])}; filename="{name}"')
        fields.append("Content-Transfer-Encoding: base64")
    else:
        charset = chance.choice(["", "; charset=utf-8", "; format=flowed; charset=us-ascii"])
        fields.append(f"Content-Type: text/{chance.choice(['plain', 'html', 'x-own'])}{charset}")
        if chance.random() < 0.3:
            fields.append(f"Content-Transfer-Encoding: {chance.choice(['7bit', 'quoted-printable'])}")
    for field in ("Content-ID: <x@y>", "Content-Description: some words", "Content-Language: de"):
        if chance.random() < 0.2:
            fields.append(field)
    lines = [random_text(chance) for _ in range(chance.randint(0, 4))]
    if kind == "file":  # Dovecot hangs up where base64 is none
        lines = base64.encodebytes("\n".join(lines).encode()).decode().splitlines()
    return "\n".join([*fields, "", *lines]) + chance.choice(["", "\n"])
