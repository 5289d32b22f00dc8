"""
What `pymta serve` does without a file: a relay on loopback that hands everything to a sink of its own, so that a
newcomer sees a message go all the way. Ports as in the README.
"""

from __future__ import annotations

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
    loaded = load_text(TEXT, base=Path.cwd())
    return loaded if data_folder is None else loaded.with_data_folder(data_folder)
