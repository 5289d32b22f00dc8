"""
Let clients on a list relay to anywhere, and everybody else only to our own domains.

The list is a file beside this one, `relay_clients.txt`: a network or an address on each line, `#` for comments. Edit it
and run `pymta reload`. A network that never changes is better put into `trusted_networks` of the listener; this is for
lists that a program writes, or that depend on more than the address.
"""

import ipaddress
from pathlib import Path

from pymta.policy import Session

LIST = Path(__file__).with_name("relay_clients.txt")


def read_networks(path: Path) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [ipaddress.ip_network(line) for line in lines if line]


# Read once, when the script is loaded: a mistake in the file refuses the reload, and the old list stays in force.
NETWORKS = read_networks(LIST)


def connect(session: Session) -> None:
    peer = ipaddress.ip_address(session.peer_address)
    if any(peer in network for network in NETWORKS):
        session.trusted = True
        session.tag(relay="allow-list")
