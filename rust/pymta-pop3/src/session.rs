//! One session: what arrives, what it means, what is to be sent. The control flow; the parts are in `obey` and
//! `answer`.
//!
//! - Nothing is read while a decision is waited for; what arrives is kept (the caller bounds it, see
//!   [`Session::buffered_octets`]).
//! - Nothing is read either while there is more output than [`OUTPUT_OCTETS_MAX`]: who does not read our answers gets
//!   no more of them, whatever was pipelined and however large the maildrop is.
//! - The same octets give the same events and replies however they are split, but for what is there already when STLS
//!   is answered (`starttls-injection`).
//! - Whatever a peer sends, the session never panics and holds at most one line, or what it was given at once.

use std::collections::VecDeque;
use std::sync::Arc;

use pymta_smtp::input::Input;
use pymta_smtp::line::{self, CRLF, CommandLine};

use crate::command;
use crate::event::Event;
use crate::maildrop::Maildrop;
use crate::order::{self, State, Step};
use crate::reply;
use crate::settings::Settings;
use crate::violation::ViolationKind;

/// Output above which a session goes on only when it was taken.
pub const OUTPUT_OCTETS_MAX: usize = 16 * 1024;

/// Where the session is, with what it knows there and nowhere else.
#[derive(Debug)]
pub(crate) enum Stage {
    Authorization,
    Named(String),
    Transaction {
        maildrop: Maildrop,
        listing: Option<Listing>,
    },
    Closing,
}

impl Stage {
    pub(crate) fn state(&self) -> State {
        match self {
            Self::Authorization => State::Authorization,
            Self::Named(_) => State::Named,
            Self::Transaction { .. } => State::Transaction,
            Self::Closing => State::Closing,
        }
    }
}

/// LIST or UIDL in progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listing {
    pub(crate) of: Listed,
    /// The place that comes next.
    pub(crate) next: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    Octets,
    Uids,
}

/// The decision that is waited for, with what it is about.
#[derive(Debug)]
pub(crate) enum Asked {
    Greeting,
    StartTls,
    /// +OK was said: the caller shakes hands.
    Handshake {
        injected: bool,
    },
    Login,
    Auth,
    Retrieve {
        index: usize,
        is_top: bool,
    },
    /// The caller is sending content.
    Content,
    Update,
}

/// What is counted against the limits.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) commands: u64,
    pub(crate) before_login: u32,
    pub(crate) auth_failures: u32,
    pub(crate) violations: u32,
}

/// One POP3 session as a value.
#[derive(Debug)]
pub struct Session {
    pub(crate) settings: Arc<Settings>,
    pub(crate) secure: bool,
    pub(crate) stage: Stage,
    pub(crate) asked: Option<Asked>,
    /// A challenge was sent: the next line is its response.
    pub(crate) in_auth_exchange: bool,
    pub(crate) utf8: bool,
    pub(crate) counts: Counts,
    pub(crate) input: Input,
    /// Inside a line that is too long: its last octet so far.
    pub(crate) skipping_line: Option<u8>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) out: Vec<u8>,
    /// Said as soon as the pending decision is answered; then the session ends.
    pub(crate) farewell: Option<String>,
}

impl Session {
    /// A session that waits for `greet` or `refuse`. `secure` where TLS is already there.
    pub fn new(settings: Arc<Settings>, secure: bool) -> Self {
        Self {
            settings,
            secure,
            stage: Stage::Authorization,
            asked: Some(Asked::Greeting),
            in_auth_exchange: false,
            utf8: false,
            counts: Counts::default(),
            input: Input::default(),
            skipping_line: None,
            events: VecDeque::new(),
            out: Vec::new(),
            farewell: None,
        }
    }

    /// Takes what arrived.
    pub fn receive(&mut self, chunk: &[u8]) {
        if self.is_closing() {
            return;
        }
        match &mut self.asked {
            Some(Asked::Handshake { injected }) => {
                if !chunk.is_empty() && !std::mem::replace(injected, true) {
                    self.note_injection();
                }
            }
            _ => self.input.push(chunk),
        }
    }

    /// The next thing that happened; None where more input, a decision or room for output is needed.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.asked.is_some() || self.is_closing() || self.is_output_full() {
                return None;
            }
            if !self.go_on_listing() && !self.read_line() {
                return None;
            }
        }
    }

    /// Writes what there is room for of LIST or UIDL; false where none is in progress.
    fn go_on_listing(&mut self) -> bool {
        let Stage::Transaction { maildrop, listing } = &mut self.stage else {
            return false;
        };
        let Some(Listing { of, mut next }) = *listing else {
            return false;
        };
        while self.out.len() < OUTPUT_OCTETS_MAX {
            let Some(index) = maildrop.next(next) else {
                self.out.extend_from_slice(b".\r\n");
                *listing = None;
                return true;
            };
            let message = maildrop.message(index);
            let line = match of {
                Listed::Octets => format!("{} {}\r\n", index + 1, message.octets),
                Listed::Uids => format!("{} {}\r\n", index + 1, message.uid),
            };
            self.out.extend_from_slice(line.as_bytes());
            next = index + 1;
        }
        *listing = Some(Listing { of, next });
        true
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
            limits.line_octets_max
        };
        match line::command_line(rest, octets_max) {
            CommandLine::Partial => return false,
            CommandLine::TooLong => return self.skip_line(line::LF),
            CommandLine::BareLf(octets) => {
                self.input.consume(octets);
                if self.count_command() {
                    self.violate(ViolationKind::BareLfInCommand);
                    self.end_auth_exchange();
                }
            }
            CommandLine::Whole(octets) => {
                let text = &rest[..octets - CRLF.len()];
                if self.in_auth_exchange {
                    let response = crate::obey::auth_response(text);
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
            self.violate(ViolationKind::CommandLineTooLong);
            self.end_auth_exchange();
        }
        true
    }

    /// A line that is no response ends an exchange: it was answered with an error, which the client takes for its end.
    fn end_auth_exchange(&mut self) {
        if std::mem::take(&mut self.in_auth_exchange) {
            self.events.push_back(Event::AuthResponse(None));
        }
    }

    /// Counts a line; false where it was one too many and the session ended.
    fn count_command(&mut self) -> bool {
        let limits = *self.settings.limits();
        self.counts.commands += 1;
        if !matches!(self.stage, Stage::Transaction { .. }) {
            self.counts.before_login += 1;
        }
        let allowed = self.counts.commands <= limits.commands_max
            && self.counts.before_login <= limits.commands_before_login_max;
        if !allowed {
            self.violate(ViolationKind::TooManyCommands);
        }
        allowed
    }

    /// Answers a fault and tells of it; ends the session where it, or the count, says so.
    pub(crate) fn violate(&mut self, kind: ViolationKind) {
        reply::err(&mut self.out, None, kind.text());
        self.tell_violation(kind);
        if kind.ends_session() {
            return self.close();
        }
        self.counts.violations += 1;
        if self.counts.violations >= self.settings.limits().violations_max {
            self.violate(ViolationKind::TooManyViolations);
        }
    }

    pub(crate) fn tell_violation(&mut self, kind: ViolationKind) {
        let text = kind.text();
        self.events.push_back(Event::Violation { kind, text });
    }

    /// Nothing is said: the peer waits for a handshake.
    pub(crate) fn note_injection(&mut self) {
        self.counts.violations += 1;
        self.tell_violation(ViolationKind::StartTlsInjection);
    }

    /// Whether `step` has a place now.
    pub(crate) fn may(&self, step: Step) -> bool {
        order::after(self.stage.state(), step).is_some()
    }

    /// Enters `stage`, which must be where `step` leads.
    pub(crate) fn enter(&mut self, step: Step, stage: Stage) {
        let from = std::mem::replace(&mut self.stage, stage).state();
        debug_assert_eq!(
            order::after(from, step),
            Some(self.stage.state()),
            "{from:?} by {step:?}"
        );
    }

    /// Nothing is read any more; what was said is still to be sent.
    pub(crate) fn close(&mut self) {
        self.stage = Stage::Closing;
        self.asked = None;
        self.in_auth_exchange = false;
        self.farewell = None;
        self.input = Input::default();
    }

    /// What is to be sent now.
    pub fn output(&self) -> &[u8] {
        &self.out
    }

    /// What `output` gave is sent.
    pub fn clear_output(&mut self) {
        const KEPT_OCTETS_MAX: usize = 128;
        self.out.clear();
        self.out.shrink_to(KEPT_OCTETS_MAX);
    }

    /// There is more to do as soon as the output is taken.
    pub fn is_output_full(&self) -> bool {
        self.out.len() >= OUTPUT_OCTETS_MAX
    }

    /// After what `output` gives is sent, the connection is to be closed.
    pub fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing)
    }

    /// A maildrop is open.
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Transaction { .. })
    }

    /// An event that asks was given and not answered.
    pub fn is_waiting(&self) -> bool {
        self.asked.is_some()
    }

    /// The client wants UTF-8 (RFC 6856).
    pub fn is_utf8(&self) -> bool {
        self.utf8
    }

    /// How much arrived and waits to be read. Stop reading where this is large.
    pub fn buffered_octets(&self) -> usize {
        self.input.rest().len()
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
