//! The terminals of the grammar (RFC 9051 §9): what every command is made of.
//!
//! A command is one slice with its literals in place, `{n}` CRLF and all: the framing has seen to it that they are
//! whole. Nothing here recurses or copies more than it returns.

use std::borrow::Cow;

use super::Flaw;
use crate::asked::Enabled;
use crate::capability::{Extension, Extensions};
use crate::command::{Partial, SequenceSet};
use crate::limits::{ATOM_OCTETS_MAX, LIST_MAX, RANGES_MAX};
use crate::mailbox_name;
use crate::write::{is_astring_octet, is_atom_octet};

pub(crate) type Parsed<T> = Result<T, Flaw>;

/// What a command is read with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grammar {
    pub(crate) enabled: Enabled,
    pub(crate) extensions: Extensions,
}

/// A place in a command.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    pub(crate) rest: &'a [u8],
    pub(crate) grammar: Grammar,
    /// A literal's octets are still to come behind `rest`.
    is_open: bool,
    /// Ranges so far.
    ranges: usize,
}

impl<'a> Cursor<'a> {
    /// `is_open`: the command is whole but for a literal that was announced at its end.
    pub(crate) fn new(octets: &'a [u8], grammar: Grammar, is_open: bool) -> Self {
        Self {
            rest: octets,
            grammar,
            is_open,
            ranges: 0,
        }
    }

    pub(crate) fn needs(&self, extension: Extension) -> Parsed<()> {
        if self.grammar.extensions.has(extension) {
            Ok(())
        } else {
            Err(Flaw::Unknown)
        }
    }

    pub(crate) fn has(&self, extension: Extension) -> bool {
        self.grammar.extensions.has(extension)
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Takes this octet if it comes next.
    pub(crate) fn take(&mut self, octet: u8) -> bool {
        let takes = self.peek() == Some(octet);
        if takes {
            self.rest = &self.rest[1..];
        }
        takes
    }

    pub(crate) fn expect(&mut self, octet: u8) -> Parsed<()> {
        if self.take(octet) {
            Ok(())
        } else {
            Err(Flaw::Syntax)
        }
    }

    pub(crate) fn space(&mut self) -> Parsed<()> {
        self.expect(b' ')
    }

    pub(crate) fn end(&self) -> Parsed<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Flaw::Syntax)
        }
    }

    fn take_while(&mut self, is_part: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&octet| !is_part(octet));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// A word of letters, digits, `.`, `-`, `_`, `=` and `/`, in capitals; never empty.
    pub(crate) fn word(&mut self) -> Parsed<String> {
        let word = self.take_while(|octet| {
            octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_' | b'=' | b'/')
        });
        if word.is_empty() || word.len() > ATOM_OCTETS_MAX {
            return Err(Flaw::Syntax);
        }
        Ok(String::from_utf8_lossy(word).to_ascii_uppercase())
    }

    /// Takes the word if it comes next, in whatever case, and nothing that could go on with it.
    pub(crate) fn take_word(&mut self, word: &str) -> bool {
        let mut ahead = self.clone();
        let is_next = ahead.word().is_ok_and(|found| found == word);
        if is_next {
            *self = ahead;
        }
        is_next
    }

    pub(crate) fn atom(&mut self) -> Parsed<String> {
        self.text_of(is_atom_octet)
    }

    /// A tag: what may be repeated in an answer.
    pub(crate) fn tag(&mut self) -> Parsed<String> {
        self.text_of(|octet| is_astring_octet(octet) && octet != b'+')
    }

    fn text_of(&mut self, is_part: impl Fn(u8) -> bool) -> Parsed<String> {
        let atom = self.take_while(is_part);
        if atom.is_empty() || atom.len() > ATOM_OCTETS_MAX {
            return Err(Flaw::Syntax);
        }
        Ok(String::from_utf8_lossy(atom).into_owned())
    }

    /// Digits, as many as fit.
    pub(crate) fn number64(&mut self) -> Parsed<u64> {
        let digits = self.take_while(|octet| octet.is_ascii_digit());
        let text = str::from_utf8(digits).map_err(|_| Flaw::Syntax)?;
        // RFC 9051 §9: below 2^63.
        text.parse()
            .ok()
            .filter(|&number| number <= i64::MAX as u64)
            .ok_or(Flaw::Syntax)
    }

    pub(crate) fn number(&mut self) -> Parsed<u32> {
        u32::try_from(self.number64()?).map_err(|_| Flaw::Syntax)
    }

    pub(crate) fn nonzero(&mut self) -> Parsed<u32> {
        self.number().and_then(|number| {
            if number == 0 {
                Err(Flaw::Syntax)
            } else {
                Ok(number)
            }
        })
    }

    /// Quoted or literal.
    pub(crate) fn string(&mut self) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => Err(Flaw::Syntax),
        }
    }

    fn quoted(&mut self) -> Parsed<Cow<'a, [u8]>> {
        self.expect(b'"')?;
        let plain = self.take_while(|octet| !matches!(octet, b'"' | b'\\' | b'\r' | b'\n' | 0));
        if self.take(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.take(b'"');
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => {
                    self.take(b'\\');
                    match self.peek() {
                        Some(octet @ (b'"' | b'\\')) => {
                            text.push(octet);
                            self.rest = &self.rest[1..];
                        }
                        _ => return Err(Flaw::Syntax),
                    }
                }
                _ => {}
            }
            let plain = self.take_while(|octet| !matches!(octet, b'"' | b'\\' | b'\r' | b'\n' | 0));
            text.extend_from_slice(plain);
            if !matches!(self.peek(), Some(b'"' | b'\\')) {
                return Err(Flaw::Syntax);
            }
        }
    }

    /// `{n}` or `{n+}`, and its octets; no NUL among them.
    fn literal(&mut self) -> Parsed<&'a [u8]> {
        let octets = self.literal_octets()?;
        if octets.contains(&0) {
            Err(Flaw::Syntax)
        } else {
            Ok(octets)
        }
    }

    fn literal_octets(&mut self) -> Parsed<&'a [u8]> {
        self.expect(b'{')?;
        let digits = self.take_while(|octet| octet.is_ascii_digit());
        let digits = str::from_utf8(digits).ok().filter(|digits| !digits.is_empty());
        let count = digits.ok_or(Flaw::Syntax)?.parse().unwrap_or(usize::MAX); // that many are not there
        self.take(b'+');
        self.expect(b'}')?;
        self.expect(b'\r')?;
        self.expect(b'\n')?;
        if self.is_open && self.rest.is_empty() {
            return Err(Flaw::Incomplete);
        }
        let (octets, rest) = self.rest.split_at_checked(count).ok_or(Flaw::Syntax)?;
        self.rest = rest;
        Ok(octets)
    }

    /// A string, a literal that may hold NULs, or NIL.
    pub(crate) fn nstring8(&mut self) -> Parsed<Option<Vec<u8>>> {
        if self.take_word("NIL") {
            return Ok(None);
        }
        if self.take(b'~') {
            return self.literal_octets().map(|octets| Some(octets.to_vec()));
        }
        self.string().map(|text| Some(text.into_owned()))
    }

    pub(crate) fn astring(&mut self) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => {
                let atom = self.take_while(is_astring_octet);
                if atom.is_empty() {
                    Err(Flaw::Syntax)
                } else {
                    Ok(Cow::Borrowed(atom))
                }
            }
        }
    }

    /// An astring that is text.
    pub(crate) fn text(&mut self) -> Parsed<String> {
        String::from_utf8(self.astring()?.into_owned()).map_err(|_| Flaw::Syntax)
    }

    pub(crate) fn mailbox(&mut self) -> Parsed<String> {
        let utf8 = self.grammar.enabled.utf8;
        let name = self.astring()?;
        mailbox_name::decode(&name, utf8).ok_or(Flaw::Syntax)
    }

    /// A pattern of LIST: an astring that may hold `*` and `%`.
    pub(crate) fn pattern(&mut self) -> Parsed<String> {
        let utf8 = self.grammar.enabled.utf8;
        let pattern = match self.peek() {
            Some(b'"' | b'{') => self.string()?,
            _ => {
                let is_part = |octet| is_astring_octet(octet) || matches!(octet, b'%' | b'*');
                let atom = self.take_while(is_part);
                if atom.is_empty() {
                    return Err(Flaw::Syntax);
                }
                Cow::Borrowed(atom)
            }
        };
        mailbox_name::decode_pattern(&pattern, utf8).ok_or(Flaw::Syntax)
    }

    /// `(` one or more, with single spaces `)`.
    pub(crate) fn list<T>(&mut self, one: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let list = self.list_or_none(one)?;
        if list.is_empty() {
            Err(Flaw::Syntax)
        } else {
            Ok(list)
        }
    }

    /// Likewise, where there may be none.
    pub(crate) fn list_or_none<T>(&mut self, mut one: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.expect(b'(')?;
        let mut list = Vec::new();
        if self.take(b')') {
            return Ok(list);
        }
        loop {
            list.push(one(self)?);
            if list.len() > LIST_MAX {
                return Err(Flaw::TooComplex);
            }
            if self.take(b')') {
                return Ok(list);
            }
            self.space()?;
        }
    }

    // ---- sets

    fn set_number(&mut self) -> Parsed<u32> {
        if self.take(b'*') {
            Ok(u32::MAX)
        } else {
            self.nonzero()
        }
    }

    pub(crate) fn set(&mut self) -> Parsed<SequenceSet> {
        if self.peek() == Some(b'$') {
            self.needs_search_result()?;
            self.take(b'$');
            return Ok(SequenceSet::Saved);
        }
        let mut ranges = Vec::new();
        loop {
            let first = self.set_number()?;
            let last = if self.take(b':') {
                self.set_number()?
            } else {
                first
            };
            ranges.push((first.min(last), first.max(last)));
            self.ranges += 1;
            if self.ranges > RANGES_MAX {
                return Err(Flaw::TooComplex);
            }
            if !self.take(b',') {
                return Ok(SequenceSet::Ranges(ranges));
            }
        }
    }

    /// A set without `$` and `*`: of what is known already (RFC 7162 §7).
    pub(crate) fn known_set(&mut self) -> Parsed<SequenceSet> {
        let set = self.rest;
        let is_plain = set.iter().take_while(|&&octet| !matches!(octet, b' ' | b')'));
        if is_plain.clone().any(|octet| matches!(octet, b'*' | b'$')) {
            return Err(Flaw::Syntax);
        }
        self.set()
    }

    fn needs_search_result(&self) -> Parsed<()> {
        if self.has(Extension::SearchRes) {
            Ok(())
        } else {
            Err(Flaw::Syntax)
        }
    }

    /// `a:b` or `-a:-b` of PARTIAL (RFC 9394 §4).
    pub(crate) fn partial(&mut self) -> Parsed<Partial> {
        let from_end = self.take(b'-');
        let first = self.nonzero()?;
        self.expect(b':')?;
        if from_end {
            self.expect(b'-')?;
        }
        let last = self.nonzero()?;
        Ok(Partial {
            first: first.min(last),
            last: first.max(last),
            from_end,
        })
    }
}
