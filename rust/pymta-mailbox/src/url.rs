//! URLs of messages on this server (RFC 5092 §6.1, relative ones), for CATENATE (RFC 4469).
//!
//! ```text
//! /Sent;UIDVALIDITY=3/;UID=20                 the whole message
//! /Sent/;UID=20/;SECTION=1.2                  a part; also HEADER, TEXT, 1.2.HEADER, 1.2.TEXT, 1.2.MIME
//! /Sent/;UID=20/;SECTION=1/;PARTIAL=100.50    octets of it
//! ```
//! Not here: URLs of other servers, of searches, and with an access key (RFC 4467).

use std::io;

use pymta_imap::command::{FetchItem, Section, SectionForm, SectionText};
use pymta_imap::mailbox_name::NAME_OCTETS_MAX;
use pymta_index::{IndexError, Message};
use pymta_types::UnixMs;

use crate::content::Octets;
use crate::fetch::{FetchError, Given, Responder};
use crate::view::{PIECE_OCTETS, View};

/// Parts within parts that a section names.
const PART_DEPTH_MAX: usize = 32;

/// A message, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    mailbox: String,
    uid_validity: Option<u32>,
    uid: u32,
    section: Section,
}

impl Url {
    /// None where it is none of ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (place, message) = split_at_word(text.strip_prefix('/')?, "/;UID=")?;
        let (name, uid_validity) = match split_at_word(place, ";UIDVALIDITY=") {
            Some((name, validity)) => (name, Some(validity.parse().ok()?)),
            None => (place, None),
        };
        let mailbox = pymta_imap::mailbox_name::decode(&percent_decoded(name)?, true)?;
        let mut parts = message.split("/;");
        let uid = parts.next()?.parse().ok().filter(|&uid| uid > 0)?;
        let mut section = Section {
            part: Vec::new(),
            text: SectionText::All,
            peek: true,
            partial: None,
            form: SectionForm::Body,
        };
        for part in parts {
            let (word, value) = part.split_once('=')?;
            match word.to_ascii_uppercase().as_str() {
                "SECTION" => {
                    let value = String::from_utf8(percent_decoded(value)?).ok()?;
                    (section.part, section.text) = section_of(&value)?;
                }
                "PARTIAL" => {
                    let (offset, octets) = value.split_once('.').unwrap_or((value, "18446744073709551615"));
                    section.partial = Some((offset.parse().ok()?, octets.parse().ok()?));
                }
                _ => return None,
            }
        }
        Some(Self {
            mailbox,
            uid_validity,
            uid,
            section,
        })
    }

    /// Where the message is.
    pub(crate) fn mailbox(&self) -> &str {
        &self.mailbox
    }

    /// Gives what it names to `take`, piece by piece; false where there is no such thing.
    ///
    /// # Errors
    /// As of any look at messages: what there may be is not to be had now.
    pub(crate) fn read(
        self,
        view: &View,
        now: UnixMs,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, IndexError> {
        let mailbox = match view.mailbox(&self.mailbox, now) {
            // RFC 4469 §4: also what he may not read.
            Err(IndexError::NoMailbox | IndexError::NoRight) => return Ok(false),
            mailbox => mailbox?,
        };
        mailbox.reconcile(now)?;
        let validity = mailbox.status()?.uid_validity;
        if self.uid_validity.is_some_and(|known| known != validity) {
            return Ok(false);
        }
        let record = mailbox.records(&[self.uid])?.into_iter().next().flatten();
        let message = Message {
            keywords: 0,
            modseq: 1,
            uid: self.uid,
            flags: 0,
        };
        let given = Given {
            number: 1,
            message: &message,
            keywords: &[],
            details: None,
            record: record.as_deref(),
        };
        let mut open = || -> io::Result<Option<Box<dyn Octets>>> {
            let opened = mailbox.open_file(self.uid, now).map_err(io::Error::other)?;
            Ok(opened.map(|file| Box::new(file) as Box<dyn Octets>))
        };
        let items = [FetchItem::Section(self.section.clone())];
        let (mut responder, mut said) = (Responder::default(), Vec::new());
        // What is said is a FETCH response: the octets of its literal are what is wanted.
        let mut left: Option<u64> = None;
        loop {
            said.clear();
            let enabled = view.enabled;
            let outcome = responder.go_on(&items, &given, enabled, &mut open, &mut said, PIECE_OCTETS);
            let is_over = match outcome {
                Ok(is_over) => is_over,
                Err(FetchError::Gone | FetchError::UnknownEncoding) => return Ok(false),
                Err(FetchError::Unreadable(error) | FetchError::CutOff(error)) => {
                    return Err(IndexError::Io {
                        doing: "read a message for CATENATE",
                        error,
                    });
                }
            };
            let mut content = said.as_slice();
            if left.is_none() {
                let Some((octets, head)) = literal_of(content) else {
                    return Ok(false); // NIL
                };
                left = Some(octets);
                content = &content[head..];
            }
            let wanted = left.unwrap_or(0).min(content.len() as u64);
            take(&content[..usize::try_from(wanted).unwrap_or(content.len())]);
            left = left.map(|left| left - wanted);
            if is_over {
                return Ok(left == Some(0));
            }
        }
    }
}

/// What is before and after a word of the grammar: those are said in either case, as all of ABNF is.
fn split_at_word<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let at = text.to_ascii_uppercase().find(word)?;
    Some((&text[..at], &text[at + word.len()..]))
}

/// Length of the literal that the first line announces, and where it begins.
fn literal_of(said: &[u8]) -> Option<(u64, usize)> {
    let end = memchr::memmem::find(said, b"}\r\n")?;
    let begin = memchr::memrchr(b'{', &said[..end])?;
    let octets = str::from_utf8(&said[begin + 1..end]).ok()?.parse().ok()?;
    Some((octets, end + 3))
}

/// `1.2.MIME`; the fields of HEADER.FIELDS are not taken.
fn section_of(text: &str) -> Option<(Vec<u32>, SectionText)> {
    let mut numbers = Vec::new();
    let mut words = text.split('.').peekable();
    while let Some(number) = words.peek().and_then(|word| word.parse().ok()) {
        numbers.push(number);
        words.next();
    }
    let what = match words.next().map(str::to_ascii_uppercase).as_deref() {
        None => SectionText::All,
        Some("HEADER") => SectionText::Header,
        Some("TEXT") => SectionText::Text,
        Some("MIME") if !numbers.is_empty() => SectionText::Mime,
        Some(_) => return None,
    };
    (words.next().is_none() && numbers.len() <= PART_DEPTH_MAX).then_some((numbers, what))
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let digit = |octet: u8| char::from(octet).to_digit(16);
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        octets.push(u8::try_from(high * 16 + low).ok()?);
    }
    (octets.len() <= NAME_OCTETS_MAX).then_some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_rfc_4469_are_read() {
        let url = Url::parse("/Drafts;UIDVALIDITY=385759045/;UID=20/;SECTION=1.MIME").unwrap();
        assert_eq!(
            ("Drafts", Some(385_759_045), 20),
            (url.mailbox.as_str(), url.uid_validity, url.uid)
        );
        assert_eq!((vec![1], SectionText::Mime), (url.section.part, url.section.text));
        let url = Url::parse("/a%2fb%20c/;UID=3/;SECTION=HEADER/;PARTIAL=1.2").unwrap();
        assert_eq!(("a/b c", None), (url.mailbox.as_str(), url.uid_validity));
        assert_eq!(Some((1, 2)), url.section.partial);
    }

    #[test]
    fn the_words_of_a_url_are_said_in_either_case() {
        let said = Url::parse("/Drafts;uidvalidity=3/;uid=20/;Section=1.header/;partial=1.2");
        assert_eq!(
            Url::parse("/Drafts;UIDVALIDITY=3/;UID=20/;SECTION=1.HEADER/;PARTIAL=1.2"),
            said
        );
        assert!(said.is_some());
    }

    #[test]
    fn others_are_none() {
        for text in [
            "imap://other.example/INBOX/;UID=1",
            "/INBOX/;UID=0",
            "/INBOX/;UID=x",
            "/INBOX",
            "/INBOX/;UID=1/;SECTION=HEADER.FIELDS%20(x)",
            "/INBOX/;UID=1/;SECTION=MIME",
            "/INBOX/;UID=1;URLAUTH=anonymous",
            "/IN%zz/;UID=1",
            "/INBOX/;UID=1/;X=1",
        ] {
            assert_eq!(None, Url::parse(text), "{text}");
        }
    }
}
