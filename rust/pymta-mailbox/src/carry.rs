//! COPY and MOVE from one account into another, or into a mailbox where not all flags may be set: the messages are written
//! anew, and those that are moved removed after that. A kill in between leaves some twice, and loses none.

use std::io;
use std::sync::Arc;

use pymta_index::{Added, Copied, CopyMode, IndexError, Mailbox, Within, flag};
use pymta_maildir::Usage;
use pymta_types::UnixMs;

use crate::content::Octets;
use crate::picture::Picture;

/// What is read of a file at a time.
const PIECE_OCTETS: usize = 256 * 1024;

/// All of the messages in those places, or none; those that are gone are left out.
pub(crate) fn carry(
    picture: &Picture,
    goal: &Arc<Mailbox>,
    places: &[usize],
    within: Within,
    mode: CopyMode,
    now: UnixMs,
) -> Result<Copied, IndexError> {
    let rows: Vec<_> = places.iter().map(|&at| picture.rows()[at]).collect();
    let uids: Vec<u32> = rows.iter().map(|row| row.uid).collect();
    let details = picture.mailbox.details(&uids, now)?;
    let more = Usage {
        octets: details.iter().map(|one| one.octets).sum(),
        messages: details.len() as u64,
    };
    goal.admits(more, now)?;
    let mut details = details.into_iter().peekable();
    let (mut messages, mut taken) = (goal.begin_carry(), Vec::new());
    let mut piece = vec![0; PIECE_OCTETS];
    for row in rows {
        let Some(known) = details.next_if(|details| details.uid == row.uid) else {
            continue;
        };
        let Some(file) = picture.mailbox.open_file(row.uid, now)? else {
            continue;
        };
        let bits = picture.keywords.iter().enumerate();
        let held = bits.filter(|(bit, name)| row.keywords >> bit & 1 == 1 && !name.is_empty());
        let keywords = held.map(|(_, name)| name.clone()).filter(|_| within.keywords);
        let added = Added {
            flags: row.flags & within.flags & flag::ALL,
            keywords: keywords.collect(),
            internal_date_s: Some(known.internal_date_s),
        };
        messages.begin(added, now)?;
        let mut offset = 0;
        loop {
            match Octets::read_at(&file, &mut piece, offset) {
                Ok(0) => break,
                Ok(octets) => {
                    messages.write(&piece[..octets])?;
                    offset += octets as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let doing = "read a message";
                    return Err(IndexError::Io { doing, error });
                }
            }
        }
        taken.push(row.uid);
    }
    if taken.is_empty() {
        return Ok(Copied::default());
    }
    let appended = messages.commit(now)?;
    if mode == CopyMode::Move {
        picture.mailbox.remove(&taken, now)?;
    }
    Ok(Copied {
        uid_validity: appended.uid_validity,
        uids: taken.into_iter().zip(appended.uids).collect(),
    })
}
