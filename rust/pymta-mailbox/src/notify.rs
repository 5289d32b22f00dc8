//! NOTIFY (RFC 5465): what a client wants to hear of, and what it was told of it. What is news is `notices`' to find out.

use std::collections::BTreeMap;

use pymta_imap::command::{Command, FetchItem, Notify, NotifyEvent, NotifyMailboxes, StatusItem};
use pymta_imap::limits::NOTIFY_MAILBOXES_MAX;
use pymta_index::{Annotation, INBOX, IndexError, MailboxInfo, Numbers, ObjectId};
use pymta_types::UnixMs;

use crate::ending::{Ending, Tells};
use crate::picture::Wants;
use crate::view::{Outcome, View};

/// Every one but AnnotationChange: there are no annotations of messages.
const SUPPORTED: &str = "BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange \
    MailboxMetadataChange ServerMetadataChange)";

/// Events of a group, as bits. MessageNew and MessageExpunge come together only.
pub(crate) mod event {
    pub(crate) const MESSAGES: u8 = 1;
    pub(crate) const FLAGS: u8 = 2;
    pub(crate) const NAME: u8 = 4;
    pub(crate) const SUBSCRIPTION: u8 = 8;
    pub(crate) const METADATA: u8 = 16;
    pub(crate) const SERVER_METADATA: u8 = 32;
}

/// What one session is to be told of. The default is NOTIFY NONE.
#[derive(Debug)]
pub(crate) struct Notifying {
    /// Of the selected mailbox.
    pub(crate) selected: Wants,
    /// What is said of each new message in it.
    pub(crate) items: Vec<FetchItem>,
    /// A number keeps its message until a command may change that (SELECTED-DELAYED).
    pub(crate) is_delayed: bool,
    groups: Vec<Group>,
    /// All that the groups want of any mailbox.
    pub(crate) events: u8,
    /// The mailboxes as the client was told they are.
    pub(crate) mailboxes: BTreeMap<String, MailboxInfo>,
    /// How far their messages were told.
    pub(crate) told: BTreeMap<ObjectId, Numbers>,
    /// Names of those whose messages are watched.
    pub(crate) watched: Vec<String>,
    /// Annotations, where they are wanted.
    pub(crate) annotations: BTreeMap<Annotation, u64>,
}

impl Default for Notifying {
    fn default() -> Self {
        Self {
            selected: Wants::none(),
            items: Vec::new(),
            is_delayed: false,
            groups: Vec::new(),
            events: 0,
            mailboxes: BTreeMap::new(),
            told: BTreeMap::new(),
            watched: Vec::new(),
            annotations: BTreeMap::new(),
        }
    }
}

#[derive(Debug)]
struct Group {
    mailboxes: NotifyMailboxes,
    events: u8,
}

/// Mailboxes that are too many to watch.
pub(crate) struct TooMany;

impl Notifying {
    fn of(asked: &Notify) -> Result<Self, Ending> {
        let mut notifying = Self::default();
        let all = asked.groups.iter().flat_map(|group| &group.events);
        if all.into_iter().any(|event| bit_of(event).is_none()) {
            return Err(Ending::no(SUPPORTED, "There is no such event here"));
        }
        let mut has_selected = false;
        for group in &asked.groups {
            let has = |wanted: &NotifyEvent| group.events.contains(wanted);
            let items = group.events.iter().find_map(|event| match event {
                NotifyEvent::MessageNew(items) => Some(items),
                _ => None,
            });
            if items.is_some() != has(&NotifyEvent::MessageExpunge) {
                return Err(Ending::bad("MessageNew and MessageExpunge come together"));
            }
            if has(&NotifyEvent::FlagChange) && items.is_none() {
                return Err(Ending::bad("FlagChange comes with MessageNew and MessageExpunge"));
            }
            let bits = group.events.iter().filter_map(bit_of);
            let events = bits.fold(0, |bits, bit| bits | bit);
            let is_delayed = group.mailboxes == NotifyMailboxes::SelectedDelayed;
            if is_delayed || group.mailboxes == NotifyMailboxes::Selected {
                if has_selected {
                    return Err(Ending::bad("There is one selected mailbox"));
                }
                if events & !(event::MESSAGES | event::FLAGS) != 0 {
                    return Err(Ending::bad(
                        "Only events of messages are for the selected mailbox",
                    ));
                }
                has_selected = true;
                notifying.is_delayed = is_delayed;
                notifying.items = items.cloned().unwrap_or_default();
                notifying.selected = Wants {
                    messages: events & event::MESSAGES != 0,
                    flags: events & event::FLAGS != 0,
                    uids: true,
                    contents: !notifying.items.is_empty(),
                };
            } else {
                if items.is_some_and(|items| !items.is_empty()) {
                    return Err(Ending::bad(
                        "Only of the selected mailbox can messages be fetched",
                    ));
                }
                notifying.events |= events;
                let mailboxes = group.mailboxes.clone();
                notifying.groups.push(Group { mailboxes, events });
            }
        }
        Ok(notifying)
    }

    /// Whether anything may have to be said when nobody asks.
    pub(crate) fn is_on(&self) -> bool {
        self.selected.messages || self.watches_others()
    }

    pub(crate) fn watches_others(&self) -> bool {
        self.events != 0
    }

    /// The events of a mailbox that are wanted: of all groups that it is in, up to one that wants none.
    pub(crate) fn wanted(&self, info: &MailboxInfo) -> u8 {
        let mut events = 0;
        for group in self.groups.iter().filter(|group| group.holds(info)) {
            if group.events == 0 {
                break;
            }
            events |= group.events;
        }
        events
    }

    /// Takes in the mailboxes that there are; those whose messages are wanted are watched.
    pub(crate) fn take_mailboxes(&mut self, infos: Vec<MailboxInfo>) -> Result<(), TooMany> {
        let of_messages = event::MESSAGES | event::FLAGS;
        let watched = infos
            .iter()
            .filter(|info| info.exists && self.wanted(info) & of_messages != 0)
            .map(|info| info.name.clone());
        let watched: Vec<String> = watched.take(NOTIFY_MAILBOXES_MAX + 1).collect();
        if watched.len() > NOTIFY_MAILBOXES_MAX {
            return Err(TooMany);
        }
        self.watched = watched;
        self.mailboxes = infos.into_iter().map(|info| (info.name.clone(), info)).collect();
        Ok(())
    }

    pub(crate) fn wants_annotations(&self) -> bool {
        self.events & (event::METADATA | event::SERVER_METADATA) != 0
    }
}

impl Group {
    fn holds(&self, info: &MailboxInfo) -> bool {
        let same =
            |name: &String| *name == info.name || name.eq_ignore_ascii_case(INBOX) && info.name == INBOX;
        match &self.mailboxes {
            // Anything may be filed by rules, so any mailbox may be delivered to (RFC 5465 §6.3).
            NotifyMailboxes::Inboxes | NotifyMailboxes::Personal => true,
            NotifyMailboxes::Subscribed => info.subscribed,
            NotifyMailboxes::Subtree(names) => {
                names.iter().any(|name| same(name) || is_below(&info.name, name))
            }
            NotifyMailboxes::Mailboxes(names) => names.iter().any(same),
            NotifyMailboxes::Selected | NotifyMailboxes::SelectedDelayed => false,
        }
    }
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_prefix(parent)
        .is_some_and(|rest| rest.starts_with('/'))
}

fn bit_of(event: &NotifyEvent) -> Option<u8> {
    Some(match event {
        NotifyEvent::MessageNew(_) | NotifyEvent::MessageExpunge => event::MESSAGES,
        NotifyEvent::FlagChange => event::FLAGS,
        NotifyEvent::MailboxName => event::NAME,
        NotifyEvent::SubscriptionChange => event::SUBSCRIPTION,
        NotifyEvent::MailboxMetadataChange => event::METADATA,
        NotifyEvent::ServerMetadataChange => event::SERVER_METADATA,
        _ => return None,
    })
}

/// The mailboxes (and what is below them) that a command arranges: its sender need not be told (RFC 5465 §5).
pub(crate) fn arranged(command: &Command) -> Vec<String> {
    match command {
        Command::Create { mailbox, .. }
        | Command::Delete(mailbox)
        | Command::Subscribe(mailbox)
        | Command::Unsubscribe(mailbox)
        | Command::SetMetadata { mailbox, .. } => vec![mailbox.clone()],
        Command::Rename { from, to } => vec![from.clone(), to.clone()],
        _ => Vec::new(),
    }
}

impl View {
    /// NOTIFY; without anything, NOTIFY NONE.
    pub(crate) fn notify(
        &mut self,
        asked: Option<&Notify>,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<Ending> {
        let mut notifying = match asked.map(Notifying::of).transpose() {
            Ok(notifying) => notifying.unwrap_or_default(),
            Err(ending) => return Ok(ending),
        };
        if notifying.watches_others() {
            if notifying.take_mailboxes(self.account.mailboxes(now)?).is_err() {
                return Ok(Ending::no("NOTIFICATIONOVERFLOW", "Too many mailboxes"));
            }
            notifying.told = self.surveyed(&notifying, now)?;
            if notifying.wants_annotations() {
                notifying.annotations = self.account.annotations()?;
            }
            if asked.is_some_and(|asked| asked.status) {
                self.say_first_status(&notifying, out, now)?;
            }
        }
        // What happened so far is told as it was wanted until now (RFC 5465 §3.1: it implies NOOP).
        if let Some(picture) = self.selected.as_mut() {
            picture.wants = Wants::default();
            picture.tell(out, Tells::All, self.enabled);
            picture.wants = notifying.selected;
        }
        self.notify = Some(notifying);
        Ok(Ending::ok("So it is"))
    }

    /// STATUS in NOTIFY SET: how the mailboxes are from where news are counted.
    fn say_first_status(&mut self, notifying: &Notifying, out: &mut Vec<u8>, now: UnixMs) -> Outcome<()> {
        for name in &notifying.watched {
            let info = notifying.mailboxes.get(name);
            if info.is_none_or(|info| self.is_selected_one(info)) {
                continue;
            }
            let wants_flags = info.is_some_and(|info| notifying.wanted(info) & event::FLAGS != 0);
            self.say_news(name, wants_flags, out, now)?;
        }
        Ok(())
    }

    pub(crate) fn is_selected_one(&self, info: &MailboxInfo) -> bool {
        let selected = self.selected.as_ref();
        selected.is_some_and(|picture| Some(picture.mailbox.id()) == info.id)
    }

    /// A STATUS response that nobody asked for by its items. Nothing of a mailbox that is gone meanwhile, or
    /// that its owner took from himself: it does not keep others from being told of.
    pub(crate) fn say_news(
        &mut self,
        name: &str,
        with_modseq: bool,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<()> {
        let mut items = vec![
            StatusItem::Messages,
            StatusItem::UidNext,
            StatusItem::UidValidity,
            StatusItem::Unseen,
        ];
        if with_modseq || self.enabled.condstore || self.enabled.qresync {
            items.push(StatusItem::HighestModSeq);
        }
        // The client did not ask for mod-sequences with it.
        let condstore = self.selected.as_ref().map(|picture| picture.condstore);
        let length = out.len();
        let said = self.say_status(name, &items, out, now);
        if let (Some(picture), Some(condstore)) = (self.selected.as_mut(), condstore) {
            picture.condstore = condstore;
        }
        match said {
            Err(IndexError::NoMailbox | IndexError::NoRight) => {
                out.truncate(length);
                Ok(())
            }
            said => said,
        }
    }

    /// Takes what the client did itself for told.
    pub(crate) fn take_arranged(&mut self, names: &[String], now: UnixMs) -> Outcome<()> {
        let Some(notifying) = self
            .notify
            .as_mut()
            .filter(|notifying| notifying.watches_others())
        else {
            return Ok(());
        };
        let is_own = |name: &str| {
            let same = |own: &String| own == name || name == INBOX && own.eq_ignore_ascii_case(INBOX);
            names.iter().any(|own| same(own) || is_below(name, own))
        };
        notifying.mailboxes.retain(|name, _| !is_own(name));
        for info in self
            .account
            .mailboxes(now)?
            .into_iter()
            .filter(|info| is_own(&info.name))
        {
            notifying.mailboxes.insert(info.name.clone(), info);
        }
        if notifying.wants_annotations() {
            let is_own = |(_, name, _): &Annotation| match name {
                Some(name) => is_own(name),
                None => names.iter().any(String::is_empty),
            };
            notifying.annotations.retain(|annotation, _| !is_own(annotation));
            let own = self.account.annotations()?.into_iter();
            notifying
                .annotations
                .extend(own.filter(|(annotation, _)| is_own(annotation)));
        }
        Ok(())
    }
}
