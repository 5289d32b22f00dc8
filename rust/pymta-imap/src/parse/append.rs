//! APPEND and REPLACE (RFC 9051 §6.3.12, RFC 3502, RFC 8508, RFC 4469, RFC 6855 §4): commands whose literals are
//! messages. They are read in segments: what stands before a message's literal, and what stands behind it.

use std::collections::VecDeque;

use super::{Cursor, Flaw, Grammar, Parsed, tag_of};
use crate::asked::{AskedAppend, AskedMessage, Replaces};
use crate::capability::Extension;
use crate::command::Flags;
use crate::framing;
use crate::limits::LIST_MAX;

/// Where in the command a segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the tag.
    Head,
    /// Behind a message: the end, or another one.
    Between,
    /// Behind the literal of `UTF8 (…`.
    Utf8,
    /// Behind a part of `CATENATE (…`.
    Catenate,
}

/// What a segment says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Begin(AskedAppend),
    Message(AskedMessage),
    Url(String),
    /// The command is over.
    End,
}

/// A segment that was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Segment {
    pub(crate) steps: VecDeque<Step>,
    /// Where the next one begins.
    pub(crate) place: Place,
    /// It is one of REPLACE, which has one message.
    pub(crate) is_replace: bool,
}

/// Reads a segment: a line with its CRLF and at its end the announcement of a literal where `is_open`, else without.
///
/// `before`: the segment before, None for the first.
pub(crate) fn segment(
    octets: &[u8],
    before: Option<(Place, bool)>,
    grammar: Grammar,
    is_open: bool,
) -> Parsed<Segment> {
    let (place, is_replace) = before.unwrap_or((Place::Head, false));
    let mut reader = Reader {
        cursor: Cursor::new(octets, grammar, is_open),
        is_open,
        is_replace,
        steps: VecDeque::new(),
    };
    let place = match place {
        Place::Head => {
            reader.head()?;
            reader.message()?
        }
        Place::Between => reader.between()?,
        Place::Utf8 => {
            reader.cursor.expect(b')')?;
            reader.between()?
        }
        Place::Catenate if reader.cursor.take(b')') => reader.between()?,
        Place::Catenate => {
            reader.cursor.space()?;
            reader.parts()?
        }
    };
    Ok(Segment {
        steps: reader.steps,
        place,
        is_replace: reader.is_replace,
    })
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    is_open: bool,
    is_replace: bool,
    steps: VecDeque<Step>,
}

impl Reader<'_> {
    /// Tag, name and mailbox.
    fn head(&mut self) -> Parsed<()> {
        let cursor = &mut self.cursor;
        let tag = tag_of(cursor)?;
        cursor.space()?;
        let mut name = cursor.word()?;
        let by_uid = name == "UID";
        if by_uid {
            cursor.space()?;
            name = cursor.word()?;
        }
        let mut replaces = None;
        if name == "REPLACE" {
            if cursor.grammar.enabled.uid_only && !by_uid {
                return Err(Flaw::UidRequired);
            }
            cursor.space()?;
            let number = if cursor.take(b'*') {
                u32::MAX
            } else {
                cursor.nonzero()?
            };
            replaces = Some(Replaces { number, by_uid });
        }
        let mailbox = cursor.spaced_mailbox()?;
        let enabled = cursor.grammar.enabled;
        self.is_replace = replaces.is_some();
        self.steps.push_back(Step::Begin(AskedAppend {
            tag,
            mailbox,
            replaces,
            enabled,
        }));
        Ok(())
    }

    /// The end, or another message.
    fn between(&mut self) -> Parsed<Place> {
        if self.cursor.rest.is_empty() && !self.is_open {
            self.steps.push_back(Step::End);
            return Ok(Place::Between);
        }
        if self.is_replace || !self.cursor.has(Extension::MultiAppend) {
            return Err(Flaw::Syntax);
        }
        self.message()
    }

    /// ` [flags ][date ]data`.
    fn message(&mut self) -> Parsed<Place> {
        if self.steps.len() > LIST_MAX {
            return Err(Flaw::TooComplex);
        }
        let cursor = &mut self.cursor;
        cursor.space()?;
        let (mut flags, mut internal_date_s) = (Flags::default(), None);
        if cursor.peek() == Some(b'(') {
            flags = cursor.flags()?;
            cursor.space()?;
        }
        if cursor.peek() == Some(b'"') {
            internal_date_s = Some(cursor.date_time()?);
            cursor.space()?;
        }
        let mut asked = AskedMessage {
            flags,
            internal_date_s,
            octets: None,
        };
        if matches!(cursor.peek(), Some(b'{' | b'~')) {
            asked.octets = Some(self.content()?);
            self.steps.push_back(Step::Message(asked));
            return Ok(Place::Between);
        }
        match cursor.word()?.as_str() {
            "UTF8" if cursor.grammar.enabled.utf8 => {
                cursor.space()?;
                cursor.expect(b'(')?;
                asked.octets = Some(self.content()?);
                self.steps.push_back(Step::Message(asked));
                Ok(Place::Utf8)
            }
            "CATENATE" if cursor.has(Extension::Catenate) => {
                cursor.space()?;
                cursor.expect(b'(')?;
                self.steps.push_back(Step::Message(asked));
                self.parts()
            }
            _ => Err(Flaw::Syntax),
        }
    }

    fn parts(&mut self) -> Parsed<Place> {
        loop {
            if self.steps.len() > LIST_MAX {
                return Err(Flaw::TooComplex);
            }
            let word = self.cursor.word()?;
            self.cursor.space()?;
            match word.as_str() {
                "TEXT" => {
                    self.content()?;
                    return Ok(Place::Catenate);
                }
                "URL" => {
                    let url = self.cursor.text()?;
                    self.steps.push_back(Step::Url(url));
                }
                _ => return Err(Flaw::Syntax),
            }
            if self.cursor.take(b')') {
                return self.between();
            }
            self.cursor.space()?;
        }
    }

    /// The announcement of content, which is the end of the segment.
    fn content(&mut self) -> Parsed<u64> {
        let has_literal8 = self.cursor.has(Extension::Binary) || self.cursor.grammar.enabled.utf8;
        if self.cursor.take(b'~') && !has_literal8 {
            return Err(Flaw::Syntax);
        }
        let line = self.cursor.rest.strip_suffix(b"\r\n").filter(|_| self.is_open);
        let line = line.ok_or(Flaw::Syntax)?;
        let announced = framing::announced(line).ok_or(Flaw::Syntax)?;
        if line.first() == Some(&b'{') && !line[1..].contains(&b'{') {
            Ok(announced.octets)
        } else {
            Err(Flaw::Syntax)
        }
    }
}
