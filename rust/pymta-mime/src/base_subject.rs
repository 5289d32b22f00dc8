//! The base subject (RFC 5256 §2.1): what is left of a subject without "Re:", "Fwd:", "[list]" and "(fwd)".

use crate::encoded_word;

/// Longest base subject that is kept, in octets of UTF-8.
pub const SUBJECT_OCTETS_MAX: usize = 1000;

/// What is compared, and whether something said that it answers or forwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseSubject {
    /// Decoded, white space collapsed.
    pub text: String,
    /// A `Re:`, `Fwd:` or `(fwd)` was removed.
    pub is_reply: bool,
}

/// Of an unfolded Subject value.
pub fn base_subject(value: &[u8]) -> BaseSubject {
    // (1) UTF-8, with tabs, continuations and multiple spaces as one space.
    let decoded = encoded_word::decode(value, SUBJECT_OCTETS_MAX);
    let mut text = String::with_capacity(decoded.len());
    for word in decoded.split([' ', '\t']).filter(|word| !word.is_empty()) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    let mut rest = text.as_str();
    let mut is_reply = false;
    loop {
        // (2) trailers
        loop {
            rest = rest.trim_end_matches(' ');
            let Some(shorter) = strip_suffix(rest, "(fwd)") else {
                break;
            };
            rest = shorter;
            is_reply = true;
        }
        // (3) to (5) leaders and blobs, until nothing changes
        loop {
            rest = rest.trim_start_matches(' ');
            if let Some(shorter) = leader(rest) {
                rest = shorter;
                is_reply = true;
            } else if let Some(shorter) = blob(rest).filter(|shorter| !shorter.trim_matches(' ').is_empty()) {
                rest = shorter;
            } else {
                break;
            }
        }
        // (6) "[fwd: …]" around all
        match strip_prefix(rest, "[fwd:").and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => {
                rest = inner;
                is_reply = true;
            }
            None => break,
        }
    }
    BaseSubject {
        text: rest.to_owned(),
        is_reply,
    }
}

/// `*subj-blob subj-refwd`, with the blobs only where a `subj-refwd` follows them.
fn leader(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(shorter) = blob(rest) {
        rest = shorter;
    }
    let rest = ["re", "fwd", "fw"]
        .iter()
        .find_map(|word| strip_prefix(rest, word))?;
    let rest = rest.trim_start_matches(' ');
    let rest = blob(rest).unwrap_or(rest);
    rest.strip_prefix(':')
}

/// `"[" *BLOBCHAR "]" *WSP`
fn blob(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('[')?;
    let end = inside.find(['[', ']'])?;
    Some(inside[end..].strip_prefix(']')?.trim_start_matches(' '))
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let begin = text.get(..prefix.len())?;
    begin.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

fn strip_suffix<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    text.get(at..)?.eq_ignore_ascii_case(suffix).then(|| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_of_one_conversation_have_one_base() {
        for (subject, base, is_reply) in [
            ("hello", "hello", false),
            ("Re: hello", "hello", true),
            ("re [2] :  hello", "hello", true),
            ("FWD: Re: hello (fwd) (FWD) ", "hello", true),
            ("[list] hello", "hello", false),
            ("[list] Re: [other] hello", "hello", true),
            ("[a][b] fw: hello", "hello", true),
            ("[only]", "[only]", false),
            ("Re: [only]", "[only]", true),
            ("[fwd: Re: hello]", "hello", true),
            ("[Fwd: [list] hello]", "hello", true),
            ("[fwd: hello] there", "there", false),
            ("Regarding: hello", "Regarding: hello", false),
            ("  a \t b  ", "a b", false),
            ("=?utf-8?Q?Re:_gr=C3=BC=C3=9Fe?=", "grüße", true),
            ("Re:", "", true),
            ("(fwd)", "", true),
            ("", "", false),
            ("[open", "[open", false),
        ] {
            let expected = BaseSubject {
                text: base.to_owned(),
                is_reply,
            };
            assert_eq!(expected, base_subject(subject.as_bytes()), "{subject}");
        }
    }

    #[test]
    fn many_prefixes_cost_no_more_than_their_length() {
        assert_eq!("", base_subject("re:".repeat(300).as_bytes()).text);
        assert!(base_subject("re:".repeat(100_000).as_bytes()).is_reply);
        assert!(base_subject("[a]".repeat(100_000).as_bytes()).text.len() <= SUBJECT_OCTETS_MAX);
    }
}
