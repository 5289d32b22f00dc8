//! LIST in all its forms, and LSUB (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154, RFC 3348).

use std::collections::HashSet;

use pymta_imap::command::List;
use pymta_imap::write;
use pymta_index::MailboxInfo;
use pymta_types::UnixMs;

use crate::ending::Ending;
use crate::others::whole_patterns;
use crate::view::{Outcome, View};

impl View {
    /// LIST.
    pub(crate) fn list(&mut self, list: &List, out: &mut Vec<u8>, now: UnixMs) -> Outcome<Ending> {
        if list.patterns.iter().all(String::is_empty) && !list.extended {
            // It asks for the separator (RFC 9051 §6.3.9).
            out.extend_from_slice(b"* LIST (\\Noselect) \"/\" \"\"\r\n");
            return Ok(Ending::ok("Listed"));
        }
        let patterns = whole_patterns(list);
        let (mailboxes, ending) = self.all_mailboxes(&patterns, now)?;
        let tree = Tree::of(&mailboxes);
        let patterns: Vec<Pattern> = patterns.iter().map(|pattern| Pattern::new(pattern)).collect();
        let says_subscribed = list.return_subscribed || list.select_subscribed;
        for info in &mailboxes {
            if !patterns.iter().any(|pattern| pattern.matches(&info.name)) {
                continue;
            }
            // What only is above others is said to those who go through the levels: who names it asks for a mailbox.
            let is_level = |pattern: &Pattern| pattern.has_wildcards() && pattern.matches(&info.name);
            let is_named = info.exists || !list.extended || list.select_subscribed;
            let is_selected = tree.is_wanted(info, list) && (is_named || patterns.iter().any(is_level));
            let has_child_info = list.recursive_match && tree.has_matching_child(info, list, &patterns);
            if !is_selected && !has_child_info {
                continue;
            }
            let mut attributes = tree.attributes(info, list.extended);
            if says_subscribed && info.subscribed {
                attributes.push("\\Subscribed".to_owned());
            }
            out.extend_from_slice(b"* LIST ");
            self.say_name(out, info, &attributes);
            if has_child_info {
                out.extend_from_slice(b" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
            }
            out.extend_from_slice(b"\r\n");
            if !is_selected || !info.exists {
                continue;
            }
            if list.return_my_rights {
                // As for STATUS below; one whose rights went meanwhile has none to be said.
                let _ = self.say_my_rights(out, &info.name, now);
            }
            if let Some(entries) = &list.return_metadata {
                let length = out.len();
                if self.say_metadata(out, &info.name, entries, now).is_err() {
                    out.truncate(length);
                }
            }
            if let Some(items) = &list.return_status {
                // One that cannot be counted does not spoil the list (RFC 5819 §2).
                let length = out.len();
                if self.say_status(&info.name, items, out, now).is_err() {
                    out.truncate(length);
                }
            }
        }
        Ok(ending)
    }

    /// LSUB of RFC 3501: what is subscribed, and for `%` the parents of such.
    pub(crate) fn lsub(
        &mut self,
        reference: &str,
        pattern: &str,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<Ending> {
        let has_percent = pattern.contains('%');
        let pattern = format!("{reference}{pattern}");
        let (mailboxes, ending) = self.all_mailboxes(std::slice::from_ref(&pattern), now)?;
        let pattern = Pattern::new(&pattern);
        let tree = Tree::of(&mailboxes);
        for info in mailboxes.iter().filter(|info| pattern.matches(&info.name)) {
            let attributes = if info.subscribed {
                let mut attributes = tree.attributes(info, false);
                attributes.retain(|attribute| attribute != "\\Noselect");
                attributes
            } else if has_percent && tree.subscribed_parents.contains(info.name.as_str()) {
                vec!["\\Noselect".to_owned()]
            } else {
                continue;
            };
            out.extend_from_slice(b"* LSUB ");
            self.say_name(out, info, &attributes);
            out.extend_from_slice(b"\r\n");
        }
        Ok(ending)
    }

    pub(crate) fn say_name(&self, out: &mut Vec<u8>, info: &MailboxInfo, attributes: &[String]) {
        write::words(out, attributes.iter().map(String::as_str));
        out.extend_from_slice(b" \"/\" ");
        write::mailbox(out, &info.name, self.enabled.utf8);
    }
}

/// What the names say of each other.
pub(crate) struct Tree<'a> {
    /// Names that have something that exists below them.
    parents: HashSet<&'a str>,
    /// Names that have something subscribed below them.
    subscribed_parents: HashSet<&'a str>,
    mailboxes: &'a [MailboxInfo],
}

impl<'a> Tree<'a> {
    pub(crate) fn of(mailboxes: &'a [MailboxInfo]) -> Self {
        let (mut parents, mut subscribed_parents) = (HashSet::new(), HashSet::new());
        for info in mailboxes {
            for (at, _) in info.name.match_indices('/') {
                if info.exists {
                    parents.insert(&info.name[..at]);
                }
                if info.subscribed {
                    subscribed_parents.insert(&info.name[..at]);
                }
            }
        }
        Self {
            parents,
            subscribed_parents,
            mailboxes,
        }
    }

    /// Whether the selection options want it.
    fn is_wanted(&self, info: &MailboxInfo, list: &List) -> bool {
        if list.select_special_use && info.special_use.is_none() {
            return false;
        }
        if list.select_subscribed {
            return info.subscribed;
        }
        info.exists || self.parents.contains(info.name.as_str())
    }

    /// RECURSIVEMATCH: something below is subscribed, and is not listed itself (RFC 5258 §3.5).
    fn has_matching_child(&self, info: &MailboxInfo, list: &List, patterns: &[Pattern]) -> bool {
        list.select_subscribed
            && self.subscribed_parents.contains(info.name.as_str())
            && self.mailboxes.iter().any(|child| {
                child.subscribed
                    && child
                        .name
                        .strip_prefix(info.name.as_str())
                        .is_some_and(|rest| rest.starts_with('/'))
                    && !patterns.iter().any(|pattern| pattern.matches(&child.name))
            })
    }

    pub(crate) fn attributes(&self, info: &MailboxInfo, extended: bool) -> Vec<String> {
        let mut attributes = Vec::new();
        if !info.exists {
            attributes.push(if extended { "\\NonExistent" } else { "\\Noselect" }.to_owned());
        }
        let has_children = self.parents.contains(info.name.as_str());
        attributes.push(
            if has_children {
                "\\HasChildren"
            } else {
                "\\HasNoChildren"
            }
            .to_owned(),
        );
        attributes.extend(info.special_use.clone());
        attributes
    }
}

/// A name with `*` for anything and `%` for anything but a separator.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// Without wildcards beside each other that one of them stands for.
    octets: Vec<u8>,
    /// How many of them are none.
    letters: usize,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        let mut octets: Vec<u8> = Vec::with_capacity(text.len());
        for octet in text.bytes() {
            match (octets.last(), octet) {
                (Some(b'*'), b'*' | b'%') | (Some(b'%'), b'%') => {}
                (Some(b'%'), b'*') => {
                    octets.pop();
                    octets.push(b'*');
                }
                _ => octets.push(octet),
            }
        }
        let letters = octets
            .iter()
            .filter(|octet| !matches!(octet, b'*' | b'%'))
            .count();
        Self { octets, letters }
    }

    pub(crate) fn has_wildcards(&self) -> bool {
        self.letters < self.octets.len()
    }

    /// Whether it is the name's. INBOX has no case.
    pub(crate) fn matches(&self, name: &str) -> bool {
        // So the work is bounded by the name's length, whatever the pattern's.
        self.letters <= name.len() && matches(&self.octets, name)
    }
}

fn matches(pattern: &[u8], name: &str) -> bool {
    let caseless = if name == "INBOX" || name.starts_with("INBOX/") {
        5
    } else {
        0
    };
    let name = name.as_bytes();
    // reached[n]: what was looked at of the pattern matches the first n octets.
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for &octet in pattern {
        match octet {
            b'*' | b'%' => {
                for at in 0..name.len() {
                    let passes = octet == b'*' || name[at] != b'/';
                    reached[at + 1] |= reached[at] && passes;
                }
            }
            _ => {
                for at in (0..name.len()).rev() {
                    let same = name[at] == octet || at < caseless && name[at].eq_ignore_ascii_case(&octet);
                    reached[at + 1] = reached[at] && same;
                }
                reached[0] = false;
            }
        }
    }
    reached[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_rfc_9051() {
        for (pattern, name, does) in [
            ("*", "a/b", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("%/%", "a/b", true),
            ("a*c", "a/b/c", true),
            ("a*d", "a/b/c", false),
            ("inbox", "INBOX", true),
            ("InB*", "INBOX/x", true),
            ("sent", "Sent", false),
            ("", "a", false),
            ("%%%%a", "ba", true),
        ] {
            assert_eq!(does, Pattern::new(pattern).matches(name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_stars_costs_little() {
        let pattern = Pattern::new(&"*%*a".repeat(2000));
        assert!(pattern.octets.len() == 4000 && !pattern.matches(&"a".repeat(500)));
    }
}
