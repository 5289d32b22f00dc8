//! Decisions → replies. Each method answers one kind of question; at another moment it is a bug of the caller's.

use pymta_smtp::{Misuse, base64};

use crate::asked::Enabled;
use crate::order::Step;
use crate::session::{Reading, Session, Waits};
use crate::violation::ViolationKind;
use crate::write::{self, Status};

impl Session {
    /// Says hello.
    ///
    /// # Errors
    /// Misuse: not the first thing.
    pub fn greet(&mut self) -> Result<(), Misuse> {
        if !matches!(self.waits, Some(Waits::Greeting)) {
            return Err(self.misuse("greet"));
        }
        self.waits = None;
        let code = self.settings.capabilities(self.now());
        write::untagged(&mut self.out, Status::Ok, Some(&code), "IMAP ready");
        self.say_farewell();
        Ok(())
    }

    /// Yes, shake hands.
    ///
    /// # Errors
    /// Misuse: STARTTLS was not asked.
    pub fn accept(&mut self) -> Result<(), Misuse> {
        let Some(Waits::StartTls { tag }) = &self.waits else {
            return Err(self.misuse("accept"));
        };
        write::tagged(&mut self.out, tag, Status::Ok, None, "begin TLS");
        // What came behind the command was sent in the clear and must not run under TLS (RFC 9051 §6.2.1).
        let injected = !self.input.is_empty();
        self.input.clear();
        self.waits = Some(Waits::Handshake { injected });
        if injected {
            self.note_injection();
        }
        Ok(())
    }

    /// The handshake is done.
    ///
    /// # Errors
    /// Misuse: none was to be made.
    pub fn tls_started(&mut self) -> Result<(), Misuse> {
        if !matches!(self.waits, Some(Waits::Handshake { .. })) {
            return Err(self.misuse("tls_started"));
        }
        self.waits = None;
        self.secure = true;
        self.enabled = Enabled::default();
        self.enter(Step::StartTls);
        self.say_farewell();
        Ok(())
    }

    /// Something for the client to answer.
    ///
    /// # Errors
    /// Misuse: no AUTHENTICATE is in progress.
    pub fn challenge(&mut self, octets: &[u8]) -> Result<(), Misuse> {
        let Some(Waits::Auth { tag }) = &mut self.waits else {
            return Err(self.misuse("challenge"));
        };
        let tag = std::mem::take(tag);
        self.waits = None;
        self.out.extend_from_slice(b"+ ");
        self.out.extend_from_slice(base64::encode(octets).as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self.reading = Reading::AuthResponse { tag };
        self.say_farewell();
        Ok(())
    }

    /// The login was right.
    ///
    /// # Errors
    /// Misuse: nobody logs in.
    pub fn open(&mut self) -> Result<(), Misuse> {
        let tag = match &mut self.waits {
            Some(Waits::Login { tag } | Waits::Auth { tag }) => std::mem::take(tag),
            _ => return Err(self.misuse("open")),
        };
        self.waits = None;
        self.enter(Step::Login);
        let code = self.settings.capabilities(self.now());
        write::tagged(&mut self.out, &tag, Status::Ok, Some(&code), "logged in");
        self.say_farewell();
        Ok(())
    }

    /// The messages of an APPEND may come.
    ///
    /// # Errors
    /// Misuse: no APPEND was asked.
    pub fn accept_append(&mut self) -> Result<(), Misuse> {
        match (&self.waits, &mut self.upload) {
            (Some(Waits::Append), Some(upload)) => upload.was_accepted = true,
            _ => return Err(self.misuse("accept_append")),
        }
        self.waits = None;
        self.say_farewell();
        Ok(())
    }

    /// A piece of content, or what a URL names, is where it belongs.
    ///
    /// # Errors
    /// Misuse: there was none.
    pub fn took(&mut self) -> Result<(), Misuse> {
        if !matches!(self.waits, Some(Waits::Content | Waits::Url)) {
            return Err(self.misuse("took"));
        }
        self.waits = None;
        self.say_farewell();
        Ok(())
    }

    /// The command was answered in full; `selected`: a mailbox is, now.
    ///
    /// # Errors
    /// Misuse: no command was asked.
    pub fn done(&mut self, selected: bool) -> Result<(), Misuse> {
        if !matches!(self.waits, Some(Waits::Command)) {
            return Err(self.misuse("done"));
        }
        self.waits = None;
        self.counts.violations_in_a_row = 0;
        self.enter(if selected { Step::Selects } else { Step::Deselects });
        self.say_farewell();
        Ok(())
    }

    /// What the caller says goes the way of what the session says.
    pub fn say(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    /// No. Instead of a greeting it also ends the session; in an APPEND, what the client still sends is skipped first.
    ///
    /// # Errors
    /// Misuse: nothing was asked that can be refused.
    pub fn refuse(&mut self, code: Option<&str>, text: &str) -> Result<(), Misuse> {
        match self.waits.take() {
            waits @ (None | Some(Waits::Handshake { .. } | Waits::Command)) => {
                self.waits = waits;
                return Err(self.misuse("refuse"));
            }
            Some(Waits::Greeting) => {
                write::untagged(&mut self.out, Status::Bye, code, text);
                self.close();
            }
            Some(Waits::StartTls { tag }) => write::tagged(&mut self.out, &tag, Status::No, code, text),
            Some(Waits::Login { tag } | Waits::Auth { tag }) => {
                write::tagged(&mut self.out, &tag, Status::No, code, text);
                self.enter(Step::LoginRefused);
                self.count_refused_login(code);
            }
            Some(Waits::Append | Waits::Content | Waits::Url) => {
                self.refuse_upload(code.map(str::to_owned), text.to_owned());
            }
        }
        self.say_farewell();
        Ok(())
    }

    /// Only what may be a guess counts.
    fn count_refused_login(&mut self, code: Option<&str>) {
        if matches!(
            code,
            Some("UNAVAILABLE" | "INUSE" | "LIMIT" | "CONTACTADMIN" | "SERVERBUG")
        ) {
            return;
        }
        self.counts.auth_failures += 1;
        if self.counts.auth_failures >= self.settings.limits().auth_failures_max {
            self.violate(None, ViolationKind::TooManyAuthFailures);
        }
    }

    /// Ends the session from our side: `text` is said as soon as the protocol allows it, which is after the answer to an
    /// open question and at once otherwise.
    pub fn shut_down(&mut self, text: &str) {
        match self.waits {
            _ if self.is_closing() => {}
            Some(Waits::Handshake { .. }) => self.close(), // the peer expects TLS and no text
            _ => {
                self.farewell = Some(text.to_owned());
                self.say_farewell();
            }
        }
    }

    fn say_farewell(&mut self) {
        if self.waits.is_some() || self.is_closing() {
            return;
        }
        if let Some(text) = self.farewell.take() {
            write::untagged(&mut self.out, Status::Bye, Some("UNAVAILABLE"), &text);
            self.close();
        }
    }

    fn misuse(&self, called: &'static str) -> Misuse {
        let waits_for = match self.waits {
            None => "input",
            Some(Waits::Greeting) => "greet or refuse",
            Some(Waits::StartTls { .. }) => "accept or refuse",
            Some(Waits::Handshake { .. }) => "tls_started",
            Some(Waits::Login { .. }) => "open or refuse",
            Some(Waits::Auth { .. }) => "open, challenge or refuse",
            Some(Waits::Command) => "done",
            Some(Waits::Append) => "accept_append or refuse",
            Some(Waits::Content | Waits::Url) => "took or refuse",
        };
        Misuse { called, waits_for }
    }
}
