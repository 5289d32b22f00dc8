//! How text is compared in SEARCH, SORT and THREAD: without case, for the most part as i;unicode-casemap does (RFC 5051).
//!
//! Every character is in the capital form, by the simple mappings of Unicode, so what is as long stays as long: ß is not
//! SS. Letters are not taken apart: é is no e.

/// The form in which texts are equal, and in which their octets order them.
pub(crate) fn folded(text: &str) -> Vec<u8> {
    if text.is_ascii() {
        return text.as_bytes().to_ascii_uppercase();
    }
    let mut out = String::with_capacity(text.len());
    out.extend(text.chars().map(capital));
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
        assert_ne!(folded("e"), folded("é"));
        assert!(folded("a") < folded("_"));
    }
}
