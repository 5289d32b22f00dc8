"""
What must stay fast: programs that measure, each beside something to compare with in the same run.

Not tests: nothing here passes or fails, and no figure is comparable with one from another machine or another run.
"""
