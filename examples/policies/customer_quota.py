"""
So many recipients a day for each customer; who wants more is told to come back later, not refused.

A customer is the account that logged in or, without one, the client's address. The count is kept in memory: it begins
anew when the server starts or the script is reloaded, and holds the busiest customers only. For a count that lasts, or
one that several servers share, ask a database from `async def` hooks (see auth_from_database.py).
"""

from collections import OrderedDict

from pymta.policy import Address, Session, Verdict, defer

RECIPIENTS_PER_DAY_MAX = {"newsletter": 100_000}
RECIPIENTS_PER_DAY_MAX_OF_OTHERS = 1_000
CUSTOMERS_MAX = 10_000
DAY_MS = 24 * 60 * 60 * 1000

# customer → (when its day began, recipients since), the one heard of last at the end.
counts: OrderedDict[str, tuple[int, int]] = OrderedDict()


def rcpt(session: Session, forward_path: Address) -> Verdict | None:
    customer = session.account or session.peer_address
    began_ms, count = counts.pop(customer, (session.now_ms, 0))
    if session.now_ms - began_ms >= DAY_MS:
        began_ms, count = session.now_ms, 0
    allowed = RECIPIENTS_PER_DAY_MAX.get(customer, RECIPIENTS_PER_DAY_MAX_OF_OTHERS)
    within = count < allowed
    counts[customer] = (began_ms, count + 1 if within else count)
    if len(counts) > CUSTOMERS_MAX:
        counts.popitem(last=False)
    if not within:
        return defer(
            "452 4.5.3 daily number of recipients used up", reason=f"{customer} is at {allowed} a day"
        )
    return None
