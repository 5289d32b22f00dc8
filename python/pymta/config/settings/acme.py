"""[acme]: certificates from an authority that speaks ACME, such as Let's Encrypt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from pymta.config.option import DAY, MINUTE, Option, Seconds, Section
from pymta.config.values import Endpoint, HostName, MailAddress

Names = Annotated[tuple[HostName, ...], Meta(max_length=100)]
HttpsUrl = Annotated[str, Meta(pattern=r"^https://[^\s/?#@]+(/[^\s]*)?$")]


class AcmeSettings(Section, frozen=True, kw_only=True):
    """
    Certificates that are asked for, and renewed, by the server itself (ACME). Needs the extra `pymta-server[acme]`.
    A listener with TLS and without a `certificate_file` shows them; until the first one is there it shows one of its own
    making, and mail goes on.
    """

    names: Annotated[
        Names,
        Option(
            "The names to have certificates for, one each, at most 100. A client is shown the one whose name it asks for, "
            "and that of the first name where it asks for none. Empty: ACME is not used.",
            reader="acme",
            default="none",
            example='["mail.example.org", "mx.example.net"]',
        ),
    ] = ()
    directory_url: Annotated[
        HttpsUrl,
        Option(
            "The authority's directory. Another one than before means new certificates from there.",
            reader="acme",
            rfc="8555 §7.1.1",
            example='"https://acme-staging-v02.api.letsencrypt.org/directory"',
        ),
    ] = "https://acme-v02.api.letsencrypt.org/directory"
    agree_to_terms: Annotated[
        bool,
        Option(
            "That you agree to the authority's terms of service. Without that there is no account; the log names them.",
            reader="acme",
            rfc="8555 §7.3",
        ),
    ] = False
    contact: Annotated[
        tuple[MailAddress, ...],
        Option(
            "Whom the authority may write to about the account, said when it is made.",
            reader="acme",
            default="nobody",
            example='["postmaster@example.org"]',
        ),
    ] = ()
    account_id: Annotated[
        str,
        Option(
            "Where the authority has customers of its own: the key identifier that it gave you (external account binding).",
            reader="acme",
            rfc="8555 §7.3.4",
            default="none",
        ),
    ] = ""
    account_secret_file: Annotated[
        Path | None,
        Option("A file whose first line is the secret that belongs to it, in base64url.", reader="acme"),
    ] = None
    challenge: Annotated[
        Literal["http-01", "tls-alpn-01"],
        Option(
            'How the authority sees that a name is ours. For "http-01" it comes to port 80 of the name, for "tls-alpn-01" '
            'to port 443; the latter is also answered at listeners with tls = "implicit", for whoever forwards that port to '
            "one of them.",
            reader="acme",
            rfc="8555 §8.3, 8737",
        ),
    ] = "http-01"
    addresses: Annotated[
        tuple[Endpoint, ...],
        Option(
            "Where to listen for the authority. Needed for http-01. Answers nothing but challenges; changed only by a restart.",
            reader="acme",
            default="nowhere",
            example='["0.0.0.0:80", "[::]:80"]',
        ),
    ] = ()
    ca_file: Annotated[
        Path | None,
        Option(
            "The authorities that the certificate of the directory itself may be of, in PEM; for an authority of your own.",
            reader="acme",
            default="the system's",
        ),
    ] = None
    renew_before_days: Annotated[
        Annotated[int, Meta(ge=1, le=3650)] | None,
        Option(
            "How long before its end a certificate is renewed, but never before half of its life is over.",
            reader="acme.schedule",
            default="a third of its life; half of it where that is less than 10 days",
            precedent="certbot",
        ),
    ] = None
    retry_s_min: Annotated[
        Seconds,
        Option(
            "The first wait after a certificate could not be had; each one after it is twice as long. Authorities allow few "
            "failures an hour.",
            reader="acme.schedule",
            precedent="Let's Encrypt: 5 failures for an account, name and hour",
        ),
    ] = 15 * MINUTE
    retry_s_max: Annotated[
        Seconds,
        Option(
            "The longest of these waits. What the authority itself asks for (Retry-After) is kept to as well.",
            reader="acme.schedule",
        ),
    ] = DAY
    attempt_s_max: Annotated[
        Seconds, Option("How long one attempt to get a certificate may take.", reader="acme.keeper")
    ] = 5 * MINUTE
