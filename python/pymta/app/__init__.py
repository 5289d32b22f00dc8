"""
The composition root: Settings → objects → run. The only package that sees everything; it decides nothing about mail.
"""

from pymta.app.run import run
from pymta.app.server import Server

__all__ = ["Server", "run"]
