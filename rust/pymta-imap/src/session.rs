//! One session: what arrives, what it means, what is to be sent. The control flow; `reading` has lines and literals,
//! `obey` commands, `upload` APPEND, `answer` the caller's decisions.
//!
//! - Nothing is read while a decision is waited for; what arrives is kept (the caller bounds it, see
//!   [`Session::buffered_octets`]).
//! - Nothing is read either while there is more output than [`OUTPUT_OCTETS_MAX`].
//! - A literal is judged when it is announced, before anything is kept: too large, or part of a command that would be
//!   refused anyway, it is refused where the client waits for us, and skipped where it does not.
//! - The same octets give the same events and replies however they are split, but for what is there already when
//!   STARTTLS is answered (`starttls-injection`).
//! - Whatever a peer sends, the session never panics and holds at most one command, or what it was given at once.

use std::collections::VecDeque;
use std::sync::Arc;

use pymta_smtp::input::Input;

use crate::asked::Enabled;
use crate::compress::{Codec, Inflated};
use crate::event::Event;
use crate::framing::Tail;
use crate::order::{self, State, Step};
use crate::parse::Grammar;
use crate::settings::{Now, Settings};
use crate::upload::Upload;
use crate::violation::ViolationKind;
use crate::write::{self, Status};

/// Output above which a session goes on only when it was taken.
pub const OUTPUT_OCTETS_MAX: usize = 16 * 1024;

/// What the next octets are.
#[derive(Debug)]
pub(crate) enum Reading {
    /// A line of a command.
    Line,
    /// A literal of it that is kept.
    Literal { left: usize },
    /// Content of a message.
    Content { left: u64 },
    /// What is left of a command that is refused.
    Skip(Box<Skip>),
    /// The response to a challenge.
    AuthResponse { tag: String },
    /// DONE.
    Idle { tag: String },
}

/// See [`Reading::Skip`].
#[derive(Debug)]
pub(crate) struct Skip {
    /// Of a literal.
    pub(crate) left: u64,
    pub(crate) tail: Tail,
    pub(crate) refusal: Refusal,
}

/// What is said to a command once it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is the peer's fault.
    Violation {
        tag: Option<String>,
        status: Status,
        code: Option<&'static str>,
        kind: ViolationKind,
    },
    /// NO, by the caller.
    No {
        tag: String,
        code: Option<String>,
        text: String,
    },
}

/// The decision that is waited for, with what it is about.
#[derive(Debug)]
pub(crate) enum Waits {
    Greeting,
    StartTls {
        tag: String,
    },
    /// OK was said: the caller shakes hands.
    Handshake {
        injected: bool,
    },
    Login {
        tag: String,
    },
    Auth {
        tag: String,
    },
    /// The caller answers a command.
    Command,
    Append,
    Content,
    Url,
}

/// What is counted against the limits.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) commands: u64,
    pub(crate) before_login: u32,
    pub(crate) auth_failures: u32,
    pub(crate) violations: u32,
    /// Since the last command that was carried out: a session may last for a day, and a slip an hour is no attack.
    pub(crate) violations_in_a_row: u32,
}

/// One IMAP session as a value.
#[derive(Debug)]
pub struct Session {
    pub(crate) settings: Arc<Settings>,
    pub(crate) secure: bool,
    pub(crate) state: State,
    pub(crate) enabled: Enabled,
    pub(crate) waits: Option<Waits>,
    pub(crate) reading: Reading,
    /// The command that is being read, with its literals.
    pub(crate) frame: Vec<u8>,
    /// Literals in it so far.
    pub(crate) literals: usize,
    pub(crate) upload: Option<Upload>,
    pub(crate) counts: Counts,
    pub(crate) input: Input,
    pub(crate) events: VecDeque<Event>,
    pub(crate) out: Vec<u8>,
    pub(crate) codec: Option<Box<Codec>>,
    /// What goes before `out`, and as it is.
    pub(crate) plain: Vec<u8>,
    /// Said as soon as the pending decision is answered; then the session ends.
    pub(crate) farewell: Option<String>,
}

impl Session {
    /// A session that waits for `greet` or `refuse`. `secure` where TLS is already there.
    pub fn new(settings: Arc<Settings>, secure: bool) -> Self {
        Self {
            settings,
            secure,
            state: State::NotAuthenticated,
            enabled: Enabled::default(),
            waits: Some(Waits::Greeting),
            reading: Reading::Line,
            frame: Vec::new(),
            literals: 0,
            upload: None,
            counts: Counts::default(),
            input: Input::default(),
            events: VecDeque::new(),
            out: Vec::new(),
            codec: None,
            plain: Vec::new(),
            farewell: None,
        }
    }

    /// Takes what arrived.
    pub fn receive(&mut self, chunk: &[u8]) {
        if self.is_closing() {
            return;
        }
        match &mut self.waits {
            Some(Waits::Handshake { injected }) => {
                if !chunk.is_empty() && !std::mem::replace(injected, true) {
                    self.note_injection();
                }
            }
            _ => match &mut self.codec {
                None => self.input.push(chunk),
                Some(codec) => codec.receive(chunk),
            },
        }
    }

    /// The next thing that happened; None where more input, a decision or room for output is needed.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.waits.is_some() || self.is_closing() || self.is_output_full() {
                return None;
            }
            if !self.go_on_uploading() && !self.read() && !self.inflate() {
                return None;
            }
        }
    }

    /// Inflates a piece where more is needed; false where there is none.
    fn inflate(&mut self) -> bool {
        let Some(codec) = &mut self.codec else {
            return false;
        };
        match codec.inflate(&mut self.input) {
            Inflated::Some => true,
            Inflated::Nothing => false,
            Inflated::Bad => {
                self.violate(None, ViolationKind::Compression);
                true
            }
        }
    }

    pub(crate) fn wait(&mut self, waits: Waits, event: Event) {
        self.waits = Some(waits);
        self.events.push_back(event);
    }

    pub(crate) fn grammar(&self) -> Grammar {
        Grammar {
            enabled: self.enabled,
            extensions: self.settings.offer.extensions,
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            secure: self.secure,
            open: self.is_open(),
            compressing: self.is_compressing(),
        }
    }

    // ---- what goes wrong, and the end

    pub(crate) fn may(&self, step: Step) -> bool {
        order::after(self.state, step).is_some()
    }

    pub(crate) fn enter(&mut self, step: Step) {
        if let Some(state) = order::after(self.state, step) {
            self.state = state;
        }
    }

    /// Counts one more command; false where it is one too many, and the session has ended.
    pub(crate) fn count_command(&mut self) -> bool {
        self.counts.commands += 1;
        let limits = *self.settings.limits();
        let is_before_login = !self.is_open();
        if is_before_login {
            self.counts.before_login += 1;
        }
        let too_many = self.counts.commands > limits.commands_max
            || is_before_login && self.counts.before_login > limits.commands_before_login_max;
        if too_many {
            self.violate(None, ViolationKind::TooManyCommands);
        }
        !too_many
    }

    /// Says a refusal, and notes whose fault it was.
    pub(crate) fn say_refusal(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::No { tag, code, text } => {
                write::tagged(&mut self.out, &tag, Status::No, code.as_deref(), &text);
            }
            Refusal::Violation {
                tag,
                status,
                code,
                kind,
            } => self.violate_with(tag.as_deref(), status, code, kind),
        }
    }

    /// BAD.
    pub(crate) fn violate(&mut self, tag: Option<&str>, kind: ViolationKind) {
        self.violate_with(tag, Status::Bad, None, kind);
    }

    pub(crate) fn violate_with(
        &mut self,
        tag: Option<&str>,
        status: Status,
        code: Option<&'static str>,
        kind: ViolationKind,
    ) {
        if self.is_closing() {
            return;
        }
        let text = kind.text();
        if kind.ends_session() {
            write::untagged(&mut self.out, Status::Bye, code, text);
            self.close();
        } else {
            match tag {
                Some(tag) => write::tagged(&mut self.out, tag, status, code, text),
                // NO without a tag would be a warning (RFC 9051 §7.1.2).
                None => write::untagged(&mut self.out, Status::Bad, code, text),
            }
        }
        self.events.push_back(Event::Violation { kind, text });
        self.counts.violations += 1;
        self.counts.violations_in_a_row += 1;
        if !self.is_closing() && self.counts.violations_in_a_row >= self.settings.limits().violations_max {
            self.violate(None, ViolationKind::TooManyViolations);
        }
    }

    /// Commands in the clear behind STARTTLS: nothing is said, since TLS comes next.
    pub(crate) fn note_injection(&mut self) {
        let kind = ViolationKind::StartTlsInjection;
        self.counts.violations += 1;
        self.events.push_back(Event::Violation {
            kind,
            text: kind.text(),
        });
    }

    pub(crate) fn close(&mut self) {
        self.enter(Step::Logout);
        self.waits = None;
        self.farewell = None;
        self.input.clear();
        self.frame = Vec::new();
        if self.upload.take().is_some_and(|upload| upload.was_accepted) {
            self.events.push_back(Event::AppendAbort);
        }
    }

    // ---- what can be asked at any time

    /// What is to be sent now.
    pub fn take_output(&mut self) -> Vec<u8> {
        let out = std::mem::take(&mut self.out);
        match &mut self.codec {
            None => out,
            Some(codec) => {
                let mut all = std::mem::take(&mut self.plain);
                all.extend(codec.deflate(&out));
                all
            }
        }
    }

    /// What the caller sends by itself, as it has to go; None: as it is. Only with `take_output` done before.
    pub fn compress(&mut self, octets: &[u8]) -> Option<Vec<u8>> {
        let compressed = self.codec.as_mut()?.deflate(octets);
        let mut all = std::mem::take(&mut self.plain);
        all.extend(compressed);
        Some(all)
    }

    /// Whether what is sent is compressed.
    pub fn is_compressing(&self) -> bool {
        self.codec.is_some()
    }

    /// Nothing more is read; after `output` the connection ends.
    pub fn is_closing(&self) -> bool {
        self.state == State::Logout
    }

    /// Whether a decision is waited for.
    pub fn is_waiting(&self) -> bool {
        self.waits.is_some()
    }

    /// Somebody has logged in.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Authenticated | State::Selected)
    }

    /// IDLE is going on.
    pub fn is_idling(&self) -> bool {
        matches!(self.reading, Reading::Idle { .. }) && !self.is_closing()
    }

    /// More output than one should hold: it is to be taken before the session goes on.
    pub fn is_output_full(&self) -> bool {
        self.out.len() >= OUTPUT_OCTETS_MAX
    }

    /// Octets that arrived and are not read, because a decision or room for output is waited for: who feeds the session
    /// holds back while they are many. Else 0, since what is kept then is bounded and needs more to go on.
    pub fn buffered_octets(&self) -> usize {
        if self.waits.is_some() || self.is_output_full() {
            self.arrived_octets()
        } else {
            0
        }
    }

    /// All that is kept of what arrived.
    pub fn held_octets(&self) -> usize {
        self.arrived_octets() + self.frame.len()
    }

    fn arrived_octets(&self) -> usize {
        self.input.rest().len() + self.codec.as_ref().map_or(0, |codec| codec.held_octets())
    }

    /// Commands so far.
    pub fn command_count(&self) -> u64 {
        self.counts.commands
    }

    /// Violations so far.
    pub fn violation_count(&self) -> u32 {
        self.counts.violations
    }
}
