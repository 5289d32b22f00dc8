//! The octets that are not commands: content after DATA, chunks of BDAT, and those of a refused BDAT.

use super::event::Event;
use super::order::Step;
use super::session::{Asked, Chunk, Session, Stage};
use super::violation::{self, Fault};
use crate::content::{ContentFault, ContentSink};

impl<W: ContentSink> Session<W> {
    /// Whether what comes next is octets and not a command line.
    pub(super) fn wants_octets(&self) -> bool {
        self.skip_octets > 0 || self.is_receiving_content()
    }

    /// Takes what belongs to the content off `octets`; returns what does not.
    pub(super) fn take_octets<'a>(&mut self, octets: &'a [u8]) -> &'a [u8] {
        if self.skip_octets > 0 {
            return &octets[take(&mut self.skip_octets, octets.len())..];
        }
        match &mut self.stage {
            Stage::Content {
                decoder,
                content,
                ended,
                ..
            } if !*ended => {
                let progress = decoder.decode(octets, |slice| content.write(slice));
                *ended = progress.ended;
                &octets[progress.consumed..]
            }
            Stage::Chunks {
                content,
                chunk: Some(chunk),
                ..
            } => {
                let taken = take(&mut chunk.open_octets, octets.len());
                content.write(&octets[..taken]);
                &octets[taken..]
            }
            _ => octets,
        }
    }

    /// The same with what waited in the buffer.
    pub(super) fn take_buffered_octets(&mut self) {
        let mut input = std::mem::take(&mut self.input);
        let unread = input.rest().len();
        let left = self.take_octets(input.rest()).len();
        input.consume(unread - left);
        self.input = input;
    }

    /// Goes on where a message, a chunk or a refused chunk ended; false where its end is not here yet.
    pub(super) fn end_of_octets(&mut self) -> bool {
        let over = match &self.stage {
            _ if self.skip_octets > 0 => false,
            Stage::Content { ended, .. } => *ended,
            Stage::Chunks {
                chunk: Some(chunk), ..
            } => chunk.open_octets == 0,
            _ => return true, // the refused octets are over
        };
        if over && !self.end_chunk() {
            match std::mem::replace(&mut self.stage, Stage::Closing) {
                Stage::Content {
                    envelope, content, ..
                } => self.end_content(envelope, content.finish(), false),
                Stage::Chunks {
                    envelope, content, ..
                } => self.end_content(envelope, content.finish(), true),
                other => self.stage = other,
            }
        }
        over
    }

    /// Ends a chunk that is good and not the last; false where there is none.
    fn end_chunk(&mut self) -> bool {
        let from = self.stage.state();
        let Stage::Chunks { content, chunk, .. } = &mut self.stage else {
            return false;
        };
        let Some(ended) = chunk.take_if(|chunk| !chunk.last && content.fault().is_none()) else {
            return false;
        };
        self.entered(from, Step::EndOfChunk);
        self.acknowledge_chunk(&ended);
        true
    }

    fn acknowledge_chunk(&mut self, chunk: &Chunk) {
        let text = format!("250 2.0.0 {} octets received\r\n", chunk.octets);
        self.out.extend_from_slice(text.as_bytes());
    }

    /// The content is here: it is handed over, or refused for what it holds.
    fn end_content(
        &mut self,
        envelope: std::sync::Arc<pymta_types::Envelope>,
        content: Result<W, ContentFault>,
        by_bdat: bool,
    ) {
        let replies = self.replies_per_message(&envelope);
        let decided = Stage::Decided {
            envelope: std::sync::Arc::clone(&envelope),
            by_bdat,
        };
        self.stage = decided;
        match content {
            Ok(writer) => {
                self.asked = Some(Asked::Message);
                self.events.push_back(Event::Message { writer, envelope });
            }
            Err(fault) => {
                let fault = said_to(fault);
                let reply = fault.reply(None);
                for _ in 0..replies {
                    reply.write_to(&mut self.out, true);
                }
                self.enter(Step::EndOfContent, Stage::Ready);
                self.tell_violation(fault, reply);
            }
        }
    }

    /// One, but in LMTP one for each recipient (RFC 2033 §4.2).
    pub(super) fn replies_per_message(&self, envelope: &pymta_types::Envelope) -> usize {
        if self.settings.offer.lmtp {
            envelope.recipients.len()
        } else {
            1
        }
    }
}

fn said_to(fault: ContentFault) -> &'static Fault {
    match fault {
        ContentFault::TooLarge => &violation::CONTENT_TOO_LARGE,
        ContentFault::Nul => &violation::CONTENT_NUL,
        ContentFault::BareEnding => &violation::CONTENT_BARE_ENDING,
        ContentFault::LineTooLong => &violation::CONTENT_LINE_TOO_LONG,
    }
}

/// Takes at most `available` off `open`; returns how many.
fn take(open: &mut u64, available: usize) -> usize {
    let taken = usize::try_from(*open).unwrap_or(usize::MAX).min(available);
    *open -= taken as u64;
    taken
}
