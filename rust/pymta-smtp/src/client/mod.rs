//! The client side of SMTP (RFC 5321) and LMTP (RFC 2033) as a value: octets of the server in, events out; messages
//! in, octets out.
//!
//! Not a connection: sockets, TLS, time limits and the choice of a host are the driver's. Rule: nothing here reads a
//! clock or waits; [`ClientSession::waiting_for`] says whose turn it is, and the driver's clock does the rest.
//!
//! | file | holds |
//! |---|---|
//! | order.rs | which step leads where, and nothing else |
//! | session.rs | the session: what arrives, what goes out |
//! | opening.rs | from the greeting to ready: EHLO, STARTTLS, AUTH |
//! | transaction.rs | one message on its way: what was sent, what is owed, who got which reply |
//! | fit.rs | whether and how the next hop can take a message |
//! | command.rs | MAIL and RCPT as octets |
//! | content.rs | where the content comes from |

mod capabilities;
mod command;
mod content;
mod event;
mod fit;
mod opening;
mod order;
mod session;
mod settings;
mod transaction;

pub use capabilities::{AnnouncedLimits, Capabilities};
pub use content::{Content, HeldContent};
pub use event::{ClientEvent, Closed, Outcome};
pub use order::WaitingFor;
pub use session::{ClientSession, OrderError, TRANSACTIONS_MAX};
pub use settings::{ClientSettings, Credentials, StartTls};
