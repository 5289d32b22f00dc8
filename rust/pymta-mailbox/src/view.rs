//! What one session sees of an account: commands in, responses out. This file knows which command goes where, and how
//! each ends; what is done for it is in the others.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use pymta_imap::command::{Command, SequenceSet, Tagged};
use pymta_imap::write::Status;
use pymta_imap::{Asked, AskedAppend, Enabled};
use pymta_index::{Account, IndexError, Rights};
use pymta_types::UnixMs;

use crate::accounts::{Accounts, Reader};
use crate::ending::{Ending, Tells};
use crate::fetching::{AskedFetch, Fetching};
use crate::notify::{self, Notifying};
use crate::others::{OTHERS, Others};
use crate::picture::{Picture, line};
use crate::searching::Searching;
use crate::upload::Upload;

/// A piece of a response has about so many octets.
pub(crate) const PIECE_OCTETS: usize = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub struct View {
    pub(crate) account: Arc<Account>,
    pub(crate) reader: Reader,
    pub(crate) others: Others,
    pub(crate) enabled: Enabled,
    pub(crate) selected: Option<Picture>,
    /// None: NOTIFY was not said.
    pub(crate) notify: Option<Notifying>,
    running: Option<Running>,
    /// A literal that cannot be said to its end.
    pub(crate) cut_off: Option<io::Error>,
    /// What is for the operator: the client was told no more than that something failed.
    pub(crate) trouble: Option<String>,
    /// The index under it is another one, or none.
    is_gone: bool,
}

/// A command that is not over yet.
#[derive(Debug)]
struct Running {
    /// None: nobody asked.
    tag: Option<String>,
    work: Work,
}

/// What is done in pieces.
#[derive(Debug)]
pub(crate) enum Work {
    /// FETCH.
    Fetch(Box<Fetching>),
    /// SEARCH, SORT, THREAD.
    Search(Box<Searching>),
    /// What is new of results that are kept.
    Updates,
}

/// What a command, or a piece of it, came to.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is over.
    Over(Ending),
    /// It goes on.
    Runs(Work),
}

impl From<Ending> for Step {
    fn from(ending: Ending) -> Self {
        Self::Over(ending)
    }
}

/// What a handler returns; the error is said as its code.
pub(crate) type Outcome<T> = Result<T, IndexError>;

impl View {
    pub(crate) fn new(account: Arc<Account>, reader: Reader, accounts: Accounts) -> Self {
        Self {
            account,
            reader,
            others: Others::new(accounts),
            enabled: Enabled::default(),
            selected: None,
            notify: None,
            running: None,
            cut_off: None,
            trouble: None,
            is_gone: false,
        }
    }

    /// Begins a command: its first piece.
    pub fn run(&mut self, asked: Asked, now: UnixMs) -> Vec<u8> {
        let mut out = Vec::new();
        self.enabled = asked.enabled;
        let had_condstore = self.selected.as_ref().map(|picture| picture.condstore);
        if let Some(picture) = self.selected.as_mut() {
            picture.condstore |= asked.enabled.condstore || asked.enabled.qresync;
        }
        self.refresh(&mut out, now);
        let Tagged { tag, by_uid, command } = asked.tagged;
        if self.is_gone {
            Ending::from(&IndexError::Replaced).say(&mut out, &tag);
            return out;
        }
        if let Some(picture) = self.selected.as_mut()
            && !may_mean_less(&command, by_uid)
        {
            picture.tell_arrivals(&mut out, asked.enabled);
        }
        let arranged = notify::arranged(&command);
        let selects = matches!(command, Command::Select { .. });
        let mut step = self.obey(command, by_uid, &tag, &mut out, now);
        if !arranged.is_empty() && matches!(&step, Ok(Step::Over(ending)) if ending.status == Status::Ok) {
            let taken = self.take_arranged(&arranged, now);
            step = step.and_then(|step| taken.map(|()| step));
        }
        if let Some(picture) = &self.selected
            && had_condstore == Some(false)
            && picture.condstore
            && !selects
        {
            // What changed until now was perhaps said without mod-sequences.
            let line = format!("* OK [HIGHESTMODSEQ {}] The highest so far\r\n", picture.modseq);
            out.extend_from_slice(line.as_bytes());
        }
        self.take_step(step, Some(tag), &mut out, now);
        out
    }

    /// The next piece of the command that runs.
    pub fn go_on(&mut self, now: UnixMs) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(Running { tag, work }) = self.running.take() {
            let step = match work {
                Work::Fetch(fetching) => self.fetch_on(fetching, &mut out, now),
                Work::Search(searching) => self.search_on(searching, &mut out, now),
                Work::Updates => {
                    self.tell_updates(&mut out, now);
                    Ok(Ending::ok("Told").into())
                }
            };
            self.take_step(step, tag, &mut out, now);
        }
        out
    }

    fn take_step(&mut self, step: Outcome<Step>, tag: Option<String>, out: &mut Vec<u8>, now: UnixMs) {
        let ending = match step {
            Ok(Step::Runs(work)) => {
                self.running = Some(Running { tag, work });
                return;
            }
            Ok(Step::Over(ending)) => ending,
            Err(error) => {
                self.note(&error);
                Ending::from(&error)
            }
        };
        let Some(tag) = tag else {
            self.go_on_with_updates();
            return;
        };
        self.tell(out, ending.tells, now);
        ending.say(out, &tag);
    }

    /// When nobody asks.
    fn go_on_with_updates(&mut self) {
        let work = self.updates_left();
        self.running = work.map(|work| Running { tag: None, work });
    }

    /// Whether there is a next piece.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// What changed since something was said last: while IDLE goes on, or NOTIFY is in force. It may go on in pieces.
    pub fn poll(&mut self, is_idling: bool, now: UnixMs) -> Vec<u8> {
        let mut out = Vec::new();
        if self.running.is_some() {
            return out;
        }
        self.refresh(&mut out, now);
        let keeps_numbers = !is_idling && self.notify.as_ref().is_some_and(|notify| notify.is_delayed);
        let tells = if keeps_numbers {
            Tells::KeepsNumbers
        } else {
            Tells::All
        };
        self.tell(&mut out, tells, now);
        if let Err(error) = self.tell_others(&mut out, now) {
            self.note(&error);
        }
        match self.tell_contents(&mut out, now) {
            Ok(None) => self.go_on_with_updates(),
            Ok(Some(step)) => self.take_step(Ok(step), None, &mut out, now),
            Err(error) => self.note(&error),
        }
        out
    }

    /// Whether there may be something to say when nobody asks.
    pub fn is_notifying(&self) -> bool {
        self.notify.as_ref().is_some_and(Notifying::is_on)
    }

    /// What an operator should look into, since this was asked last: damage, or a disk that says no.
    pub fn take_trouble(&mut self) -> Option<String> {
        let trouble = self.trouble.take();
        trouble.or_else(|| self.others.accounts.unread_rights().take())
    }

    /// Whether the index was replaced, or is damaged: nothing here is true any more, and every command is answered with
    /// NO. Who waits for news would wait for ever, so the session has to end; whoever logs in anew gets a new index.
    pub fn is_gone(&self) -> bool {
        self.is_gone
    }

    pub(crate) fn note(&mut self, error: &IndexError) {
        self.heed(error);
        if is_trouble(error) {
            self.trouble = Some(error.to_string());
        }
    }

    /// What an error says of the view itself.
    pub(crate) fn heed(&mut self, error: &IndexError) {
        self.is_gone |= matches!(error, IndexError::Damaged(_) | IndexError::Replaced);
    }

    /// Why what was said last must be the last: a message could not be read in the middle of it, and only the end of the
    /// connection can tell the client.
    pub fn take_cut_off(&mut self) -> Option<io::Error> {
        self.cut_off.take()
    }

    /// Whether a mailbox is selected.
    pub fn is_selected(&self) -> bool {
        self.selected.is_some()
    }

    /// What changes where `poll` may have news.
    pub fn watched(&self) -> Vec<PathBuf> {
        let selected = self.selected.as_ref();
        let mut paths = selected.map_or_else(Vec::new, |picture| picture.mailbox.watch_paths());
        if let Some(notifying) = self.notify.as_ref().filter(|notify| notify.watches_others()) {
            paths.extend(self.account.watch_paths());
            let watched = notifying.watched.iter();
            paths.extend(watched.flat_map(|name| self.account.watch_paths_of(name)));
        }
        paths
    }

    /// Takes news of the selected mailbox into the picture. Trouble is noted; a command that meets it
    /// says so.
    pub(crate) fn refresh(&mut self, out: &mut Vec<u8>, now: UnixMs) {
        let before = self.selected.as_ref().map(|picture| picture.modseq);
        let (reader, unread) = (&self.reader, self.others.accounts.unread_rights());
        let refreshed = self.selected.as_mut().map(|picture| {
            picture.look_at_rights(reader, unread)?;
            picture.refresh(now)
        });
        if before != self.selected.as_ref().map(|picture| picture.modseq) {
            self.add_chores();
        }
        if let Some(picture) = self.selected.as_ref().filter(|picture| picture.listing_is_due) {
            self.others.accounts.chores().add_listing(&picture.mailbox);
        }
        let Some(Err(error)) = refreshed else { return };
        let has_no_right = |picture: &Picture| !picture.place.rights.has(Rights::READ);
        if matches!(error, IndexError::NoMailbox) || self.selected.as_ref().is_some_and(has_no_right) {
            self.selected = None;
            line(out, "* OK [CLOSED] The mailbox was deleted");
        }
        self.note(&error);
    }

    /// The selected mailbox was selected, or has changed.
    pub(crate) fn add_chores(&mut self) {
        let Some(picture) = &self.selected else {
            return;
        };
        let chores = self.others.accounts.chores();
        chores.add_texts(&picture.mailbox);
        // Who only looks leaves it where it is (RFC 9051 §6.3.3).
        if !picture.is_read_only {
            match picture.mailbox.is_unsettled() {
                Ok(true) => chores.add_settling(&picture.mailbox),
                Ok(false) => {}
                Err(error) => self.note(&error),
            }
        }
    }

    fn obey(
        &mut self,
        command: Command,
        by_uid: bool,
        tag: &str,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<Step> {
        Ok(match command {
            Command::Noop | Command::Check => Ending::ok("Done").into(),
            Command::Select {
                mailbox,
                read_only,
                condstore,
                qresync,
            } => {
                let _closed = self.close_selected(out);
                self.select(&mailbox, read_only, condstore, qresync.as_ref(), out, now)?
                    .into()
            }
            Command::Close => self.close(now)?.into(),
            Command::Unselect => {
                self.selected = None;
                Ending::ok("Unselected").into()
            }
            Command::Expunge(set) => self.expunge(set.as_ref(), out, now)?.into(),
            Command::Create { mailbox, special_use } => self.create(&mailbox, &special_use, now)?.into(),
            Command::Delete(mailbox) => self.delete(&mailbox, out, now)?.into(),
            Command::Rename { from, to } => self.rename(&from, &to, now)?.into(),
            Command::Subscribe(mailbox) => self.subscribe(&mailbox, true)?.into(),
            Command::Unsubscribe(mailbox) => self.subscribe(&mailbox, false)?.into(),
            Command::List(list) => self.list(&list, out, now)?.into(),
            Command::Lsub { reference, pattern } => self.lsub(&reference, &pattern, out, now)?.into(),
            Command::Namespace => {
                let others = if self.reader.shares {
                    format!("((\"{OTHERS}/\" \"/\"))")
                } else {
                    "NIL".to_owned()
                };
                line(out, &format!("* NAMESPACE ((\"\" \"/\")) {others} NIL"));
                Ending::ok("Namespaces listed").into()
            }
            Command::Status { mailbox, items } => self.status(&mailbox, &items, out, now)?.into(),
            Command::Fetch {
                set,
                items,
                changed_since,
                vanished,
                partial,
            } => {
                let asked = AskedFetch {
                    set,
                    items,
                    by_uid,
                    changed_since,
                    vanished,
                    partial,
                };
                self.fetch(asked, out, now)?
            }
            Command::Store {
                set,
                unchanged_since,
                action,
                silent,
                flags,
            } => {
                let change = crate::messages::FlagChange {
                    by_uid,
                    unchanged_since,
                    action,
                    silent,
                    flags,
                };
                self.store(&set, &change, out, now)?.into()
            }
            Command::Copy {
                set,
                mailbox,
                removes,
            } => self.copy(&set, by_uid, &mailbox, removes, out, now)?.into(),
            Command::Search(search) => self.search(*search, by_uid, tag, out, now)?,
            Command::CancelUpdate(tags) => self.cancel_update(&tags).into(),
            Command::GetQuota(root) => self.get_quota(&root, out, now)?.into(),
            Command::GetQuotaRoot(mailbox) => self.get_quota_root(&mailbox, out, now)?.into(),
            Command::SetQuota(_) => Ending::no("NOPERM", "The operator sets quotas").into(),
            Command::GetMetadata {
                mailbox,
                entries,
                octets_max,
                depth,
            } => self
                .get_metadata(&mailbox, &entries, octets_max, depth, out, now)?
                .into(),
            Command::SetMetadata { mailbox, entries } => self.set_metadata(&mailbox, &entries, now)?.into(),
            Command::MyRights(mailbox) => self.my_rights(&mailbox, out, now)?.into(),
            Command::Notify(asked) => self.notify(asked.as_ref(), out, now)?.into(),
            Command::GetAcl(mailbox) => self.get_acl(&mailbox, out, now)?.into(),
            Command::SetAcl {
                mailbox,
                identifier,
                rights,
            } => self
                .set_acl(&mailbox, &identifier, rights.as_deref(), now)?
                .into(),
            Command::ListRights { mailbox, identifier } => {
                self.list_rights(&mailbox, &identifier, out, now)?.into()
            }
            _ => Ending::cannot().into(),
        })
    }

    /// APPEND or REPLACE.
    pub fn begin_append(&mut self, asked: AskedAppend, octets: Option<u64>, now: UnixMs) -> Upload {
        self.enabled = asked.enabled;
        Upload::begin(self, asked, octets, now)
    }

    /// The end of it: what is said.
    pub fn end_append(&mut self, upload: Upload, now: UnixMs) -> Vec<u8> {
        let mut out = Vec::new();
        let (tag, outcome) = upload.end(self, &mut out, now);
        self.refresh(&mut out, now);
        self.take_step(outcome.map(Step::from), Some(tag), &mut out, now);
        out
    }
}

/// Whether the command changes messages that its sender may not have meant, where it is told of new ones first: `1:*` was
/// all that he knew of when he sent it. A message that he names by its UID he knows of, from another session maybe.
fn may_mean_less(command: &Command, by_uid: bool) -> bool {
    match command {
        Command::Expunge(None) => true,
        Command::Store { set, .. } | Command::Copy { set, .. } | Command::Expunge(Some(set)) => {
            let is_open = |ranges: &[(u32, u32)]| ranges.iter().any(|&(_, last)| last == u32::MAX);
            !by_uid || matches!(set, SequenceSet::Ranges(ranges) if is_open(ranges))
        }
        _ => false,
    }
}

/// Whether an operator should look into it, rather than the client.
pub(crate) fn is_trouble(error: &IndexError) -> bool {
    matches!(
        error,
        IndexError::Busy
            | IndexError::Damaged(_)
            | IndexError::Replaced
            | IndexError::TooNew { .. }
            | IndexError::Io { .. }
            | IndexError::Sqlite(_)
    )
}
