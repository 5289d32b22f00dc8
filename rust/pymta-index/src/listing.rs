//! What a listing of a mailbox's folders says, by the part of file names that stays.

use std::collections::HashMap;

use pymta_maildir::unique_part;

use crate::mailbox::Place;

/// A file that was listed.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) file_name: String,
    pub(crate) is_new: bool,
}

/// Files by the part of their names that stays.
pub(crate) struct Listing {
    found: Vec<Found>,
    by_unique: HashMap<String, usize>,
    /// Others with a unique part that is known: of two files one is the message.
    doubles: Vec<usize>,
}

impl Listing {
    /// Of all that was listed.
    pub(crate) fn new(found: Vec<Found>) -> Self {
        let mut listing = Self {
            by_unique: HashMap::with_capacity(found.len()),
            found: Vec::new(),
            doubles: Vec::new(),
        };
        listing.fill(found);
        listing
    }

    fn fill(&mut self, found: Vec<Found>) {
        for one in found {
            let at = self.found.len();
            let unique = unique_part(&one.file_name);
            match self.by_unique.get(unique) {
                Some(_) => self.doubles.push(at),
                None => {
                    self.by_unique.insert(unique.to_owned(), at);
                }
            }
            self.found.push(one);
        }
    }

    /// What a second look saw. The later name of a file is the right one.
    pub(crate) fn add(&mut self, second: Self) {
        let second_has = |one: &Found| second.by_unique.contains_key(unique_part(&one.file_name));
        let earlier = std::mem::take(&mut self.found);
        let only_earlier: Vec<Found> = earlier.into_iter().filter(|one| !second_has(one)).collect();
        *self = second;
        self.fill(only_earlier);
    }

    /// Whether a known message was seen.
    pub(crate) fn has(&self, known: &Place) -> bool {
        self.by_unique.contains_key(&known.unique_name)
    }

    /// Where a known message is now, which is then no new one.
    pub(crate) fn take(&mut self, known: &Place) -> Option<Place> {
        let mut at = self.by_unique.remove(&known.unique_name)?;
        if !self.doubles.is_empty() {
            let is_exact = |at: &usize| {
                let one = &self.found[*at];
                one.is_new == known.is_new && one.file_name == known.file_name()
            };
            if !is_exact(&at) {
                at = self.doubles.iter().copied().find(is_exact).unwrap_or(at);
            }
        }
        Some(self.found[at].place())
    }

    /// The others, the oldest first.
    pub(crate) fn rest(self) -> Vec<Place> {
        let mut rest: Vec<Place> = self
            .by_unique
            .values()
            .map(|&at| self.found[at].place())
            .collect();
        rest.sort_by(|a, b| order(&a.unique_name).cmp(&order(&b.unique_name)));
        rest
    }
}

impl Found {
    fn place(&self) -> Place {
        let unique_name = unique_part(&self.file_name).to_owned();
        Place {
            rest: self.file_name[unique_name.len()..].to_owned(),
            unique_name,
            is_new: self.is_new,
        }
    }
}

/// By the time in a name (seconds, then microseconds where it says them), then by the name.
fn order(unique: &str) -> (u64, u64, &str) {
    let (seconds, rest) = unique.split_once('.').unwrap_or((unique, ""));
    let after_m = rest.strip_prefix('M').unwrap_or("");
    let end = after_m
        .bytes()
        .position(|octet| !octet.is_ascii_digit())
        .unwrap_or(after_m.len());
    let microseconds = after_m[..end].parse().unwrap_or(0);
    (seconds.parse().unwrap_or(u64::MAX), microseconds, unique)
}
