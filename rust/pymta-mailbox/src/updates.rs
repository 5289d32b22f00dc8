//! SEARCH RETURN (UPDATE) (RFC 5267 §4.3): a result that was said is kept, and what changes in it is said, with the tag of
//! the search, for as long as the mailbox is selected.
//!
//! Only messages that came or changed since are looked at, so what a search finds may depend on nothing but the message:
//! others are answered, and refused to be kept. What goes away is said before EXPUNGE, what is new after EXISTS, so that
//! message numbers mean what the client takes them for.

use std::sync::Arc;

use pymta_imap::Enabled;
use pymta_imap::command::{SearchKey, SequenceSet};
use pymta_imap::limits::SEARCH_UPDATES_MAX;
use pymta_imap::write::{self, Status};
use pymta_index::Message;
use pymta_types::UnixMs;

use crate::ending::{Ending, Tells};
use crate::picture::Picture;
use crate::search::{Context, Program, Run};
use crate::searching::{SLICE_MESSAGES, SLICE_OCTETS, Shelf, number_of, trouble};
use crate::source::SearchError;
use crate::view::{View, Work};

/// The searches of a selected mailbox whose results are kept.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    searches: Vec<UpdatedSearch>,
    /// `*`, when they were looked at last.
    last_uid: u32,
}

/// A search, and what the client knows of its result.
#[derive(Debug)]
pub(crate) struct UpdatedSearch {
    tag: String,
    by_uid: bool,
    key: SearchKey,
    depends: Depends,
    /// UIDs of messages that are found, ascending.
    found: Vec<u32>,
    /// UIDs of messages that are to be looked at.
    pending: Vec<u32>,
}

/// What a result depends on, besides what a message is from its beginning to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Depends {
    /// Other flags, and mod-sequences.
    flags: bool,
    /// Which one is the last (`UID 7:*`).
    last: bool,
    /// Numbers of messages, `$`, or the time: then it changes where no message does.
    others: bool,
}

impl Depends {
    fn of(key: &SearchKey) -> Self {
        let mut depends = Self::default();
        let mut keys = vec![key];
        while let Some(key) = keys.pop() {
            match key {
                SearchKey::And(all) => keys.extend(all),
                SearchKey::Or(both) => keys.extend([&both.0, &both.1]),
                SearchKey::Not(other) => keys.push(other),
                SearchKey::Flag(_) | SearchKey::Keyword(_) | SearchKey::Recent | SearchKey::ModSeq(_) => {
                    depends.flags = true;
                }
                SearchKey::Uid(SequenceSet::Ranges(ranges)) => {
                    depends.last |= ranges.iter().any(|&(_, last)| last == u32::MAX);
                }
                SearchKey::Uid(SequenceSet::Saved)
                | SearchKey::Sequence(_)
                | SearchKey::Older(_)
                | SearchKey::Younger(_) => depends.others = true,
                _ => {}
            }
        }
        depends
    }
}

/// What is other in a result than the client knows.
#[derive(Debug, Default)]
struct Difference {
    removed: Vec<u32>,
    added: Vec<u32>,
}

impl UpdatedSearch {
    pub(crate) fn new(tag: &str, by_uid: bool, key: SearchKey) -> Self {
        Self {
            tag: tag.to_owned(),
            by_uid,
            depends: Depends::of(&key),
            key,
            found: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Looks at a slice of what is to be looked at.
    fn look(&mut self, picture: &Picture, now: UnixMs) -> Result<Difference, SearchError> {
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_unstable();
        pending.dedup();
        let here = pending.into_iter().filter(|&uid| !picture.is_gone(uid));
        let rows: Vec<Message> = here
            .filter_map(|uid| picture.position(uid).map(|at| picture.rows()[at]))
            .collect();
        let mut difference = Difference::default();
        if rows.is_empty() {
            return Ok(difference);
        }
        let context = Context {
            keywords: &picture.keywords,
            count: number_of(picture.rows().len()),
            last_uid: last_uid(picture),
            saved: &[],
            now_s: i64::from(now.seconds()),
        };
        let mut shelf = Shelf {
            mailbox: Arc::clone(&picture.mailbox),
            now,
        };
        let mut run = Run::of_few(Program::new(&self.key, &context), rows.len());
        run.go_on(&rows, &mut shelf, SLICE_MESSAGES, SLICE_OCTETS)?;
        let (seen, left) = rows.split_at(run.looked_at());
        self.pending = left.iter().map(|row| row.uid).collect();
        let found = run.into_found();
        for (at, row) in seen.iter().enumerate() {
            let was_found = self.found.binary_search(&row.uid).is_ok();
            match (was_found, found.binary_search(&at).is_ok()) {
                (false, true) => difference.added.push(row.uid),
                (true, false) => difference.removed.push(row.uid),
                _ => {}
            }
        }
        if !difference.removed.is_empty() {
            self.forget(&difference.removed);
        }
        if !difference.added.is_empty() {
            self.found.extend(&difference.added);
            self.found.sort_unstable();
        }
        Ok(difference)
    }

    /// Those, ascending, are found no more.
    fn forget(&mut self, uids: &[u32]) {
        self.found.retain(|uid| uids.binary_search(uid).is_err());
    }

    /// `* ESEARCH (TAG "B01") UID REMOVEFROM (0 32768)`: in the order of the mailbox, so at no place of the result (0).
    fn say(&self, out: &mut Vec<u8>, difference: &Difference, picture: &Picture, enabled: Enabled) {
        if difference.removed.is_empty() && difference.added.is_empty() {
            return;
        }
        let by_uid = self.by_uid || enabled.uid_only;
        out.extend_from_slice(b"* ESEARCH (TAG ");
        write::string(out, self.tag.as_bytes(), false);
        out.extend_from_slice(if by_uid { b") UID" } else { b")" });
        let sets = [("REMOVEFROM", &difference.removed), ("ADDTO", &difference.added)];
        for (name, uids) in sets.into_iter().filter(|(_, uids)| !uids.is_empty()) {
            out.extend_from_slice(format!(" {name} (0 ").as_bytes());
            let number = |&uid: &u32| match by_uid {
                true => Some(uid),
                false => picture.position(uid).map(|at| number_of(at + 1)),
            };
            write::set(out, uids.iter().filter_map(number));
            out.push(b')');
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn last_uid(picture: &Picture) -> u32 {
    picture.rows().last().map_or(0, |row| row.uid)
}

/// Nothing is said of the result of that search from now on (RFC 5267 §4.3.1).
fn say_no_update(out: &mut Vec<u8>, tag: &str, why: &str) {
    // The grammar lets no tag through that would have to be escaped.
    write::untagged(out, Status::No, Some(&format!("NOUPDATE \"{tag}\"")), why);
}

impl Updates {
    pub(crate) fn has(&self, tag: &str) -> bool {
        self.searches.iter().any(|search| search.tag == tag)
    }

    /// Why a search is answered and not kept.
    fn refusal(&self, key: &SearchKey) -> Option<&'static str> {
        if self.searches.len() >= SEARCH_UPDATES_MAX {
            Some("Too many contexts")
        } else if Depends::of(key).others {
            Some("Not for numbers of messages, $, OLDER and YOUNGER")
        } else {
            None
        }
    }

    /// The search to be kept, once its result is known; None where it is refused, which is said.
    pub(crate) fn begin(
        &self,
        tag: &str,
        by_uid: bool,
        key: &SearchKey,
        out: &mut Vec<u8>,
    ) -> Option<UpdatedSearch> {
        match self.refusal(key) {
            None => Some(UpdatedSearch::new(tag, by_uid, key.clone())),
            Some(why) => {
                say_no_update(out, tag, why);
                None
            }
        }
    }

    /// Messages that have other flags, or another mod-sequence.
    pub(crate) fn note_changed(&mut self, uids: impl Iterator<Item = u32> + Clone) {
        for search in self.searches.iter_mut().filter(|search| search.depends.flags) {
            search.pending.extend(uids.clone());
        }
    }

    /// Messages that have numbers now.
    pub(crate) fn note_arrived(&mut self, rows: &[Message]) {
        for search in &mut self.searches {
            search.pending.extend(rows.iter().map(|row| row.uid));
        }
    }

    /// The last message was another one.
    fn note_last(&mut self, last_uid: u32) {
        let was = std::mem::replace(&mut self.last_uid, last_uid);
        if was != last_uid {
            for search in self.searches.iter_mut().filter(|search| search.depends.last) {
                search.pending.extend([was, last_uid]);
            }
        }
    }

    fn is_pending(&self) -> bool {
        self.searches.iter().any(|search| !search.pending.is_empty())
    }
}

impl Picture {
    /// Keeps a result, which is about to be said.
    pub(crate) fn keep_result(&mut self, mut search: UpdatedSearch, found: &[usize]) {
        search.found = found.iter().map(|&at| self.rows()[at].uid).collect();
        self.updates.note_last(last_uid(self));
        self.updates.searches.push(search);
    }

    /// Before messages lose their numbers (RFC 5267 §4.3.4).
    pub(crate) fn tell_removed(&mut self, gone: &[u32], out: &mut Vec<u8>, enabled: Enabled) {
        let mut updates = std::mem::take(&mut self.updates);
        for search in &mut updates.searches {
            let removed = gone.iter().copied();
            let removed: Vec<u32> = removed
                .filter(|uid| search.found.binary_search(uid).is_ok())
                .collect();
            search.forget(&removed);
            let added = Vec::new();
            search.say(out, &Difference { removed, added }, self, enabled);
        }
        self.updates = updates;
    }
}

impl View {
    /// Says what is new of the selected mailbox, and of results that are kept.
    pub(crate) fn tell(&mut self, out: &mut Vec<u8>, tells: Tells, now: UnixMs) {
        if let Some(picture) = self.selected.as_mut() {
            picture.tell(out, tells, self.enabled);
            self.tell_updates(out, now);
        }
    }

    /// A slice of what is to be looked at for results that are kept. A search that fails is kept no more, which is said.
    pub(crate) fn tell_updates(&mut self, out: &mut Vec<u8>, now: UnixMs) {
        let Some(picture) = self.selected.as_mut() else {
            return;
        };
        let mut updates = std::mem::take(&mut picture.updates);
        updates.note_last(last_uid(picture));
        let mut failed = Vec::new();
        for mut search in std::mem::take(&mut updates.searches) {
            // One at a time has more to be looked at than a slice; the others wait for it.
            if !updates.is_pending() {
                match search.look(picture, now) {
                    Ok(difference) => search.say(out, &difference, picture, self.enabled),
                    Err(error) => {
                        say_no_update(out, &search.tag, "Its changes cannot be looked for");
                        failed.push(trouble(error));
                        continue;
                    }
                }
            }
            updates.searches.push(search);
        }
        picture.updates = updates;
        for error in failed {
            self.note(&error);
        }
    }

    /// What is left to be looked at when nobody asks.
    pub(crate) fn updates_left(&self) -> Option<Work> {
        let selected = self.selected.as_ref();
        selected
            .is_some_and(|picture| picture.updates.is_pending())
            .then_some(Work::Updates)
    }

    /// CANCELUPDATE (RFC 5267 §4.3.5).
    pub(crate) fn cancel_update(&mut self, tags: &[String]) -> Ending {
        let Some(picture) = self.selected.as_mut() else {
            return crate::messages::nothing_selected();
        };
        if !tags.iter().all(|tag| picture.updates.has(tag)) {
            return Ending::bad("No result of that tag is kept");
        }
        let searches = &mut picture.updates.searches;
        searches.retain(|search| !tags.contains(&search.tag));
        Ending::ok("No further updates")
    }
}

#[cfg(test)]
#[path = "updates_tests.rs"]
mod tests;
