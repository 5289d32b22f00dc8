"""
One certificate, from the order to the chain: the conversation with the authority (RFC 8555 §7), by the library `acme`.

Synchronous, because the library is: called in a thread of its own, never on the loop's. It decides nothing about when.
"""

import datetime
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import requests
from acme import challenges, client, crypto_util, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.errors import Error as JoseError
from josepy.jwk import JWK, JWKEC

from pymta.acme.challenges import Challenges
from pymta.acme.network import Network
from pymta.acme.outcome import NotIssued
from pymta.acme.store import Store, private_octets
from pymta.config.settings.acme import AcmeSettings

__all__ = ["issue"]

_PROBLEM_CHARACTERS_MAX: Final = 500

Say = Callable[[str, str], None]
"""(action, detail) of a step, for the log."""


@challenges.ChallengeResponse.register
class _TlsAlpnResponse(challenges.KeyAuthorizationChallengeResponse):
    typ = "tls-alpn-01"


@challenges.Challenge.register
class _TlsAlpn(challenges.KeyAuthorizationChallenge):
    """What the library has dropped since its version 5 (RFC 8737)."""

    response_cls = _TlsAlpnResponse
    typ = "tls-alpn-01"

    def validation(self, account_key: JWK, **kwargs: Any) -> str:
        return self.key_authorization(account_key)


def issue(name: str, settings: AcmeSettings, store: Store, *, user_agent: str, say: Say) -> bytes:
    """
    Get a certificate for *name*, with a new key.

    Args:
        name: A host name.
        settings: Which authority, which challenge.
        store: Has the account's key; takes nothing.
        user_agent: What we call ourselves.
        say: Told each step.

    Returns:
        The key and the chain, in PEM.

    Raises:
        NotIssued: The authority does not give one, or cannot be asked.
    """
    try:
        account_key = JWKEC(key=store.account_key())
    except (OSError, ValueError) as error:
        raise NotIssued(f"the account's key cannot be used: {error}") from error
    network = Network(
        account_key,
        ca_file=settings.ca_file,
        user_agent=user_agent,
        end_s=time.monotonic() + settings.attempt_s_max,
    )
    try:
        return _Conversation(name, settings, Challenges(store.folder), account_key, network, say).chain()
    except NotIssued as error:
        raise NotIssued(str(error), retry_after_s=network.retry_after_s) from error
    except (errors.Error, JoseError, requests.RequestException, OSError) as error:
        raise NotIssued(_in_one_line(error), retry_after_s=network.retry_after_s) from error
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        # What the library trips over where an answer is not what the RFC has.
        raise NotIssued(
            f"an answer that makes no sense: {error!r}", retry_after_s=network.retry_after_s
        ) from error
    finally:
        network.session.close()


class _Conversation:
    def __init__(
        self,
        name: str,
        settings: AcmeSettings,
        kept: Challenges,
        account_key: JWKEC,
        network: Network,
        say: Say,
    ) -> None:
        self._name = name
        self._settings = settings
        self._kept = kept
        self._account_key = account_key
        self._network = network
        self._say = say
        self._end = datetime.datetime.now() + datetime.timedelta(seconds=settings.attempt_s_max)

    def chain(self) -> bytes:
        """The key and the chain."""
        directory = messages.Directory.from_json(self._network.get(self._settings.directory_url).json())
        self._client = client.ClientV2(directory, self._network)
        self._use_account(directory)
        key = ec.generate_private_key(ec.SECP256R1())
        csr = crypto_util.make_csr(private_octets(key), [self._name])
        self._say("acme order", f"{self._name} from {self._settings.directory_url}")
        order = self._client.new_order(csr)
        with ExitStack() as answers:
            for authorization in order.authorizations:
                if authorization.body.status != messages.STATUS_VALID:  # it may be from an earlier order
                    self._answer(authorization, answers)
            order = self._client.poll_authorizations(order, self._end)
        order = self._client.finalize_order(order, self._end)
        pem = order.fullchain_pem.encode("ascii")
        _check(pem, key, self._name)
        return private_octets(key) + pem

    def _use_account(self, directory: messages.Directory) -> None:
        """The account of our key, which is made where the authority does not know it (RFC 8555 §7.3)."""
        settings = self._settings
        binding = None
        if settings.account_id:
            binding = messages.ExternalAccountBinding.from_data(
                self._account_key.public_key(), settings.account_id, _secret(settings), directory
            )
        elif directory.meta.external_account_required:
            raise NotIssued("the authority wants acme.account_id and acme.account_secret_file")
        asked = messages.NewRegistration.from_data(
            email=",".join(map(str, settings.contact)) or None,
            terms_of_service_agreed=settings.agree_to_terms,
            external_account_binding=binding,
        )
        try:
            account = self._client.new_account(asked)
        except errors.ConflictError as known:
            self._network.account = messages.RegistrationResource(
                uri=known.location, body=messages.Registration()
            )
            return
        self._say("acme account", f"{account.uri}, terms {directory.meta.terms_of_service or 'none'}")

    def _answer(self, authorization: messages.AuthorizationResource, answers: ExitStack) -> None:
        kind = self._settings.challenge
        # One that the library does not know has no name there.
        offered = {
            one.chall.typ: one for one in authorization.body.challenges if isinstance(one.chall.typ, str)
        }
        if kind not in offered:
            raise NotIssued(
                f"the authority does not offer {kind} but {', '.join(sorted(offered)) or 'nothing known'}"
            )
        asked = offered[kind]
        shown, proof = asked.chall.response_and_validation(self._account_key)
        if kind == "http-01":
            file = self._kept.put_http(asked.chall.encode("token"), proof)
        else:
            file = self._kept.put_tls(self._name, proof)
        answers.callback(file.unlink, missing_ok=True)
        self._say("acme challenge", f"{kind} for {self._name}")
        self._client.answer_challenge(asked, shown)


def _secret(settings: AcmeSettings) -> str:
    file = settings.account_secret_file
    assert file is not None, "checked with the configuration"
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    if not lines or not lines[0].strip():
        raise NotIssued(f"{file}: expected a secret in the first line")
    return lines[0].strip()


def _check(pem: bytes, key: ec.EllipticCurvePrivateKey, name: str) -> None:
    """What would be shown to everybody is looked at first."""
    try:
        leaf = x509.load_pem_x509_certificates(pem)[0]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise NotIssued(f"what came is no certificate: {error}") from error
    if leaf.public_key() != key.public_key() or name not in names.get_values_for_type(x509.DNSName):
        raise NotIssued("the certificate that came is for another key or name")
    if leaf.not_valid_after_utc <= datetime.datetime.now(datetime.UTC):
        raise NotIssued("the certificate that came has ended already; is our clock right?")


def _in_one_line(error: Exception) -> str:
    text = "; ".join(_reasons(error)) or repr(error)
    return " ".join(text.split())[:_PROBLEM_CHARACTERS_MAX]


def _reasons(error: Exception) -> Iterator[str]:
    match error:
        case errors.ValidationError():
            for authorization in error.failed_authzrs:
                for one in authorization.body.challenges:
                    if one.error is not None:
                        yield f"{one.chall.typ} of {authorization.body.identifier.value} failed: {_said(one.error)}"
        case errors.IssuanceError():
            yield _said(error.error)
        case messages.Error():
            yield _said(error)
        case errors.TimeoutError():
            yield "the authority did not come to an end in time"
        case errors.ClientError() if error.args and isinstance(error.args[0], requests.Response):
            yield f"the authority answered {error.args[0].status_code}, without saying why"
        case _:
            yield f"{type(error).__name__}: {error}"


def _said(error: messages.Error) -> str:
    """`rateLimited: too many certificates`, with what it says of single names."""
    parts = [f"{error.code or error.typ}: {error.detail or error.title or 'without saying why'}"]
    parts += [_said(part) for part in error.subproblems or ()]
    return ", ".join(parts)
