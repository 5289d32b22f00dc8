//! SEARCH: run in slices, and what is said of what was found: SEARCH of RFC 3501, ESEARCH (RFC 4731), `$` (RFC 5182),
//! PARTIAL (RFC 9394), MODSEQ (RFC 7162 §3.1.5), INPROGRESS (RFC 9585).

use std::sync::Arc;

use pymta_imap::command::{Partial, Search, SearchKey, SearchKind, SearchReturn};
use pymta_imap::write;
use pymta_index::{Details, IndexError, Mailbox, TextFilter};
use pymta_types::UnixMs;

use crate::content::Octets;
use crate::ending::Ending;
use crate::fetching::part_of;
use crate::messages::nothing_selected;
use crate::picture::{Picture, line};
use crate::search::{Context, Program, Run};
use crate::sort::Sorting;
use crate::source::{SearchError, Source};
use crate::thread::Threading;
use crate::updates::UpdatedSearch;
use crate::view::{Outcome, Step, View, Work};

/// A slice looks at so many messages,
pub(crate) const SLICE_MESSAGES: usize = 8 * 1024;
/// or at so much of their content.
pub(crate) const SLICE_OCTETS: u64 = 16 << 20;
/// Between two words about how far it is.
const PROGRESS_MS: u64 = 10_000;

/// A SEARCH, and how far it is.
#[derive(Debug)]
pub(crate) struct Searching {
    tag: String,
    by_uid: bool,
    kind: SearchKind,
    returns: Option<SearchReturn>,
    says_modseq: bool,
    /// RETURN (UPDATE): what becomes of it.
    kept: Option<UpdatedSearch>,
    stage: Stage,
    said_at: UnixMs,
}

/// What is done with the messages.
#[derive(Debug)]
enum Stage {
    Finding(Run),
    Sorting(Sorting),
    Threading(Threading),
}

impl Stage {
    /// Does a slice of it; true when it is over.
    fn go_on(&mut self, picture: &Picture, now: UnixMs) -> Result<bool, SearchError> {
        let mut shelf = Shelf {
            mailbox: Arc::clone(&picture.mailbox),
            now,
        };
        let rows = picture.rows();
        match self {
            Self::Finding(run) => run.go_on(rows, &mut shelf, SLICE_MESSAGES, SLICE_OCTETS),
            Self::Sorting(sorting) => sorting.go_on(rows, &mut shelf, SLICE_MESSAGES),
            Self::Threading(threading) => threading.go_on(rows, &mut shelf, SLICE_MESSAGES),
        }
    }
}

/// The selected mailbox, for whoever looks into many messages.
pub(crate) struct Shelf {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) now: UnixMs,
}

impl Source for Shelf {
    fn details(&mut self, uids: &[u32]) -> Result<Vec<Details>, IndexError> {
        self.mailbox.details(uids, self.now)
    }

    fn records(&mut self, uids: &[u32]) -> Result<Vec<Option<Vec<u8>>>, IndexError> {
        self.mailbox.records(uids)
    }

    fn keep(&mut self, records: Vec<(u32, Vec<u8>)>) -> Result<(), IndexError> {
        self.mailbox.put_records(&records)
    }

    fn open(&mut self, uid: u32) -> Result<Option<Box<dyn Octets>>, IndexError> {
        let file = self.mailbox.open_file(uid, self.now)?;
        Ok(file.map(|file| Box::new(file) as Box<dyn Octets>))
    }

    fn text_filter(&mut self, texts: &[&str]) -> Option<TextFilter> {
        // Without it every message is read, which takes longer and finds the same.
        self.mailbox.text_filter(texts).ok().flatten()
    }
}

/// A message that cannot be read is as if the disk said no to the index.
pub(crate) fn trouble(error: SearchError) -> IndexError {
    match error {
        SearchError::Index(error) => error,
        SearchError::Io(error) => IndexError::Io {
            doing: "read a message",
            error,
        },
    }
}

fn asks_modseq(key: &SearchKey) -> bool {
    let mut keys = vec![key];
    while let Some(key) = keys.pop() {
        match key {
            SearchKey::ModSeq(_) => return true,
            SearchKey::And(all) => keys.extend(all),
            SearchKey::Or(both) => keys.extend([&both.0, &both.1]),
            SearchKey::Not(other) => keys.push(other),
            _ => {}
        }
    }
    false
}

pub(crate) fn number_of(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl View {
    /// Begins a SEARCH, SORT or THREAD.
    pub(crate) fn search(
        &mut self,
        search: Search,
        by_uid: bool,
        tag: &str,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<Step> {
        let Some(picture) = self.selected.as_mut() else {
            return Ok(nothing_selected().into());
        };
        let wants_updates = search.returns.as_ref().is_some_and(|returns| returns.update);
        if wants_updates && picture.updates.has(tag) {
            return Ok(Ending::bad("Tag reuse").into()); // RFC 5267 §4.3
        }
        let says_modseq = asks_modseq(&search.key);
        picture.condstore |= says_modseq;
        let context = Context {
            keywords: &picture.keywords,
            count: number_of(picture.rows().len()),
            last_uid: picture.rows().last().map_or(0, |row| row.uid),
            saved: &picture.saved,
            now_s: i64::from(now.seconds()),
        };
        let run = Run::new(Program::new(&search.key, &context), picture.rows().len());
        let kept = match wants_updates {
            true => picture.updates.begin(tag, by_uid, &search.key, out),
            false => None,
        };
        if search.returns.as_ref().is_some_and(|returns| returns.save) {
            // What fails saves nothing (RFC 5182 §2.1).
            picture.saved.clear();
        }
        let searching = Box::new(Searching {
            tag: tag.to_owned(),
            by_uid,
            kind: search.kind,
            returns: search.returns,
            says_modseq,
            kept,
            stage: Stage::Finding(run),
            said_at: now,
        });
        self.search_on(searching, out, now)
    }

    /// The next slice.
    pub(crate) fn search_on(
        &mut self,
        mut searching: Box<Searching>,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<Step> {
        let Some(picture) = self.selected.as_mut() else {
            return Ok(nothing_selected().into());
        };
        let is_over = searching.stage.go_on(picture, now).map_err(trouble)?;
        if !is_over {
            if now.0 >= searching.said_at.0 + PROGRESS_MS {
                searching.said_at = now;
                say_progress(out, &searching.tag);
            }
            return Ok(Step::Runs(Work::Search(searching)));
        }
        let by_uid = searching.by_uid;
        let rev2 = self.enabled.rev2;
        Ok(match searching.after(picture, rev2, out) {
            Some(searching) => Step::Runs(Work::Search(searching)),
            None => Ending::ok("Searched").keeping_numbers(!by_uid).into(),
        })
    }
}

fn say_progress(out: &mut Vec<u8>, tag: &str) {
    let tag: String = tag
        .chars()
        .filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\'))
        .collect();
    line(
        out,
        &format!("* OK [INPROGRESS (\"{tag}\" NIL NIL)] Still searching"),
    );
}

impl Searching {
    /// A stage is over: what comes next, or None where the answer was said.
    fn after(mut self: Box<Self>, picture: &mut Picture, rev2: bool, out: &mut Vec<u8>) -> Option<Box<Self>> {
        let answer = Answer {
            tag: &self.tag,
            by_uid: self.by_uid,
            says_modseq: self.says_modseq,
        };
        let returns = self.returns.as_ref();
        let found = match self.stage {
            Stage::Finding(run) => {
                let mut found = run.into_found();
                found.retain(|&at| !picture.is_gone(picture.rows()[at].uid));
                match &mut self.kind {
                    SearchKind::Search => {
                        if let Some(search) = self.kept.take() {
                            picture.keep_result(search, &found);
                        }
                        found
                    }
                    SearchKind::Sort(criteria) => {
                        self.stage = Stage::Sorting(Sorting::new(std::mem::take(criteria), found));
                        return Some(self);
                    }
                    SearchKind::Thread(algorithm) => {
                        self.stage = Stage::Threading(Threading::new(*algorithm, found));
                        return Some(self);
                    }
                }
            }
            Stage::Sorting(sorting) => {
                let sorted = sorting.into_sorted();
                match returns {
                    None => answer.say_plain(out, "SORT", &sorted, picture),
                    Some(returns) => answer.say_extended(out, returns, &sorted, picture),
                }
                return None;
            }
            Stage::Threading(threading) => {
                out.extend_from_slice(b"* THREAD");
                threading.write(&|at| answer.number(at, picture), out);
                out.extend_from_slice(b"\r\n");
                return None;
            }
        };
        match returns {
            None if !rev2 => answer.say_plain(out, "SEARCH", &found, picture),
            None => {
                let all = SearchReturn {
                    all: true,
                    ..SearchReturn::default()
                };
                answer.say_extended(out, &all, &found, picture);
            }
            Some(returns) => answer.say_extended(out, returns, &found, picture),
        }
        None
    }
}

/// How an answer is said.
struct Answer<'a> {
    tag: &'a str,
    by_uid: bool,
    says_modseq: bool,
}

impl Answer<'_> {
    fn number(&self, at: usize, picture: &Picture) -> u32 {
        if self.by_uid {
            picture.rows()[at].uid
        } else {
            number_of(at + 1)
        }
    }

    /// `* SEARCH 2 84 882`, in the order found.
    fn say_plain(&self, out: &mut Vec<u8>, name: &str, found: &[usize], picture: &Picture) {
        out.extend_from_slice(format!("* {name}").as_bytes());
        for &at in found {
            out.extend_from_slice(format!(" {}", self.number(at, picture)).as_bytes());
        }
        if self.says_modseq && !found.is_empty() {
            let modseq = highest_modseq(found.iter().copied(), picture);
            out.extend_from_slice(format!(" (MODSEQ {modseq})").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }

    /// `* ESEARCH (TAG "a") …`; nothing where only SAVE was asked for. Also notes what is saved.
    fn say_extended(
        &self,
        out: &mut Vec<u8>,
        returns: &SearchReturn,
        found: &[usize],
        picture: &mut Picture,
    ) {
        let ends: Vec<usize> = [(returns.min, found.first()), (returns.max, found.last())]
            .into_iter()
            .filter_map(|(is_asked, at)| at.copied().filter(|_| is_asked))
            .collect();
        let only_ends = (returns.min || returns.max) && !returns.all && !returns.count;
        if returns.save {
            // RFC 5182 §2.4: what MIN and MAX alone find is what is saved.
            let saved = if only_ends && returns.partial.is_none() {
                &ends
            } else {
                found
            };
            let mut uids: Vec<u32> = saved.iter().map(|&at| picture.rows()[at].uid).collect();
            uids.sort_unstable();
            uids.dedup();
            picture.saved = uids;
        }
        let says_something =
            returns.all || returns.count || returns.min || returns.max || returns.partial.is_some();
        if !says_something && returns.save {
            return;
        }
        let says_all = returns.all || !says_something;
        out.extend_from_slice(b"* ESEARCH (TAG ");
        write::string(out, self.tag.as_bytes(), false);
        out.push(b')');
        if self.by_uid {
            out.extend_from_slice(b" UID");
        }
        let mut item = |name: &str, value: &str| out.extend_from_slice(format!(" {name} {value}").as_bytes());
        if let Some(&first) = found.first().filter(|_| returns.min) {
            item("MIN", &self.number(first, picture).to_string());
        }
        if let Some(&last) = found.last().filter(|_| returns.max) {
            item("MAX", &self.number(last, picture).to_string());
        }
        if returns.count {
            item("COUNT", &found.len().to_string());
        }
        if says_all && !found.is_empty() {
            item("ALL", &self.set(found, picture));
        }
        let mut part = found.to_vec();
        if let Some(partial) = returns.partial {
            part_of(&mut part, Some(partial));
            let set = if part.is_empty() {
                "NIL".to_owned()
            } else {
                self.set(&part, picture)
            };
            item("PARTIAL", &format!("({} {set})", range_of(partial)));
        }
        let said = match (only_ends, returns.partial) {
            (_, Some(_)) if !says_all => &part,
            (true, _) => &ends,
            _ => found,
        };
        if self.says_modseq && !said.is_empty() {
            let modseq = highest_modseq(said.iter().copied(), picture);
            item("MODSEQ", &modseq.to_string());
        }
        out.extend_from_slice(b"\r\n");
    }

    fn set(&self, found: &[usize], picture: &Picture) -> String {
        let mut set = Vec::new();
        write::set(&mut set, found.iter().map(|&at| self.number(at, picture)));
        String::from_utf8_lossy(&set).into_owned()
    }
}

fn highest_modseq(found: impl Iterator<Item = usize>, picture: &Picture) -> u64 {
    found.map(|at| picture.rows()[at].modseq).max().unwrap_or(0)
}

/// As it was asked for.
fn range_of(partial: Partial) -> String {
    let sign = if partial.from_end { "-" } else { "" };
    format!("{sign}{}:{sign}{}", partial.first, partial.last)
}
