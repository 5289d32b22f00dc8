"""
When: takes what is due from the spool, has it routed and delivered, records what became of it, reports.

Rule: it knows the spool and the stations route, deliver, report and policy; nobody but the composition root knows it.
Accepting mail and this package share nothing but the spool.
"""
