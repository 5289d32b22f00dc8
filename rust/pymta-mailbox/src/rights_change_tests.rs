//! Files of rights that break, while somebody is at work.

use std::os::unix::net::UnixListener;

use pymta_imap::command::FetchItem;

use crate::rights_tests::{BOB, NOTHING, TEAM, inside, is_ok, list, set_acl, status};
use crate::sandbox::{Session, fetch, numbers, select};

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
