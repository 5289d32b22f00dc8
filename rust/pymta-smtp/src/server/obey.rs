//! What a command means now: an event that asks, an answer, or a fault.

use pymta_types::BodyType;

use super::event::{Event, HelloVerb};
use super::order::Step;
use super::said;
use super::session::{Asked, Chunk, Session, Stage};
use super::violation::{self, Fault};
use crate::base64;
use crate::command::{Command, CommandError, MailCommand, Verb, may_come_by_data};
use crate::content::ContentSink;
use crate::param::ParameterError;
use crate::path::PathError;

/// What the client sent after a challenge.
pub(super) enum AuthResponse {
    Octets(Vec<u8>),
    Cancelled,
    Malformed,
}

/// Reads the line after a challenge (RFC 4954 §4): base64, or `*`.
pub(super) fn auth_response(line: &[u8]) -> AuthResponse {
    if line == b"*" {
        return AuthResponse::Cancelled;
    }
    base64::decode(line).map_or(AuthResponse::Malformed, AuthResponse::Octets)
}

impl<W: ContentSink> Session<W> {
    pub(super) fn obey(&mut self, command: Command) {
        match command {
            Command::Mail(mail) => self.obey_mail(mail),
            Command::Rcpt(recipient) => self.obey_rcpt(recipient),
            Command::Data => self.obey_data(),
            Command::Bdat { octets, last } => self.obey_bdat(octets, last),
            Command::Quit => {
                self.out.extend_from_slice(said::BYE);
                self.enter(Step::Quit, Stage::Closing);
                self.close();
                self.events.push_back(Event::Quit);
            }
            idle => self.obey_idle(idle),
        }
    }

    /// The commands that bring no message nearer.
    fn obey_idle(&mut self, command: Command) {
        if !self.count_idle() {
            return;
        }
        match command {
            Command::Hello { verb, name } => self.obey_hello(verb, name),
            Command::Rset => {
                let next = if self.may(Step::Mail) || self.is_in_transaction() {
                    Stage::Ready
                } else {
                    Stage::Connected
                };
                self.enter(Step::Rset, next);
                self.out.extend_from_slice(said::OK);
            }
            Command::Vrfy => self.answer_aside(said::VRFY),
            Command::Help => self.answer_aside(said::HELP),
            Command::Expn => self.violate(&violation::NOT_OFFERED, None),
            Command::StartTls => self.obey_starttls(),
            Command::Auth { mechanism, initial } => self.obey_auth(mechanism, initial),
            Command::Xclient(attributes) => self.obey_xclient(attributes),
            _ => self.answer_aside(said::OK), // NOOP; the others are obeyed by `obey`
        }
    }

    fn answer_aside(&mut self, reply: &[u8]) {
        match self.misplaced(Step::Aside) {
            Some(fault) => self.violate(fault, None),
            None => self.out.extend_from_slice(reply),
        }
    }

    /// False where it was one too many and the session ended.
    fn count_idle(&mut self) -> bool {
        self.counts.idle_commands += 1;
        let allowed = self.counts.idle_commands <= self.settings.limits().idle_commands_max;
        if !allowed {
            self.violate(&violation::TOO_MANY_IDLE_COMMANDS, None);
        }
        allowed
    }

    fn ask(&mut self, asked: Asked, event: Event<W>) {
        self.asked = Some(asked);
        self.events.push_back(event);
    }

    fn obey_hello(&mut self, verb: Verb, name: String) {
        let lmtp = self.settings.offer.lmtp;
        let verb = match (verb, lmtp) {
            (Verb::Ehlo, false) => HelloVerb::Ehlo,
            (Verb::Helo, false) => HelloVerb::Helo,
            (Verb::Lhlo, true) => HelloVerb::Lhlo,
            _ => return self.violate(&violation::UNKNOWN_COMMAND, None), // RFC 2033 §4.1
        };
        let asked = Asked::Hello {
            verb,
            name: name.clone(),
        };
        self.ask(asked, Event::Hello { verb, name });
    }

    fn obey_starttls(&mut self) {
        let fault = if !self.settings.offer.starttls {
            Some(&violation::NOT_OFFERED)
        } else if self.secure {
            Some(&violation::TLS_ACTIVE)
        } else {
            self.misplaced(Step::StartTls)
        };
        match fault {
            Some(fault) => self.violate(fault, None),
            None => self.ask(Asked::StartTls, Event::StartTls),
        }
    }

    fn obey_auth(&mut self, mechanism: String, initial_response: Option<Vec<u8>>) {
        let offer = &self.settings.offer;
        let fault = if offer.auth_mechanisms.is_empty() {
            Some(&violation::NOT_OFFERED)
        } else if !self.settings.may_authenticate(self.secure) {
            Some(&violation::AUTH_NEEDS_TLS)
        } else if self.client.authenticated {
            Some(&violation::AUTHENTICATED)
        } else if !self.settings.has_mechanism(&mechanism, self.secure) {
            Some(&violation::AUTH_MECHANISM)
        } else {
            self.misplaced(Step::Auth)
        };
        match fault {
            Some(fault) => self.violate(fault, None),
            None => self.ask(
                Asked::Auth,
                Event::Auth {
                    mechanism,
                    initial_response,
                },
            ),
        }
    }

    /// The line after a challenge.
    pub(super) fn obey_auth_response(&mut self, response: AuthResponse) {
        self.in_auth_exchange = false;
        let fault = match response {
            AuthResponse::Octets(octets) => {
                return self.ask(Asked::Auth, Event::AuthResponse(Some(octets)));
            }
            AuthResponse::Cancelled => &violation::AUTH_CANCELLED,
            AuthResponse::Malformed => &violation::AUTH_BASE64,
        };
        self.violate(fault, None);
        self.events.push_back(Event::AuthResponse(None));
    }

    fn obey_xclient(&mut self, attributes: Vec<(&'static str, String)>) {
        let fault = if self.settings.offer.xclient {
            self.misplaced(Step::Xclient)
        } else {
            Some(&violation::NOT_OFFERED)
        };
        match fault {
            Some(fault) => self.violate(fault, None),
            None => self.ask(Asked::Xclient, Event::Xclient(attributes)),
        }
    }

    fn obey_mail(&mut self, mail: Box<MailCommand>) {
        let limits = self.settings.limits();
        let parameters = &mail.parameters;
        let beyond_ascii = mail.reverse_path.as_ref().is_some_and(|a| !a.is_ascii());
        let fault = if let Some(fault) = self.misplaced(Step::Mail) {
            Some(fault)
        } else if self.counts.transactions >= limits.transactions_max {
            Some(&violation::TOO_MANY_MESSAGES)
        } else if beyond_ascii && !parameters.smtputf8 {
            Some(&violation::SMTPUTF8_MISSING)
        } else if parameters
            .size_octets
            .is_some_and(|size| size > limits.message_octets_max)
        {
            Some(&violation::DECLARED_TOO_LARGE)
        } else {
            None
        };
        if let Some(fault) = fault {
            self.mail_refused();
            return self.violate(fault, None);
        }
        let event = Event::Mail {
            reverse_path: mail.reverse_path.clone(),
            size_octets: parameters.size_octets,
            body: parameters.body,
            smtputf8: parameters.smtputf8,
        };
        self.ask(Asked::Mail(mail), event);
    }

    fn obey_rcpt(&mut self, recipient: Box<pymta_types::Recipient>) {
        let Stage::Transaction(envelope) = &self.stage else {
            let fault = self.misplaced(Step::Rcpt).unwrap_or(&violation::ORDER);
            return self.violate(fault, None);
        };
        if !recipient.forward_path.is_ascii() && !envelope.smtputf8 {
            return self.violate(&violation::SMTPUTF8_MISSING, None);
        }
        let accepted_count = envelope.recipients.len();
        if accepted_count >= self.settings.limits().recipients_max {
            return self.violate(&violation::TOO_MANY_RECIPIENTS, None);
        }
        let event = Event::Rcpt {
            recipient: (*recipient).clone(),
            accepted_count,
        };
        self.ask(Asked::Rcpt(recipient), event);
    }

    fn obey_data(&mut self) {
        let fault = match &self.stage {
            Stage::Transaction(envelope) if envelope.recipients.is_empty() => Some(&violation::NO_RECIPIENTS),
            Stage::Transaction(envelope) if !may_come_by_data(envelope.body) => {
                Some(&violation::BINARY_NEEDS_BDAT)
            }
            _ => self.misplaced(Step::Data),
        };
        match fault {
            Some(fault) => {
                self.violate(fault, None);
                self.drop_pipelined_content();
            }
            None => self.ask(Asked::Data, Event::Data),
        }
    }

    /// A MAIL was refused; one that had no place changes nothing.
    pub(super) fn mail_refused(&mut self) {
        if matches!(self.stage, Stage::Ready) {
            self.stage = Stage::Refused;
        }
    }

    /// After a refused DATA nothing may be there yet: who pipelines content without a 354 would have it obeyed as
    /// commands (RFC 2920 §3.1 lets DATA only end a group).
    pub(super) fn drop_pipelined_content(&mut self) {
        if !self.input.is_empty() && !self.is_closing() {
            self.violate(&violation::PIPELINED_CONTENT, None);
        }
    }

    /// Refused or not, the octets of a BDAT are never commands (RFC 3030 §2).
    fn obey_bdat(&mut self, octets: u64, last: bool) {
        if octets == 0 && !last && !self.count_idle() {
            return;
        }
        let octets_max = self.settings.limits().message_octets_max;
        let (so_far, fault) = match &self.stage {
            Stage::Transaction(envelope) if envelope.recipients.is_empty() => {
                (0, Some(&violation::NO_RECIPIENTS))
            }
            Stage::Chunks { content, .. } => (content.octets(), None),
            _ => (0, self.misplaced(Step::Bdat)),
        };
        let too_large = octets > octets_max.saturating_sub(so_far);
        let fault = fault.or(too_large.then_some(&violation::CONTENT_TOO_LARGE));
        if let Some(fault) = fault {
            return self.refuse_chunk(octets, |session| session.violate(fault, None));
        }
        match &mut self.stage {
            Stage::Chunks { chunk, .. } => {
                *chunk = Some(Chunk {
                    octets,
                    open_octets: octets,
                    last,
                });
            }
            _ => self.ask(Asked::FirstChunk { octets, last }, Event::Data),
        }
    }

    /// Says no to a BDAT of so many octets: `say` writes why.
    pub(super) fn refuse_chunk(&mut self, octets: u64, say: impl FnOnce(&mut Self)) {
        let next = match self.stage {
            Stage::Connected => Stage::Connected,
            Stage::Ready => Stage::Ready,
            _ => Stage::Refused,
        };
        self.enter(Step::BdatRefused, next);
        self.skip_octets = octets;
        say(self);
    }

    /// Why `step` has no place now, or None where it has one.
    fn misplaced(&self, step: Step) -> Option<&'static Fault> {
        match self.stage {
            _ if self.may(step) => None,
            Stage::Connected => Some(&violation::HELLO_FIRST),
            Stage::Refused if matches!(step, Step::Rcpt | Step::Data | Step::Bdat) => {
                Some(&violation::TRANSACTION_REFUSED)
            }
            _ => Some(&violation::ORDER),
        }
    }

    /// A line that is no command of ours.
    pub(super) fn refuse_line(&mut self, error: CommandError) {
        match error {
            CommandError::Stray => self.violate(&violation::STRAY_IN_COMMAND, None),
            CommandError::Unknown => self.violate(&violation::UNKNOWN_COMMAND, None),
            CommandError::NotImplemented => self.violate(&violation::NOT_OFFERED, None),
            CommandError::Foreign => self.violate(&violation::FOREIGN_PROTOCOL, None),
            CommandError::Syntax(form) => self.violate(&violation::SYNTAX, Some(form)),
            CommandError::ReversePath(error) => {
                let detail = path_detail(error, "MAIL FROM:<address>");
                self.violate(&violation::REVERSE_PATH, Some(&detail));
            }
            CommandError::ForwardPath(error) => {
                let detail = path_detail(error, "RCPT TO:<address>");
                self.violate(&violation::FORWARD_PATH, Some(&detail));
            }
            CommandError::Parameter(ParameterError::Unknown) => {
                self.violate(&violation::PARAMETER_UNKNOWN, None);
            }
            CommandError::Parameter(ParameterError::Form) => {
                self.violate(&violation::PARAMETER_MALFORMED, None);
            }
            CommandError::Parameter(ParameterError::Value(keyword)) => {
                self.violate(&violation::PARAMETER_MALFORMED, Some(keyword));
            }
            CommandError::Base64 => self.violate(&violation::AUTH_BASE64, None),
            CommandError::ChunkSize => self.violate(&violation::CHUNK_SIZE, None),
        }
    }
}

fn path_detail(error: PathError, form: &'static str) -> String {
    match error {
        PathError::Form => format!("syntax is {form}"),
        PathError::Route => "malformed source route".to_owned(),
        PathError::Address(error) => error.to_string(),
    }
}

/// Whether content of that kind is made of lines.
pub(super) fn is_made_of_lines(body: BodyType) -> bool {
    body != BodyType::BinaryMime
}
