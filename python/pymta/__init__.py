"""
pymta: a mail server whose policy is ordinary Python and whose hot path is Rust.

What a policy author imports is in `pymta.policy` and `pymta.testing`; `pymta.app` is the composition root. Nothing is
imported here, so that `import pymta` costs nothing.
"""
