"""
The settings of a server: one frozen struct a section, all of them in `Settings`.

A part of the server is given its own section and never looks one up. Nothing here reads a file (../load.py)
and nothing compares one section with another (../checks.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pymta.config.option import Option, Section
from pymta.config.settings.acme import AcmeSettings
from pymta.config.settings.auth import AuthSettings
from pymta.config.settings.certificates import CertificateSettings
from pymta.config.settings.delivery import DeliverySettings, TlsPolicy
from pymta.config.settings.directory import DirectorySettings, ForwardingSettings, MailboxesSettings
from pymta.config.settings.dns import DnsSettings
from pymta.config.settings.domains import DomainsSettings
from pymta.config.settings.host import HostSettings
from pymta.config.settings.http import HttpSettings
from pymta.config.settings.imap import ImapDoorSettings
from pymta.config.settings.ldap import LdapSettings
from pymta.config.settings.limits import LimitsSettings
from pymta.config.settings.listener import ListenerSettings, default_listeners
from pymta.config.settings.local import MboxSettings, PipeSettings
from pymta.config.settings.log import LogSettings
from pymta.config.settings.policy import PolicySettings
from pymta.config.settings.pop3 import Pop3DoorSettings
from pymta.config.settings.queue import QueueSettings
from pymta.config.settings.routing import RouteSettings, RoutingSettings, Transport
from pymta.config.settings.sink import SinkSettings
from pymta.config.settings.spool import SpoolSettings
from pymta.config.settings.submission import SubmissionSettings

__all__ = [
    "AcmeSettings",
    "AuthSettings",
    "CertificateSettings",
    "DeliverySettings",
    "DirectorySettings",
    "DnsSettings",
    "DomainsSettings",
    "ForwardingSettings",
    "HostSettings",
    "HttpSettings",
    "LdapSettings",
    "LimitsSettings",
    "ListenerSettings",
    "LogSettings",
    "MailboxesSettings",
    "MboxSettings",
    "PipeSettings",
    "PolicySettings",
    "Pop3DoorSettings",
    "QueueSettings",
    "RouteSettings",
    "RoutingSettings",
    "Settings",
    "SinkSettings",
    "SpoolSettings",
    "SubmissionSettings",
    "TlsPolicy",
    "Transport",
]


class Settings(Section, frozen=True, kw_only=True):
    """Everything that a running server was told."""

    server: Annotated[HostSettings, Option("The host itself.", reader="app")]
    listeners: Annotated[
        tuple[ListenerSettings, ...],
        Option(
            "Where mail comes in, one table each.",
            reader="accept.listener",
            default="one relay listener on 127.0.0.1:2525",
        ),
    ] = default_listeners()
    certificates: Annotated[
        tuple[CertificateSettings, ...],
        Option("More certificates, by the name that a client asks for, one table each.", reader="tls"),
    ] = ()
    acme: Annotated[AcmeSettings, Option("Certificates by ACME.", reader="acme")] = AcmeSettings()
    limits: Annotated[
        LimitsSettings,
        Option("What one session, one address and all together may use.", reader="accept.listener"),
    ] = LimitsSettings()
    domains: Annotated[
        DomainsSettings, Option("Which domains mail is accepted for.", reader="accept.relay")
    ] = DomainsSettings()
    directory: Annotated[
        DirectorySettings, Option("Domains, accounts and aliases of our own.", reader="app.directory")
    ] = DirectorySettings()
    ldap: Annotated[LdapSettings, Option("A directory on an LDAP server.", reader="directory.ldap")] = (
        LdapSettings()
    )
    mailboxes: Annotated[MailboxesSettings, Option("Where accounts' mail is kept.", reader="deliver")] = (
        MailboxesSettings()
    )
    pipe: Annotated[PipeSettings, Option("Delivery to programs.", reader="deliver.pipe")] = PipeSettings()
    mbox: Annotated[MboxSettings, Option("Delivery into files of messages.", reader="deliver.mbox")] = (
        MboxSettings()
    )
    forwarding: Annotated[
        ForwardingSettings, Option("Mail that an alias sends on to other domains.", reader="queue.local")
    ] = ForwardingSettings()
    auth: Annotated[AuthSettings, Option("Logins.", reader="auth")] = AuthSettings()
    submission: Annotated[
        SubmissionSettings, Option("What accounts may do that submit mail.", reader="accept.submission")
    ] = SubmissionSettings()
    pop3: Annotated[Pop3DoorSettings, Option("Reading mail by POP3.", reader="access.pop3.door")] = (
        Pop3DoorSettings()
    )
    imap: Annotated[ImapDoorSettings, Option("Reading mail by IMAP.", reader="access.imap.door")] = (
        ImapDoorSettings()
    )
    policy: Annotated[PolicySettings, Option("The operator's Python.", reader="policy.script")] = (
        PolicySettings()
    )
    spool: Annotated[SpoolSettings, Option("The durable queue on disk.", reader="spool")] = SpoolSettings()
    queue: Annotated[QueueSettings, Option("When to try, when to give up.", reader="queue")] = QueueSettings()
    routing: Annotated[RoutingSettings, Option("Where mail goes.", reader="route")] = RoutingSettings()
    routes: Annotated[
        tuple[RouteSettings, ...],
        Option("Routes for some domains, one table each; the first that matches is taken.", reader="route"),
    ] = ()
    dns: Annotated[DnsSettings, Option("How names are looked up.", reader="dns")] = DnsSettings()
    delivery: Annotated[DeliverySettings, Option("How mail is handed on.", reader="deliver")] = (
        DeliverySettings()
    )
    http: Annotated[HttpSettings, Option("Metrics and health.", reader="admin.http")] = HttpSettings()
    log: Annotated[LogSettings, Option("What is written where.", reader="observe.log")] = LogSettings()
    sink: Annotated[
        SinkSettings,
        Option("A place of our own where mail ends; for a first try and for tests.", reader="app"),
    ] = SinkSettings()

    @property
    def directory_file(self) -> Path:
        """Where the directory is kept."""
        return self.directory.file or Path(self.server.data_folder) / "directory.db"

    @property
    def acme_folder(self) -> Path:
        """Where the account with the authority and its certificates are kept."""
        return Path(self.server.data_folder) / "acme"

    @property
    def vacation_file(self) -> Path:
        """Where it is kept who is away and who was told."""
        return Path(self.server.data_folder) / "vacation.db"

    @property
    def submitted_file(self) -> Path:
        """Where it is kept what accounts have submitted today."""
        return Path(self.server.data_folder) / "submitted.db"

    @property
    def login_secret_file(self) -> Path:
        """Where the secret is kept that makes up what SCRAM shows of unknown accounts."""
        return Path(self.server.data_folder) / "login.key"

    @property
    def srs_secret_file(self) -> Path:
        """Where the secret of SRS is kept."""
        return self.forwarding.srs_secret_file or Path(self.server.data_folder) / "srs.key"

    @property
    def mailboxes_folder(self) -> Path:
        """The root of all mail folders; `Account.mail_folder` is below it."""
        return self.mailboxes.folder or Path(self.server.data_folder) / "mail"

    def limits_of(self, listener: ListenerSettings) -> LimitsSettings:
        """
        The limits of one listener: [limits] with its own `limits` over them, checked when the file was
        loaded.
        """
        return listener.limits_over(self.limits)
