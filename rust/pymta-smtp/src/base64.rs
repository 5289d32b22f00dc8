//! Base64 as AUTH uses it (RFC 4648 §4, RFC 4954 §4): strict, without line breaks.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PAD: u8 = b'=';

/// Marks an octet that is not of the alphabet.
const NONE: u8 = 0xff;

const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut at = 0u8;
    while at < 64 {
        values[ALPHABET[at as usize] as usize] = at;
        at += 1;
    }
    values
};

/// The octets as base64 with padding.
pub fn encode(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().div_ceil(3) * 4);
    for group in octets.chunks(3) {
        let bits = group
            .iter()
            .fold(0u32, |bits, &octet| bits << 8 | u32::from(octet))
            << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) & 63;
            text.push(char::from(if place <= group.len() {
                ALPHABET[digit as usize]
            } else {
                PAD
            }));
        }
    }
    text
}

/// The octets that `text` stands for, or None where it is not exactly what [`encode`] would have made: wrong length,
/// foreign octets, padding inside, or bits set beyond the end (two spellings of one secret help only an attacker).
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut octets = Vec::with_capacity(text.len() / 4 * 3);
    let groups = text.len() / 4;
    for (index, group) in text.chunks_exact(4).enumerate() {
        let pads = match group {
            [_, _, PAD, PAD] => 2,
            [_, _, _, PAD] => 1,
            _ => 0,
        };
        if pads > 0 && index + 1 != groups {
            return None;
        }
        let mut bits = 0u32;
        for &octet in &group[..4 - pads] {
            let value = VALUES[usize::from(octet)];
            if value == NONE {
                return None;
            }
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * pads;
        let [_, a, b, c] = bits.to_be_bytes();
        let group = [a, b, c];
        let (kept, beyond) = group.split_at(3 - pads);
        if beyond.iter().any(|&octet| octet != 0) {
            return None;
        }
        octets.extend_from_slice(kept);
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_answers_of_rfc_4648() {
        for (octets, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(text, encode(octets));
            assert_eq!(Some(octets.to_vec()), decode(text.as_bytes()));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "Z", "Zg", "Zg=", "Zg==Zg==", "Z===", "====", "Zh==", "Zm9=", "Zm 9", "Zm9v\r\n", "Z*==",
            "Zg==\0",
        ] {
            assert_eq!(None, decode(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(Some(octets.clone()), decode(encode(&octets).as_bytes()));
        }

        #[test]
        fn what_decodes_has_one_spelling(text in "[A-Za-z0-9+/=]{0,12}") {
            if let Some(octets) = decode(text.as_bytes()) {
                prop_assert_eq!(text, encode(&octets));
            }
        }
    }
}
