//! The addresses of a From, To or the like (RFC 5322 §3.4), read as leniently as a mail reader does.
//!
//! What a stranger wrote there is looked at once from left to right: no recursion, nothing is refused, and what makes no
//! sense still gives what can be shown. Octets stay as they are; encoded words are not decoded.

/// Most addresses and groups of one list that are kept.
pub const ADDRESSES_MAX: usize = 4096;

/// One member of a list, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// An address.
    Mailbox(ListedMailbox),
    /// `name:`; what follows up to [`Self::GroupEnd`] is in it.
    Group(Vec<u8>),
    /// `;`
    GroupEnd,
}

/// `name <@route:local@domain>`; what is missing is None or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedMailbox {
    /// The display name, without quotes; where there is none, a comment behind the address.
    pub name: Option<Vec<u8>>,
    /// Source route (RFC 5322 §4.4 `obs-route`), with its `@` and commas.
    pub route: Option<Vec<u8>>,
    /// The local part, unquoted.
    pub local: Vec<u8>,
    /// The domain; empty where there is no `@`.
    pub domain: Vec<u8>,
}

/// Reads an unfolded value.
pub fn address_list(value: &[u8]) -> Vec<Listed> {
    let mut reader = Reader {
        rest: value,
        listed: Vec::new(),
        in_group: false,
        now: Now::default(),
    };
    while reader.listed.len() < ADDRESSES_MAX {
        let Some((&octet, tail)) = reader.rest.split_first() else {
            break;
        };
        reader.rest = tail;
        reader.octet(octet);
    }
    reader.end_mailbox();
    if reader.in_group {
        reader.listed.push(Listed::GroupEnd);
    }
    reader.listed
}

/// What was read of the present member.
#[derive(Default)]
struct Now {
    /// Words so far, joined by single spaces: a name, or an address without brackets.
    words: Vec<u8>,
    /// Where the first `@` outside of quotes is in `words`.
    at: Option<usize>,
    /// White space or a comment stood before what comes next.
    gap: bool,
    /// The last comment.
    comment: Option<Vec<u8>>,
    /// What stood in `<…>`.
    bracketed: Option<ListedMailbox>,
    /// Something stood there, if only an empty quoted string.
    any: bool,
}

struct Reader<'a> {
    rest: &'a [u8],
    listed: Vec<Listed>,
    in_group: bool,
    now: Now,
}

impl Reader<'_> {
    fn octet(&mut self, octet: u8) {
        match octet {
            b' ' | b'\t' | b'\r' | b'\n' => self.now.gap = true,
            b'(' => {
                self.now.comment = Some(comment(&mut self.rest));
                self.now.gap = true;
            }
            b'"' => {
                let quoted = quoted(&mut self.rest);
                self.word(&quoted);
            }
            b',' => self.end_mailbox(),
            b'<' if self.now.bracketed.is_none() => self.now.bracketed = Some(bracketed(&mut self.rest)),
            // A colon in the middle of an address is no group's.
            b':' if !self.in_group && self.now.at.is_none() && self.now.bracketed.is_none() => {
                let now = std::mem::take(&mut self.now);
                self.listed.push(Listed::Group(now.words));
                self.in_group = true;
            }
            b';' => {
                self.end_mailbox();
                if std::mem::take(&mut self.in_group) {
                    self.listed.push(Listed::GroupEnd);
                }
            }
            b'@' => {
                self.now.at.get_or_insert(self.now.words.len());
                self.now.words.push(b'@');
                self.now.gap = false;
                self.now.any = true;
            }
            b'[' => {
                let end = memchr::memchr(b']', self.rest).map_or(self.rest.len(), |at| at + 1);
                let (literal, tail) = self.rest.split_at(end);
                self.word(&[b"[", literal].concat());
                self.rest = tail;
            }
            b'\\' => {
                if let Some((&escaped, tail)) = self.rest.split_first() {
                    self.rest = tail;
                    self.word(&[escaped]);
                }
            }
            _ => self.word(&[octet]),
        }
    }

    fn word(&mut self, octets: &[u8]) {
        let now = &mut self.now;
        if now.gap && !now.words.is_empty() {
            now.words.push(b' ');
        }
        now.gap = false;
        now.any = true;
        now.words.extend_from_slice(octets);
    }

    fn end_mailbox(&mut self) {
        let now = std::mem::take(&mut self.now);
        let found = match now.bracketed {
            Some(mailbox) => ListedMailbox {
                name: Some(now.words).filter(|_| now.any).or(now.comment),
                ..mailbox
            },
            None if !now.any => return,
            // Several words without an address are somebody's name.
            None if now.at.is_none() && now.words.contains(&b' ') => ListedMailbox {
                name: Some(now.words),
                ..ListedMailbox::default()
            },
            None => {
                let (local, domain) = match now.at {
                    Some(at) => (&now.words[..at], &now.words[at + 1..]),
                    None => (&now.words[..], &b""[..]),
                };
                ListedMailbox {
                    name: now.comment,
                    route: None,
                    local: without_gaps(local),
                    domain: without_gaps(domain),
                }
            }
        };
        self.listed.push(Listed::Mailbox(found));
    }
}

/// `a . b` as `a.b` (RFC 5322 §4.4).
fn without_gaps(words: &[u8]) -> Vec<u8> {
    let words = words.trim_ascii();
    let mut out: Vec<u8> = Vec::with_capacity(words.len());
    for (at, &octet) in words.iter().enumerate() {
        let beside_dot = out.last() == Some(&b'.') || words.get(at + 1) == Some(&b'.');
        if octet != b' ' || !beside_dot {
            out.push(octet);
        }
    }
    out
}

/// Behind an opening quote, to behind the closing one.
fn quoted(rest: &mut &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((&octet, tail)) = rest.split_first() {
        *rest = tail;
        match (octet, tail.split_first()) {
            (b'"', _) => break,
            (b'\\', Some((&escaped, after))) => {
                out.push(escaped);
                *rest = after;
            }
            (b'\r' | b'\n', _) => {}
            _ => out.push(octet),
        }
    }
    out
}

/// Behind an opening parenthesis, to behind the one that closes it; inner ones are kept.
fn comment(rest: &mut &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut depth = 1usize;
    while let Some((&octet, tail)) = rest.split_first() {
        *rest = tail;
        match (octet, tail.split_first()) {
            (b'\\', Some((&escaped, after))) => {
                out.push(escaped);
                *rest = after;
                continue;
            }
            (b'(', _) => depth += 1,
            (b')', _) => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        out.push(octet);
    }
    out.trim_ascii().to_vec()
}

/// Behind `<`, to behind `>`.
fn bracketed(rest: &mut &[u8]) -> ListedMailbox {
    let mut found = ListedMailbox::default();
    let mut route = Vec::new();
    let mut at = None;
    let mut words = Vec::new();
    while let Some((&octet, tail)) = rest.split_first() {
        *rest = tail;
        match octet {
            b'>' => break,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'(' => drop(comment(rest)),
            b'"' => words.extend_from_slice(&quoted(rest)),
            b'\\' => {
                if let Some((&escaped, after)) = tail.split_first() {
                    words.push(escaped);
                    *rest = after;
                }
            }
            // All before the colon of "@a,@b:local@domain" is the route.
            b':' if at == Some(0) && route.is_empty() => {
                route = std::mem::take(&mut words);
                at = None;
            }
            b'@' => {
                at.get_or_insert(words.len());
                words.push(b'@');
            }
            _ => words.push(octet),
        }
    }
    match at {
        Some(at) => {
            found.domain = words[at + 1..].to_vec();
            words.truncate(at);
            found.local = words;
        }
        None => found.local = words,
    }
    found.route = Some(route).filter(|route| !route.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name|route|local|domain`, `group:` and `;`.
    fn shown(value: &str) -> Vec<String> {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        address_list(value.as_bytes())
            .into_iter()
            .map(|listed| match listed {
                Listed::Group(name) => format!("{}:", text(&name)),
                Listed::GroupEnd => ";".to_owned(),
                Listed::Mailbox(m) => format!(
                    "{}|{}|{}|{}",
                    text(m.name.as_deref().unwrap_or(b"NIL")),
                    text(m.route.as_deref().unwrap_or(b"NIL")),
                    text(&m.local),
                    text(&m.domain)
                ),
            })
            .collect()
    }

    #[test]
    fn examples_of_rfc_5322() {
        for (value, expected) in [
            (
                "John Doe <jdoe@machine.example>",
                vec!["John Doe|NIL|jdoe|machine.example"],
            ),
            (
                "\"Joe Q. Public\" <john.q.public@example.com>",
                vec!["Joe Q. Public|NIL|john.q.public|example.com"],
            ),
            (
                "Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
                vec![
                    "Mary Smith|NIL|mary|x.test",
                    "NIL|NIL|jdoe|example.org",
                    "Who?|NIL|one|y.test",
                ],
            ),
            (
                "<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
                vec![
                    "NIL|NIL|boss|nil.test",
                    "Giant; \"Big\" Box|NIL|sysservices|example.net",
                ],
            ),
            (
                "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
                vec![
                    "A Group:",
                    "Ed Jones|NIL|c|a.test",
                    "NIL|NIL|joe|where.test",
                    "John|NIL|jdoe|one.test",
                    ";",
                ],
            ),
            ("Undisclosed recipients:;", vec!["Undisclosed recipients:", ";"]),
            (
                "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
                vec!["Pete|NIL|pete|silly.test"],
            ),
            (
                "Joe Q. Public <john.q.public@example.com>",
                vec!["Joe Q. Public|NIL|john.q.public|example.com"],
            ),
            (
                "Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
                vec![
                    "Mary Smith|@node.test|mary|example.net",
                    "NIL|NIL|jdoe|test.example",
                ],
            ),
            (
                "(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;",
                vec!["Hidden recipients:", ";"],
            ),
            ("<@a.test,@b.test:c@d.test>", vec!["NIL|@a.test,@b.test|c|d.test"]),
        ] {
            assert_eq!(expected, shown(value), "{value}");
        }
    }

    #[test]
    fn old_and_careless_forms_still_name_somebody() {
        for (value, expected) in [
            (
                "jdoe@example.org (John (J.) Doe)",
                vec!["John (J.) Doe|NIL|jdoe|example.org"],
            ),
            ("\"a b\"@c", vec!["NIL|NIL|a b|c"]),
            ("just a name", vec!["just a name|NIL||"]),
            ("root", vec!["NIL|NIL|root|"]),
            ("a@[127.0.0.1]", vec!["NIL|NIL|a|[127.0.0.1]"]),
            ("a@[IPv6:::1]", vec!["NIL|NIL|a|[IPv6:::1]"]),
            ("=?utf-8?Q?J=C3=BC?= <j@x>", vec!["=?utf-8?Q?J=C3=BC?=|NIL|j|x"]),
            ("a . b @ c . d", vec!["NIL|NIL|a.b|c.d"]),
            ("x <", vec!["x|NIL||"]),
            ("", vec![]),
            (",,;", vec![]),
            ("g: a@b", vec!["g:", "NIL|NIL|a|b", ";"]),
            ("\"open", vec!["NIL|NIL|open|"]),
            ("(open", vec![]),
        ] {
            assert_eq!(expected, shown(value), "{value}");
        }
    }

    #[test]
    fn a_list_is_bounded() {
        assert!(address_list(&b"a@b,".repeat(100_000)).len() <= ADDRESSES_MAX + 1);
        assert_eq!(
            1,
            address_list(&[b"a@b".to_vec(), b"(".repeat(1_000_000)].concat()).len()
        );
    }
}
