//! How long things take in a large mailbox. Not a test of anything that must hold: run by hand, in a release build.
//!
//! `cargo test --release -p pymta-mailbox speed -- --ignored --nocapture`

use std::fs;
use std::time::Instant;

use pymta_imap::command::{Command, FetchItem, Search, SearchKey, SearchKind, SystemFlag};

use pymta_types::UnixMs;

use crate::sandbox::{Sandbox, add_flags, deleted, fetch, numbers, seen, select};

const MESSAGES: u32 = 100_000;

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    println!("{:>10.3} ms  {what}", begun.elapsed().as_secs_f64() * 1000.0);
    done
}

fn search(key: SearchKey) -> Command {
    Command::Search(Box::new(Search {
        kind: SearchKind::Search,
        returns: None,
        charset: None,
        key,
    }))
}

#[test]
#[ignore = "measures; takes some seconds"]
fn speed_of_a_large_mailbox() {
    let sandbox = Sandbox::new();
    let mut session = sandbox.session();
    let cur = sandbox.folder().join("cur");
    for number in 0..MESSAGES {
        let content = format!(
            "From: Somebody {number} <s{number}@example.test>\nTo: user@example.test\nSubject: about {number}\n\
            Date: Mon, 7 Feb 1994 21:52:25 -0800\nMessage-ID: <{number}@example.test>\n\nhello {number}\n"
        );
        let octets = content.len();
        let lines = content.matches('\n').count();
        let name = format!(
            "1700000000.M{number:06}P1Q{number}.mail.example.test,S={octets},W={}:2,S",
            octets + lines
        );
        fs::write(cur.join(name), content).unwrap();
    }
    // A folder that changed just now is listed at every look; this one rests.
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    session.now = UnixMs(u64::try_from(since.as_millis()).unwrap() + 60_000);
    let ten_thousand = || numbers(&[(1, 10_000)]);
    timed("SELECT, first", || session.say(select("INBOX")));
    timed("SELECT, listed", || session.say(select("INBOX")));
    timed("SELECT", || session.say(select("INBOX")));
    timed("NOOP", || session.say(Command::Noop));
    timed("FETCH 1:10000 FLAGS", || {
        session.say(fetch(ten_thousand(), vec![FetchItem::Flags]))
    });
    let items = || {
        vec![
            FetchItem::Uid,
            FetchItem::Flags,
            FetchItem::Envelope,
            FetchItem::Size,
            FetchItem::InternalDate,
        ]
    };
    timed("FETCH 1:10000 (FLAGS ENVELOPE …), first", || {
        session.say(fetch(ten_thousand(), items()))
    });
    timed("FETCH 1:10000 (FLAGS ENVELOPE …)", || {
        session.say(fetch(ten_thousand(), items()))
    });
    timed("SEARCH UNSEEN", || {
        session.say(search(SearchKey::Not(Box::new(SearchKey::Flag(
            SystemFlag::Seen,
        )))))
    });
    let subject = SearchKey::And(vec![
        SearchKey::Sequence(ten_thousand()),
        SearchKey::Header(b"Subject".to_vec(), "999".to_owned()),
    ]);
    timed("SEARCH 1:10000 SUBJECT 999", || session.say(search(subject)));
    timed("STORE 1:10000 +FLAGS \\Deleted", || {
        session.say(add_flags(ten_thousand(), deleted()))
    });
    session.now = session.now.plus_ms(60_000);
    timed("EXPUNGE of 10,000", || session.say(Command::Expunge(None)));
    session.now = session.now.plus_ms(60_000);
    session.say(Command::Noop);
    timed("STORE 1 +FLAGS \\Seen", || {
        session.say(add_flags(numbers(&[(1, 1)]), seen()))
    });
}
