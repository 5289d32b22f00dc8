//! Octets → whole commands, pieces of messages, responses. What is refused is skipped without being kept.

use pymta_smtp::line::{self, CRLF, CommandLine};

use crate::CONTENT_OCTETS_MAX;
use crate::event::Event;
use crate::framing::{self, Announced, Tail};
use crate::order::{self, Step};
use crate::parse::{self, Flaw};
use crate::session::{Reading, Refusal, Session, Skip, Waits};
use crate::violation::ViolationKind;
use crate::write::{self, Status};

/// Literals of one command: each is a moment at which the command so far is looked over again.
const LITERALS_MAX: usize = 100;
/// A literal above this is not even skipped.
const SKIPPED_OCTETS_MAX: u64 = 1 << 30;
/// A frame above this is given back when its command is over.
const KEPT_OCTETS_MAX: usize = 1024;
/// DONE, and room for what is not.
const IDLE_LINE_OCTETS_MAX: usize = 512;

/// What `line::command_line` found.
enum Found {
    Nothing,
    Over,
    BareLf(usize),
    Line(usize),
}

impl Session {
    /// Reads on; false where there is too little.
    pub(crate) fn read(&mut self) -> bool {
        match &mut self.reading {
            Reading::Line => self.read_line(),
            Reading::Literal { .. } => self.read_literal(),
            Reading::Content { .. } => self.read_content(),
            Reading::Skip(_) => self.skip(),
            Reading::AuthResponse { .. } => self.read_auth_response(),
            Reading::Idle { .. } => self.read_done(),
        }
    }

    fn find_line(&self, octets_max: usize) -> Found {
        match line::command_line(self.input.rest(), octets_max) {
            CommandLine::Partial => Found::Nothing,
            CommandLine::TooLong => Found::Over,
            CommandLine::BareLf(octets) => Found::BareLf(octets),
            CommandLine::Whole(octets) => Found::Line(octets),
        }
    }

    // ---- commands

    fn line_octets_max(&self) -> usize {
        let limits = self.settings.limits();
        if self.is_open() {
            return limits.line_octets_max;
        }
        let (_, name) = parse::head(self.input.rest(), self.grammar());
        match name.as_deref() {
            Some("AUTHENTICATE") => limits.auth_line_octets_max,
            _ => limits.line_before_login_octets_max,
        }
    }

    fn read_line(&mut self) -> bool {
        let found = self.find_line(self.line_octets_max());
        let is_first = self.frame.is_empty() && self.upload.is_none();
        if !matches!(found, Found::Nothing) && is_first && !self.count_command() {
            return true;
        }
        match found {
            Found::Nothing => return false,
            Found::Over => {
                let window = self.line_octets_max().min(self.input.rest().len());
                let tag = self.tag_with(&self.input.rest()[..window]);
                let refusal = bad(tag, ViolationKind::CommandLineTooLong);
                self.give_up(refusal, Some(0));
            }
            Found::BareLf(octets) => {
                let tag = self.tag_with(&self.input.rest()[..octets]);
                self.input.consume(octets);
                self.give_up(bad(tag, ViolationKind::BareLfInCommand), None);
            }
            Found::Line(octets) => self.take_line(octets),
        }
        true
    }

    /// The tag of the command that `line` begins or goes on with.
    fn tag_with(&self, line: &[u8]) -> Option<String> {
        match &self.upload {
            Some(upload) => Some(upload.tag.clone()),
            None if self.frame.is_empty() => parse::head(line, self.grammar()).0,
            None => parse::head(&self.frame, self.grammar()).0,
        }
    }

    fn take_line(&mut self, octets: usize) {
        let line = &self.input.rest()[..octets - CRLF.len()];
        let announced = framing::announced(line);
        let kept = if announced.is_some() { octets } else { line.len() };
        let is_too_much = self.frame.len() + kept > self.settings.limits().command_octets_max;
        if is_too_much {
            let tag = self.tag_with(line);
            self.input.consume(octets);
            return self.refuse_line(bad(tag, ViolationKind::TooComplex), announced);
        }
        self.frame.extend_from_slice(&self.input.rest()[..kept]);
        self.input.consume(octets);
        match announced {
            _ if self.is_append() => self.obey_segment(announced),
            Some(announced) => self.judge_literal(announced),
            None => {
                let frame = self.take_frame();
                self.obey_frame(&frame);
                self.keep_frame(frame);
            }
        }
    }

    pub(crate) fn take_frame(&mut self) -> Vec<u8> {
        self.literals = 0;
        std::mem::take(&mut self.frame)
    }

    /// Keeps the room of a small one.
    pub(crate) fn keep_frame(&mut self, mut frame: Vec<u8>) {
        if frame.capacity() <= KEPT_OCTETS_MAX && self.frame.capacity() == 0 {
            frame.clear();
            self.frame = frame;
        }
    }

    fn is_append(&self) -> bool {
        if self.upload.is_some() {
            return true;
        }
        let (_, name) = parse::head(&self.frame, self.grammar());
        let is_append = matches!(name.as_deref(), Some("APPEND" | "REPLACE" | "UID REPLACE"));
        is_append
            && name
                .and_then(|name| order::step_of(&name))
                .is_some_and(|step| self.may(step))
    }

    /// The frame ends with the announcement of a literal: is it to be read?
    fn judge_literal(&mut self, announced: Announced) {
        let (tag, name) = parse::head(&self.frame, self.grammar());
        let step = name.as_deref().and_then(order::step_of);
        if step.is_some_and(|step| !self.may(step)) {
            return self.refuse_line(bad(tag, ViolationKind::Order), Some(announced));
        }
        if step == Some(Step::Login) && !self.settings.takes_login_command(self.secure) {
            return self.refuse_line(self.no_login(tag), Some(announced));
        }
        let flaw = match parse::command(&self.frame, self.grammar(), true).1 {
            Err(Flaw::Incomplete) => None,
            Err(flaw) => Some(flaw),
            Ok(_) => Some(Flaw::Syntax),
        };
        if let Some(flaw) = flaw {
            return self.refuse_line(refusal_of(tag, flaw), Some(announced));
        }
        self.take_literal(tag, announced);
    }

    /// Goes on with a literal that is kept, where it is not too large.
    pub(crate) fn take_literal(&mut self, tag: Option<String>, announced: Announced) {
        let limits = self.settings.limits();
        let octets_max = if self.is_open() {
            limits.literal_octets_max
        } else {
            limits.literal_before_login_octets_max
        };
        let room = limits.command_octets_max.saturating_sub(self.frame.len());
        match usize::try_from(announced.octets) {
            Ok(left) if left <= octets_max.min(room) && self.literals < LITERALS_MAX => {
                if announced.is_synchronizing {
                    write::continuation(&mut self.out, "go on");
                }
                self.literals += 1;
                self.reading = Reading::Literal { left };
            }
            _ => {
                let kind = if self.literals < LITERALS_MAX {
                    ViolationKind::LiteralTooLarge
                } else {
                    ViolationKind::TooComplex
                };
                self.refuse_line(too_big(tag, Status::Bad, kind), Some(announced));
            }
        }
    }

    fn read_literal(&mut self) -> bool {
        let Reading::Literal { left } = &mut self.reading else {
            return false;
        };
        let octets = self.input.rest().len().min(*left);
        *left -= octets;
        let is_over = *left == 0;
        self.frame.extend_from_slice(&self.input.rest()[..octets]);
        self.input.consume(octets);
        if is_over {
            self.reading = Reading::Line;
        }
        is_over || octets > 0
    }

    // ---- content

    /// A full piece, or the last one: so the pieces are the same however the octets arrive.
    fn read_content(&mut self) -> bool {
        let Reading::Content { left } = self.reading else {
            return false;
        };
        let wanted = usize::try_from(left).map_or(CONTENT_OCTETS_MAX, |left| left.min(CONTENT_OCTETS_MAX));
        if self.input.rest().len() < wanted {
            return false;
        }
        let octets = self.input.rest()[..wanted].to_vec();
        self.input.consume(wanted);
        let left = left - wanted as u64;
        let is_last = left == 0;
        self.reading = if is_last {
            Reading::Line
        } else {
            Reading::Content { left }
        };
        self.wait(Waits::Content, Event::Content { octets, is_last });
        true
    }

    // ---- what is refused

    /// Refuses a command at the end of a line of it: a literal that the client sends in any case is skipped first.
    pub(crate) fn refuse_line(&mut self, refusal: Refusal, announced: Option<Announced>) {
        match announced {
            Some(announced) if !announced.is_synchronizing => self.give_up(refusal, Some(announced.octets)),
            _ => self.give_up(refusal, None),
        }
    }

    /// Gives the command up that is being read. `skips`: it goes on with a literal of so many octets, or (0) with a line.
    pub(crate) fn give_up(&mut self, refusal: Refusal, skips: Option<u64>) {
        self.take_frame();
        if self.upload.take().is_some_and(|upload| upload.was_accepted) {
            self.events.push_back(Event::AppendAbort);
        }
        self.reading = Reading::Line;
        match skips {
            None => self.say_refusal(refusal),
            Some(left) if left > SKIPPED_OCTETS_MAX => {
                self.say_refusal(refusal);
                write::untagged(&mut self.out, Status::Bye, None, "that literal is too large");
                self.close();
            }
            Some(left) => {
                let tail = Tail::default();
                self.reading = Reading::Skip(Box::new(Skip { left, tail, refusal }));
            }
        }
    }

    fn skip(&mut self) -> bool {
        let Reading::Skip(skip) = &mut self.reading else {
            return false;
        };
        let rest = self.input.rest();
        if rest.is_empty() {
            return false;
        }
        if skip.left > 0 {
            let octets = usize::try_from(skip.left).map_or(rest.len(), |left| left.min(rest.len()));
            skip.left -= octets as u64;
            self.input.consume(octets);
            return true;
        }
        let Some(end) = line::end_of_skipped(skip.tail.last(), rest) else {
            skip.tail.push(rest);
            let octets = rest.len();
            self.input.consume(octets);
            return false;
        };
        skip.tail.push(&rest[..end]);
        self.input.consume(end);
        let announced = skip.tail.announced();
        skip.tail.clear();
        match announced {
            Some(announced) if !announced.is_synchronizing && announced.octets <= SKIPPED_OCTETS_MAX => {
                skip.left = announced.octets;
            }
            _ => {
                if let Reading::Skip(skip) = std::mem::replace(&mut self.reading, Reading::Line) {
                    let is_hopeless = announced.is_some_and(|announced| !announced.is_synchronizing);
                    self.give_up(skip.refusal, is_hopeless.then_some(u64::MAX));
                }
            }
        }
        true
    }

    // ---- lines that are no commands

    fn read_auth_response(&mut self) -> bool {
        let found = self.find_line(self.settings.limits().auth_line_octets_max);
        if matches!(found, Found::Nothing) {
            return false;
        }
        let Reading::AuthResponse { tag } = std::mem::replace(&mut self.reading, Reading::Line) else {
            return false;
        };
        if !self.count_command() {
            return true;
        }
        match found {
            Found::Nothing => {}
            Found::Line(octets) => {
                let line = self.input.rest()[..octets - CRLF.len()].to_vec();
                self.input.consume(octets);
                self.obey_auth_response(tag, &line);
            }
            Found::BareLf(octets) => {
                self.input.consume(octets);
                self.events.push_back(Event::AuthResponse(None));
                self.violate(Some(&tag), ViolationKind::BareLfInCommand);
            }
            Found::Over => {
                self.events.push_back(Event::AuthResponse(None));
                self.give_up(bad(Some(tag), ViolationKind::CommandLineTooLong), Some(0));
            }
        }
        true
    }

    fn read_done(&mut self) -> bool {
        let found = self.find_line(IDLE_LINE_OCTETS_MAX);
        if matches!(found, Found::Nothing) {
            return false;
        }
        let Reading::Idle { tag } = std::mem::replace(&mut self.reading, Reading::Line) else {
            return false;
        };
        match found {
            Found::Nothing => {}
            Found::Line(octets) => {
                let is_done = self.input.rest()[..octets - CRLF.len()].eq_ignore_ascii_case(b"DONE");
                self.input.consume(octets);
                if !is_done {
                    self.violate(None, ViolationKind::Syntax);
                }
            }
            Found::BareLf(octets) => {
                self.input.consume(octets);
                self.violate(None, ViolationKind::BareLfInCommand);
            }
            Found::Over => {
                let refusal = bad(None, ViolationKind::CommandLineTooLong);
                self.give_up(refusal, Some(0));
            }
        }
        self.end_idle(tag);
        true
    }
}

/// BAD to a command.
pub(crate) fn bad(tag: Option<String>, kind: ViolationKind) -> Refusal {
    Refusal::Violation {
        tag,
        status: Status::Bad,
        code: None,
        kind,
    }
}

/// RFC 7888 §4.
pub(crate) fn too_big(tag: Option<String>, status: Status, kind: ViolationKind) -> Refusal {
    Refusal::Violation {
        tag,
        status,
        code: Some("TOOBIG"),
        kind,
    }
}

/// What is said to a command with a flaw.
pub(crate) fn refusal_of(tag: Option<String>, flaw: Flaw) -> Refusal {
    let (status, code, kind) = match flaw {
        Flaw::Tag => (Status::Bad, None, ViolationKind::BadTag),
        Flaw::Unknown => (Status::Bad, None, ViolationKind::UnknownCommand),
        Flaw::Syntax | Flaw::Incomplete => (Status::Bad, None, ViolationKind::Syntax),
        Flaw::TooComplex => (Status::Bad, None, ViolationKind::TooComplex),
        Flaw::Charset => (Status::No, Some(crate::parse::CHARSETS), ViolationKind::Syntax),
        Flaw::UidRequired => (Status::Bad, Some("UIDREQUIRED"), ViolationKind::Order),
    };
    Refusal::Violation {
        tag,
        status,
        code,
        kind,
    }
}
