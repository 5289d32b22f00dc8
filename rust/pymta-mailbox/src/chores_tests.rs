//! What is done when nobody waits for it.

use pymta_imap::command::{Command, Flags};
use pymta_types::UnixMs;

use crate::sandbox::{Sandbox, Session, add_flags, all, seen, select};

const MANY: usize = 300;

fn examine() -> Command {
    match select("INBOX") {
        Command::Select {
            mailbox,
            condstore,
            qresync,
            ..
        } => Command::Select {
            mailbox,
            read_only: true,
            condstore,
            qresync,
        },
        other => other,
    }
}

fn do_all(sandbox: &Sandbox, session: &Session) {
    for _ in 0..MANY {
        if !sandbox.accounts.has_chores() {
            return;
        }
        sandbox.accounts.do_chore(session.now).unwrap();
    }
    panic!("there is no end");
}

fn in_new(sandbox: &Sandbox) -> usize {
    Sandbox::files(&sandbox.folder().join("new")).len()
}

#[test]
fn much_mail_that_was_shown_leaves_new_and_nobody_notices() {
    let mut sandbox = Sandbox::new();
    sandbox.has_recent = true;
    sandbox.deliver_many(MANY);
    let mut session = sandbox.session();
    let said = session.say(select("INBOX"));
    assert!(said.contains("* 300 RECENT"), "{said}");
    do_all(&sandbox, &session);
    assert_eq!(0, in_new(&sandbox));
    assert_eq!("", session.poll());
    assert!(!session.flags().is_empty());
    // What comes while it is selected is moved as well, once it is much.
    sandbox.deliver_many(MANY);
    assert!(session.poll().contains("600 EXISTS"));
    do_all(&sandbox, &session);
    assert_eq!((0, ""), (in_new(&sandbox), session.poll().as_str()));
}

#[test]
fn who_only_looks_moves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(MANY);
    let mut session = sandbox.session();
    session.say(examine());
    assert!(!sandbox.accounts.has_chores());
    assert_eq!(MANY, in_new(&sandbox));
}

#[test]
fn a_little_mail_stays_in_new() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(3);
    let session = sandbox.in_inbox();
    assert!(!sandbox.accounts.has_chores());
    drop(session);
    assert_eq!(3, in_new(&sandbox));
}

#[test]
fn a_mailbox_that_was_deleted_meanwhile_is_passed_by() {
    let sandbox = Sandbox::new();
    let mut session = sandbox.in_inbox();
    session.say(Command::Create {
        mailbox: "Other".to_owned(),
        special_use: Vec::new(),
    });
    sandbox.deliver_many(MANY);
    let root = sandbox.folder();
    for name in Sandbox::files(&root.join("new")) {
        std::fs::rename(root.join("new").join(&name), root.join(".Other/new").join(&name)).unwrap();
    }
    session.say(select("Other"));
    assert!(sandbox.accounts.has_chores());
    session.say(Command::Delete("Other".to_owned()));
    do_all(&sandbox, &session);
}

#[test]
fn a_second_listing_after_a_change_of_ours_is_done_once_and_makes_no_look_wait() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(2);
    let mut session = sandbox.in_inbox();
    let flagged = Flags {
        flagged: true,
        ..Flags::default()
    };
    // The clock that folders have their times from.
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    session.now = UnixMs(u64::try_from(since.unwrap().as_millis()).unwrap());
    for flags in [seen(), flagged] {
        session.now.0 += 10_000;
        session.poll(); // the folder's time is believed by now
        do_all(&sandbox, &session);
        session.say(add_flags(all(), flags));
    }
    session.poll();
    assert!(!sandbox.accounts.has_chores());
    session.now.0 += 60_000;
    for is_due in [true, false] {
        session.poll();
        assert_eq!(is_due, sandbox.accounts.has_chores());
        do_all(&sandbox, &session);
    }
}
