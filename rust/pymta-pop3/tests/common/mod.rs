//! A session with somebody behind it who accepts everything that a test does not refuse, and three messages.

#![allow(dead_code, unreachable_pub)] // each test crate uses its part of it

use std::collections::VecDeque;
use std::sync::Arc;

use pymta_pop3::{Code, Event, Maildrop, Message, Offer, Session, Settings, Wire};

/// What the next question is answered with.
#[derive(Clone, Debug)]
pub enum Answer {
    Accept,
    Refuse(Option<Code>, String),
    Challenge(Vec<u8>),
    ShutDown(String),
}

pub struct Behind {
    pub session: Session,
    pub answers: VecDeque<Answer>,
    /// Every event, in words.
    pub events: Vec<String>,
    pub violations: Vec<&'static str>,
    pub deleted: Option<Vec<usize>>,
    pub out: Vec<u8>,
}

pub const MESSAGES: [&[u8]; 3] = [b"a: b\n\n.\n..\n", b"c: d\r\n\r\nlast", b""];

pub fn offer() -> Offer {
    Offer {
        auth_mechanisms: vec!["PLAIN".to_owned(), "LOGIN".to_owned()],
        user_and_pass: true,
        ..Offer::default()
    }
}

fn maildrop() -> Maildrop {
    let octets = [14, 16, 0];
    let messages = (1..).zip(octets);
    let messages = messages.map(|(number, octets)| Message {
        octets,
        uid: format!("uid-{number}"),
    });
    Maildrop::new(messages.collect()).unwrap()
}

impl Behind {
    /// Greeted already.
    pub fn new(offer: Offer, secure: bool) -> Self {
        let settings = Arc::new(Settings::new(offer).unwrap());
        let mut behind = Self {
            session: Session::new(settings, secure),
            answers: VecDeque::new(),
            events: Vec::new(),
            violations: Vec::new(),
            deleted: None,
            out: Vec::new(),
        };
        behind.session.greet().unwrap();
        behind.go_on();
        behind
    }

    pub fn send(&mut self, octets: &[u8]) {
        self.session.receive(octets);
        self.go_on();
    }

    pub fn go_on(&mut self) {
        loop {
            while let Some(event) = self.session.next_event() {
                self.answer(&event);
            }
            let is_full = self.session.is_output_full();
            self.collect();
            if !is_full {
                return;
            }
        }
    }

    fn collect(&mut self) {
        self.out.extend_from_slice(self.session.output());
        self.session.clear_output();
    }

    fn answer(&mut self, event: &Event) {
        self.events.push(format!("{event:?}"));
        if let Event::Violation { kind, .. } = event {
            return self.violations.push(kind.as_str());
        }
        if !self.session.is_waiting() {
            return;
        }
        let session = &mut self.session;
        match self.answers.pop_front() {
            Some(Answer::Refuse(code, text)) => return session.refuse(code, &text).unwrap(),
            Some(Answer::Challenge(octets)) => return session.challenge(&octets).unwrap(),
            Some(Answer::ShutDown(text)) => session.shut_down(&text),
            Some(Answer::Accept) | None => {}
        }
        match event {
            Event::StartTls => {
                session.accept().unwrap();
                session.tls_started().unwrap();
            }
            Event::Login { .. } | Event::Auth { .. } | Event::AuthResponse(_) => {
                session.open(maildrop()).unwrap();
            }
            Event::Retrieve { index, lines } => {
                session.begin_content().unwrap();
                let (mut wire, mut content) = (Wire::new(*lines), Vec::new());
                wire.push(MESSAGES[*index], &mut content);
                wire.finish(&mut content);
                self.collect();
                self.out.extend(content);
                self.session.end_content().unwrap();
            }
            Event::Update { deleted } => {
                self.deleted = Some(deleted.clone());
                session.updated().unwrap();
            }
            Event::QuitUnread | Event::Violation { .. } => {}
        }
    }
}
