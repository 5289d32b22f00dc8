"""
How a message leaves: one transport a module, connections kept for reuse.

Rule: a transport is told what to hand to whom and answers with a reply for each recipient. Whether and when to try
(again) is the queue's affair, where to is the route's.
"""
