"""
Programs that people submit mail with: swaks, msmtp (whose SCRAM is GNU SASL's), curl.

Each is given the same things, gives what it said and whether it was content. None of them checks certificates but by the
authority's file that it is told.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.partners.program import find_program

__all__ = ["Clients", "Sent"]

MESSAGE = "From: {author}\nTo: {forward_path}\nSubject: from {program}\n\nhello\n"
_WAIT_S_MAX = 30


@dataclass(frozen=True)
class Sent:
    """What came of it."""

    ok: bool
    said: str


@dataclass(frozen=True)
class Clients:
    """All of them, set up to reach one server."""

    folder: Path
    """For their files."""
    ca_file: Path
    host: str
    """The name that its certificate is for; it must lead to the server."""
    submission_port: int
    submissions_port: int

    def swaks(
        self,
        account: str,
        password: str,
        forward_path: str,
        *,
        mechanism: str = "PLAIN",
        tls: Literal["starttls", "implicit"],
    ) -> Sent:
        """swaks; it knows PLAIN and LOGIN."""
        implicit = tls == "implicit"
        return self._run(
            "swaks", "--server", "127.0.0.1", "--port", str(self.submissions_port if implicit else self.submission_port),
            "--tlsc" if implicit else "--tls", "--auth", mechanism, "--auth-user", account, "--auth-password", password,
            "--from", account, "--to", forward_path, "--helo", "client.example", "--timeout", "20",
        )  # fmt: skip

    def msmtp(
        self,
        account: str,
        password: str,
        forward_path: str,
        *,
        mechanism: str,
        tls: Literal["starttls", "implicit"],
    ) -> Sent:
        """msmtp; PLAIN, LOGIN, SCRAM-SHA-256 (-PLUS), OAUTHBEARER and EXTERNAL."""
        implicit = tls == "implicit"
        config = self.folder / "msmtprc"
        config.write_text(
            f"account default\nhost 127.0.0.1\nport {self.submissions_port if implicit else self.submission_port}\n"
            f"tls on\ntls_starttls {'off' if implicit else 'on'}\ntls_trust_file {self.ca_file}\n"
            f"tls_host_override {self.host}\nauth {mechanism.lower()}\nuser {account}\nfrom {account}\n"
            f"passwordeval cat {self._secret(password)}\n",
            encoding="utf-8",
        )
        config.chmod(0o600)
        return self._run(
            "msmtp", "-C", str(config), "--debug", forward_path,
            typed=MESSAGE.format(author=account, forward_path=forward_path, program="msmtp"),
        )  # fmt: skip

    def curl(
        self,
        account: str,
        password: str,
        forward_path: str,
        *,
        tls: Literal["starttls", "implicit"],
        options: tuple[str, ...] = (),
    ) -> Sent:
        """curl; it chooses the mechanism unless told, and knows bearer tokens and client certificates."""
        implicit = tls == "implicit"
        port = self.submissions_port if implicit else self.submission_port
        message = self.folder / "message"
        message.write_text(
            MESSAGE.format(author=account, forward_path=forward_path, program="curl").replace("\n", "\r\n")
        )
        return self._run(
            "curl", "-v", "--silent", "--show-error", "--max-time", "20", "--ssl-reqd", "--cacert", str(self.ca_file),
            "--connect-to", f"{self.host}:{port}:127.0.0.1:{port}",
            "--url", f"{'smtps' if implicit else 'smtp'}://{self.host}:{port}",
            "--mail-from", account, "--mail-rcpt", forward_path, "--upload-file", str(message),
            *(("--user", f"{account}:{password}") if password else ()), *options,
        )  # fmt: skip

    def _secret(self, text: str) -> Path:
        file = self.folder / "secret"
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        return file

    def _run(self, program: str, *arguments: str, typed: str = "") -> Sent:
        done = subprocess.run(
            [find_program(program), *arguments],
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_WAIT_S_MAX,
            check=False,
            cwd=self.folder,
        )
        return Sent(done.returncode == 0, done.stdout)
