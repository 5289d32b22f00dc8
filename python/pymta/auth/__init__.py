"""
Who somebody is: passwords and how they are stored, SASL mechanisms, and what stops guessing.

    schemes.py    one stored password: made, verified, is it still good enough
    scram.py      the keys that SCRAM-SHA-256 works with
    sasl/         the mechanisms as values, octets in and out, the same for every protocol that has AUTH
    verifier.py   passwords against the directory, beside the event loop
    guard.py      delays and bans for those who guess

What an account may then do is policy's affair, and what it is called is the directory's.
"""
