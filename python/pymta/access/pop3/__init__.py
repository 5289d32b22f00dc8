"""
POP3 (RFC 1939): `door` is what the sessions of a listener share, `driver` answers what a session asks.
Framing, grammar, order and most answers are Rust's (rust/pymta-pop3).
"""
