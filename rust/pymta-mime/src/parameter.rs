//! A header value with parameters: Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2183, RFC 2231).
//!
//! Read as leniently as mail readers do, because a check for a name must see every name that a reader could show:
//! continuations are joined wherever and in whatever order they stand (attacks row 22), and where a parameter is
//! given twice, both are kept.

use crate::encoded_word::{decode_charset, decode_raw};
use crate::facts::Parameters;
use crate::transfer::hex_pair;

/// Most parameters of one field. Real ones have a handful.
const PARAMETERS_MAX: usize = 256;

/// A value and its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameterised {
    /// What stands before the first semicolon, in lower case: `text/plain`, `attachment`.
    pub(crate) value: String,
    /// Names in lower case; those encoded or continued (RFC 2231) before plain ones, since readers prefer them.
    parameters: Vec<(String, String)>,
    /// Whether there were more than [`PARAMETERS_MAX`]; the rest was not read.
    pub(crate) exceeded: bool,
}

/// One `name*index*=value` as it stands.
struct Piece {
    name: String,
    /// Of a continuation.
    index: Option<u32>,
    /// Percent-encoded.
    extended: bool,
    octets: Vec<u8>,
}

impl Parameterised {
    /// Reads an unfolded value.
    pub(crate) fn parse(value: &[u8]) -> Self {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let mut pieces = Vec::new();
        let mut rest = &value[end..];
        let mut exceeded = false;
        while let Some(after) = rest.strip_prefix(b";") {
            if pieces.len() == PARAMETERS_MAX {
                exceeded = true;
                break;
            }
            let (found, tail) = piece(after);
            pieces.extend(found);
            rest = tail;
        }
        Self {
            value: String::from_utf8_lossy(token(&value[..end])).to_ascii_lowercase(),
            parameters: join(pieces),
            exceeded,
        }
    }

    /// The value that most readers take for the parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let named = |(given, _): &&(String, String)| given == name;
        self.parameters
            .iter()
            .find(named)
            .map(|(_, value)| value.as_str())
    }

    /// Every value that is given for the parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = move |(given, _): &&(String, String)| given == name;
        self.parameters
            .iter()
            .filter(named)
            .map(|(_, value)| value.as_str())
    }
}

/// A value and its parameters for an IMAP client: names as written but for RFC 2231's marks, values as octets.
///
/// Continuations are joined, charsets and percent signs stay: RFC 2231 §6 asks for the first of BODYSTRUCTURE, and the
/// name of what is still encoded ends with `*`.
pub(crate) fn joined_parameters(value: &[u8]) -> (Vec<u8>, Parameters) {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = &value[end..];
    while let Some(after) = rest.strip_prefix(b";") {
        if pieces.len() == PARAMETERS_MAX {
            break;
        }
        let (found, tail) = piece(after);
        pieces.extend(found.filter(|piece| !piece.name.is_empty()));
        rest = tail;
    }
    let mut joined: Vec<(String, Vec<Piece>)> = Vec::new();
    for piece in pieces {
        let continues = |(name, pieces): &&mut (String, Vec<Piece>)| {
            piece.index.is_some() && *name == piece.name && pieces[0].index.is_some()
        };
        match joined.iter_mut().find(continues) {
            Some((_, pieces)) => pieces.push(piece),
            None => joined.push((piece.name.clone(), vec![piece])),
        }
    }
    let parameters = joined.into_iter().map(|(name, mut pieces)| {
        pieces.sort_by_key(|piece| piece.index);
        let extended = pieces.iter().any(|piece| piece.extended);
        let mut octets = Vec::new();
        for piece in &pieces {
            match (extended, piece.extended) {
                (true, false) => percent_encode(&piece.octets, &mut octets),
                _ => octets.extend_from_slice(&piece.octets),
            }
        }
        let mark = if extended { "*" } else { "" };
        (format!("{name}{mark}").into_bytes(), octets)
    });
    (token(&value[..end]).to_vec(), parameters.collect())
}

fn percent_encode(octets: &[u8], out: &mut Vec<u8>) {
    for &octet in octets {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_') {
            out.push(octet);
        } else {
            out.extend_from_slice(format!("%{octet:02X}").as_bytes());
        }
    }
}

/// Up to white space or a comment, without white space before it.
fn token(octets: &[u8]) -> &[u8] {
    let octets = octets.trim_ascii();
    let end = octets.iter().position(|o| matches!(o, b' ' | b'\t' | b'('));
    &octets[..end.unwrap_or(octets.len())]
}

/// Reads `attribute "=" value` up to the semicolon that ends it; returns what follows, semicolon included.
fn piece(octets: &[u8]) -> (Option<Piece>, &[u8]) {
    let name_end = octets
        .iter()
        .position(|o| matches!(o, b'=' | b';'))
        .unwrap_or(octets.len());
    let Some(after) = octets[name_end..].strip_prefix(b"=") else {
        return (None, &octets[name_end..]); // no "=": nothing that has a value
    };
    let (value, tail) = match after.trim_ascii_start().strip_prefix(b"\"") {
        Some(quoted) => quoted_string(quoted),
        None => {
            let end = memchr::memchr(b';', after).unwrap_or(after.len());
            (without_comment(after[..end].trim_ascii()).to_vec(), &after[end..])
        }
    };
    let name = String::from_utf8_lossy(octets[..name_end].trim_ascii()).to_ascii_lowercase();
    (Some(named(&name, value)), tail)
}

/// Without a comment at its end, as in `us-ascii (Plain text)` (RFC 2045 §5.1).
fn without_comment(value: &[u8]) -> &[u8] {
    if !value.ends_with(b")") {
        return value;
    }
    let begin = memchr::memmem::rfind(value, b" (").or(memchr::memmem::rfind(value, b"\t("));
    value[..begin.unwrap_or(value.len())].trim_ascii_end()
}

/// Splits `name*1*` (RFC 2231 §3 and §4). A star that means nothing stays in the name.
fn named(name: &str, octets: Vec<u8>) -> Piece {
    let (rest, extended) = match name.strip_suffix('*') {
        Some(rest) => (rest, true),
        None => (name, false),
    };
    let numbered = rest
        .split_once('*')
        .filter(|(_, digits)| (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|(base, digits)| Some((base, digits.parse().ok()?)));
    let (name, index) = match numbered {
        Some((base, index)) => (base, Some(index)),
        None => (rest, None),
    };
    Piece {
        name: name.to_owned(),
        index,
        extended,
        octets,
    }
}

/// The inside of a quoted string, and what follows up to the next semicolon is passed over. Without a closing quote it
/// reaches to the end.
fn quoted_string(quoted: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut octets = Vec::new();
    let mut rest = quoted;
    while let [octet, tail @ ..] = rest {
        rest = tail;
        match (octet, tail) {
            (b'"', _) => break,
            (b'\\', [escaped, after @ ..]) => {
                octets.push(*escaped);
                rest = after;
            }
            _ => octets.push(*octet),
        }
    }
    let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
    (octets, &rest[end..])
}

/// Puts continuations together and decodes charsets.
fn join(mut pieces: Vec<Piece>) -> Vec<(String, String)> {
    // Stable, so that pieces of equal index keep their order and a gap does not hide what follows it.
    pieces.sort_by_key(|piece| piece.index);
    let (plain, special): (Vec<Piece>, Vec<Piece>) = pieces
        .into_iter()
        .partition(|piece| piece.index.is_none() && !piece.extended);
    let mut joined: Vec<(String, Vec<Piece>)> = Vec::new();
    for piece in special {
        let continues = |(name, _): &&mut (String, Vec<Piece>)| piece.index.is_some() && *name == piece.name;
        match joined.iter_mut().rev().find(continues) {
            Some((_, pieces)) => pieces.push(piece),
            None => joined.push((piece.name.clone(), vec![piece])),
        }
    }
    let mut parameters: Vec<(String, String)> = joined
        .into_iter()
        .map(|(name, pieces)| (name, decode(&pieces)))
        .collect();
    parameters.extend(
        plain
            .into_iter()
            .map(|piece| (piece.name, decode_raw(&piece.octets))),
    );
    parameters
}

/// `charset'language'text` and the pieces after it (RFC 2231 §4).
fn decode(pieces: &[Piece]) -> String {
    let mut charset: &[u8] = b"";
    let mut octets = Vec::new();
    for (position, piece) in pieces.iter().enumerate() {
        if !piece.extended {
            octets.extend_from_slice(&piece.octets);
            continue;
        }
        let mut text = piece.octets.as_slice();
        if position == 0 {
            let mut sections = text.splitn(3, |&o| o == b'\'');
            if let (Some(first), Some(_), Some(rest)) = (sections.next(), sections.next(), sections.next()) {
                (charset, text) = (first, rest);
            }
        }
        percent_decode(text, &mut octets);
    }
    let text = decode_charset(charset, &octets);
    text.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}")
}

fn percent_decode(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let [octet, tail @ ..] = rest {
        match (octet, hex_pair(tail)) {
            (b'%', Some(value)) => {
                out.push(value);
                rest = &tail[2..];
            }
            _ => {
                out.push(*octet);
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(value: &str, name: &str) -> Option<String> {
        Parameterised::parse(value.as_bytes())
            .get(name)
            .map(str::to_owned)
    }

    #[test]
    fn values_are_tokens_quoted_strings_or_careless() {
        let value =
            r#"Multipart/Mixed (c); Boundary="a \"b\";c"; charset=us-ascii; name=my file (1).exe ; x"#;
        assert_eq!("multipart/mixed", Parameterised::parse(value.as_bytes()).value);
        assert_eq!(Some("a \"b\";c".into()), get(value, "boundary"));
        assert_eq!(Some("us-ascii".into()), get(value, "charset"));
        assert_eq!(Some("my file (1).exe".into()), get(value, "name"));
        assert_eq!(None, get(value, "x"));
        assert_eq!(Some("open".into()), get("a; b=\"open", "b"));
        assert_eq!(
            Some("é".into()),
            Parameterised::parse(b"a; b=\xe9").get("b").map(str::to_owned)
        );
    }

    #[test]
    fn examples_of_rfc_2231() {
        let url =
            "message/external-body; access-type=URL; URL*0=\"ftp://\"; URL*1=\"cs.utk.edu/pub/moore/x.tar\"";
        assert_eq!(Some("ftp://cs.utk.edu/pub/moore/x.tar".into()), get(url, "url"));
        let single = "application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A";
        assert_eq!(Some("This is ***fun***".into()), get(single, "title"));
        let mixed = "application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20;\
                     title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"";
        assert_eq!(
            Some("This is even more ***fun*** isn't it!".into()),
            get(mixed, "title")
        );
        assert_eq!(Some("€".into()), get("a; n*=utf-8''%e2%82%ac", "n"));
    }

    #[test]
    fn no_order_gap_or_double_hides_a_name() {
        assert_eq!(
            Some("evil.exe".into()),
            get("a; filename*1=.exe; filename*0=evil", "filename")
        );
        assert_eq!(
            Some("evil.exe".into()),
            get("a; filename*0=evil; filename*7=.exe", "filename")
        );
        let both = Parameterised::parse(b"a; filename=good.txt; filename*=''evil.exe; filename=b.com");
        assert_eq!(
            vec!["evil.exe", "good.txt", "b.com"],
            both.all("filename").collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_million_parameters_cost_no_more_than_a_few() {
        let many: String = (0..100_000).map(|i| format!(";f*{i}=x")).collect();
        let parsed = Parameterised::parse(many.as_bytes());
        assert!(parsed.exceeded);
        assert_eq!(Some(PARAMETERS_MAX), parsed.get("f").map(str::len));
        assert!(!Parameterised::parse(b"a;b=c").exceeded);
    }

    #[test]
    fn a_comment_behind_a_value_is_none_of_it() {
        assert_eq!(
            Some("us-ascii".into()),
            get("text/plain; charset=us-ascii (Plain text)", "charset")
        );
        assert_eq!(Some("a (1).txt".into()), get("a/b; name=a (1).txt", "name"));
    }

    #[test]
    fn an_imap_client_gets_continuations_joined_and_charsets_as_they_are() {
        let joined = |value: &str| joined_parameters(value.as_bytes());
        let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let value = "Application/X-Stuff; title*0*=us-ascii'en'This%20is%20even%20more%20;\
                     title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"; A=b";
        assert_eq!(
            (
                b"Application/X-Stuff".to_vec(),
                vec![
                    pair(
                        "title*",
                        "us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn%27t%20it%21"
                    ),
                    pair("a", "b"),
                ]
            ),
            joined(value)
        );
        assert_eq!(vec![pair("url", "ab")], joined("a/b; URL*1=b; URL*0=a").1);
        assert_eq!(
            vec![pair("n", "1"), pair("n*", "x''2")],
            joined("a/b; n=1; n*=x''2; x").1
        );
    }

    #[test]
    fn decoded_values_hold_no_control_characters() {
        assert_eq!(Some("a\u{fffd}\u{fffd}b".into()), get("a; n*=''a%0d%0ab", "n"));
    }
}
