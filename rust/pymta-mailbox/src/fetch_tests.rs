//! Responses to FETCH as clients see them.

use pymta_index::flag;

use super::*;

const MESSAGE: &str = "From: A <a@b>\nSubject: =?utf-8?Q?=C3=BC?=\nContent-Type: multipart/mixed; boundary=x\n\n\
    --x\n\nplain\n--x\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\nAGE=\n--x\n\
    Content-Type: message/rfc822\n\nSubject: in\n\ninner\n--x\nContent-Transfer-Encoding: x-uuencode\n\nzz\n--x--\n";

fn section(part: &[u32], text: SectionText) -> Section {
    Section {
        part: part.to_vec(),
        text,
        peek: true,
        partial: None,
        form: SectionForm::Body,
    }
}

fn fields(names: &[&str], not: bool) -> SectionText {
    SectionText::HeaderFields {
        names: names.iter().map(|name| name.as_bytes().to_vec()).collect(),
        not,
    }
}

fn fetch_in_pieces(content: &[u8], items: &[FetchItem], octets_max: usize) -> Result<Vec<u8>, FetchError> {
    let message = Message {
        keywords: 0b10,
        modseq: 7,
        uid: 42,
        flags: flag::SEEN | flag::FORWARDED,
    };
    let given = Given {
        number: 3,
        message: &message,
        keywords: &["one".to_owned(), "two".to_owned()],
        details: None,
        record: None,
    };
    let mut responder = Responder::default();
    let mut out = Vec::new();
    let mut open = || Ok(Some(Box::new(content.to_vec()) as Box<dyn Octets>));
    let mut made = None;
    loop {
        let done = responder.go_on(items, &given, Enabled::default(), &mut open, &mut out, octets_max)?;
        made = responder.take_made().or(made); // as early as it can be taken
        if done {
            break;
        }
    }
    // With the record that was made, the same is said again.
    if let Some(made) = made {
        let given = Given {
            record: Some(&made),
            ..given
        };
        let mut again = Vec::new();
        Responder::default().go_on(
            items,
            &given,
            Enabled::default(),
            &mut open,
            &mut again,
            usize::MAX / 2,
        )?;
        assert_eq!(out, again);
    }
    Ok(out)
}

fn fetch(items: &[FetchItem]) -> String {
    let out = fetch_in_pieces(MESSAGE.as_bytes(), items, 1).unwrap();
    let out = String::from_utf8(out).unwrap();
    let inner = out.strip_prefix("* 3 FETCH (").unwrap();
    inner.strip_suffix(")\r\n").unwrap().to_owned()
}

fn body(part: &[u32], text: SectionText) -> String {
    fetch(&[FetchItem::Section(section(part, text))])
}

fn binary(part: &[u32], partial: Option<(u64, u64)>) -> FetchItem {
    FetchItem::Section(Section {
        form: SectionForm::Binary,
        partial,
        ..section(part, SectionText::All)
    })
}

#[test]
fn what_the_index_knows() {
    assert_eq!(
        "UID 42 FLAGS (\\Seen $Forwarded two) MODSEQ (7) THREADID NIL",
        fetch(&[
            FetchItem::Uid,
            FetchItem::Flags,
            FetchItem::ModSeq,
            FetchItem::ThreadId
        ])
    );
    assert_eq!("PREVIEW \"plain\"", fetch(&[FetchItem::Preview { lazy: true }]));
}

#[test]
fn sections_of_a_message() {
    let wire = MESSAGE.replace('\n', "\r\n");
    assert_eq!(
        format!("BODY[] {{{}}}\r\n{wire}", wire.len()),
        body(&[], SectionText::All)
    );
    let (header, text) = wire.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        format!("BODY[HEADER] {{{}}}\r\n{header}\r\n\r\n", header.len() + 4),
        body(&[], SectionText::Header)
    );
    assert_eq!(
        format!("BODY[TEXT] {{{}}}\r\n{text}", text.len()),
        body(&[], SectionText::Text)
    );
    assert_eq!("BODY[1] {5}\r\nplain", body(&[1], SectionText::All));
    assert_eq!("BODY[1.MIME] {2}\r\n\r\n", body(&[1], SectionText::Mime));
    assert_eq!("BODY[2] {4}\r\nAGE=", body(&[2], SectionText::All));
    assert_eq!(
        "BODY[3.HEADER] {15}\r\nSubject: in\r\n\r\n",
        body(&[3], SectionText::Header)
    );
    assert_eq!("BODY[3.TEXT] {5}\r\ninner", body(&[3], SectionText::Text));
    assert_eq!("BODY[3.1] {5}\r\ninner", body(&[3, 1], SectionText::All));
    assert_eq!("BODY[9] NIL", body(&[9], SectionText::All));
    assert_eq!("BODY[1.HEADER] NIL", body(&[1], SectionText::Header));
}

#[test]
fn chosen_fields_end_with_an_empty_line() {
    assert_eq!(
        "BODY[HEADER.FIELDS (FROM x)] {17}\r\nFrom: A <a@b>\r\n\r\n",
        body(&[], fields(&["FROM", "x"], false))
    );
    assert_eq!(
        "BODY[HEADER.FIELDS.NOT (subject content-type)] {17}\r\nFrom: A <a@b>\r\n\r\n",
        body(&[], fields(&["subject", "content-type"], true))
    );
    assert_eq!(
        "BODY[3.HEADER.FIELDS (Subject)] {15}\r\nSubject: in\r\n\r\n",
        body(&[3], fields(&["Subject"], false))
    );
    assert_eq!(
        "BODY[HEADER.FIELDS (\"a b\")] {2}\r\n\r\n",
        body(&[], fields(&["a b"], false))
    );
}

#[test]
fn no_empty_line_is_told_of_a_message_that_ends_with_its_header_section() {
    let items = [FetchItem::Section(section(&[], fields(&["subject"], false)))];
    let said = |content: &[u8]| String::from_utf8(fetch_in_pieces(content, &items, 9).unwrap()).unwrap();
    let head = "* 3 FETCH (BODY[HEADER.FIELDS (subject)]";
    assert_eq!(
        format!("{head} {{12}}\r\nSubject: x\r\n)\r\n"),
        said(b"Subject: x\n")
    );
    assert_eq!(
        format!("{head} {{14}}\r\nSubject: x\r\n\r\n)\r\n"),
        said(b"Subject: x\n\n")
    );
}

#[test]
fn parts_of_sections() {
    let partial = |from, octets| {
        let mut asked = section(&[1], SectionText::All);
        asked.partial = Some((from, octets));
        fetch(&[FetchItem::Section(asked)])
    };
    assert_eq!("BODY[1]<1> {3}\r\nlai", partial(1, 3));
    assert_eq!("BODY[1]<3> {2}\r\nin", partial(3, 100));
    assert_eq!("BODY[1]<5> {0}\r\n", partial(5, 100));
    assert_eq!("BODY[1]<99> {0}\r\n", partial(99, u64::MAX));
}

#[test]
fn decoded_parts() {
    assert_eq!(
        "BINARY[2] ~{2}\r\n\0a BINARY.SIZE[2] 2",
        fetch(&[binary(&[2], None), FetchItem::BinarySize(vec![2])])
    );
    assert_eq!("BINARY[2]<1> {1}\r\na", fetch(&[binary(&[2], Some((1, 9)))]));
    assert_eq!("BINARY[1] {5}\r\nplain", fetch(&[binary(&[1], None)]));
    assert_eq!(
        "BINARY[7] NIL BINARY.SIZE[7] 0",
        fetch(&[binary(&[7], None), FetchItem::BinarySize(vec![7])])
    );
    let unknown = fetch_in_pieces(MESSAGE.as_bytes(), &[FetchItem::Uid, binary(&[4], None)], 9);
    assert!(matches!(unknown, Err(FetchError::UnknownEncoding)));
}

#[test]
fn large_parts_come_in_pieces_and_as_long_as_was_said() {
    let body = b"QUJD\r\n".repeat(100_000);
    for head in [
        "Content-Transfer-Encoding: base64\r\n\r\n",
        "Content-Transfer-Encoding: quoted-printable\n\n",
    ] {
        let content = [head.as_bytes(), &body].concat();
        let whole = fetch_in_pieces(&content, &[binary(&[1], None)], usize::MAX / 2).unwrap();
        assert_eq!(
            whole,
            fetch_in_pieces(&content, &[binary(&[1], None)], 1000).unwrap()
        );
        let decoded = if head.contains("base64") { 300_000 } else { 600_000 };
        let expected = format!("* 3 FETCH (BINARY[1] {{{decoded}}}\r\n");
        assert!(whole.starts_with(expected.as_bytes()));
        assert_eq!(expected.len() + decoded + 3, whole.len());
        let part = fetch_in_pieces(&content, &[binary(&[1], Some((decoded as u64 - 5, 9)))], 1000).unwrap();
        let end = &whole[whole.len() - 8..];
        assert_eq!(
            [
                &format!("* 3 FETCH (BINARY[1]<{}> {{5}}\r\n", decoded - 5).into_bytes(),
                end
            ]
            .concat(),
            part
        );
    }
}

#[test]
fn what_follows_a_large_section_is_said_too() {
    let content = [b"Subject: x\n\n".to_vec(), b"0123456\n".repeat(50_000)].concat();
    let items = [
        FetchItem::Section(section(&[], SectionText::All)),
        FetchItem::Envelope,
        FetchItem::BinarySize(vec![1]),
    ];
    let said = fetch_in_pieces(&content, &items, 1000).unwrap();
    assert!(
        said.ends_with(b" ENVELOPE (NIL \"x\" NIL NIL NIL NIL NIL NIL NIL NIL) BINARY.SIZE[1] 450000)\r\n")
    );
}

#[test]
fn a_message_that_is_gone_or_shrinks_is_an_error() {
    let message = Message {
        keywords: 0,
        modseq: 1,
        uid: 1,
        flags: 0,
    };
    let made = Record::of_file(&MESSAGE.as_bytes().to_vec()).unwrap().encode();
    let given = Given {
        number: 1,
        message: &message,
        keywords: &[],
        details: None,
        record: Some(&made),
    };
    let items = [
        FetchItem::Envelope,
        FetchItem::Section(section(&[], SectionText::All)),
    ];
    let mut out = b"before".to_vec();
    let mut gone = || Ok(None);
    let done = Responder::default().go_on(&items, &given, Enabled::default(), &mut gone, &mut out, 100);
    assert!(matches!(done, Err(FetchError::Gone)));
    assert_eq!(b"before".to_vec(), out);
    let mut short = || Ok(Some(Box::new(b"From: A".to_vec()) as Box<dyn Octets>));
    let mut responder = Responder::default();
    let first = responder.go_on(&items, &given, Enabled::default(), &mut short, &mut out, 1);
    assert!(matches!(first, Ok(false)));
    let second = responder.go_on(&items, &given, Enabled::default(), &mut short, &mut out, 10_000);
    assert!(matches!(second, Err(FetchError::CutOff(_))));
}

#[test]
fn a_global_message_is_one_only_to_who_knows_such() {
    let content = b"Content-Type: message/global\n\nSubject: in\n\nhi\n".to_vec();
    let message = Message {
        keywords: 0,
        modseq: 1,
        uid: 1,
        flags: 0,
    };
    let made = Record::of_file(&content).unwrap().encode();
    let given = Given {
        number: 1,
        message: &message,
        keywords: &[],
        details: None,
        record: Some(&made),
    };
    let said = |rev2| {
        let enabled = Enabled {
            rev2,
            ..Enabled::default()
        };
        let mut open = || Ok(Some(Box::new(content.clone()) as Box<dyn Octets>));
        let mut out = Vec::new();
        let items = [FetchItem::Body];
        Responder::default()
            .go_on(&items, &given, enabled, &mut open, &mut out, 9)
            .unwrap();
        String::from_utf8(out).unwrap()
    };
    let head = "* 1 FETCH (BODY (\"message\" \"global\" NIL NIL NIL \"7bit\" 19";
    assert_eq!(format!("{head}))\r\n"), said(false));
    assert!(said(true).starts_with(&format!("{head} (NIL \"in\" NIL")));
}

#[test]
fn what_must_be_asked_of_the_index() {
    let seen = FetchItem::Section(Section {
        peek: false,
        ..section(&[], SectionText::All)
    });
    let of = |items: &[FetchItem]| {
        let need = need(items);
        (need.details, need.record, need.sets_seen)
    };
    assert_eq!((false, false, false), of(&[FetchItem::Uid, FetchItem::Flags]));
    assert_eq!((true, false, false), of(&[FetchItem::Size]));
    assert_eq!((false, true, false), of(&[FetchItem::Envelope]));
    assert_eq!((false, true, true), of(&[seen]));
}

/// Parentheses close, quoted strings are ASCII and close, literals are as long as they say, and the line ends where all is
/// closed.
fn check_grammar(said: &[u8]) {
    let mut depth = 0;
    let mut rest = said;
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        match octet {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'"' => loop {
                let (&octet, tail) = rest.split_first().expect("a quote closes");
                assert!(octet.is_ascii() && !matches!(octet, b'\r' | b'\n' | 0));
                rest = if octet == b'\\' { &tail[1..] } else { tail };
                if octet == b'"' {
                    break;
                }
            },
            b'{' => {
                let end = memchr::memchr(b'}', rest).expect("a literal says its length");
                let octets: usize = std::str::from_utf8(&rest[..end]).unwrap().parse().unwrap();
                rest = rest[end + 1..]
                    .strip_prefix(b"\r\n")
                    .expect("a literal begins a line");
                rest = &rest[octets..];
            }
            b'\r' => assert!(depth == 0 && rest == b"\n"),
            other => assert!(matches!(other, b' '..=b'~' | b'\n'), "{other}"),
        }
    }
    assert_eq!(0, depth);
}

proptest::proptest! {
    #[test]
    fn whatever_a_message_holds_what_is_said_keeps_the_grammar(lines in proptest::collection::vec(
        proptest::prop_oneof![
            proptest::strategy::Just(b"\n".to_vec()),
            proptest::strategy::Just(b"--a\n".to_vec()),
            proptest::strategy::Just(b"--a--\n".to_vec()),
            proptest::strategy::Just(b"Content-Type: multipart/mixed; boundary=a; x=\"\xff\n \\\"\"\n".to_vec()),
            proptest::strategy::Just(b"Content-Type: message/rfc822; a*0=\"\r\"; a*1*=''%00\n".to_vec()),
            proptest::strategy::Just(b"Content-Transfer-Encoding: base64\n".to_vec()),
            proptest::strategy::Just(b"Content-Disposition: x; filename=\0\"\\\n".to_vec()),
            proptest::strategy::Just(b"From: \"a\\\"\x80\" <x@\"y\">, g: (z\n".to_vec()),
            proptest::strategy::Just(b"Message-ID: <\"a\\\"\0@b>\r\n".to_vec()),
            proptest::collection::vec(proptest::num::u8::ANY, 0..20),
        ], 0..25), octets_max in 1usize..200) {
        let content = lines.concat();
        let items = [
            FetchItem::Envelope,
            FetchItem::Body,
            FetchItem::BodyStructure,
            FetchItem::Preview { lazy: false },
            FetchItem::Section(section(&[], SectionText::All)),
            FetchItem::Section(section(&[], fields(&["From", "\"\u{e9}\\"], false))),
            FetchItem::Section(section(&[1], SectionText::Mime)),
            FetchItem::Section(section(&[1, 1], SectionText::All)),
            binary(&[], Some((1, 30))),
        ];
        check_grammar(&fetch_in_pieces(&content, &items, octets_max).unwrap());
    }
}
