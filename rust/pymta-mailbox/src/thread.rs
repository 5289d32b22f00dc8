//! THREAD (RFC 5256): messages as conversations.

use std::collections::HashMap;

use pymta_imap::command::ThreadAlgorithm;
use pymta_index::Message;

use crate::sort::{Looked, fold, sent_s};
use crate::source::{BATCH_MESSAGES, SearchError, Source};

/// So far up it is looked whether a new link would close a ring; longer lines are not linked.
const ANCESTORS_MAX: usize = 10_000;

/// What threading compares of a message.
#[derive(Clone, Debug, Default)]
struct Key {
    sent_s: i64,
    subject: Vec<u8>,
    is_reply: bool,
    id: Vec<u8>,
    references: Vec<Vec<u8>>,
}

/// Messages that are being threaded: first their keys are looked up, in slices.
#[derive(Debug)]
pub struct Threading {
    algorithm: ThreadAlgorithm,
    places: Vec<usize>,
    keys: Vec<Key>,
}

impl Threading {
    /// Of messages at these places (message numbers less one), ascending.
    pub fn new(algorithm: ThreadAlgorithm, places: Vec<usize>) -> Self {
        Self {
            algorithm,
            keys: Vec::with_capacity(places.len()),
            places,
        }
    }

    /// Looks up the keys of about so many messages; true when all are there.
    ///
    /// # Errors
    /// [`SearchError`]
    pub fn go_on(
        &mut self,
        messages: &[Message],
        source: &mut dyn Source,
        messages_max: usize,
    ) -> Result<bool, SearchError> {
        let until = self
            .keys
            .len()
            .saturating_add(messages_max.max(1))
            .min(self.places.len());
        while self.keys.len() < until {
            let end = (self.keys.len() + BATCH_MESSAGES).min(self.places.len());
            let places = &self.places[self.keys.len()..end];
            let uids: Vec<u32> = places
                .iter()
                .map(|&place| messages.get(place).map_or(0, |m| m.uid))
                .collect();
            let looked_up = Looked::up(&uids, source, true)?;
            for at in 0..uids.len() {
                let (details, record) = looked_up.of(at);
                let record = record.as_ref();
                self.keys.push(Key {
                    sent_s: sent_s(details, record),
                    subject: record
                        .map(|record| fold(&record.base_subject))
                        .unwrap_or_default(),
                    is_reply: record.is_some_and(|record| record.is_reply),
                    id: record
                        .map(|record| record.message_id.to_vec())
                        .unwrap_or_default(),
                    references: record.map_or_else(Vec::new, |record| {
                        record.references.iter().map(|id| id.to_vec()).collect()
                    }),
                });
            }
        }
        Ok(self.keys.len() == self.places.len())
    }

    /// Appends the threads as the response has them, such as ` (2)(3 6 (4 23)(44 7 96))`; nothing where there are none.
    /// `number` says how the message at a place is called: its number or its UID.
    pub fn write(&self, number: &dyn Fn(usize) -> u32, out: &mut Vec<u8>) {
        let mut forest = Forest::new(&self.keys);
        match self.algorithm {
            ThreadAlgorithm::OrderedSubject => forest.by_subject(),
            ThreadAlgorithm::References => forest.by_references(),
        }
        if !forest.roots.is_empty() {
            out.push(b' ');
        }
        forest.write(&|message| number(self.places[message]), out);
    }
}

/// A place in a conversation: a message, or one that is only referred to (a dummy).
#[derive(Debug, Default)]
struct Node {
    message: Option<usize>,
    parent: Option<usize>,
    /// Filled when all parents are known.
    children: Vec<usize>,
    child_count: usize,
}

struct Forest<'a> {
    keys: &'a [Key],
    /// The first ones are the messages, in their order.
    nodes: Vec<Node>,
    roots: Vec<usize>,
}

impl<'a> Forest<'a> {
    fn new(keys: &'a [Key]) -> Self {
        let node = |message| Node {
            message: Some(message),
            ..Node::default()
        };
        Self {
            keys,
            nodes: (0..keys.len()).map(node).collect(),
            roots: Vec::new(),
        }
    }

    /// RFC 5256 §3 ORDEREDSUBJECT: one thread a subject, its messages by date below the first.
    fn by_subject(&mut self) {
        let keys = self.keys;
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by_key(|&at| (&keys[at].subject, keys[at].sent_s, at));
        let mut before: Option<usize> = None;
        for at in order {
            match before.filter(|&root| keys[root].subject == keys[at].subject) {
                Some(root) => self.nodes[root].children.push(at),
                None => {
                    self.roots.push(at);
                    before = Some(at);
                }
            }
        }
        self.roots.sort_by_key(|&at| (keys[at].sent_s, at));
    }

    /// RFC 5256 §3 REFERENCES; the numbers are those of its steps.
    fn by_references(&mut self) {
        self.link(); // (1)
        for at in 0..self.nodes.len() {
            match self.nodes[at].parent {
                Some(parent) => self.nodes[parent].children.push(at),
                None => self.roots.push(at), // (2)
            }
        }
        self.prune(); // (3)
        self.sort_all(); // (4), which here already sorts the lower ones
        self.gather(); // (5)
        self.sort_all(); // (6)
    }

    fn link(&mut self) {
        let keys = self.keys;
        let mut by_id: HashMap<&'a [u8], usize> = HashMap::new();
        for (at, key) in keys.iter().enumerate() {
            // Of several messages with one identifier, the first has it.
            if !key.id.is_empty() {
                by_id.entry(&key.id).or_insert(at);
            }
        }
        for (at, key) in keys.iter().enumerate() {
            let mut before = None;
            for reference in &key.references {
                let node = *by_id.entry(reference).or_insert_with(|| {
                    self.nodes.push(Node::default());
                    self.nodes.len() - 1
                });
                // (A) a link that is there already stays
                if let Some(parent) = before
                    && self.nodes[node].parent.is_none()
                    && !self.would_close_ring(parent, node)
                {
                    self.set_parent(node, Some(parent));
                }
                before = Some(node);
            }
            // (B) what a message says of itself counts for more than what others say of it
            match before {
                Some(parent) if !self.would_close_ring(parent, at) => self.set_parent(at, Some(parent)),
                Some(_) => {}
                None => self.set_parent(at, None),
            }
        }
    }

    fn set_parent(&mut self, node: usize, parent: Option<usize>) {
        if let Some(old) = std::mem::replace(&mut self.nodes[node].parent, parent) {
            self.nodes[old].child_count -= 1;
        }
        if let Some(parent) = parent {
            self.nodes[parent].child_count += 1;
        }
    }

    fn would_close_ring(&self, parent: usize, node: usize) -> bool {
        if parent == node {
            return true;
        }
        if self.nodes[node].child_count == 0 {
            return false;
        }
        let mut above = Some(parent);
        for _ in 0..ANCESTORS_MAX {
            match above {
                None => return false,
                Some(at) if at == node => return true,
                Some(at) => above = self.nodes[at].parent,
            }
        }
        true
    }

    /// Nodes below the roots, each before its children.
    fn descending(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut stack: Vec<usize> = self.roots.iter().rev().copied().collect();
        while let Some(at) = stack.pop() {
            order.push(at);
            stack.extend(self.nodes[at].children.iter().rev());
        }
        order
    }

    /// (3) Dummies without children go; the children of others take their place, but at the root only a single one.
    fn prune(&mut self) {
        for at in self.descending().into_iter().rev() {
            let children = std::mem::take(&mut self.nodes[at].children);
            self.nodes[at].children = self.without_dummies(children);
        }
        let roots = std::mem::take(&mut self.roots);
        for root in roots {
            let node = &self.nodes[root];
            match (node.message, node.children.as_slice()) {
                (Some(_), _) => self.roots.push(root),
                (None, []) => {}
                (None, &[only]) => self.roots.push(only),
                (None, _) => self.roots.push(root),
            }
        }
    }

    /// Children, with those of dummies, which are pruned already, in their place.
    fn without_dummies(&mut self, children: Vec<usize>) -> Vec<usize> {
        let mut out = Vec::with_capacity(children.len());
        for child in children {
            match self.nodes[child].message {
                Some(_) => out.push(child),
                None => out.append(&mut std::mem::take(&mut self.nodes[child].children)),
            }
        }
        out
    }

    /// Siblings by date, lower ones first; a dummy has the date of its first child.
    fn sort_all(&mut self) {
        let keys = self.keys;
        let mut dates = vec![(i64::MAX, usize::MAX); self.nodes.len()];
        for at in self.descending().into_iter().rev() {
            let mut children = std::mem::take(&mut self.nodes[at].children);
            children.sort_by_key(|&child| dates[child]);
            dates[at] = match (self.nodes[at].message, children.first()) {
                (Some(message), _) => (keys[message].sent_s, message),
                (None, Some(&first)) => dates[first],
                (None, None) => (i64::MAX, usize::MAX),
            };
            self.nodes[at].children = children;
        }
        self.roots.sort_by_key(|&root| dates[root]);
    }

    /// The message that speaks for a thread: its first, or a dummy's first child.
    fn speaker(&self, root: usize) -> Option<&'a Key> {
        let node = &self.nodes[root];
        let first = || self.nodes[*node.children.first()?].message;
        Some(&self.keys[node.message.or_else(first)?])
    }

    /// (5) Threads of one subject become one.
    fn gather(&mut self) {
        let mut table: HashMap<&'a [u8], usize> = HashMap::new();
        let subject = |forest: &Self, root: usize| {
            let subject = forest.speaker(root).map(|key| key.subject.as_slice());
            subject.filter(|subject| !subject.is_empty())
        };
        let is_reply = |forest: &Self, root: usize| {
            let message = forest.nodes[root].message;
            message.is_some_and(|message| forest.keys[message].is_reply)
        };
        for &root in &self.roots {
            let Some(subject) = subject(self, root) else {
                continue;
            };
            let entry = table.entry(subject).or_insert(root);
            let (is_dummy, is_known_dummy) = (
                self.nodes[root].message.is_none(),
                self.nodes[*entry].message.is_none(),
            );
            if !is_known_dummy && (is_dummy || (is_reply(self, *entry) && !is_reply(self, root))) {
                *entry = root;
            }
        }
        let mut merged = vec![false; self.nodes.len()];
        let roots = self.roots.clone();
        for root in roots {
            let Some(subject) = subject(self, root) else {
                continue;
            };
            let Some(&known) = table.get(subject) else {
                continue;
            };
            if known == root {
                continue;
            }
            merged[root] = true;
            match (self.nodes[known].message, self.nodes[root].message) {
                (None, None) => {
                    let mut children = std::mem::take(&mut self.nodes[root].children);
                    self.nodes[known].children.append(&mut children);
                }
                (None, Some(_)) => self.nodes[known].children.push(root),
                (Some(_), _) if is_reply(self, root) && !is_reply(self, known) => {
                    self.nodes[known].children.push(root);
                }
                _ => {
                    let dummy = self.nodes.len();
                    self.nodes.push(Node {
                        children: vec![known, root],
                        ..Node::default()
                    });
                    self.roots.push(dummy);
                    merged[known] = true;
                    merged.push(false);
                    table.insert(subject, dummy);
                }
            }
        }
        self.roots.retain(|&root| !merged[root]);
    }

    fn write(&self, number: &dyn Fn(usize) -> u32, out: &mut Vec<u8>) {
        enum Step {
            Open(usize),
            Close,
        }
        let mut stack: Vec<Step> = self.roots.iter().rev().map(|&root| Step::Open(root)).collect();
        while let Some(step) = stack.pop() {
            let Step::Open(begin) = step else {
                out.push(b')');
                continue;
            };
            out.push(b'(');
            stack.push(Step::Close);
            let mut at = begin;
            let mut is_first = true;
            loop {
                let node = &self.nodes[at];
                if let Some(message) = node.message {
                    if !std::mem::take(&mut is_first) {
                        out.push(b' ');
                    }
                    out.extend_from_slice(number(message).to_string().as_bytes());
                }
                match node.children.as_slice() {
                    [] => break,
                    [only] => at = *only,
                    several => {
                        if !is_first {
                            out.push(b' ');
                        }
                        stack.extend(several.iter().rev().map(|&child| Step::Open(child)));
                        break;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "thread_tests.rs"]
mod tests;
