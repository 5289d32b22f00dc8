//! The parts of a message as an IMAP client numbers them (RFC 9051 §6.4.5.1): where each is on the wire.

use pymta_imap::command::SectionText;
use pymta_mime::TransferEncoding;

/// What a part is, as far as numbers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Content.
    Leaf,
    /// Parts, perhaps none.
    Multipart,
    /// A message that was looked into: the part that follows.
    Message,
}

/// Where a part is, in the wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// 0 for the message itself.
    pub(crate) depth: u8,
    pub(crate) kind: Kind,
    pub(crate) encoding: TransferEncoding,
    /// Where its header section begins.
    pub(crate) header_at: u64,
    /// Length of the header section, empty line included.
    pub(crate) header_octets: u64,
    /// Length of the body, which follows.
    pub(crate) body_octets: u64,
    /// Line ends in the body.
    pub(crate) lines: u64,
}

impl Place {
    pub(crate) fn body_at(&self) -> u64 {
        self.header_at + self.header_octets
    }
}

/// Indices of the parts directly in the part at `index`; all parts stand in the order in which they begin.
pub(crate) fn children<'a>(places: &'a [Place], index: usize) -> impl Iterator<Item = usize> + 'a {
    let depth = places[index].depth;
    let inside = places[index + 1..]
        .iter()
        .take_while(move |place| place.depth > depth);
    inside
        .enumerate()
        .filter(move |(_, place)| place.depth == depth + 1)
        .map(move |(at, _)| index + 1 + at)
}

/// A numbered part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbered {
    /// Index of the part.
    pub(crate) index: usize,
    /// It is the body of a message that is no multipart: the number 1 of that message.
    pub(crate) of_message: bool,
}

/// The part that the numbers name; the message itself for none.
pub(crate) fn numbered(places: &[Place], numbers: &[u32]) -> Option<Numbered> {
    places.first()?;
    let mut now = Numbered {
        index: 0,
        of_message: false,
    };
    let mut is_message = true; // whether `now` stands for a message rather than for a part of one
    for &number in numbers {
        let mut around = now.index;
        if !is_message {
            match places[around].kind {
                Kind::Leaf => return None,
                Kind::Multipart => {}
                Kind::Message => {
                    around += 1; // the message inside is what follows
                    places.get(around)?;
                    is_message = true;
                }
            }
        }
        if places[around].kind == Kind::Multipart {
            let position = usize::try_from(number.checked_sub(1)?).ok()?;
            now = Numbered {
                index: children(places, around).nth(position)?,
                of_message: false,
            };
        } else if is_message && number == 1 {
            now = Numbered {
                index: around,
                of_message: true,
            };
        } else {
            return None;
        }
        is_message = false;
    }
    Some(now)
}

/// What a section is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// So many octets of the wire form, from an offset.
    Octets(u64, u64),
    /// Fields of the header section that has these octets, and whether a body follows it.
    Fields(u64, u64, bool),
}

/// Where the section is; None where there is no such part, or it has none of that.
pub(crate) fn extent(places: &[Place], numbers: &[u32], text: &SectionText) -> Option<Extent> {
    let found = numbered(places, numbers)?;
    let place = &places[found.index];
    if matches!(text, SectionText::All) {
        return Some(if numbers.is_empty() {
            Extent::Octets(place.header_at, place.header_octets + place.body_octets)
        } else {
            Extent::Octets(place.body_at(), place.body_octets)
        });
    }
    if matches!(text, SectionText::Mime) {
        return (!numbers.is_empty()).then_some(Extent::Octets(place.header_at, place.header_octets));
    }
    // HEADER and TEXT are of messages: the whole one, or one that a part holds.
    let message = if numbers.is_empty() {
        place
    } else if place.kind == Kind::Message {
        places.get(found.index + 1)?
    } else {
        return None;
    };
    Some(match text {
        SectionText::Header => Extent::Octets(message.header_at, message.header_octets),
        SectionText::HeaderFields { .. } => {
            Extent::Fields(message.header_at, message.header_octets, message.body_octets > 0)
        }
        _ => Extent::Octets(message.body_at(), message.body_octets),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message of RFC 9051 §6.4.5.1, and one that is a single text.
    fn places(shape: &[(u8, Kind)]) -> Vec<Place> {
        let place = |(at, &(depth, kind)): (usize, &(u8, Kind))| Place {
            depth,
            kind,
            encoding: TransferEncoding::Identity,
            header_at: at as u64 * 100,
            header_octets: 10,
            body_octets: 50,
            lines: 1,
        };
        shape.iter().enumerate().map(place).collect()
    }

    #[test]
    fn numbers_of_rfc_9051() {
        use Kind::{Leaf, Message, Multipart};
        let places = places(&[
            (0, Multipart),
            (1, Leaf),      // 1
            (1, Leaf),      // 2
            (1, Message),   // 3
            (2, Multipart), // 3.HEADER
            (3, Leaf),      // 3.1
            (3, Leaf),      // 3.2
            (1, Multipart), // 4
            (2, Leaf),      // 4.1
            (2, Message),   // 4.2
            (3, Multipart), // 4.2.HEADER
            (4, Leaf),      // 4.2.1
            (4, Multipart), // 4.2.2
            (5, Leaf),      // 4.2.2.1
            (5, Leaf),      // 4.2.2.2
        ]);
        for (numbers, index) in [
            (&[][..], 0),
            (&[1], 1),
            (&[2], 2),
            (&[3], 3),
            (&[3, 1], 5),
            (&[3, 2], 6),
            (&[4], 7),
            (&[4, 1], 8),
            (&[4, 2], 9),
            (&[4, 2, 1], 11),
            (&[4, 2, 2], 12),
            (&[4, 2, 2, 2], 14),
        ] {
            assert_eq!(
                Some(index),
                numbered(&places, numbers).map(|n| n.index),
                "{numbers:?}"
            );
        }
        for numbers in [&[5][..], &[0], &[1, 1], &[3, 3], &[4, 2, 2, 3], &[4, 2, 2, 2, 1]] {
            assert_eq!(None, numbered(&places, numbers), "{numbers:?}");
        }
        let of = |numbers: &[u32], text| extent(&places, numbers, &text);
        assert_eq!(Some(Extent::Octets(0, 60)), of(&[], SectionText::All));
        assert_eq!(Some(Extent::Octets(0, 10)), of(&[], SectionText::Header));
        assert_eq!(Some(Extent::Octets(10, 50)), of(&[], SectionText::Text));
        assert_eq!(Some(Extent::Octets(110, 50)), of(&[1], SectionText::All));
        assert_eq!(Some(Extent::Octets(100, 10)), of(&[1], SectionText::Mime));
        assert_eq!(Some(Extent::Octets(400, 10)), of(&[3], SectionText::Header));
        assert_eq!(Some(Extent::Octets(1010, 50)), of(&[4, 2], SectionText::Text));
        assert_eq!(None, of(&[1], SectionText::Header));
    }

    #[test]
    fn the_body_of_a_simple_message_is_its_part_1() {
        let places = places(&[(0, Kind::Leaf)]);
        assert_eq!(
            Some(Extent::Octets(10, 50)),
            extent(&places, &[1], &SectionText::All)
        );
        assert_eq!(None, extent(&places, &[2], &SectionText::All));
        assert_eq!(None, extent(&places, &[1, 1], &SectionText::All));
        let message = super::tests::places(&[(0, Kind::Message), (1, Kind::Leaf)]);
        assert_eq!(
            Some(Extent::Octets(100, 10)),
            extent(&message, &[1], &SectionText::Header)
        );
        assert_eq!(
            Some(Extent::Octets(110, 50)),
            extent(&message, &[1, 1], &SectionText::All)
        );
    }
}
