"""
What the test authority issues, OpenSSL accepts; what is meant to be wrong, it does not.
"""

import subprocess
from pathlib import Path

from tests.partners.ca import CertificateAuthority
from tests.partners.program import find_program


def verify(authority: CertificateAuthority, certificate_file: Path, name: str) -> str:
    command = ["verify", "-CAfile", authority.ca_file, "-verify_hostname", name, certificate_file]
    done = subprocess.run(
        [find_program("openssl"), *map(str, command)], capture_output=True, timeout=20, check=False
    )
    return (done.stdout + done.stderr).decode()


def test_openssl_agrees(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    good = authority.issue("mail.example.test", "*.example.org")
    old = authority.issue("mail.example.test", expired=True)

    assert verify(authority, good.certificate_file, "mail.example.test").endswith("OK\n")
    assert verify(authority, good.certificate_file, "any.example.org").endswith("OK\n")
    assert "hostname mismatch" in verify(authority, good.certificate_file, "other.example.test")
    assert "certificate has expired" in verify(authority, old.certificate_file, "mail.example.test")
