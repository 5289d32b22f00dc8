//! What a session knows of a maildrop: sizes, names, and what is to be deleted at the end. Numbers on the wire begin
//! with 1, places here with 0.

/// One message, as it was when the maildrop was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Size with CRLF line endings, without added dots (RFC 1939 §11).
    pub octets: u64,
    /// The unique-id (RFC 1939 §7): 1 to 70 octets from `!` to `~`.
    pub uid: String,
}

/// The longest unique-id (RFC 1939 §7).
const UID_OCTETS_MAX: usize = 70;

impl Message {
    /// Whether its unique-id can be sent.
    pub fn is_fine(&self) -> bool {
        (1..=UID_OCTETS_MAX).contains(&self.uid.len())
            && self.uid.bytes().all(|octet| octet.is_ascii_graphic())
    }
}

/// A maildrop while a session has it.
#[derive(Debug, Default)]
pub struct Maildrop {
    messages: Vec<Message>,
    deleted: Vec<bool>,
    count: usize,
    octets: u64,
}

impl Maildrop {
    /// Of these messages; None where a unique-id could not be sent.
    pub fn new(messages: Vec<Message>) -> Option<Self> {
        if !messages.iter().all(Message::is_fine) {
            return None;
        }
        let mut maildrop = Self {
            deleted: vec![false; messages.len()],
            messages,
            count: 0,
            octets: 0,
        };
        maildrop.restore();
        Some(maildrop)
    }

    /// Messages that are not deleted.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Their octets.
    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// The place of the message with that number; None where there is none or it is deleted.
    pub(crate) fn find(&self, number: u64) -> Option<usize> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        (!*self.deleted.get(index)?).then_some(index)
    }

    pub(crate) fn message(&self, index: usize) -> &Message {
        &self.messages[index]
    }

    /// The first message at `from` or behind it that is not deleted.
    pub(crate) fn next(&self, from: usize) -> Option<usize> {
        let rest = self.deleted.get(from..)?;
        rest.iter().position(|deleted| !deleted).map(|ahead| from + ahead)
    }

    pub(crate) fn delete(&mut self, index: usize) {
        if !std::mem::replace(&mut self.deleted[index], true) {
            self.count -= 1;
            self.octets -= self.messages[index].octets;
        }
    }

    /// RSET: nothing is deleted.
    pub(crate) fn restore(&mut self) {
        self.deleted.fill(false);
        self.count = self.messages.len();
        self.octets = self.messages.iter().map(|message| message.octets).sum();
    }

    pub(crate) fn deleted(&self) -> Vec<usize> {
        let places = self.deleted.iter().enumerate();
        places
            .filter_map(|(index, deleted)| deleted.then_some(index))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unique_id_that_cannot_be_sent_makes_no_maildrop() {
        for (uid, is_fine) in [
            ("a", true),
            ("", false),
            ("a b", false),
            ("a\r", false),
            ("ü", false),
            (&"x".repeat(70), true),
            (&"x".repeat(71), false),
        ] {
            let message = Message {
                octets: 1,
                uid: uid.to_owned(),
            };
            assert_eq!(is_fine, Maildrop::new(vec![message]).is_some(), "{uid}");
        }
    }
}
