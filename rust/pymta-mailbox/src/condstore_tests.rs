//! CONDSTORE and QRESYNC, after the examples of RFC 7162.

use pymta_imap::Enabled;
use pymta_imap::command::{Command, FetchItem, Qresync, SequenceSet, StoreAction};

use crate::sandbox::{Sandbox, Session, add_flags, all, deleted, fetch, numbers, seen, select};

fn modseq_of(said: &str) -> u64 {
    let (_, rest) = said.split_once("[HIGHESTMODSEQ ").unwrap();
    rest.split_once(']').unwrap().0.parse().unwrap()
}

fn validity_of(said: &str) -> u32 {
    let (_, rest) = said.split_once("[UIDVALIDITY ").unwrap();
    rest.split_once(']').unwrap().0.parse().unwrap()
}

fn condstore() -> Enabled {
    Enabled {
        condstore: true,
        ..Enabled::default()
    }
}

fn qresync() -> Enabled {
    Enabled {
        condstore: true,
        qresync: true,
        ..Enabled::default()
    }
}

fn store_unchanged_since(session: &mut Session, set: SequenceSet, since: u64) -> String {
    session.say(Command::Store {
        set,
        unchanged_since: Some(since),
        action: StoreAction::Add,
        silent: true,
        flags: seen(),
    })
}

/// RFC 7162 §3.1.3: what another session changed since is left alone, and its new flags are said.
#[test]
fn a_conditional_store_leaves_alone_what_changed() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(3);
    let mut session = sandbox.session();
    let since = modseq_of(&session.say(select("INBOX")));
    let mut other = sandbox.in_inbox();
    other.say(add_flags(numbers(&[(2, 2)]), deleted()));
    let said = store_unchanged_since(&mut session, numbers(&[(1, 3)]), since);
    assert!(said.contains("* 1 FETCH (MODSEQ ("), "{said}");
    assert!(said.contains("* 3 FETCH (MODSEQ ("), "{said}");
    assert!(said.contains("* 2 FETCH (FLAGS (\\Deleted) MODSEQ ("), "{said}");
    assert!(
        said.ends_with("a OK [MODIFIED 2] Some had changed, and were left alone\r\n"),
        "{said}"
    );
}

#[test]
fn with_condstore_even_a_silent_store_says_mod_sequences() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(1);
    let (mut session, mut other) = (sandbox.in_inbox_with(condstore()), sandbox.in_inbox());
    let store = |silent| Command::Store {
        set: all(),
        unchanged_since: None,
        action: StoreAction::Add,
        silent,
        flags: seen(),
    };
    let said = session.say(store(true));
    assert!(said.starts_with("* 1 FETCH (MODSEQ ("), "{said}");
    assert_eq!("* 1 FETCH (FLAGS (\\Seen))\r\n", other.poll());
}

/// RFC 7162 §3.1.4: only those that changed, with their mod-sequences.
#[test]
fn a_fetch_of_what_changed_since() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(3);
    let mut session = sandbox.session();
    let since = modseq_of(&session.say(select("INBOX")));
    session.say(add_flags(numbers(&[(2, 2)]), seen()));
    let changed = Command::Fetch {
        set: all(),
        items: vec![FetchItem::Flags],
        changed_since: Some(since),
        vanished: false,
        partial: None,
    };
    let said = session.say_uid(changed);
    assert!(said.starts_with("* 2 FETCH (UID 2 MODSEQ ("), "{said}");
    assert!(
        said.contains(") FLAGS (\\Seen))\r\n* OK [HIGHESTMODSEQ "),
        "{said}"
    );
    assert!(said.ends_with("\r\na OK Fetched\r\n"), "{said}");
}

fn resync(uid_validity: u32, modseq: u64, known_uids: Option<SequenceSet>) -> Command {
    Command::Select {
        mailbox: "INBOX".to_owned(),
        read_only: false,
        condstore: false,
        qresync: Some(Qresync {
            uid_validity,
            modseq,
            known_uids,
            match_data: None,
        }),
    }
}

/// RFC 7162 §3.2.5: what was expunged and what changed while the client was away, in one round trip.
#[test]
fn a_client_that_comes_back_is_told_what_it_missed() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(6);
    let mut session = sandbox.session_with(qresync(), pymta_maildir::Quota::default());
    let said = session.say(select("INBOX"));
    let (validity, since) = (validity_of(&said), modseq_of(&said));
    session.say(Command::Unselect);
    let mut other = sandbox.in_inbox();
    other.say(add_flags(numbers(&[(2, 3), (5, 5)]), deleted()));
    other.say(Command::Expunge(None));
    other.say_uid(add_flags(numbers(&[(4, 4)]), seen()));
    let said = session.say(resync(validity, since, None));
    assert!(said.contains("* VANISHED (EARLIER) 2:3,5\r\n"), "{said}");
    assert!(
        said.contains("* 2 FETCH (UID 4 FLAGS (\\Seen) MODSEQ ("),
        "{said}"
    );
    assert!(said.ends_with("a OK [READ-WRITE] Selected\r\n"), "{said}");
    let said = session.say(resync(validity, since, Some(numbers(&[(3, 4)]))));
    assert!(said.contains("* VANISHED (EARLIER) 3\r\n"), "{said}");
    let said = session.say(resync(validity + 1, since, None));
    assert!(!said.contains("VANISHED") && !said.contains("FETCH"), "{said}");
}

/// RFC 7162 §3.2.6.
#[test]
fn a_fetch_says_what_vanished() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(4);
    let mut session = sandbox.session_with(qresync(), pymta_maildir::Quota::default());
    let since = modseq_of(&session.say(select("INBOX")));
    session.say(add_flags(numbers(&[(1, 2)]), deleted()));
    session.say(Command::Expunge(None));
    let said = session.say_uid(Command::Fetch {
        set: numbers(&[(1, 300)]),
        items: vec![FetchItem::Flags],
        changed_since: Some(since),
        vanished: true,
        partial: None,
    });
    assert_eq!("* VANISHED (EARLIER) 1:2\r\na OK Fetched\r\n", said);
}

/// RFC 9586: neither taken nor said by number.
#[test]
fn with_uidonly_nothing_is_said_by_number() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(3);
    let mut session = sandbox.in_inbox_with(Enabled {
        uid_only: true,
        ..Enabled::default()
    });
    session.say_uid(add_flags(numbers(&[(1, 1)]), deleted()));
    assert_eq!(
        "* VANISHED 1\r\na OK Expunged\r\n",
        session.say_uid(Command::Expunge(None))
    );
    assert_eq!(
        "* 2 UIDFETCH (FLAGS ())\r\n* 3 UIDFETCH (FLAGS ())\r\na OK Fetched\r\n",
        session.say_uid(fetch(all(), vec![FetchItem::Flags]))
    );
}

/// RFC 7162 §3.1: from there on mod-sequences are said, so a client is told from which.
#[test]
fn the_first_command_with_mod_sequences_says_the_highest_so_far() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(2);
    let mut session = sandbox.session();
    let selected = modseq_of(&session.say(select("INBOX")));
    session.say(add_flags(numbers(&[(1, 1)]), seen()));
    let said = session.say(fetch(numbers(&[(1, 1)]), vec![FetchItem::ModSeq]));
    assert!(modseq_of(&said) > selected, "{said}");
    let again = session.say(fetch(numbers(&[(1, 1)]), vec![FetchItem::ModSeq]));
    assert!(!again.contains("HIGHESTMODSEQ"), "{again}");
}
