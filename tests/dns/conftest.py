"""The fixtures of fixtures.py, for this folder."""

from tests.dns.fixtures import clock, knot, make_resolver, resolver

__all__ = ["clock", "knot", "make_resolver", "resolver"]
