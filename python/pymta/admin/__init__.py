"""
The operator's doors: HTTP on loopback (metrics, health) and the control socket that the command line talks to.

Nothing here touches mail: it asks, and passes on, what `Control` offers.
"""
