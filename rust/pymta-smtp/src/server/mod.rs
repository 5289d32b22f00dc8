//! The server's side of SMTP (RFC 5321) and LMTP (RFC 2033): one [`Session`] a connection.
//!
//! The caller feeds what arrives ([`Session::receive`]), takes events ([`Session::next_event`]), answers each event
//! that asks ([`Session::accept`] and its kin), and sends what the session has to say ([`Session::output`]). Until an
//! event is answered nothing more is read, so decisions are made in the order of the commands, however pipelined.
//!
//! `order` says which command may follow which, `limits` and `violation` are the two tables of what is too much and
//! what is wrong, `obey` turns commands into events, `answer` decisions into replies, `receiving` takes the content.

mod answer;
mod event;
mod limits;
mod obey;
mod order;
mod receiving;
mod said;
mod session;
mod settings;
mod violation;

pub use event::{Event, HelloVerb};
pub use limits::{LimitError, Limits};
pub use session::Session;
pub use settings::{Offer, Settings, SettingsError};
pub use violation::ViolationKind;
