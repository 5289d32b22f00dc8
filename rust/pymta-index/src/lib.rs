//! The index beside an account's Maildir++: what IMAP needs to know of each message without opening it.
//!
//! The Maildir is the truth for what messages there are and for their flags; the index, one SQLite file an account, is the
//! truth for UIDs, mod-sequences, keywords and object ids. Deleting it loses those and costs a rescan.
