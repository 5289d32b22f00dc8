"""
What all sessions of one listener share: settings, policy, spool and log.

No protocol and no socket. A `Door` is made anew on reload; sessions in progress keep the one they came through.
"""

import ssl
from collections.abc import Callable
from itertools import count

from pymta._core import ServerSettings, Spool
from pymta.accept.intake import Intake
from pymta.accept.submission import Submission
from pymta.auth.login import Logins
from pymta.config.settings.limits import LimitsSettings
from pymta.config.settings.listener import ListenerSettings
from pymta.deliver.quota import MailboxQuota
from pymta.directory import Directory
from pymta.listen.admission import Admission
from pymta.listen.descriptors import Descriptors
from pymta.listen.peers import is_loopback, membership
from pymta.observe.log import Log
from pymta.observe.metrics import Metrics
from pymta.policy.checks.relay import RelayDomains
from pymta.policy.script import PolicyHolder
from pymta.policy.session import Listener
from pymta.tls.challenge import TlsChallenges
from pymta.tls.server import ServerTls

__all__ = ["Door"]


class Door:
    """See the module."""

    def __init__(
        self,
        settings: ListenerSettings,
        limits: LimitsSettings,
        *,
        hostname: str,
        relay_domains: RelayDomains,
        directory: Directory,
        quota: MailboxQuota,
        logins: Logins,
        submission: Submission | None,
        policies: PolicyHolder,
        spool: Spool,
        intake: Intake,
        admission: Admission,
        descriptors: Descriptors,
        log: Log,
        metrics: Metrics,
        now_ms: Callable[[], int],
        tls: ServerTls | None,
        challenges: TlsChallenges | None,
        sids: "count[int]",
        sid_prefix: str,
    ) -> None:
        self.settings = settings
        self.limits = limits
        self.hostname = hostname
        self.relay_domains = relay_domains
        self.directory = directory
        self.quota = quota
        self.logins = logins
        self.submission = submission
        self.policies = policies
        self.spool = spool
        self.intake = intake
        self.admission = admission
        self.descriptors = descriptors
        self.log = log
        self.metrics = metrics
        self.now_ms = now_ms
        self._tls = tls
        self.challenges = challenges
        assert settings.role not in ("pop3", "imap"), "those doors are in access"
        self.listener = Listener(settings.name, settings.role, str(settings.address))
        self._sids = sids
        self._sid_prefix = sid_prefix
        self._trusted = membership(settings.trusted_networks)
        self._normalising = membership(settings.normalise_line_endings_networks)
        self._xclient = membership(settings.xclient_networks)
        self._proxy = membership(settings.proxy_networks)
        self._server_settings: dict[tuple[bool, bool, bool], ServerSettings] = {}

    def next_sid(self) -> str:
        """A name for a session that no other session of this or an earlier run has."""
        return f"{self._sid_prefix}-{next(self._sids):x}"

    def is_trusted(self, address: str) -> bool:
        """Whether a client of that address may relay to anywhere."""
        return self._trusted(address)

    def speaks_proxy(self, address: str) -> bool:
        """Whether connections from there begin with a PROXY header."""
        return self._proxy(address)

    def may_xclient(self, address: str) -> bool:
        """Whether a client of that address may say whom it speaks for."""
        return self._xclient(address)

    def server_settings(self, address: str) -> ServerSettings:
        """What is announced and allowed to a client of that address."""
        in_the_clear = self.logins.settings.in_the_clear == "loopback" and is_loopback(address)
        key = (self._normalising(address), self._xclient(address), in_the_clear)
        made = self._server_settings.get(key)
        if made is None:
            normalise, xclient, in_the_clear = key
            made = self._server_settings[key] = ServerSettings(
                hostname=self.hostname,
                lmtp=self.settings.role == "lmtp",
                starttls=self.settings.tls == "starttls",
                auth_mechanisms=self._mechanisms(),
                auth_without_tls=in_the_clear,
                xclient=xclient,
                line_endings="normalise" if normalise else "refuse",
                limits=self.limits.for_session(),
            )
        return made

    @property
    def tls_context(self) -> Callable[[], ssl.SSLContext] | None:
        """Gives the context for a handshake; None without TLS."""
        tls = self._tls
        return None if tls is None else lambda: tls.context

    def _mechanisms(self) -> tuple[str, ...]:
        """
        How a client can log in here. Accounts of the directory log in where mail is submitted (RFC 6409), never where other
        servers come in: there only a script that asks for logins gets some.
        """
        policy, tls = self.policies.current, self._tls
        submission = self.settings.role == "submission"
        if not submission and not policy.handles_auth:
            return ()
        return self.logins.mechanisms(
            tls=tls is not None,
            end_point=submission and tls is not None and tls.has_end_point,
            certificate=submission and tls is not None and tls.asks_clients,
            keys=submission,
            tokens=policy.on_token is not None,
        )
