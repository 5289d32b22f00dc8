//! That a search finds the same with texts kept as without.

use proptest::prelude::*;
use std::sync::Arc;

use pymta_imap::command::{Command, Search, SearchKey, SearchKind};

use pymta_index::{Details, IndexError, TextFilter};

use crate::content::Octets;
use crate::sandbox::{Sandbox, Session, add_flags, deleted, numbers, select};
use crate::search::{Context, Program, Run};
use crate::searching::Shelf;
use crate::source::Source;

fn search(key: SearchKey) -> Command {
    Command::Search(Box::new(Search {
        kind: SearchKind::Search,
        returns: None,
        charset: None,
        key,
    }))
}

/// Two accounts with the same mail: texts are kept of one.
struct Twins {
    with: Sandbox,
    without: Sandbox,
}

impl Twins {
    fn new() -> Self {
        Self {
            with: Sandbox::with_full_text(),
            without: Sandbox::new(),
        }
    }

    fn deliver(&self, content: &str) {
        self.with.deliver(content);
        self.without.deliver(content);
    }

    fn sessions(&self) -> [Session; 2] {
        [&self.with, &self.without].map(|sandbox| {
            let mut session = sandbox.session();
            session.say(select("INBOX"));
            session
        })
    }
}

fn read_all(sandbox: &Sandbox, now: pymta_types::UnixMs) {
    for _ in 0..1000 {
        if !sandbox.accounts.has_chores() {
            return;
        }
        sandbox.accounts.do_chore(now).unwrap();
    }
    panic!("there is no end");
}

/// A message of that text, written in one of the ways in which mail is written.
fn mail(way: u8, subject: &str, text: &str) -> String {
    let plain = text.replace('\n', " \n");
    let encoded: String = text
        .bytes()
        .map(|octet| format!("={octet:02X}"))
        .collect::<Vec<_>>()
        .chunks(20)
        .map(|line| format!("{}=\n", line.concat()))
        .collect();
    let subject: String = subject.chars().filter(|c| !c.is_control()).collect();
    match way % 5 {
        0 => format!("Subject: {subject}\n\n{plain}\n"),
        1 => format!(
            "Subject: {subject}\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: \
             quoted-printable\n\n{encoded}\n"
        ),
        2 => format!(
            "Subject: {subject}\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Description: \
             {subject}\n\n{plain}\n--b\nContent-Type: image/png\n\nnot text\n--b\nContent-Type: text/plain; \
             charset=iso-8859-1\n\n{plain}\n--b--\n"
        ),
        3 => format!("Subject: outer\nContent-Type: message/rfc822\n\nSubject: {subject}\n\n{plain}\n"),
        _ => format!("Subject: {subject}\nX-Long: {}\n\n{plain}\n", "word ".repeat(900)),
    }
}

fn keys(text: &str) -> Vec<SearchKey> {
    let text = || text.to_owned();
    vec![
        SearchKey::Body(text()),
        SearchKey::Text(text()),
        SearchKey::Not(Box::new(SearchKey::Body(text()))),
        SearchKey::Not(Box::new(SearchKey::Text(text()))),
        SearchKey::Or(Box::new((
            SearchKey::Header(b"Subject".to_vec(), text()),
            SearchKey::Body(text()),
        ))),
        SearchKey::And(vec![SearchKey::Body("e".to_owned()), SearchKey::Body(text())]),
    ]
}

fn assert_twins(sessions: &mut [Session; 2], key: &SearchKey) {
    let [with, without] = sessions;
    assert_eq!(
        without.say(search(key.clone())),
        with.say(search(key.clone())),
        "{key:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_search_finds_what_it_finds_without(
        mails in prop::collection::vec(
            (any::<u8>(), "[a-zA-Zé ]{0,12}", "([a-cA-CéÉßẞſK\u{301}ΣςŒ\"'*^():\u{1f600} \n-]|foo|FOO|\r\n){0,60}"), 1..8
        ),
        later in prop::collection::vec((any::<u8>(), "[a-z ]{0,9}", "[a-cé \n]{0,40}"), 0..3),
        free in prop::collection::vec("[a-cA-CéÉSsΣσKk\"*: \n-]{1,5}", 0..6),
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1usize..9), 1..8),
    ) {
        let twins = Twins::new();
        for (way, subject, text) in &mails {
            twins.deliver(&mail(*way, subject, text));
        }
        let mut sessions = twins.sessions();
        let now = sessions[0].now;
        read_all(&twins.with, now);
        for (way, subject, text) in &later {
            twins.deliver(&mail(*way, subject, text));
        }
        let mut texts = free;
        for (which, from, count) in picks {
            let text: Vec<char> = which.get(&mails).2.chars().collect();
            if !text.is_empty() {
                let from = from.index(text.len());
                texts.push(text[from..(from + count).min(text.len())].iter().collect());
            }
        }
        // Some known and some not; then all of them, without one that is gone.
        for known in [false, true] {
            for text in &texts {
                for key in keys(text) {
                    assert_twins(&mut sessions, &key);
                }
            }
            if !known {
                for session in &mut sessions {
                    session.now = session.now.plus_ms(60_000);
                    session.say(add_flags(numbers(&[(1, 1)]), deleted()));
                    session.say(Command::Expunge(None));
                }
                read_all(&twins.with, now.plus_ms(60_000));
            }
        }
    }
}

/// Counts the files that are opened.
struct Counting(Shelf, usize);

impl Source for Counting {
    fn details(&mut self, uids: &[u32]) -> Result<Vec<Details>, IndexError> {
        self.0.details(uids)
    }

    fn records(&mut self, uids: &[u32]) -> Result<Vec<Option<Vec<u8>>>, IndexError> {
        self.0.records(uids)
    }

    fn keep(&mut self, records: Vec<(u32, Vec<u8>)>) -> Result<(), IndexError> {
        self.0.keep(records)
    }

    fn open(&mut self, uid: u32) -> Result<Option<Box<dyn Octets>>, IndexError> {
        self.1 += 1;
        self.0.open(uid)
    }

    fn text_filter(&mut self, texts: &[&str]) -> Option<TextFilter> {
        self.0.text_filter(texts)
    }
}

#[test]
fn only_what_may_hold_a_text_is_read() {
    let sandbox = Sandbox::with_full_text();
    for number in 0..300 {
        sandbox.deliver(&format!("Subject: about {number}\n\nbody {number}\n"));
    }
    let mut session = sandbox.in_inbox();
    read_all(&sandbox, session.now);
    session.say(search(SearchKey::Header(b"Subject".to_vec(), "x".to_owned()))); // records are made
    let picture = session.view.selected.as_ref().unwrap();
    let context = Context {
        keywords: &[],
        count: 300,
        last_uid: 300,
        saved: &[],
        now_s: 0,
    };
    let text = |text: &str| text.to_owned();
    for (key, found, opened) in [
        (SearchKey::Body(text("ody 177")), 1, 1),
        (SearchKey::Not(Box::new(SearchKey::Body(text("ody 177")))), 299, 1),
        (SearchKey::Text(text("body 177")), 1, 1),
        (SearchKey::Text(text("about 17")), 11, 0),
        (SearchKey::Body(text("nobody")), 0, 0),
        (SearchKey::Body(text("77")), 3, 300),
    ] {
        let mut source = Counting(
            Shelf {
                mailbox: Arc::clone(&picture.mailbox),
                now: session.now,
            },
            0,
        );
        let mut run = Run::new(Program::new(&key, &context), 300);
        while !run.go_on(picture.rows(), &mut source, 100, u64::MAX).unwrap() {}
        assert_eq!((found, opened), (run.into_found().len(), source.1), "{key:?}");
    }
}

#[test]
fn new_mail_is_read_ahead_while_somebody_looks() {
    let sandbox = Sandbox::with_full_text();
    let mut session = sandbox.in_inbox();
    read_all(&sandbox, session.now);
    sandbox.deliver("Subject: new\n\nbanana\n");
    assert!(session.poll().contains("1 EXISTS"));
    assert!(sandbox.accounts.has_chores());
    read_all(&sandbox, session.now);
    let mailbox = &session.view.selected.as_ref().unwrap().mailbox;
    assert!(
        mailbox
            .text_filter(&["CHERRY"])
            .unwrap()
            .unwrap()
            .excludes(1, b"CHERRY")
    );
    session.view.selected = None;
    session.say(select("INBOX"));
    drop(session);
    assert!(sandbox.accounts.has_chores());
    read_all(&sandbox, crate::sandbox::now()); // nobody has it open
}

#[test]
fn where_texts_are_not_kept_there_is_no_file() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(2);
    let session = sandbox.in_inbox();
    assert!(!sandbox.accounts.has_chores());
    sandbox.accounts.do_chore(session.now).unwrap();
    assert!(!sandbox.folder().join("pymta.search").exists());
}
