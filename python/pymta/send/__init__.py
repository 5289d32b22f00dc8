"""
What `pymta send` is made of: a message from standard input, made complete, handed to a server over SMTP.

A client of whatever server it is told; it knows nothing of ours. The command line, with sendmail's options and exit codes,
is cli/send.py.

    address_list.py   addresses from arguments and header fields (RFC 5322 §3.4)
    message.py        lines from standard input → a whole message
    handover.py       one message to one server, blocking
    stdio.py          SMTP on standard input and output (`-bs`)
    exit_status.py    what sendmail's callers expect (sysexits.h)
"""
