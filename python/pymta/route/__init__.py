"""
Where a message goes next: from the domain of a forward-path to a `Route`, or to the reply that tells why not.

It connects to nobody and knows no message. Rule: one code path answers the queue and `pymta explain`.
"""

from pymta.route.explain import Explanation, explain
from pymta.route.ourselves import Ourselves
from pymta.route.router import Router
from pymta.route.settings import RouterSettings
from pymta.route.table import RouteTable, Rule

__all__ = ["Explanation", "Ourselves", "RouteTable", "Router", "RouterSettings", "Rule", "explain"]
