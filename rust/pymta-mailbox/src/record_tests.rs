//! Records of messages as they are found, and through the index.

use proptest::prelude::*;

use super::*;
use crate::record_codec::VERSION;

fn record(content: &str) -> Record<'static> {
    Record::of_file(&content.as_bytes().to_vec()).unwrap()
}

fn structure(content: &str) -> String {
    String::from_utf8_lossy(&record(content).body_structure).into_owned()
}

#[test]
fn a_simple_text() {
    let found = record("From: a@b\nSubject: x\n\nHello\nyou\n");
    assert_eq!(
        "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 12 2)",
        String::from_utf8_lossy(&found.body)
    );
    assert_eq!(
        "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 12 2 NIL NIL NIL NIL)",
        String::from_utf8_lossy(&found.body_structure)
    );
    assert_eq!((37, 32), (found.places.wire_octets, found.places.file_octets));
}

#[test]
fn parts_and_messages_inside_are_described() {
    let content = "Content-Type: multipart/mixed; boundary=a\nContent-Language: en\n\npreamble\n--a\n\
        Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; \
        filename=\"x \\\"y\\\".html\"\n\nQUJD\n--a\nContent-Type: message/rfc822\n\nSubject: in\nFrom: Q <q@r>\n\nhi\n--a\n\
        Content-Type: multipart/alternative; boundary=none\n\nnothing\n--a--\n";
    assert_eq!(
        "((\"text\" \"html\" (\"charset\" \"utf-8\") NIL NIL \"base64\" 4 0 NIL (\"attachment\" (\"filename\" \
         \"x \\\"y\\\".html\")) NIL NIL)\
         (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 32 (NIL \"in\" ((\"Q\" NIL \"q\" \"r\")) ((\"Q\" NIL \"q\" \"r\")) \
         ((\"Q\" NIL \"q\" \"r\")) NIL NIL NIL NIL NIL) (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 2 0 \
         NIL NIL NIL NIL) 3 NIL NIL NIL NIL)\
         ((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL) \"alternative\" (\"boundary\" \
         \"none\") NIL NIL NIL) \"mixed\" (\"boundary\" \"a\") NIL (\"en\") NIL)",
        structure(content)
    );
}

#[test]
fn an_encoded_message_and_octets_beyond_ascii_keep_the_grammar() {
    assert_eq!(
        "(\"message\" \"rfc822\" NIL NIL {2}\r\nü \"base64\" 6 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) (\"text\" \"plain\" \
         (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL) 1 NIL NIL NIL NIL)",
        structure(
            "Content-Type: message/rfc822\nContent-Description: ü\nContent-Transfer-Encoding: base64\n\nQUJD\n"
        )
    );
}

#[test]
fn keys_of_sort_and_thread() {
    let found = record(
        "From: =?utf-8?Q?J=C3=BC?= <ju@x>\nTo: list: a@b;\nCc: Zed@y\nSubject: Re: [l] hi\nDate: Fri, 21 Nov 1997 09:55:06 \
         -0600\nMessage-ID: <\"a\"@b>\nIn-Reply-To: <c@d> <e@f>\n\n",
    );
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    assert_eq!(
        ["ju", "list", "Zed", "Jü", "list", "a@b", "hi"].map(str::to_owned),
        [
            &found.sort_from,
            &found.sort_to,
            &found.sort_cc,
            &found.display_from,
            &found.display_to,
            &found.message_id,
            &found.base_subject
        ]
        .map(|octets| text(octets))
    );
    assert_eq!(vec![Cow::Borrowed(&b"c@d"[..])], found.references);
    assert_eq!(
        (true, Some(880_127_706)),
        (found.is_reply, found.sent.map(|sent| sent.seconds))
    );
}

#[test]
fn of_a_long_header_section_the_trace_is_left_out() {
    let long = format!(
        "Received: {}\nFrom: a@b\nX-Long: x\nX-Priority: 1\n\nbody",
        "x".repeat(3000)
    );
    let found = record(&long);
    assert_eq!(
        (Kept::Asked, &b"From: a@b\r\nX-Priority: 1\r\n\r\n"[..]),
        (found.kept, &*found.header)
    );
    let huge = format!("To: {}\n\nbody", "x@y,\n ".repeat(5000));
    assert_eq!(
        (Kept::Nothing, 0),
        (record(&huge).kept, record(&huge).header.len())
    );
    assert_eq!(
        (Kept::Whole, &b"A: b\r\n\r\n"[..]),
        (record("A: b\n\nc").kept, &*record("A: b\n\nc").header)
    );
}

#[test]
fn what_lies_beyond_the_limit_belongs_to_the_parts_that_reach_it() {
    let mut file = b"Content-Type: multipart/mixed; boundary=a\n\n--a\n\nshort\n--a\n\n".to_vec();
    file.extend(b"1234567\n".repeat(50_000));
    let content = Content::read(&file, 100_000).unwrap();
    let found = Record::of_content(&content);
    let [all, first, last] = found.parts[..] else {
        panic!("three parts")
    };
    assert_eq!(found.places.wire_octets, all.header_octets + all.body_octets);
    assert_eq!(
        (5, 450_000, 50_000),
        (first.body_octets, last.body_octets, last.lines)
    );
    assert_eq!(found.places.wire_octets, last.body_at() + last.body_octets);
}

#[test]
fn a_record_of_another_version_or_cut_off_is_none() {
    let encoded = record("A: b\n\nc").encode();
    for length in 0..encoded.len() {
        assert_eq!(None, Record::decode(&encoded[..length]));
    }
    assert_eq!(None, Record::decode(&[encoded.clone(), vec![0]].concat()));
    assert_eq!(
        None,
        Record::decode(&[vec![VERSION + 1], encoded[1..].to_vec()].concat())
    );
}

proptest! {
    #[test]
    fn a_record_survives_the_index(content in proptest::collection::vec(
        prop_oneof![Just("\n".to_owned()), Just("--a\n".to_owned()), Just("--b--\n".to_owned()),
            Just("Content-Type: multipart/mixed; boundary=a\n".to_owned()),
            Just("Content-Type: message/rfc822\n".to_owned()), Just("Content-Transfer-Encoding: base64\n".to_owned()),
            Just("Date: 1 Jan 1900 00:00 -1200\n".to_owned()), Just("References: <a@b> <c@d>\n".to_owned()),
            "[ -~]{0,12}\n", "(From|To|Subject|Cc): .{0,20}\n"], 0..30)) {
        let found = record(&content.concat());
        let encoded = found.encode();
        prop_assert_eq!(Some(found), Record::decode(&encoded));
    }

    #[test]
    fn any_octets_are_a_record_or_none(mut encoded in proptest::collection::vec(any::<u8>(), 0..200)) {
        encoded.insert(0, VERSION);
        if let Some(found) = Record::decode(&encoded) {
            found.encode();
        }
    }
}
