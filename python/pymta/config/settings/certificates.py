"""[[certificates]]: more certificates, chosen by the name that a client asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from pymta.config.option import Option, Section

ServerName = Annotated[str, Meta(pattern=r"^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$")]


class CertificateSettings(Section, frozen=True, kw_only=True):
    """
    A certificate for clients that ask for one of its names (SNI), at all listeners with TLS; others are shown the
    listener's own. Files are read again when they change, tables at a reload.
    """

    names: Annotated[
        tuple[ServerName, ...],
        Option(
            'Server names: "mail.example.org", or "*.example.org" for any one label before it.',
            reader="tls",
            rfc="6066 §3",
            example='["mail.example.org", "*.example.net"]',
        ),
    ]
    certificate_file: Annotated[
        Path, Option("The certificate and its chain, in PEM, leaf first.", reader="tls")
    ]
    key_file: Annotated[
        Path | None, Option("The private key, in PEM.", reader="tls", default="in *certificate_file*")
    ] = None
