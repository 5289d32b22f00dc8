"""
What the operator sees: the log (events, line, writer, log), metrics, and the decisions of late (trace).

Nothing here decides, and nothing here may slow mail down: all of it is bounded, and what cannot be written is counted.
"""
