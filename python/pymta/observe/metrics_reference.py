"""
The page of all metrics, docs/metrics.md, made from their definitions: `python -m pymta.observe.metrics_reference`.

A test compares the page in the tree with what this makes.
"""

from __future__ import annotations

import sys
from dataclasses import fields

from pymta.observe.metrics import SOURCES, Metrics

__all__ = ["page"]

_HEAD = """\
# Metrics

`GET /metrics` on the HTTP port gives these numbers in Prometheus' text format. This page is generated from
`python/pymta/observe/metrics.py` by `python -m pymta.observe.metrics_reference`.

| name | kind | label | what it counts |
| --- | --- | --- | --- |
"""


def page() -> str:
    """The whole page, as Markdown."""
    rows = []
    for definition in fields(Metrics):
        kind, label = definition.metadata["kind"], definition.metadata.get("label", "")
        rows.append(
            (definition.name, "counter" if kind == "counts" else kind, label, definition.metadata["doc"])
        )
    labels = {"queue_messages": "state", "workers": "state", "build_info": "version"}
    rows += [(name, kind, labels.get(name, ""), doc) for name, (kind, doc) in SOURCES.items()]
    return _HEAD + "".join(
        f"| `pymta_{name}{'_total' if kind == 'counter' else ''}` | {kind} | {f'`{label}`' if label else ''} | {doc} |\n"
        for name, kind, label, doc in rows
    )


if __name__ == "__main__":
    sys.stdout.write(page())
