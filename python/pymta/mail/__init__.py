"""
The nouns of mail: what the stations hand to each other. Values only; no I/O, no clock, no decision.

Address, Reply, Recipient and Envelope are Rust's (pymta-types) and are named here so that nothing above needs to know
where a noun lives. Import the others from their modules, one noun a module.
"""

from pymta._core import Address, Envelope, Recipient, Reply

__all__ = ["Address", "Envelope", "Recipient", "Reply"]
