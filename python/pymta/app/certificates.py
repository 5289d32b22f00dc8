"""
The certificates that the settings mean for a listener, as there are files for them now.
"""

from pathlib import Path

from pymta.acme.store import Store
from pymta.config.settings import ListenerSettings, Settings
from pymta.tls.server import CertificateFiles

__all__ = ["certificates_of", "shown_files"]


def certificates_of(listener: ListenerSettings, settings: Settings) -> tuple[CertificateFiles, ...]:
    """
    The listener's own, which is for clients that name nobody or somebody else, then those that were issued by ACME, then
    those of [[certificates]]. Where ACME has to stand in for the listener's own and has not yet, it is one of our own making.
    """
    store = Store(settings.acme_folder)
    names = map(str, settings.acme.names)
    issued = {name: store.certificate_file(name) for name in names if store.certificate(name) is not None}
    if listener.certificate_file is not None:
        own = CertificateFiles(listener.certificate_file, listener.key_file or listener.certificate_file)
    else:
        assert settings.acme.names, "checked with the configuration"
        first = issued.get(str(settings.acme.names[0]))
        own = (
            CertificateFiles(store.self_made_file, store.self_made_key_file)
            if first is None
            else CertificateFiles(first, first)
        )
    return (
        own,
        *(CertificateFiles(file, file, (name,)) for name, file in issued.items()),
        *(
            CertificateFiles(one.certificate_file, one.key_file or one.certificate_file, one.names)
            for one in settings.certificates
        ),
    )


def shown_files(settings: Settings) -> list[Path]:
    """The files of all certificates that any listener shows, each once."""
    return list(
        dict.fromkeys(
            files.certificate_file
            for listener in settings.listeners
            if listener.tls != "none"
            for files in certificates_of(listener, settings)
        )
    )
