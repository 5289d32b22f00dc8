"""
The Debian packages whose programs the tests talk to: install those that are missing, or name them.

Not a configuration of any of them: every test starts instances of its own, so nothing installed here is to run as a
service, and nothing is started.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# A program that a test starts, and the package it comes from.
PACKAGES = {
    "postfix": "postfix",
    "smtp-source": "postfix",
    "smtp-sink": "postfix",
    "swaks": "swaks",
    "msmtp": "msmtp",
    "curl": "curl",
    "fetchmail": "fetchmail",
    "mpop": "mpop",
    "getmail": "getmail6",
    "mbsync": "isync",
    "offlineimap": "offlineimap3",
    "interimap": "interimap",
    "fail2ban-regex": "fail2ban",
    "faketime": "faketime",
    "knotd": "knot",
    "keymgr": "knot",
    "dovecot": "dovecot-core",
    "lmtp": "dovecot-lmtpd",
    "lmtpd": "cyrus-common",  # cyrus-imapd and dovecot-imapd exclude each other
    "imap": "dovecot-imapd",
    "pop3-login": "dovecot-pop3d",
    "mkfs.xfs": "xfsprogs",
    "maildrop": "maildrop",
    "mutt": "mutt",
    "neomutt": "neomutt",
    "openssl": "openssl",
    "pebble": "pebble",
    "procmail": "procmail",
    "formail": "procmail",
    "strace": "strace",
    "tmux": "tmux",
    "unbound": "unbound",
    "slapd": "slapd",
    "ldapmodify": "ldap-utils",
}
# A module that one of those programs needs and its package only recommends, and the package of the module.
PERL_MODULES = {"Net::SSLeay": "libnet-ssleay-perl"}  # swaks, for TLS
# What the extra `ldap` is built with, below /usr/include, and the package it comes from.
INCLUDES = {"ldap.h": "libldap2-dev", "sasl/sasl.h": "libsasl2-dev"}
POLICY_RC_D = Path("/usr/sbin/policy-rc.d")
SEARCHED = os.pathsep.join(
    [
        os.environ.get("PATH", ""),
        "/usr/local/sbin",
        "/usr/sbin",
        "/sbin",
        "/usr/lib/dovecot",
        "/usr/lib/cyrus/bin",
    ]
)


def missing_packages() -> list[str]:
    """The packages of which a program, module or header is not found, each once, in order of name."""
    missing = {package for program, package in PACKAGES.items() if not shutil.which(program, path=SEARCHED)}
    missing |= {package for module, package in PERL_MODULES.items() if not _has_perl_module(module)}
    missing |= {package for name, package in INCLUDES.items() if not Path("/usr/include", name).exists()}
    # Debian's Python is without its headers until asked for; any other brings them.
    if sys.base_prefix == "/usr" and not Path(sysconfig.get_path("include"), "Python.h").exists():
        missing.add("python3-dev")
    return sorted(missing)


def _has_perl_module(name: str) -> bool:
    perl = shutil.which("perl")
    return (
        perl is not None
        and subprocess.run([perl, f"-M{name}", "-e1"], stderr=subprocess.DEVNULL).returncode == 0
    )


@contextmanager
def services_not_started() -> Iterator[None]:
    """While open, a package that is installed does not start its service (Debian Policy §9.3.3.1)."""
    if POLICY_RC_D.exists():
        yield
        return
    POLICY_RC_D.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    POLICY_RC_D.chmod(0o755)
    try:
        yield
    finally:
        POLICY_RC_D.unlink()


def install(packages: list[str]) -> None:
    """Install *packages* with apt-get, quietly; CalledProcessError where that fails."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with services_not_started():
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
        subprocess.run(
            ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages],
            check=True,
            env=environment,
            stdout=subprocess.DEVNULL,
        )


def main() -> int:
    """0 where nothing is missing any more; else 1, and one line that says what to install."""
    packages = missing_packages()
    if not packages:
        return 0
    names = " ".join(packages)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print(f"the tests need programs that are missing; as root: apt-get install {names}", file=sys.stderr)
        return 1
    print(f"installing what the tests talk to: {names}", flush=True)
    try:
        install(packages)
    except subprocess.CalledProcessError as error:
        print(f"apt-get failed with status {error.returncode} while installing {names}", file=sys.stderr)
        return 1
    left = missing_packages()
    if left:
        print(f"still missing after the installation: {' '.join(left)}", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
