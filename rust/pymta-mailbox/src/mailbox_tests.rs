//! Commands about mailboxes as a whole, copies, and uploads, as transcripts.

use pymta_imap::command::{
    Command, FetchItem, Flags, List, MetadataDepth, Section, SectionForm, SectionText, StatusItem,
};
use pymta_imap::{AskedAppend, AskedMessage, Enabled, Replaces};
use pymta_maildir::Quota;

use crate::Upload;
use crate::sandbox::{Sandbox, Session, add_flags, all, copy, deleted, fetch, lines, now, numbers, select};

fn create(name: &str) -> Command {
    Command::Create {
        mailbox: name.to_owned(),
        special_use: Vec::new(),
    }
}

fn rename(from: &str, to: &str) -> Command {
    Command::Rename {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

fn list(pattern: &str) -> List {
    List {
        patterns: vec![pattern.to_owned()],
        ..List::default()
    }
}

fn with_mailboxes(names: &[&str]) -> (Sandbox, Session) {
    let sandbox = Sandbox::new();
    let mut session = sandbox.session();
    for name in names {
        let said = session.say(create(name));
        assert!(said.starts_with("a OK [MAILBOXID (F"), "{said}");
    }
    (sandbox, session)
}

#[test]
fn list_says_children_and_parents_that_are_none() {
    let (_sandbox, mut session) = with_mailboxes(&["Sent", "a/b/c"]);
    assert_eq!(
        lines(
            r#"* LIST (\HasNoChildren) "/" INBOX
            * LIST (\HasNoChildren) "/" "Sent"
            * LIST (\Noselect \HasChildren) "/" "a"
            a OK Listed"#
        ),
        session.say(Command::List(list("%")))
    );
    assert_eq!(
        lines(
            r#"* LIST (\Noselect \HasChildren) "/" "a/b"
            * LIST (\HasNoChildren) "/" "a/b/c"
            a OK Listed"#
        ),
        session.say(Command::List(list("a/*")))
    );
    assert_eq!(
        "* LIST (\\Noselect) \"/\" \"\"\r\na OK Listed\r\n",
        session.say(Command::List(list("")))
    );
}

/// RFC 5258 §3: a name that is none is not returned only because a pattern is the same.
#[test]
fn an_extended_list_of_a_name_that_is_none_says_nothing() {
    let (_sandbox, mut session) = with_mailboxes(&["a/b"]);
    let extended = |patterns: &[&str]| List {
        extended: true,
        patterns: patterns.iter().map(|&pattern| pattern.to_owned()).collect(),
        ..list("")
    };
    assert_eq!(
        lines(
            r#"* LIST (\HasNoChildren) "/" "a/b"
            a OK Listed"#
        ),
        session.say(Command::List(extended(&["a", "a/b"])))
    );
    let said = session.say(Command::List(extended(&["%"])));
    assert!(
        said.contains("* LIST (\\NonExistent \\HasChildren) \"/\" \"a\"\r\n"),
        "{said}"
    );
}

#[test]
fn list_knows_what_is_subscribed_and_what_for() {
    let (_sandbox, mut session) = with_mailboxes(&["a/b", "c"]);
    session.say(Command::Create {
        mailbox: "Drafts".to_owned(),
        special_use: vec!["\\Drafts".to_owned()],
    });
    session.say(Command::Subscribe("a/b".to_owned()));
    session.say(Command::Subscribe("gone".to_owned()));
    let subscribed = List {
        select_subscribed: true,
        extended: true,
        ..list("*")
    };
    assert_eq!(
        lines(
            r#"* LIST (\HasNoChildren \Subscribed) "/" "a/b"
            * LIST (\NonExistent \HasNoChildren \Subscribed) "/" "gone"
            a OK Listed"#
        ),
        session.say(Command::List(subscribed.clone()))
    );
    let recursive = List {
        recursive_match: true,
        ..subscribed
    };
    let said = session.say(Command::List(List {
        patterns: vec!["%".to_owned()],
        ..recursive
    }));
    assert_eq!(
        lines(
            r#"* LIST (\NonExistent \HasChildren) "/" "a" ("CHILDINFO" ("SUBSCRIBED"))
            * LIST (\NonExistent \HasNoChildren \Subscribed) "/" "gone"
            a OK Listed"#
        ),
        said
    );
    let special = List {
        select_special_use: true,
        extended: true,
        return_status: Some(vec![StatusItem::Messages, StatusItem::Unseen]),
        ..list("*")
    };
    assert_eq!(
        lines(
            r#"* LIST (\HasNoChildren \Drafts) "/" "Drafts"
            * STATUS "Drafts" (MESSAGES 0 UNSEEN 0)
            a OK Listed"#
        ),
        session.say(Command::List(special))
    );
    let said = session.say(Command::Lsub {
        reference: String::new(),
        pattern: "%".to_owned(),
    });
    assert_eq!(
        lines(
            r#"* LSUB (\Noselect) "/" "a"
            * LSUB (\HasNoChildren) "/" "gone"
            a OK Listed"#
        ),
        said
    );
}

#[test]
fn mailboxes_are_made_renamed_and_removed_with_the_codes_of_rfc_5530() {
    let (_sandbox, mut session) = with_mailboxes(&["a", "a/b"]);
    assert!(session.say(create("a")).starts_with("a NO [ALREADYEXISTS]"));
    assert!(session.say(create("x//y")).starts_with("a NO [CANNOT]"));
    assert!(
        session
            .say(rename("nowhere", "c"))
            .starts_with("a NO [NONEXISTENT]")
    );
    assert_eq!("a OK Renamed\r\n", session.say(rename("a", "c")));
    assert!(
        session
            .say(select("c/b"))
            .ends_with("a OK [READ-WRITE] Selected\r\n")
    );
    assert!(
        session
            .say(Command::Delete("INBOX".to_owned()))
            .starts_with("a NO [CANNOT]")
    );
    assert!(
        session
            .say(Command::Delete("a".to_owned()))
            .starts_with("a NO [NONEXISTENT]")
    );
    let said = session.say(Command::Delete("c/b".to_owned()));
    assert!(said.ends_with("a OK Deleted\r\n"), "{said}");
    assert!(!session.view.is_selected());
}

#[test]
fn who_has_a_mailbox_selected_that_another_deletes_is_told() {
    let (sandbox, mut session) = with_mailboxes(&["a"]);
    session.say(select("a"));
    assert_eq!(
        "a OK Deleted\r\n",
        sandbox.session().say(Command::Delete("a".to_owned()))
    );
    assert_eq!("* OK [CLOSED] The mailbox was deleted\r\n", session.poll());
    assert!(!session.view.is_selected());
}

#[test]
fn rename_of_inbox_moves_its_messages() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(2);
    let mut session = sandbox.session();
    assert_eq!("a OK Renamed\r\n", session.say(rename("INBOX", "old")));
    let status = |mailbox: &str| Command::Status {
        mailbox: mailbox.to_owned(),
        items: vec![
            StatusItem::Messages,
            StatusItem::Recent,
            StatusItem::Deleted,
            StatusItem::Size,
        ],
    };
    let empty = "* STATUS INBOX (MESSAGES 0 RECENT 0 DELETED 0 SIZE 0)\r\na OK Status said\r\n";
    assert_eq!(empty, session.say(status("INBOX")));
    assert!(
        session
            .say(status("old"))
            .starts_with("* STATUS \"old\" (MESSAGES 2 ")
    );
}

#[test]
fn copy_says_which_became_which() {
    let (sandbox, mut session) = with_mailboxes(&["a"]);
    sandbox.deliver_many(3);
    session.say(select("INBOX"));
    let said = session.say(copy(numbers(&[(2, 3)]), "a", false));
    assert!(
        said.starts_with("a OK [COPYUID ") && said.ends_with(" 2:3 1:2] Copied\r\n"),
        "{said}"
    );
    assert!(
        session
            .say(copy(all(), "b", false))
            .starts_with("a NO [TRYCREATE]")
    );
    assert_eq!(
        "a OK No such messages\r\n",
        session.say_uid(copy(numbers(&[(9, 9)]), "a", false))
    );
    session.say(select("a"));
    let said = session.flags();
    assert_eq!(
        lines(
            r"* 1 FETCH (UID 1 FLAGS (\Recent))
            * 2 FETCH (UID 2 FLAGS (\Recent))
            a OK Fetched"
        ),
        said
    );
}

/// Regression A6b.3: a message that was moved is moved again, and does not come back.
#[test]
fn a_message_is_moved_there_and_back_by_uid() {
    let (sandbox, mut session) = with_mailboxes(&["a"]);
    sandbox.deliver_many(2);
    session.say(select("INBOX"));
    let said = session.say_uid(copy(numbers(&[(1, 1)]), "a", true));
    assert!(said.starts_with("* OK [COPYUID "), "{said}");
    assert!(
        said.ends_with(" 1 1] Moved\r\n* 1 EXPUNGE\r\na OK Moved\r\n"),
        "{said}"
    );
    session.say(select("a"));
    let said = session.say_uid(copy(numbers(&[(1, 1)]), "INBOX", true));
    assert!(
        said.ends_with(" 1 3] Moved\r\n* 1 EXPUNGE\r\na OK Moved\r\n"),
        "{said}"
    );
    session.say(select("INBOX"));
    let said = session.say_uid(copy(numbers(&[(3, 3)]), "a", true));
    assert!(
        said.ends_with(" 3 2] Moved\r\n* 2 EXPUNGE\r\na OK Moved\r\n"),
        "{said}"
    );
    assert_eq!("* 1 FETCH (UID 2 FLAGS ())\r\na OK Fetched\r\n", session.flags());
}

#[test]
fn quota_is_said_and_holds_for_copies_and_uploads() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(2);
    let quota = Quota {
        octets: Some(10 * 1024),
        messages: Some(2),
    };
    let mut session = sandbox.session_with(Enabled::default(), quota);
    assert_eq!(
        lines(
            r#"* QUOTAROOT INBOX ""
            * QUOTA "" (STORAGE 1 10 MESSAGE 2 2)
            a OK Quota said"#
        ),
        session.say(Command::GetQuotaRoot("INBOX".to_owned()))
    );
    session.say(select("INBOX"));
    session.say(create("a"));
    assert!(
        session
            .say(copy(all(), "a", false))
            .starts_with("a NO [OVERQUOTA]")
    );
    assert!(session.say(copy(all(), "a", true)).starts_with("* OK [COPYUID "));
    let upload = begin(&mut session, "INBOX", None, 10);
    assert_eq!("OVERQUOTA", upload.refusal().unwrap().code);
}

#[test]
fn annotations_are_kept_and_said() {
    let (_sandbox, mut session) = with_mailboxes(&["a"]);
    let said = session.say(Command::SetMetadata {
        mailbox: "a".to_owned(),
        entries: vec![("/private/comment".to_owned(), Some(b"My own".to_vec()))],
    });
    assert_eq!("a OK Annotated\r\n", said);
    let get = |entries: &[&str], octets_max, depth| Command::GetMetadata {
        mailbox: "a".to_owned(),
        entries: entries.iter().map(|entry| (*entry).to_owned()).collect(),
        octets_max,
        depth,
    };
    assert_eq!(
        "* METADATA \"a\" (/private/comment \"My own\" /shared/comment NIL)\r\na OK Annotations said\r\n",
        session.say(get(
            &["/private/comment", "/shared/comment"],
            None,
            MetadataDepth::Zero
        ))
    );
    assert_eq!(
        "* METADATA \"a\" (/private/comment \"My own\")\r\na OK Annotations said\r\n",
        session.say(get(&["/private"], None, MetadataDepth::Infinity))
    );
    assert_eq!(
        "a OK [METADATA LONGENTRIES 6] Some are longer\r\n",
        session.say(get(&["/private/comment"], Some(5), MetadataDepth::Zero))
    );
}

fn begin(session: &mut Session, mailbox: &str, replaces: Option<Replaces>, octets: u64) -> Upload {
    let asked = AskedAppend {
        tag: "a".to_owned(),
        mailbox: mailbox.to_owned(),
        replaces,
        enabled: session.enabled,
    };
    session.view.begin_append(asked, Some(octets), now())
}

fn add(upload: &mut Upload, content: &str, flags: Flags) {
    upload.message(AskedMessage {
        flags,
        internal_date_s: Some(837_571_465),
        octets: Some(content.len() as u64),
    });
    for piece in content.as_bytes().chunks(3) {
        upload.write(piece);
    }
}

fn end(session: &mut Session, upload: Upload) -> String {
    String::from_utf8(session.view.end_append(upload, now())).unwrap()
}

#[test]
fn several_messages_are_added_at_once() {
    let sandbox = Sandbox::new();
    let mut session = sandbox.in_inbox();
    let mut other = sandbox.in_inbox();
    let mut upload = begin(&mut session, "INBOX", None, 10);
    assert_eq!(None, upload.refusal());
    add(&mut upload, "Subject: a\r\n\r\nb\r\n", deleted());
    add(&mut upload, "Subject: c\r\n\r\nd\r\n", Flags::default());
    assert_eq!("", other.poll());
    let said = end(&mut session, upload);
    assert!(
        said.starts_with("* 2 EXISTS\r\n* 0 RECENT\r\na OK [APPENDUID "),
        "{said}"
    );
    assert!(said.ends_with(" 1:2] Added\r\n"), "{said}");
    assert_eq!("* 2 EXISTS\r\n* 0 RECENT\r\n", other.poll());
    assert_eq!(
        "* 1 FETCH (FLAGS (\\Deleted) RFC822.SIZE 17 INTERNALDATE \"17-Jul-1996 02:44:25 +0000\")\r\na OK Fetched\r\n",
        session.say(fetch(
            numbers(&[(1, 1)]),
            vec![FetchItem::Flags, FetchItem::Size, FetchItem::InternalDate]
        ))
    );
}

#[test]
fn an_upload_is_refused_before_it_costs_anything() {
    let sandbox = Sandbox::new();
    let mut session = sandbox.in_inbox();
    let code = |upload: &Upload| upload.refusal().unwrap().code.clone();
    assert_eq!("TRYCREATE", code(&begin(&mut session, "Nowhere", None, 10)));
    assert_eq!("TOOBIG", code(&begin(&mut session, "INBOX", None, (1 << 26) + 1)));
    let nobody = Replaces {
        number: 1,
        by_uid: false,
    };
    assert_eq!("CANNOT", code(&begin(&mut session, "INBOX", Some(nobody), 10)));
}

#[test]
fn an_upload_that_is_dropped_leaves_nothing() {
    let sandbox = Sandbox::new();
    let mut session = sandbox.in_inbox();
    let mut upload = begin(&mut session, "INBOX", None, 10);
    add(&mut upload, "Subject: a\r\n\r\nb\r\n", Flags::default());
    drop(upload);
    assert_eq!("", session.poll());
    assert_eq!(
        Vec::<String>::new(),
        Sandbox::files(&sandbox.folder().join("tmp"))
    );
}

#[test]
fn replace_adds_one_and_removes_the_other() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(2);
    let mut session = sandbox.in_inbox();
    let first = Replaces {
        number: 1,
        by_uid: false,
    };
    let mut upload = begin(&mut session, "INBOX", Some(first), 10);
    add(&mut upload, "Subject: new\r\n\r\nb\r\n", Flags::default());
    let said = end(&mut session, upload);
    assert!(said.starts_with("* OK [APPENDUID "), "{said}");
    assert!(
        said.ends_with(" 3] Replaced\r\n* 1 EXPUNGE\r\n* 2 EXISTS\r\n* 0 RECENT\r\na OK Replaced\r\n"),
        "{said}"
    );
}

#[test]
fn uid_expunge_removes_only_of_the_set() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(3);
    let mut session = sandbox.in_inbox();
    session.say(add_flags(all(), deleted()));
    assert_eq!(
        "* 2 EXPUNGE\r\na OK Expunged\r\n",
        session.say_uid(Command::Expunge(Some(numbers(&[(2, 2)]))))
    );
}

/// RFC 4469 §5: a message is made of a part of another one and of new text.
#[test]
fn a_message_is_put_together_from_what_is_there() {
    let sandbox = Sandbox::new();
    sandbox.deliver("Subject: old\n\nwhat was said\n");
    let mut session = sandbox.in_inbox();
    let mut upload = begin(&mut session, "INBOX", None, 10);
    upload.message(AskedMessage {
        flags: Flags::default(),
        internal_date_s: None,
        octets: None,
    });
    upload.write(b"Subject: new\r\n\r\n> ");
    upload.url(&mut session.view, "/INBOX/;UID=1/;SECTION=TEXT");
    upload.write(b"indeed\r\n");
    assert_eq!(None, upload.refusal());
    end(&mut session, upload);
    let whole = FetchItem::Section(Section {
        part: Vec::new(),
        text: SectionText::All,
        peek: true,
        partial: None,
        form: SectionForm::Body,
    });
    let said = session.say(fetch(numbers(&[(2, 2)]), vec![whole]));
    assert!(
        said.contains("Subject: new\r\n\r\n> what was said\r\nindeed\r\n)"),
        "{said}"
    );
    let mut upload = begin(&mut session, "INBOX", None, 10);
    upload.url(&mut session.view, "/INBOX/;UID=9");
    assert_eq!("BADURL /INBOX/;UID=9", upload.refusal().unwrap().code);
}

#[test]
fn a_message_that_a_url_names_and_that_cannot_be_read_is_no_bad_url() {
    let sandbox = Sandbox::new();
    let name = sandbox.deliver("Subject: old\n\nwhat was said\n");
    let mut session = sandbox.in_inbox();
    let folders = ["new", "cur"].map(|folder| sandbox.folder().join(folder));
    let files = folders.iter().flat_map(|folder| {
        let names = Sandbox::files(folder).into_iter();
        names.map(|name| folder.join(name))
    });
    let is_it = |path: &std::path::PathBuf| path.to_string_lossy().contains(&name);
    let path = files.into_iter().find(is_it).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let mut upload = begin(&mut session, "INBOX", None, 10);
    upload.url(&mut session.view, "/INBOX/;UID=1");
    assert_eq!("UNAVAILABLE", upload.refusal().unwrap().code);
    assert!(upload.trouble().unwrap().contains("CATENATE"));
}
