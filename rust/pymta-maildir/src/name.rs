//! Names of message files: unique, with the sizes that quota and IMAP ask for, and flags.
//!
//! ```text
//! 1764061234.M123456P4711Q17.mail.example.test,S=4212,W=4300:2,FS
//! seconds    µs     pid  nth host              file  CRLF   flags, in cur only
//! ```
//! `S=` is the size of the file (Maildir++), `W=` the size with CRLF line endings (RFC822.SIZE; Dovecot's).

use std::fmt::{self, Write};

use pymta_types::UnixMs;

/// With it, the longest name has fewer than 200 of the 255 octets that a file system takes.
const HOST_OCTETS_MAX: usize = 64;

/// Our host and process in every name.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    process: u32,
}

impl Host {
    /// What is special in a name is written as octal, as maildir(5) has it; what makes it too long is left out.
    pub fn new(name: &str, process: u32) -> Self {
        let mut safe = String::new();
        for byte in name.bytes() {
            if safe.len() > HOST_OCTETS_MAX - 4 {
                break;
            }
            if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
                safe.push(char::from(byte));
            } else {
                let _ = write!(safe, "\\{byte:03o}"); // writing to a String cannot fail
            }
        }
        Self { name: safe, process }
    }

    /// The part of a name that makes it unique: never given twice by one process, nor by two at a time.
    pub fn unique(&self, now: UnixMs, number: u64) -> String {
        let (seconds, microseconds) = (now.0 / 1000, now.0 % 1000 * 1000);
        format!(
            "{seconds}.M{microseconds}P{}Q{number}.{}",
            self.process, self.name
        )
    }
}

/// The six flags of maildir(5). Others that a name has (Dovecot's keywords) are kept in its text, not here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // six independent facts, each with a letter
pub struct Flags {
    /// D: a draft.
    pub draft: bool,
    /// F: flagged for attention.
    pub flagged: bool,
    /// P: passed on to somebody.
    pub passed: bool,
    /// R: answered.
    pub replied: bool,
    /// S: seen.
    pub seen: bool,
    /// T: to be removed.
    pub trashed: bool,
}

impl Flags {
    /// Those that the letters name; letters that name none are left out.
    pub fn parse(letters: &str) -> Self {
        let has = |letter| letters.contains(letter);
        Self {
            draft: has('D'),
            flagged: has('F'),
            passed: has('P'),
            replied: has('R'),
            seen: has('S'),
            trashed: has('T'),
        }
    }

    /// Whether none is set: such a message belongs into `new`.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl fmt::Display for Flags {
    /// In the order of ASCII, as maildir(5) asks for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [
            (self.draft, 'D'),
            (self.flagged, 'F'),
            (self.passed, 'P'),
            (self.replied, 'R'),
            (self.seen, 'S'),
            (self.trashed, 'T'),
        ];
        letters
            .into_iter()
            .filter(|(set, _)| *set)
            .try_for_each(|(_, letter)| f.write_char(letter))
    }
}

/// A name as readers see it, taken apart. Any name of a message file is one; what it does not say is None.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageName {
    /// What stays the same while flags change.
    pub unique: String,
    /// `S=`: the size of the file.
    pub file_octets: Option<u64>,
    /// `W=`: the size with CRLF line endings.
    pub wire_octets: Option<u64>,
    /// Of the part behind `:2,`.
    pub flags: Flags,
}

impl MessageName {
    /// Takes a file's name apart.
    pub fn parse(name: &str) -> Self {
        let (base, info) = name.split_once(':').unwrap_or((name, ""));
        let mut parts = base.split(',');
        let unique = parts.next().unwrap_or_default().to_owned();
        let mut found = Self {
            unique,
            flags: Flags::parse(info.strip_prefix("2,").unwrap_or("")),
            ..Self::default()
        };
        for part in parts {
            match part.split_once('=') {
                Some(("S", octets)) => found.file_octets = number(octets),
                Some(("W", octets)) => found.wire_octets = number(octets),
                _ => {}
            }
        }
        found
    }

    /// The name of a file for a message with these flags; without any it is one for `new`.
    pub fn compose(&self) -> String {
        let mut name = self.unique.clone();
        // Writing to a String cannot fail.
        if let Some(octets) = self.file_octets {
            let _ = write!(name, ",S={octets}");
        }
        if let Some(octets) = self.wire_octets {
            let _ = write!(name, ",W={octets}");
        }
        if !self.flags.is_empty() {
            let _ = write!(name, ":2,{}", self.flags);
        }
        name
    }
}

/// The part of a file's name that stays the same while flags change.
pub fn unique_part(file_name: &str) -> &str {
    file_name.split([',', ':']).next().unwrap_or_default()
}

/// The name of the same file in `cur` with these flags. Letters that are none of the six (Dovecot's keywords) stay.
pub fn with_letters(file_name: &str, flags: Flags) -> String {
    let (base, info) = file_name.split_once(':').unwrap_or((file_name, ""));
    let mut letters: Vec<char> = flags.to_string().chars().collect();
    letters.extend(
        info.strip_prefix("2,")
            .unwrap_or_default()
            .chars()
            .filter(|letter| !"DFPRST".contains(*letter)),
    );
    letters.sort_unstable();
    letters.dedup();
    let letters: String = letters.into_iter().collect();
    format!("{base}:2,{letters}")
}

/// Digits only: `+5` is none here, though Rust would take it.
fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_says_when_who_and_how_large() {
        let host = Host::new("mail.example.test", 4711);
        let name = MessageName {
            unique: host.unique(UnixMs(1_764_061_234_123), 17),
            file_octets: Some(4212),
            wire_octets: Some(4300),
            flags: Flags::default(),
        };
        assert_eq!(
            name.compose(),
            "1764061234.M123000P4711Q17.mail.example.test,S=4212,W=4300"
        );
    }

    #[test]
    fn what_is_special_in_a_host_is_not_special_in_a_name() {
        let host = Host::new("a/b:c,d", 1);
        assert_eq!(host.unique(UnixMs(0), 0), "0.M0P1Q0.a\\057b\\072c\\054d");
    }

    #[test]
    fn names_of_others_are_understood() {
        for (name, octets, flags) in [
            ("1204680122.27c448fa_0", None, ""),
            ("1700000000.M1P2.host,S=12,W=13:2,FRS", Some(12), "FRS"),
            ("1700000000.P9Q1.host,S=12:2,Sab", Some(12), "S"), // Dovecot's keywords a and b
            ("1700000000.P9Q1.host,S=x:2,T", None, "T"),
            ("1700000000.P9Q1.host,S=+5:1,T", None, ""),
        ] {
            let found = MessageName::parse(name);
            assert_eq!(found.file_octets, octets, "{name}");
            assert_eq!(found.flags.to_string(), flags, "{name}");
        }
    }

    #[test]
    fn flags_change_and_what_others_wrote_stays() {
        let seen = Flags::parse("S");
        assert_eq!("1.a.h,S=1,W=2:2,S", with_letters("1.a.h,S=1,W=2", seen));
        assert_eq!("1.a.h:2,Sab", with_letters("1.a.h:2,FTab", seen));
        assert_eq!("1.a.h:2,", with_letters("1.a.h:2,S", Flags::default()));
        assert_eq!("1.a.h", unique_part("1.a.h,S=1,W=2:2,S"));
        assert_eq!("1.a.h", unique_part("1.a.h:2,S"));
    }

    proptest! {
        #[test]
        fn a_name_survives_being_written_and_read(
            seconds in 0u64..4_000_000_000, number in any::<u64>(), s in any::<u64>(), w in any::<u64>(),
            letters in "[DFPRST]{0,6}", host in "\\PC{0,80}"
        ) {
            let name = MessageName {
                unique: Host::new(&host, 7).unique(UnixMs(seconds * 1000), number),
                file_octets: Some(s),
                wire_octets: Some(w),
                flags: Flags::parse(&letters),
            };
            prop_assert_eq!(MessageName::parse(&name.compose()), name.clone());
            prop_assert!(name.compose().len() < 200);
            prop_assert!(!name.compose().contains('/'));
        }

        #[test]
        fn any_name_is_taken_apart_without_panic(name in "\\PC{0,40}") {
            let _ = MessageName::parse(&name);
        }
    }
}
