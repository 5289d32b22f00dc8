//! The grammar: searches, APPEND, the session's own commands, and what is refused because it is too much or not offered.

use super::tests::{grammar, mailbox_command, parsed, ranges};
use super::*;
use crate::asked::Enabled;
use crate::capability::Extensions;
use crate::command::*;

/// What is nested beyond measure is refused, and does not cost a stack (attacks 24; regression A6b 9).
#[test]
fn nesting_has_an_end() {
    let deep = |count: usize| format!("SEARCH {}ALL{}", "(".repeat(count), ")".repeat(count));
    assert!(parsed(&deep(30)).is_ok());
    for count in [40, 1000, 60_000] {
        assert_eq!(Err(Flaw::TooComplex), parsed(&deep(count)), "{count}");
        assert_eq!(
            Err(Flaw::TooComplex),
            parsed(&format!("SEARCH {}ALL", "NOT ".repeat(count)))
        );
        assert_eq!(
            Err(Flaw::TooComplex),
            parsed(&format!("SEARCH {}", "OR ".repeat(count)))
        );
    }
    assert_eq!(Err(Flaw::Syntax), parsed(&"(".repeat(60_000)));
    assert_eq!(
        Err(Flaw::TooComplex),
        parsed(&format!("SEARCH {}ALL", "ALL ".repeat(2000)))
    );
    assert_eq!(
        Err(Flaw::TooComplex),
        parsed(&format!("FETCH 1{} FLAGS", ",1".repeat(11_000)))
    );
    assert_eq!(
        Err(Flaw::TooComplex),
        parsed(&format!("FETCH 1 ({}FLAGS)", "FLAGS ".repeat(300)))
    );
    assert_eq!(
        Err(Flaw::TooComplex),
        parsed(&format!("FETCH 1 BODY[{}1]", "1.".repeat(300)))
    );
    assert_eq!(
        Err(Flaw::TooComplex),
        parsed(&format!("STORE 1 FLAGS {}b", "a ".repeat(300)))
    );
}

/// Regression A6b 6: what is not announced is not understood.
#[test]
fn what_is_not_offered_is_unknown() {
    let bare = Grammar {
        enabled: Enabled::default(),
        extensions: Extensions::none(),
    };
    for line in [
        "UNSELECT",
        "NAMESPACE",
        "MOVE 1 a",
        "UID MOVE 1 a",
        "UID EXPUNGE 1",
        "SORT (DATE) UTF-8 ALL",
        "THREAD REFERENCES UTF-8 ALL",
        "CANCELUPDATE \"a\"",
        "GETQUOTA a",
        "GETMETADATA a /b",
        "MYRIGHTS a",
        "NOTIFY NONE",
        "REPLACE 1 a {1}",
    ] {
        let (_, found) = command(format!("a {line}").as_bytes(), bare, false);
        assert_eq!(Err(Flaw::Unknown), found, "{line}");
    }
    for line in [
        "FETCH 1 MODSEQ",
        "FETCH 1 EMAILID",
        "FETCH 1 PREVIEW",
        "FETCH 1 BINARY[1]",
        "FETCH 1 SAVEDATE",
        "FETCH 1 FLAGS (CHANGEDSINCE 1)",
        "SELECT a (CONDSTORE)",
        "SELECT a (QRESYNC (1 2))",
        "STORE 1 (UNCHANGEDSINCE 1) FLAGS ()",
        "SEARCH RETURN () ALL",
        "SEARCH OLDER 1",
        "SEARCH MODSEQ 1",
        "SEARCH $",
        "STATUS a (SIZE)",
        "STATUS a (HIGHESTMODSEQ)",
        "LIST () \"\" *",
        "CREATE a (USE (\\Sent))",
    ] {
        let (_, found) = command(format!("a {line}").as_bytes(), bare, false);
        assert_eq!(Err(Flaw::Syntax), found, "{line}");
    }
}

#[test]
fn numbers_are_refused_where_only_uids_are_taken() {
    let mut uids = grammar();
    uids.enabled.uid_only = true;
    let found = |line: &str| command(format!("a {line}").as_bytes(), uids, false).1;
    assert_eq!(Err(Flaw::UidRequired), found("FETCH 1 FLAGS"));
    assert!(found("UID FETCH 1 FLAGS").is_ok());
    assert_eq!(Err(Flaw::UidRequired), found("UID SEARCH NOT 1:3"));
    assert!(found("UID SEARCH UID 1:3 $").is_ok());
}

/// RFC 2971, RFC 5161, RFC 9051 §6.2.
#[test]
fn commands_of_the_session() {
    assert_eq!(Ok(Line::Id), parsed("ID NIL"));
    assert_eq!(Ok(Line::Id), parsed("ID (\"name\" \"x\" \"version\" NIL)"));
    assert_eq!(Ok(Line::Id), parsed("ID ()"));
    assert_eq!(
        Ok(Line::Login {
            account: "SMITH".to_owned(),
            password: b"SES\"AME".to_vec(),
        }),
        parsed("LOGIN SMITH \"SES\\\"AME\"")
    );
    assert_eq!(
        Ok(Line::Enable(vec![
            "CONDSTORE".to_owned(),
            "X-GOOD-IDEA".to_owned()
        ])),
        parsed("ENABLE CONDSTORE X-GOOD-IDEA")
    );
    assert_eq!(
        Ok(Line::Authenticate {
            mechanism: "PLAIN".to_owned(),
            initial: Some(b"=".to_vec()),
        }),
        parsed("authenticate plain =")
    );
    for line in [
        "ENABLE",
        "LOGIN a",
        "LOGIN a b c",
        "ID",
        "COMPRESS LZ4",
        "CAPABILITY x",
        "LOGIN a \"b",
        "LOGIN \"a\\b\" c",
    ] {
        assert_eq!(Err(Flaw::Syntax), parsed(line), "{line}");
    }
    for octets in [&b""[..], b" NOOP", b"+ NOOP", b"(a NOOP", b"\xff NOOP"] {
        assert_eq!((None, Err(Flaw::Tag)), command(octets, grammar(), false));
    }
}

/// RFC 9051 §6.4.4, RFC 5032, RFC 5182, RFC 7162, RFC 9394.
#[test]
fn search_keys_make_a_tree() {
    let search = |line: &str| match mailbox_command(line) {
        Command::Search(search) => *search,
        other => panic!("{other:?}"),
    };
    let seen = || SearchKey::Flag(SystemFlag::Seen);
    let not = |key| SearchKey::Not(Box::new(key));
    for (line, key) in [
        ("ALL", SearchKey::All),
        ("UNSEEN", not(seen())),
        (
            "1:3,*",
            SearchKey::Sequence(ranges(&[(1, 3), (u32::MAX, u32::MAX)])),
        ),
        ("UID 7", SearchKey::Uid(ranges(&[(7, 7)]))),
        ("$", SearchKey::Sequence(SequenceSet::Saved)),
        ("NEW", SearchKey::And(vec![SearchKey::Recent, not(seen())])),
        (
            "OR SEEN (NOT SEEN ALL)",
            SearchKey::Or(Box::new((
                seen(),
                SearchKey::And(vec![not(seen()), SearchKey::All]),
            ))),
        ),
        (
            "FROM \"Smith\"",
            SearchKey::Header(b"FROM".to_vec(), "Smith".to_owned()),
        ),
        (
            "HEADER X-Y \"\"",
            SearchKey::Header(b"X-Y".to_vec(), String::new()),
        ),
        ("SINCE 1-Feb-1994", SearchKey::Internal(DateTest::Since, 8797)),
        ("SENTBEFORE \"01-Jan-1970\"", SearchKey::Sent(DateTest::Before, 0)),
        ("SAVEDON 2-Jan-1970", SearchKey::Saved(DateTest::On, 1)),
        ("YOUNGER 259200", SearchKey::Younger(259_200)),
        ("MODSEQ 620162338", SearchKey::ModSeq(620_162_338)),
        (
            "MODSEQ \"/flags/\\\\draft\" all 620162338",
            SearchKey::ModSeq(620_162_338),
        ),
        ("LARGER 1024", SearchKey::Larger(1024)),
        ("UNKEYWORD $Junk", not(SearchKey::Keyword("$Junk".to_owned()))),
        (
            "TEXT {6+}\r\n\u{434}\u{430}\u{442}",
            SearchKey::Text("\u{434}\u{430}\u{442}".to_owned()),
        ),
    ] {
        assert_eq!(key, search(&format!("SEARCH {line}")).key, "{line}");
    }
    let found = search("UID SEARCH RETURN (MIN COUNT SAVE) CHARSET utf-8 ALL");
    let returns = found.returns.unwrap();
    assert!(returns.min && returns.count && returns.save && !returns.all && !returns.max);
    assert_eq!(Some("UTF-8"), found.charset.as_deref());
    assert!(search("SEARCH RETURN () ALL").returns.unwrap().all);
    let kept = search("SEARCH RETURN (CONTEXT UPDATE COUNT) UNDELETED UNKEYWORD $Junk");
    let returns = kept.returns.unwrap();
    assert!(returns.update && returns.count && !returns.all);
    assert!(
        !search("SEARCH RETURN (CONTEXT COUNT) ALL")
            .returns
            .unwrap()
            .update
    );
    assert_eq!(
        Command::CancelUpdate(vec!["B01".to_owned(), "B02".to_owned()]),
        mailbox_command("CANCELUPDATE \"B01\" \"B02\"")
    );
    let partial = search("UID SEARCH RETURN (PARTIAL 23500:24000) UNDELETED")
        .returns
        .unwrap()
        .partial
        .unwrap();
    assert_eq!(
        (23_500, 24_000, false),
        (partial.first, partial.last, partial.from_end)
    );
    let sorted = search("UID SORT (SUBJECT REVERSE DATE) UTF-8 SINCE 1-Feb-1994");
    let criterion = |reverse, by| SortCriterion { reverse, by };
    assert_eq!(
        SearchKind::Sort(vec![
            criterion(false, SortBy::Subject),
            criterion(true, SortBy::Date)
        ]),
        sorted.kind
    );
    let repeated = search("SORT (DATE REVERSE DATE SUBJECT DATE) UTF-8 ALL");
    assert_eq!(
        SearchKind::Sort(vec![
            criterion(false, SortBy::Date),
            criterion(false, SortBy::Subject)
        ]),
        repeated.kind
    );
    let threaded = search("THREAD REFERENCES US-ASCII ALL");
    assert_eq!(SearchKind::Thread(ThreadAlgorithm::References), threaded.kind);
    for charset in ["X-NONE", "UTF-16LE", "UTF-7", "REPLACEMENT", "\"\""] {
        assert_eq!(
            Err(Flaw::Charset),
            parsed(&format!("SEARCH CHARSET {charset} ALL"))
        );
    }
    for line in [
        "SEARCH",
        "SEARCH X",
        "SEARCH OR ALL",
        "SEARCH ()",
        "SEARCH (ALL",
        "SEARCH ALL)",
        "SEARCH ON 31-Feb-2000",
        "SEARCH ON 1-Foo-2000",
        "SEARCH SINCE 1-Jan-20",
        "SEARCH LARGER x",
        "SEARCH TEXT {1+}\r\n\u{7f}x",
        "SORT RETURN (UPDATE) (DATE) UTF-8 ALL",
        "SEARCH RETURN (ALL UPDATE PARTIAL 1:2) ALL",
        "CANCELUPDATE",
        "CANCELUPDATE B01",
        "CANCELUPDATE \"B01\" ",
        "SEARCH UNALL",
        "SEARCH RETURN (ALL PARTIAL 1:2) ALL",
        "SORT () UTF-8 ALL",
        "SEARCH HEADER a",
        "SEARCH TEXT {2+}\r\na\0",
    ] {
        assert_eq!(Err(Flaw::Syntax), parsed(line), "{line:?}");
    }
}

/// RFC 9051 §6.3.12, RFC 3502, RFC 8508, RFC 4469.
#[test]
fn append_comes_in_segments() {
    use append::{Place, Step, segment};
    let read = |octets: &str, place| {
        segment(
            octets.as_bytes(),
            Some((place, false)),
            grammar(),
            octets.ends_with("\r\n"),
        )
    };
    let first = read(
        "A003 APPEND saved-messages (\\Seen) \"17-Jul-1996 02:44:25 -0700\" {326+}\r\n",
        Place::Head,
    )
    .unwrap();
    assert_eq!(Place::Between, first.place);
    let [Step::Begin(begin), Step::Message(message)] = &first.steps.into_iter().collect::<Vec<_>>()[..]
    else {
        panic!();
    };
    assert_eq!(("A003", "saved-messages"), (&*begin.tag, &*begin.mailbox));
    assert_eq!(
        (true, Some(837_596_665), Some(326)),
        (message.flags.seen, message.internal_date_s, message.octets)
    );
    assert_eq!(
        [Step::End],
        *read("", Place::Between).unwrap().steps.make_contiguous()
    );
    assert!(read(" {5}\r\n", Place::Between).is_ok() && read(") ~{5}\r\n", Place::Utf8).is_ok());
    let replace = read("a UID REPLACE 2000 Drafts {312}\r\n", Place::Head).unwrap();
    assert!(matches!(&replace.steps[0], Step::Begin(begin)
        if begin.replaces == Some(crate::Replaces { number: 2000, by_uid: true })));
    let catenate = read(
        "A APPEND Drafts CATENATE (URL \"/Drafts;UIDVALIDITY=1/;uid=20\" TEXT {42}\r\n",
        Place::Head,
    )
    .unwrap();
    assert_eq!((3, Place::Catenate), (catenate.steps.len(), catenate.place));
    assert_eq!(2, read(" URL x)", Place::Catenate).unwrap().steps.len());
    assert_eq!(Err(Flaw::Incomplete), read("a APPEND {5}\r\n", Place::Head));
    for (octets, place) in [
        ("a APPEND x", Place::Head),
        ("a APPEND x \"1-Jan-1970 00:00:00 +0000\"", Place::Head),
        ("a APPEND x (\\Foo) {3}\r\n", Place::Head),
        ("a APPEND x \"32-Jan-1970 00:00:00 +0000\" {3}\r\n", Place::Head),
        ("a APPEND x y{3}\r\n", Place::Head),
        ("a APPEND x CATENATE ()", Place::Head),
        ("a APPEND x UTF8 (~{3}\r\n", Place::Head), // not enabled
        (" x", Place::Between),
        (" {3}\r\n", Place::Utf8),
    ] {
        assert_eq!(Err(Flaw::Syntax), read(octets, place), "{octets:?}");
    }
}

/// Lines as Thunderbird, Apple Mail, mutt, mbsync, Roundcube, K-9 and Evolution write them.
#[test]
fn what_clients_write_is_understood() {
    for line in [
        "ID (\"name\" \"iPhone Mail\" \"version\" \"21F90\" \"os\" \"iOS\" \"os-version\" \"17.5.1 (21F90)\")",
        "list (subscribed) \"\" \"*\" return (special-use)",
        "LIST (SPECIAL-USE) \"\" \"*\"",
        "LIST \"\" \"%\" RETURN (CHILDREN STATUS (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ))",
        "lsub \"\" \"*\"",
        "select \"INBOX\" (CONDSTORE)",
        "getquotaroot \"INBOX\"",
        "UID fetch 1:* (FLAGS)",
        "UID fetch 1:5,9 (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Subject Date Message-ID)])",
        "UID FETCH 7 (UID RFC822.SIZE BODY.PEEK[]<0.20480>)",
        "FETCH 1:5 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE FROM X-LABEL)])",
        "UID FETCH 12 (BODY.PEEK[1.2] BODY.PEEK[HEADER])",
        "uid store 3 +Flags (\\Seen $NotJunk)",
        "UID STORE 3 -FLAGS.SILENT \\Flagged",
        "UID SEARCH RETURN (ALL COUNT) 1:* SINCE 1-Nov-2026 NOT DELETED",
        "UID SEARCH HEADER Message-ID \"<a@example.org>\"",
        "SEARCH CHARSET UTF-8 UNDELETED OR OR FROM {1+}\r\nx TO {1+}\r\nx SUBJECT {1+}\r\nx",
        "UID SORT RETURN (COUNT ALL) (REVERSE DATE) UTF-8 UNDELETED",
        "UID THREAD REFERENCES US-ASCII UNDELETED",
        "UID MOVE 5 \"Deleted Messages\"",
        "STATUS \"Sent Items\" (UIDNEXT UIDVALIDITY UNSEEN RECENT MESSAGES)",
        "CREATE \"Entw&APw-rfe/2026\"",
    ] {
        assert!(parsed(line).is_ok(), "{line}: {:?}", parsed(line));
    }
}

#[test]
fn texts_are_looked_for_in_the_charset_that_is_named() {
    let read = |charset: &str, octets: &[u8]| {
        let begin = format!("a SEARCH CHARSET {charset} SUBJECT {{{}}}\r\n", octets.len());
        match command(&[begin.as_bytes(), octets].concat(), grammar(), false).1 {
            Ok(Line::Mailbox(_, tagged)) => match tagged.command {
                Command::Search(search) => match search.key {
                    SearchKey::Header(_, text) => Ok(text),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            },
            Err(flaw) => Err(flaw),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        Ok("привет".to_owned()),
        read("KOI8-R", b"\xd0\xd2\xc9\xd7\xc5\xd4")
    );
    assert_eq!(Ok("Grüße".to_owned()), read("iso-8859-1", b"Gr\xfc\xdfe"));
    assert_eq!(Ok("日本".to_owned()), read("ISO-2022-JP", b"\x1b$BF|K\\\x1b(B"));
    assert_eq!(Ok("ü".to_owned()), read("UTF-8", "ü".as_bytes()));
    assert_eq!(Err(Flaw::Syntax), read("UTF-8", b"\xfc"));
    assert_eq!(Err(Flaw::Syntax), read("EUC-JP", b"\xff\xff"));
    let said = crate::parse::CHARSETS.strip_prefix("BADCHARSET (").unwrap();
    for charset in said.trim_end_matches(')').split(' ') {
        assert_eq!(Ok("x".to_owned()), read(charset, b"x"), "{charset}");
    }
}
