"""
POP3 (RFC 1939): `door` is what the sessions of a listener share, `driver` is a connection, `login` finds out who it is.
Framing, grammar, order and most answers are Rust's (rust/pymta-pop3).
"""
