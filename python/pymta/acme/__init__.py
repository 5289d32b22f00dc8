"""
Certificates from an authority, by ACME (RFC 8555): asked for, proven, kept and renewed while the server runs.

It talks to nobody but the authority. Who shows the certificates are the doors, which read them from files like any other
(tls/); so one process asks, and all of them show. Rule: mail never waits for the authority.
"""
