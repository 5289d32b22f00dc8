//! The grammar against the examples of the RFCs: mailboxes and messages.

use super::*;
use crate::asked::Enabled;
use crate::capability::Extensions;
use crate::command::*;

pub(super) fn grammar() -> Grammar {
    Grammar {
        enabled: Enabled {
            qresync: true,
            condstore: true,
            ..Enabled::default()
        },
        extensions: Extensions::all(),
    }
}

pub(super) fn parsed(line: &str) -> Parsed<Line> {
    command(format!("a {line}").as_bytes(), grammar(), false).1
}

pub(super) fn mailbox_command(line: &str) -> Command {
    match parsed(line) {
        Ok(Line::Mailbox(_, tagged)) => {
            assert_eq!("a", tagged.tag);
            assert_eq!(line.starts_with("UID "), tagged.by_uid);
            tagged.command
        }
        other => panic!("{line}: {other:?}"),
    }
}

pub(super) fn ranges(ranges: &[(u32, u32)]) -> SequenceSet {
    SequenceSet::Ranges(ranges.to_vec())
}

#[test]
fn select_has_its_parameters() {
    assert_eq!(
        mailbox_command("SELECT inbox (QRESYNC (67890007 20050715194045000 41,43:211,214:541))"),
        Command::Select {
            mailbox: "INBOX".to_owned(),
            read_only: false,
            condstore: false,
            qresync: Some(Qresync {
                uid_validity: 67_890_007,
                modseq: 20_050_715_194_045_000,
                known_uids: Some(ranges(&[(41, 41), (43, 211), (214, 541)])),
                match_data: None,
            }),
        }
    );
    let Command::Select { qresync, .. } = mailbox_command(
        "SELECT INBOX (CONDSTORE QRESYNC (67890007 90060115194045000 1:29997 (5000,7500 15000,22500)))",
    ) else {
        panic!();
    };
    assert_eq!(
        Some((
            ranges(&[(5000, 5000), (7500, 7500)]),
            ranges(&[(15_000, 15_000), (22_500, 22_500)])
        )),
        qresync.unwrap().match_data
    );
    for line in [
        "SELECT",
        "SELECT ",
        "SELECT \"\"",
        "SELECT a b",
        "SELECT a ()",
        "SELECT a (X)",
        "SELECT a (QRESYNC (1 2 *))",
    ] {
        assert_eq!(Err(Flaw::Syntax), parsed(line), "{line}");
    }
}

/// RFC 9051 §6.4.5, RFC 3516, RFC 7162, RFC 8474, RFC 8970.
#[test]
fn fetch_has_its_items() {
    let Command::Fetch { set, items, .. } =
        mailbox_command("FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])")
    else {
        panic!();
    };
    assert_eq!(ranges(&[(2, 4)]), set);
    let section = |text, peek| Section {
        part: Vec::new(),
        text,
        peek,
        partial: None,
        form: SectionForm::Body,
    };
    let names = vec![b"DATE".to_vec(), b"FROM".to_vec()];
    let fields = SectionText::HeaderFields { names, not: false };
    assert_eq!(
        vec![FetchItem::Flags, FetchItem::Section(section(fields, false))],
        items
    );
    let item = |line: &str| match mailbox_command(&format!("FETCH 1 {line}")) {
        Command::Fetch { mut items, .. } if items.len() == 1 => items.remove(0),
        other => panic!("{line}: {other:?}"),
    };
    let with_part = |part: &[u32], text, partial| {
        FetchItem::Section(Section {
            part: part.to_vec(),
            partial,
            ..section(text, true)
        })
    };
    assert_eq!(
        with_part(&[], SectionText::All, Some((0, 2048))),
        item("BODY.PEEK[]<0.2048>")
    );
    assert_eq!(
        with_part(&[1, 2], SectionText::Mime, None),
        item("body.peek[1.2.MIME]")
    );
    assert_eq!(
        with_part(&[4, 1], SectionText::Header, None),
        item("BODY.PEEK[4.1.HEADER]")
    );
    assert_eq!(with_part(&[3], SectionText::All, None), item("BODY.PEEK[3]"));
    assert_eq!(with_part(&[], SectionText::Text, None), item("BODY.PEEK[TEXT]"));
    for (line, expected) in [
        ("BODY", FetchItem::Body),
        ("BODYSTRUCTURE", FetchItem::BodyStructure),
        ("(UID)", FetchItem::Uid),
        ("RFC822.SIZE", FetchItem::Size),
        ("MODSEQ", FetchItem::ModSeq),
        ("EMAILID", FetchItem::EmailId),
        ("PREVIEW", FetchItem::Preview { lazy: false }),
        ("PREVIEW (LAZY)", FetchItem::Preview { lazy: true }),
        ("BINARY.SIZE[1.2]", FetchItem::BinarySize(vec![1, 2])),
    ] {
        assert_eq!(expected, item(line), "{line}");
    }
    let forms = [
        ("RFC822", SectionForm::Rfc822, SectionText::All, false),
        (
            "RFC822.HEADER",
            SectionForm::Rfc822Header,
            SectionText::Header,
            true,
        ),
        ("RFC822.TEXT", SectionForm::Rfc822Text, SectionText::Text, false),
        ("BINARY.PEEK[]", SectionForm::Binary, SectionText::All, true),
    ];
    for (line, form, text, peek) in forms {
        let expected = FetchItem::Section(Section {
            form,
            ..section(text, peek)
        });
        assert_eq!(expected, item(line), "{line}");
    }
    for line in [
        "FETCH 1",
        "FETCH 0 FLAGS",
        "FETCH 1 ()",
        "FETCH 1 (FLAGS ALL)",
        "FETCH 1 BODY[",
        "FETCH 1 BODY[MIME]",
        "FETCH 1 BODY[1.]",
        "FETCH 1 BODY[0]",
        "FETCH 1 BODY[]<0.0>",
        "FETCH 1 BODY[]<0>",
        "FETCH 1 BINARY[1.MIME]",
        "FETCH 1 BODY[HEADER.FIELDS ()]",
        "FETCH 1 X",
        "FETCH 1,,2 FLAGS",
        "FETCH 4294967296 FLAGS",
        "FETCH 1: FLAGS",
        "FETCH 1 FLAGS FLAGS",
        "FETCH 1 FLAGS (VANISHED)",
        "FETCH 1 (FLAGS )",
        "FETCH  1 FLAGS",
        "FETCH 1 FLAGS ",
        "UID FETCH 1 FLAGS (VANISHED)",
    ] {
        assert_eq!(Err(Flaw::Syntax), parsed(line), "{line}");
    }
}

#[test]
fn macros_are_expanded_and_modifiers_read() {
    let fetch = |line: &str| match mailbox_command(line) {
        Command::Fetch {
            items,
            changed_since,
            vanished,
            partial,
            ..
        } => (
            items.len(),
            changed_since,
            vanished,
            partial.map(|p| (p.first, p.last, p.from_end)),
        ),
        other => panic!("{other:?}"),
    };
    assert_eq!((3, None, false, None), fetch("FETCH 1 fast"));
    assert_eq!((4, None, false, None), fetch("FETCH 1 ALL"));
    assert_eq!((5, None, false, None), fetch("FETCH 1 FULL"));
    assert_eq!(
        (1, Some(12345), true, None),
        fetch("UID FETCH 300:500 (FLAGS) (CHANGEDSINCE 12345 VANISHED)")
    );
    assert_eq!(
        (2, None, false, Some((1, 30, true))),
        fetch("UID FETCH 25900:26600 (UID FLAGS) (PARTIAL -1:-30)")
    );
    assert_eq!(
        (1, Some(5), false, None),
        fetch("FETCH 1 PREVIEW (CHANGEDSINCE 5)")
    );
}

/// RFC 9051 §6.4.6, RFC 7162 §3.1.3; regression A6b 5 (#40): a set may be written downwards.
#[test]
fn store_copy_and_sets() {
    assert_eq!(
        mailbox_command(
            "STORE 4:2,7 (UNCHANGEDSINCE 12121230045) +FLAGS.SILENT (\\Deleted $Junk $junk \\Recent)"
        ),
        Command::Store {
            set: ranges(&[(2, 4), (7, 7)]),
            unchanged_since: Some(12_121_230_045),
            action: StoreAction::Add,
            silent: true,
            flags: Flags {
                deleted: true,
                keywords: vec!["$Junk".to_owned()],
                ..Flags::default()
            },
        }
    );
    let Command::Store { flags, action, .. } = mailbox_command("STORE 1 -flags \\Seen \\Draft") else {
        panic!();
    };
    assert!(flags.seen && flags.draft && action == StoreAction::Remove);
    assert_eq!(
        mailbox_command("UID MOVE *:4 \"R&-D\""),
        Command::Copy {
            set: ranges(&[(4, u32::MAX)]),
            mailbox: "R&D".to_owned(),
            removes: true,
        }
    );
    assert_eq!(
        mailbox_command("UID EXPUNGE $"),
        Command::Expunge(Some(SequenceSet::Saved))
    );
    for line in [
        "STORE 1 FLAGS (\\Foo)",
        "STORE 1 FLAGS (\\*)",
        "STORE 1 FLAGS",
        "COPY 1",
        "EXPUNGE 1",
        "COPY 1 &",
        "STORE 1 FLAGS (",
    ] {
        assert_eq!(Err(Flaw::Syntax), parsed(line), "{line}");
    }
}

/// RFC 5258 §5, RFC 5819, RFC 6154, RFC 9590.
#[test]
fn list_in_all_its_forms() {
    let list = |line: &str| match mailbox_command(line) {
        Command::List(list) => list,
        other => panic!("{other:?}"),
    };
    let plain = list("LIST \"\" %");
    assert_eq!((vec!["%".to_owned()], false), (plain.patterns, plain.extended));
    assert_eq!(vec![String::new()], list("LIST \"\" \"\"").patterns);
    let many = list(
        "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (INBOX \"Drafts/*\") RETURN (CHILDREN SPECIAL-USE STATUS (MESSAGES UNSEEN))",
    );
    assert!(
        many.select_subscribed && many.recursive_match && many.return_children && many.return_special_use
    );
    assert_eq!(vec!["INBOX", "Drafts/*"], many.patterns);
    assert_eq!(
        Some(vec![StatusItem::Messages, StatusItem::Unseen]),
        many.return_status
    );
    assert!(list("LIST () \"\" % RETURN ()").extended);
    assert_eq!("~/Mail/", list("LIST ~/Mail/ %").reference);
    for line in [
        "LIST (RECURSIVEMATCH) \"\" *",
        "LIST (X) \"\" *",
        "LIST \"\"",
        "LIST \"\" ()",
        "LIST \"\" * RETURN",
        "LIST \"\" * X ()",
    ] {
        assert_eq!(Err(Flaw::Syntax), parsed(line), "{line}");
    }
}

#[test]
fn mailboxes_are_made_named_and_asked_about() {
    assert_eq!(
        mailbox_command("CREATE MySpecial/ (USE (\\Drafts \\Sent))"),
        Command::Create {
            mailbox: "MySpecial".to_owned(),
            special_use: vec!["\\Drafts".to_owned(), "\\Sent".to_owned()],
        }
    );
    let items = vec![StatusItem::UidNext, StatusItem::Messages, StatusItem::Size];
    assert_eq!(
        mailbox_command("STATUS blurdybloop (UIDNEXT MESSAGES SIZE)"),
        Command::Status {
            mailbox: "blurdybloop".to_owned(),
            items,
        }
    );
    assert_eq!(
        mailbox_command("RENAME {3+}\r\na b \"c \\\" d\""),
        Command::Rename {
            from: "a b".to_owned(),
            to: "c \" d".to_owned(),
        }
    );
    // Regression A6b 5 (#15).
    assert_eq!(Err(Flaw::Syntax), parsed("STATUS a ()"));
    assert_eq!(Command::Noop, mailbox_command("NOOP"));
    assert_eq!(Err(Flaw::Syntax), parsed("NOOP "));
    assert_eq!(Err(Flaw::Unknown), parsed("XYZZY"));
}

/// RFC 5464, RFC 9208, RFC 4314.
#[test]
fn metadata_quota_and_rights() {
    let expected = Command::GetMetadata {
        mailbox: "INBOX".to_owned(),
        entries: vec!["/shared/comment".to_owned(), "/private/comment".to_owned()],
        octets_max: Some(1024),
        depth: MetadataDepth::One,
    };
    for line in [
        "GETMETADATA (MAXSIZE 1024 DEPTH 1) INBOX (/shared/comment /private/comment)",
        "GETMETADATA INBOX (MAXSIZE 1024 DEPTH 1) (/shared/Comment /private/comment)",
    ] {
        assert_eq!(expected, mailbox_command(line), "{line}");
    }
    assert_eq!(
        mailbox_command(
            "SETMETADATA \"\" (/private/comment {3+}\r\nnew /shared/a NIL /shared/b ~{1+}\r\n\0)"
        ),
        Command::SetMetadata {
            mailbox: String::new(),
            entries: vec![
                ("/private/comment".to_owned(), Some(b"new".to_vec())),
                ("/shared/a".to_owned(), None),
                ("/shared/b".to_owned(), Some(b"\0".to_vec())),
            ],
        }
    );
    assert_eq!(Err(Flaw::Syntax), parsed("GETMETADATA INBOX /a//b"));
    assert_eq!(mailbox_command("GETQUOTA \"\""), Command::GetQuota(String::new()));
    assert_eq!(
        mailbox_command("SETQUOTA \"\" (STORAGE 512)"),
        Command::SetQuota(String::new())
    );
    assert_eq!(
        mailbox_command("SETACL INBOX Fred +rwd"),
        Command::SetAcl {
            mailbox: "INBOX".to_owned(),
            identifier: "Fred".to_owned(),
            rights: Some("+rwd".to_owned()),
        }
    );
    assert_eq!(
        mailbox_command("MYRIGHTS INBOX"),
        Command::MyRights("INBOX".to_owned())
    );
}

/// RFC 5465 §5 and §6.
#[test]
fn notify_has_groups_of_events() {
    let Command::Notify(Some(notify)) = mailbox_command(
        "NOTIFY SET STATUS (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (From)]) MessageExpunge))",
    ) else {
        panic!();
    };
    assert!(notify.status);
    assert_eq!(NotifyMailboxes::Selected, notify.groups[0].mailboxes);
    assert_eq!(2, notify.groups[0].events.len());
    let Command::Notify(Some(notify)) = mailbox_command(
        "NOTIFY SET (subtree (INBOX a) (MessageNew FlagChange MessageExpunge)) (personal NONE)",
    ) else {
        panic!();
    };
    assert_eq!(2, notify.groups.len());
    assert!(notify.groups[1].events.is_empty());
    assert_eq!(Command::Notify(None), mailbox_command("NOTIFY NONE"));
}
