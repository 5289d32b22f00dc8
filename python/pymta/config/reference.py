"""
The page of all options, docs/configuration.md, made from their definitions: `python -m pymta.config.reference`.

A test compares the page in the tree with what this makes.
"""

from __future__ import annotations

import sys
from typing import Final

from pymta.config.default import TEXT
from pymta.config.describe import Described, DescribedSection, sections

__all__ = ["page"]

_HEAD: Final = """\
# Configuration

One TOML file, named by `--config`, by the environment variable `PYMTA_CONFIG`, or `/etc/pymta/pymta.toml`. The files
`conf.d/*.toml` beside it are read after it, in order of name: a later value replaces an earlier one, a list is replaced
whole, tables are merged. Relative paths are relative to the folder of the main file.

Durations and sizes are integers, with their unit in the option's name: `_s` seconds, `_ms` milliseconds, `_octets`
octets. Unknown options are refused. `pymta check` says what is wrong, in which file and line, and prints what is
effective and where it was written.

This page is generated from `python/pymta/config/settings/` by `python -m pymta.config.reference`.

The least that a relay for a domain of yours needs:

```toml
[server]
hostname = "mail.example.org"

[[listeners]]
name = "relay"
address = "0.0.0.0:25"

[domains]
relay_domains = ["example.org"]
```

What `pymta serve` does without a file, on loopback, for a first try:

```toml
"""


def page() -> str:
    """The whole page, as Markdown."""
    return _HEAD + TEXT.strip() + "\n```\n" + "".join(_section(section) for section in sections())


def _section(section: DescribedSection) -> str:
    return f"\n## `{section.heading}`\n\n{section.doc}\n" + "".join(map(_option, section.options))


def _option(described: Described) -> str:
    option = described.option
    facts = [f"{described.kind}; default: {described.default}"]
    if option.example:
        facts.append(f"such as `{described.name} = {option.example}`")
    if option.rfc:
        facts.append(f"RFC {option.rfc}")
    if option.precedent:
        facts.append(option.precedent)
    facts.append(f"read by `{option.reader}`")
    return f"\n### `{described.name}`\n\n{option.doc}\n\n" + "".join(f"- {fact}\n" for fact in facts)


if __name__ == "__main__":
    sys.stdout.write(page())
