//! A session says the same whether it is compressed (RFC 4978) or not, and whichever way what is compressed was cut.
//! What is no DEFLATE ends it, and nothing else.
#![no_main]

#[path = "../../pymta-imap/tests/common/mod.rs"]
mod common;

use common::{Behind, offer};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use libfuzzer_sys::fuzz_target;

type Told = (Vec<String>, Vec<u8>, Vec<String>, bool);

fn logged_in(command: &[u8]) -> Behind {
    let mut offer = offer();
    offer.compress = true;
    offer.limits.set("violations_max", 1000).unwrap();
    let mut behind = Behind::new(offer, true);
    behind.send(b"a LOGIN a b\r\na SELECT INBOX\r\n");
    behind.send(command);
    behind.events.clear();
    behind.out.clear();
    behind
}

fn told(mut behind: Behind, pieces: &[Vec<u8>], cut: usize, inflate: Option<&mut Decompress>) -> Told {
    for piece in pieces {
        for chunk in piece.chunks(cut) {
            behind.send(chunk);
            assert!(behind.session.held_octets() <= 262_144 + 2 * 65_536 + chunk.len());
        }
    }
    let is_closing = behind.session.is_closing();
    let out = inflate.map_or_else(|| behind.out.clone(), |inflate| inflated(inflate, &behind.out));
    (behind.events, out, behind.stored, is_closing)
}

fn inflated(inflate: &mut Decompress, mut compressed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while !compressed.is_empty() {
        out.reserve(65_536);
        let before = inflate.total_in();
        inflate
            .decompress_vec(compressed, &mut out, FlushDecompress::Sync)
            .expect("all that is said can be inflated");
        compressed = &compressed[usize::try_from(inflate.total_in() - before).unwrap()..];
    }
    out
}

fn deflated(deflate: &mut Compress, octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() + 1000);
    deflate.compress_vec(octets, &mut out, FlushCompress::Sync).unwrap();
    out
}

fuzz_target!(|input: &[u8]| {
    let [level, cut, octets @ ..] = input else {
        return;
    };
    let cut = usize::from(*cut).max(1);
    // Octets that were not compressed at all.
    logged_in(b"a COMPRESS DEFLATE\r\n").send(octets);

    // Asking for it once more is answered differently, and so is what is announced.
    let says = |word: &[u8]| octets.windows(word.len()).any(|o| o.eq_ignore_ascii_case(word));
    if [&b"COMPRESS"[..], b"CAPABILITY"].into_iter().any(says) {
        return;
    }
    let mut deflate = Compress::new(Compression::new(u32::from(level % 10)), false);
    let compressed: Vec<_> = octets
        .split_inclusive(|&octet| octet == b'\n')
        .map(|line| deflated(&mut deflate, line))
        .collect();
    let clear = told(logged_in(b"a NOOP\r\n"), &[octets.to_vec()], cut, None);
    let mut inflate = Decompress::new(false);
    let packed = told(
        logged_in(b"a COMPRESS DEFLATE\r\n"),
        &compressed,
        cut,
        Some(&mut inflate),
    );
    assert_eq!(clear, packed);
});
