"""
Keys for SCRAM of whom we have none: an exchange with them looks like one with an account's, until the proof is wrong.

The first answer shows a salt and a count of iterations (RFC 5802 §9). So that neither tells who exists, both are always
the same for a name, over restarts and workers and in all its spellings; and they are spread over the forms that the real
keys of the domain have, as many have them: keys that came from another server have its count and its length of salt.

What cannot be imitated is a password that is changed, which brings another salt: whoever sees that has asked about an
account for a long time.
"""

import hashlib
import hmac
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias, runtime_checkable

from pymta.auth.scram import SALT_OCTETS, ScramKeys
from pymta.directory import InvalidAddress, canonical_address

__all__ = ["KeysSample", "MadeUpKeys"]

Form: TypeAlias = tuple[int, int]
"""Iterations, and octets of salt."""

# How long the forms of a domain are taken to be what they were; reading them takes about a millisecond.
FORMS_S_MAX: Final = 60.0
_DOMAINS_MAX: Final = 1_000


@runtime_checkable
class KeysSample(Protocol):
    """A source of entries that can say what keys its accounts have."""

    def scram_sample(self, domain: str) -> Sequence[str]:
        """Stored keys for SCRAM of accounts of that domain: some hundred at most, the same ones each time."""


class MadeUpKeys:
    """One instance for all protocols."""

    def __init__(self, secret: bytes, *, monotonic: Callable[[], float]) -> None:
        """
        Args:
            secret: Only we know it; whoever does can tell which keys are made up.
            monotonic: A clock, in seconds.
        """
        self._secret = secret
        self._monotonic = monotonic
        self._known: OrderedDict[str, tuple[Counter[Form], float]] = OrderedDict()

    def of(self, name: str, source: object, iterations: int) -> ScramKeys:
        """
        Keys that nobody has a password for.

        Args:
            name: Who logs in, as written.
            source: Where accounts are; asked for a sample if it is a `KeysSample`.
            iterations: Where no account of the domain has keys.
        """
        try:
            name = canonical_address(name)
        except InvalidAddress:
            pass  # nobody's: nothing to be mistaken for
        forms = self._forms(name.rpartition("@")[2], source)
        form = max(forms, key=lambda form: self._lot(name, form, forms[form]), default=None)
        iterations, salt_octets = form or (iterations, SALT_OCTETS)
        # Another form is another salt, as if the password had been changed.
        salt = hashlib.shake_256(self._digest(f"salt {iterations} {salt_octets} {name}")).digest(salt_octets)
        key = self._digest(f"key {name}")
        return ScramKeys(iterations, salt, key, key)

    def _forms(self, domain: str, source: object) -> Counter[Form]:
        known = self._known.get(domain)
        now_s = self._monotonic()
        if known is not None and now_s < known[1]:
            return known[0]
        forms: Counter[Form] = Counter()
        for stored in source.scram_sample(domain) if isinstance(source, KeysSample) else ():
            try:
                keys = ScramKeys.parse(stored)
            except ValueError:
                continue  # a broken entry is no entry
            forms[keys.iterations, len(keys.salt)] += 1
        if forms:  # so nobody fills the memory with domains that are not there
            self._known[domain] = forms, now_s + FORMS_S_MAX
            self._known.move_to_end(domain)
            if len(self._known) > _DOMAINS_MAX:
                self._known.popitem(last=False)
        return forms

    def _lot(self, name: str, form: Form, weight: int) -> float:
        """
        The form with the largest lot wins: as often as its weight says, and seldom another one when weights change.

        Weighted rendezvous hashing (C. Schindelhauer, G. Schomaker, SPAA 2005, "logarithmic method").
        """
        drawn = int.from_bytes(self._digest(f"lot {form} {name}")[:6], "big")
        return -weight / math.log((drawn + 1) / (2**48 + 1))

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._secret, text.encode("utf-8", "surrogatepass"), "sha256")
