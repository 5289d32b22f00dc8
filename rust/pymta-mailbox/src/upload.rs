//! The messages of an APPEND or REPLACE on their way to the disk: all of them become messages, or none.

use std::borrow::Cow;
use std::sync::Arc;

use pymta_imap::write::{self, Status, is_code};
use pymta_imap::{AskedAppend, AskedMessage};
use pymta_index::{Added, IndexError, Mailbox, Rights, Within};
use pymta_maildir::Usage;
use pymta_types::UnixMs;

use crate::ending::Ending;
use crate::messages::bits_of;
use crate::others::is_anothers;
use crate::picture::within;
use crate::url::Url;
use crate::view::{Outcome, View, is_trouble};

/// To replace is to APPEND, STORE and EXPUNGE (RFC 8508 §3.3).
const REPLACES: Rights = Rights::DELETED.and(Rights::EXPUNGE);

/// The quota is asked again after so many octets, so that an upload cannot fill the disk before its end is refused.
const QUOTA_STEP_OCTETS: u64 = 256 * 1024;

/// Why an upload is not taken (any more).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For a reader.
    pub text: &'static str,
    /// The response code.
    pub code: Cow<'static, str>,
}

impl Refusal {
    /// RFC 7889 §4.
    const TOO_BIG: Self = Self::new("TOOBIG", "The message is too large");

    const fn new(code: &'static str, text: &'static str) -> Self {
        Self {
            text,
            code: Cow::Borrowed(code),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Upload {
    asked: AskedAppend,
    now: UnixMs,
    refusal: Option<Refusal>,
    /// Why the disk said no, for an operator.
    trouble: Option<String>,
    /// None where it was refused.
    messages: Option<pymta_index::Upload>,
    /// Where they go, and whose that is: None for this reader's own.
    mailbox: Option<Arc<Mailbox>>,
    owner: Option<String>,
    /// How many there are.
    count: u64,
    /// The quota is asked again when all of them have more octets.
    admitted_octets: u64,
    /// Of the message that was begun last.
    octets: u64,
    octets_max: u64,
    /// Flags that the messages may have.
    within: Within,
    /// REPLACE: UID in the selected mailbox.
    replaced_uid: Option<u32>,
}

impl Upload {
    pub(crate) fn begin(view: &mut View, asked: AskedAppend, octets: Option<u64>, now: UnixMs) -> Self {
        let octets_max = view.reader.append_octets_max.unwrap_or(u64::MAX);
        let mut upload = Self {
            asked,
            now,
            refusal: None,
            trouble: None,
            messages: None,
            mailbox: None,
            owner: None,
            count: 0,
            admitted_octets: 0,
            octets: 0,
            octets_max,
            within: Within::ALL,
            replaced_uid: None,
        };
        match upload.prepare(view, octets) {
            Ok(Ok(mailbox)) => {
                upload.messages = Some(mailbox.begin_append());
                upload.mailbox = Some(mailbox);
            }
            Ok(Err(refusal)) => upload.refusal = Some(refusal),
            Err(error) => {
                view.heed(&error);
                upload.fail(&error);
                if matches!(error, IndexError::NoMailbox)
                    && view.reader.shares
                    && is_anothers(&upload.asked.mailbox)
                {
                    upload.refusal = Some(Refusal::new("NONEXISTENT", "No such mailbox"));
                }
            }
        }
        upload
    }

    /// Whether it may begin, before a literal is asked for.
    fn prepare(&mut self, view: &View, octets: Option<u64>) -> Outcome<Result<Arc<Mailbox>, Refusal>> {
        let (mailbox, place) = view.mailbox_for(&self.asked.mailbox, Rights::INSERT, self.now)?;
        self.within = within(place.rights);
        self.owner = place.owner;
        if octets.is_some_and(|octets| octets > self.octets_max) {
            return Ok(Err(Refusal::TOO_BIG));
        }
        if let Some(replaces) = self.asked.replaces {
            let picture = view.selected.as_ref().filter(|picture| !picture.is_read_only);
            if picture.is_some_and(|picture| !picture.place.rights.has(REPLACES)) {
                return Err(IndexError::NoRight);
            }
            let set = pymta_imap::command::SequenceSet::Ranges(vec![(replaces.number, replaces.number)]);
            let places = picture.and_then(|picture| picture.resolve(&set, replaces.by_uid).ok());
            let (Some(picture), Some(&[at])) = (picture, places.as_deref()) else {
                return Ok(Err(Refusal::new("CANNOT", "There is no such message to replace")));
            };
            self.replaced_uid = Some(picture.rows()[at].uid);
        }
        let more = Usage {
            octets: octets.unwrap_or(0),
            messages: 1,
        };
        mailbox.admits(more, self.now)?;
        Ok(Ok(mailbox))
    }

    /// Why it is not taken.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// The next message begins.
    pub fn message(&mut self, asked: AskedMessage) {
        self.octets = 0;
        self.count += 1;
        if asked.octets.is_some_and(|octets| octets > self.octets_max) {
            self.refuse(Refusal::TOO_BIG);
        }
        self.ask_quota(asked.octets.unwrap_or(0));
        // Without those that he may not set (RFC 4314 §4).
        let (flags, mut keywords) = bits_of(&asked.flags);
        let flags = flags & self.within.flags;
        keywords.retain(|_| self.within.keywords);
        let added = Added {
            flags,
            keywords,
            internal_date_s: asked.internal_date_s,
        };
        let now = self.now;
        self.with(|messages| messages.begin(added, now));
    }

    /// It goes on.
    pub fn write(&mut self, octets: &[u8]) {
        self.octets = self.octets.saturating_add(octets.len() as u64);
        if self.octets > self.octets_max {
            self.refuse(Refusal::TOO_BIG);
        }
        self.with(|messages| messages.write(octets));
        let written = self.messages.as_ref().map_or(0, pymta_index::Upload::octets);
        if written > self.admitted_octets {
            self.ask_quota(0);
        }
    }

    /// Whether all so far fit, and so many more.
    fn ask_quota(&mut self, more: u64) {
        let (Some(mailbox), Some(messages)) = (&self.mailbox, &self.messages) else {
            return;
        };
        let octets = messages.octets().saturating_add(more);
        let usage = Usage {
            octets,
            messages: self.count.max(1),
        };
        self.admitted_octets = octets.saturating_add(QUOTA_STEP_OCTETS);
        if let Err(error) = mailbox.admits(usage, self.now) {
            self.fail(&error);
        }
    }

    /// It goes on with what a URL of ours names (RFC 4469).
    pub fn url(&mut self, view: &mut View, url: &str) {
        let now = self.now;
        let read = Url::parse(url).map(|url| url.read(view, now, &mut |octets| self.write(octets)));
        match read {
            Some(Ok(true)) => {}
            Some(Err(error)) => {
                view.heed(&error);
                self.fail(&error);
            }
            _ => {
                // RFC 4469 §4: which one.
                let code = format!("BADURL {url}");
                let code = if is_code(&code) {
                    Cow::Owned(code)
                } else {
                    Cow::Borrowed("BADURL")
                };
                self.refuse(Refusal {
                    text: "A URL names nothing here",
                    code,
                });
            }
        }
    }

    fn with(&mut self, act: impl FnOnce(&mut pymta_index::Upload) -> Outcome<()>) {
        if let Some(Err(error)) = self.messages.as_mut().map(act) {
            self.fail(&error);
        }
    }

    fn fail(&mut self, error: &IndexError) {
        if is_trouble(error) {
            self.trouble = Some(error.to_string());
        }
        self.refuse(refusal_of(error));
    }

    /// What an operator should look into.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// What is there of it goes at once.
    fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
        self.messages = None;
    }

    /// Rights may have been taken away while the client sent: what counts is what he has when the messages become some.
    /// `mailbox` is asked rather than its name, which may be another's by now.
    fn look_at_rights(&mut self, view: &mut View) -> Outcome<()> {
        let Some(mailbox) = &self.mailbox else {
            return Ok(());
        };
        let owner = self.owner.as_ref().unwrap_or(&view.reader.account);
        let rights = view.reader.rights(mailbox.acl()?, owner);
        if !rights.has(Rights::INSERT) {
            return Err(if rights.has(Rights::LOOKUP) {
                IndexError::NoRight
            } else {
                IndexError::NoMailbox
            });
        }
        if let Some(messages) = &mut self.messages {
            messages.keep_flags(within(rights));
        }
        let unread = view.others.accounts.unread_rights();
        if let (Some(_), Some(picture)) = (self.replaced_uid, view.selected.as_mut()) {
            picture.look_at_rights(&view.reader, unread)?;
            if !picture.place.rights.has(REPLACES) {
                return Err(IndexError::NoRight);
            }
        }
        Ok(())
    }

    /// Its tag, and how it ends.
    pub(crate) fn end(
        mut self,
        view: &mut View,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> (String, Outcome<Ending>) {
        let replaced = self.replaced_uid;
        let may_end = self.look_at_rights(view);
        let outcome = match self.messages {
            None => Ok(Ending::no("CANNOT", "Nothing was added")),
            Some(messages) => may_end.and_then(|()| messages.commit(now)).and_then(|appended| {
                let mut code = format!("APPENDUID {} ", appended.uid_validity).into_bytes();
                write::set(&mut code, appended.uids.iter().copied());
                let code = String::from_utf8_lossy(&code).into_owned();
                let selected = view.selected.as_mut();
                if let (Some(picture), Some(mailbox)) = (selected, &self.mailbox)
                    && picture.mailbox.id() == mailbox.id()
                {
                    picture.note_own(appended.uids.iter().copied());
                }
                let Some(uid) = replaced else {
                    return Ok(Ending::ok_with(code, "Added"));
                };
                // The new one first: between the two, the message is there twice rather than not at all (RFC 8508 §3.5).
                // Not in one transaction: files are what there is, and a commit that fails after the old one's is removed
                // would have to take back the new one's as well.
                write::untagged(out, Status::Ok, Some(&code), "Replaced");
                if let Some(picture) = view.selected.as_mut() {
                    picture.mailbox.remove(&[uid], now)?;
                    picture.owes_gone = true;
                }
                Ok(Ending::ok("Replaced"))
            }),
        };
        let outcome = match outcome {
            Err(IndexError::NoMailbox) => view.try_create(&self.asked.mailbox, IndexError::NoMailbox),
            outcome => outcome,
        };
        (self.asked.tag, outcome)
    }
}

fn refusal_of(error: &IndexError) -> Refusal {
    match error {
        IndexError::NoMailbox => Refusal::new("TRYCREATE", "No such mailbox; CREATE may help"),
        IndexError::NoRight => Refusal::new("NOPERM", "You have no right to do that"),
        IndexError::OverQuota { .. } => Refusal::new("OVERQUOTA", "No room: over quota"),
        IndexError::TooMany(_) | IndexError::TooManyKeywords => Refusal::new("LIMIT", "Too many of these"),
        IndexError::NoAnswer => Refusal::new("UNAVAILABLE", "The directory does not answer, try again later"),
        IndexError::Busy => Refusal::new("INUSE", "Another session works on it, try again later"),
        _ => Refusal::new("UNAVAILABLE", "The disk says no, try again later"),
    }
}
