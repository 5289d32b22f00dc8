"""
What every door does with a connection, whatever is spoken behind it: who may come in, from where, under which protection.

    admission    how many there are
    descriptors  whether there are file descriptors left
    peers        addresses and networks of clients
    protection   TLS: what it vouches for, and the handshake within a connection
    ending       how a session can end

Rule: no protocol. What is said is the door's.
"""
