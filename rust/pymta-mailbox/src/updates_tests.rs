//! RFC 5267 §4.3: what is said of results that are kept.

use std::collections::BTreeSet;

use proptest::prelude::*;
use pymta_imap::command::{
    Command, DateTest, Flags, Notify, NotifyEvent, NotifyGroup, NotifyMailboxes, Search, SearchKey,
    SearchKind, SearchReturn, SequenceSet, StoreAction, SystemFlag, Tagged,
};
use pymta_imap::limits::SEARCH_UPDATES_MAX;
use pymta_imap::{Asked, Enabled};

use crate::sandbox::{Sandbox, Session, add_flags, all, deleted, numbers, seen, select};

fn unseen() -> SearchKey {
    SearchKey::Not(Box::new(SearchKey::Flag(SystemFlag::Seen)))
}

fn updated(key: SearchKey) -> Command {
    Command::Search(Box::new(Search {
        kind: SearchKind::Search,
        returns: Some(SearchReturn {
            update: true,
            count: true,
            ..SearchReturn::default()
        }),
        charset: None,
        key,
    }))
}

/// With another tag than `a`.
fn ask(session: &mut Session, tag: &str, by_uid: bool, command: Command) -> String {
    let tag = tag.to_owned();
    let tagged = Tagged { tag, by_uid, command };
    let enabled = session.enabled;
    let mut said = session.view.run(Asked { tagged, enabled }, session.now);
    while session.view.is_running() {
        said.extend(session.view.go_on(session.now));
    }
    String::from_utf8(said).unwrap()
}

fn cancel(tags: &[&str]) -> Command {
    Command::CancelUpdate(tags.iter().map(|&tag| tag.to_owned()).collect())
}

/// The exchange of §4.3 to §4.3.5, with numbers that are ours.
#[test]
fn what_changes_in_a_result_is_said_with_its_tag() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(3);
    let (mut session, mut other) = (sandbox.in_inbox(), sandbox.in_inbox());
    let junk = Flags {
        keywords: vec!["$Junk".to_owned()],
        ..deleted()
    };
    let key = SearchKey::And(vec![
        SearchKey::Flag(SystemFlag::Deleted),
        SearchKey::Keyword("$Junk".to_owned()),
    ]);
    assert_eq!(
        "* ESEARCH (TAG \"B01\") UID COUNT 0\r\nB01 OK Searched\r\n",
        ask(&mut session, "B01", true, updated(key.clone()))
    );
    // Its own changes and those of others; the keyword was none when it searched.
    let said = ask(&mut session, "B02", true, add_flags(numbers(&[(2, 3)]), junk));
    assert!(
        said.ends_with("* ESEARCH (TAG \"B01\") UID ADDTO (0 2:3)\r\nB02 OK Stored\r\n"),
        "{said}"
    );
    assert_eq!(
        "B01 BAD Tag reuse\r\n",
        ask(&mut session, "B01", true, updated(SearchKey::All))
    );
    other.say(Command::Expunge(Some(numbers(&[(2, 2)]))));
    assert_eq!(
        "* ESEARCH (TAG \"B01\") UID REMOVEFROM (0 2)\r\n* 2 EXPUNGE\r\nB03 OK Done\r\n",
        ask(&mut session, "B03", false, Command::Noop)
    );
    assert_eq!(
        "B04 BAD No result of that tag is kept\r\n",
        ask(&mut session, "B04", false, cancel(&["B01", "B02"]))
    );
    assert_eq!(
        "B05 OK No further updates\r\n",
        ask(&mut session, "B05", false, cancel(&["B01"]))
    );
    other.say(Command::Expunge(None));
    assert_eq!(
        "* 2 EXPUNGE\r\nB06 OK Done\r\n",
        ask(&mut session, "B06", false, Command::Noop)
    );
}

/// §4.3.3 and §4.3.4: after EXISTS, and before EXPUNGE.
#[test]
fn numbers_are_those_that_hold_when_they_are_said() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(3);
    let (mut session, mut other) = (sandbox.in_inbox(), sandbox.in_inbox());
    session.say(updated(unseen()));
    other.say(add_flags(numbers(&[(2, 2)]), deleted()));
    other.say(Command::Expunge(None));
    other.say(add_flags(numbers(&[(2, 2)]), seen()));
    sandbox.deliver("Subject: 4\n\n");
    assert_eq!(
        "* ESEARCH (TAG \"a\") REMOVEFROM (0 2)\r\n* 2 EXPUNGE\r\n* 3 EXISTS\r\n* 0 RECENT\r\n\
         * 2 FETCH (FLAGS (\\Seen))\r\n* ESEARCH (TAG \"a\") REMOVEFROM (0 2) ADDTO (0 3)\r\n",
        without_recent(&session.poll())
    );
    // A number that no command may change yet is not said to be gone either.
    other.say(Command::Noop);
    other.say(add_flags(all(), deleted()));
    other.say(Command::Expunge(None));
    let said = session.say(add_flags(numbers(&[(2, 2)]), seen()));
    assert!(!said.contains("ESEARCH"), "{said}");
    let said = session.say(Command::Noop);
    assert!(
        said.contains("* ESEARCH (TAG \"a\") REMOVEFROM (0 1,3)\r\n* 1 EXPUNGE\r\n"),
        "{said}"
    );
}

fn without_recent(said: &str) -> String {
    said.replace("* 1 RECENT", "* 0 RECENT").replace(" \\Recent", "")
}

#[test]
fn texts_of_new_messages_are_looked_into_and_of_changed_ones_only_where_flags_matter() {
    let sandbox = Sandbox::with_full_text();
    sandbox.deliver_many(2);
    let mut session = sandbox.in_inbox();
    session.say_uid(updated(SearchKey::Body("wanted".to_owned())));
    sandbox.deliver("Subject: 3\n\nwanted\n");
    sandbox.deliver("Subject: 4\n\nnot\n");
    let said = session.say(Command::Noop);
    assert!(
        said.contains("* ESEARCH (TAG \"a\") UID ADDTO (0 3)\r\n"),
        "{said}"
    );
    session.say(add_flags(all(), seen()));
    let picture = session.view.selected.as_ref().unwrap();
    assert!(
        picture
            .updates
            .searches
            .iter()
            .all(|search| !search.depends.flags)
    );
    assert!(!picture.updates.is_pending());
}

#[test]
fn what_depends_on_more_than_a_message_is_answered_and_not_kept() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(2);
    let mut session = sandbox.in_inbox();
    for key in [
        SearchKey::Sequence(all()),
        SearchKey::Uid(SequenceSet::Saved),
        SearchKey::Not(Box::new(SearchKey::Older(60))),
        SearchKey::Or(Box::new((SearchKey::All, SearchKey::Younger(60)))),
    ] {
        let said = session.say(updated(key.clone()));
        assert!(
            said.starts_with("* NO [NOUPDATE \"a\"] ") && said.contains("* ESEARCH (TAG \"a\") COUNT "),
            "{key:?}: {said}"
        );
        assert!(said.ends_with("a OK Searched\r\n"), "{said}");
    }
    // So the tag is free.
    assert!(
        !session
            .say(updated(SearchKey::Internal(DateTest::Since, 1)))
            .contains("NO")
    );
}

#[test]
fn the_number_of_results_that_are_kept_is_limited() {
    let sandbox = Sandbox::new();
    let mut session = sandbox.in_inbox();
    for number in 0..SEARCH_UPDATES_MAX {
        let said = ask(&mut session, &format!("B{number}"), false, updated(unseen()));
        assert!(!said.contains("NOUPDATE"), "{said}");
    }
    assert_eq!(
        "* NO [NOUPDATE \"C\"] Too many contexts\r\n* ESEARCH (TAG \"C\") COUNT 0\r\nC OK Searched\r\n",
        ask(&mut session, "C", false, updated(unseen()))
    );
    ask(&mut session, "D", false, cancel(&["B0", "B1"]));
    assert!(!ask(&mut session, "E", false, updated(unseen())).contains("NOUPDATE"));
    // Another mailbox, other results.
    session.say(select("INBOX"));
    sandbox.deliver_many(1);
    assert!(!session.say(Command::Noop).contains("ESEARCH"));
}

/// With NOTIFY they come when nobody asks, and where it wants no events of messages, those of flags come all the same.
#[test]
fn notify_does_not_silence_them() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(2);
    let (mut session, mut other) = (sandbox.in_inbox(), sandbox.in_inbox());
    session.say_uid(updated(unseen()));
    let group = NotifyGroup {
        mailboxes: NotifyMailboxes::Selected,
        events: vec![NotifyEvent::MessageNew(Vec::new()), NotifyEvent::MessageExpunge],
    };
    session.say(Command::Notify(Some(Notify {
        status: false,
        groups: vec![group],
    })));
    other.say(add_flags(numbers(&[(1, 1)]), seen()));
    assert_eq!(
        "* ESEARCH (TAG \"a\") UID REMOVEFROM (0 1)\r\n",
        session.poll_between()
    );
}

/// More than a slice: in IDLE it goes on by itself, between commands with the next one.
#[test]
fn many_changes_are_looked_at_in_slices() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(3);
    let mut session = sandbox.in_inbox();
    session.say_uid(updated(unseen()));
    ask(&mut session, "b", true, updated(unseen()));
    let picture = session.view.selected.as_mut().unwrap();
    picture.updates.searches[0].pending = vec![1, 2, 3];
    picture.updates.searches[0].found = vec![7];
    picture.updates.searches[1].found.clear();
    picture.updates.note_changed([3, 2, 3].into_iter());
    assert_eq!(
        "* ESEARCH (TAG \"a\") UID ADDTO (0 1:3)\r\n* ESEARCH (TAG \"b\") UID ADDTO (0 2:3)\r\n",
        session.poll()
    );
    assert!(session.view.updates_left().is_none());
}

/// What a client keeps of a result, as it is told.
fn apply(result: &mut BTreeSet<u32>, said: &str) {
    for line in said
        .lines()
        .filter(|line| line.starts_with("* ESEARCH (TAG \"kept\") UID "))
    {
        for item in line.split(')').filter_map(|item| item.split_once(" (0 ")) {
            for range in item.1.split(',') {
                let (first, last) = range.split_once(':').unwrap_or((range, range));
                for uid in first.parse::<u32>().unwrap()..=last.parse().unwrap() {
                    let is_new = match item.0.ends_with("ADDTO") {
                        true => result.insert(uid),
                        false => result.remove(&uid),
                    };
                    assert!(is_new, "{said}");
                }
            }
        }
    }
}

fn uids_found(session: &mut Session, key: SearchKey) -> BTreeSet<u32> {
    let said = session.say_uid(Command::Search(Box::new(Search {
        kind: SearchKind::Search,
        returns: None,
        charset: None,
        key,
    })));
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("* SEARCH"))
        .unwrap();
    line.split_whitespace().map(|uid| uid.parse().unwrap()).collect()
}

fn keys() -> impl Strategy<Value = SearchKey> {
    let uids = |ranges: &[(u32, u32)]| SearchKey::Uid(SequenceSet::Ranges(ranges.to_vec()));
    prop_oneof![
        Just(unseen()),
        Just(SearchKey::Body("body 2".to_owned())),
        Just(SearchKey::Not(Box::new(SearchKey::Keyword("$Junk".to_owned())))),
        Just(uids(&[(u32::MAX, u32::MAX)])),
        Just(uids(&[(5, u32::MAX)])),
        Just(SearchKey::Or(Box::new((uids(&[(5, u32::MAX)]), unseen())))),
        Just(SearchKey::And(vec![unseen(), uids(&[(2, 4)])])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_result_that_is_kept_is_what_a_search_finds(
        key in keys(),
        steps in prop::collection::vec((0..6u8, 1..8u32, any::<bool>()), 1..14),
    ) {
        let sandbox = Sandbox::new();
        sandbox.deliver_many(4);
        let (mut session, mut other) = (sandbox.in_inbox(), sandbox.in_inbox());
        let mut result = uids_found(&mut session, key.clone());
        ask(&mut session, "kept", true, updated(key.clone()));
        for (step, uid, is_own) in steps {
            let one = numbers(&[(uid, uid)]);
            let flags = |keyword: &[&str]| Flags {
                seen: step == 1,
                keywords: keyword.iter().map(|&name| name.to_owned()).collect(),
                ..Flags::default()
            };
            let store = |action, flags| Command::Store {
                set: one.clone(),
                unchanged_since: None,
                action,
                silent: uid % 2 == 0,
                flags,
            };
            let command = match step {
                0 => { sandbox.deliver_many(2); Command::Noop }
                1 => store(StoreAction::Add, flags(&[])),
                2 => store(StoreAction::Replace, flags(&[])),
                3 => store(StoreAction::Add, flags(&["$Junk"])),
                4 => store(StoreAction::Add, deleted()),
                _ => Command::Expunge(Some(all())),
            };
            let said = if is_own { session.say_uid(command) } else { other.say_uid(command); session.poll() };
            apply(&mut result, &said);
            let said = session.say(Command::Noop);
            apply(&mut result, &said);
            prop_assert_eq!(&uids_found(&mut session, key.clone()), &result, "after {}", said);
        }
    }
}

/// RFC 9586: then numbers are not said any more.
#[test]
fn with_uidonly_they_are_by_uid() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(2);
    let mut session = sandbox.in_inbox();
    session.say(updated(unseen()));
    session.enabled = Enabled {
        uid_only: true,
        ..Enabled::default()
    };
    let said = session.say_uid(add_flags(numbers(&[(2, 2)]), seen()));
    assert!(
        said.contains("* ESEARCH (TAG \"a\") UID REMOVEFROM (0 2)\r\n"),
        "{said}"
    );
}
