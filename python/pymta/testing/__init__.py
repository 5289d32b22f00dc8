"""
For tests, yours and ours: a policy script without a server, a clock that stands still, a peer that follows a script.

What policy authors need is `PolicyTest` (docs/policy.md). Everything here is supported: it changes only with a note in
the changelog. It is never imported by the server.
"""

from pymta.testing.clock import FakeClock
from pymta.testing.peer import DialogueMismatch, ScriptedPeer
from pymta.testing.policy import Answer, Dialogue, HookTrouble, MessageAnswer, PolicyTest, Trouble

__all__ = [
    "Answer",
    "Dialogue",
    "DialogueMismatch",
    "FakeClock",
    "HookTrouble",
    "MessageAnswer",
    "PolicyTest",
    "ScriptedPeer",
    "Trouble",
]
