"""
The load generator: sends many messages to one SMTP or LMTP server, any, and measures.

It is a client of others and knows nothing of our own server. What is sent and what a reply means is decided in Rust
(`ClientSession`); what this adds is when, what and how long it took.

    plan.py         what a run is to be
    sizes.py        how large messages are          pattern.py     who they are from and for
    content.py      what is in them                 pace.py        when the next one is due
    histogram.py    how long things took            tally.py       what became of them
    connection.py   one connection                  generator.py   which connection sends what, and until when
    ticker.py       a timer finer than the loop's   report.py      the result
"""
