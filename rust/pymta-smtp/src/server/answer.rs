//! Decisions in, replies out: how the caller answers what the session asked.
//!
//! Rule: a method that does not answer the open question changes nothing and returns [`Misuse`].

use std::sync::Arc;

use pymta_types::{Envelope, Reply};

use super::event::HelloVerb;
use super::obey::is_made_of_lines;
use super::order::Step;
use super::said;
use super::session::{Asked, Chunk, Client, Session, Stage, ends_session};
use super::violation;
use crate::base64;
use crate::command::MailCommand;
use crate::content::{Content, ContentSink, Rules};
use crate::data::DotDecoder;
use crate::misuse::Misuse;

/// Longest text that is written as it is; a longer one goes through [`Reply`], which splits it.
const PLAIN_TEXT_OCTETS_MAX: usize = 400;

impl<W: ContentSink> Session<W> {
    /// Answers the connection with 220. To turn it away: [`Session::refuse`].
    ///
    /// # Errors
    /// [`Misuse`] where it was answered already.
    pub fn greet(&mut self) -> Result<(), Misuse> {
        match self.asked {
            Some(Asked::Greeting) => {
                self.asked = None;
                self.out.extend_from_slice(&self.settings.greeting);
                self.say_farewell();
                Ok(())
            }
            _ => Err(self.misuse("greet")),
        }
    }

    /// The standard positive reply to what was asked.
    ///
    /// # Errors
    /// [`Misuse`] where nothing was asked, or where a method of its own is the answer: `greet`, `accept_content`,
    /// `accept_message`, `tls_started`.
    pub fn accept(&mut self) -> Result<(), Misuse> {
        match self.asked.take() {
            Some(Asked::Hello { verb, name }) => self.accept_hello(verb, name),
            Some(Asked::StartTls) => self.accept_starttls(),
            Some(Asked::Auth) => {
                self.client.authenticated = true;
                self.out.extend_from_slice(said::AUTHENTICATED);
            }
            Some(Asked::Xclient) => {
                self.client = Client::default();
                self.enter(Step::Xclient, Stage::Connected);
                self.out.extend_from_slice(&self.settings.greeting);
            }
            Some(Asked::Mail(mail)) => self.accept_mail(*mail),
            Some(Asked::Rcpt(recipient)) => {
                if let Stage::Transaction(envelope) = &mut self.stage {
                    Arc::make_mut(envelope).recipients.push(*recipient);
                    self.out.extend_from_slice(said::RCPT_OK);
                }
            }
            other => {
                self.asked = other;
                return Err(self.misuse("accept"));
            }
        }
        self.say_farewell();
        Ok(())
    }

    fn accept_hello(&mut self, verb: HelloVerb, name: String) {
        self.client.hello_name = name;
        self.client.extended = verb != HelloVerb::Helo;
        self.enter(Step::Hello, Stage::Ready);
        let reply = match verb {
            HelloVerb::Helo => &self.settings.helo[..],
            HelloVerb::Ehlo | HelloVerb::Lhlo => self.settings.ehlo(self.secure),
        };
        self.out.extend_from_slice(reply);
    }

    /// 220, and what came in the clear behind the command is dropped (RFC 3207 §6: command injection).
    fn accept_starttls(&mut self) {
        self.out.extend_from_slice(said::TLS_GO);
        let injected = !self.input.is_empty();
        self.input.clear();
        self.asked = Some(Asked::Handshake { injected });
        if injected {
            self.note_injection();
        }
    }

    /// Nothing is said: the peer waits for a handshake.
    pub(super) fn note_injection(&mut self) {
        let fault = &violation::STARTTLS_INJECTION;
        self.counts.violations += 1;
        self.events.push_back(super::event::Event::Violation {
            kind: fault.kind,
            reply: fault.reply(None),
        });
    }

    fn accept_mail(&mut self, mail: MailCommand) {
        let envelope = Envelope {
            reverse_path: mail.reverse_path,
            recipients: Vec::new(),
            body: mail.parameters.body,
            smtputf8: mail.parameters.smtputf8,
            ret: mail.parameters.ret,
            envid: mail.parameters.envid,
        };
        self.counts.transactions += 1;
        self.enter(Step::Mail, Stage::Transaction(Arc::new(envelope)));
        self.out.extend_from_slice(said::MAIL_OK);
    }

    /// To [`super::Event::Data`]: the content goes to `sink`.
    ///
    /// # Errors
    /// [`Misuse`] where that was not asked.
    pub fn accept_content(&mut self, sink: W) -> Result<(), Misuse> {
        let Stage::Transaction(envelope) = &self.stage else {
            return Err(self.misuse("accept_content"));
        };
        let limits = self.settings.limits();
        let lines = is_made_of_lines(envelope.body).then_some(self.settings.offer.line_endings);
        let rules = Rules {
            lines,
            octets_max: limits.message_octets_max,
            line_octets_max: limits.text_line_octets_max,
        };
        let envelope = Arc::clone(envelope);
        match self.asked {
            Some(Asked::Data) => {
                let content = Stage::Content {
                    envelope,
                    decoder: DotDecoder::new(),
                    content: Content::new(rules, sink),
                    ended: false,
                };
                self.enter(Step::Data, content);
                self.out.extend_from_slice(said::DATA_GO);
            }
            Some(Asked::FirstChunk { octets, last }) => {
                let chunks = Stage::Chunks {
                    envelope,
                    content: Content::new(rules, sink),
                    chunk: Some(Chunk {
                        octets,
                        open_octets: octets,
                        last,
                    }),
                };
                self.enter(Step::Bdat, chunks);
            }
            _ => return Err(self.misuse("accept_content")),
        }
        self.asked = None;
        self.say_farewell();
        Ok(())
    }

    /// To [`super::Event::Message`], once the message is durable: `250 2.0.0` and `text`.
    ///
    /// # Errors
    /// [`Misuse`] where that was not asked.
    pub fn accept_message(&mut self, text: &str) -> Result<(), Misuse> {
        self.accept_message_but(text, &[])
    }

    /// The same in LMTP for those of its recipients whose place in the envelope is not among `refused`; each of these
    /// hears its own negative reply (RFC 2033 §4.2).
    ///
    /// # Errors
    /// [`Misuse`] where that was not asked, where a reply is positive, and outside LMTP.
    pub fn accept_message_but(&mut self, text: &str, refused: &[(usize, Reply)]) -> Result<(), Misuse> {
        let one_for_all = !self.settings.offer.lmtp && !refused.is_empty();
        let is_asked = matches!(self.asked, Some(Asked::Message));
        if !is_asked || one_for_all || refused.iter().any(|(_, reply)| reply.code() < 400) {
            return Err(self.misuse("accept_message"));
        }
        self.counts.idle_commands = 0;
        self.counts.refusals = 0;
        let is_plain =
            text.len() <= PLAIN_TEXT_OCTETS_MAX && text.bytes().all(|o| (b' '..=b'~').contains(&o));
        for index in 0..self.replies_per_message(&self.envelope()) {
            if let Some((_, reply)) = refused.iter().find(|(place, _)| *place == index) {
                reply.write_to(&mut self.out, true);
            } else if is_plain {
                for piece in [said::TAKEN.as_bytes(), text.as_bytes(), b"\r\n"] {
                    self.out.extend_from_slice(piece);
                }
            } else {
                Reply::fixed(250, pymta_types::Enhanced(2, 0, 0), text).write_to(&mut self.out, true);
            }
        }
        self.end_transaction();
        Ok(())
    }

    fn end_transaction(&mut self) {
        self.asked = None;
        self.enter(Step::EndOfContent, Stage::Ready);
        self.say_farewell();
    }

    /// The negative reply to what was asked. A 421 or 521 also ends the session, as does any refused greeting: a
    /// client that is turned away has nothing more to say, and RFC 5321 §3.1 would have it say only QUIT.
    ///
    /// # Errors
    /// [`Misuse`] where nothing was asked, or where the reply is positive.
    pub fn refuse(&mut self, reply: &Reply) -> Result<(), Misuse> {
        if reply.code() < 400 || matches!(self.asked, None | Some(Asked::Handshake { .. })) {
            return Err(self.misuse("refuse"));
        }
        let asked = self.asked.take();
        let times = match asked {
            Some(Asked::Message) => self.replies_per_message(&self.envelope()),
            _ => 1,
        };
        // RFC 2034 §3: not in the greeting, nor in the reply to EHLO.
        let with_enhanced = !matches!(asked, Some(Asked::Greeting | Asked::Hello { .. }));
        for _ in 0..times {
            reply.write_to(&mut self.out, with_enhanced);
        }
        if ends_session(reply) || matches!(asked, Some(Asked::Greeting)) {
            self.close();
            return Ok(());
        }
        match asked {
            Some(Asked::Mail(_)) => {
                self.mail_refused();
                self.count_refusal();
            }
            Some(Asked::Rcpt(_)) => self.count_refusal(),
            Some(Asked::Auth) => self.count_auth_failure(),
            Some(Asked::Data) => self.drop_pipelined_content(),
            Some(Asked::FirstChunk { octets, .. }) => self.refuse_chunk(octets, |_| ()),
            Some(Asked::Message) => self.end_transaction(),
            _ => {}
        }
        self.say_farewell();
        Ok(())
    }

    /// Counts a refused path; one too many ends the session.
    pub(super) fn count_refusal(&mut self) {
        self.counts.refusals += 1;
        if self.counts.refusals > self.settings.limits().refusals_max {
            self.violate(&violation::TOO_MANY_REFUSALS, None);
        }
    }

    /// Counts a refused login; one too many ends the session.
    fn count_auth_failure(&mut self) {
        self.counts.auth_failures += 1;
        if self.counts.auth_failures >= self.settings.limits().auth_failures_max {
            self.violate(&violation::TOO_MANY_AUTH_FAILURES, None);
        }
    }

    /// To AUTH or a response: 334 with `text`; the answer comes as an event.
    ///
    /// # Errors
    /// [`Misuse`] outside AUTH.
    pub fn challenge(&mut self, text: &[u8]) -> Result<(), Misuse> {
        if !matches!(self.asked, Some(Asked::Auth)) {
            return Err(self.misuse("challenge"));
        }
        self.asked = None;
        self.in_auth_exchange = true;
        self.out.extend_from_slice(said::CHALLENGE);
        self.out.extend_from_slice(base64::encode(text).as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self.say_farewell();
        Ok(())
    }

    /// The handshake is over: everything said in the clear is forgotten (RFC 3207 §4.2).
    ///
    /// # Errors
    /// [`Misuse`] where STARTTLS was not accepted.
    pub fn tls_started(&mut self) -> Result<(), Misuse> {
        if !matches!(self.asked, Some(Asked::Handshake { .. })) {
            return Err(self.misuse("tls_started"));
        }
        self.asked = None;
        self.secure = true;
        self.client = Client::default();
        self.enter(Step::StartTls, Stage::Connected);
        self.say_farewell();
        Ok(())
    }

    /// Ends the session from our side: `reply` is said as soon as the protocol allows it, which is after the answer
    /// to an open question (a message that is being committed still gets its 250) and at once otherwise.
    pub fn shut_down(&mut self, reply: &Reply) {
        match self.asked {
            _ if self.is_closing() => {}
            Some(Asked::Handshake { .. }) => self.close(), // the peer expects TLS and no text
            _ => {
                self.farewell = Some(reply.clone());
                self.say_farewell();
            }
        }
    }

    fn say_farewell(&mut self) {
        if self.asked.is_some() || self.is_closing() {
            return;
        }
        if let Some(reply) = self.farewell.take() {
            reply.write_to(&mut self.out, true);
            self.close();
        }
    }

    fn misuse(&self, called: &'static str) -> Misuse {
        Misuse {
            called,
            waits_for: match self.asked {
                None => "input",
                Some(Asked::Greeting) => "greet or refuse",
                Some(Asked::Handshake { .. }) => "tls_started",
                Some(Asked::Auth) => "accept, challenge or a negative refuse",
                Some(Asked::Data | Asked::FirstChunk { .. }) => "accept_content or a negative refuse",
                Some(Asked::Message) => "accept_message or a negative refuse",
                Some(_) => "accept or a negative refuse",
            },
        }
    }
}
