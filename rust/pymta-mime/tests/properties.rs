//! What holds for any content, however hostile: nothing panics, offsets are in bounds and in order, limits hold, and
//! an edit changes what it names and nothing else.

use proptest::prelude::*;
use pymta_mime::{
    EditError, HeaderLimits, HeaderSection, PartLimits, Peer, Prepended, Protocol, Received, Structure,
    TransferEncoding, encoded_word,
};
use pymta_types::UnixMs;

/// Octets that look like a message more often than chance would have it.
fn content() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] = &[
        b"\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b"\0",
        b" ",
        b"\t",
        b":",
        b";",
        b"=",
        b"\"",
        b"A: 1\r\n",
        b"Subject : x\r\n",
        b"Received: by x; now\r\n",
        b" continued\r\n",
        b"junk\r\n",
        b"From a Mon\r\n",
        b"\r\n--a\r\n",
        b"\r\n--a--\r\n",
        b"\r\n--ab\r\n",
        b"--a",
        b"Content-Type: multipart/mixed; boundary=a\r\n",
        b"Content-Type: multipart/digest; boundary=\"ab\"\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: text/plain; charset*0*=utf-8''a%",
        b"Content-Disposition: attachment; filename*1=b; filename*0*=c",
        b"Content-Transfer-Encoding: base64\r\n",
        b"=?utf-8?q?=C3",
        b"=?iso-2022-jp?b?GyRC?=",
        b"\xff\xfe",
        "ü".as_bytes(),
    ];
    let piece = prop_oneof![
        8 => proptest::sample::select(PIECES).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn limits() -> impl Strategy<Value = HeaderLimits> {
    prop_oneof![
        3 => Just(HeaderLimits::default()),
        1 => (0usize..200, 0usize..6).prop_map(|(section_octets_max, fields_max)| HeaderLimits {
            section_octets_max,
            fields_max
        }),
    ]
}

/// Names and values of all fields, unfolded.
fn fields(section: &HeaderSection) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |field: pymta_mime::Field<'_>| (field.name().to_vec(), field.value().into_owned());
    section.iter().map(pair).collect()
}

/// Where each field is, by the addresses of its slices.
fn places(section: &HeaderSection) -> Vec<(usize, usize)> {
    let base = section.octets().as_ptr() as usize;
    let place = |field: pymta_mime::Field<'_>| {
        let start = field.whole().as_ptr() as usize - base;
        (start, start + field.whole().len())
    };
    section.iter().map(place).collect()
}

const NAME: &str = "X-Only-Ours";

proptest! {
    #[test]
    fn section_and_rest_are_the_content(content in content(), limits in limits()) {
        let section = HeaderSection::scan(&content, limits);
        prop_assert_eq!(section.octets(), &content[..section.original_octets()]);
        prop_assert!(section.octets().len() <= limits.section_octets_max);
        prop_assert!(section.count() <= limits.fields_max);
        prop_assert_eq!(Prepended::Octets(0), section.prepended());
        let received = section.iter().filter(|field| field.is(b"received")).count();
        if section.violation().is_none() {
            prop_assert_eq!(received, section.received_hops());
        }
    }

    #[test]
    fn fields_are_in_bounds_and_in_order(content in content(), limits in limits()) {
        let section = HeaderSection::scan(&content, limits);
        let mut end_before = 0;
        for (start, end) in places(&section) {
            prop_assert!(end_before <= start && start < end && end <= section.octets().len());
            end_before = end;
        }
        for field in section.iter() {
            prop_assert!(!field.name().is_empty() && !field.value().windows(2).any(|w| w == b"\r\n"));
        }
    }

    #[test]
    fn edits_do_what_they_say_and_nothing_else(
        content in content(),
        value in "[ -~ü\t]{0,300}",
        choice in 0..3u8,
    ) {
        let mut section = HeaderSection::scan(&content, HeaderLimits::default());
        let before = fields(&section);
        let original = section.octets().to_vec();
        let result = match choice {
            0 => section.prepend(NAME, &value),
            1 => section.append(NAME, &value),
            _ => section.prepend_raw(format!("{NAME}: {}\r\n", value.trim()).as_bytes()),
        };
        prop_assert!(result.is_ok() || value.trim().is_empty(), "{:?}", result);
        if result.is_err() {
            prop_assert_eq!(original.as_slice(), section.octets());
            return Ok(());
        }
        let trimmed = value.trim_matches([' ', '\t']);
        let read = section.field(NAME).map(|v| v.into_owned());
        prop_assert_eq!(Some(trimmed.as_bytes()), read.as_deref());
        if let Prepended::Octets(octets) = section.prepended() {
            prop_assert_eq!(&section.octets()[octets..], original.as_slice());
        }
        let seen_by_others = HeaderSection::scan(section.octets(), HeaderLimits::default());
        prop_assert_eq!(fields(&section), fields(&seen_by_others));
        prop_assert_eq!(1, section.replace(NAME, "other").unwrap());
        prop_assert_eq!(1, section.remove(NAME));
        prop_assert_eq!(before, fields(&section));
    }

    #[test]
    fn lines_that_we_write_are_short_and_never_blank(value in "[a-z \t]{0,3000}") {
        let mut section = HeaderSection::scan(b"\r\n", HeaderLimits::default());
        match section.append(NAME, &value) {
            Ok(()) => for line in String::from_utf8_lossy(section.octets()).trim_end().split("\r\n") {
                prop_assert!(line.len() <= 998 && !line.trim().is_empty());
            },
            Err(error) => prop_assert_eq!(EditError::LineTooLong, error),
        }
    }

    #[test]
    fn no_value_ends_its_field(value in "[\r\n\0 a:-]{0,12}") {
        let mut section = HeaderSection::scan(b"A: 1\r\n\r\nbody", HeaderLimits::default());
        let accepted = section.append("X", &value).is_ok();
        prop_assert_eq!(if accepted { 2 } else { 1 }, section.count());
        prop_assert!(section.octets().ends_with(b"\r\n\r\n"));
        let again = HeaderSection::scan(section.octets(), HeaderLimits::default());
        prop_assert_eq!(section.octets().len(), again.original_octets());
    }

    #[test]
    fn nothing_a_peer_says_breaks_the_trace_field(name in any::<String>(), tls in any::<String>()) {
        let field = Received {
            peer: Some(Peer { hello_name: &name, ip: None, name: Some(&name) }),
            by: "mx.example.test",
            protocol: Protocol::default(),
            id: "0",
            forward_path: None,
            tls: Some(&tls),
            date: UnixMs(0),
        }.compose();
        let mut section = HeaderSection::scan(b"\r\n", HeaderLimits::default());
        prop_assert_eq!(Ok(()), section.prepend_raw(field.as_bytes()));
        prop_assert_eq!((1, 1), (section.count(), section.received_hops()));
    }

    #[test]
    fn parts_are_in_bounds_and_inside_their_parents(
        content in content(),
        depth_max in 0usize..6,
        parts_max in 1usize..20,
    ) {
        let limits = PartLimits { depth_max, parts_max, ..PartLimits::default() };
        let structure = Structure::scan(&content, limits);
        prop_assert!((1..=parts_max).contains(&structure.parts.len()));
        let mut parents: Vec<std::ops::Range<usize>> = Vec::new();
        for part in &structure.parts {
            prop_assert!(part.depth <= depth_max);
            prop_assert!(part.header.start <= part.header.end && part.header.end == part.body.start);
            prop_assert!(part.body.start <= part.body.end && part.body.end <= content.len());
            parents.truncate(part.depth);
            prop_assert_eq!(part.depth, parents.len());
            if let Some(parent) = parents.last() {
                prop_assert!(parent.start <= part.header.start && part.body.end <= parent.end);
            }
            parents.push(part.body.clone());
            let decoded = part.decode(&content, 7);
            prop_assert!(decoded.octets.len() <= 7);
            part.text(&content, 100);
            for name in &part.filenames {
                prop_assert!(!name.contains(['\r', '\n', '\0']));
            }
        }
    }

    #[test]
    fn decoded_header_text_is_bounded_and_harmless(content in content(), octets_max in 0usize..300) {
        let text = encoded_word::decode(&content, octets_max);
        prop_assert!(text.len() <= octets_max);
        prop_assert!(!text.contains(|c: char| c.is_control() && c != '\t'));
    }

    #[test]
    fn base64_round_trips(octets in proptest::collection::vec(any::<u8>(), 0..200), lines in any::<bool>()) {
        let mut content = b"Content-Transfer-Encoding: base64\r\n\r\n".to_vec();
        content.extend_from_slice(base64(&octets, if lines { 76 } else { usize::MAX }).as_bytes());
        let part = Structure::scan(&content, PartLimits::default()).parts.remove(0);
        prop_assert_eq!(TransferEncoding::Base64, part.transfer_encoding);
        prop_assert_eq!(octets, part.decode(&content, 1000).octets);
    }
}

/// RFC 4648 §4, in lines.
fn base64(octets: &[u8], line_octets: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    let mut column = 0;
    for group in octets.chunks(3) {
        let mut bits = 0u32;
        for index in 0..3 {
            bits = bits << 8 | u32::from(group.get(index).copied().unwrap_or(0));
        }
        for index in 0..4 {
            let digit = bits >> (18 - 6 * index) & 63;
            text.push(if index > group.len() {
                '='
            } else {
                char::from(ALPHABET[digit as usize])
            });
        }
        column += 4;
        if column >= line_octets {
            text.push_str("\r\n");
            column = 0;
        }
    }
    text
}
