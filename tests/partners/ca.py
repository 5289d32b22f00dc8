"""
A certificate authority for one test run: issues what a test needs, also certificates that are wrong.

Not for production: keys are without a passphrase and the authority is trusted by nobody but the test.
"""

import datetime
from pathlib import Path
from typing import NamedTuple

import trustme


class Issued(NamedTuple):
    """A certificate with its chain, and its key, both in PEM files."""

    certificate_file: Path
    key_file: Path


class CertificateAuthority:
    """An authority and what it issues, as files under *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self._issued_count = 0
        self.ca_file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca_file)

    def issue(self, *names: str, expired: bool = False, replacing: Issued | None = None) -> Issued:
        """
        A certificate for *names* (host names, IP addresses, `*.example.org`).

        Args:
            expired: It ended yesterday.
            replacing: Write it over these files, as a renewal does.
        """
        yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        leaf = self._authority.issue_cert(
            *names, common_name=names[0], not_after=yesterday if expired else None
        )
        self._issued_count += 1
        issued = replacing or Issued(
            self._folder / f"certificate-{self._issued_count}.pem",
            self._folder / f"key-{self._issued_count}.pem",
        )
        issued.certificate_file.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        issued.key_file.write_bytes(leaf.private_key_pem.bytes())
        return issued
