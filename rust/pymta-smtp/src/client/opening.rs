//! From the greeting to ready: EHLO with its fall-back, STARTTLS, AUTH (RFC 5321 §3.1, §3.2; RFC 3207; RFC 4954).
//!
//! One command at a time here, so nothing may arrive but the one reply that is owed: what comes with it or after it
//! is no mistake of a good server and ends the session. For STARTTLS that is the defence against responses that
//! somebody put into the clear part of the connection.

use pymta_types::{Enhanced, Reply};

use super::capabilities::Capabilities;
use super::event::ClientEvent;
use super::order::{Stage, Step};
use super::session::ClientSession;
use super::settings::{Credentials, StartTls};
use super::transaction::violation;
use crate::base64;
use crate::reply_parser::Parsed;

/// Which answer to AUTH comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AuthTurn {
    /// Everything was said.
    #[default]
    Done,
    /// PLAIN went without its initial response being read: say it again (RFC 4954 §4).
    Plain,
    /// LOGIN: the user's name is asked for.
    LoginUser,
    /// LOGIN: the password is asked for.
    LoginPassword,
}

impl ClientSession {
    /// A reply in a stage before `Ready`.
    pub(super) fn take_opening_reply(&mut self, parsed: Parsed) {
        if self.parser.has_rest() {
            return self.close(Some(surplus()), false);
        }
        let kind = parsed.code / 100;
        match (self.stage, kind) {
            (Stage::Greeting, 2) if self.settings.extended || self.settings.lmtp => {
                self.say_hello(Step::Greet)
            }
            (Stage::Greeting, 2) => self.say_plain_hello(),
            (Stage::Hello, 2) => {
                self.offered = Capabilities::parse(self.parser.lines(parsed));
                self.arrange_tls();
            }
            // Any 5yz: servers refuse what they do not know with 500, 501, 502, 504, 550 and 554. Not under TLS, where
            // the server has taken EHLO before.
            (Stage::Hello, 5) if !self.settings.lmtp && !self.tls_negotiated => self.say_plain_hello(),
            (Stage::PlainHello, 2) => {
                self.offered = Capabilities::default();
                self.arrange_tls();
            }
            (Stage::StartTls, 2) => {
                self.step(Step::BeginHandshake);
                self.events.push_back(ClientEvent::Tls);
            }
            (Stage::StartTls, 4 | 5) => self.go_on_without_tls(parsed),
            (Stage::Authentication, 2) => self.open(),
            (Stage::Authentication, 3) => self.answer_challenge(),
            (Stage::Authentication, 4 | 5) => {
                // Our configuration is wrong, or the smarthost's; no mail shall be returned for that.
                let text = format!("authentication was refused: {}", self.parser.reply(parsed));
                self.close(Some(Reply::fixed(451, Enhanced(4, 7, 8), &text)), true);
            }
            (_, 4 | 5) => {
                let reply = self.parser.reply(parsed);
                self.close(Some(reply), true);
            }
            _ => self.close(Some(violation("a reply that does not belong here")), false),
        }
    }

    /// The handshake is over: EHLO again, and nothing that was said before counts (RFC 3207 §4.2).
    pub(super) fn greet_under_tls(&mut self) {
        self.secure = true;
        self.tls_negotiated = true;
        self.offered = Capabilities::default();
        self.parser.clear();
        self.say_hello(Step::GreetUnderTls);
    }

    fn say_hello(&mut self, step: Step) {
        let verb = if self.settings.lmtp { "LHLO" } else { "EHLO" };
        self.say(&[verb, " ", self.settings.clone().hello_name()]);
        self.step(step);
    }

    fn say_plain_hello(&mut self) {
        self.say(&["HELO ", self.settings.clone().hello_name()]);
        self.step(Step::GreetPlainly);
    }

    fn arrange_tls(&mut self) {
        if self.secure || self.settings.starttls == StartTls::Never {
            return self.arrange_authentication();
        }
        if self.offered.starttls {
            self.say(&["STARTTLS"]);
            self.step(Step::AskForTls);
        } else if self.settings.starttls == StartTls::Required {
            self.close(Some(no_tls("the next hop does not offer it")), true);
        } else {
            self.arrange_authentication();
        }
    }

    fn go_on_without_tls(&mut self, parsed: Parsed) {
        if self.settings.starttls == StartTls::Required {
            let why = format!("the next hop refused it: {}", self.parser.reply(parsed));
            return self.close(Some(no_tls(&why)), true);
        }
        self.arrange_authentication();
    }

    fn arrange_authentication(&mut self) {
        let settings = self.settings.clone();
        let Some(credentials) = &settings.auth else {
            return self.open();
        };
        if !self.secure && !settings.auth_without_tls {
            let reply = Reply::fixed(451, Enhanced(4, 7, 11), "the password is not sent without TLS");
            return self.close(Some(reply), true);
        }
        if self.offered.auth_plain {
            self.say(&["AUTH PLAIN ", &plain_response(credentials)]);
            self.auth_turn = AuthTurn::Plain;
        } else if self.offered.auth_login {
            self.say(&["AUTH LOGIN"]);
            self.auth_turn = AuthTurn::LoginUser;
        } else {
            let reply = Reply::fixed(
                451,
                Enhanced(4, 7, 4),
                "the next hop offers neither AUTH PLAIN nor LOGIN",
            );
            return self.close(Some(reply), true);
        }
        self.step(Step::Authenticate);
    }

    fn answer_challenge(&mut self) {
        let settings = self.settings.clone();
        let (Some(credentials), turn) = (&settings.auth, std::mem::take(&mut self.auth_turn)) else {
            return;
        };
        match turn {
            AuthTurn::Plain => self.say(&[&plain_response(credentials)]),
            AuthTurn::LoginUser => {
                self.say(&[&base64::encode(credentials.account.as_bytes())]);
                self.auth_turn = AuthTurn::LoginPassword;
            }
            AuthTurn::LoginPassword => self.say(&[&base64::encode(credentials.password.as_bytes())]),
            AuthTurn::Done => self.close(Some(violation("a challenge too many")), true),
        }
    }

    fn open(&mut self) {
        self.step(Step::Open);
        self.was_ready = true;
        self.events.push_back(ClientEvent::Ready);
    }

    fn say(&mut self, words: &[&str]) {
        for word in words {
            self.out.extend_from_slice(word.as_bytes());
        }
        self.out.extend_from_slice(b"\r\n");
    }
}

/// RFC 4616 §2, with an empty authorisation identity.
fn plain_response(credentials: &Credentials) -> String {
    base64::encode(format!("\0{}\0{}", credentials.account, credentials.password).as_bytes())
}

fn no_tls(why: &str) -> Reply {
    Reply::fixed(451, Enhanced(4, 7, 4), &format!("TLS is required: {why}"))
}

/// More than the one reply that was owed.
pub(super) fn surplus() -> Reply {
    violation("octets that nobody asked for")
}
