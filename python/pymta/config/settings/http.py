"""[http]: metrics and health for programs of the operator."""

from __future__ import annotations

from typing import Annotated

from pymta.config.option import Option, Section
from pymta.config.values import Endpoint


class HttpSettings(Section, frozen=True, kw_only=True):
    """An HTTP server on loopback with /metrics, /health and /ready."""

    enabled: Annotated[bool, Option("Whether there is one.", reader="admin.http")] = True
    address: Annotated[
        Endpoint,
        Option(
            "Where. Only loopback is accepted, because nobody is asked for a password; put a proxy that "
            "asks in front.",
            reader="admin.http",
            precedent="KumoMTA start_http_listener is on 127.0.0.1:8000",
        ),
    ] = Endpoint("127.0.0.1", 2580)
