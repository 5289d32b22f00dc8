"""
The certificate fits the name asked for, is replaced while running, and a bad file changes nothing.
"""

import os
import ssl
import subprocess
from pathlib import Path

import pytest

from pymta.tls import CertificateError, CertificateFiles, ServerTls, verifying_context, whoever_context
from tests.partners.ca import CertificateAuthority, Issued
from tests.tls.conftest import shake_hands


def files(issued: Issued, *names: str) -> CertificateFiles:
    return CertificateFiles(issued.certificate_file, issued.key_file, names)


def test_a_client_that_trusts_the_authority_is_satisfied(authority: CertificateAuthority) -> None:
    tls = ServerTls((files(authority.issue("mail.example.test")),))

    done = shake_hands(tls.context, verifying_context(authority.ca_file), "mail.example.test")

    assert ({"mail.example.test"}, "TLSv1.3") == (done.names, done.version)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # the version is deprecated, which is the point
def test_a_client_without_tls_1_2_is_refused(authority: CertificateAuthority) -> None:
    tls = ServerTls((files(authority.issue("mail.example.test")),))
    old = whoever_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_1

    with pytest.raises(ssl.SSLError, match=r"(?i)version|protocol"):
        shake_hands(tls.context, old, "mail.example.test")


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("one.example.test", "one.example.test"),
        ("two.example.test", "two.example.test"),
        ("TWO.example.test", "two.example.test"),
        ("any.three.example.test", "*.three.example.test"),
        ("a.b.three.example.test", "one.example.test"),
        ("unknown.example.test", "one.example.test"),
        (None, "one.example.test"),
        (b"a/../../etc/passwd", "one.example.test"),
        (b"/", "one.example.test"),
        (b"*.three.example.test", "*.three.example.test"),
        ("a" * 63, "one.example.test"),
    ],
)
def test_the_certificate_is_that_of_the_name_asked_for(
    authority: CertificateAuthority, asked: str | bytes | None, shown: str
) -> None:
    names = ["one.example.test", "two.example.test", "*.three.example.test"]
    tls = ServerTls(tuple(files(authority.issue(name), name) for name in names))
    client = verifying_context(authority.ca_file)
    client.check_hostname = False

    assert {shown} == shake_hands(tls.context, client, asked).names


def test_a_renewed_certificate_is_shown_without_a_new_context(authority: CertificateAuthority) -> None:
    issued = authority.issue("mail.example.test")
    tls = ServerTls((files(issued),))
    context = tls.context
    client = verifying_context(authority.ca_file)
    before = shake_hands(context, client, "mail.example.test").certificate
    assert not tls.reload_if_changed()

    authority.issue("mail.example.test", replacing=issued)

    assert tls.reload_if_changed()
    assert before != shake_hands(context, client, "mail.example.test").certificate
    assert not tls.reload_if_changed()


def test_a_half_done_renewal_changes_nothing_and_is_said(authority: CertificateAuthority) -> None:
    issued = authority.issue("mail.example.test")
    tls = ServerTls((files(issued),))
    client = verifying_context(authority.ca_file)
    before = shake_hands(tls.context, client, "mail.example.test").certificate
    other = authority.issue("mail.example.test")

    issued.certificate_file.write_bytes(other.certificate_file.read_bytes())
    with pytest.raises(CertificateError, match="key values mismatch"):
        tls.reload_if_changed()
    assert before == shake_hands(tls.context, client, "mail.example.test").certificate

    issued.key_file.write_bytes(other.key_file.read_bytes())
    assert tls.reload_if_changed()
    assert before != shake_hands(tls.context, client, "mail.example.test").certificate


def test_a_file_that_is_gone_is_said_by_its_name(authority: CertificateAuthority) -> None:
    issued = authority.issue("mail.example.test")
    tls = ServerTls((files(issued),))
    issued.key_file.unlink()

    with pytest.raises(CertificateError, match="No such file") as caught:
        tls.reload_if_changed()
    assert issued.key_file == caught.value.file


@pytest.mark.parametrize(
    "content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "certificate.pem"
    file.write_bytes(content)

    with pytest.raises(CertificateError):
        ServerTls((CertificateFiles(file),))


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    """OpenSSL would ask on the terminal, and a daemon would wait for an answer that nobody gives."""
    issued = authority.issue("mail.example.test")
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "pkey", "-in", issued.key_file, "-aes128", "-passout", "pass:secret", "-out", locked],
        check=True,
        capture_output=True,
        timeout=20,
    )

    with pytest.raises(CertificateError):
        ServerTls((CertificateFiles(issued.certificate_file, locked),))


def test_key_and_certificate_may_be_in_one_file(authority: CertificateAuthority) -> None:
    issued = authority.issue("mail.example.test")
    both = issued.certificate_file.with_name("both.pem")
    both.write_bytes(issued.key_file.read_bytes() + issued.certificate_file.read_bytes())
    os.utime(both)

    tls = ServerTls((CertificateFiles(both),))

    assert {"mail.example.test"} == shake_hands(
        tls.context, verifying_context(authority.ca_file), "mail.example.test"
    ).names
