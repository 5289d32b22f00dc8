//! Sessions that see the same have one copy of it, and each is told all that is new to it.

use pymta_imap::command::Command;

use crate::sandbox::{Sandbox, Session, add_flags, all, deleted, numbers, seen, select};

fn share(one: &Session, other: &Session) -> bool {
    let pictures = [one, other].map(|session| session.view.selected.as_ref().unwrap());
    pictures[0].shares_rows_with(pictures[1])
}

#[test]
fn what_all_sessions_see_is_there_once_and_each_is_told_of_what_changes_it() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(3);
    let (mut one, mut other) = (sandbox.in_inbox(), sandbox.in_inbox());
    assert!(share(&one, &other));

    sandbox.deliver("Subject: x\n\nfour\n");
    for session in [&mut one, &mut other] {
        assert_eq!("* 4 EXISTS\r\n* 0 RECENT\r\n", session.poll());
    }
    assert!(share(&one, &other));

    one.say(add_flags(all(), seen()));
    one.poll();
    let told = other.poll();
    assert_eq!(4, told.matches("FETCH (FLAGS (\\Seen))").count(), "{told}");
    assert!(share(&one, &other));
    assert_eq!(one.flags(), other.flags());

    sandbox.deliver("Subject: x\n\nfive\n");
    assert_eq!("* 5 EXISTS\r\n* 0 RECENT\r\n", other.poll());
    assert!(!share(&one, &other)); // who has not looked yet still has what he saw
    one.poll();
    assert!(share(&one, &other));
}

#[test]
fn after_an_expunge_they_have_one_copy_again() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(3);
    let (mut one, mut other) = (sandbox.in_inbox(), sandbox.in_inbox());
    one.say(add_flags(numbers(&[(1, 2)]), deleted()));
    other.poll();
    one.say(Command::Expunge(None));
    assert_eq!(2, other.poll().matches("EXPUNGE").count());
    assert!(share(&one, &other));
    sandbox.deliver("Subject: x\n\nfour\n");
    assert!(one.poll().starts_with("* 2 EXISTS") && other.poll().starts_with("* 2 EXISTS"));
    assert!(share(&one, &other));
}

#[test]
fn who_selects_again_what_he_has_reads_nothing() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(3);
    let (mut one, other) = (sandbox.in_inbox(), sandbox.in_inbox());
    one.say(select("INBOX"));
    assert!(share(&one, &other));
}

#[test]
fn recent_is_said_to_one_session_and_is_in_no_others_rows() {
    let mut sandbox = Sandbox::new();
    sandbox.has_recent = true;
    sandbox.deliver_many(2);
    let (one, mut other) = (sandbox.in_inbox(), sandbox.in_inbox());
    assert!(!share(&one, &other));
    assert!(!other.flags().contains("Recent"));
    let third = sandbox.in_inbox();
    assert!(share(&third, &other));
}
