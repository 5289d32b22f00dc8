"""
What an operator can prove with a server of its own, on the disk and the machine in question: `pymta selfcheck`.

Not a part of the server, and not a measurement (pymta.load): it starts one, treats it badly and counts what came of it.
"""
