//! Texts of mailboxes that somebody looks at are read ahead of searches, a bit at a time, so that a search need read only
//! what may hold what it looks for (`pymta_index`'s filter). Searches find the same however far this is.

use std::sync::Arc;

use pymta_index::{IndexError, Mailbox, TextStep};
use pymta_types::UnixMs;

use crate::content::{CONTENT_OCTETS_MAX, Content};
use crate::search::Texts;

/// A bit is so many messages,
const BIT_MESSAGES: usize = 64;
/// or so much text,
const BIT_TEXT_OCTETS: usize = 256 << 10;
/// or so much that was read for it.
const BIT_READ_OCTETS: u64 = 8 << 20;
/// A message with more text than this is read by every search.
const TEXT_OCTETS_MAX: usize = 1 << 20;
/// Reads texts that are not known yet; false where there is nothing left to do, or another process does it.
pub(crate) fn read_bit(mailbox: &Arc<Mailbox>, now: UnixMs) -> Result<bool, IndexError> {
    let (after, uids) = match mailbox.text_step(BIT_MESSAGES)? {
        TextStep::Done => return Ok(false),
        TextStep::Again => return Ok(true),
        TextStep::Read { after, uids } => (after, uids),
    };
    let mut texts = Vec::new();
    let (mut text_octets, mut read_octets) = (0, 0);
    for uid in uids {
        let content = match mailbox.open_file(uid, now) {
            Ok(Some(file)) => Content::read(&file, CONTENT_OCTETS_MAX).ok(),
            // It may be there again when it is searched.
            Ok(None) | Err(IndexError::Io { .. }) => None,
            Err(error) => return Err(error),
        };
        let text = content.and_then(|content| {
            read_octets += content.places.file_octets;
            Texts::of(&content.wire).into_body(TEXT_OCTETS_MAX)
        });
        text_octets += text.as_ref().map_or(0, String::len);
        texts.push((uid, text));
        if text_octets >= BIT_TEXT_OCTETS || read_octets >= BIT_READ_OCTETS {
            break;
        }
    }
    mailbox.put_texts(after, &texts)
}

#[cfg(test)]
#[path = "backlog_tests.rs"]
mod tests;
