//! What a conversion may change and what it may not.

use proptest::prelude::*;
use pymta_mime::{PartLimits, Structure};

use super::*;

fn seven(content: &str) -> Result<String, ConvertError> {
    convert(content.as_bytes(), Target::SevenBit).map(|octets| String::from_utf8(octets).unwrap())
}

#[test]
fn a_text_becomes_quoted_printable() {
    let content = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                   Content-Transfer-Encoding: 8bit\r\nSubject: x\r\n\r\ngrå\r\n";
    let converted = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nSubject: x\r\n\
                     Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=A5\r\n";
    assert_eq!(Ok(converted.to_owned()), seven(content));
}

#[test]
fn what_is_not_mime_becomes_mime_of_an_unknown_charset() {
    let converted = "From: a@example.test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n\
                     Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=A5\r\n";
    assert_eq!(
        Ok(converted.to_owned()),
        seven("From: a@example.test\r\n\r\ngrå\r\n")
    );
    let headless = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n\
                    Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A5\r\n";
    let mut lines: Vec<&str> = headless.split_inclusive("\r\n").collect();
    lines.sort_unstable();
    let converted = seven("\r\nå\r\n").unwrap();
    let mut actual: Vec<&str> = converted.split_inclusive("\r\n").collect();
    actual.sort_unstable();
    assert_eq!(lines, actual);
}

const MIXED: &str = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\
                     Content-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n--b\r\n\r\ngrå\r\n--b\r\n\
                     Content-Type: application/x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nå\r\n--b\r\n\
                     Content-Type: text/plain\r\n\r\nascii\r\n--b--\r\nepilogue\r\n";

#[test]
fn only_the_parts_that_need_it_change_and_the_container_says_so() {
    let converted = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\
                     Content-Transfer-Encoding: 7bit\r\n\r\npreamble\r\n--b\r\n\
                     Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=A5\r\n--b\r\n\
                     Content-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\nw6U=\r\n--b\r\n\
                     Content-Type: text/plain\r\n\r\nascii\r\n--b--\r\nepilogue\r\n";
    assert_eq!(Ok(converted.to_owned()), seven(MIXED));
}

#[test]
fn a_message_inside_a_message_is_converted_inside() {
    let content = "Content-Type: message/rfc822\r\nMIME-Version: 1.0\r\n\r\n\
                   From: a@example.test\r\nContent-Type: text/plain\r\nMIME-Version: 1.0\r\n\r\ngrå\r\n";
    let converted = "Content-Type: message/rfc822\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\
                     From: a@example.test\r\nContent-Type: text/plain\r\nMIME-Version: 1.0\r\n\
                     Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=A5\r\n";
    assert_eq!(Ok(converted.to_owned()), seven(content));
}

#[test]
fn binary_becomes_lines() {
    let content = b"MIME-Version: 1.0\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\n\r\xff";
    let converted = b"MIME-Version: 1.0\r\nContent-Type: application/x\r\n\
                      Content-Transfer-Encoding: base64\r\n\r\nAAoN/w==\r\n";
    assert_eq!(Ok(converted.to_vec()), convert(content, Target::EightBit));
    assert_eq!(Ok(converted.to_vec()), convert(content, Target::SevenBit));
}

#[test]
fn binary_that_is_lines_already_only_stops_being_called_binary() {
    let content =
        "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\ngrå\r\n";
    let converted = content.replace("binary", "8bit");
    assert_eq!(
        Ok(converted.into_bytes()),
        convert(content.as_bytes(), Target::EightBit)
    );
}

#[test]
fn a_long_line_is_no_line() {
    let content = format!(
        "Content-Type: text/plain\r\nMIME-Version: 1.0\r\n\r\n{}\r\n",
        "a".repeat(999)
    );
    let converted = seven(&content).unwrap();
    assert!(converted.contains("quoted-printable"));
    assert!(converted.lines().all(|line| line.len() <= 76));
}

#[test]
fn what_would_be_damaged_is_refused() {
    let signed = "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\ngrå\r\n--b\r\n\
                  Content-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n";
    assert_eq!(Err(ConvertError::Signed), seven(signed));
    assert_eq!(
        Ok(signed.as_bytes().to_vec()),
        convert(signed.as_bytes(), Target::EightBit)
    );
    assert_eq!(Err(ConvertError::Outside), seven("Subject: grå\r\n\r\nx\r\n"));
    assert_eq!(
        Err(ConvertError::Outside),
        seven(&MIXED.replace("epilogue", "épilogue"))
    );
    let encoded = "MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\ngrå\r\n";
    assert_eq!(Err(ConvertError::Part), seven(encoded));
    assert_eq!(
        Err(ConvertError::Part),
        seven("MIME-Version: 1.0\r\nContent-Type: message/partial\r\n\r\ngrå\r\n")
    );
    let deep = (0..40).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"));
    assert_eq!(
        Err(ConvertError::Structure),
        seven(&format!("{}\r\ngrå\r\n", deep.collect::<String>()))
    );
}

/// The decoded bodies of the leaves, with their types.
fn leaves(content: &[u8]) -> Vec<(String, Vec<u8>)> {
    let structure = Structure::scan(content, PartLimits::default());
    assert_eq!(None, structure.violation);
    let parts = &structure.parts;
    let leaf = |at: &usize| !is_container(parts, *at);
    (0..parts.len())
        .filter(leaf)
        .map(|at| {
            let decoded = match parts[at].transfer_encoding {
                TransferEncoding::Identity => content[body_of(content, &parts[at])].to_vec(),
                _ => parts[at].decode(content, usize::MAX / 8).octets,
            };
            (parts[at].content_type.clone(), decoded)
        })
        .collect()
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        prop::sample::select(vec!["\r\n", "\r", "\n", "\0", "--", " ", "a=", "å"]),
        0..40,
    )
    .prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn a_reader_decodes_the_same_octets_as_before(
        bodies in prop::collection::vec((prop::sample::select(vec!["text/plain", "application/x"]), body()), 1..5),
        is_seven_bit: bool,
    ) {
        let mut content = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n".to_vec();
        for (content_type, body) in &bodies {
            content.extend_from_slice(format!("--=_b\r\nContent-Type: {content_type}\r\n\r\n").as_bytes());
            content.extend_from_slice(body);
            content.extend_from_slice(b"\r\n");
        }
        content.extend_from_slice(b"--=_b--\r\n");
        let target = if is_seven_bit { Target::SevenBit } else { Target::EightBit };
        let converted = convert(&content, target).unwrap();
        prop_assert!(target.takes(&converted, usize::MAX));
        prop_assert_eq!(leaves(&content), leaves(&converted));
    }

    #[test]
    fn any_octets_are_converted_or_refused_without_a_panic(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                &b"\r\n"[..],
                b"--b",
                b"--",
                b"\0",
                b"\xff",
                b"x",
                b"Content-Type: multipart/mixed; boundary=b\r\n",
                b"Content-Type: message/rfc822\r\n",
                b"Content-Transfer-Encoding: binary\r\n",
                b"From: x\r\n",
            ]),
            0..30,
        ),
        is_seven_bit: bool,
    ) {
        let target = if is_seven_bit { Target::SevenBit } else { Target::EightBit };
        if let Ok(converted) = convert(&pieces.concat(), target) {
            prop_assert!(target.takes(&converted, usize::MAX));
        }
    }
}
