//! The PROXY protocol header, versions 1 and 2 (HAProxy's proxy-protocol.txt): who the client behind a balancer is.
//!
//! ```text
//! v1: "PROXY" SP ( "TCP4" / "TCP6" ) SP source SP destination SP port SP port CRLF    at most 107 octets
//!     "PROXY" SP "UNKNOWN" *OCTET CRLF
//!
//! v2: offset  octets
//!          0      12  signature 0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A
//!         12       1  version (high half, 2) and command (low half: 0 LOCAL, 1 PROXY)
//!         13       1  family and transport: 00 unspecified, 11 TCP4, 21 TCP6, 31 stream of AF_UNIX
//!         14       2  octets that follow, big-endian; at most 520 here
//!         16     ...  source, destination, source port, destination port, then TLVs (ignored)
//! ```
//!
//! Rule: read only from networks that are configured for it, before anything else on the connection; what is not a
//! header within these bounds ends the connection. Nothing is allocated and at most 536 octets are ever waited for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::line::{CRLF, CommandLine, command_line};

/// proxy-protocol.txt §2.1: the longest line of version 1, its CRLF included.
const V1_OCTETS_MAX: usize = 107;
const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEAD_OCTETS: usize = 16;
/// proxy-protocol.txt §2.2 asks for 536 in all to be always enough; TLVs of balancers are far below.
const V2_TAIL_OCTETS_MAX: usize = 520;

/// The octets are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// Neither version's first octets.
    #[error("no PROXY header")]
    Missing,
    /// It starts well and is malformed, too long, or of a transport that is not TCP.
    #[error("malformed PROXY header")]
    Malformed,
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// Source and destination of the client's connection; None where the connection's own addresses hold: LOCAL (the
    /// balancer's health check), UNKNOWN, or a socket without addresses.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// Octets of the header; SMTP begins behind them.
    pub octets: usize,
}

/// Reads the header that starts `buffer`; None where more of it must arrive.
///
/// # Errors
/// [`ProxyError`]: nothing that could still arrive would make it a header.
pub fn parse(buffer: &[u8]) -> Result<Option<Proxied>, ProxyError> {
    let starts = |start: &[u8]| {
        let common = buffer.len().min(start.len());
        buffer[..common] == start[..common]
    };
    if starts(V1_START) && !buffer.is_empty() {
        v1(buffer)
    } else if starts(V2_START) {
        v2(buffer)
    } else {
        Err(ProxyError::Missing)
    }
}

fn v1(buffer: &[u8]) -> Result<Option<Proxied>, ProxyError> {
    let octets = match command_line(buffer, V1_OCTETS_MAX) {
        CommandLine::Partial => return Ok(None),
        CommandLine::Whole(octets) => octets,
        CommandLine::BareLf(_) | CommandLine::TooLong => return Err(ProxyError::Malformed),
    };
    let line = std::str::from_utf8(&buffer[..octets - CRLF.len()]).map_err(|_| ProxyError::Malformed)?;
    let words: Vec<&str> = line.split(' ').collect();
    let addresses = match words[..] {
        [_, "UNKNOWN", ..] => None,
        [_, "TCP4", source, destination, from, to] => {
            Some(pair::<Ipv4Addr>(source, destination, from, to).ok_or(ProxyError::Malformed)?)
        }
        [_, "TCP6", source, destination, from, to] => {
            Some(pair::<Ipv6Addr>(source, destination, from, to).ok_or(ProxyError::Malformed)?)
        }
        _ => return Err(ProxyError::Malformed),
    };
    Ok(Some(Proxied { addresses, octets }))
}

fn pair<A>(source: &str, destination: &str, from: &str, to: &str) -> Option<(SocketAddr, SocketAddr)>
where
    A: std::str::FromStr + Into<IpAddr>,
{
    let end = |address: &str, port: &str| {
        let address: A = address.parse().ok()?;
        let digits = port.bytes().all(|o| o.is_ascii_digit());
        let port: u16 = Some(port).filter(|_| digits)?.parse().ok()?;
        Some(SocketAddr::new(address.into(), port))
    };
    Some((end(source, from)?, end(destination, to)?))
}

fn v2(buffer: &[u8]) -> Result<Option<Proxied>, ProxyError> {
    let Some((head, rest)) = buffer.split_first_chunk::<V2_HEAD_OCTETS>() else {
        return Ok(None);
    };
    let tail_octets = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if head[12] >> 4 != 2 || tail_octets > V2_TAIL_OCTETS_MAX {
        return Err(ProxyError::Malformed);
    }
    let Some(tail) = rest.get(..tail_octets) else {
        return Ok(None);
    };
    let addresses = match (head[12] & 0x0f, head[13]) {
        (0, _) | (1, 0x00 | 0x31) => None,
        (1, 0x11) => Some(v2_pair::<4, Ipv4Addr>(tail).ok_or(ProxyError::Malformed)?),
        (1, 0x21) => Some(v2_pair::<16, Ipv6Addr>(tail).ok_or(ProxyError::Malformed)?),
        _ => return Err(ProxyError::Malformed),
    };
    Ok(Some(Proxied {
        addresses,
        octets: V2_HEAD_OCTETS + tail_octets,
    }))
}

fn v2_pair<const N: usize, A>(tail: &[u8]) -> Option<(SocketAddr, SocketAddr)>
where
    A: From<[u8; N]> + Into<IpAddr>,
{
    let (source, rest) = tail.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (from, rest) = rest.split_first_chunk::<2>()?;
    let (to, _tlvs) = rest.split_first_chunk::<2>()?;
    let end = |address: [u8; N], port| SocketAddr::new(A::from(address).into(), u16::from_be_bytes(port));
    Some((end(*source, *from), end(*destination, *to)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(buffer: &[u8]) -> Result<Option<Proxied>, ProxyError> {
        let whole = parse(buffer);
        // No shorter piece may say anything but "more", or what the whole says.
        for end in 0..buffer.len() {
            let piece = parse(&buffer[..end]);
            assert!(piece == Ok(None) || piece == whole, "{end}: {piece:?}");
        }
        whole
    }

    fn v2_header(command: u8, family: u8, tail: &[u8]) -> Vec<u8> {
        let length = u16::try_from(tail.len()).unwrap().to_be_bytes();
        [&V2_START[..], &[0x20 | command, family], &length, tail].concat()
    }

    #[test]
    fn version_1_is_read() {
        let header = b"PROXY TCP4 192.0.2.1 198.51.100.7 4321 25\r\n";
        assert_eq!(
            Ok(Some(Proxied {
                addresses: Some((
                    "192.0.2.1:4321".parse().unwrap(),
                    "198.51.100.7:25".parse().unwrap()
                )),
                octets: header.len(),
            })),
            found(header)
        );
        assert!(found(b"PROXY TCP6 2001:db8::1 ::1 1 25\r\n").unwrap().is_some());
        let unknown = found(b"PROXY UNKNOWN whatever it is\r\n").unwrap().unwrap();
        assert_eq!(None, unknown.addresses);
    }

    #[test]
    fn version_2_is_read_and_tlvs_are_skipped() {
        let tail = [192, 0, 2, 1, 198, 51, 100, 7, 0x10, 0xe1, 0, 25, 0x04, 0, 1, 9];
        let header = v2_header(1, 0x11, &tail);
        assert_eq!(
            Ok(Some(Proxied {
                addresses: Some((
                    "192.0.2.1:4321".parse().unwrap(),
                    "198.51.100.7:25".parse().unwrap()
                )),
                octets: 32,
            })),
            found(&header)
        );
        assert_eq!(None, found(&v2_header(0, 0, &[])).unwrap().unwrap().addresses);
        let v6 = v2_header(1, 0x21, &[0; 36]);
        assert!(found(&v6).unwrap().unwrap().addresses.is_some());
    }

    #[test]
    fn what_is_no_header_is_known_at_once_and_waits_are_bounded() {
        assert_eq!(Ok(None), found(b""));
        assert_eq!(Err(ProxyError::Missing), parse(b"EHLO x\r\n"));
        assert_eq!(Err(ProxyError::Missing), parse(b"PROXX"));
        assert_eq!(
            Err(ProxyError::Malformed),
            parse(&[V1_START, &[b'x'; 108]].concat())
        );
        for line in [
            "PROXY TCP4 192.0.2.1 198.51.100.7 4321 25\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 4321\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 +321 25\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 70000 25\r\n",
            "PROXY TCP4 192.0.2.1  198.51.100.7 1 25\r\n",
            "PROXY TCP4 ::1 ::1 1 25\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.1 1 25\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.1 1 25\r\n",
        ] {
            assert_eq!(Err(ProxyError::Malformed), parse(line.as_bytes()), "{line}");
        }
        assert_eq!(Err(ProxyError::Malformed), parse(&v2_header(1, 0x11, &[0; 11])));
        assert_eq!(Err(ProxyError::Malformed), parse(&v2_header(1, 0x12, &[0; 12])));
        assert_eq!(Err(ProxyError::Malformed), parse(&v2_header(2, 0x11, &[0; 12])));
        assert_eq!(Err(ProxyError::Malformed), parse(&v2_header(1, 0x11, &[0; 521])));
    }

    proptest! {
        #[test]
        fn never_panics(octets in proptest::collection::vec(any::<u8>(), 0..60), which in 0usize..3) {
            let start: &[u8] = [&b""[..], V1_START, V2_START][which];
            let _ = parse(&[start, &octets].concat());
        }
    }
}
