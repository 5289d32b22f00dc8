"""
How large messages are: one size, a range, or a list of either with weights.

    4096        64k        1k-64k        4k:90,100k:9,5M:1

k and M are 1,024 and 1,048,576 octets. A size is that of the whole content, header section included, before any dot is
stuffed.
"""

import re
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from random import Random
from typing import Final

__all__ = ["Sizes"]

OCTETS_MAX: Final = 256 * 1024 * 1024
_ENTRIES_MAX: Final = 100
_UNITS: Final = {"": 1, "k": 1024, "m": 1024 * 1024}
_ENTRY: Final = re.compile(
    r"(?P<least>\d{1,9}[kKmM]?)(-(?P<most>\d{1,9}[kKmM]?))?(:(?P<weight>\d{1,9}(\.\d{1,6})?))?", re.ASCII
)


class Sizes:
    """Sizes and their weights. ValueError for a text that means none."""

    __slots__ = ("_bounds", "_ends", "octets_max", "text")

    def __init__(self, text: str) -> None:
        entries = text.split(",")
        if len(entries) > _ENTRIES_MAX:
            raise ValueError(f"at most {_ENTRIES_MAX} sizes")
        parsed = [_parse(entry.strip()) for entry in entries]
        self.text = text
        self._bounds = [(least, most) for least, most, _ in parsed]
        self._ends = list(accumulate(weight for _, _, weight in parsed))
        if not self._ends[-1] > 0:
            raise ValueError("expected a weight above 0 for one of the sizes")
        self.octets_max = max(most for _, most in self._bounds)

    def chooser(self, random: Random) -> Callable[[], int]:
        """What gives a size at each call."""
        if len(self._bounds) == 1:
            least, most = self._bounds[0]
            if least == most:
                return lambda: least
            return lambda: least + int(random.random() * (most - least + 1))
        bounds, ends, total = self._bounds, self._ends, self._ends[-1]

        def choose() -> int:
            # The last end is the total, which a random number stays below.
            least, most = bounds[bisect_right(ends, random.random() * total)]
            return least if least == most else least + int(random.random() * (most - least + 1))

        return choose


def _parse(entry: str) -> tuple[int, int, float]:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise ValueError(f'expected a size such as 4096, 64k, 1k-64k or 4k:90,5M:10, got "{entry}"')
    least = _octets(found["least"])
    most = _octets(found["most"]) if found["most"] else least
    if least > most:
        raise ValueError(f'expected the smaller size first, got "{entry}"')
    if most > OCTETS_MAX:
        raise ValueError(f"expected at most {OCTETS_MAX} octets, got {entry}")
    return least, most, float(found["weight"] or 1)


def _octets(text: str) -> int:
    unit = text[-1].lower() if text[-1].isalpha() else ""
    return int(text[: len(text) - len(unit)]) * _UNITS[unit]
