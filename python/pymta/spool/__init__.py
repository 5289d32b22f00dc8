"""
The Python face of the durable queue: where its shards are. The spool itself is Rust (`pymta._core.Spool`).
"""
