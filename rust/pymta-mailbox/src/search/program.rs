//! What is looked for, made ready: sets resolved, flags as bits, texts folded, the cheapest questions first.

use pymta_imap::command::{DateTest, SearchKey, SequenceSet, SystemFlag};
use pymta_index::flag;

use crate::casemap::folded;

/// The grammar allows less; what is deeper finds nothing.
const DEPTH_MAX: usize = 64;

/// What the keys mean depends on these.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Names of the mailbox's keywords, by their bits.
    pub keywords: &'a [String],
    /// How many messages there are: `*` as a message number.
    pub count: u32,
    /// The last message's UID: `*` as a UID; 0 for none.
    pub last_uid: u32,
    /// What `$` stands for: UIDs, ascending.
    pub saved: &'a [u32],
    /// For OLDER and YOUNGER.
    pub now_s: i64,
}

/// One question, or several.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Const(bool),
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
    Numbers(Vec<(u32, u32)>),
    Uids(Vec<(u32, u32)>),
    SavedUids(Vec<u32>),
    Flag(u8),
    Keyword(u64),
    ModSeq(u64),
    Internal(DateTest, i64),
    Saved(DateTest, i64),
    Larger(u64),
    Smaller(u64),
    /// INTERNALDATE at or before, in seconds.
    Before(i64),
    /// INTERNALDATE at or after.
    After(i64),
    EmailId(String),
    ThreadId(String),
    Sent(DateTest, i64),
    /// Field name and folded text.
    Header(Vec<u8>, Vec<u8>),
    Body(Vec<u8>),
    Text(Vec<u8>),
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) test: Test,
    needs: Cost,
}

/// What must be looked at for an answer; each takes the ones before it.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // independent facts
struct Cost {
    details: bool,
    header: bool,
    content: bool,
}

impl Program {
    /// Makes a key ready.
    pub fn new(key: &SearchKey, context: &Context<'_>) -> Self {
        let test = made(key, context, 0);
        let mut needs = Cost::default();
        count(&test, &mut needs);
        Self { test, needs }
    }

    pub(crate) fn needs_details(&self) -> bool {
        self.needs.details
    }

    pub(crate) fn needs_header(&self) -> bool {
        self.needs.header
    }

    /// Texts that a content is searched for, folded.
    pub(crate) fn content_texts(&self) -> Vec<&str> {
        let mut tests = vec![&self.test];
        let mut texts = Vec::new();
        while let Some(test) = tests.pop() {
            match test {
                Test::And(several) | Test::Or(several) => tests.extend(several),
                Test::Not(test) => tests.push(test),
                Test::Body(text) | Test::Text(text) => texts.extend(std::str::from_utf8(text)),
                _ => {}
            }
        }
        texts.sort_unstable();
        texts.dedup();
        texts
    }

    /// Whether messages' files may have to be read: then a run takes long.
    pub fn reads_content(&self) -> bool {
        self.needs.content
    }
}

fn made(key: &SearchKey, context: &Context<'_>, depth: usize) -> Test {
    if depth > DEPTH_MAX {
        return Test::Const(false);
    }
    let next = |key: &SearchKey| made(key, context, depth + 1);
    match key {
        SearchKey::All | SearchKey::SaveDateSupported => Test::Const(true),
        SearchKey::And(keys) => {
            let mut tests: Vec<Test> = keys.iter().map(next).collect();
            tests.sort_by_key(weight);
            Test::And(tests)
        }
        SearchKey::Or(keys) => {
            let mut tests = vec![next(&keys.0), next(&keys.1)];
            tests.sort_by_key(weight);
            Test::Or(tests)
        }
        SearchKey::Not(key) => Test::Not(Box::new(next(key))),
        // Also where the command is by UID (RFC 9051 §6.4.9): only what is found is then said otherwise.
        SearchKey::Sequence(set) => numbers(set, context, false),
        SearchKey::Uid(set) => numbers(set, context, true),
        SearchKey::Flag(system) => Test::Flag(match system {
            SystemFlag::Answered => flag::ANSWERED,
            SystemFlag::Deleted => flag::DELETED,
            SystemFlag::Draft => flag::DRAFT,
            SystemFlag::Flagged => flag::FLAGGED,
            SystemFlag::Seen => flag::SEEN,
        }),
        SearchKey::Keyword(name) => keyword(name, context),
        SearchKey::Internal(test, day) => Test::Internal(*test, *day),
        SearchKey::Sent(test, day) => Test::Sent(*test, *day),
        SearchKey::Saved(test, day) => Test::Saved(*test, *day),
        SearchKey::Larger(octets) => Test::Larger(*octets),
        SearchKey::Smaller(octets) => Test::Smaller(*octets),
        SearchKey::Older(seconds) => Test::Before(context.now_s - i64::from(*seconds)),
        SearchKey::Younger(seconds) => Test::After(context.now_s - i64::from(*seconds)),
        SearchKey::Header(name, text) => Test::Header(name.clone(), folded(text)),
        // Nothing is in everything.
        SearchKey::Body(text) | SearchKey::Text(text) if text.is_empty() => Test::Const(true),
        SearchKey::Body(text) => Test::Body(folded(text)),
        SearchKey::Text(text) => Test::Text(folded(text)),
        SearchKey::ModSeq(modseq) => Test::ModSeq(*modseq),
        SearchKey::EmailId(id) => Test::EmailId(id.clone()),
        SearchKey::ThreadId(id) => Test::ThreadId(id.clone()),
        SearchKey::Recent => Test::Flag(flag::RECENT),
        // What the grammar may learn first.
        _ => Test::Const(false),
    }
}

fn numbers(set: &SequenceSet, context: &Context<'_>, by_uid: bool) -> Test {
    let last = if by_uid { context.last_uid } else { context.count };
    match set {
        SequenceSet::Saved => Test::SavedUids(context.saved.to_vec()),
        _ if last == 0 => Test::Const(false),
        SequenceSet::Ranges(ranges) => {
            let known = |number: u32| if number == u32::MAX { last } else { number };
            let resolved = ranges.iter().map(|&(from, to)| {
                let (from, to) = (known(from), known(to));
                (from.min(to), from.max(to))
            });
            let resolved = joined(resolved.collect());
            if by_uid {
                Test::Uids(resolved)
            } else {
                Test::Numbers(resolved)
            }
        }
    }
}

/// Ascending and apart from each other, so that one look finds a number.
pub(crate) fn joined(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    let mut out: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match out.last_mut() {
            Some(before) if from <= before.1.saturating_add(1) => before.1 = before.1.max(to),
            _ => out.push((from, to)),
        }
    }
    out
}

fn keyword(name: &str, context: &Context<'_>) -> Test {
    if name.eq_ignore_ascii_case("$Forwarded") {
        return Test::Flag(flag::FORWARDED);
    }
    let bit = context
        .keywords
        .iter()
        .position(|known| known.eq_ignore_ascii_case(name));
    let bit = bit.and_then(|bit| 1u64.checked_shl(u32::try_from(bit).ok()?));
    bit.map_or(Test::Const(false), Test::Keyword)
}

/// How dear an answer is.
fn weight(test: &Test) -> u8 {
    let mut cost = Cost::default();
    count(test, &mut cost);
    u8::from(cost.details) + 2 * u8::from(cost.header) + 4 * u8::from(cost.content)
}

fn count(test: &Test, cost: &mut Cost) {
    match test {
        Test::And(tests) | Test::Or(tests) => tests.iter().for_each(|test| count(test, cost)),
        Test::Not(test) => count(test, cost),
        Test::Internal(..)
        | Test::Saved(..)
        | Test::Larger(_)
        | Test::Smaller(_)
        | Test::Before(_)
        | Test::After(_)
        | Test::EmailId(_)
        | Test::ThreadId(_) => cost.details = true,
        Test::Header(..) => cost.header = true,
        Test::Body(_) => cost.content = true,
        Test::Text(_) => {
            cost.header = true;
            cost.content = true;
        }
        _ => {}
    }
}
