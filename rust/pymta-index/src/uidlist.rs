//! Lists of UIDs as Dovecot keeps them beside a Maildir (`dovecot-uidlist`, version 3), and as Courier does and older
//! Dovecots did (`courierimapuiddb`, version 1); and `dovecot-keywords`.
//!
//! ```text
//! 3 V<uidvalidity> N<uidnext> G<guid>            1 <uidvalidity> <uidnext>
//! <uid> [W<wire octets>] [other] :<file name>    <uid> <file name>
//! ```
//! File names are hints: only their unique part counts. Lines that make no sense are passed by, as Dovecot does.

use std::collections::HashMap;
use std::fmt::Write;

use pymta_maildir::unique_part;

use crate::ObjectId;

/// Letters in file names that stand for keywords: `a` to `z`.
pub(crate) const LETTERS: usize = 26;

/// A list that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UidList {
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
    /// UID and size on the wire by the unique part of the file's name.
    pub(crate) uids: HashMap<String, (u32, Option<u64>)>,
}

/// One line of a list.
pub(crate) struct Line {
    pub(crate) uid: u32,
    pub(crate) wire_octets: Option<u64>,
    pub(crate) file_name: String,
}

impl UidList {
    /// None where it is no such list, or has no UIDVALIDITY.
    pub(crate) fn parse(octets: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(octets);
        let mut lines = text.lines();
        let mut head = lines.next()?.split(' ');
        let version = head.next()?;
        let mut list = Self::default();
        match version {
            "3" => {
                for field in head {
                    match field.split_at_checked(1)? {
                        ("V", number) => list.uid_validity = number.parse().ok()?,
                        ("N", number) => list.uid_next = number.parse().ok()?,
                        _ => {}
                    }
                }
            }
            "1" => {
                list.uid_validity = head.next()?.parse().ok()?;
                list.uid_next = head.next()?.parse().ok()?;
            }
            _ => return None,
        }
        if list.uid_validity == 0 {
            return None;
        }
        let mut last = 0;
        for line in lines {
            let Some((uid, wire_octets, file_name)) = parse_line(line, version) else {
                continue;
            };
            // They ascend; one that does not was not written whole.
            if uid > last {
                last = uid;
                list.uids
                    .insert(unique_part(file_name).to_owned(), (uid, wire_octets));
            }
        }
        list.uid_next = list.uid_next.max(last.saturating_add(1));
        Some(list)
    }
}

fn parse_line<'l>(line: &'l str, version: &str) -> Option<(u32, Option<u64>, &'l str)> {
    let (uid, rest) = line.split_once(' ')?;
    let uid = uid.parse().ok().filter(|&uid| uid > 0 && uid < u32::MAX)?;
    if version == "1" {
        return (!rest.is_empty()).then_some((uid, None, rest));
    }
    let (fields, file_name) = match rest.strip_prefix(':') {
        Some(file_name) => ("", file_name),
        None => rest.split_once(" :")?,
    };
    let wire_octets = fields
        .split(' ')
        .find_map(|field| field.strip_prefix('W')?.parse().ok());
    (!file_name.is_empty()).then_some((uid, wire_octets, file_name))
}

/// The list, version 3.
pub(crate) fn format(uid_validity: u32, uid_next: u32, id: ObjectId, lines: &[Line]) -> Vec<u8> {
    let mut text = format!("3 V{uid_validity} N{uid_next} G{id}\n");
    for line in lines {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}", line.uid);
        if let Some(octets) = line.wire_octets {
            let _ = write!(text, " W{octets}");
        }
        let _ = writeln!(text, " :{}", line.file_name);
    }
    text.into_bytes()
}

/// The keywords of `dovecot-keywords`, by letter; an empty one is none.
pub(crate) fn parse_keywords(octets: &[u8]) -> Vec<String> {
    let mut names = vec![String::new(); LETTERS];
    for line in String::from_utf8_lossy(octets).lines() {
        if let Some((number, name)) = line.split_once(' ')
            && let Ok(at) = number.parse::<usize>()
            && let Some(place) = names.get_mut(at)
        {
            name.clone_into(place);
        }
    }
    names
}

/// The file for keywords; those behind the last letter have none.
pub(crate) fn format_keywords(names: &[String]) -> Vec<u8> {
    let mut text = String::new();
    for (at, name) in names.iter().enumerate().take(LETTERS) {
        if !name.is_empty() {
            let _ = writeln!(text, "{at} {name}");
        }
    }
    text.into_bytes()
}

/// Which letters of keywords a file's name has, as bits.
pub(crate) fn letters_of(rest: &str) -> u32 {
    let info = rest.split_once(":2,").map_or("", |(_, info)| info);
    let letters = info.bytes().filter(u8::is_ascii_lowercase);
    letters.fold(0, |bits, letter| bits | 1 << (letter - b'a'))
}

/// The name of a file in `cur` with these letters of keywords and no others.
pub(crate) fn with_keywords(file_name: &str, bits: u32) -> String {
    let (base, info) = file_name.split_once(":2,").unwrap_or((file_name, ""));
    let mut letters: String = info
        .chars()
        .filter(|letter| !letter.is_ascii_lowercase())
        .collect();
    letters.extend(
        (b'a'..=b'z')
            .filter(|letter| bits >> (letter - b'a') & 1 == 1)
            .map(char::from),
    );
    format!("{base}:2,{letters}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_versions_are_read() {
        let list = UidList::parse(
            b"3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n\
            25006 :1276528487.M364837P9451.kurkku,S=1355,W=1394:2,\n\
            25017 W2481 P12 :1276533073.M242911P3632.kurkku:2,F\n\
            nonsense\n\
            25016 :backwards\n",
        );
        let list = list.unwrap();
        assert_eq!((1_275_660_208, 25_022), (list.uid_validity, list.uid_next));
        assert_eq!(2, list.uids.len());
        assert_eq!((25_006, None), list.uids["1276528487.M364837P9451.kurkku"]);
        assert_eq!((25_017, Some(2481)), list.uids["1276533073.M242911P3632.kurkku"]);
        let old = UidList::parse(b"1 1173189136 9\n3 1173189137.M1P2.host\n12 a,S=5:2,S\n").unwrap();
        assert_eq!((1_173_189_136, 13), (old.uid_validity, old.uid_next));
        assert_eq!((12, None), old.uids["a"]);
        for text in ["", "2 V1 N1", "3 N5\n", "1 x 5\n", "3 Vx\n"] {
            assert_eq!(None, UidList::parse(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn keywords_are_letters() {
        let names = parse_keywords(b"0 $Junk\n2 work\n99 x\n");
        assert_eq!(
            ("$Junk", "", "work"),
            (names[0].as_str(), names[1].as_str(), names[2].as_str())
        );
        assert_eq!(b"0 $Junk\n2 work\n".to_vec(), format_keywords(&names));
        assert_eq!(0b101, letters_of(",S=1:2,FSac"));
        assert_eq!("1.a,S=1:2,FSb", with_keywords("1.a,S=1:2,FSac", 0b10));
        assert_eq!("1.a:2,a", with_keywords("1.a", 1));
    }

    proptest! {
        #[test]
        fn a_list_that_is_written_is_read(uids in proptest::collection::btree_set(1u32..1000, 0..20)) {
            let line = |uid: &u32| Line { uid: *uid, wire_octets: uid.is_multiple_of(2).then_some(7), file_name: format!("{uid}.h:2,S") };
            let lines: Vec<Line> = uids.iter().map(line).collect();
            let list = UidList::parse(&format(5, 2000, ObjectId(9), &lines)).unwrap();
            prop_assert_eq!((5, 2000, lines.len()), (list.uid_validity, list.uid_next, list.uids.len()));
            for uid in uids {
                prop_assert_eq!(list.uids[&format!("{uid}.h")], (uid, uid.is_multiple_of(2).then_some(7)));
            }
        }

        #[test]
        fn any_list_is_read_without_panic(text in "[13VNGW: \n0-9a]{0,60}") {
            let _ = UidList::parse(text.as_bytes());
        }
    }
}
