//! NOTIFY (RFC 5465 §8).

use super::{Cursor, Flaw, Parsed};
use crate::capability::Extension;
use crate::command::{Command, Notify, NotifyEvent, NotifyGroup, NotifyMailboxes};
use crate::limits::LIST_MAX;

impl Cursor<'_> {
    pub(crate) fn notify(&mut self) -> Parsed<Command> {
        self.needs(Extension::Notify)?;
        self.space()?;
        match self.word()?.as_str() {
            "NONE" => return Ok(Command::Notify(None)),
            "SET" => {}
            _ => return Err(Flaw::Syntax),
        }
        self.space()?;
        let status = self.take_word("STATUS");
        if status {
            self.space()?;
        }
        let mut groups = vec![self.group()?];
        while self.take(b' ') {
            groups.push(self.group()?);
            if groups.len() > LIST_MAX {
                return Err(Flaw::TooComplex);
            }
        }
        Ok(Command::Notify(Some(Notify { status, groups })))
    }

    fn group(&mut self) -> Parsed<NotifyGroup> {
        self.expect(b'(')?;
        let mailboxes = match self.word()?.as_str() {
            "SELECTED" => NotifyMailboxes::Selected,
            "SELECTED-DELAYED" => NotifyMailboxes::SelectedDelayed,
            "INBOXES" => NotifyMailboxes::Inboxes,
            "PERSONAL" => NotifyMailboxes::Personal,
            "SUBSCRIBED" => NotifyMailboxes::Subscribed,
            "SUBTREE" => NotifyMailboxes::Subtree(self.mailboxes()?),
            "MAILBOXES" => NotifyMailboxes::Mailboxes(self.mailboxes()?),
            _ => return Err(Flaw::Syntax),
        };
        self.space()?;
        let events = if self.take_word("NONE") {
            Vec::new()
        } else {
            self.list(Self::notify_event)?
        };
        self.expect(b')')?;
        Ok(NotifyGroup { mailboxes, events })
    }

    fn mailboxes(&mut self) -> Parsed<Vec<String>> {
        self.space()?;
        if self.peek() == Some(b'(') {
            self.list(Self::mailbox)
        } else {
            Ok(vec![self.mailbox()?])
        }
    }

    fn notify_event(&mut self) -> Parsed<NotifyEvent> {
        Ok(match self.word()?.as_str() {
            "MESSAGENEW" => {
                let mut ahead = self.clone();
                let mut items = Vec::new();
                if ahead.take(b' ') && ahead.peek() == Some(b'(') {
                    items = ahead.list(Self::fetch_item)?;
                    *self = ahead;
                }
                NotifyEvent::MessageNew(items)
            }
            "MESSAGEEXPUNGE" => NotifyEvent::MessageExpunge,
            "FLAGCHANGE" => NotifyEvent::FlagChange,
            "ANNOTATIONCHANGE" => NotifyEvent::AnnotationChange,
            "MAILBOXNAME" => NotifyEvent::MailboxName,
            "SUBSCRIPTIONCHANGE" => NotifyEvent::SubscriptionChange,
            "MAILBOXMETADATACHANGE" => NotifyEvent::MailboxMetadataChange,
            "SERVERMETADATACHANGE" => NotifyEvent::ServerMetadataChange,
            _ => return Err(Flaw::Syntax),
        })
    }
}
