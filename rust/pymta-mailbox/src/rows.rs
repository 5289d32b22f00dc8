//! What is said of the selected mailbox's flags, and of a message without more than what its row has.

use pymta_imap::Enabled;
use pymta_imap::write::{self, Status};
use pymta_index::flag;

use crate::picture::{Picture, line};
use crate::said::flags;

/// Keywords of a mailbox: the bits of a row.
const KEYWORDS_MAX: usize = 64;

/// In the order in which they are said.
const SYSTEM_FLAGS: [(u8, &str); 6] = [
    (flag::ANSWERED, "\\Answered"),
    (flag::FLAGGED, "\\Flagged"),
    (flag::DELETED, "\\Deleted"),
    (flag::SEEN, "\\Seen"),
    (flag::DRAFT, "\\Draft"),
    (flag::FORWARDED, "$Forwarded"),
];

/// What is said of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowForm {
    pub(crate) with_uid: bool,
    pub(crate) with_flags: bool,
    pub(crate) with_modseq: bool,
}

/// `* 7 FETCH (`, or `* 4711 UIDFETCH (` (RFC 9586).
pub(crate) fn fetch_head(out: &mut Vec<u8>, at: usize, uid: u32, enabled: Enabled) {
    let head = if enabled.uid_only {
        format!("* {uid} UIDFETCH (")
    } else {
        format!("* {} FETCH (", at + 1)
    };
    out.extend_from_slice(head.as_bytes());
}

impl Picture {
    /// `* FLAGS` and what of them lasts.
    pub(crate) fn say_flags(&self, out: &mut Vec<u8>) {
        let keywords = || {
            self.keywords
                .iter()
                .filter(|name| !name.is_empty())
                .map(String::as_str)
        };
        let all: Vec<&str> = SYSTEM_FLAGS
            .iter()
            .map(|(_, name)| *name)
            .chain(keywords())
            .collect();
        line(out, &format!("* FLAGS ({})", all.join(" ")));
        let within = self.changeable();
        let system = SYSTEM_FLAGS.iter().filter(|(bit, _)| within.flags & bit != 0);
        let mut lasting: Vec<&str> = system.map(|(_, name)| *name).collect();
        if within.keywords {
            lasting.extend(keywords());
            let has_room = self.keywords.len() < KEYWORDS_MAX || self.keywords.iter().any(String::is_empty);
            lasting.extend(has_room.then_some("\\*"));
        }
        let code = format!("PERMANENTFLAGS ({})", lasting.join(" "));
        // Longer than the text of a line may be, but it is a code, and ours.
        write::untagged(out, Status::Ok, Some(&code), "These last");
    }

    /// A FETCH response with nothing but what the row says.
    pub(crate) fn say_row(&self, out: &mut Vec<u8>, at: usize, form: RowForm, enabled: Enabled) {
        let row = &self.rows()[at];
        fetch_head(out, at, row.uid, enabled);
        let mut space = "";
        if form.with_uid && !enabled.uid_only {
            out.extend_from_slice(format!("UID {}", row.uid).as_bytes());
            space = " ";
        }
        if form.with_flags {
            out.extend_from_slice(space.as_bytes());
            flags(row, &self.keywords, out);
            space = " ";
        }
        if form.with_modseq {
            out.extend_from_slice(format!("{space}MODSEQ ({})", row.modseq).as_bytes());
        }
        out.extend_from_slice(b")\r\n");
    }
}
