//! A server session with somebody behind it who accepts everything that a test does not refuse.

#![allow(dead_code, unreachable_pub)] // each test crate uses its part of it

use std::collections::VecDeque;
use std::sync::Arc;

use pymta_smtp::server::{Event, Offer, Session, Settings};
use pymta_types::{Envelope, Reply};

/// A message that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub envelope: Arc<Envelope>,
    pub content: Vec<u8>,
}

/// What the next question is answered with. A challenge to what is not AUTH is a yes.
#[derive(Clone, Debug)]
pub enum Answer {
    Accept,
    Refuse(Reply),
    AcceptBut(usize, Reply),
    Challenge(Vec<u8>),
    ShutDown(Reply),
}

pub struct Behind {
    pub session: Session<Vec<u8>>,
    pub answers: VecDeque<Answer>,
    /// Every event but messages, in words.
    pub events: Vec<String>,
    pub violations: Vec<&'static str>,
    pub messages: Vec<Taken>,
    pub out: Vec<u8>,
    /// Shake hands at once when STARTTLS was accepted.
    pub shakes_hands: bool,
}

pub fn offer() -> Offer {
    Offer {
        hostname: "mx.example.test".to_owned(),
        starttls: true,
        ..Offer::default()
    }
}

impl Behind {
    pub fn new(offer: Offer) -> Self {
        Self::secured(offer, false)
    }

    /// Greeted already.
    pub fn secured(offer: Offer, secure: bool) -> Self {
        let settings = Arc::new(Settings::new(offer).unwrap());
        let mut behind = Self {
            session: Session::new(settings, secure),
            answers: VecDeque::new(),
            events: Vec::new(),
            violations: Vec::new(),
            messages: Vec::new(),
            out: Vec::new(),
            shakes_hands: true,
        };
        behind.session.greet().unwrap();
        behind.collect();
        behind
    }

    /// Greeted, named, and nothing of that in `out` any more.
    pub fn ready(offer: Offer) -> Self {
        let lmtp = offer.lmtp;
        let mut behind = Self::new(offer);
        behind.send(if lmtp {
            b"LHLO client.example.test\r\n"
        } else {
            b"EHLO client.example.test\r\n"
        });
        behind.take_out();
        behind
    }

    pub fn send(&mut self, octets: &[u8]) {
        self.session.receive(octets);
        self.go_on();
    }

    /// What was said since the last time.
    pub fn take_out(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.out)).unwrap()
    }

    /// Sends and returns the replies.
    pub fn ask(&mut self, octets: &[u8]) -> String {
        self.send(octets);
        self.take_out()
    }

    fn collect(&mut self) {
        self.out.extend_from_slice(self.session.output());
        self.session.clear_output();
    }

    pub fn go_on(&mut self) {
        while let Some(event) = self.session.next_event() {
            self.answer(event);
            self.collect();
        }
        self.collect();
    }

    fn answer(&mut self, event: Event<Vec<u8>>) {
        match &event {
            Event::Violation { kind, reply } => {
                self.violations.push(kind.as_str());
                return self.events.push(format!("{kind:?} {reply}"));
            }
            Event::Message { writer, envelope } => {
                self.events.push(format!("Message {envelope:?} {writer:?}"))
            }
            other => self.events.push(format!("{other:?}")),
        }
        if !self.session.is_waiting() {
            return; // Quit, or the end of an AUTH exchange
        }
        let session = &mut self.session;
        let mut refused = Vec::new();
        match self.answers.pop_front() {
            Some(Answer::AcceptBut(place, reply)) => refused.push((place, reply)),
            Some(Answer::Refuse(reply)) => return session.refuse(&reply).unwrap(),
            Some(Answer::Challenge(text)) if matches!(event, Event::Auth { .. } | Event::AuthResponse(_)) => {
                return session.challenge(&text).unwrap();
            }
            Some(Answer::ShutDown(reply)) => session.shut_down(&reply),
            Some(Answer::Accept | Answer::Challenge(_)) | None => {}
        }
        match event {
            Event::Data => session.accept_content(Vec::new()).unwrap(),
            Event::Message { writer, envelope } => {
                self.messages.push(Taken {
                    envelope,
                    content: writer,
                });
                session.accept_message_but("taken", &refused).unwrap();
            }
            Event::StartTls => {
                session.accept().unwrap();
                if self.shakes_hands {
                    session.tls_started().unwrap();
                }
            }
            _ => session.accept().unwrap(),
        }
    }
}

/// `452 4.3.1 text` as a reply.
pub fn reply(text: &str) -> Reply {
    let (code, rest) = text.split_once(' ').unwrap();
    let (enhanced, text) = rest.split_once(' ').unwrap();
    Reply::new(code.parse().unwrap(), Some(enhanced.parse().unwrap()), text).unwrap()
}
