//! Whatever a message holds, its record is the same after it was kept, and every literal is as long as it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pymta_imap::Enabled;
use pymta_imap::command::{FetchItem, Section, SectionForm, SectionText};
use pymta_index::Message;
use pymta_mailbox::Octets;
use pymta_mailbox::fetch::{Given, Responder};
use pymta_mailbox::record::Record;

fuzz_target!(|octets: &[u8]| {
    let content = octets.to_vec();
    let record = Record::of_file(&content).expect("memory can be read");
    let encoded = record.encode();
    assert_eq!(Some(&record), Record::decode(&encoded).as_ref());
    Record::decode(&content);

    let section = |part: &[u32], text, form| {
        FetchItem::Section(Section {
            part: part.to_vec(),
            text,
            peek: true,
            partial: None,
            form,
        })
    };
    let items = [
        FetchItem::Envelope,
        FetchItem::Body,
        FetchItem::BodyStructure,
        FetchItem::Preview { lazy: false },
        section(&[], SectionText::All, SectionForm::Body),
        section(&[], SectionText::Header, SectionForm::Body),
        section(&[1], SectionText::All, SectionForm::Body),
        section(&[2], SectionText::Mime, SectionForm::Body),
        section(&[1, 1], SectionText::All, SectionForm::Body),
        section(&[], SectionText::All, SectionForm::Binary),
    ];
    let message = Message {
        keywords: 0,
        modseq: 1,
        uid: 1,
        flags: 0,
    };
    let given = Given {
        number: 1,
        message: &message,
        keywords: &[],
        details: None,
        record: Some(&encoded),
    };
    let mut open = || Ok(Some(Box::new(content.clone()) as Box<dyn Octets>));
    let mut out = Vec::new();
    let mut responder = Responder::default();
    let done = responder.go_on(&items, &given, Enabled::default(), &mut open, &mut out, usize::MAX / 2);
    assert!(done.expect("it is there"));
    check_grammar(&out);
});

/// Parentheses close, quotes close, literals are as long as they say, and the line ends where all is closed.
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
                assert!(octet != b'\r' && octet != b'\n' && octet != 0 && octet < 128);
                rest = if octet == b'\\' { &tail[1..] } else { tail };
                if octet == b'"' {
                    break;
                }
            },
            b'{' => {
                let end = rest.iter().position(|o| *o == b'}').expect("a literal says its length");
                let octets: usize = std::str::from_utf8(&rest[..end]).unwrap().parse().expect("a length");
                rest = rest[end + 1..].strip_prefix(b"\r\n").expect("a literal begins a line");
                rest = &rest[octets..];
            }
            b'\r' => assert!(depth == 0 && rest == b"\n"),
            other => assert!((32..127).contains(&other) || other == b'\n', "{other}"),
        }
    }
    assert_eq!(0, depth);
}
