"""
What a run of the load generator is to be. Values only; made by the command line or by a test.
"""

from typing import Final, Literal

import msgspec

from pymta.load.pattern import AddressPattern
from pymta.load.sizes import Sizes

__all__ = ["Plan"]

MESSAGES_MAX: Final = 1_000_000_000
DURATION_S_MAX: Final = 7 * 86_400
CONNECTIONS_MAX: Final = 10_000
RECIPIENTS_MAX: Final = 10_000
RATE_PER_S_MAX: Final = 1_000_000
# Each connection holds the message that it sends.
MEMORY_OCTETS_MAX: Final = 2 * 1024 * 1024 * 1024


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """
    What to do.

    Raises:
        ValueError: It cannot be done, with one line that says why.
    """

    host: str
    """An IP address."""
    port: int
    connections: int = 10
    messages_max: int | None = 1000
    """None: as many as *duration_s* has time for."""
    duration_s: float | None = None
    rate_per_s: float | None = None
    """Open loop: a message is due so often, whether or not the server keeps up. None: closed loop, as fast as it does."""
    messages_per_connection: int | None = None
    """None: connections are kept."""
    sizes: Sizes = msgspec.field(default_factory=lambda: Sizes("4096"))
    recipients: int = 1
    reverse_path: AddressPattern = msgspec.field(
        default_factory=lambda: AddressPattern("load@load.example.test")
    )
    forward_path: AddressPattern = msgspec.field(
        default_factory=lambda: AddressPattern("reader{r}@sink.example.test")
    )
    tls: Literal["none", "starttls", "implicit"] = "none"
    lmtp: bool = False
    hello_name: str = "load.example.test"
    chunking: bool = False
    """Whether BDAT may be used: then there is no 354 to measure."""
    wait_s_max: float = 60.0
    """How long the server may owe us anything; also how long is waited for what is left when the time is over."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.messages_max is None and self.duration_s is None:
            raise ValueError("a run needs a count of messages or a duration")
        bounds = (
            ("messages", self.messages_max, 1, MESSAGES_MAX),
            ("seconds", self.duration_s, 0.01, DURATION_S_MAX),
            ("connections", self.connections, 1, CONNECTIONS_MAX),
            ("messages a second", self.rate_per_s, 0.001, RATE_PER_S_MAX),
            ("messages a connection", self.messages_per_connection, 1, MESSAGES_MAX),
            ("recipients", self.recipients, 1, RECIPIENTS_MAX),
            ("seconds to wait", self.wait_s_max, 0.1, 3600),
        )
        for what, value, least, most in bounds:
            if value is not None and not least <= value <= most:
                raise ValueError(f"expected from {least:g} to {most:g} {what}, got {value:g}")
        if self.connections * self.sizes.octets_max > MEMORY_OCTETS_MAX:
            raise ValueError(
                f"{self.connections} connections with messages of {self.sizes.octets_max} octets need more than "
                f"{MEMORY_OCTETS_MAX} octets of memory: use fewer or smaller ones"
            )
        if self.forward_path.is_null:
            raise ValueError("expected an address to send to, got <>")

    @property
    def opens_on_demand(self) -> bool:
        """
        Open loop with a connection for each message: the connection is part of what is measured, so it is opened when
        the message is due. All other connections are opened before.
        """
        return self.rate_per_s is not None and self.messages_per_connection == 1

    @property
    def connections_prepared(self) -> int:
        """
        How many connections are made before the first message, so that the run has as many as asked for from its begin.

        0 where connections are made and left as messages go.
        """
        if self.messages_per_connection is not None and (self.rate_per_s is None or self.opens_on_demand):
            return 0
        return self.connections if self.messages_max is None else min(self.connections, self.messages_max)
