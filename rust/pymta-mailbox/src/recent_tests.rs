//! `\Recent` and RECENT (RFC 3501 §2.3.2): one session is told of a message first.

use pymta_imap::Enabled;
use pymta_imap::command::{Command, FetchItem, StatusItem};

use crate::sandbox::{Sandbox, Session, add_flags, all, fetch, seen, select};

fn sandbox(count: usize) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.has_recent = true;
    sandbox.deliver_many(count);
    sandbox
}

fn status(session: &mut Session) -> String {
    session.say(Command::Status {
        mailbox: "INBOX".to_owned(),
        items: vec![StatusItem::Recent],
    })
}

#[test]
fn the_first_session_that_is_told_has_what_is_recent() {
    let sandbox = sandbox(2);
    let (mut one, mut other) = (sandbox.session(), sandbox.session());
    assert!(status(&mut one).starts_with("* STATUS INBOX (RECENT 2)\r\n"));
    assert!(one.say(select("INBOX")).contains("* 2 RECENT\r\n"));
    assert!(other.say(select("INBOX")).contains("* 0 RECENT\r\n"));
    assert!(status(&mut one).starts_with("* STATUS INBOX (RECENT 0)\r\n"));

    sandbox.deliver("Subject: x\n\nthree\n");
    assert_eq!("* 3 EXISTS\r\n* 1 RECENT\r\n", other.poll());
    assert_eq!("* 3 EXISTS\r\n* 2 RECENT\r\n", one.poll());
    // A flag that anybody changes leaves it as it is.
    one.say(add_flags(all(), seen()));
    assert_eq!(
        "* 1 FETCH (FLAGS (\\Seen))\r\n* 2 FETCH (FLAGS (\\Seen))\r\n* 3 FETCH (FLAGS (\\Seen \\Recent))\r\n",
        other.poll()
    );
    assert!(
        one.say(fetch(all(), vec![FetchItem::Flags]))
            .starts_with("* 1 FETCH (FLAGS (\\Seen \\Recent))\r\n")
    );
    assert!(one.say(select("INBOX")).contains("* 0 RECENT\r\n"));
}

#[test]
fn who_only_looks_takes_nothing_and_imap4rev2_knows_no_such_flag() {
    let sandbox = sandbox(1);
    let mut looking = sandbox.session();
    let examine = Command::Select {
        mailbox: "INBOX".to_owned(),
        read_only: true,
        condstore: false,
        qresync: None,
    };
    assert!(looking.say(examine).contains("* 1 RECENT\r\n"));
    let rev2 = Enabled {
        rev2: true,
        ..Enabled::default()
    };
    let mut new = sandbox.in_inbox_with(rev2);
    assert!(!new.say(fetch(all(), vec![FetchItem::Flags])).contains("Recent"));
    assert!(sandbox.session().say(select("INBOX")).contains("* 1 RECENT\r\n"));
}
