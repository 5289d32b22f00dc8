//! The server's side of POP3 as values (RFC 1939 with RFC 2449, 2595, 3206, 5034 and 6856): octets in, events out;
//! decisions in, octets out.
//!
//! No socket, no clock, no file: a session is told what arrived, what a maildrop holds and what was decided, and says
//! what it learned and what is to be sent. It answers STAT, LIST, UIDL, DELE and RSET by itself, so that a maildrop of
//! any size costs its caller one event a login, one a message and one at the end.
//!
//! `command` is the grammar, `order` says which command may follow which, `limits` and `violation` are the tables of
//! what is too much and what is wrong, `obey` turns commands into events, `answer` decisions into replies, `wire`
//! turns a message's octets into those of a reply.

mod answer;
mod command;
mod event;
mod limits;
mod maildrop;
mod obey;
mod order;
mod reply;
mod session;
mod settings;
mod violation;
mod wire;

pub use event::{Event, Password};
pub use limits::{LimitError, Limits};
pub use maildrop::{Maildrop, Message};
pub use reply::Code;
pub use session::{OUTPUT_OCTETS_MAX, Session};
pub use settings::{Offer, Settings, SettingsError};
pub use violation::ViolationKind;
pub use wire::Wire;
