"""
The certificates that the settings mean for a listener.
"""

from pymta.config.settings import ListenerSettings, Settings
from pymta.tls.server import CertificateFiles

__all__ = ["certificates_of"]


def certificates_of(listener: ListenerSettings, settings: Settings) -> tuple[CertificateFiles, ...]:
    """The listener's own, which is for clients that name nobody or somebody else, then those of [[certificates]]."""
    assert listener.certificate_file is not None, "checked with the configuration"
    own = CertificateFiles(listener.certificate_file, listener.key_file or listener.certificate_file)
    return (
        own,
        *(
            CertificateFiles(one.certificate_file, one.key_file or one.certificate_file, one.names)
            for one in settings.certificates
        ),
    )
