//! APPEND and REPLACE: segments of the command and pieces of messages → events. What a segment says is in
//! `parse::append`; here is what becomes of it.

use std::collections::VecDeque;

use crate::event::Event;
use crate::framing::Announced;
use crate::parse::Flaw;
use crate::parse::append::{self, Place, Step};
use crate::reading::{bad, refusal_of, too_big};
use crate::session::{Reading, Refusal, Session, Waits};
use crate::violation::ViolationKind;
use crate::write::{self, Status};

/// An APPEND whose head was read.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) tag: String,
    /// The caller has an upload that is to be ended or dropped.
    pub(crate) was_accepted: bool,
    /// The last segment's end, and whether it is REPLACE.
    before: (Place, bool),
    /// What was read and not told yet.
    steps: VecDeque<Step>,
    /// Content that comes behind them.
    announced: Option<Announced>,
    /// Of the message that is being made.
    octets: u64,
}

impl Session {
    /// The frame is a segment, with the announcement of a literal at its end or without.
    pub(crate) fn obey_segment(&mut self, announced: Option<Announced>) {
        let before = self.upload.as_ref().map(|upload| upload.before);
        let tag = match &self.upload {
            Some(upload) => Some(upload.tag.clone()),
            None => crate::parse::head(&self.frame, self.grammar()).0,
        };
        let segment = match append::segment(&self.frame, before, self.grammar(), announced.is_some()) {
            Ok(segment) => segment,
            // A name, or a URL: it belongs to the segment.
            Err(Flaw::Incomplete) => {
                if let Some(announced) = announced {
                    self.take_literal(tag, announced);
                }
                return;
            }
            Err(flaw) => return self.refuse_line(refusal_of(tag, flaw), announced),
        };
        self.take_frame();
        let is_new_message = segment.steps.iter().any(|step| matches!(step, Step::Message(_)));
        let octets = match &self.upload {
            Some(upload) if !is_new_message => upload.octets,
            _ => 0,
        };
        let octets = octets.saturating_add(announced.map_or(0, |announced| announced.octets));
        if octets > self.settings.offer.append_octets_max.unwrap_or(i64::MAX as u64) {
            return self.refuse_line(
                too_big(tag, Status::No, ViolationKind::LiteralTooLarge),
                announced,
            );
        }
        // A message of no octets is none (RFC 3502 §6.3.11); a part may be empty.
        let is_none =
            segment.place != Place::Catenate && announced.is_some_and(|announced| announced.octets == 0);
        if is_none {
            return self.refuse_line(bad(tag, ViolationKind::Syntax), announced);
        }
        let was_accepted = self.upload.as_ref().is_some_and(|upload| upload.was_accepted);
        self.upload = Some(Upload {
            tag: tag.unwrap_or_default(),
            was_accepted,
            before: (segment.place, segment.is_replace),
            steps: segment.steps,
            announced,
            octets,
        });
    }

    /// Tells the next step of an upload; false where there is none to be told.
    pub(crate) fn go_on_uploading(&mut self) -> bool {
        if !matches!(self.reading, Reading::Line) {
            return false;
        }
        let Some(upload) = &mut self.upload else {
            return false;
        };
        match upload.steps.pop_front() {
            Some(Step::Begin(asked)) => {
                let is_url = upload.steps.iter().any(|step| matches!(step, Step::Url(_)));
                let octets = upload
                    .announced
                    .filter(|_| !is_url)
                    .map(|announced| announced.octets);
                self.wait(Waits::Append, Event::Append { asked, octets });
            }
            Some(Step::Message(asked)) => self.events.push_back(Event::Message(asked)),
            Some(Step::Url(url)) => self.wait(Waits::Url, Event::Url(url)),
            Some(Step::End) => {
                self.upload = None;
                self.wait(Waits::Command, Event::AppendEnd);
            }
            None => {
                let Some(announced) = upload.announced.take() else {
                    return false;
                };
                if announced.is_synchronizing {
                    write::continuation(&mut self.out, "go on");
                }
                self.begin_content(announced.octets);
            }
        }
        true
    }

    fn begin_content(&mut self, octets: u64) {
        self.reading = Reading::Content { left: octets };
    }

    /// The caller gives an APPEND up: what the client still sends is skipped, then this is said.
    pub(crate) fn refuse_upload(&mut self, code: Option<String>, text: String) {
        let Some(upload) = self.upload.take() else {
            return;
        };
        let is_at_end = upload.steps.contains(&Step::End);
        let tag = upload.tag;
        let refusal = Refusal::No { tag, code, text };
        match (&self.reading, upload.announced) {
            (Reading::Content { left }, _) => {
                let left = *left;
                self.give_up(refusal, Some(left));
            }
            (_, Some(announced)) => self.refuse_line(refusal, Some(announced)),
            (_, None) if is_at_end => self.give_up(refusal, None),
            (_, None) => self.give_up(refusal, Some(0)),
        }
    }
}
