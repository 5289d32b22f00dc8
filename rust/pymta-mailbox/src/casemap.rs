//! How text is compared in SEARCH, SORT and THREAD: without case, as i;unicode-casemap does (RFC 5051).
//!
//! Every character is in the capital form, by the simple mappings of Unicode: ß is not SS. Then letters are taken apart,
//! so é is an e with a mark on it: who looks for e finds it, and it stands beside e.

use crate::letters::apart;

/// The form in which texts are equal, and in which their octets order them.
pub(crate) fn folded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    loop {
        // Most of most texts, also where they are not in ASCII as a whole.
        let plain = rest
            .bytes()
            .position(|octet| !octet.is_ascii())
            .unwrap_or(rest.len());
        let (ascii, others) = rest.split_at(plain);
        let at = out.len();
        out.extend_from_slice(ascii.as_bytes());
        out[at..].make_ascii_uppercase();
        let mut characters = others.chars();
        let Some(character) = characters.next().map(capital) else {
            return out;
        };
        match apart(character).filter(|_| !character.is_ascii()) {
            Some(parts) => out.extend_from_slice(parts.as_bytes()),
            None => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = characters.as_str();
    }
}

fn capital(character: char) -> char {
    // By way of the small letter, so that K (the sign of kelvin) is K.
    let single = |mut mapped: std::char::ToLowercase| (mapped.len() == 1).then(|| mapped.next()).flatten();
    let small = single(character.to_lowercase()).unwrap_or(character);
    let mut capital = small.to_uppercase();
    match (capital.len(), capital.next()) {
        (1, Some(capital)) => capital,
        _ => small,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_makes_no_difference() {
        for (one, other) in [
            ("Grüße", "GRÜßE"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("\u{212a}", "k"),
            ("ſ", "S"),
            ("Ж", "ж"),
        ] {
            assert_eq!(folded(one), folded(other), "{one}");
        }
        assert_eq!(folded("ẞ"), folded("ß"));
        assert!(folded("É").starts_with(&folded("e")));
        assert_eq!(folded("e\u{301}"), folded("é"));
        assert!(folded("Jörg") < folded("just"));
        assert!(folded("a") < folded("_"));
        assert_eq!("A\u{308}BC\u{327}DE\u{301}".as_bytes(), folded("äbçdé"));
        assert_eq!("ONE TWO\u{2013}THREE".as_bytes(), folded("one two\u{2013}three"));
        assert!(folded("").is_empty());
    }
}
