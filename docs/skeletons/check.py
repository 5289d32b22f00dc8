"""
A skeleton of a check: copy to python/pymta/policy/checks/NAME.py, say here what it asks, and what it is not for.

Rule: a check decides from its arguments alone. No socket, no clock, no settings object; a look-up that it needs is made
by its caller, and its answer is an argument.
"""

from pymta.mail import Address, Reply
from pymta.mail.verdict import Verdict

__all__ = ["null_label_check"]

# One value for each verdict, made once: the reply is what the client is told, the last argument is for the log.
_REFUSED = Verdict("refuse", Reply(550, "5.1.2", "no such domain"), "domain with a label `null`")


def null_label_check(forward_path: Address) -> Verdict | None:
    """
    Whether the domain of *forward_path* has a label `null`: refused if so; None is "nothing against it".

    Say the section that asks for it (RFC 5321 §3.6.1), or the attack that it answers, or whose complaint.
    """
    return _REFUSED if "null" in forward_path.canonical_domain.split(".") else None
