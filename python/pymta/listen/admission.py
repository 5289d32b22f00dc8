"""
How many connections there are, in all and by address.
"""

from pymta._core import Reply
from pymta.config.settings.limits import LimitsSettings
from pymta.runtime.board import Board

__all__ = ["Admission"]

_TOO_MANY = Reply(421, "4.3.2", "too many connections, try again later")
_TOO_MANY_OF_YOURS = Reply(421, "4.7.0", "too many connections from your address")


class Admission:
    """
    How many connections there are, in all and by address; shared by all doors.

    Args:
        board: Counts those of all workers together, where there are several.
    """

    __slots__ = ("_board", "_by_address", "total")

    def __init__(self, board: Board | None = None) -> None:
        self._board = board
        self.total = 0
        self._by_address: dict[str, int] = {}

    def enter(self, address: str, limits: LimitsSettings, *, trusted: bool) -> Reply | None:
        """Count a connection; the reply that refuses it where it is one too many (`leave` is to be called anyway)."""
        self.total += 1
        mine = self._by_address.get(address, 0) + 1
        self._by_address[address] = mine
        total = self.total
        if self._board is not None:
            total, mine = self._board.add(address, 1)
        if total > limits.connections_max:
            return _TOO_MANY
        if mine > limits.connections_per_address_max and not trusted:
            return _TOO_MANY_OF_YOURS
        return None

    def leave(self, address: str) -> None:
        """A counted connection is gone."""
        self.total -= 1
        if self._board is not None:
            self._board.add(address, -1)
        left = self._by_address[address] - 1
        if left:
            self._by_address[address] = left
        else:
            del self._by_address[address]
