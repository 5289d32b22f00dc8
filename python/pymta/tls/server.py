"""
The server's side: certificates from files, chosen by the name that the client asks for, replaced while running.

It opens no socket. Rule: a listener is given one context for its life; renewal happens inside it, and a file that
cannot be used changes nothing.
"""

import ssl
from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from pymta.mail.errors import ConfigError

# Names that one server may have certificates for; each context costs some 100 KiB.
CERTIFICATES_MAX = 1_000


class CertificateError(ConfigError):
    """A certificate or key file cannot be used; `file` is the one, `problem` says why."""

    def __init__(self, problem: str, file: Path) -> None:
        super().__init__(problem, file=file)


class CertificateFiles(msgspec.Struct, frozen=True):
    """A certificate with its chain, leaf first, and its key, both in PEM."""

    certificate_file: Path
    key_file: Path | None = None
    """None: the key is in *certificate_file*."""
    names: tuple[str, ...] = ()
    """Server names (SNI) that get this certificate, "*.example.org" for any one label; the first entry gets the rest."""


# What `stat` says of a file, to see that it was replaced: inode, size, time of modification.
_Seen = tuple[int, int, int]


class ServerTls:
    """
    The TLS of one listener.

    `context` is for `start_tls` and for a listener with implicit TLS; it stays the same object when certificates are
    replaced, because the certificate is chosen during each handshake.

    Raises:
        CertificateError: A file cannot be read or does not fit, at the start as in `reload`.
    """

    def __init__(
        self, certificates: tuple[CertificateFiles, ...], *, client_ca_file: Path | None = None
    ) -> None:
        """
        Args:
            certificates: The first is for clients that name nobody, or somebody else.
            client_ca_file: Clients are asked for a certificate, which must be of one of these authorities, in PEM.
        """
        if not 1 <= len(certificates) <= CERTIFICATES_MAX:
            raise ValueError(f"from 1 to {CERTIFICATES_MAX} certificates, not {len(certificates)}")
        self._certificates = certificates
        self._client_ca_file = client_ca_file
        self._seen: dict[Path, _Seen] = {}
        self._by_name: dict[str, ServerContext] = {}
        self._fallback: ServerContext
        self.reload()
        self.context = _context(certificates[0], client_ca_file)
        self.context.sni_callback = self._choose

    @property
    def certificates(self) -> tuple[CertificateFiles, ...]:
        """Those that are in use."""
        return self._certificates

    @property
    def has_end_point(self) -> bool:
        """Whether SCRAM can be bound to each of the certificates."""
        return all(context.end_point is not None for context in (self._fallback, *self._by_name.values()))

    @property
    def asks_clients(self) -> bool:
        """Whether clients may show a certificate of their own."""
        return self._client_ca_file is not None

    def reload(self) -> None:
        """Read all files anew; new handshakes use them. When one is unusable, all stay as they were."""
        self.prepare()()

    def prepare(self, certificates: tuple[CertificateFiles, ...] | None = None) -> Callable[[], None]:
        """
        The first half of `reload`, which may raise; what it returns is the second, which cannot.

        Args:
            certificates: Instead of those that it was made with; None for the same.
        """
        certificates = certificates or self._certificates
        seen = {path: _look(path) for files in certificates for path in _paths(files)}
        contexts = [_context(files, self._client_ca_file) for files in certificates]
        by_name = {
            name.lower(): context
            for files, context in zip(certificates, contexts, strict=True)
            for name in files.names
        }

        def use() -> None:
            self._certificates = certificates
            self._fallback, self._by_name, self._seen = contexts[0], by_name, seen

        return use

    def reload_if_changed(self) -> bool:
        """
        `reload` where a file is another than the one last read. Meant to be called now and then (once a minute).

        Raises:
            CertificateError: As `reload`. A certificate is often replaced in two steps, so the next call may succeed.
        """
        if all(_look(path) == seen for path, seen in self._seen.items()):
            return False
        self.reload()
        return True

    def _choose(self, tls: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """
        Called in each handshake, also where the client names nobody.

        The name is the client's and is only ever compared: it is never part of a path (attacks.md, row 12).
        """
        context = self._fallback
        if name is not None and self._by_name:
            name = name.lower()
            wildcard = "*." + name.partition(".")[2]
            context = self._by_name.get(name) or self._by_name.get(wildcard) or context
        tls.context = context


def _paths(files: CertificateFiles) -> tuple[Path, ...]:
    return (files.certificate_file,) if files.key_file is None else (files.certificate_file, files.key_file)


def _look(path: Path) -> _Seen:
    try:
        status = path.stat()
    except OSError as error:
        raise CertificateError(error.strerror or str(error), path) from error
    return status.st_ino, status.st_size, status.st_mtime_ns


class ServerContext(ssl.SSLContext):
    """A context that knows which certificate it shows."""

    end_point: bytes | None = None
    """`tls-server-end-point` (RFC 5929 §4.1); None where it is not defined for the certificate's signature."""


def end_point_of(certificate: bytes) -> bytes | None:
    """
    `tls-server-end-point` of a certificate in PEM, of the first where there are several.

    RFC 5929 §4.1: the certificate hashed by its signature's own hash, SHA-256 where that is MD5 or SHA-1; not defined
    where the signature has none (Ed25519).
    """
    leaf = x509.load_pem_x509_certificate(certificate)
    algorithm = leaf.signature_hash_algorithm
    if algorithm is None:
        return None
    weak = algorithm.name in ("md5", "sha1")
    return leaf.fingerprint(hashes.SHA256() if weak else algorithm)


def _context(files: CertificateFiles, client_ca_file: Path | None = None) -> ServerContext:
    """TLS 1.2 and later (RFC 9325 §3.1.1); ciphers are Python's choice, which has forward secrecy only."""
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        # Without the callback OpenSSL would ask the terminal for an encrypted key's passphrase.
        context.load_cert_chain(files.certificate_file, files.key_file, password=lambda: b"")
    except ssl.SSLError as error:
        reason = error.reason.lower().replace("_", " ") if error.reason else "not a usable certificate"
        raise CertificateError(f"cannot be used: {reason}", files.certificate_file) from error
    except OSError as error:
        raise CertificateError(
            error.strerror or str(error), files.key_file or files.certificate_file
        ) from error
    try:
        context.end_point = end_point_of(files.certificate_file.read_bytes())
    except (ValueError, OSError, UnsupportedAlgorithm):  # OpenSSL can use it, so it is no reason to refuse it
        context.end_point = None
    if client_ca_file is not None:
        try:
            context.load_verify_locations(client_ca_file)
        except (ssl.SSLError, OSError) as error:
            raise CertificateError(f"cannot be used: {error}", client_ca_file) from error
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
