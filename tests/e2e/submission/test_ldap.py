"""
Accounts of an LDAP server submit mail: passwords compared here, or the server asked by a bind.
"""

import smtplib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.our_sink import OurSink
from tests.e2e.submission.conftest import AUTH
from tests.partners.ca import CertificateAuthority
from tests.partners.pymta import Pymta, next_hop
from tests.partners.slapd import BASE, FINDER, READER, READER_PASSWORD, Slapd

ALICE = "alice@example.org"
ENTRIES = f"""
dn: uid=alice,{BASE}
objectClass: inetOrgPerson
cn: Alice
sn: Alice
mail: {ALICE}
userPassword: {{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g=
"""


@pytest.mark.parametrize("verify", ["hash", "bind"])
def test_an_account_of_a_directory_elsewhere(
    start_pymta: Callable[..., Pymta],
    our_sink: OurSink,
    authority: CertificateAuthority,
    tmp_path: Path,
    verify: str,
) -> None:
    """Also when the directory was away meanwhile: that is no wrong password, and the client comes back."""
    pytest.importorskip("bonsai", reason="the extra ldap is not installed")
    issued = authority.issue("127.0.0.1")
    (tmp_path / "password").write_text(READER_PASSWORD + "\n")
    with Slapd(tmp_path / "slapd", ENTRIES) as slapd:
        server = start_pymta(
            listeners=[
                {
                    "name": "submissions",
                    "role": "submission",
                    "tls": "implicit",
                    "certificate_file": issued.certificate_file,
                    "key_file": issued.key_file,
                }
            ],
            routes=[next_hop(our_sink.port)],
            auth=AUTH,
            directory={"source": "ldap"},
            ldap={
                "url": slapd.url,
                "verify": verify,
                "bind_dn": READER if verify == "hash" else FINDER,
                "bind_password_file": tmp_path / "password",
                "base_dn": BASE,
                "domains": ["example.org"],
                "remember_s": 0,
                "timeout_s": 2,
            },
        )

        def sent(password: str) -> int:
            """250 where it was taken, else the code of the login that failed."""
            context = ssl.create_default_context(cafile=str(authority.ca_file))
            port = server.ports["submissions"]
            with smtplib.SMTP_SSL("127.0.0.1", port, timeout=20, context=context) as client:
                try:
                    client.login(ALICE, password)
                except smtplib.SMTPAuthenticationError as error:
                    return error.smtp_code
                client.sendmail(ALICE, ["reader@far.example"], f"From: {ALICE}\r\n\r\nhello\r\n")
            return 250

        assert [250, 535] == [sent(password) for password in ("password", "wrong horse")]
        slapd.stop()
        assert 454 == sent("password")
        slapd.start()
        assert 250 == sent("password")

    our_sink.wait(2)
    server.stop()
    assert [ALICE, ALICE] == [event["account"] for event in server.events("auth", outcome="ok")]
    causes = {event["cause"].partition(":")[0] for event in server.events("auth", outcome="failed")}
    assert {"wrong password", "ldap"} == causes
