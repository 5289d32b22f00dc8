//! What somebody may do with a mailbox (RFC 4314 §2.1), as a set.

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};

/// A set of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(u16);

/// (letter, right), in the order in which they are said.
const LETTERS: [(char, Rights); 11] = [
    ('l', Rights::LOOKUP),
    ('r', Rights::READ),
    ('s', Rights::SEEN),
    ('w', Rights::WRITE),
    ('i', Rights::INSERT),
    ('p', Rights::POST),
    ('k', Rights::CREATE),
    ('x', Rights::DELETE),
    ('t', Rights::DELETED),
    ('e', Rights::EXPUNGE),
    ('a', Rights::ADMIN),
];

/// Before RFC 4314 there was one letter for two of these (§2.1.1, the first of its pairings).
const OBSOLETE: [(char, Rights); 2] = [
    ('c', Rights(Rights::CREATE.0 | Rights::DELETE.0)),
    ('d', Rights(Rights::DELETED.0 | Rights::EXPUNGE.0)),
];

impl Rights {
    /// None.
    pub const NONE: Self = Self(0);
    /// l: LIST says it is there.
    pub const LOOKUP: Self = Self(1);
    /// r: SELECT and STATUS.
    pub const READ: Self = Self(1 << 1);
    /// s: `\Seen`.
    pub const SEEN: Self = Self(1 << 2);
    /// w: all flags but `\Seen` and `\Deleted`.
    pub const WRITE: Self = Self(1 << 3);
    /// i: APPEND, and COPY into it.
    pub const INSERT: Self = Self(1 << 4);
    /// p: kept and said; there is no address by which it would matter.
    pub const POST: Self = Self(1 << 5);
    /// k: CREATE below it, and RENAME to there.
    pub const CREATE: Self = Self(1 << 6);
    /// x: DELETE and RENAME of itself.
    pub const DELETE: Self = Self(1 << 7);
    /// t: `\Deleted`.
    pub const DELETED: Self = Self(1 << 8);
    /// e: EXPUNGE.
    pub const EXPUNGE: Self = Self(1 << 9);
    /// a: who has which rights.
    pub const ADMIN: Self = Self(1 << 10);
    /// All of them.
    pub const ALL: Self = Self((1 << 11) - 1);
    /// What its owner has whatever is written down: else nobody could give him anything back.
    pub const OF_OWNER: Self = Self(Self::LOOKUP.0 | Self::ADMIN.0);
    /// With none of these a mailbox is open for reading only (RFC 4314 §5.2).
    pub const CHANGING: Self =
        Self(Self::INSERT.0 | Self::EXPUNGE.0 | Self::SEEN.0 | Self::WRITE.0 | Self::DELETED.0);

    /// The right of a letter; of an obsolete one, several.
    pub fn of_letter(letter: char) -> Option<Self> {
        let mut known = LETTERS.iter().chain(&OBSOLETE);
        known.find(|(one, _)| *one == letter).map(|(_, rights)| *rights)
    }

    /// None where one of the letters is no right's.
    pub fn parse(letters: &str) -> Option<Self> {
        letters.chars().try_fold(Self::NONE, |rights, letter| {
            Some(rights | Self::of_letter(letter)?)
        })
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, those: Self) -> Self {
        Self(self.0 | those.0)
    }

    /// Whether all of these are among them.
    pub fn has(self, all: Self) -> bool {
        self & all == all
    }

    /// Whether any of these is.
    pub fn has_any(self, any: Self) -> bool {
        self & any != Self::NONE
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Letters, with the obsolete ones of which a part is there: old clients know no others (RFC 4314 §2.1.1).
    pub fn with_obsolete(self) -> String {
        let obsolete = OBSOLETE.iter().filter(|(_, rights)| self.has_any(*rights));
        format!(
            "{self}{}",
            obsolete.map(|(letter, _)| *letter).collect::<String>()
        )
    }

    /// One after the other.
    pub fn each(self) -> impl Iterator<Item = Self> {
        let rights = LETTERS.iter().map(|(_, right)| *right);
        rights.filter(move |right| self.has(*right))
    }
}

impl BitOr for Rights {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}

impl BitAnd for Rights {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Rights {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = LETTERS.iter().filter(|(_, right)| self.has(*right));
        f.write_str(&letters.map(|(letter, _)| *letter).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_back_in_their_order() {
        assert_eq!("lrswipkxtea", Rights::ALL.to_string());
        assert_eq!("lrwa", Rights::parse("awrl").unwrap().to_string());
        assert_eq!(None, Rights::parse("lz"));
        assert_eq!(11, Rights::ALL.each().count());
    }

    #[test]
    fn obsolete_letters_stand_for_two_and_are_said_for_either() {
        assert_eq!("kx", Rights::parse("c").unwrap().to_string());
        assert_eq!("te", Rights::parse("d").unwrap().to_string());
        assert_eq!("lrtd", Rights::parse("lrt").unwrap().with_obsolete());
        assert_eq!("lrxc", Rights::parse("lrx").unwrap().with_obsolete());
        assert_eq!("lr", Rights::parse("lr").unwrap().with_obsolete());
    }
}
