"""
The doors by which people read their mail.

    door        what the sessions of a listener share
    connection  a connection: sockets, time, TLS, logging in
    login       who it is
    maildrops   files read by threads
    pop3/ imap/ the protocols
"""
