//! A session with somebody behind it who accepts everything that a test does not refuse, and answers each command with OK.

#![allow(dead_code, unreachable_pub)] // each test crate uses its part of it

use std::collections::VecDeque;
use std::sync::Arc;

use pymta_imap::capability::Extensions;
use pymta_imap::command::Command;
use pymta_imap::{Event, Offer, Session, Settings};

/// What the next question is answered with.
#[derive(Clone, Debug)]
pub enum Answer {
    Accept,
    Refuse(Option<String>, String),
    Challenge(Vec<u8>),
    ShutDown(String),
}

pub struct Behind {
    pub session: Session,
    pub answers: VecDeque<Answer>,
    /// Every event, in words; content is gathered in `content`.
    pub events: Vec<String>,
    pub violations: Vec<&'static str>,
    pub content: Vec<u8>,
    /// Messages that were stored.
    pub stored: Vec<String>,
    pub out: Vec<u8>,
    selected: bool,
    append: Option<String>,
}

pub fn offer() -> Offer {
    Offer {
        auth_mechanisms: vec!["PLAIN".to_owned(), "LOGIN".to_owned()],
        login: true,
        extensions: Extensions::all(),
        identity: vec![("name".to_owned(), "pymta".to_owned())],
        ..Offer::default()
    }
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
            content: Vec::new(),
            stored: Vec::new(),
            out: Vec::new(),
            selected: false,
            append: None,
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
                self.answer(event);
            }
            let is_full = self.session.is_output_full();
            self.out.extend(self.session.take_output());
            if !is_full {
                return;
            }
        }
    }

    fn answer(&mut self, event: Event) {
        match &event {
            Event::Violation { kind, .. } => {
                self.events.push(format!("{event:?}"));
                return self.violations.push(kind.as_str());
            }
            Event::Content { octets, is_last } => {
                self.content.extend_from_slice(octets);
                self.events.push(format!("Content {} {is_last}", octets.len()));
            }
            event => self.events.push(format!("{event:?}")),
        }
        let session = &mut self.session;
        match &event {
            Event::Idle
            | Event::Message(_)
            | Event::Logout
            | Event::AuthResponse(None)
            | Event::Violation { .. } => return,
            Event::AppendAbort => {
                self.append = None;
                return self.content.clear();
            }
            _ => assert!(session.is_waiting(), "{event:?}"),
        }
        let is_command = matches!(
            event,
            Event::Command { .. } | Event::IdleDone(_) | Event::AppendEnd
        );
        match self.answers.pop_front() {
            Some(Answer::Refuse(code, text)) if !is_command => {
                self.append = None;
                self.content.clear();
                return session.refuse(code.as_deref(), &text).unwrap();
            }
            Some(Answer::Challenge(octets)) => return session.challenge(&octets).unwrap(),
            Some(Answer::ShutDown(text)) => session.shut_down(&text),
            _ => {}
        }
        match event {
            Event::StartTls => {
                session.accept().unwrap();
                session.tls_started().unwrap();
            }
            Event::Login { .. } | Event::Auth { .. } | Event::AuthResponse(_) => session.open().unwrap(),
            Event::Command { asked, .. } | Event::IdleDone(asked) => {
                match asked.tagged.command {
                    Command::Select { .. } => self.selected = true,
                    Command::Close | Command::Unselect => self.selected = false,
                    _ => {}
                }
                session.say(format!("{} OK view\r\n", asked.tagged.tag).as_bytes());
                session.done(self.selected).unwrap();
            }
            Event::Append { asked, .. } => {
                self.append = Some(asked.tag);
                session.accept_append().unwrap();
            }
            Event::Content { .. } => session.took().unwrap(),
            Event::Url(url) => {
                self.content.extend_from_slice(url.as_bytes());
                session.took().unwrap();
            }
            Event::AppendEnd => {
                let content = std::mem::take(&mut self.content);
                self.stored.push(String::from_utf8_lossy(&content).into_owned());
                let tag = self.append.take().unwrap();
                session.say(format!("{tag} OK stored\r\n").as_bytes());
                session.done(self.selected).unwrap();
            }
            _ => {}
        }
    }
}
