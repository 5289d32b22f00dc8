//! The table of RFC 4314 §4, row by row: what is done with a right, and what is said without it.

use pymta_imap::command::{Command, List, StatusItem, StoreAction};
use pymta_imap::{AskedAppend, AskedMessage, Enabled};

use crate::others::Owner;
use crate::sandbox::{Sandbox, Session, add_flags, all, copy, deleted, fetch, now, seen, select};
use crate::{Accounts, MailboxPath, Quota, Reader};
use pymta_imap::command::{FetchItem, Flags, Section, SectionForm, SectionText};

pub(crate) const OWNER: &str = "user@example.test";
pub(crate) const BOB: &str = "bob@example.test";
pub(crate) const TEAM: &str = "Other Users/user@example.test/Team";
pub(crate) const NOTHING: &str = "a NO [NONEXISTENT] No such mailbox\r\n";
pub(crate) const FORBIDDEN: &str = "a NO [NOPERM] You have no right to do that\r\n";

/// The owner's session, and one of bob's, to whom the owner is known.
pub(crate) fn two() -> (Sandbox, Session, Session) {
    let sandbox = Sandbox::new();
    let mut owner = sandbox.session();
    owner.say(create("Team"));
    let bob = bob_of(&sandbox.accounts);
    (sandbox, owner, bob)
}

pub(crate) fn bob_of(accounts: &Accounts) -> Session {
    let reader = Reader {
        account: BOB.to_owned(),
        quota: Quota::default(),
        append_octets_max: None,
        shares: true,
        shares_with_anyone: false,
    };
    let path = MailboxPath::new(["bob"]).unwrap();
    let mut view = accounts.open(&path, reader, now()).unwrap();
    let owner = Owner {
        account: OWNER.to_owned(),
        path: MailboxPath::new(["user"]).unwrap(),
        quota: Quota::default(),
    };
    view.introduce(OWNER.to_owned(), Some(owner));
    Session {
        view,
        enabled: Enabled::default(),
        now: now(),
        largest: 0,
    }
}

pub(crate) fn create(mailbox: &str) -> Command {
    Command::Create {
        mailbox: mailbox.to_owned(),
        special_use: Vec::new(),
    }
}

pub(crate) fn set_acl(mailbox: &str, identifier: &str, rights: &str) -> Command {
    Command::SetAcl {
        mailbox: mailbox.to_owned(),
        identifier: identifier.to_owned(),
        rights: Some(rights.to_owned()),
    }
}

pub(crate) fn rename(from: &str, to: &str) -> Command {
    Command::Rename {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

pub(crate) fn list_rights(mailbox: &str, identifier: &str) -> Command {
    Command::ListRights {
        mailbox: mailbox.to_owned(),
        identifier: identifier.to_owned(),
    }
}

pub(crate) fn status(mailbox: &str) -> Command {
    Command::Status {
        mailbox: mailbox.to_owned(),
        items: vec![StatusItem::Messages],
    }
}

pub(crate) fn list(pattern: &str) -> Command {
    Command::List(List {
        patterns: vec![pattern.to_owned()],
        ..List::default()
    })
}

/// How an APPEND of one message ends; what flags it has then is the mailbox's to say.
pub(crate) fn append(session: &mut Session, mailbox: &str, flags: Flags) -> String {
    let asked = AskedAppend {
        tag: "a".to_owned(),
        mailbox: mailbox.to_owned(),
        replaces: None,
        enabled: Enabled::default(),
    };
    let mut upload = session.view.begin_append(asked, Some(4), now());
    if let Some(refusal) = upload.refusal() {
        return format!("a NO [{}] {}\r\n", refusal.code, refusal.text);
    }
    upload.message(AskedMessage {
        flags,
        internal_date_s: None,
        octets: Some(4),
    });
    upload.write(b"x\r\n\r\n");
    String::from_utf8(session.view.end_append(upload, now())).unwrap()
}

fn flagged() -> Flags {
    Flags {
        flagged: true,
        ..Flags::default()
    }
}

fn every_flag() -> Flags {
    Flags {
        flagged: true,
        seen: true,
        deleted: true,
        keywords: vec!["work".to_owned()],
        ..Flags::default()
    }
}

/// Bob with exactly those rights to Team, which has one message; nothing selected.
pub(crate) fn with(rights: &str) -> (Sandbox, Session, Session) {
    let (sandbox, mut owner, bob) = two();
    assert!(append(&mut owner, "Team", Flags::default()).starts_with("a OK"));
    assert_eq!("a OK Done\r\n", owner.say(set_acl("Team", BOB, rights)));
    (sandbox, owner, bob)
}

/// Likewise, with Team selected; r is among the rights.
pub(crate) fn inside(rights: &str) -> (Sandbox, Session, Session) {
    let (sandbox, owner, mut bob) = with(rights);
    let said = bob.say(select(TEAM));
    assert!(said.contains("a OK"), "{said}");
    (sandbox, owner, bob)
}

pub(crate) fn is_ok(said: &str) -> bool {
    said.lines().any(|line| line.starts_with("a OK"))
}

/// Does it with each right alone, and with l beside it where that fails; which of them let it be done.
fn rights_that_suffice(act: impl Fn(&mut Session) -> String) -> String {
    let mut suffice = String::new();
    let (mut sandbox, mut owner, mut bob) = with("");
    for right in "rswipkxtea".chars() {
        owner.say(set_acl("Team", BOB, &right.to_string()));
        let said = act(&mut bob);
        if is_ok(&said) {
            suffice.push(right);
            (sandbox, owner, bob) = with("");
            continue;
        }
        // Without l it is not even there.
        assert_eq!(NOTHING, said, "{right}");
        owner.say(set_acl("Team", BOB, &format!("l{right}")));
        assert_eq!(FORBIDDEN, act(&mut bob), "l{right}");
    }
    drop(sandbox);
    suffice
}

#[test]
fn each_command_needs_its_right() {
    let name = || TEAM.to_owned();
    let rows: [(&str, Command); 11] = [
        ("r", select(TEAM)),
        (
            "r",
            Command::Select {
                mailbox: name(),
                read_only: true,
                condstore: false,
                qresync: None,
            },
        ),
        ("r", status(TEAM)),
        ("r", Command::GetQuotaRoot(name())),
        ("k", create("Other Users/user@example.test/Team/New")),
        ("x", Command::Delete(name())),
        ("a", set_acl(TEAM, "eve@example.test", "lr")),
        (
            "a",
            Command::SetAcl {
                mailbox: name(),
                identifier: BOB.to_owned(),
                rights: None,
            },
        ),
        ("a", Command::GetAcl(name())),
        ("a", list_rights(TEAM, BOB)),
        ("w", {
            let entry = ("/shared/comment".to_owned(), Some(b"ours".to_vec()));
            Command::SetMetadata {
                mailbox: name(),
                entries: vec![entry],
            }
        }),
    ];
    for (needed, command) in rows {
        let suffice = rights_that_suffice(|bob| bob.say(command.clone()));
        assert_eq!(needed, suffice, "{command:?}");
    }
    assert_eq!(
        "i",
        rights_that_suffice(|bob| append(bob, TEAM, Flags::default()))
    );
    let copying = rights_that_suffice(|bob| {
        append(bob, "INBOX", Flags::default());
        bob.say(select("INBOX"));
        bob.say(copy(all(), TEAM, false))
    });
    assert_eq!("i", copying);
}

#[test]
fn myrights_needs_one_of_six() {
    for right in "lrswipkxtea".chars() {
        let (_sandbox, _owner, mut bob) = with(&right.to_string());
        let said = bob.say(Command::MyRights(TEAM.to_owned()));
        assert_eq!("lrikxa".contains(right), is_ok(&said), "{right}: {said}");
    }
    let (_sandbox, _owner, mut bob) = with("lrxt");
    let said = bob.say(Command::MyRights(TEAM.to_owned()));
    assert!(said.contains("Team\" lrxtcd\r\n"), "{said}");
}

#[test]
fn store_changes_what_it_may_and_fails_where_it_may_nothing() {
    let store = |action, flags| Command::Store {
        set: all(),
        unchanged_since: None,
        action,
        silent: false,
        flags,
    };
    for (rights, set) in [
        ("lrs", "\\Seen"),
        ("lrt", "\\Deleted"),
        ("lrw", "\\Flagged work"),
        ("lrsw", "\\Flagged \\Seen work"),
        ("lrswt", "\\Flagged \\Deleted \\Seen work"),
    ] {
        for action in [StoreAction::Add, StoreAction::Replace] {
            let (_sandbox, _owner, mut bob) = inside(rights);
            let said = not_recent(&bob.say(store(action, every_flag())));
            assert!(
                is_ok(&said) && said.contains(&format!("FLAGS ({set})")),
                "{rights}: {said}"
            );
        }
    }
    for (rights, flags) in [
        ("lrs", flagged()),
        ("lrw", seen()),
        ("lrsw", deleted()),
        ("lri", seen()),
    ] {
        let (_sandbox, _owner, mut bob) = inside(rights);
        assert_eq!(FORBIDDEN, bob.say(add_flags(all(), flags.clone())), "{rights}");
        assert_eq!(FORBIDDEN, bob.say(store(StoreAction::Remove, flags)), "{rights}");
    }
    let (_sandbox, _owner, mut bob) = inside("lrie");
    assert_eq!(FORBIDDEN, bob.say(store(StoreAction::Replace, Flags::default())));
    // What he may not change stays as it is.
    let (_sandbox, mut owner, mut bob) = inside("lrs");
    owner.say(select("Team"));
    owner.say(add_flags(all(), every_flag()));
    let said = not_recent(&bob.say(store(StoreAction::Replace, Flags::default())));
    assert!(said.contains("FLAGS (\\Flagged \\Deleted work)"), "{said}");
}

#[test]
fn select_says_what_can_be_changed() {
    for (rights, flags, access) in [
        ("lr", "", "READ-ONLY"),
        ("lrkxap", "", "READ-ONLY"),
        ("lri", "", "READ-WRITE"),
        ("lre", "", "READ-WRITE"),
        ("lrs", "\\Seen", "READ-WRITE"),
        ("lrt", "\\Deleted", "READ-WRITE"),
        ("lrw", "\\Answered \\Flagged \\Draft $Forwarded \\*", "READ-WRITE"),
    ] {
        let (_sandbox, _owner, mut bob) = with(rights);
        let said = bob.say(select(TEAM));
        assert!(
            said.contains(&format!("[PERMANENTFLAGS ({flags})]")),
            "{rights}: {said}"
        );
        assert!(said.contains(&format!("a OK [{access}]")), "{rights}: {said}");
    }
}

#[test]
fn fetch_sets_seen_for_who_may_and_is_carried_out_for_who_may_not() {
    let body = || {
        let section = Section {
            part: Vec::new(),
            text: SectionText::All,
            peek: false,
            partial: None,
            form: SectionForm::Body,
        };
        fetch(all(), vec![FetchItem::Section(section)])
    };
    for (rights, is_seen) in [("lrs", true), ("lrw", false), ("lr", false)] {
        let (_sandbox, _owner, mut bob) = inside(rights);
        let said = not_recent(&bob.say(body()));
        assert!(is_ok(&said) && said.contains("BODY[]"), "{said}");
        assert_eq!(is_seen, said.contains("FLAGS (\\Seen)"), "{rights}: {said}");
    }
}

#[test]
fn append_and_copy_drop_the_flags_that_may_not_be_set() {
    for (rights, flags) in [("lri", "()"), ("lris", "(\\Seen)"), ("lriw", "(\\Flagged work)")] {
        let (_sandbox, mut owner, mut bob) = with(rights);
        assert!(is_ok(&append(&mut bob, TEAM, every_flag())));
        append(&mut bob, "INBOX", every_flag());
        bob.say(select("INBOX"));
        let said = bob.say(copy(all(), TEAM, false));
        assert!(said.contains("a OK [COPYUID "), "{said}");
        owner.say(select("Team"));
        let said = not_recent(&owner.flags());
        for number in [2, 3] {
            let row = format!("* {number} FETCH (UID {number} FLAGS {flags})");
            assert!(said.contains(&row), "{rights}: {said}");
        }
    }
}

#[test]
fn expunge_needs_e_and_close_goes_without() {
    let (_sandbox, _owner, mut bob) = inside("lrt");
    bob.say(add_flags(all(), deleted()));
    assert_eq!(FORBIDDEN, bob.say(Command::Expunge(None)));
    assert_eq!("a OK Closed\r\n", bob.say(Command::Close));
    assert!(bob.say(status(TEAM)).contains("MESSAGES 1"));
    let (_sandbox, _owner, mut bob) = inside("lrte");
    bob.say(add_flags(all(), deleted()));
    assert!(bob.say(Command::Expunge(None)).contains("* 1 EXPUNGE"));
}

#[test]
fn move_takes_t_and_e_and_goes_between_accounts() {
    for rights in ["lr", "lrt", "lre", "lrswi"] {
        let (_sandbox, _owner, mut bob) = inside(rights);
        let said = bob.say(copy(all(), "INBOX", true));
        assert!(said.contains(" NO ["), "{rights}: {said}");
        assert!(bob.say(status(TEAM)).contains("MESSAGES 1"));
    }
    let (_sandbox, mut owner, mut bob) = inside("lrte");
    let said = bob.say(copy(all(), "INBOX", true));
    assert!(
        said.contains("[COPYUID ") && said.contains("* 1 EXPUNGE"),
        "{said}"
    );
    assert!(bob.say(status("INBOX")).contains("MESSAGES 1"));
    assert!(owner.say(status("Team")).contains("MESSAGES 0"));
}

/// What is said, without the flag that these tests are not about.
fn not_recent(said: &str) -> String {
    said.replace(" \\Recent", "").replace("\\Recent", "")
}
