//! Decisions → replies. Each method answers one kind of question; at another moment it is a bug of the caller's.

use pymta_smtp::{Misuse, base64};

use crate::maildrop::Maildrop;
use crate::order::Step;
use crate::reply::{self, Code};
use crate::session::{Asked, Session, Stage};
use crate::violation::ViolationKind;

impl Session {
    /// Says hello.
    ///
    /// # Errors
    /// Misuse: not the first thing.
    pub fn greet(&mut self) -> Result<(), Misuse> {
        if !matches!(self.asked, Some(Asked::Greeting)) {
            return Err(self.misuse("greet"));
        }
        self.asked = None;
        reply::ok(&mut self.out, "POP3 ready");
        self.say_farewell();
        Ok(())
    }

    /// Yes, shake hands.
    ///
    /// # Errors
    /// Misuse: STLS was not asked.
    pub fn accept(&mut self) -> Result<(), Misuse> {
        if !matches!(self.asked, Some(Asked::StartTls)) {
            return Err(self.misuse("accept"));
        }
        reply::ok(&mut self.out, "begin TLS");
        // What came behind the command was sent in the clear and must not run under TLS (RFC 2595 §4).
        let injected = !self.input.is_empty();
        self.input.clear();
        self.asked = Some(Asked::Handshake { injected });
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
        if !matches!(self.asked, Some(Asked::Handshake { .. })) {
            return Err(self.misuse("tls_started"));
        }
        self.asked = None;
        self.secure = true;
        self.enter(Step::StartTls, Stage::Authorization);
        self.say_farewell();
        Ok(())
    }

    /// Something for the client to answer.
    ///
    /// # Errors
    /// Misuse: no AUTH is in progress.
    pub fn challenge(&mut self, octets: &[u8]) -> Result<(), Misuse> {
        if !matches!(self.asked, Some(Asked::Auth)) {
            return Err(self.misuse("challenge"));
        }
        self.asked = None;
        self.out.extend_from_slice(b"+ ");
        self.out.extend_from_slice(base64::encode(octets).as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self.in_auth_exchange = true;
        self.say_farewell();
        Ok(())
    }

    /// The login was right and the maildrop is this.
    ///
    /// # Errors
    /// Misuse: nobody logs in.
    pub fn open(&mut self, maildrop: Maildrop) -> Result<(), Misuse> {
        let step = match self.asked {
            Some(Asked::Login) => Step::Pass,
            Some(Asked::Auth) => Step::Auth,
            _ => return Err(self.misuse("open")),
        };
        self.asked = None;
        let text = format!("{} messages ({} octets)", maildrop.count(), maildrop.octets());
        reply::ok(&mut self.out, &text);
        let listing = None;
        self.enter(step, Stage::Transaction { maildrop, listing });
        self.say_farewell();
        Ok(())
    }

    /// The message is there: `+OK`. What the caller sends after `output` is its content, up to `end_content`.
    ///
    /// # Errors
    /// Misuse: no message was asked for.
    pub fn begin_content(&mut self) -> Result<(), Misuse> {
        let Some(Asked::Retrieve { index, is_top }) = self.asked else {
            return Err(self.misuse("begin_content"));
        };
        let text = match &self.stage {
            Stage::Transaction { maildrop, .. } if !is_top => {
                format!("{} octets", maildrop.message(index).octets)
            }
            _ => String::new(),
        };
        reply::ok(&mut self.out, &text);
        self.asked = Some(Asked::Content);
        Ok(())
    }

    /// All of the content, with its end mark, is on its way.
    ///
    /// # Errors
    /// Misuse: `begin_content` did not come before.
    pub fn end_content(&mut self) -> Result<(), Misuse> {
        if !matches!(self.asked, Some(Asked::Content)) {
            return Err(self.misuse("end_content"));
        }
        self.asked = None;
        self.say_farewell();
        Ok(())
    }

    /// What was deleted is removed, durably; the session ends.
    ///
    /// # Errors
    /// Misuse: nobody said QUIT.
    pub fn updated(&mut self) -> Result<(), Misuse> {
        if !matches!(self.asked, Some(Asked::Update)) {
            return Err(self.misuse("updated"));
        }
        reply::ok(&mut self.out, "bye");
        self.enter(Step::Quit, Stage::Closing);
        self.close();
        Ok(())
    }

    /// No. After the greeting and at the end it also ends the session.
    ///
    /// # Errors
    /// Misuse: nothing was asked that can be refused.
    pub fn refuse(&mut self, code: Option<Code>, text: &str) -> Result<(), Misuse> {
        match self.asked.take() {
            asked @ (None | Some(Asked::Handshake { .. } | Asked::Content)) => {
                self.asked = asked;
                return Err(self.misuse("refuse"));
            }
            Some(Asked::Greeting | Asked::Update) => {
                reply::err(&mut self.out, code, text);
                self.close();
            }
            Some(Asked::StartTls | Asked::Retrieve { .. }) => reply::err(&mut self.out, code, text),
            Some(Asked::Login | Asked::Auth) => {
                reply::err(&mut self.out, code, text);
                self.enter(Step::LoginRefused, Stage::Authorization);
                self.count_refused_login(code);
            }
        }
        self.say_farewell();
        Ok(())
    }

    /// Only what may be a guess counts: that somebody else has the maildrop is known to who has the password.
    fn count_refused_login(&mut self, code: Option<Code>) {
        if matches!(
            code,
            Some(Code::InUse | Code::LoginDelay | Code::SysTemp | Code::SysPerm)
        ) {
            return;
        }
        self.counts.auth_failures += 1;
        if self.counts.auth_failures >= self.settings.limits().auth_failures_max {
            self.violate(ViolationKind::TooManyAuthFailures);
        }
    }

    /// Ends the session from our side: `text` is said as soon as the protocol allows it, which is after the answer to an
    /// open question and at once otherwise.
    pub fn shut_down(&mut self, text: &str) {
        match self.asked {
            _ if self.is_closing() => {}
            Some(Asked::Handshake { .. }) => self.close(), // the peer expects TLS and no text
            _ => {
                self.farewell = Some(text.to_owned());
                self.say_farewell();
            }
        }
    }

    fn say_farewell(&mut self) {
        // A listing that is cut is no place for words: the client would take them for a line of it.
        let is_listing = matches!(&self.stage, Stage::Transaction { listing: Some(_), .. });
        if self.asked.is_some() || self.is_closing() {
            return;
        }
        if let Some(text) = self.farewell.take() {
            if !is_listing {
                reply::err(&mut self.out, Some(Code::SysTemp), &text);
            }
            self.close();
        }
    }

    fn misuse(&self, called: &'static str) -> Misuse {
        let waits_for = match self.asked {
            None => "input",
            Some(Asked::Greeting) => "greet or refuse",
            Some(Asked::StartTls) => "accept or refuse",
            Some(Asked::Handshake { .. }) => "tls_started",
            Some(Asked::Login) => "open or refuse",
            Some(Asked::Auth) => "open, challenge or refuse",
            Some(Asked::Retrieve { .. }) => "begin_content or refuse",
            Some(Asked::Content) => "end_content",
            Some(Asked::Update) => "updated or refuse",
        };
        Misuse { called, waits_for }
    }
}
