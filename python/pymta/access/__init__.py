"""
The doors by which people read their mail. What is the same in every one of them is `maildrops` and, until it has a
package of its own, what `accept` counts connections with.
"""
