//! How text is compared in SEARCH, SORT and THREAD: without case, as i;unicode-casemap does (RFC 5051).
//!
//! Every character is in the capital form, by the simple mappings of Unicode: ß is not SS. Then letters are taken apart,
//! so é is an e with a mark on it: who looks for e finds it, and it stands beside e.

use crate::letters::apart;

/// The form in which texts are equal, and in which their octets order them.
pub(crate) fn folded(text: &str) -> Vec<u8> {
    if text.is_ascii() {
        return text.as_bytes().to_ascii_uppercase();
    }
    let mut out = String::with_capacity(text.len());
    for character in text.chars().map(capital) {
        match apart(character).filter(|_| !character.is_ascii()) {
            Some(parts) => out.push_str(parts),
            None => out.push(character),
        }
    }
    out.into_bytes()
}

fn capital(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_uppercase();
    }
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
    }
}
