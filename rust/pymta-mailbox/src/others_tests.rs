//! Mailboxes of others as a whole: found, renamed, taken away, annotated, counted.

use pymta_imap::command::{
    Command, FetchItem, Flags, List, MetadataDepth, Section, SectionForm, SectionText, StatusItem, Tagged,
};
use pymta_imap::{Asked, Enabled};

use crate::others::Owner;
use crate::rights_tests::{
    BOB, FORBIDDEN, NOTHING, OWNER, TEAM, append, bob_of, create, inside, is_ok, list, list_rights, rename,
    set_acl, status, with,
};
use crate::sandbox::{Sandbox, add_flags, all, copy, fetch, now, seen, select};
use crate::{MailboxPath, Quota};

#[test]
fn a_subscription_needs_no_right_and_gives_none() {
    let (_sandbox, mut owner, mut bob) = with("lr");
    assert!(is_ok(&bob.say(Command::Subscribe(TEAM.to_owned()))));
    let lsub = || Command::Lsub {
        reference: String::new(),
        pattern: "*".to_owned(),
    };
    assert!(bob.say(lsub()).contains(TEAM));
    owner.say(set_acl("Team", BOB, ""));
    let asked = List {
        patterns: vec!["*".to_owned()],
        select_subscribed: true,
        extended: true,
        ..List::default()
    };
    let said = bob.say(Command::List(asked));
    assert!(
        said.contains("(\\NonExistent \\HasNoChildren \\Subscribed) \"/\" \"Other Users"),
        "{said}"
    );
    assert_eq!(NOTHING, bob.say(select(TEAM)));
}

#[test]
fn list_finds_what_has_l_and_nothing_else() {
    let (_sandbox, mut owner, mut bob) = with("rswipkxtea");
    assert_eq!("a OK Listed\r\n", bob.say(list("Other*")));
    owner.say(set_acl("Team", BOB, "l"));
    let said = bob.say(list("*"));
    assert!(said.contains("* LIST (\\HasNoChildren) \"/\" \"Other Users/user@example.test/Team\"\r\n"));
    assert!(
        said.contains("* LIST (\\Noselect \\HasChildren) \"/\" \"Other Users\"\r\n"),
        "{said}"
    );
    assert!(!said.contains("INBOX/") && !said.contains("test/INBOX"));
    let said = bob.say(list("Other Users/%/%"));
    assert!(said.contains(TEAM));
    let asked = List {
        patterns: vec!["*".to_owned()],
        return_my_rights: true,
        return_status: Some(vec![StatusItem::Messages]),
        extended: true,
        ..List::default()
    };
    let said = bob.say(Command::List(asked.clone()));
    assert!(
        said.contains("* MYRIGHTS \"Other Users/user@example.test/Team\" l\r\n"),
        "{said}"
    );
    assert!(!said.contains("* STATUS \"Other Users"), "{said}");
    owner.say(set_acl("Team", BOB, "lr"));
    assert!(bob.say(Command::List(asked)).contains("* STATUS \"Other Users"));
}

#[test]
fn rename_needs_x_there_and_k_here_and_stays_in_the_account() {
    let above = "Other Users/user@example.test";
    let (_sandbox, mut owner, mut bob) = with("lrk");
    owner.say(create("Team/Old"));
    owner.say(set_acl("Team/Old", BOB, "lr"));
    let (old, new) = (format!("{TEAM}/Old"), format!("{TEAM}/New"));
    assert_eq!(FORBIDDEN, bob.say(rename(&old, &new)));
    owner.say(set_acl("Team/Old", BOB, "lrx"));
    assert_eq!("a OK Renamed\r\n", bob.say(rename(&old, &new)));
    assert!(is_ok(&bob.say(status(&new))));
    assert!(bob.say(rename(&new, "Mine")).starts_with("a NO [CANNOT]"));
    assert_eq!(NOTHING, bob.say(rename(&new, &format!("{above}/New"))));
    // What is below goes along, and has to be his to take as far as he sees it.
    owner.say(create("Team/New/Seen"));
    owner.say(set_acl("Team/New/Seen", BOB, "l"));
    assert_eq!(FORBIDDEN, bob.say(rename(&new, &old)));
    owner.say(set_acl("Team/New/Seen", BOB, "lx"));
    for (number, rights) in ["", "r", "rswipktea"].iter().enumerate() {
        owner.say(create(&format!("Team/New/Secret{number}")));
        owner.say(set_acl(&format!("Team/New/Secret{number}"), BOB, rights));
    }
    assert_eq!("a OK Renamed\r\n", bob.say(rename(&new, &old)));
    let said = owner.say(list("Team/Old/*"));
    assert_eq!(4, said.matches("* LIST").count(), "{said}");
    let secret = Command::MyRights(format!("{old}/Secret0"));
    assert_eq!(NOTHING, bob.say(secret));
    // Nothing is made at the top of another's account, nor where there is none.
    for name in [
        format!("{above}/Top"),
        "Other Users/nobody@example.test/Top".to_owned(),
    ] {
        assert_eq!(NOTHING, bob.say(create(&name)));
    }
    assert!(bob.say(create("Other Users")).starts_with("a NO [CANNOT]"));
}

#[test]
fn anothers_inbox_stays_in_whatever_case_it_is_named() {
    let (_sandbox, mut owner, mut bob) = with("lrkx");
    owner.say(set_acl("INBOX", BOB, "lrkx"));
    append(&mut owner, "INBOX", Flags::default());
    for inbox in ["INBOX", "inbox", "Inbox"] {
        let inbox = format!("Other Users/user@example.test/{inbox}");
        let said = bob.say(rename(&inbox, &format!("{TEAM}/Taken")));
        assert_eq!("a NO [CANNOT] INBOX has to stay\r\n", said);
        assert_eq!(said, bob.say(Command::Delete(inbox.clone())));
        assert!(
            bob.say(Command::MyRights(inbox))
                .ends_with("lrkc\r\na OK Rights said\r\n")
        );
    }
    assert!(owner.say(status("INBOX")).contains("MESSAGES 1"));
}

#[test]
fn below_what_is_hidden_nothing_is_made_and_what_is_made_has_the_rights_of_the_nearest() {
    let (sandbox, mut owner, mut bob) = with("lrkx");
    owner.say(create("Team/Secret"));
    owner.say(set_acl("Team/Secret", BOB, ""));
    let below = format!("{TEAM}/Secret/New");
    assert_eq!(FORBIDDEN, bob.say(create(&below)));
    owner.say(create("Team/Old"));
    assert_eq!(FORBIDDEN, bob.say(rename(&format!("{TEAM}/Old"), &below)));
    assert!(!sandbox.folder().join(".Team.Secret.New").exists());
    // Between the two there is no mailbox.
    assert!(is_ok(&bob.say(create(&format!("{TEAM}/2026/May")))));
    assert!(is_ok(&bob.say(status(&format!("{TEAM}/2026/May")))));
}

#[test]
fn nobody_says_what_anothers_mailbox_is_for() {
    let (_sandbox, mut owner, mut bob) = with("lrk");
    let for_what_is_sent = Command::Create {
        mailbox: format!("{TEAM}/New"),
        special_use: vec!["\\Sent".to_owned()],
    };
    assert!(bob.say(for_what_is_sent).starts_with("a NO [USEATTR]"));
    let said = owner.say(list("*"));
    assert!(!said.contains("\\Sent") && !said.contains("New"), "{said}");
}

#[test]
fn what_the_operator_turned_off_is_not_heeded() {
    let (sandbox, mut owner, mut bob) = with("");
    owner.say(set_acl("Team", "anyone", "lr"));
    assert_eq!(NOTHING, bob.say(status(TEAM)));
    assert_eq!("a OK Listed\r\n", bob.say(list("Other*")));
    bob.view.reader.shares_with_anyone = true;
    assert!(is_ok(&bob.say(status(TEAM))));
    // What the owner took from himself only these commands give back.
    owner.say(set_acl("Team", "anyone", ""));
    owner.say(set_acl("Team", OWNER, ""));
    assert_eq!(FORBIDDEN, sandbox.session().say(select("Team")));
    let mut alone = sandbox.session();
    alone.view.reader.shares = false;
    let said = alone.say(select("Team"));
    assert!(said.contains("a OK [READ-WRITE]"), "{said}");
    assert!(is_ok(&alone.say(add_flags(all(), seen()))));
}

#[test]
fn what_several_lines_give_is_taken_away_at_once() {
    let (sandbox, mut owner, mut bob) = with("");
    let file = sandbox.folder().join(".Team").join("dovecot-acl");
    let lines =
        format!("user={BOB} lr\nuser={OWNER} lrswipkxtea\nuser={BOB} lrs\nanyone l\nauthenticated lr\n");
    for who in [BOB, "anyone", OWNER] {
        std::fs::write(&file, &lines).unwrap();
        assert!(is_ok(&owner.say(set_acl("Team", who, "p"))));
        let text = std::fs::read_to_string(&file).unwrap();
        let of_who: Vec<&str> = text.lines().filter(|line| line.ends_with(" p")).collect();
        assert_eq!(1, of_who.len(), "{text}");
        let said = owner.say(Command::GetAcl("Team".to_owned()));
        assert_eq!(1, said.matches(&format!(" {who} ")).count(), "{said}");
    }
    std::fs::write(&file, &lines).unwrap();
    owner.say(set_acl("Team", BOB, ""));
    owner.say(set_acl("Team", "anyone", ""));
    assert_eq!(NOTHING, bob.say(status(TEAM)));
    owner.say(set_acl("Team", OWNER, ""));
    assert_eq!(FORBIDDEN, owner.say(select("Team")));
}

#[test]
fn rights_that_are_taken_away_end_at_once() {
    let (_sandbox, mut owner, mut bob) = inside("lrs");
    owner.say(set_acl("Team", BOB, "-s"));
    assert_eq!(FORBIDDEN, bob.say(add_flags(all(), seen())));
    owner.say(Command::SetAcl {
        mailbox: "Team".to_owned(),
        identifier: BOB.to_owned(),
        rights: None,
    });
    assert!(bob.say(Command::Noop).starts_with("* OK [CLOSED]"));
    assert!(!bob.view.is_selected());
    assert_eq!(NOTHING, bob.say(select(TEAM)));
}

#[test]
fn a_long_answer_ends_where_the_rights_do() {
    let (sandbox, mut owner, mut bob) = with("lr");
    for number in 0..600 {
        let path = sandbox
            .folder()
            .join(format!(".Team/new/1700000000.M{number}P1.h"));
        std::fs::write(path, format!("A: {number}\n\n{}\n", "x".repeat(2000))).unwrap();
    }
    bob.say(select(TEAM));
    let whole = Section {
        part: Vec::new(),
        text: SectionText::All,
        peek: true,
        partial: None,
        form: SectionForm::Body,
    };
    let asked = Asked {
        tagged: Tagged {
            tag: "a".to_owned(),
            by_uid: false,
            command: fetch(all(), vec![FetchItem::Section(whole)]),
        },
        enabled: Enabled::default(),
    };
    let mut said = bob.view.run(asked, now());
    assert!(bob.view.is_running());
    owner.say(set_acl("Team", BOB, ""));
    while bob.view.is_running() {
        said.extend(bob.view.go_on(now()));
    }
    let said = String::from_utf8(said).unwrap();
    assert!(said.ends_with(NOTHING), "{}", &said[said.len() - 80..]);
    assert!(!said.contains("* 300 FETCH"));
}

#[test]
fn getacl_and_listrights_say_it_as_the_rfc_does() {
    let (_sandbox, mut owner, _bob) = with("lrs");
    owner.say(set_acl("Team", "-eve@example.test", "+lr"));
    owner.say(set_acl("Team", "anyone", "l"));
    let acl = "* ACL \"Team\" user@example.test lrswipkxteacd bob@example.test lrs -eve@example.test lr anyone l\r\n";
    let said = owner.say(Command::GetAcl("Team".to_owned()));
    assert_eq!(format!("{acl}a OK Rights said\r\n"), said);
    let said = owner.say(list_rights("Team", OWNER));
    assert!(
        said.starts_with("* LISTRIGHTS \"Team\" user@example.test la r s w i p k x t e c d\r\n"),
        "{said}"
    );
    let said = owner.say(list_rights("Team", BOB));
    assert!(
        said.starts_with("* LISTRIGHTS \"Team\" bob@example.test \"\" l r s w i p k x t e a c d\r\n"),
        "{said}"
    );
    owner.say(set_acl("Team", OWNER, "r"));
    let said = owner.say(Command::MyRights("Team".to_owned()));
    assert!(said.starts_with("* MYRIGHTS \"Team\" lra\r\n"), "{said}");
    assert_eq!(FORBIDDEN, owner.say(Command::Delete("Team".to_owned())));
    assert!(
        owner
            .say(set_acl("Team", "bob", "lr"))
            .starts_with("a NO [CANNOT]")
    );
    assert!(owner.say(set_acl("Team", BOB, "lz")).starts_with("a BAD"));
    assert!(
        owner
            .say(set_acl("Gone", BOB, "lr"))
            .starts_with("a NO [NONEXISTENT]")
    );
}

#[test]
fn nobody_is_said_to_have_a_right_to_delete_an_inbox() {
    let (_sandbox, mut owner, mut bob) = with("");
    let inbox = "Other Users/user@example.test/INBOX";
    owner.say(set_acl("INBOX", BOB, "lrxa"));
    owner.say(set_acl("INBOX", "-eve@example.test", "rx"));
    let rights = [
        "user@example.test lrswipkteacd",
        "bob@example.test lra",
        "-eve@example.test r",
    ];
    let said = bob.say(Command::GetAcl(inbox.to_owned()));
    assert!(
        said.contains(&format!("/INBOX\" {}\r\n", rights.join(" "))),
        "{said}"
    );
    let said = bob.say(list_rights(inbox, BOB));
    assert!(said.contains(" \"\" l r s w i p k t e a c d\r\n"), "{said}");
    let said = bob.say(list_rights(inbox, OWNER));
    assert!(said.contains(" la r s w i p k t e c d\r\n"), "{said}");
    let said = bob.say(Command::MyRights(inbox.to_owned()));
    assert!(said.ends_with("/INBOX\" lra\r\na OK Rights said\r\n"), "{said}");
    // With nothing else he has nothing that could be said.
    owner.say(set_acl("INBOX", BOB, "x"));
    assert_eq!(NOTHING, bob.say(Command::MyRights(inbox.to_owned())));
}

#[test]
fn only_who_may_shares_with_everybody() {
    let (_sandbox, mut owner, mut bob) = with("lra");
    assert!(bob.say(set_acl(TEAM, "anyone", "l")).starts_with("a NO [NOPERM]"));
    assert!(is_ok(&bob.say(set_acl(TEAM, "-anyone", "w"))));
    assert!(is_ok(&owner.say(set_acl("Team", "anyone", "l"))));
    assert!(is_ok(&bob.say(set_acl(TEAM, "anyone", "-l"))));
}

#[test]
fn private_annotations_are_the_owners_and_his_quota_too() {
    let (_sandbox, mut owner, mut bob) = with("lrw");
    let metadata = |mailbox: &str, entry: &str| Command::SetMetadata {
        mailbox: mailbox.to_owned(),
        entries: vec![(entry.to_owned(), Some(b"text".to_vec()))],
    };
    owner.say(metadata("Team", "/private/comment"));
    assert!(is_ok(&bob.say(metadata(TEAM, "/shared/comment"))));
    assert!(bob.say(metadata(TEAM, "/private/comment")).starts_with("a NO"));
    let get = |mailbox: &str| Command::GetMetadata {
        mailbox: mailbox.to_owned(),
        entries: vec!["/private/comment".to_owned(), "/shared/comment".to_owned()],
        octets_max: None,
        depth: MetadataDepth::Zero,
    };
    let said = bob.say(get(TEAM));
    assert!(
        said.contains("/private/comment NIL") && said.contains("/shared/comment \"text\""),
        "{said}"
    );
    assert!(!owner.say(get("Team")).contains("NIL"));
}

#[test]
fn an_owner_who_is_not_known_any_more_shares_nothing() {
    let (_sandbox, _owner, mut bob) = with("lr");
    assert_eq!(vec![OWNER.to_owned()], bob.view.others_of(&list("*")));
    assert_eq!(vec![OWNER.to_owned()], bob.view.others_of(&select(TEAM)));
    let made_up = select("Other Users/eve@example.test/INBOX");
    assert_eq!(Vec::<String>::new(), bob.view.others_of(&made_up));
    bob.view.introduce(OWNER.to_owned(), None);
    assert_eq!(NOTHING, bob.say(select(TEAM)));
    assert_eq!("a OK Listed\r\n", bob.say(list("Other*")));
}

#[test]
fn while_the_directory_does_not_answer_what_it_said_counts_and_else_nothing_is_said_to_be_gone() {
    const LATER: &str = "a NO [UNAVAILABLE] The directory does not answer, try again later\r\n";
    let (_sandbox, mut owner, mut bob) = with("lri");
    owner.say(set_acl("Team", "eve@example.test", "a"));
    bob.view.introduce_later(OWNER.to_owned());
    assert!(is_ok(&bob.say(status(TEAM))));
    assert!(is_ok(&bob.say(list("*"))));

    bob.view.introduce(OWNER.to_owned(), None);
    bob.view.introduce_later(OWNER.to_owned());
    assert_eq!(LATER, bob.say(select(TEAM)));
    assert_eq!(LATER, bob.say(create(&format!("{TEAM}/New"))));
    assert!(append(&mut bob, TEAM, Flags::default()).starts_with("a NO [UNAVAILABLE]"));
    let said = bob.say(list("*"));
    assert!(said.ends_with(LATER) && said.contains("INBOX"), "{said}");
    let lsub = Command::Lsub {
        reference: String::new(),
        pattern: "*".to_owned(),
    };
    assert!(bob.say(lsub).ends_with(LATER));
    assert_eq!("a OK Listed\r\n", bob.say(list("Sent/*")));
    let nobody = "Other Users/nobody@example.test/INBOX";
    assert_eq!(NOTHING, bob.say(select(nobody)));
    // A name may be spelled in many ways, of which one is the account's.
    owner.view.introduce_later("Olga@example.test".to_owned());
    assert_eq!(LATER, owner.say(set_acl("Team", "Olga@example.test", "lr")));
    assert_eq!(LATER, owner.say(list_rights("Team", "Olga@example.test")));

    bob.view.introduce(OWNER.to_owned(), None);
    assert_eq!(NOTHING, bob.say(select(TEAM)));
    assert_eq!("a OK Listed\r\n", bob.say(list("Other*")));
}

#[test]
fn of_many_spellings_of_a_name_one_is_remembered_and_none_leads_anywhere() {
    let (_sandbox, mut owner, mut bob) = with("lr");
    let known = |account: &str| Owner {
        account: account.to_owned(),
        path: MailboxPath::new(["user"]).unwrap(),
        quota: Quota::default(),
    };
    for number in 0..1000 {
        bob.view
            .introduce(format!("Spelled-{number}@example.test"), Some(known(OWNER)));
    }
    assert_eq!(1, bob.view.others.known.len());
    assert_eq!(
        NOTHING,
        bob.say(select("Other Users/Spelled-999@example.test/Team"))
    );
    assert!(is_ok(&bob.say(status(TEAM))));
    owner
        .view
        .introduce("BÖB@example.test".to_owned(), Some(known(BOB)));
    owner.say(set_acl("Team", "BÖB@example.test", "lrs"));
    let said = bob.say(Command::MyRights(TEAM.to_owned()));
    assert!(said.contains("Team\" lrs\r\n"), "{said}");
}

#[test]
fn what_others_put_there_counts_for_the_owner() {
    let sandbox = Sandbox::new();
    let quota = Quota {
        octets: None,
        messages: Some(1),
    };
    let mut owner = sandbox.session_with(Enabled::default(), quota);
    owner.say(create("Team"));
    owner.say(set_acl("Team", BOB, "lrswi"));
    let mut bob = bob_of(&sandbox.accounts);
    let known = Owner {
        account: OWNER.to_owned(),
        path: MailboxPath::new(["user"]).unwrap(),
        quota,
    };
    bob.view.introduce(OWNER.to_owned(), Some(known));
    append(&mut bob, "INBOX", Flags::default());
    append(&mut bob, "INBOX", Flags::default());
    bob.say(select("INBOX"));
    assert!(bob.say(copy(all(), TEAM, false)).starts_with("a NO [OVERQUOTA]"));
    assert!(is_ok(&append(&mut bob, TEAM, Flags::default())));
    assert!(append(&mut bob, TEAM, Flags::default()).starts_with("a NO [OVERQUOTA]"));
}
