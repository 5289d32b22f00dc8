"""
Checks that the server makes itself, script or not: a question, the facts, a `Verdict` or None.

A check decides from its arguments alone. It has no socket, no clock and no settings object.
"""
