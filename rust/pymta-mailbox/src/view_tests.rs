//! What one session is told, and what of others' doings, and when.

use pymta_imap::Enabled;
use pymta_imap::command::{
    Command, FetchItem, Search, SearchKey, SearchKind, Section, SectionForm, SectionText,
};

use crate::sandbox::{Sandbox, add_flags, all, copy, deleted, fetch, lines, numbers, seen, select};

fn body() -> FetchItem {
    FetchItem::Section(Section {
        part: Vec::new(),
        text: SectionText::All,
        peek: false,
        partial: None,
        form: SectionForm::Body,
    })
}

#[test]
fn select_says_what_rfc_3501_wants() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(2);
    let mut session = sandbox.session();
    let said = session.say(select("INBOX"));
    let validity = said
        .lines()
        .find_map(|line| line.strip_prefix("* OK [UIDVALIDITY "))
        .and_then(|rest| rest.split_once(']'))
        .unwrap()
        .0;
    let id = said
        .lines()
        .find_map(|line| line.strip_prefix("* OK [MAILBOXID (F"))
        .and_then(|rest| rest.split_once(')'))
        .unwrap()
        .0;
    let said = said.replace(validity, "V").replace(id, "ID");
    let modseq = said
        .lines()
        .find_map(|line| line.strip_prefix("* OK [HIGHESTMODSEQ "))
        .and_then(|rest| rest.split_once(']'))
        .unwrap()
        .0;
    let said = said.replace(&format!("HIGHESTMODSEQ {modseq}"), "HIGHESTMODSEQ M");
    assert_eq!(
        lines(
            r"* FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Forwarded)
            * OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft $Forwarded \*)] These last
            * 2 EXISTS
            * 0 RECENT
            * OK [UNSEEN 1] The first one unseen
            * OK [UIDVALIDITY V] UIDs valid
            * OK [UIDNEXT 3] The next UID
            * OK [HIGHESTMODSEQ M] The highest so far
            * OK [MAILBOXID (FID)] The mailbox's id
            a OK [READ-WRITE] Selected"
        ),
        said
    );
    assert!(session.view.is_selected());
    assert!(!session.view.watched().is_empty());
}

#[test]
fn a_mailbox_that_is_missing_is_not_selected_and_closes_the_other() {
    let sandbox = Sandbox::new();
    let mut session = sandbox.in_inbox();
    assert_eq!(
        lines(
            "* OK [CLOSED] The mailbox that was selected is closed
            a NO [NONEXISTENT] No such mailbox"
        ),
        session.say(select("Nowhere"))
    );
    assert!(!session.view.is_selected());
}

#[test]
fn a_delivery_is_told_once_and_has_the_next_number() {
    let sandbox = Sandbox::new();
    let mut session = sandbox.in_inbox();
    assert_eq!("", session.poll());
    sandbox.deliver_many(1);
    assert_eq!("* 1 EXISTS\r\n* 0 RECENT\r\n", session.poll());
    assert_eq!("", session.poll());
    assert_eq!("a OK Done\r\n", session.say(Command::Noop));
}

#[test]
fn flags_of_one_session_are_told_to_the_other() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(2);
    let (mut one, mut other) = (sandbox.in_inbox(), sandbox.in_inbox());
    assert_eq!(
        lines(
            r"* 2 FETCH (FLAGS (\Seen))
            a OK Stored"
        ),
        one.say(add_flags(numbers(&[(2, 2)]), seen()))
    );
    assert_eq!("* 2 FETCH (FLAGS (\\Seen))\r\n", other.poll());
    assert_eq!("", one.poll());
    assert_eq!("", other.poll());
}

#[test]
fn a_keyword_is_named_before_a_message_has_it() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(1);
    let (mut one, mut other) = (sandbox.in_inbox(), sandbox.in_inbox());
    let flags = pymta_imap::command::Flags {
        keywords: vec!["$Junk".to_owned(), "$forwarded".to_owned()],
        ..Default::default()
    };
    let said = one.say(add_flags(all(), flags));
    assert!(
        said.starts_with("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded $Junk)"),
        "{said}"
    );
    assert!(
        said.ends_with("* 1 FETCH (FLAGS ($Forwarded $Junk))\r\na OK Stored\r\n"),
        "{said}"
    );
    let said = other.poll();
    assert!(said.starts_with("* FLAGS ("), "{said}");
    assert!(
        said.ends_with("* 1 FETCH (FLAGS ($Forwarded $Junk))\r\n"),
        "{said}"
    );
}

/// RFC 9051 §7.5.1: no number changes while a command by numbers is answered.
#[test]
fn an_expunge_by_others_waits_until_numbers_may_change() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(3);
    let (mut one, mut other) = (sandbox.in_inbox(), sandbox.in_inbox());
    one.say(add_flags(numbers(&[(1, 2)]), deleted()));
    assert_eq!(
        lines(
            "* 1 EXPUNGE
            * 1 EXPUNGE
            a OK Expunged"
        ),
        one.say(Command::Expunge(None))
    );
    // By number, the messages are still counted, and what is known of them is answered.
    assert_eq!(
        lines(
            r"* 1 FETCH (UID 1 FLAGS ())
            * 2 FETCH (UID 2 FLAGS ())
            * 3 FETCH (UID 3 FLAGS ())
            a OK Fetched"
        ),
        other.flags()
    );
    let said = other.say(fetch(all(), vec![body()]));
    assert!(said.contains("* 3 FETCH (BODY[]"), "{said}");
    assert!(
        said.ends_with("a OK [EXPUNGEISSUED] Some of the messages are no more\r\n"),
        "{said}"
    );
    assert_eq!(
        "a NO [EXPUNGEISSUED] The messages are no more\r\n",
        other.say(fetch(numbers(&[(1, 1)]), vec![body()]))
    );
    assert_eq!(
        lines(
            "* 1 EXPUNGE
            * 1 EXPUNGE
            a OK Done"
        ),
        other.say(Command::Noop)
    );
    assert_eq!(
        lines(
            r"* 1 FETCH (UID 3 FLAGS (\Seen))
            a OK Fetched"
        ),
        other.flags()
    );
}

#[test]
fn with_qresync_what_is_gone_is_told_by_uid() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(4);
    let enabled = Enabled {
        qresync: true,
        condstore: true,
        ..Enabled::default()
    };
    let mut session = sandbox.in_inbox_with(enabled);
    session.say(add_flags(numbers(&[(1, 2), (4, 4)]), deleted()));
    let said = session.say(Command::Expunge(None));
    assert!(
        said.starts_with("* VANISHED 1:2,4\r\na OK [HIGHESTMODSEQ "),
        "{said}"
    );
    let said = session.flags();
    assert!(said.contains("* 1 FETCH (UID 3 FLAGS ())"), "{said}");
}

#[test]
fn a_body_sets_seen_and_says_so_and_has_crlf() {
    let sandbox = Sandbox::new();
    sandbox.deliver("Subject: a\n\nb\n");
    let mut session = sandbox.in_inbox();
    assert_eq!(
        "* 1 FETCH (BODY[] {17}\r\nSubject: a\r\n\r\nb\r\n FLAGS (\\Seen))\r\na OK Fetched\r\n",
        session.say(fetch(all(), vec![body()]))
    );
    assert_eq!(
        "* 1 FETCH (UID 1 BODY[] {17}\r\nSubject: a\r\n\r\nb\r\n)\r\na OK Fetched\r\n",
        session.say_uid(fetch(all(), vec![body()]))
    );
}

#[test]
fn a_number_that_no_message_has_is_an_error_and_a_uid_is_not() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(1);
    let mut session = sandbox.in_inbox();
    let beyond = || fetch(numbers(&[(2, 2)]), vec![FetchItem::Flags]);
    assert_eq!("a BAD No message has such a number\r\n", session.say(beyond()));
    assert_eq!("a OK Fetched\r\n", session.say_uid(beyond()));
    // 5:* is the last one where it is below (RFC 9051 §9).
    let said = session.say_uid(fetch(numbers(&[(5, u32::MAX)]), vec![FetchItem::Flags]));
    assert!(said.starts_with("* 1 FETCH (UID 1 FLAGS"), "{said}");
}

#[test]
fn an_empty_mailbox_has_no_last_message_but_everything_of_it_can_be_asked_for() {
    const BAD: &str = "a BAD No message has such a number\r\n";
    const LAST: (u32, u32) = (u32::MAX, u32::MAX);
    let sandbox = Sandbox::new();
    let mut session = sandbox.in_inbox();
    let commands = |set: (u32, u32)| {
        let set = || numbers(&[set]);
        [
            fetch(set(), vec![FetchItem::Flags]),
            add_flags(set(), seen()),
            copy(set(), "INBOX", false),
            copy(set(), "INBOX", true),
        ]
    };
    for wrong in [LAST, (1, 1), (2, u32::MAX)] {
        for command in commands(wrong) {
            assert_eq!(BAD, session.say(command.clone()), "{command:?}");
            assert!(
                session.say_uid(command.clone()).starts_with("a OK"),
                "{command:?}"
            );
        }
    }
    for command in commands((1, u32::MAX)) {
        assert!(session.say(command.clone()).starts_with("a OK"), "{command:?}");
    }
    let search = Command::Search(Box::new(Search {
        kind: SearchKind::Search,
        returns: None,
        charset: None,
        key: SearchKey::Sequence(numbers(&[LAST])),
    }));
    assert_eq!("* SEARCH\r\na OK Searched\r\n", session.say(search));
}

#[test]
fn a_mailbox_that_is_only_read_is_not_changed() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(1);
    let mut session = sandbox.session();
    let said = session.say(Command::Select {
        mailbox: "INBOX".to_owned(),
        read_only: true,
        condstore: false,
        qresync: None,
    });
    assert!(said.contains("[PERMANENTFLAGS ()]"), "{said}");
    assert!(
        said.ends_with("a OK [READ-ONLY] Selected for reading\r\n"),
        "{said}"
    );
    let said = session.say(fetch(all(), vec![body()]));
    assert!(!said.contains("Seen"), "{said}");
    assert!(
        session
            .say(add_flags(all(), seen()))
            .starts_with("a NO [READ-ONLY]")
    );
    assert!(
        session
            .say(Command::Expunge(None))
            .starts_with("a NO [READ-ONLY]")
    );
    session.say(Command::Close);
    assert!(!session.view.is_selected());
}

#[test]
fn close_removes_what_is_deleted_without_a_word() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(2);
    let mut session = sandbox.in_inbox();
    session.say(add_flags(numbers(&[(1, 1)]), deleted()));
    assert_eq!("a OK Closed\r\n", session.say(Command::Close));
    assert!(session.say(select("INBOX")).contains("* 1 EXISTS\r\n"));
}

#[test]
fn a_large_message_is_said_in_small_pieces() {
    let sandbox = Sandbox::new();
    let line = format!("{}\n", "x".repeat(79));
    sandbox.deliver(&format!(
        "Subject: large\n\n{}",
        line.repeat(50 * 1024 * 1024 / 80)
    ));
    let mut session = sandbox.in_inbox();
    let said = session.ask_octets(fetch(all(), vec![body()]), false);
    assert!(said.len() > 52_000_000, "{}", said.len());
    assert!(session.largest < 192 * 1024, "{}", session.largest);
}

#[test]
fn no_flag_is_lost_between_two_sessions() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(1);
    let (mut one, mut other) = (sandbox.in_inbox(), sandbox.in_inbox());
    one.say(add_flags(all(), seen()));
    other.say(add_flags(all(), deleted()));
    let both = "* 1 FETCH (UID 1 FLAGS (\\Deleted \\Seen))\r\na OK Fetched\r\n";
    other.poll();
    one.poll();
    assert_eq!(both, one.flags());
    assert_eq!(both, other.flags());
}

fn remove_index(sandbox: &Sandbox) {
    for name in Sandbox::files(&sandbox.folder()) {
        if name.starts_with("pymta.index") {
            std::fs::remove_file(sandbox.folder().join(name)).unwrap();
        }
    }
}

#[test]
fn trouble_is_no_for_the_client_and_a_cause_for_the_operator() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(1);
    let mut session = sandbox.in_inbox();
    assert_eq!(None, session.view.take_trouble());
    remove_index(&sandbox);
    assert!(session.say(select("INBOX")).contains("a NO [UNAVAILABLE] "));
    assert_eq!(
        Some("the index was replaced".to_owned()),
        session.view.take_trouble()
    );
    assert_eq!(None, session.view.take_trouble());
    // Who logs in anew gets a new index, beside those who have the old one.
    assert!(sandbox.in_inbox().flags().contains("* 1 FETCH (UID 1 "));
}

#[test]
fn who_only_waits_for_news_learns_that_the_index_was_replaced() {
    let sandbox = Sandbox::new();
    let mut session = sandbox.in_inbox();
    session.poll();
    assert!(!session.view.is_gone());
    remove_index(&sandbox);
    assert_eq!("", session.poll());
    assert!(session.view.is_gone());
    assert_eq!(
        "a NO [UNAVAILABLE] The mailbox cannot be used now; log in anew\r\n",
        session.say(Command::Noop)
    );
    // Also where nothing was selected, as soon as something is asked.
    let mut other = sandbox.session();
    remove_index(&sandbox);
    assert!(
        other
            .say(Command::Status {
                mailbox: "INBOX".to_owned(),
                items: vec![]
            })
            .starts_with("a NO [UNAVAILABLE]")
    );
    assert!(other.view.is_gone());
}

/// `1:*` is what the client was told of, not what came while the command was on its way.
#[test]
fn nothing_is_done_to_a_message_that_the_client_was_not_told_of() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(1);
    let mut session = sandbox.in_inbox();
    session.say(Command::Create {
        mailbox: "a".to_owned(),
        special_use: vec![],
    });
    sandbox.deliver_many(1);
    assert_eq!(
        lines(
            r"* 1 FETCH (FLAGS (\Deleted))
            * 2 EXISTS
            * 0 RECENT
            a OK Stored"
        ),
        session.say(add_flags(all(), deleted()))
    );
    sandbox.deliver_many(1);
    let said = session.say_uid(add_flags(all(), seen()));
    assert!(said.contains("UID 2 FLAGS") && !said.contains("UID 3"), "{said}");
    sandbox.deliver_many(1);
    let said = session.say(copy(all(), "a", true));
    assert!(said.contains(" 1:3 1:3] Moved"), "{said}");
    assert!(
        said.ends_with("* 1 EXISTS\r\n* 0 RECENT\r\na OK Moved\r\n"),
        "{said}"
    );
    sandbox.deliver_many(1);
    sandbox
        .in_inbox()
        .say_uid(add_flags(numbers(&[(5, 5)]), deleted()));
    let said = session.say(Command::Expunge(None));
    assert!(
        said.ends_with("* 2 EXISTS\r\n* 0 RECENT\r\na OK Expunged\r\n"),
        "{said}"
    );
    // A UID that it names it knows from elsewhere.
    sandbox.deliver_many(1);
    let said = session.say_uid(add_flags(numbers(&[(6, 6)]), seen()));
    assert!(said.contains("* 3 FETCH (UID 6 FLAGS (\\Seen))"), "{said}");
}
