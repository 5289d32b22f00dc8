//! NOTIFY (RFC 5465): of which mailboxes what is told, and when.

use pymta_imap::command::{
    Command, FetchItem, MetadataDepth, Notify, NotifyEvent, NotifyGroup, NotifyMailboxes,
};

use crate::rights_tests::{OWNER, set_acl};
use crate::sandbox::{Sandbox, Session, add_flags, copy, deleted, numbers, seen};

fn messages() -> Vec<NotifyEvent> {
    vec![NotifyEvent::MessageNew(Vec::new()), NotifyEvent::MessageExpunge]
}

fn all_of_messages() -> Vec<NotifyEvent> {
    let mut events = messages();
    events.push(NotifyEvent::FlagChange);
    events
}

fn set(groups: Vec<(NotifyMailboxes, Vec<NotifyEvent>)>) -> Command {
    let groups = groups.into_iter();
    let groups = groups.map(|(mailboxes, events)| NotifyGroup { mailboxes, events });
    Command::Notify(Some(Notify {
        status: false,
        groups: groups.collect(),
    }))
}

fn create(name: &str) -> Command {
    Command::Create {
        mailbox: name.to_owned(),
        special_use: Vec::new(),
    }
}

fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// The names that STATUS responses are of.
fn counted(said: &str) -> Vec<&str> {
    let lines = said.lines().filter_map(|line| line.strip_prefix("* STATUS "));
    lines
        .filter_map(|line| line.split(' ').next())
        .map(|name| name.trim_matches('"'))
        .collect()
}

/// A session with these groups, and one that fills mailboxes from INBOX.
fn listening(sandbox: &Sandbox, groups: Vec<(NotifyMailboxes, Vec<NotifyEvent>)>) -> (Session, Session) {
    sandbox.deliver_many(2);
    let mut other = sandbox.in_inbox();
    for name in ["a", "a/b", "ab", "c"] {
        other.say(create(name));
    }
    let mut one = sandbox.session();
    assert!(one.say(set(groups)).starts_with("a OK"));
    assert_eq!("", one.poll_between());
    (one, other)
}

#[test]
fn a_mailbox_is_in_all_groups_up_to_one_that_wants_nothing() {
    use NotifyMailboxes::{Mailboxes, Personal, Subtree};
    let sandbox = Sandbox::new();
    let groups = vec![
        (Mailboxes(named(&["a/b"])), messages()),
        (Subtree(named(&["a"])), Vec::new()),
        (Personal, messages()),
    ];
    let (mut one, mut other) = listening(&sandbox, groups);
    for name in ["a", "a/b", "ab", "c"] {
        other.say(copy(numbers(&[(1, 1)]), name, false));
    }
    assert_eq!(vec!["a/b", "ab", "c"], counted(&one.poll_between()));
    assert_eq!("", one.poll_between());
}

#[test]
fn a_subscription_that_changes_changes_what_is_told() {
    let sandbox = Sandbox::new();
    let (mut one, mut other) = listening(&sandbox, vec![(NotifyMailboxes::Subscribed, messages())]);
    other.say(copy(numbers(&[(1, 1)]), "a", false));
    assert_eq!("", one.poll_between());
    other.say(Command::Subscribe("c".to_owned()));
    one.poll_between();
    other.say(copy(numbers(&[(1, 1)]), "c", false));
    assert_eq!(vec!["c"], counted(&one.poll_between()));
}

#[test]
fn other_flags_are_told_where_they_are_wanted_only() {
    let sandbox = Sandbox::new();
    let (mut one, mut other) = listening(&sandbox, vec![(NotifyMailboxes::Personal, messages())]);
    let (mut with_flags, _) = listening(&sandbox, vec![(NotifyMailboxes::Personal, all_of_messages())]);
    one.poll_between();
    with_flags.poll_between();
    other.say(add_flags(numbers(&[(1, 1)]), deleted()));
    assert_eq!("", one.poll_between());
    assert_eq!(vec!["INBOX"], counted(&with_flags.poll_between()));
    other.say(Command::Expunge(None));
    assert_eq!(vec!["INBOX"], counted(&one.poll_between()));
    assert_eq!(vec!["INBOX"], counted(&with_flags.poll_between()));
}

#[test]
fn the_selected_mailbox_is_told_by_its_own_group_and_not_by_others() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(1);
    let mut one = sandbox.in_inbox();
    one.say(set(vec![(NotifyMailboxes::Personal, all_of_messages())]));
    sandbox.deliver_many(1);
    assert_eq!("", one.poll_between());
    one.say(Command::Unselect);
    sandbox.deliver_many(1);
    assert_eq!(vec!["INBOX"], counted(&one.poll_between()));
}

#[test]
fn what_was_not_told_of_the_selected_mailbox_is_told_when_it_is_not_selected_any_more() {
    let delayed = (NotifyMailboxes::SelectedDelayed, all_of_messages());
    for groups in [vec![], vec![delayed]] {
        let sandbox = Sandbox::new();
        sandbox.deliver_many(2);
        let mut one = sandbox.in_inbox();
        let personal = (NotifyMailboxes::Personal, all_of_messages());
        one.say(set([groups, vec![personal]].concat()));
        let mut other = sandbox.in_inbox();
        other.say(add_flags(numbers(&[(1, 1)]), deleted()));
        one.poll_between();
        other.say(Command::Expunge(None));
        assert_eq!("", one.poll_between());
        assert_eq!("a OK Unselected\r\n", one.say(Command::Unselect));
        let said = one.poll_between();
        assert_eq!(vec!["INBOX"], counted(&said));
        assert!(said.contains("(MESSAGES 1 "), "{said}");
        assert_eq!("", one.poll_between());
    }
}

#[test]
fn contents_of_new_messages_are_told_once_and_mark_nothing_as_seen() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(1);
    let mut one = sandbox.in_inbox();
    let wanted = vec![
        NotifyEvent::MessageNew(vec![FetchItem::Flags, FetchItem::Size]),
        NotifyEvent::MessageExpunge,
    ];
    one.say(set(vec![(NotifyMailboxes::SelectedDelayed, wanted)]));
    sandbox.deliver_many(2);
    // A command may tell of them first.
    assert!(
        one.say(Command::Noop)
            .starts_with("* 3 EXISTS\r\n* 0 RECENT\r\na OK")
    );
    assert_eq!(
        "* 2 FETCH (UID 2 FLAGS () RFC822.SIZE 22)\r\n* 3 FETCH (UID 3 FLAGS () RFC822.SIZE 22)\r\n",
        one.poll_between()
    );
    let mut other = sandbox.in_inbox();
    other.say(add_flags(numbers(&[(1, 1)]), seen()));
    // FlagChange is not wanted.
    assert_eq!("", one.poll_between());
}

#[test]
fn annotations_of_mailboxes_and_of_the_server_are_told_without_their_values() {
    let sandbox = Sandbox::new();
    let events = vec![
        NotifyEvent::MailboxMetadataChange,
        NotifyEvent::ServerMetadataChange,
    ];
    let (mut one, mut other) = listening(&sandbox, vec![(NotifyMailboxes::Personal, events)]);
    for (mailbox, entry) in [("a", "/private/x"), ("", "/private/y"), ("a", "/private/z")] {
        other.say(Command::SetMetadata {
            mailbox: mailbox.to_owned(),
            entries: vec![(entry.to_owned(), Some(b"1".to_vec()))],
        });
    }
    assert_eq!(
        "* METADATA \"\" /private/y\r\n* METADATA \"a\" /private/x /private/z\r\n",
        one.poll_between()
    );
    one.say(Command::SetMetadata {
        mailbox: "a".to_owned(),
        entries: vec![("/private/x".to_owned(), None)],
    });
    assert_eq!("", one.poll_between());
    let asked = Command::GetMetadata {
        mailbox: "a".to_owned(),
        entries: vec!["/private/x".to_owned()],
        octets_max: None,
        depth: MetadataDepth::Zero,
    };
    assert!(one.say(asked).contains("/private/x NIL"));
}

#[test]
fn a_mailbox_that_its_owner_may_not_read_does_not_keep_others_from_being_told_of() {
    let sandbox = Sandbox::new();
    let groups = || vec![(NotifyMailboxes::Personal, messages())];
    let (mut one, mut other) = listening(&sandbox, groups());
    other.say(set_acl("a", OWNER, ""));
    for name in ["a", "c"] {
        let folder = sandbox.folder().join(format!(".{name}"));
        std::fs::write(folder.join("new/1700000000.M1P1.h"), "A: 1\n\n").unwrap();
    }
    assert_eq!(vec!["c"], counted(&one.poll_between()));
    assert_eq!("", one.poll_between());
    let Command::Notify(Some(asked)) = set(groups()) else {
        unreachable!()
    };
    let said = one.say(Command::Notify(Some(Notify {
        status: true,
        ..asked
    })));
    assert!(said.ends_with("a OK So it is\r\n"), "{said}");
    assert_eq!(vec!["INBOX", "a/b", "ab", "c"], counted(&said));
}
