//! What SEARCH says of what it found.

use pymta_imap::Enabled;
use pymta_imap::command::{
    Command, FetchItem, Partial, Search, SearchKey, SearchKind, SearchReturn, SequenceSet, SortBy,
    SortCriterion, SystemFlag, ThreadAlgorithm,
};

use crate::sandbox::{Sandbox, add_flags, fetch, numbers, seen};

fn search(key: SearchKey, returns: Option<SearchReturn>) -> Command {
    Command::Search(Box::new(Search {
        kind: SearchKind::Search,
        returns,
        charset: None,
        key,
    }))
}

fn subject(text: &str) -> SearchKey {
    SearchKey::Header(b"Subject".to_vec(), text.to_owned())
}

fn all_returns() -> SearchReturn {
    SearchReturn {
        min: true,
        max: true,
        all: true,
        count: true,
        ..SearchReturn::default()
    }
}

#[test]
fn what_is_found_is_said_by_number_or_uid() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(12);
    let mut session = sandbox.in_inbox();
    assert_eq!(
        "* SEARCH 1 10 11 12\r\na OK Searched\r\n",
        session.say(search(subject("1"), None))
    );
    assert_eq!(
        "* SEARCH\r\na OK Searched\r\n",
        session.say(search(subject("x"), None))
    );
    assert_eq!(
        "* ESEARCH (TAG \"a\") MIN 1 MAX 12 COUNT 4 ALL 1,10:12\r\na OK Searched\r\n",
        session.say(search(subject("1"), Some(all_returns())))
    );
    assert_eq!(
        "* ESEARCH (TAG \"a\") UID COUNT 0\r\na OK Searched\r\n",
        session.say_uid(search(subject("x"), Some(all_returns())))
    );
    let partial = SearchReturn {
        partial: Some(Partial {
            first: 1,
            last: 2,
            from_end: true,
        }),
        ..SearchReturn::default()
    };
    assert_eq!(
        "* ESEARCH (TAG \"a\") UID PARTIAL (-1:-2 11:12)\r\na OK Searched\r\n",
        session.say_uid(search(subject("1"), Some(partial)))
    );
}

#[test]
fn with_rev2_every_answer_is_extended() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(1);
    let mut session = sandbox.in_inbox_with(Enabled {
        rev2: true,
        ..Enabled::default()
    });
    assert_eq!(
        "* ESEARCH (TAG \"a\") ALL 1\r\na OK Searched\r\n",
        session.say(search(SearchKey::All, None))
    );
    assert_eq!(
        "* ESEARCH (TAG \"a\")\r\na OK Searched\r\n",
        session.say(search(SearchKey::Flag(SystemFlag::Seen), None))
    );
}

/// RFC 5182 §2.1: saved, used, and forgotten with the messages.
#[test]
fn what_was_saved_is_what_a_dollar_stands_for() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(12);
    let mut session = sandbox.in_inbox();
    let save = SearchReturn {
        save: true,
        ..SearchReturn::default()
    };
    assert_eq!(
        "a OK Searched\r\n",
        session.say(search(subject("1"), Some(save.clone())))
    );
    let said = session.say(fetch(SequenceSet::Saved, vec![FetchItem::Uid]));
    assert_eq!(5, said.lines().count(), "{said}");
    session.say(add_flags(SequenceSet::Saved, crate::sandbox::deleted()));
    session.say_uid(Command::Expunge(Some(numbers(&[(1, 10)]))));
    let said = session.say(fetch(SequenceSet::Saved, vec![FetchItem::Uid]));
    assert_eq!(
        "* 9 FETCH (UID 11)\r\n* 10 FETCH (UID 12)\r\na OK Fetched\r\n",
        said
    );
    assert_eq!(
        "* SEARCH 9 10\r\na OK Searched\r\n",
        session.say(search(SearchKey::Sequence(SequenceSet::Saved), None))
    );
    let min = SearchReturn { min: true, ..save };
    session.say(search(subject("1"), Some(min)));
    let said = session.say(fetch(SequenceSet::Saved, vec![FetchItem::Uid]));
    assert_eq!("* 9 FETCH (UID 11)\r\na OK Fetched\r\n", said);
}

/// RFC 7162 §3.1.5: the highest mod-sequence of what was found comes along.
#[test]
fn a_search_for_mod_sequences_says_them() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(3);
    let mut session = sandbox.in_inbox();
    session.say(add_flags(numbers(&[(2, 2)]), seen()));
    let said = session.say(search(SearchKey::ModSeq(0), None));
    let modseq = said
        .split_once("(MODSEQ ")
        .and_then(|(_, rest)| rest.split_once(')'))
        .unwrap()
        .0
        .to_owned();
    assert_eq!(
        format!("* SEARCH 2 (MODSEQ {modseq})\r\na OK Searched\r\n"),
        session.say(search(SearchKey::ModSeq(modseq.parse().unwrap()), None))
    );
    let said = session.say(fetch(numbers(&[(2, 2)]), vec![FetchItem::ModSeq]));
    assert_eq!(format!("* 2 FETCH (MODSEQ ({modseq}))\r\na OK Fetched\r\n"), said);
}

fn subjects(sandbox: &Sandbox) {
    for (subject, id, parent) in [("b", "1@x", ""), ("Re: a", "2@x", "<3@x>"), ("a", "3@x", "")] {
        let reference = if parent.is_empty() {
            String::new()
        } else {
            format!("References: {parent}\n")
        };
        let content = format!(
            "Message-ID: <{id}>\n{reference}Subject: {subject}\nDate: Mon, 7 Feb 1994 21:52:2{} -0800\n\nx\n",
            &id[..1]
        );
        sandbox.deliver(&content);
    }
}

#[test]
fn what_is_sorted_is_said_in_that_order() {
    let sandbox = Sandbox::new();
    subjects(&sandbox);
    let mut session = sandbox.in_inbox();
    let sort = |returns| {
        Command::Search(Box::new(Search {
            kind: SearchKind::Sort(vec![SortCriterion {
                reverse: false,
                by: SortBy::Subject,
            }]),
            returns,
            charset: Some("UTF-8".to_owned()),
            key: SearchKey::All,
        }))
    };
    assert_eq!("* SORT 2 3 1\r\na OK Searched\r\n", session.say(sort(None)));
    assert_eq!(
        "* ESEARCH (TAG \"a\") UID MIN 2 MAX 1 COUNT 3 ALL 2:3,1\r\na OK Searched\r\n",
        session.say_uid(sort(Some(all_returns())))
    );
}

#[test]
fn conversations_are_said_as_trees() {
    let sandbox = Sandbox::new();
    subjects(&sandbox);
    let mut session = sandbox.in_inbox();
    let thread = Command::Search(Box::new(Search {
        kind: SearchKind::Thread(ThreadAlgorithm::References),
        returns: None,
        charset: Some("UTF-8".to_owned()),
        key: SearchKey::All,
    }));
    assert_eq!("* THREAD (1)(3 2)\r\na OK Searched\r\n", session.say(thread));
}
