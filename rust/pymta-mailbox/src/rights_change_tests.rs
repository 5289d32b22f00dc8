//! Rights that go away, and files of rights that break, while somebody is at work.

use std::os::unix::net::UnixListener;

use pymta_imap::command::{FetchItem, Flags};
use pymta_imap::{AskedAppend, AskedMessage, Enabled, Replaces};

use crate::rights_tests::{
    BOB, FORBIDDEN, NOTHING, TEAM, create, inside, is_ok, list, rename, set_acl, status, with,
};
use crate::sandbox::{Session, fetch, now, numbers, select};

fn flags(session: &mut Session) -> String {
    session.say(fetch(numbers(&[(1, 1)]), vec![FetchItem::Flags]))
}

#[test]
fn a_file_of_rights_that_breaks_closes_the_mailbox_to_all_but_its_owner() {
    for breaks in [
        (|path| std::fs::write(path, "anyone lr\nwho knows\n").unwrap()) as fn(&std::path::Path),
        |path| drop(UnixListener::bind(path).unwrap()), // cannot be opened at all
        |path| std::fs::create_dir(path).unwrap(),
    ] {
        let (sandbox, mut owner, mut bob) = inside("lrs");
        let path = sandbox.folder().join(".Team/dovecot-acl");
        let before = std::fs::read(&path).unwrap();
        assert!(is_ok(&flags(&mut bob)));
        assert_eq!(None, bob.view.take_trouble());

        std::fs::remove_file(&path).unwrap();
        breaks(&path);
        let said = flags(&mut bob);
        assert!(said.contains("[CLOSED]") && !is_ok(&said), "{said}");
        assert_eq!(NOTHING, bob.say(select(TEAM)));
        assert!(!bob.say(list("*")).contains(TEAM));
        let said = owner.say(select("Team"));
        assert!(said.contains("a OK [READ-WRITE]"), "{said}");
        assert!(owner.say(set_acl("Team", BOB, "lr")).contains("NO [UNAVAILABLE]"));

        // One line, whoever meets it how often.
        let told = bob.view.take_trouble().unwrap();
        assert!(told.contains("mailbox Team of user@example.test"), "{told}");
        assert_eq!(None, bob.view.take_trouble());
        assert_eq!(None, owner.view.take_trouble());

        let _ = std::fs::remove_dir(&path);
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, before).unwrap();
        assert!(is_ok(&bob.say(status(TEAM))));
        std::fs::write(&path, "broken").unwrap();
        assert_eq!(NOTHING, bob.say(status(TEAM)));
        let told = bob.view.take_trouble().unwrap();
        assert!(told.contains("line 1 is not understood"), "{told}");
    }
}

fn append_to_team(replaces: Option<Replaces>) -> AskedAppend {
    AskedAppend {
        tag: "a".to_owned(),
        mailbox: TEAM.to_owned(),
        replaces,
        enabled: Enabled::default(),
    }
}

#[test]
fn flags_that_he_may_not_set_any_more_when_his_upload_ends_are_left_out() {
    for (left, flags) in [
        ("lriswt", "\\Flagged \\Deleted \\Seen work"),
        ("lris", "\\Seen"),
        ("lri", ""),
    ] {
        let (_sandbox, mut owner, mut bob) = inside("lriswt");
        let mut upload = bob.view.begin_append(append_to_team(None), Some(5), now());
        upload.message(AskedMessage {
            flags: Flags {
                seen: true,
                flagged: true,
                deleted: true,
                keywords: vec!["work".to_owned()],
                ..Flags::default()
            },
            internal_date_s: None,
            octets: Some(5),
        });
        upload.write(b"x\r\n\r\n");
        owner.say(set_acl("Team", BOB, left));
        let ended = String::from_utf8(bob.view.end_append(upload, now())).unwrap();
        assert!(ended.contains("a OK"), "{ended}");
        owner.say(select("Team"));
        let said = owner.say(fetch(numbers(&[(2, 2)]), vec![FetchItem::Flags]));
        assert!(
            said.starts_with(&format!("* 2 FETCH (FLAGS ({flags}))")),
            "{left}: {said}"
        );
    }
}

#[test]
fn who_may_not_insert_any_more_when_his_upload_ends_has_inserted_nothing() {
    let first = Some(Replaces {
        number: 1,
        by_uid: true,
    });
    for (replaces, given, left, said, uids) in [
        (None, "lri", "lr", FORBIDDEN, "1"),
        (None, "lri", "", NOTHING, "1"),
        (None, "lri", "lri", "a OK", "1:2"),
        (first, "lrite", "lrte", FORBIDDEN, "1"),
        (first, "lrite", "lrit", FORBIDDEN, "1"),
        (first, "lrite", "lrie", FORBIDDEN, "1"),
        (first, "lrite", "", NOTHING, "1"),
        (first, "lrite", "lrite", "* OK [APPENDUID", "2"),
    ] {
        let (_sandbox, mut owner, mut bob) = inside(given);
        let mut upload = bob.view.begin_append(append_to_team(replaces), Some(5), now());
        assert_eq!(None, upload.refusal());
        upload.message(AskedMessage {
            flags: Flags::default(),
            internal_date_s: None,
            octets: Some(5),
        });
        upload.write(b"x\r\n\r\n");
        owner.say(set_acl("Team", BOB, left));
        let ended = String::from_utf8(bob.view.end_append(upload, now())).unwrap();
        assert!(ended.contains(said), "{left}: {ended}");
        owner.say(select("Team"));
        let found = owner.flags();
        let count = if uids == "1:2" { 2 } else { 1 };
        assert_eq!(count, found.matches("FETCH (UID").count(), "{left}: {found}");
        let last = uids.rsplit(':').next().unwrap();
        assert!(found.contains(&format!("UID {last} ")), "{left}: {found}");
    }
}

#[test]
fn a_name_that_is_taken_is_so_only_to_who_may_look_it_up() {
    let (_sandbox, mut owner, mut bob) = with("lrkx");
    let hidden = format!("{TEAM}/Hidden");
    owner.say(create("Team/Hidden"));
    owner.say(create("Team/Old"));
    assert!(bob.say(create(&hidden)).starts_with("a NO [ALREADYEXISTS]"));
    owner.say(set_acl("Team/Hidden", BOB, "r"));
    for rights in ["r", ""] {
        owner.say(set_acl("Team/Hidden", BOB, rights));
        assert_eq!(FORBIDDEN, bob.say(create(&hidden)));
        assert_eq!(FORBIDDEN, bob.say(rename(&format!("{TEAM}/Old"), &hidden)));
        assert_eq!(FORBIDDEN, bob.say(create(&format!("{hidden}/Below"))));
    }
}

#[test]
fn a_name_that_is_taken_is_always_so_to_its_owner() {
    let (_sandbox, mut owner, _bob) = with("");
    // Nothing is called `New`, but a mailbox below `Team` could not go along.
    owner.say(create("Team/Below"));
    owner.say(create("New/Below"));
    for name in ["New", "New/Below", "INBOX"] {
        let said = owner.say(rename("Team", name));
        assert!(said.starts_with("a NO [ALREADYEXISTS]"), "{name}: {said}");
    }
}

#[test]
fn below_a_mailbox_that_is_hidden_create_says_what_it_says_below_none() {
    let (_sandbox, mut owner, mut bob) = with("");
    let above = "Other Users/user@example.test";
    for rights in ["", "r", "rx"] {
        owner.say(set_acl("Team", BOB, rights));
        for name in [
            format!("{TEAM}/New"),
            format!("{above}/None/New"),
            format!("{above}/New"),
        ] {
            assert_eq!(NOTHING, bob.say(create(&name)), "{rights} {name}");
        }
    }
}
