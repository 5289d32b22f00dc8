"""
What `pymta serve` does without a file: a relay, both doors of submission, of POP3 and of IMAP on loopback, that hand everything which is
not for an account of our own to a sink, so that a newcomer sees a message go all the way. Ports as in the README; the
certificate and the account are made at the first start (app/first_start.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from pymta.config.load import Loaded, load_text

__all__ = ["DATA_FOLDER", "TEXT", "load_default"]

DATA_FOLDER: Final = Path(".run")

TEXT: Final = """
[server]
hostname = "mail.example.test"
data_folder = ".run"

[[listeners]]
name = "relay"
address = "127.0.0.1:2525"
trusted_networks = ["127.0.0.0/8"]

[[listeners]]
name = "lmtp"
address = "127.0.0.1:2424"
role = "lmtp"

[[listeners]]
name = "submission"
address = "127.0.0.1:2587"
role = "submission"
tls = "starttls"
certificate_file = ".run/tls/certificate.pem"
key_file = ".run/tls/key.pem"

[[listeners]]
name = "submissions"
address = "127.0.0.1:2465"
role = "submission"
tls = "implicit"
certificate_file = ".run/tls/certificate.pem"
key_file = ".run/tls/key.pem"

[[listeners]]
name = "pop3"
address = "127.0.0.1:2110"
role = "pop3"
tls = "starttls"
certificate_file = ".run/tls/certificate.pem"
key_file = ".run/tls/key.pem"

[[listeners]]
name = "pop3s"
address = "127.0.0.1:2995"
role = "pop3"
tls = "implicit"
certificate_file = ".run/tls/certificate.pem"
key_file = ".run/tls/key.pem"

[[listeners]]
name = "imap"
address = "127.0.0.1:2143"
role = "imap"
tls = "starttls"
certificate_file = ".run/tls/certificate.pem"
key_file = ".run/tls/key.pem"

[[listeners]]
name = "imaps"
address = "127.0.0.1:2993"
role = "imap"
tls = "implicit"
certificate_file = ".run/tls/certificate.pem"
key_file = ".run/tls/key.pem"

[directory]
postmaster = "user@example.test"

[[routes]]
domain = "*"
next_hops = ["127.0.0.1:2526"]
tls = "none"

[sink]
address = "127.0.0.1:2526"

[http]
address = "127.0.0.1:2580"
"""


def load_default(data_folder: Path | None = None) -> Loaded:
    """The embedded default, with its data in *data_folder* or in `.run` of the current folder."""
    if data_folder is None:
        return load_text(TEXT, base=Path.cwd())
    # JSON quotes a path as TOML does.
    folder = json.dumps(str(data_folder.absolute()))[1:-1]
    return load_text(TEXT.replace('".run', f'"{folder}'), base=Path.cwd())
