//! Commands → replies, or events that ask.

use pymta_smtp::base64;

use crate::asked::Asked;
use crate::capability::Extension;
use crate::command::{Command, Tagged};
use crate::compress::Codec;
use crate::event::{Event, Password};
use crate::order;
use crate::parse::{self, Line};
use crate::reading::{bad, refusal_of};
use crate::session::{Reading, Refusal, Session, Waits};
use crate::violation::ViolationKind;
use crate::write::{self, Status};

impl Session {
    /// A whole command.
    pub(crate) fn obey_frame(&mut self, frame: &[u8]) {
        let (tag, name) = parse::head(frame, self.grammar());
        let step = name.as_deref().and_then(order::step_of);
        if step.is_some_and(|step| !self.may(step)) {
            return self.violate(tag.as_deref(), ViolationKind::Order);
        }
        let (tag, line) = parse::command(frame, self.grammar(), false);
        match (tag, line) {
            (tag, Err(flaw)) => self.say_refusal(refusal_of(tag, flaw)),
            (None, Ok(_)) => self.violate(None, ViolationKind::BadTag),
            (Some(tag), Ok(line)) => self.obey(tag, line),
        }
    }

    fn obey(&mut self, tag: String, line: Line) {
        match line {
            Line::Capability => {
                let text = format!("* {}\r\n", self.settings.capabilities(self.now()));
                self.out.extend_from_slice(text.as_bytes());
                self.say_ok(&tag, "that is all");
            }
            Line::Id => {
                self.settings.identity(&mut self.out);
                self.say_ok(&tag, "nice to meet you");
            }
            Line::Logout => self.obey_logout(&tag),
            Line::StartTls => self.obey_starttls(tag),
            Line::Login { account, password } => self.obey_login(tag, account, password),
            Line::Authenticate { mechanism, initial } => self.obey_authenticate(tag, mechanism, initial),
            Line::Enable(names) => self.obey_enable(&tag, &names),
            Line::Idle => {
                write::continuation(&mut self.out, "idling");
                self.reading = Reading::Idle { tag };
                self.events.push_back(Event::Idle);
            }
            Line::Compress => self.obey_compress(&tag),
            // Read in segments; only one that may not be is here, and the table has said so already.
            Line::Append => self.violate(Some(&tag), ViolationKind::Order),
            Line::Mailbox(_, tagged) if tagged.command == Command::Noop && !self.is_open() => {
                self.say_ok(&tag, "still here");
            }
            Line::Mailbox(name, tagged) => {
                let asked = self.asked(tagged);
                self.wait(Waits::Command, Event::Command { name, asked });
            }
        }
    }

    pub(crate) fn say_ok(&mut self, tag: &str, text: &str) {
        write::tagged(&mut self.out, tag, Status::Ok, None, text);
    }

    fn asked(&self, tagged: Tagged) -> Asked {
        let enabled = self.enabled;
        Asked { tagged, enabled }
    }

    fn obey_logout(&mut self, tag: &str) {
        write::untagged(&mut self.out, Status::Bye, None, "good bye");
        self.say_ok(tag, "logged out");
        self.close();
        self.events.push_back(Event::Logout);
    }

    // ---- before the login

    fn obey_starttls(&mut self, tag: String) {
        if self.secure {
            self.violate(Some(&tag), ViolationKind::Order);
        } else if !self.settings.offer.starttls {
            self.violate(Some(&tag), ViolationKind::UnknownCommand);
        } else {
            self.wait(Waits::StartTls { tag }, Event::StartTls);
        }
    }

    /// Why LOGIN or AUTHENTICATE is not taken.
    pub(crate) fn no_login(&self, tag: Option<String>) -> Refusal {
        let needs_tls = !self.settings.takes_logins(self.secure);
        Refusal::Violation {
            tag,
            status: Status::No,
            code: needs_tls.then_some("PRIVACYREQUIRED"),
            kind: ViolationKind::AuthNotAllowed,
        }
    }

    fn obey_login(&mut self, tag: String, account: String, password: Vec<u8>) {
        if !self.settings.takes_login_command(self.secure) {
            return self.say_refusal(self.no_login(Some(tag)));
        }
        let password = Password::new(password);
        self.wait(Waits::Login { tag }, Event::Login { account, password });
    }

    fn obey_authenticate(&mut self, tag: String, mechanism: String, initial: Option<Vec<u8>>) {
        let is_offered = self.settings.offer.auth_mechanisms.contains(&mechanism);
        if !self.settings.takes_logins(self.secure) || !is_offered {
            return self.say_refusal(self.no_login(Some(tag)));
        }
        let initial_response = match initial.as_deref() {
            None => None,
            Some(b"=") => Some(Vec::new()), // RFC 4959 §3
            // Nothing is not how nothing is written.
            Some(b"") => return self.violate(Some(&tag), ViolationKind::AuthMalformed),
            Some(text) => match base64::decode(text) {
                Some(octets) => Some(octets),
                None => return self.violate(Some(&tag), ViolationKind::AuthMalformed),
            },
        };
        let event = Event::Auth {
            mechanism,
            initial_response,
        };
        self.wait(Waits::Auth { tag }, event);
    }

    pub(crate) fn obey_auth_response(&mut self, tag: String, line: &[u8]) {
        match base64::decode(line) {
            Some(octets) => self.wait(Waits::Auth { tag }, Event::AuthResponse(Some(octets))),
            None => {
                self.events.push_back(Event::AuthResponse(None));
                self.say_refusal(bad(Some(tag), ViolationKind::AuthMalformed));
            }
        }
    }

    // ---- with a login

    /// RFC 5161: what is not known is ignored, and what was enabled is said even if it is nothing.
    fn obey_enable(&mut self, tag: &str, names: &[String]) {
        let extensions = self.settings.offer.extensions;
        let is_selected = self.state == order::State::Selected;
        self.out.extend_from_slice(b"* ENABLED");
        for name in names {
            let enabled = &mut self.enabled;
            let is_known = match name.as_str() {
                "CONDSTORE" if extensions.has(Extension::Condstore) => {
                    enabled.condstore = true;
                    true
                }
                "QRESYNC" if extensions.has(Extension::Qresync) => {
                    enabled.qresync = true;
                    enabled.condstore = true;
                    true
                }
                // What names and strings look like does not change within a mailbox (RFC 6855 §3).
                "UTF8=ACCEPT" if extensions.has(Extension::Utf8Accept) && !is_selected => {
                    enabled.utf8 = true;
                    true
                }
                "IMAP4REV2" if extensions.has(Extension::Rev2) && !is_selected => {
                    enabled.rev2 = true;
                    enabled.utf8 = true;
                    true
                }
                "UIDONLY" if extensions.has(Extension::UidOnly) => {
                    enabled.uid_only = true;
                    true
                }
                _ => false,
            };
            if is_known {
                self.out.push(b' ');
                let name = if name == "IMAP4REV2" { "IMAP4rev2" } else { name };
                self.out.extend_from_slice(name.as_bytes());
            }
        }
        self.out.extend_from_slice(b"\r\n");
        self.say_ok(tag, "enabled");
    }

    /// RFC 4978 §3. What arrived behind the command is compressed already.
    fn obey_compress(&mut self, tag: &str) {
        if !self.settings.offer.compress {
            return self.violate(Some(tag), ViolationKind::UnknownCommand);
        }
        if self.codec.is_some() {
            let code = Some("COMPRESSIONACTIVE");
            return write::tagged(&mut self.out, tag, Status::No, code, "it is on already");
        }
        self.say_ok(tag, "DEFLATE from here on");
        self.plain = std::mem::take(&mut self.out);
        let mut codec = Codec::new();
        codec.receive(self.input.rest());
        self.input.clear();
        self.codec = Some(Box::new(codec));
    }

    pub(crate) fn end_idle(&mut self, tag: String) {
        if self.is_closing() {
            return;
        }
        let tagged = Tagged {
            tag,
            by_uid: false,
            command: Command::Noop,
        };
        let asked = self.asked(tagged);
        self.wait(Waits::Command, Event::IdleDone(asked));
    }
}
