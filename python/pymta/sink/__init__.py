"""
A place where mail ends: takes messages over SMTP or LMTP, counts or keeps them, and misbehaves on demand.

For a newcomer's first message, for tests and for load tests against any server. It promises nothing about the disk:
what it answers 250 to is counted, not safe. Real mailboxes are another package's affair.

    options.py       what a sink is to be
    behaviour.py     which messages it refuses, defers or is slow with
    server.py        listens, counts, sweeps
    connection.py    one connection: a socket around `ServerSession`
    folder.py        keeps messages, one file each
    certificate.py   a certificate of its own making
"""
