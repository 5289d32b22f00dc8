"""
What a process needs to run well: the loop, the clock, supervised tasks, signals, privileges, limits of the system.

Knows nothing of mail, of the configuration or of the log: what it is to do comes as plain arguments, and what goes
wrong goes to a function that it is given.
"""
