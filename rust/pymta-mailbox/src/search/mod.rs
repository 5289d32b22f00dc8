//! SEARCH (RFC 9051 §6.4.4): what is looked for, and the run over a mailbox.
//!
//! Each message is asked the cheapest questions first: what the picture of the mailbox has, then what the index has, then
//! the header section, and its content only where all that leaves it open.

mod evaluate;
mod program;
mod text;

use pymta_index::{Message, TextFilter};

use crate::content::{CONTENT_OCTETS_MAX, Content, Stretch};
use crate::record::{Kept, Record};
use crate::source::{self, BATCH_MESSAGES, SearchError, Source};
use evaluate::Known;
pub(crate) use program::joined;
pub use program::{Context, Program};
pub(crate) use text::Texts;

/// A run over a mailbox, in slices.
#[derive(Debug)]
pub struct Run {
    program: Program,
    next: usize,
    count: usize,
    found: Vec<usize>,
    /// Asked for once: what a message holds does not change.
    filter: Option<Option<TextFilter>>,
}

impl Run {
    /// Over the first `count` messages.
    pub fn new(program: Program, count: usize) -> Self {
        Self {
            program,
            next: 0,
            count,
            found: Vec::new(),
            filter: None,
        }
    }

    /// Likewise, over messages so few that what their contents cannot hold is not worth to be asked.
    pub(crate) fn of_few(program: Program, count: usize) -> Self {
        let mut run = Self::new(program, count);
        run.filter = Some(None);
        run
    }

    /// So many were looked at.
    pub(crate) fn looked_at(&self) -> usize {
        self.next
    }

    /// Looks at the next messages, until about `messages_max` or their content of `octets_max` are looked at; true when
    /// all are.
    ///
    /// # Errors
    /// [`SearchError`]; what was found before is kept.
    pub fn go_on(
        &mut self,
        messages: &[Message],
        source: &mut dyn Source,
        messages_max: usize,
        octets_max: u64,
    ) -> Result<bool, SearchError> {
        let end = self.count.min(messages.len());
        if self.filter.is_none() {
            let texts = self.program.content_texts();
            self.filter = Some(match texts.is_empty() {
                true => None,
                false => source.text_filter(&texts),
            });
        }
        let (mut looked_at, mut octets) = (0, 0);
        while self.next < end && looked_at < messages_max.max(1) && octets < octets_max.max(1) {
            // Contents are read one by one, so fewer messages are taken at a time.
            let batch = if self.program.reads_content() {
                16
            } else {
                BATCH_MESSAGES
            };
            let batch = self.next..(self.next + batch).min(end);
            octets += self.batch(batch.clone(), messages, source)?;
            looked_at += batch.len();
            self.next = batch.end;
        }
        Ok(self.next >= end)
    }

    /// Places in the mailbox (message numbers less one) of what was found, ascending.
    pub fn into_found(self) -> Vec<usize> {
        self.found
    }

    fn batch(
        &mut self,
        batch: std::ops::Range<usize>,
        messages: &[Message],
        source: &mut dyn Source,
    ) -> Result<u64, SearchError> {
        let mut open = Vec::new();
        let mut found = Vec::new();
        let program = &self.program;
        let filter = self.filter.as_ref().and_then(Option::as_ref);
        let first_known = |at: usize| Known::new(at, &messages[at], filter);
        for at in batch {
            match program.evaluate(&first_known(at)) {
                Some(true) => found.push(at),
                Some(false) => {}
                None => open.push(at),
            }
        }
        let uids: Vec<u32> = open.iter().map(|&at| messages[at].uid).collect();
        let details = match program.needs_details() && !uids.is_empty() {
            true => source::details(source, &uids)?,
            false => std::collections::HashMap::new(),
        };
        let mut octets = 0;
        let mut still_open = Vec::new();
        for at in open {
            let mut known = first_known(at);
            known.details = Some(details.get(&messages[at].uid));
            match program.evaluate(&known) {
                Some(true) => found.push(at),
                Some(false) => {}
                None => still_open.push(at),
            }
        }
        let uids: Vec<u32> = still_open.iter().map(|&at| messages[at].uid).collect();
        let records = match uids.is_empty() {
            true => Vec::new(),
            false => source::records(source, &uids)?,
        };
        for (at, record) in still_open.into_iter().zip(records) {
            let uid = messages[at].uid;
            let Some(record) = record.as_deref().and_then(Record::decode) else {
                continue; // gone meanwhile
            };
            let mut known = first_known(at);
            known.details = Some(details.get(&uid));
            let is_found = look_into(program, known, uid, &record, source, &mut octets)?;
            if is_found {
                found.push(at);
            }
        }
        found.sort_unstable();
        self.found.append(&mut found);
        Ok(octets)
    }
}

/// Whether a message is found that only its header section or its content can tell of.
fn look_into(
    program: &Program,
    known: Known<'_>,
    uid: u32,
    record: &Record<'_>,
    source: &mut dyn Source,
    octets: &mut u64,
) -> Result<bool, SearchError> {
    let (header, texts);
    let mut known = known;
    known.record = Some(record);
    known.header = match record.kept {
        Kept::Nothing => None,
        kept => Some((&record.header, kept == Kept::Whole)),
    };
    if let Some(found) = program.evaluate(&known) {
        return Ok(found);
    }
    let Some(file) = source.open(uid)? else {
        return Ok(false);
    };
    if program.needs_header() && record.kept != Kept::Whole {
        let at = record
            .parts
            .first()
            .map_or((0, 0), |part| (part.header_at, part.header_octets));
        header = Stretch::new(&record.places, at.0, at.1).read(&*file)?;
        *octets += header.len() as u64;
        known.header = Some((&header, true));
        if let Some(found) = program.evaluate(&known) {
            return Ok(found);
        }
    }
    let content = Content::read(&*file, CONTENT_OCTETS_MAX)?;
    *octets += content.places.file_octets;
    texts = Texts::of(&content.wire);
    known.texts = Some(&texts);
    Ok(program.evaluate(&known).unwrap_or(false))
}

#[cfg(test)]
pub(crate) mod tests;
