//! Quota as Maildir++ has it: `maildirsize` in the mailbox says what is used, so that nobody has to look at all files.
//!
//! ```text
//! 10000000S,1000C     what is allowed; 0 or missing is no bound
//!       4212      1   what was added (or, negative, removed) since the file was made, one write a line
//! ```
//! It is an estimate that mends itself: where it says "over", is too old or too long, or has another bound, the files
//! are counted anew. Two who deliver at a time may both fit where only one should; the next one counts right.

use std::fmt::Write;
use std::io;

use pymta_types::UnixMs;

use crate::files::Files;
use crate::mailbox::{SUBFOLDERS, folders_of};
use crate::name::MessageName;
use crate::path::FolderName;

pub(crate) const FILE_NAME: &str = "maildirsize";
/// Maildir++: a file of this size is written anew.
const FILE_OCTETS_MAX: usize = 5120;
/// Maildir++: a file that says "over quota" is believed for so long.
const BELIEVED_S_MAX: u64 = 15 * 60;

/// What an account may keep; None is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Of all message files.
    pub octets: Option<u64>,
    /// How many of them.
    pub messages: Option<u64>,
}

impl Quota {
    /// Whether it bounds nothing.
    pub fn is_unbounded(self) -> bool {
        self == Self::default()
    }

    /// Whether a message of that size fits beside what is used.
    pub fn admits(self, used: Usage, file_octets: u64) -> bool {
        let fits = |bound: Option<u64>, used: u64, more: u64| {
            bound.is_none_or(|bound| used.checked_add(more).is_some_and(|sum| sum <= bound))
        };
        fits(self.octets, used.octets, file_octets) && fits(self.messages, used.messages, 1)
    }

    fn head(self) -> String {
        let mut head = String::new();
        // Writing to a String cannot fail.
        if let Some(octets) = self.octets {
            let _ = write!(head, "{octets}S");
        }
        if let Some(messages) = self.messages {
            let comma = if head.is_empty() { "" } else { "," };
            let _ = write!(head, "{comma}{messages}C");
        }
        head
    }

    fn parse(head: &str) -> Option<Self> {
        let mut found = Self::default();
        for part in head.trim_end().split(',') {
            let (digits, kind) = part.split_at_checked(part.len().checked_sub(1)?)?;
            let bound = digits.parse().ok().filter(|&bound: &u64| bound > 0);
            match kind {
                "S" => found.octets = bound,
                "C" => found.messages = bound,
                _ => return None,
            }
        }
        Some(found)
    }
}

/// What is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of message files, those in Trash and those with the flag T left out.
    pub octets: u64,
    /// How many they are.
    pub messages: u64,
}

impl Usage {
    /// With one message more.
    pub(crate) fn plus(self, file_octets: u64) -> Self {
        Self {
            octets: self.octets.saturating_add(file_octets),
            messages: self.messages.saturating_add(1),
        }
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            octets: self.octets.saturating_add(other.octets),
            messages: self.messages.saturating_add(other.messages),
        }
    }
}

/// A `maildirsize` that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) quota: Quota,
    pub(crate) usage: Usage,
    pub(crate) lines: usize,
    /// It ends with a whole line, so that one can be added.
    pub(crate) is_whole: bool,
}

impl Ledger {
    /// None where it is none, or is due to be written anew.
    pub(crate) fn parse(octets: &[u8]) -> Option<Self> {
        if octets.len() >= FILE_OCTETS_MAX {
            return None;
        }
        let text = std::str::from_utf8(octets).ok()?;
        let mut lines = text.lines();
        let quota = Quota::parse(lines.next()?)?;
        let (mut octets, mut messages, mut count) = (0i64, 0i64, 0usize);
        for line in lines {
            let mut numbers = line.split_ascii_whitespace().map(str::parse::<i64>);
            let (Some(Ok(more)), Some(Ok(messages_more)), None) =
                (numbers.next(), numbers.next(), numbers.next())
            else {
                return None;
            };
            octets = octets.checked_add(more)?;
            messages = messages.checked_add(messages_more)?;
            count += 1;
        }
        Some(Self {
            quota,
            usage: Usage {
                octets: u64::try_from(octets).ok()?,
                messages: u64::try_from(messages).ok()?,
            },
            lines: count,
            is_whole: text.ends_with('\n'),
        })
    }
}

/// The file for what was counted.
pub(crate) fn ledger(quota: Quota, usage: Usage) -> Vec<u8> {
    format!("{}\n{} {}\n", quota.head(), usage.octets, usage.messages).into_bytes()
}

/// What a mailbox uses, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) usage: Usage,
    /// The files were counted, so the ledger is to be written anew.
    pub(crate) is_counted: bool,
}

/// What a mailbox uses, as far as the question needs it whether a message of that size fits.
///
/// # Errors
/// What the file system says while counting.
pub(crate) fn usage_for<F: Files>(
    files: &F,
    mailbox: &F::Folder,
    quota: Quota,
    file_octets: u64,
    now: UnixMs,
) -> io::Result<Known> {
    let octets = match files.read(mailbox, FILE_NAME, FILE_OCTETS_MAX) {
        Ok(octets) => octets,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    if let Some(ledger) = Ledger::parse(&octets).filter(|l| l.quota == quota && l.is_whole) {
        let known = Known {
            usage: ledger.usage,
            is_counted: false,
        };
        if quota.admits(ledger.usage, file_octets) {
            return Ok(known);
        }
        let stat = files.stat(mailbox, FILE_NAME)?;
        let age_s = (now.0 / 1000).saturating_sub(stat.modified_s);
        if ledger.lines <= 1 && age_s < BELIEVED_S_MAX {
            return Ok(known);
        }
    }
    Ok(Known {
        usage: count(files, mailbox)?,
        is_counted: true,
    })
}

/// What a mailbox uses; counted where the ledger does not say it for this quota.
///
/// # Errors
/// What the file system says while counting.
pub fn used<F: Files>(files: &F, mailbox: &F::Folder, quota: Quota, now: UnixMs) -> io::Result<Usage> {
    Ok(usage_for(files, mailbox, quota, 0, now)?.usage)
}

/// Whether so much more fits; where not, what is used.
///
/// # Errors
/// What the file system says while counting.
pub fn admits<F: Files>(
    files: &F,
    mailbox: &F::Folder,
    quota: Quota,
    more: Usage,
    now: UnixMs,
) -> io::Result<Result<(), Usage>> {
    if quota.is_unbounded() || more.messages == 0 {
        return Ok(Ok(()));
    }
    let mut known = usage_for(files, mailbox, quota, more.octets, now)?;
    // The ledger is asked whether one message fits; it is not believed when it says that several do not.
    let before = |known: &Known| {
        known.usage.and(Usage {
            octets: 0,
            messages: more.messages - 1,
        })
    };
    if !known.is_counted && !quota.admits(before(&known), more.octets) {
        known = Known {
            usage: count(files, mailbox)?,
            is_counted: true,
        };
    }
    if quota.admits(before(&known), more.octets) {
        Ok(Ok(()))
    } else {
        Ok(Err(known.usage))
    }
}

/// Notes in the ledger, where there is one, what came (or, negative, went). Without the line it is wrong until the files
/// are counted anew.
pub fn note_change<F: Files>(files: &F, mailbox: &F::Folder, octets: i64, messages: i64) {
    if messages != 0 {
        let line = format!("{octets} {messages}\n");
        let _ = files.append(mailbox, FILE_NAME, line.as_bytes());
    }
}

/// Looks at all messages of a mailbox.
///
/// # Errors
/// What the file system says; messages that go away meanwhile are none.
pub(crate) fn count<F: Files>(files: &F, mailbox: &F::Folder) -> io::Result<Usage> {
    let mut usage = Usage::default();
    add_folder(files, mailbox, &mut usage)?;
    for name in folders_of(files, mailbox)? {
        if !FolderName::is_trash(&name) {
            add_folder(files, &files.open_folder(mailbox, &name)?, &mut usage)?;
        }
    }
    Ok(usage)
}

fn add_folder<F: Files>(files: &F, folder: &F::Folder, usage: &mut Usage) -> io::Result<()> {
    for name in &SUBFOLDERS[1..] {
        let found = match files.open_folder(folder, name) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for file in files.list(&found)? {
            let message = MessageName::parse(&file);
            if file.starts_with('.') || message.flags.trashed {
                continue;
            }
            let octets = match message.file_octets {
                Some(octets) => octets,
                None => match files.stat(&found, &file) {
                    Ok(stat) if stat.is_plain_file => stat.octets,
                    Ok(_) => continue,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                },
            };
            *usage = usage.plus(octets);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOTH: Quota = Quota {
        octets: Some(1000),
        messages: Some(10),
    };

    #[test]
    fn a_ledger_is_the_sum_of_its_lines() {
        let found = Ledger::parse(b"1000S,10C\n 400 2\n-100 -1\n  50 1\n").unwrap();
        assert_eq!(found.quota, BOTH);
        assert_eq!(
            found.usage,
            Usage {
                octets: 350,
                messages: 2
            }
        );
        assert_eq!((found.lines, found.is_whole), (3, true));
    }

    #[test]
    fn what_is_no_ledger_is_counted_anew() {
        for text in [
            "",
            "x\n",
            "1000S\n1\n",
            "1000S\n1 2 3\n",
            "1000S\na b\n",
            "1000S\n-5 -1\n",
            "1000X\n",
            "S,\n",
        ] {
            let found = Ledger::parse(text.as_bytes());
            assert!(found.is_none() || found.unwrap().quota != BOTH, "{text:?}");
        }
        assert!(Ledger::parse(&[b'1'; FILE_OCTETS_MAX]).is_none());
    }

    #[test]
    fn a_bound_is_what_still_fits() {
        let used = Usage {
            octets: 900,
            messages: 9,
        };
        assert!(BOTH.admits(used, 100));
        assert!(!BOTH.admits(used, 101));
        assert!(!BOTH.admits(used.plus(1), 1));
        assert!(!BOTH.admits(used, u64::MAX));
        assert!(Quota::default().admits(used, u64::MAX));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            octets in proptest::option::of(1u64..1 << 50), messages in proptest::option::of(1u64..1 << 40),
            used in 0u64..1 << 50, count in 0u64..1 << 40
        ) {
            let quota = Quota { octets, messages };
            let usage = Usage { octets: used, messages: count };
            let found = Ledger::parse(&ledger(quota, usage));
            if quota.is_unbounded() {
                prop_assert!(found.is_none());
            } else {
                prop_assert_eq!(found, Some(Ledger { quota, usage, lines: 1, is_whole: true }));
            }
        }

        #[test]
        fn any_file_is_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Ledger::parse(&text);
        }
    }
}
