//! Octets of a whole command → what it asks. Nothing here knows the order of commands; what an extension adds is read
//! only where the extension is offered.
//!
//! `cursor` has the terminals; the other files a family of commands each. Depth, lists and sets are bounded
//! (`limits`), and only search keys and NOTIFY's items nest.

mod access;
pub(crate) mod append;
mod cursor;
mod fetch;
mod mailboxes;
mod message;
mod notify;
mod search;

pub(crate) use cursor::{Cursor, Grammar, Parsed};
pub(crate) use search::CHARSETS;

use crate::capability::Extension;
use crate::command::{Command, Tagged};
use crate::limits::{LIST_MAX, TAG_OCTETS_MAX};

/// What is wrong with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// No tag.
    Tag,
    /// No such command, or not offered.
    Unknown,
    Syntax,
    TooComplex,
    /// A charset other than US-ASCII and UTF-8.
    Charset,
    /// Fine so far: the literal at the end decides.
    Incomplete,
    /// Message numbers where only UIDs are taken (RFC 9586).
    UidRequired,
}

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    Capability,
    Id,
    Logout,
    StartTls,
    Login {
        account: String,
        password: Vec<u8>,
    },
    /// The response is base64 still; `=` for an empty one.
    Authenticate {
        mechanism: String,
        initial: Option<Vec<u8>>,
    },
    Enable(Vec<String>),
    Idle,
    Compress,
    /// APPEND and REPLACE are read by `append`, since they come in pieces.
    Append,
    /// The name is for logs.
    Mailbox(&'static str, Tagged),
}

/// Tag and name of a command, of which this is all or the beginning. The name is None where it is not there yet.
pub(crate) fn head(octets: &[u8], grammar: Grammar) -> (Option<String>, Option<String>) {
    let mut cursor = Cursor::new(octets, grammar, false);
    let Ok(tag) = tag_of(&mut cursor) else {
        return (None, None);
    };
    let name = cursor.space().and_then(|()| cursor.word()).ok();
    let name = match name.as_deref() {
        Some("UID") => cursor
            .space()
            .and_then(|()| cursor.word())
            .ok()
            .map(|name| format!("UID {name}")),
        _ => name,
    };
    (Some(tag), name)
}

fn tag_of(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let tag = cursor.tag().map_err(|_| Flaw::Tag)?;
    if tag.len() > TAG_OCTETS_MAX {
        Err(Flaw::Tag)
    } else {
        Ok(tag)
    }
}

/// Reads a whole command, without the CRLF at its end.
///
/// `is_open`: but for a literal that is announced at its end; then it is [`Flaw::Incomplete`] where nothing is wrong yet.
pub(crate) fn command(octets: &[u8], grammar: Grammar, is_open: bool) -> (Option<String>, Parsed<Line>) {
    let mut cursor = Cursor::new(octets, grammar, is_open);
    let Ok(tag) = tag_of(&mut cursor) else {
        return (None, Err(Flaw::Tag));
    };
    let line = line(&mut cursor, &tag).and_then(|line| match line {
        Line::Append => Ok(line),
        line => cursor.end().map(|()| line),
    });
    (Some(tag), line)
}

fn line(cursor: &mut Cursor<'_>, tag: &str) -> Parsed<Line> {
    cursor.space()?;
    let name = cursor.word()?;
    Ok(match name.as_str() {
        "CAPABILITY" => Line::Capability,
        "LOGOUT" => Line::Logout,
        "STARTTLS" => Line::StartTls,
        "IDLE" => Line::Idle,
        "ID" => id(cursor)?,
        "LOGIN" => login(cursor)?,
        "AUTHENTICATE" => authenticate(cursor)?,
        "ENABLE" => enable(cursor)?,
        "COMPRESS" => {
            cursor.space()?;
            let method = cursor.word()?;
            if method != "DEFLATE" {
                return Err(Flaw::Syntax);
            }
            Line::Compress
        }
        "APPEND" => Line::Append,
        "REPLACE" => cursor.needs(Extension::Replace).map(|()| Line::Append)?,
        "UID" => {
            cursor.space()?;
            match cursor.word()?.as_str() {
                "REPLACE" => cursor.needs(Extension::Replace).map(|()| Line::Append)?,
                name => mailbox_line(cursor, tag, name, true)?,
            }
        }
        name => mailbox_line(cursor, tag, name, false)?,
    })
}

fn mailbox_line(cursor: &mut Cursor<'_>, tag: &str, name: &str, by_uid: bool) -> Parsed<Line> {
    let (name, command) = match by_uid {
        true => by_uid_command(cursor, name)?,
        false => command_of(cursor, name)?,
    };
    let tag = tag.to_owned();
    Ok(Line::Mailbox(name, Tagged { tag, by_uid, command }))
}

fn by_uid_command(cursor: &mut Cursor<'_>, name: &str) -> Parsed<(&'static str, Command)> {
    Ok(match name {
        "FETCH" => ("UID FETCH", cursor.fetch(true)?),
        "STORE" => ("UID STORE", cursor.store()?),
        "COPY" => ("UID COPY", cursor.copy(false)?),
        "MOVE" => ("UID MOVE", cursor.copy(true)?),
        "SEARCH" => ("UID SEARCH", cursor.search()?),
        "SORT" => ("UID SORT", cursor.sort()?),
        "THREAD" => ("UID THREAD", cursor.thread()?),
        "EXPUNGE" => {
            cursor.needs(Extension::UidPlus)?;
            cursor.space()?;
            ("UID EXPUNGE", Command::Expunge(Some(cursor.set()?)))
        }
        _ => return Err(Flaw::Unknown),
    })
}

fn command_of(cursor: &mut Cursor<'_>, name: &str) -> Parsed<(&'static str, Command)> {
    let is_by_number = matches!(
        name,
        "FETCH" | "STORE" | "COPY" | "MOVE" | "SEARCH" | "SORT" | "THREAD"
    );
    if is_by_number && cursor.grammar.enabled.uid_only {
        return Err(Flaw::UidRequired);
    }
    Ok(match name {
        "NOOP" => ("NOOP", Command::Noop),
        "CHECK" => ("CHECK", Command::Check),
        "CLOSE" => ("CLOSE", Command::Close),
        "UNSELECT" => {
            cursor.needs(Extension::Unselect)?;
            ("UNSELECT", Command::Unselect)
        }
        "EXPUNGE" => ("EXPUNGE", Command::Expunge(None)),
        "NAMESPACE" => {
            cursor.needs(Extension::Namespace)?;
            ("NAMESPACE", Command::Namespace)
        }
        "FETCH" => ("FETCH", cursor.fetch(false)?),
        "STORE" => ("STORE", cursor.store()?),
        "COPY" => ("COPY", cursor.copy(false)?),
        "MOVE" => ("MOVE", cursor.copy(true)?),
        "SEARCH" => ("SEARCH", cursor.search()?),
        "CANCELUPDATE" => ("CANCELUPDATE", cursor.cancel_update()?),
        "SORT" => ("SORT", cursor.sort()?),
        "THREAD" => ("THREAD", cursor.thread()?),
        "SELECT" => ("SELECT", cursor.select(false)?),
        "EXAMINE" => ("EXAMINE", cursor.select(true)?),
        "CREATE" => ("CREATE", cursor.create()?),
        "DELETE" => ("DELETE", Command::Delete(cursor.spaced_mailbox()?)),
        "RENAME" => {
            let from = cursor.spaced_mailbox()?;
            let to = cursor.spaced_mailbox()?;
            ("RENAME", Command::Rename { from, to })
        }
        "SUBSCRIBE" => ("SUBSCRIBE", Command::Subscribe(cursor.spaced_mailbox()?)),
        "UNSUBSCRIBE" => ("UNSUBSCRIBE", Command::Unsubscribe(cursor.spaced_mailbox()?)),
        "LIST" => ("LIST", cursor.list_command()?),
        "LSUB" => ("LSUB", cursor.lsub()?),
        "STATUS" => ("STATUS", cursor.status()?),
        "NOTIFY" => ("NOTIFY", cursor.notify()?),
        name => return cursor.access(name),
    })
}

// ---- commands that the session answers

/// `ID NIL`, `ID ()` or pairs; what they say is not kept.
fn id(cursor: &mut Cursor<'_>) -> Parsed<Line> {
    cursor.space()?;
    if !cursor.take_word("NIL") {
        let fields = cursor.list_or_none(|cursor| {
            cursor.string()?;
            cursor.space()?;
            cursor.nstring8()
        })?;
        // RFC 2971 §3.3: at most thirty pairs.
        if fields.len() > 30 {
            return Err(Flaw::TooComplex);
        }
    }
    Ok(Line::Id)
}

fn login(cursor: &mut Cursor<'_>) -> Parsed<Line> {
    cursor.space()?;
    let account = cursor.text()?;
    cursor.space()?;
    let password = cursor.astring()?.into_owned();
    Ok(Line::Login { account, password })
}

fn authenticate(cursor: &mut Cursor<'_>) -> Parsed<Line> {
    cursor.space()?;
    let mechanism = cursor.word()?;
    let initial = if cursor.take(b' ') {
        let initial = cursor.rest;
        cursor.rest = &[];
        Some(initial.to_vec())
    } else {
        None
    };
    Ok(Line::Authenticate { mechanism, initial })
}

fn enable(cursor: &mut Cursor<'_>) -> Parsed<Line> {
    let mut names = Vec::new();
    while cursor.take(b' ') {
        names.push(cursor.atom()?.to_ascii_uppercase());
        if names.len() > LIST_MAX {
            return Err(Flaw::TooComplex);
        }
    }
    if names.is_empty() {
        Err(Flaw::Syntax)
    } else {
        Ok(Line::Enable(names))
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_more;
