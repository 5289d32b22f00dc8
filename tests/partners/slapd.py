"""
OpenLDAP's slapd: an LDAP server with entries of the test's own, on a port of its own.

Everything is in one folder: configuration, database, log. Nobody may read passwords but the one who binds as READER.
"""

import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.partners.ports import free_port
from tests.partners.program import Program, find_program
from tests.partners.waiting import wait_until

__all__ = ["BASE", "FINDER", "READER", "READER_PASSWORD", "Slapd"]

BASE = "dc=example,dc=org"
READER, READER_PASSWORD = f"cn=reader,{BASE}", "reads-only"
FINDER = f"cn=finder,{BASE}"
"""With the same password; sees entries without their passwords."""
ROOT_PASSWORD = "changes-all"
_SCHEMAS = ("core", "cosine", "inetorgperson", "misc")
_CONFIG = """
{includes}
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
database mdb
maxsize 10485760
suffix "{base}"
directory {folder}/db
rootdn "cn=root,{base}"
rootpw {root_password}
access to attrs=userPassword by dn.exact="{reader}" read by anonymous auth by * none
access to * by dn.exact="{reader}" read by dn.exact="{finder}" read by * none
"""
_HEAD = """
dn: {base}
objectClass: dcObject
objectClass: organization
o: example
dc: example

dn: {reader}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: {password}

dn: {finder}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: finder
userPassword: {password}
"""


class Slapd:
    """A running server; a context manager that stops it."""

    def __init__(self, folder: Path, ldif: str) -> None:
        """
        Fill it and start it.

        Args:
            folder: Of this instance's own; made where it is missing.
            ldif: Entries below `BASE`, in LDIF.
        """
        (folder / "db").mkdir(parents=True)
        config = folder / "slapd.conf"
        includes = "\n".join(f"include /etc/ldap/schema/{name}.schema" for name in _SCHEMAS)
        config.write_text(
            _CONFIG.format(
                includes=includes,
                folder=folder,
                base=BASE,
                reader=READER,
                finder=FINDER,
                root_password=ROOT_PASSWORD,
            ),
            encoding="utf-8",
        )
        entries = folder / "entries.ldif"
        head = _HEAD.format(base=BASE, reader=READER, finder=FINDER, password=READER_PASSWORD)
        entries.write_text(f"{head.strip()}\n\n{ldif.strip()}\n", encoding="utf-8")
        subprocess.run(
            [find_program("slapadd"), "-f", str(config), "-l", str(entries)],
            check=True,
            capture_output=True,
            timeout=30,
        )
        self.folder = folder
        self.port = free_port()
        self.url = f"ldap://127.0.0.1:{self.port}"
        self._config = config
        self.start()

    def start(self) -> None:
        """(Re)start it, on the port that it had."""
        self.program = Program(
            "slapd", "-d", "0", "-h", self.url, "-f", self._config, output=self.folder / "output"
        )
        self.program.wait_listening(self.port)

    def modify(self, name: str, attribute: str, value: str) -> None:
        """Change an attribute of an entry while it runs, as its administrator would."""
        change = f"dn: {name}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n"
        subprocess.run(
            [find_program("ldapmodify"), "-x", "-H", self.url, "-D", f"cn=root,{BASE}", "-w", ROOT_PASSWORD],
            input=change.encode(),
            check=True,
            capture_output=True,
            timeout=30,
        )

    def stop(self) -> None:
        """Stop it; its data stays."""
        self.program.stop()
        wait_until(lambda: self.program.process.poll() is not None or None, "slapd has ended")

    @staticmethod
    def is_installed() -> bool:
        """Whether there is one to start."""
        return shutil.which("slapd", path="/usr/sbin:/usr/local/sbin:/usr/lib/openldap") is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.program.stop()
