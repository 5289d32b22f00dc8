"""
EXTERNAL (RFC 4422 appendix A): TLS has told already who the client is, by its certificate.
"""

from pymta.auth.sasl.steps import CertificateOffered, Channel, ClientFirst, Failed, Malformed, Step, text_of

__all__ = ["External"]


class External(ClientFirst):
    """The response names whom to act as, or is empty for the certificate's own account."""

    name = "EXTERNAL"

    def __init__(self, channel: Channel) -> None:
        self._addresses = channel.certificate_addresses

    def respond(self, response: bytes) -> Step:
        authorization = text_of(response)
        if authorization is None:
            return Malformed("too long or no UTF-8")
        if not self._addresses:
            return Failed(authorization, "no client certificate with an address")
        return CertificateOffered(self._addresses, authorization)
