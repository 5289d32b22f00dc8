//! FETCH: items, sections, modifiers (RFC 9051 §6.4.5 and what extends it).

use super::{Cursor, Flaw, Parsed};
use crate::capability::Extension;
use crate::command::{Command, FetchItem, Section, SectionForm, SectionText};
use crate::limits::PART_DEPTH_MAX;

impl Cursor<'_> {
    pub(crate) fn fetch(&mut self, by_uid: bool) -> Parsed<Command> {
        self.space()?;
        let set = self.set()?;
        self.space()?;
        let items = self.fetch_items()?;
        let (mut changed_since, mut vanished, mut partial) = (None, false, None);
        if self.take(b' ') {
            self.list(|cursor| {
                match cursor.word()?.as_str() {
                    "CHANGEDSINCE" if cursor.has(Extension::Condstore) => {
                        cursor.space()?;
                        changed_since = Some(cursor.number64()?);
                    }
                    "VANISHED" if by_uid && cursor.grammar.enabled.qresync => vanished = true,
                    "PARTIAL" if by_uid && cursor.has(Extension::Partial) => {
                        cursor.space()?;
                        partial = Some(cursor.partial()?);
                    }
                    _ => return Err(Flaw::Syntax),
                }
                Ok(())
            })?;
        }
        // RFC 7162 §3.2.6: VANISHED goes with CHANGEDSINCE.
        if vanished && changed_since.is_none() {
            return Err(Flaw::Syntax);
        }
        Ok(Command::Fetch {
            set,
            items,
            changed_since,
            vanished,
            partial,
        })
    }

    /// A macro, one item, or several in parentheses.
    fn fetch_items(&mut self) -> Parsed<Vec<FetchItem>> {
        if self.peek() == Some(b'(') {
            return self.list(Self::fetch_item);
        }
        let mut ahead = self.clone();
        let fast = [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Size];
        let items = match ahead.word()?.as_str() {
            "FAST" => fast.to_vec(),
            "ALL" => [&fast[..], &[FetchItem::Envelope]].concat(),
            "FULL" => [&fast[..], &[FetchItem::Envelope, FetchItem::Body]].concat(),
            _ => return Ok(vec![self.fetch_item()?]),
        };
        *self = ahead;
        Ok(items)
    }

    /// One item; NOTIFY takes a list of them, too.
    pub(crate) fn fetch_item(&mut self) -> Parsed<FetchItem> {
        let item = match self.word()?.as_str() {
            "UID" => FetchItem::Uid,
            "FLAGS" => FetchItem::Flags,
            "INTERNALDATE" => FetchItem::InternalDate,
            "RFC822.SIZE" => FetchItem::Size,
            "ENVELOPE" => FetchItem::Envelope,
            "BODYSTRUCTURE" => FetchItem::BodyStructure,
            "MODSEQ" if self.has(Extension::Condstore) => FetchItem::ModSeq,
            "SAVEDATE" if self.has(Extension::SaveDate) => FetchItem::SaveDate,
            "EMAILID" if self.has(Extension::ObjectId) => FetchItem::EmailId,
            "THREADID" if self.has(Extension::ObjectId) => FetchItem::ThreadId,
            "PREVIEW" if self.has(Extension::Preview) => self.preview()?,
            "RFC822" => whole(SectionForm::Rfc822, SectionText::All, false),
            "RFC822.HEADER" => whole(SectionForm::Rfc822Header, SectionText::Header, true),
            "RFC822.TEXT" => whole(SectionForm::Rfc822Text, SectionText::Text, false),
            "BODY" if self.peek() != Some(b'[') => FetchItem::Body,
            "BODY" => self.section(SectionForm::Body, false)?,
            "BODY.PEEK" => self.section(SectionForm::Body, true)?,
            "BINARY" if self.has(Extension::Binary) => self.section(SectionForm::Binary, false)?,
            "BINARY.PEEK" if self.has(Extension::Binary) => self.section(SectionForm::Binary, true)?,
            "BINARY.SIZE" if self.has(Extension::Binary) => {
                self.expect(b'[')?;
                let part = self.part()?;
                self.expect(b']')?;
                FetchItem::BinarySize(part)
            }
            _ => return Err(Flaw::Syntax),
        };
        Ok(item)
    }

    /// `PREVIEW` or `PREVIEW (LAZY)` (RFC 8970 §6).
    fn preview(&mut self) -> Parsed<FetchItem> {
        let mut ahead = self.clone();
        let mut lazy = false;
        if ahead.take(b' ') && ahead.peek() == Some(b'(') {
            // In `FETCH 1 PREVIEW (CHANGEDSINCE 1)` the list is FETCH's.
            let is_lazy = |cursor: &mut Self| {
                if cursor.take_word("LAZY") {
                    Ok(())
                } else {
                    Err(Flaw::Syntax)
                }
            };
            if ahead.list(is_lazy).is_ok() {
                *self = ahead;
                lazy = true;
            }
        }
        Ok(FetchItem::Preview { lazy })
    }

    /// `1.2.3`, or nothing.
    fn part(&mut self) -> Parsed<Vec<u32>> {
        let mut part = Vec::new();
        while self.peek().is_some_and(|octet| octet.is_ascii_digit()) {
            part.push(self.nonzero()?);
            if part.len() > PART_DEPTH_MAX {
                return Err(Flaw::TooComplex);
            }
            let is_followed = self.rest.get(1).is_some_and(u8::is_ascii_digit);
            if !is_followed || !self.take(b'.') {
                break;
            }
        }
        Ok(part)
    }

    fn section(&mut self, form: SectionForm, peek: bool) -> Parsed<FetchItem> {
        self.expect(b'[')?;
        let part = self.part()?;
        let mut text = SectionText::All;
        let has_text = if part.is_empty() {
            self.peek() != Some(b']')
        } else {
            self.take(b'.')
        };
        if has_text {
            text = self.section_text(!part.is_empty())?;
        }
        self.expect(b']')?;
        if form == SectionForm::Binary && text != SectionText::All {
            return Err(Flaw::Syntax);
        }
        let mut partial = None;
        if self.take(b'<') {
            let offset = self.number64()?;
            self.expect(b'.')?;
            let octets = self.number64()?;
            self.expect(b'>')?;
            if octets == 0 {
                return Err(Flaw::Syntax);
            }
            partial = Some((offset, octets));
        }
        Ok(FetchItem::Section(Section {
            part,
            text,
            peek,
            partial,
            form,
        }))
    }

    fn section_text(&mut self, of_part: bool) -> Parsed<SectionText> {
        let word = self.word()?;
        Ok(match word.as_str() {
            "HEADER" => SectionText::Header,
            "TEXT" => SectionText::Text,
            "MIME" if of_part => SectionText::Mime,
            "HEADER.FIELDS" | "HEADER.FIELDS.NOT" => {
                self.space()?;
                let names = self.list(|cursor| cursor.astring().map(|name| name.into_owned()))?;
                let not = word == "HEADER.FIELDS.NOT";
                SectionText::HeaderFields { names, not }
            }
            _ => return Err(Flaw::Syntax),
        })
    }
}

fn whole(form: SectionForm, text: SectionText, peek: bool) -> FetchItem {
    FetchItem::Section(Section {
        part: Vec::new(),
        text,
        peek,
        partial: None,
        form,
    })
}
