//! A header section in hand: looked at by name, edited, given back. What a field is and where the section ends is
//! decided in `scan`; what may be written, in `fold`.
//!
//! Until an edit, `section ++ content[original_octets..]` is the content, octet for octet, whatever is in it. An edit
//! changes the fields it names and nothing else.

use std::borrow::Cow;

use crate::Field;
use crate::fold::{EditError, check_raw, compose};
use crate::scan::{HeaderLimits, HeaderViolation, Scan, Span, offset, scan};

/// How much all edits together may add to a section.
pub const ADDED_OCTETS_MAX: usize = 1 << 20;

/// Room kept for the trace field that nearly every message gets, so that putting it on top moves and never allocates.
const TRACE_OCTETS_USUAL: usize = 512;

/// How the edited section relates to the original one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepended {
    /// This many octets of [`HeaderSection::octets`] are new; what follows them is the original section.
    Octets(usize),
    /// Something else changed: only the whole section will do.
    Rewritten,
}

/// The header section of one message.
#[derive(Clone, Debug)]
pub struct HeaderSection {
    octets: Vec<u8>,
    found: Scan,
    original_octets: usize,
    prepended: Prepended,
    /// The content has no header section (see `scan`): the first edit puts an empty line below itself.
    headless: bool,
}

impl HeaderSection {
    /// Copies the header section from the begin of `content` and finds its fields: one pass over it, none over the
    /// body.
    ///
    /// `content` is the whole content or its begin, of more than `limits.section_octets_max` octets. Where a limit is
    /// passed, [`Self::violation`] says so and the section ends before the line that was too much.
    pub fn scan(content: &[u8], limits: HeaderLimits) -> Self {
        let found = scan(content, limits);
        let mut octets = Vec::with_capacity(found.end + TRACE_OCTETS_USUAL);
        octets.extend_from_slice(&content[..found.end]);
        Self {
            original_octets: found.end,
            headless: found.end == 0,
            octets,
            found,
            prepended: Prepended::Octets(0),
        }
    }

    /// Why the message is to be refused, or None.
    pub fn violation(&self) -> Option<HeaderViolation> {
        self.found.violation
    }

    /// The section as it is now, through its empty line where it has one.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The section as it is now, given away.
    pub fn into_octets(self) -> Vec<u8> {
        self.octets
    }

    /// How many octets of the content the section stands for, before any edit: the rest of the content begins there.
    pub fn original_octets(&self) -> usize {
        self.original_octets
    }

    /// Whether, and by how much, the section was only prepended to. `Octets(0)` is an unchanged section.
    pub fn prepended(&self) -> Prepended {
        self.prepended
    }

    /// How many fields there are.
    pub fn count(&self) -> usize {
        self.found.spans.len()
    }

    /// How many of them are Received fields, for the loop check of RFC 5321 §6.3.
    pub fn received_hops(&self) -> usize {
        self.found.received_hops
    }

    /// The fields from top to bottom.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Field<'_>> + ExactSizeIterator {
        self.found
            .spans
            .iter()
            .map(|&span| Field::new(&self.octets, span))
    }

    /// The first value of that name, unfolded.
    pub fn field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.iter()
            .find(|field| field.is(name.as_bytes()))
            .map(|field| field.value())
    }

    /// All values of that name from top to bottom, unfolded.
    pub fn fields<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = Cow<'a, [u8]>> {
        let named = move |field: &Field<'_>| field.is(name.as_bytes());
        self.iter().filter(named).map(|field| field.value())
    }

    /// Puts one or more whole fields on top, as they are: what `trace` composes.
    ///
    /// # Errors
    /// [`EditError`] where `field` is not whole fields with CRLF at every end and no line over 998 octets.
    pub fn prepend_raw(&mut self, field: &[u8]) -> Result<(), EditError> {
        let new = check_raw(field)?;
        self.insert_on_top(field, &new)
    }

    /// Puts a field on top.
    ///
    /// # Errors
    /// [`EditError`] where name or value would break the section.
    pub fn prepend(&mut self, name: &str, value: &str) -> Result<(), EditError> {
        let field = compose(name, value)?;
        self.insert_on_top(&field, &scan(&field, HeaderLimits::default()))
    }

    /// Puts a field at the end: before the first line that is no field, so that every reader sees it, else before the
    /// empty line.
    ///
    /// # Errors
    /// As [`Self::prepend`].
    pub fn append(&mut self, name: &str, value: &str) -> Result<(), EditError> {
        let field = compose(name, value)?;
        if self.headless {
            return self.insert_on_top(&field, &scan(&field, HeaderLimits::default()));
        }
        self.check_growth(field.len())?;
        let end = self.octets.len() - if self.found.closed { 2 } else { 0 };
        let at = self.found.first_opaque.unwrap_or(end);
        let unended = at > 0 && !self.octets[..at].ends_with(b"\r\n");
        let ending: &[u8] = if unended { b"\r\n" } else { b"" };
        let tail = self.octets.split_off(at);
        self.octets.extend_from_slice(ending);
        self.octets.extend_from_slice(&field);
        self.octets.extend_from_slice(&tail);
        self.rewritten();
        Ok(())
    }

    /// Gives the first field of that name a new value, where it stands, and removes the others of that name. Returns
    /// how many there were; where there was none, nothing changes.
    ///
    /// # Errors
    /// As [`Self::prepend`].
    pub fn replace(&mut self, name: &str, value: &str) -> Result<usize, EditError> {
        let field = compose(name, value)?;
        self.check_growth(field.len())?;
        Ok(self.rewrite(name, &field))
    }

    /// Removes all fields of that name; returns how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        self.rewrite(name, b"")
    }

    fn check_growth(&self, octets: usize) -> Result<(), EditError> {
        if self.octets.len() + octets > self.original_octets + ADDED_OCTETS_MAX {
            return Err(EditError::TooLarge);
        }
        Ok(())
    }

    /// One move of the section and one addition for each field below.
    fn insert_on_top(&mut self, field: &[u8], new: &Scan) -> Result<(), EditError> {
        let empty_line = if self.headless { 2 } else { 0 };
        self.check_growth(field.len() + empty_line)?;
        self.octets.splice(0..0, field.iter().copied());
        if self.headless {
            self.octets.extend_from_slice(b"\r\n");
            self.headless = false;
            self.found.closed = true;
        }
        let shift = offset(field.len());
        for span in &mut self.found.spans {
            *span = Span {
                start: span.start + shift,
                name_end: span.name_end + shift,
                value_start: span.value_start + shift,
                end: span.end + shift,
            };
        }
        self.found.spans.splice(0..0, new.spans.iter().copied());
        self.found.end = self.octets.len();
        self.found.first_opaque = self.found.first_opaque.map(|at| at + field.len());
        self.found.received_hops += new.received_hops;
        if let Prepended::Octets(octets) = self.prepended {
            self.prepended = Prepended::Octets(octets + field.len() + empty_line);
        }
        Ok(())
    }

    /// Puts `field` in the place of the first field named `name`, drops the others.
    fn rewrite(&mut self, name: &str, mut field: &[u8]) -> usize {
        let mut kept = Vec::with_capacity(self.octets.len() + field.len());
        let mut copied = 0;
        let mut count = 0;
        for &span in &self.found.spans {
            if !Field::new(&self.octets, span).is(name.as_bytes()) {
                continue;
            }
            kept.extend_from_slice(&self.octets[copied..span.start as usize]);
            kept.extend_from_slice(std::mem::take(&mut field));
            copied = span.end as usize;
            count += 1;
        }
        if count > 0 {
            kept.extend_from_slice(&self.octets[copied..]);
            self.octets = kept;
            self.rewritten();
        }
        count
    }

    /// Finds the fields anew. The violation of the original stays: an edit does not make it right.
    fn rewritten(&mut self) {
        let violation = self.found.violation;
        let unlimited = HeaderLimits {
            section_octets_max: usize::MAX,
            fields_max: usize::MAX,
        };
        self.found = scan_edited(&self.octets, unlimited);
        self.found.violation = violation;
        self.prepended = Prepended::Rewritten;
    }
}

/// Like [`scan`], for a section of which the last field, or all before an opaque line, may have been removed: what is
/// left is a section still and no body.
fn scan_edited(section: &[u8], limits: HeaderLimits) -> Scan {
    let mut found = scan(section, limits);
    if found.end == 0 {
        found.end = section.len();
        found.closed = section.ends_with(b"\r\n\r\n") || section == b"\r\n";
        found.first_opaque = (!section.is_empty()).then_some(0);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(content: &[u8]) -> HeaderSection {
        HeaderSection::scan(content, HeaderLimits::default())
    }

    fn text(section: &HeaderSection) -> &str {
        std::str::from_utf8(section.octets()).unwrap()
    }

    fn values(section: &HeaderSection, name: &str) -> Vec<String> {
        let text = |value: Cow<'_, [u8]>| String::from_utf8_lossy(&value).into_owned();
        section.fields(name).map(text).collect()
    }

    #[test]
    fn fields_are_found_by_name_in_any_case() {
        let header = section(b"Subject: a\r\n b\r\nX: 1\r\nSUBJECT: c\r\n\r\nX: body");
        assert_eq!(vec!["a b", "c"], values(&header, "subject"));
        assert_eq!(Some(&b"a b"[..]), header.field("Subject").as_deref());
        assert_eq!(None, header.field("body"));
        assert_eq!((3, 36), (header.count(), header.original_octets()));
    }

    #[test]
    fn what_is_put_on_top_leaves_the_rest_as_it_was() {
        let mut header = section(b"Received: old\r\nA: 1\r\n\r\n");
        header.prepend_raw(b"Received: new\r\n\tx\r\nB: 2\r\n").unwrap();
        header.prepend("C", "3").unwrap();
        assert_eq!(
            "C: 3\r\nReceived: new\r\n\tx\r\nB: 2\r\nReceived: old\r\nA: 1\r\n\r\n",
            text(&header)
        );
        assert_eq!(Prepended::Octets(31), header.prepended());
        assert_eq!((5, 2), (header.count(), header.received_hops()));
        assert_eq!(vec!["new\tx", "old"], values(&header, "received"));
        assert_eq!(vec!["1"], values(&header, "a"));
    }

    #[test]
    fn a_content_without_header_section_stays_a_body() {
        for body in [" x\r\nA: 1\r\n\r\n", "hello\r\n", ""] {
            let mut header = section(body.as_bytes());
            header.append("A", "1").unwrap();
            header.prepend_raw(b"Received: x\r\n").unwrap();
            assert_eq!("Received: x\r\nA: 1\r\n\r\n", text(&header));
            assert_eq!(0, header.original_octets());
            assert_eq!(Prepended::Octets(21), header.prepended());
        }
        let mut header = section(b"\r\nbody");
        header.prepend("A", "1").unwrap();
        assert_eq!(("A: 1\r\n\r\n", 2), (text(&header), header.original_octets()));
    }

    #[test]
    fn what_is_appended_stands_where_every_reader_sees_it() {
        for (before, after) in [
            ("A: 1\r\n\r\n", "A: 1\r\nX: y\r\n\r\n"),
            (
                "A: 1\r\njunk\r\nB: 2\r\n\r\n",
                "A: 1\r\nX: y\r\njunk\r\nB: 2\r\n\r\n",
            ),
            ("A: 1", "A: 1\r\nX: y\r\n"),
            ("\r\n", "X: y\r\n\r\n"),
        ] {
            let mut header = section(before.as_bytes());
            header.append("X", "y").unwrap();
            assert_eq!(after, text(&header));
            assert_eq!(Prepended::Rewritten, header.prepended());
            assert_eq!(vec!["y"], values(&header, "x"));
        }
    }

    #[test]
    fn replace_leaves_one_and_remove_none() {
        let mut header = section(b"A: 1\r\n x\r\nB: 2\r\na: 3\r\n\r\n");
        assert_eq!(Ok(2), header.replace("A", "new"));
        assert_eq!("A: new\r\nB: 2\r\n\r\n", text(&header));
        assert_eq!(Ok(0), header.replace("C", "x"));
        assert_eq!(1, header.remove("b"));
        assert_eq!(0, header.remove("b"));
        assert_eq!(("A: new\r\n\r\n", 1), (text(&header), header.count()));
    }

    #[test]
    fn a_refused_edit_changes_nothing() {
        let mut header = section(b"A: 1\r\n\r\n");
        assert_eq!(Err(EditError::Value), header.append("X", "a\r\nBcc: b"));
        assert_eq!(Err(EditError::Name), header.replace("A b", "x"));
        assert_eq!(Err(EditError::NotAField), header.prepend_raw(b"X: y\r\n\r\n"));
        let large = "x ".repeat(30 << 10);
        while header.prepend("X", &large).is_ok() {}
        assert_eq!(Err(EditError::TooLarge), header.append("X", &large));
        assert!(header.octets().len() <= 8 + ADDED_OCTETS_MAX);
    }

    #[test]
    fn a_removed_field_cannot_turn_its_neighbours_into_something_else() {
        let mut header = section(b"A: 1\r\njunk\r\n x\r\n\r\n");
        assert_eq!(1, header.remove("a"));
        header.append("B", "2").unwrap();
        header.prepend("C", "3").unwrap();
        assert_eq!("C: 3\r\nB: 2\r\njunk\r\n x\r\n\r\n", text(&header));
        assert_eq!(2, header.count());
    }

    #[test]
    fn a_violation_survives_edits() {
        let limits = HeaderLimits {
            fields_max: 1,
            ..HeaderLimits::default()
        };
        let mut header = HeaderSection::scan(b"A: 1\r\nB: 2\r\n\r\n", limits);
        header.remove("A");
        assert_eq!(Some(HeaderViolation::TooManyFields), header.violation());
    }
}
