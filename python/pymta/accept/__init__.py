"""
In: from a client's socket to a message that is durable.

    listener   sockets, PROXY, limits on connections
    driver     one connection: the only asyncio.Protocol of this package
    smtp       the conversation: which event asks what of policy, and what its answer means
    intake     end of data: checks → policy → trace field → commit → 250

Rule: it ends at the spool. It knows nothing of the queue, of routes, or of deliveries.
"""
