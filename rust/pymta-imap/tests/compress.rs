//! COMPRESS=DEFLATE (RFC 4978) with a client that compresses in its own ways. Regression A6b 2.

#![allow(clippy::unwrap_used)] // what fails shall stop the test

mod common;

use common::{Behind, offer};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

struct Client {
    behind: Behind,
    deflate: Compress,
    inflate: Decompress,
}

impl Client {
    fn new() -> Self {
        let mut offer = offer();
        offer.compress = true;
        let mut behind = Behind::new(offer, true);
        behind.send(b"a LOGIN a b\r\n");
        assert!(String::from_utf8_lossy(&behind.out).contains(" COMPRESS=DEFLATE "));
        behind.out.clear();
        Self {
            behind,
            deflate: Compress::new(Compression::default(), false),
            inflate: Decompress::new(false),
        }
    }

    fn deflated(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(octets.len() + 1000);
        self.deflate
            .compress_vec(octets, &mut out, FlushCompress::Sync)
            .unwrap();
        out
    }

    /// What was said since the last call, inflated: all of it can be.
    fn said(&mut self) -> String {
        let compressed = std::mem::take(&mut self.behind.out);
        let mut out = Vec::with_capacity(1_000_000);
        self.inflate
            .decompress_vec(&compressed, &mut out, FlushDecompress::Sync)
            .unwrap();
        String::from_utf8(out).unwrap()
    }
}

#[test]
fn commands_and_answers_are_compressed_from_the_ok_on() {
    let mut client = Client::new();
    client.behind.send(b"b COMPRESS DEFLATE\r\n");
    assert!(std::mem::take(&mut client.behind.out).starts_with(b"b OK"));
    // Octet by octet: an end of what is there is not an end of the stream.
    for octet in client.deflated(b"c NOOP\r\nd SEL") {
        client.behind.send(&[octet]);
    }
    assert_eq!("c OK view\r\n", client.said());
    let rest = client.deflated(b"ECT INBOX\r\ne COMPRESS DEFLATE\r\nf CAPABILITY\r\n");
    client.behind.send(&rest);
    let said = client.said();
    assert!(
        said.starts_with("d OK view\r\ne NO [COMPRESSIONACTIVE] "),
        "{said}"
    );
    assert!(!said.contains("COMPRESS=DEFLATE"));
    let append = [
        b"g APPEND INBOX {200000+}\r\n".to_vec(),
        vec![b'x'; 200_000],
        b"\r\nh LOGOUT\r\n".to_vec(),
    ]
    .concat();
    let append = client.deflated(&append);
    assert!(append.len() < 2000);
    client.behind.send(&append);
    let said = client.said();
    assert!(
        said.starts_with("g OK stored\r\n* BYE") && said.contains("\r\nh OK"),
        "{said}"
    );
    assert_eq!(200_000, client.behind.stored[0].len());
}

/// A client that does not wait for the OK: what is behind the command is compressed.
#[test]
fn what_is_in_the_same_packet_is_compressed_already() {
    let mut client = Client::new();
    let both = [b"b COMPRESS DEFLATE\r\n".to_vec(), client.deflated(b"c NOOP\r\n")].concat();
    client.behind.send(&both);
    let line = client
        .behind
        .out
        .iter()
        .position(|&octet| octet == b'\n')
        .unwrap();
    client.behind.out.drain(..=line);
    assert_eq!("c OK view\r\n", client.said());
}

#[test]
fn what_cannot_be_inflated_ends_the_session() {
    let mut client = Client::new();
    client.behind.send(b"b COMPRESS DEFLATE\r\n");
    client.behind.out.clear();
    client.behind.send(b"\xff\xff\xff\xff");
    assert!(client.behind.session.is_closing());
    assert_eq!(vec!["compression"], client.behind.violations);
    assert!(client.said().starts_with("* BYE"));
}

/// Little that becomes very much is never held, and ends the session in the end.
#[test]
fn a_bomb_is_not_held() {
    let mut client = Client::new();
    client.behind.send(b"b COMPRESS DEFLATE\r\n");
    client.behind.out.clear();
    let head = client.deflated(b"c SEARCH TEXT {1000000000+}\r\n");
    client.behind.send(&head);
    for _ in 0..200 {
        let zeros = client.deflated(&vec![0; 1_000_000]);
        client.behind.send(&zeros);
        assert!(client.behind.session.held_octets() < 64 * 1024);
    }
    assert!(client.behind.session.is_closing());
    assert_eq!(vec!["compression"], client.behind.violations);
}

#[test]
fn without_an_offer_there_is_no_compression() {
    let mut behind = Behind::new(offer(), true);
    behind.send(b"a LOGIN a b\r\nb COMPRESS DEFLATE\r\nc NOOP\r\n");
    assert_eq!(vec!["unknown-command"], behind.violations);
    assert!(behind.out.ends_with(b"c OK view\r\n"));
}
