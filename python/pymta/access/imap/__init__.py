"""
IMAP (RFC 9051, RFC 3501): `door` is what the sessions of a listener share, `driver` answers what a session asks, `mailboxes`
has views of mailboxes asked by threads, `news` is told to those who wait for mail, `idle` wakes them.

Framing, grammar, order and limits are Rust's (rust/pymta-imap), what commands do to mailboxes too (rust/pymta-mailbox).
"""
