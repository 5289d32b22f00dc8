//! What NOTIFY has to say of mailboxes other than the selected one: what they are now is compared with what was told.
//!
//! So nothing is queued for a client that does not read, however much happens meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pymta_imap::write;
use pymta_index::{Annotation, IndexError, MailboxInfo, Numbers, ObjectId};
use pymta_types::UnixMs;

use crate::fetching::{AskedFetch, Fetching};
use crate::list::Tree;
use crate::notify::{Notifying, event};
use crate::picture::{Wants, line};
use crate::view::{Outcome, Step, View};

impl View {
    /// Says what is new of other mailboxes, as far as it is wanted.
    pub(crate) fn tell_others(&mut self, out: &mut Vec<u8>, now: UnixMs) -> Outcome<()> {
        let Some(mut notifying) = self.notify.take_if(|notifying| notifying.watches_others()) else {
            return Ok(());
        };
        let told = self.tell_news(&mut notifying, out, now);
        self.notify = Some(notifying);
        told
    }

    fn tell_news(&mut self, notifying: &mut Notifying, out: &mut Vec<u8>, now: UnixMs) -> Outcome<()> {
        let infos = self.account.mailboxes(now)?;
        self.tell_names(notifying, &infos, out);
        if notifying.take_mailboxes(infos).is_err() {
            // As if NOTIFY NONE had been said (RFC 5465 §5.8).
            *notifying = Notifying::default();
            if let Some(picture) = self.selected.as_mut() {
                picture.wants = Wants::none();
            }
            line(
                out,
                "* OK [NOTIFICATIONOVERFLOW] There are too many mailboxes by now",
            );
            return Ok(());
        }
        self.tell_messages(notifying, out, now)?;
        if notifying.wants_annotations() {
            let annotations = self.account.annotations()?;
            self.tell_annotations(notifying, &annotations, out);
            notifying.annotations = annotations;
        }
        Ok(())
    }

    // ---- names

    fn tell_names(&self, notifying: &Notifying, infos: &[MailboxInfo], out: &mut Vec<u8>) {
        if notifying.events & (event::NAME | event::SUBSCRIPTION) == 0 {
            return;
        }
        let old = &notifying.mailboxes;
        let new: BTreeMap<&str, &MailboxInfo> = infos.iter().map(|info| (info.name.as_str(), info)).collect();
        let tree = Tree::of(infos);
        let old_names: HashMap<ObjectId, &str> = old
            .values()
            .filter_map(|info| Some((info.id?, info.name.as_str())))
            .collect();
        let new_ids: BTreeSet<ObjectId> = infos.iter().filter_map(|info| info.id).collect();
        let names: BTreeSet<&str> = old
            .keys()
            .map(String::as_str)
            .chain(new.keys().copied())
            .collect();
        for name in names {
            let (before, after) = (old.get(name), new.get(name).copied());
            let id_of = |info: Option<&MailboxInfo>| info.and_then(|info| info.id);
            let is_subscribed = |info: Option<&MailboxInfo>| info.is_some_and(|info| info.subscribed);
            let wanted = |info: Option<&MailboxInfo>| info.map_or(0, |info| notifying.wanted(info));
            let mut events = wanted(before) | wanted(after);
            let mut old_name = None;
            let is_name_news = match (id_of(before), id_of(after)) {
                (before, after) if before == after => false,
                // Told by its new name.
                (Some(id), None) => !new_ids.contains(&id),
                (_, id) => {
                    old_name = id.and_then(|id| old_names.get(&id).copied());
                    events |= wanted(old_name.and_then(|name| old.get(name)));
                    true
                }
            };
            let is_list_news = is_subscribed(before) != is_subscribed(after);
            if is_name_news && events & event::NAME != 0 || is_list_news && events & event::SUBSCRIPTION != 0
            {
                let gone = MailboxInfo {
                    name: name.to_owned(),
                    id: None,
                    special_use: None,
                    subscribed: false,
                    exists: false,
                };
                let info = after.unwrap_or(&gone);
                let mut attributes = tree.attributes(info, true);
                if info.subscribed {
                    attributes.push("\\Subscribed".to_owned());
                }
                out.extend_from_slice(b"* LIST ");
                self.say_name(out, info, &attributes);
                if let Some(old_name) = old_name {
                    out.extend_from_slice(b" (\"OLDNAME\" (");
                    write::mailbox(out, old_name, self.enabled.utf8);
                    out.extend_from_slice(b"))");
                }
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    // ---- messages

    /// How far each of the watched mailboxes is.
    pub(crate) fn surveyed(
        &self,
        notifying: &Notifying,
        now: UnixMs,
    ) -> Outcome<BTreeMap<ObjectId, Numbers>> {
        let names: BTreeSet<&str> = notifying.watched.iter().map(String::as_str).collect();
        let surveyed = self.account.survey(&names, now)?.into_iter();
        let with_id = surveyed.filter_map(|(name, numbers)| {
            let id = notifying.mailboxes.get(&name).and_then(|info| info.id)?;
            Some((id, numbers))
        });
        Ok(with_id.collect())
    }

    fn tell_messages(&mut self, notifying: &mut Notifying, out: &mut Vec<u8>, now: UnixMs) -> Outcome<()> {
        let mut is = self.surveyed(notifying, now)?;
        for name in &notifying.watched {
            let Some(info) = notifying.mailboxes.get(name) else {
                continue;
            };
            let Some((id, numbers)) = info.id.and_then(|id| Some((id, *is.get(&id)?))) else {
                continue;
            };
            let was = notifying.told.get(&id).copied().unwrap_or(Numbers {
                uid_next: 1,
                highest_modseq: 1,
                ..numbers
            });
            if self.is_selected_one(info) {
                // Its own group may want less of it, or later: what is left is told when it is not selected any more.
                is.insert(id, was);
                continue;
            }
            if was == numbers {
                continue;
            }
            let wants_flags = notifying.wanted(info) & event::FLAGS != 0;
            if wants_flags || self.has_other_messages(name, was, numbers, now)? {
                self.say_news(name, false, out, now)?;
            }
        }
        notifying.told = is;
        Ok(())
    }

    /// Whether there is more to it than other flags.
    fn has_other_messages(&self, name: &str, was: Numbers, is: Numbers, now: UnixMs) -> Outcome<bool> {
        if was.uid_validity != is.uid_validity || was.uid_next != is.uid_next {
            return Ok(true);
        }
        let changes = match self
            .mailbox(name, now)
            .and_then(|mailbox| mailbox.changes(was.highest_modseq))
        {
            Err(IndexError::NoMailbox | IndexError::NoRight) => return Ok(false),
            changes => changes?,
        };
        Ok(!changes.vanished.is_empty())
    }

    // ---- annotations

    /// METADATA without values (RFC 5464 §4.4.2): of each mailbox, the names of those that changed.
    fn tell_annotations(&self, notifying: &Notifying, is: &BTreeMap<Annotation, u64>, out: &mut Vec<u8>) {
        let was = &notifying.annotations;
        let others = is
            .iter()
            .filter(|(annotation, value)| was.get(annotation) != Some(value));
        let gone = was.keys().filter(|annotation| !is.contains_key(annotation));
        let mut entries: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (_, mailbox, entry) in others.map(|(annotation, _)| annotation).chain(gone) {
            let info = mailbox.as_ref().map(|mailbox| notifying.mailboxes.get(mailbox));
            let is_wanted = match info {
                None => notifying.events & event::SERVER_METADATA != 0,
                Some(info) => {
                    info.is_some_and(|info| info.exists && notifying.wanted(info) & event::METADATA != 0)
                }
            };
            if is_wanted {
                entries
                    .entry(mailbox.as_deref().unwrap_or_default())
                    .or_default()
                    .insert(entry);
            }
        }
        for (mailbox, entries) in entries {
            out.extend_from_slice(b"* METADATA ");
            write::mailbox(out, mailbox, self.enabled.utf8);
            for entry in entries {
                out.push(b' ');
                write::astring(out, entry.as_bytes(), self.enabled.utf8);
            }
            out.extend_from_slice(b"\r\n");
        }
    }

    // ---- contents

    /// Begins to say what NOTIFY wants of new messages in the selected mailbox.
    pub(crate) fn tell_contents(&mut self, out: &mut Vec<u8>, now: UnixMs) -> Outcome<Option<Step>> {
        let (Some(picture), Some(notifying)) = (self.selected.as_mut(), self.notify.as_ref()) else {
            return Ok(None);
        };
        let uids = std::mem::take(&mut picture.arrived);
        if uids.is_empty() || notifying.items.is_empty() {
            return Ok(None);
        }
        let ranges = uids.into_iter().map(|uid| (uid, uid)).collect();
        let mut asked = AskedFetch {
            set: pymta_imap::command::SequenceSet::Ranges(ranges),
            items: notifying.items.clone(),
            by_uid: true,
            changed_since: None,
            vanished: false,
            partial: None,
        };
        let fetching = Fetching::of_arrivals(&mut asked, picture, self.enabled);
        match fetching {
            Some(fetching) => self.fetch_on(fetching, out, now).map(Some),
            None => Ok(None),
        }
    }
}
