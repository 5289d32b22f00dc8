//! Sessions between whose steps another one does something.

use pymta_imap::command::{
    Command, FetchItem, Flags, Section, SectionForm, SectionText, StoreAction, Tagged,
};
use pymta_imap::{Asked, AskedAppend, AskedMessage, Enabled};

use crate::messages::FlagChange;
use crate::sandbox::{Sandbox, Session, add_flags, all, deleted, fetch, now, seen, select};
use crate::{Quota, Upload};

/// What another session did between this one's look and its change was overwritten in the picture, and never told.
#[test]
fn flags_that_a_silent_store_meets_are_told() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(2);
    let (mut one, mut other) = (sandbox.in_inbox(), sandbox.in_inbox());
    let change = |action, flags| FlagChange {
        by_uid: false,
        unchanged_since: None,
        action,
        silent: true,
        flags,
    };
    other.say(add_flags(all(), deleted()));
    // As the command does it, after its look.
    let add = change(StoreAction::Add, seen());
    one.view.store(&all(), &add, &mut Vec::new(), now()).unwrap();
    assert_eq!(
        "* 1 FETCH (FLAGS (\\Deleted \\Seen))\r\n* 2 FETCH (FLAGS (\\Deleted \\Seen))\r\n",
        one.poll()
    );
    // What is replaced is as the client thinks it is; and what nobody else touched, too.
    other.say(add_flags(
        all(),
        Flags {
            keywords: vec!["$Junk".to_owned()],
            ..Default::default()
        },
    ));
    let replace = change(StoreAction::Replace, seen());
    one.view.store(&all(), &replace, &mut Vec::new(), now()).unwrap();
    assert!(!one.poll().contains("FETCH"));
    let remove = change(StoreAction::Remove, seen());
    one.view.store(&all(), &remove, &mut Vec::new(), now()).unwrap();
    assert_eq!("", one.poll());
}

/// Who loses the connection in the middle of a FETCH has not seen what was never said.
#[test]
fn only_what_is_about_to_be_said_becomes_seen() {
    let sandbox = Sandbox::new();
    let content = format!("Subject: large\n\n{}", "x".repeat(990));
    for _ in 0..600 {
        sandbox.deliver(&content);
    }
    let mut session = sandbox.in_inbox();
    let body = FetchItem::Section(Section {
        part: Vec::new(),
        text: SectionText::All,
        peek: false,
        partial: None,
        form: SectionForm::Body,
    });
    let asked = Asked {
        tagged: Tagged {
            tag: "a".to_owned(),
            by_uid: false,
            command: fetch(all(), vec![body]),
        },
        enabled: session.enabled,
    };
    let mut other = sandbox.in_inbox();
    let mut said = session.view.run(asked, now());
    let count = |text: &str| text.matches("\\Seen").count();
    assert!(session.view.is_running());
    let seen_so_far = count(&other.poll());
    while session.view.is_running() {
        said.extend(session.view.go_on(now()));
    }
    assert_eq!(600, count(&String::from_utf8(said).unwrap()));
    assert!((60..=256).contains(&seen_so_far), "{seen_so_far}");
    assert_eq!(600 - seen_so_far, count(&other.poll()));
    assert!(!session.say(Command::Noop).contains("FETCH"));
}

/// The operator gave more (or less) while a session of the account goes on.
#[test]
fn a_changed_quota_holds_for_who_logs_in_next() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(2);
    let with_room_for = |messages| {
        let quota = Quota {
            octets: None,
            messages: Some(messages),
        };
        sandbox.session_with(Enabled::default(), quota)
    };
    let refusal = |session: &mut Session| begin(session).refusal().map(|refusal| refusal.code.clone());
    let mut before = with_room_for(2);
    assert_eq!(Some("OVERQUOTA".into()), refusal(&mut before));
    let mut after = with_room_for(3);
    assert_eq!(None, refusal(&mut after));
    assert_eq!(Some("OVERQUOTA".into()), refusal(&mut before));
    before.say(select("INBOX"));
    let mut upload = begin(&mut after);
    upload.message(message());
    upload.write(b"Subject: a\r\n\r\nb\r\n");
    after.view.end_append(upload, now());
    assert_eq!("* 3 EXISTS\r\n* 0 RECENT\r\n", before.poll());
}

fn begin(session: &mut Session) -> Upload {
    let asked = AskedAppend {
        tag: "a".to_owned(),
        mailbox: "INBOX".to_owned(),
        replaces: None,
        enabled: session.enabled,
    };
    session.view.begin_append(asked, None, now())
}

fn message() -> AskedMessage {
    AskedMessage {
        flags: Flags::default(),
        internal_date_s: None,
        octets: None,
    }
}

/// Only the first message's size is known at the beginning, and of CATENATE none.
#[test]
fn an_upload_over_quota_is_refused_before_it_fills_the_disk() {
    let sandbox = Sandbox::new();
    let quota = Quota {
        octets: Some(1 << 20),
        messages: Some(3),
    };
    let mut session = sandbox.session_with(Enabled::default(), quota);
    let mut upload = begin(&mut session);
    let mut written = 0;
    for _ in 0..3 {
        upload.message(message());
        for _ in 0..10 {
            if upload.refusal().is_none() {
                upload.write(&[b'x'; 64 * 1024]);
                written += 64 * 1024;
            }
        }
    }
    assert_eq!("OVERQUOTA", upload.refusal().unwrap().code);
    assert!((1 << 20..(1 << 20) + 512 * 1024).contains(&written), "{written}");
    assert!(Sandbox::files(&sandbox.folder().join("tmp")).is_empty());
    // What is announced is refused before it is sent; and so is one message too many.
    let mut upload = begin(&mut session);
    upload.message(message());
    upload.write(&[b'x'; 1024]);
    assert_eq!(None, upload.refusal());
    upload.message(AskedMessage {
        octets: Some(1 << 20),
        ..message()
    });
    assert_eq!("OVERQUOTA", upload.refusal().unwrap().code);
    let mut upload = begin(&mut session);
    for _ in 0..3 {
        upload.message(message());
    }
    assert_eq!(None, upload.refusal());
    upload.message(message());
    assert_eq!("OVERQUOTA", upload.refusal().unwrap().code);
}
