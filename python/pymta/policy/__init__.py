"""
Policy: what an operator's script imports, and what the server asks.

A script is an ordinary module named by `policy.script` in the configuration. It defines functions with the names of
stages (connect, hello, starttls, auth, mail, rcpt, message, route, delivered, deferred, failed), which return one of
the verdicts below, or None to go on. docs/policy.md is the guide; `pymta.testing.PolicyTest` runs a script without a
server.

What is named here is stable. The server's side (`pipeline`, `script`, `annotations`) is imported from its modules.
"""

from pymta._core import Part
from pymta.mail import Address, Envelope, Recipient, Reply
from pymta.mail.outcome import Attempt, Deferred, Delivered, Failed
from pymta.mail.route import TlsMode
from pymta.mail.secret import Secret
from pymta.mail.verdict import RouteChoice, Verdict, accept, defer, discard, hold, refuse
from pymta.policy.annotations import TlsFacts
from pymta.policy.message import Message, QueuedMail
from pymta.policy.session import Credentials, Listener, MailParameters, Session

__all__ = [
    "Address",
    "Attempt",
    "Credentials",
    "Deferred",
    "Delivered",
    "Envelope",
    "Failed",
    "Listener",
    "MailParameters",
    "Message",
    "Part",
    "QueuedMail",
    "Recipient",
    "Reply",
    "RouteChoice",
    "Secret",
    "Session",
    "TlsFacts",
    "TlsMode",
    "Verdict",
    "accept",
    "defer",
    "discard",
    "hold",
    "refuse",
]
