//! Sizes of messages whose files' names do not say them (`W=`), as other programs deliver: counted once, and kept in a file
//! beside the messages.
//!
//! ```text
//! 1700000000.M1P1.host 4300       what stays of a file's name, octets on the wire
//! ```
//! It is no more than a note: it may be lost, and a line that is damaged says nothing. Whoever holds the maildrop's lock
//! writes it.

use std::collections::HashMap;
use std::io;

use crate::files::Files;
use crate::mailbox::OpenFolder;

const FILE_NAME: &str = "pymta-pop3.sizes";
/// Of some 500,000 messages.
const OCTETS_MAX: usize = 64 << 20;

/// What was counted, by what stays of a file's name.
pub(crate) type Sizes = HashMap<String, u64>;

/// What is known; nothing where it cannot be read.
pub(crate) fn read<F: Files>(files: &F, mailbox: &F::Folder) -> Sizes {
    let octets = match files.stat(mailbox, FILE_NAME) {
        Ok(stat) => usize::try_from(stat.octets).unwrap_or(usize::MAX),
        Err(_) => return Sizes::new(),
    };
    if octets > OCTETS_MAX {
        return Sizes::new();
    }
    parse(&files.read(mailbox, FILE_NAME, octets).unwrap_or_default())
}

fn parse(octets: &[u8]) -> Sizes {
    // A last line without its end is one that was cut.
    let whole = memchr::memrchr(b'\n', octets).map_or(0, |at| at + 1);
    let text = String::from_utf8_lossy(&octets[..whole]);
    let sizes = text.lines().filter_map(|line| {
        let (base, octets) = line.rsplit_once(' ')?;
        Some((base.to_owned(), octets.parse().ok()?))
    });
    sizes.collect()
}

/// Keeps these and no others.
pub(crate) fn write<F: Files>(
    files: &F,
    mailbox: &F::Folder,
    folder: &OpenFolder<F>,
    sizes: &Sizes,
) -> io::Result<()> {
    let mut text = String::new();
    for (base, octets) in sizes.iter().filter(|(base, _)| !base.contains('\n')) {
        text.push_str(&format!("{base} {octets}\n"));
    }
    // One that a crash left: nobody else writes it now.
    let _ = files.remove(&folder.tmp, FILE_NAME);
    let file = files.create(&folder.tmp, FILE_NAME)?;
    files.write(&file, text.as_bytes())?;
    files.replace(&folder.tmp, FILE_NAME, mailbox, FILE_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_line_says_nothing() {
        let sizes = parse(b"a b 12\nc\nd x\n\0\xff\ne 1");
        assert_eq!(sizes, Sizes::from([("a b".to_owned(), 12)]));
    }
}
