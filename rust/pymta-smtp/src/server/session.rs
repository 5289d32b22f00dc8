//! One session: what arrives, what it means, what is to be sent. The control flow; the parts are in `obey`, `answer`
//! and `receiving`.
//!
//! - Nothing is read while a decision is waited for; what arrives is kept (the caller bounds it, see
//!   [`Session::buffered_octets`]).
//! - The same octets give the same events and replies however they are split, with the two exceptions that are about
//!   time itself: what is already there when STARTTLS or a refused DATA is answered was sent without waiting for that
//!   answer (`starttls-injection`, `pipelined-content`).
//! - Whatever a peer sends, the session never panics and holds at most one line, or what it was given at once.

use std::collections::VecDeque;
use std::sync::Arc;

use pymta_types::{Envelope, Recipient, Reply};

use super::event::{Event, HelloVerb};
use super::order::{self, State, Step};
use super::settings::Settings;
use super::violation::{self, Fault};
use crate::command::{self, CommandError, MailCommand};
use crate::content::{Content, ContentSink};
use crate::data::DotDecoder;
use crate::input::Input;
use crate::line::{self, CRLF, CommandLine};

/// Where the session is, with what it knows there and nowhere else. A transaction's data lives in these values: what
/// ends the transaction replaces the value, so there is nothing to remember to clear.
#[derive(Debug)]
pub(super) enum Stage<W> {
    Connected,
    Ready,
    /// Ready, after a MAIL or BDAT that was refused: what was pipelined behind it is no fault.
    Refused,
    /// Without or with recipients.
    Transaction(Arc<Envelope>),
    /// DATA, up to its end.
    Content {
        envelope: Arc<Envelope>,
        decoder: DotDecoder,
        content: Content<W>,
        ended: bool,
    },
    /// In a chunk, or between two (`chunk` is then None).
    Chunks {
        envelope: Arc<Envelope>,
        content: Content<W>,
        chunk: Option<Chunk>,
    },
    /// All content was handed over; the answer to it is waited for.
    Decided {
        envelope: Arc<Envelope>,
        by_bdat: bool,
    },
    Closing,
}

/// A BDAT in progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) octets: u64,
    pub(super) open_octets: u64,
    pub(super) last: bool,
}

impl<W> Stage<W> {
    pub(super) fn state(&self) -> State {
        match self {
            Self::Connected => State::Connected,
            Self::Ready | Self::Refused => State::Ready,
            Self::Transaction(envelope) if envelope.recipients.is_empty() => State::HasReversePath,
            Self::Transaction(_) => State::HasForwardPath,
            Self::Content { .. } | Self::Decided { by_bdat: false, .. } => State::ReceivingContent,
            Self::Chunks { chunk: Some(_), .. } | Self::Decided { by_bdat: true, .. } => {
                State::ReceivingChunk
            }
            Self::Chunks { chunk: None, .. } => State::BetweenChunks,
            Self::Closing => State::Closing,
        }
    }

    /// That of the transaction, where there is one.
    fn envelope(&self) -> Option<&Arc<Envelope>> {
        match self {
            Self::Transaction(envelope)
            | Self::Content { envelope, .. }
            | Self::Chunks { envelope, .. }
            | Self::Decided { envelope, .. } => Some(envelope),
            Self::Connected | Self::Ready | Self::Refused | Self::Closing => None,
        }
    }
}

/// The decision that is waited for, with what it is about.
#[derive(Debug)]
pub(super) enum Asked {
    Greeting,
    Hello {
        verb: HelloVerb,
        name: String,
    },
    StartTls,
    /// 220 was said: the caller shakes hands.
    Handshake {
        injected: bool,
    },
    Auth,
    Xclient,
    Mail(Box<MailCommand>),
    Rcpt(Box<Recipient>),
    Data,
    FirstChunk {
        octets: u64,
        last: bool,
    },
    Message,
}

/// Who the client says or proved to be; forgotten by STARTTLS and XCLIENT.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) hello_name: String,
    pub(super) extended: bool,
    pub(super) authenticated: bool,
}

/// What is counted against the limits.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) commands: u64,
    pub(super) transactions: u64,
    pub(super) idle_commands: u32,
    pub(super) refusals: u32,
    pub(super) auth_failures: u32,
    pub(super) violations: u32,
}

/// One SMTP or LMTP session as a value; `W` is where content goes.
#[derive(Debug)]
pub struct Session<W> {
    pub(super) settings: Arc<Settings>,
    pub(super) secure: bool,
    pub(super) stage: Stage<W>,
    pub(super) asked: Option<Asked>,
    /// A challenge was sent: the next line is its response.
    pub(super) in_auth_exchange: bool,
    pub(super) client: Client,
    pub(super) counts: Counts,
    pub(super) input: Input,
    /// Octets of a refused BDAT that still have to arrive.
    pub(super) skip_octets: u64,
    /// Inside a line that is too long: its last octet so far.
    pub(super) skipping_line: Option<u8>,
    pub(super) events: VecDeque<Event<W>>,
    pub(super) out: Vec<u8>,
    /// Said as soon as the pending decision is answered; then the session ends.
    pub(super) farewell: Option<Reply>,
}

impl<W: ContentSink> Session<W> {
    /// A session that waits for `greet` or `refuse`. `secure` where TLS is already there (submissions).
    pub fn new(settings: Arc<Settings>, secure: bool) -> Self {
        Self {
            settings,
            secure,
            stage: Stage::Connected,
            asked: Some(Asked::Greeting),
            in_auth_exchange: false,
            client: Client::default(),
            counts: Counts::default(),
            input: Input::default(),
            skip_octets: 0,
            skipping_line: None,
            events: VecDeque::new(),
            out: Vec::new(),
            farewell: None,
        }
    }

    /// Takes what arrived. Content goes on to the sink from `chunk` itself where nothing is buffered before it.
    pub fn receive(&mut self, chunk: &[u8]) {
        if self.is_closing() {
            return;
        }
        match &mut self.asked {
            Some(Asked::Handshake { injected }) => {
                let first = !chunk.is_empty() && !std::mem::replace(injected, true);
                if first {
                    self.note_injection();
                }
            }
            None if self.input.is_empty() => {
                let rest = self.take_octets(chunk);
                self.input.push(rest);
            }
            _ => self.input.push(chunk),
        }
    }

    /// The next thing that happened; None where more input or a decision is needed.
    pub fn next_event(&mut self) -> Option<Event<W>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.asked.is_some() || self.is_closing() {
                return None;
            }
            if self.wants_octets() {
                self.take_buffered_octets();
                if !self.end_of_octets() {
                    return None;
                }
            } else if !self.read_line() {
                return None;
            }
        }
    }

    /// Reads one line and obeys it; false where it is not complete.
    fn read_line(&mut self) -> bool {
        if let Some(before) = self.skipping_line {
            return self.skip_line(before);
        }
        let limits = self.settings.limits();
        let rest = self.input.rest();
        let octets_max = if self.in_auth_exchange || command::is_auth(rest) {
            limits.auth_line_octets_max
        } else {
            limits.command_line_octets_max
        };
        match line::command_line(rest, octets_max) {
            CommandLine::Partial => return false,
            CommandLine::TooLong => return self.skip_line(line::LF),
            CommandLine::BareLf(octets) => {
                self.input.consume(octets);
                self.violate(&violation::BARE_LF_IN_COMMAND, None);
            }
            CommandLine::Whole(octets) => {
                let text = &rest[..octets - CRLF.len()];
                if self.in_auth_exchange {
                    let response = super::obey::auth_response(text);
                    self.input.consume(octets);
                    self.count_command().then(|| self.obey_auth_response(response));
                } else {
                    let command = command::parse(text);
                    self.input.consume(octets);
                    self.count_command().then(|| self.obey_line(command));
                }
            }
        }
        true
    }

    /// Drops what is there of a line that is too long; true where its end was among it.
    fn skip_line(&mut self, before: u8) -> bool {
        let rest = self.input.rest();
        let Some(octets) = line::end_of_skipped(before, rest) else {
            self.skipping_line = Some(rest.last().copied().unwrap_or(before));
            self.input.clear();
            return false;
        };
        self.input.consume(octets);
        self.skipping_line = None;
        if self.count_command() {
            self.violate(&violation::COMMAND_LINE_TOO_LONG, None);
            if std::mem::take(&mut self.in_auth_exchange) {
                self.events.push_back(Event::AuthResponse(None));
            }
        }
        true
    }

    fn obey_line(&mut self, command: Result<command::Command, CommandError>) {
        match command {
            Ok(command) => self.obey(command),
            Err(error) => self.refuse_line(error),
        }
    }

    /// Counts a line; false where it was one too many and the session ended.
    fn count_command(&mut self) -> bool {
        self.counts.commands += 1;
        let allowed = self.counts.commands <= self.settings.limits().commands_max;
        if !allowed {
            self.violate(&violation::TOO_MANY_COMMANDS, None);
        }
        allowed
    }

    /// Answers a fault and tells of it; ends the session where the row or the count says so.
    pub(super) fn violate(&mut self, fault: &Fault, detail: Option<&str>) {
        let reply = fault.reply(detail);
        reply.write_to(&mut self.out, true);
        self.tell_violation(fault, reply);
    }

    /// The same without saying anything.
    pub(super) fn tell_violation(&mut self, fault: &Fault, reply: Reply) {
        let ends = ends_session(&reply);
        self.events.push_back(Event::Violation {
            kind: fault.kind,
            reply,
        });
        if ends {
            return self.close();
        }
        if fault.kind.counts() {
            self.counts.violations += 1;
            if self.counts.violations >= self.settings.limits().violations_max {
                self.violate(&violation::TOO_MANY_VIOLATIONS, None);
            }
        } else if fault.kind.is_refusal() {
            self.count_refusal();
        }
    }

    /// Whether `step` has a place now.
    pub(super) fn may(&self, step: Step) -> bool {
        order::after(self.stage.state(), step).is_some()
    }

    /// Enters `stage`, which must be where `step` leads.
    pub(super) fn enter(&mut self, step: Step, stage: Stage<W>) {
        let from = std::mem::replace(&mut self.stage, stage).state();
        self.entered(from, step);
    }

    /// The stage was changed in place: that must be where `step` leads from `from`.
    pub(super) fn entered(&self, from: State, step: Step) {
        debug_assert_eq!(
            order::after(from, step),
            Some(self.stage.state()),
            "{from:?} by {step:?}"
        );
    }

    /// Nothing is read any more; what was said is still to be sent.
    pub(super) fn close(&mut self) {
        self.stage = Stage::Closing;
        self.asked = None;
        self.in_auth_exchange = false;
        self.farewell = None;
        self.input = Input::default();
    }

    /// Takes what is to be sent now: all replies since the last call, joined.
    pub fn output(&self) -> &[u8] {
        &self.out
    }

    /// What `output` gave is sent.
    pub fn clear_output(&mut self) {
        const KEPT_OCTETS_MAX: usize = 128; // a group of replies; that to EHLO is not kept
        self.out.clear();
        self.out.shrink_to(KEPT_OCTETS_MAX);
    }

    /// After what `output` gives is sent, the connection is to be closed.
    pub fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing)
    }

    /// Octets of content are what comes next.
    pub fn is_receiving_content(&self) -> bool {
        matches!(
            self.stage,
            Stage::Content { .. } | Stage::Chunks { chunk: Some(_), .. }
        )
    }

    /// MAIL was accepted and its message is not answered yet.
    pub fn is_in_transaction(&self) -> bool {
        self.stage.envelope().is_some()
    }

    /// An event that asks was given and not answered.
    pub fn is_waiting(&self) -> bool {
        self.asked.is_some()
    }

    /// How much arrived and waits to be read. Stop reading where this is large.
    pub fn buffered_octets(&self) -> usize {
        self.input.rest().len()
    }

    /// How much of the content waits in its sink, see [`ContentSink::pending_octets`].
    pub fn pending_octets(&self) -> usize {
        match &self.stage {
            Stage::Content { content, .. } | Stage::Chunks { content, .. } => content.pending_octets(),
            _ => 0,
        }
    }

    /// The transaction so far; an empty envelope where there is none.
    pub fn envelope(&self) -> Arc<Envelope> {
        self.stage.envelope().map(Arc::clone).unwrap_or_default()
    }

    /// The accepted name; empty before.
    pub fn hello_name(&self) -> &str {
        &self.client.hello_name
    }

    /// EHLO or LHLO, not HELO.
    pub fn is_extended(&self) -> bool {
        self.client.extended
    }

    /// Lines so far.
    pub fn command_count(&self) -> u64 {
        self.counts.commands
    }

    /// Violations that counted so far.
    pub fn violation_count(&self) -> u32 {
        self.counts.violations
    }
}

/// 421 (RFC 5321 §3.8) and 521 (RFC 7504 §3) say that the connection is closed.
pub(super) fn ends_session(reply: &Reply) -> bool {
    matches!(reply.code(), 421 | 521)
}
