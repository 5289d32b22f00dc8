//! Commands → replies, or events that ask.

use pymta_smtp::base64;

use crate::command::{Command, CommandError};
use crate::event::{Event, Password};
use crate::order::Step;
use crate::reply;
use crate::session::{Asked, Listed, Listing, Session, Stage};
use crate::settings::Now;
use crate::violation::ViolationKind;

/// A line within an exchange.
pub(crate) enum AuthResponse {
    Octets(Vec<u8>),
    /// `*`, or no base64.
    Over,
}

pub(crate) fn auth_response(line: &[u8]) -> AuthResponse {
    base64::decode(line).map_or(AuthResponse::Over, AuthResponse::Octets)
}

impl Session {
    pub(crate) fn obey_line(&mut self, command: Result<Command, CommandError>) {
        match command {
            Ok(command) => self.obey(command),
            Err(error) => self.violate(match error {
                CommandError::Unknown => ViolationKind::UnknownCommand,
                CommandError::Syntax => ViolationKind::Syntax,
                CommandError::Stray => ViolationKind::StrayInCommand,
                CommandError::NotBase64 => ViolationKind::AuthMalformed,
            }),
        }
    }

    fn obey(&mut self, command: Command) {
        let step = match &command {
            Command::Capa | Command::Lang(_) => Step::Aside,
            Command::Stls => Step::StartTls,
            Command::Utf8 => Step::Utf8,
            Command::User(_) => Step::User,
            Command::Pass(_) => Step::Pass,
            Command::Auth { .. } | Command::AuthList => Step::Auth,
            Command::Quit => Step::Quit,
            _ => Step::Mail,
        };
        if !self.may(step) {
            return self.violate(ViolationKind::Order);
        }
        match command {
            Command::Capa => {
                let now = Now {
                    secure: self.secure,
                    open: self.is_open(),
                };
                self.settings.capabilities(&mut self.out, now);
            }
            Command::Stls => self.obey_stls(),
            Command::Utf8 => {
                self.utf8 = true;
                reply::ok(&mut self.out, "UTF-8 it is");
            }
            Command::Lang(range) => self.obey_lang(range.as_deref()),
            Command::User(name) => self.obey_user(name),
            Command::Pass(password) => self.obey_pass(password),
            Command::AuthList => self.list_mechanisms(),
            Command::Auth { mechanism, initial } => self.obey_auth(mechanism, initial),
            Command::Quit => self.obey_quit(),
            other => self.obey_mail(&other),
        }
    }

    /// LANG (RFC 6856 §3): English is all there is, and `i-default`, which is English (RFC 2277 §4.5). A range is cut from
    /// its end until it is one of these (RFC 4647 §3.4).
    fn obey_lang(&mut self, range: Option<&str>) {
        match range {
            None => {
                reply::ok(&mut self.out, "languages follow");
                self.out
                    .extend_from_slice(b"en English\r\ni-default English\r\n.\r\n");
            }
            Some("*" | "i-default") => reply::ok(&mut self.out, "i-default English it is"),
            Some(range) if range == "en" || range.starts_with("en-") => {
                reply::ok(&mut self.out, "en English it is");
            }
            Some(_) => reply::err(&mut self.out, None, "no such language"),
        }
    }

    fn ask(&mut self, asked: Asked, event: Event) {
        self.asked = Some(asked);
        self.events.push_back(event);
    }

    // ---- before the login

    fn obey_stls(&mut self) {
        // RFC 6856 §2: not once UTF8 was said.
        if self.secure || self.utf8 {
            self.violate(ViolationKind::Order);
        } else if !self.settings.offer.stls {
            self.violate(ViolationKind::UnknownCommand);
        } else {
            self.ask(Asked::StartTls, Event::StartTls);
        }
    }

    fn obey_user(&mut self, name: String) {
        if !self.settings.offer.user_and_pass {
            self.violate(ViolationKind::UnknownCommand);
        } else if !self.settings.takes_logins(self.secure) {
            self.violate(ViolationKind::AuthNotAllowed);
        } else {
            self.enter(Step::User, Stage::Named(name));
            // The same for every name: who has an account is nobody's business.
            reply::ok(&mut self.out, "and the password?");
        }
    }

    fn obey_pass(&mut self, password: Password) {
        let Stage::Named(name) = &mut self.stage else {
            return self.violate(ViolationKind::Order); // the table has said so already
        };
        let account = std::mem::take(name);
        self.ask(Asked::Login, Event::Login { account, password });
    }

    fn list_mechanisms(&mut self) {
        if !self.settings.takes_logins(self.secure) {
            return self.violate(ViolationKind::AuthNotAllowed);
        }
        reply::ok(&mut self.out, "mechanisms follow");
        for name in &self.settings.offer.auth_mechanisms {
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
        self.out.extend_from_slice(b".\r\n");
    }

    fn obey_auth(&mut self, mechanism: String, initial_response: Option<Vec<u8>>) {
        let settings = &self.settings;
        if !settings.takes_logins(self.secure) || !settings.offer.auth_mechanisms.contains(&mechanism) {
            return self.violate(ViolationKind::AuthNotAllowed);
        }
        let event = Event::Auth {
            mechanism,
            initial_response,
        };
        self.ask(Asked::Auth, event);
    }

    pub(crate) fn obey_auth_response(&mut self, response: AuthResponse) {
        self.in_auth_exchange = false;
        match response {
            AuthResponse::Octets(octets) => self.ask(Asked::Auth, Event::AuthResponse(Some(octets))),
            AuthResponse::Over => {
                self.events.push_back(Event::AuthResponse(None));
                self.violate(ViolationKind::AuthMalformed);
            }
        }
    }

    fn obey_quit(&mut self) {
        if let Stage::Transaction { maildrop, .. } = &self.stage {
            let deleted = maildrop.deleted();
            return self.ask(Asked::Update, Event::Update { deleted });
        }
        reply::ok(&mut self.out, "bye");
        self.enter(Step::Quit, Stage::Closing);
        self.close();
        self.events.push_back(Event::QuitUnread);
    }

    // ---- with an open maildrop

    fn obey_mail(&mut self, command: &Command) {
        let Stage::Transaction { maildrop, listing } = &mut self.stage else {
            return self.violate(ViolationKind::Order); // the table has said so already
        };
        let number = match *command {
            Command::Retr(number) | Command::Top { number, .. } | Command::Dele(number) => Some(number),
            Command::List(number) | Command::Uidl(number) => number,
            _ => None,
        };
        let index = match number.map(|number| maildrop.find(number)) {
            None => None,
            Some(Some(index)) => Some(index),
            Some(None) => return reply::err(&mut self.out, None, "no such message"),
        };
        let out = &mut self.out;
        match (command, index) {
            (Command::Stat, _) => reply::ok(out, &format!("{} {}", maildrop.count(), maildrop.octets())),
            (Command::List(_), None) => {
                let text = format!("{} messages ({} octets)", maildrop.count(), maildrop.octets());
                reply::ok(out, &text);
                *listing = Some(Listing {
                    of: Listed::Octets,
                    next: 0,
                });
            }
            (Command::Uidl(_), None) => {
                reply::ok(out, "");
                *listing = Some(Listing {
                    of: Listed::Uids,
                    next: 0,
                });
            }
            (Command::List(_), Some(index)) => {
                reply::ok(out, &format!("{} {}", index + 1, maildrop.message(index).octets));
            }
            (Command::Uidl(_), Some(index)) => {
                reply::ok(out, &format!("{} {}", index + 1, maildrop.message(index).uid));
            }
            (Command::Dele(_), Some(index)) => {
                maildrop.delete(index);
                reply::ok(out, "deleted at QUIT");
            }
            (Command::Retr(_), Some(index)) => {
                let asked = Asked::Retrieve { index, is_top: false };
                self.ask(asked, Event::Retrieve { index, lines: None });
            }
            (&Command::Top { lines, .. }, Some(index)) => {
                let asked = Asked::Retrieve { index, is_top: true };
                let lines = Some(lines);
                self.ask(asked, Event::Retrieve { index, lines });
            }
            (Command::Rset, _) => {
                maildrop.restore();
                reply::ok(out, "nothing is deleted");
            }
            _ => reply::ok(out, ""), // NOOP
        }
    }
}
