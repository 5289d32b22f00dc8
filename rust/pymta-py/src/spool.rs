//! `pymta_spool` as Python sees it. A method here is one call below; nothing here waits for the disk but `load` (for a
//! person who looks) and `close`.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use pymta_mime::{HeaderLimits, HeaderSection};
use pymta_smtp::client::Content;
use pymta_spool::{
    Admission, ContentWriter, Filter, Note, Outcome, Settings, Spool, SpoolError, State, StoredMessage,
};
use pymta_types::{SpoolId, UnixMs};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use rustix::event::{EventfdFlags, eventfd};

use crate::errors::{OrPyErr, OrderError, exception_of};
use crate::types::PyEnvelope;

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyContentWriter>()?;
    m.add_class::<PyQueuedMessage>()?;
    m.add_class::<PySpool>()?;
    m.add_function(wrap_pyfunction!(dump_segment, m)?)
}

/// A segment file as readable lines, as a start would see it.
#[pyfunction]
fn dump_segment(py: Python<'_>, path: &str) -> PyResult<Vec<String>> {
    Ok(py.detach(|| pymta_spool::dump_segment(Path::new(path)))?)
}

/// Handed from `Spool.writer` to a session and from its MessageEvent to an IncomingMessage; empty after each hand-over.
#[pyclass(name = "ContentWriter", module = "pymta._core")]
pub(crate) struct PyContentWriter(Option<ContentWriter>);

impl PyContentWriter {
    pub(crate) fn of(writer: ContentWriter) -> Self {
        Self(Some(writer))
    }

    /// The writer itself, for who goes on with it.
    pub(crate) fn take(&mut self) -> PyResult<ContentWriter> {
        self.0
            .take()
            .ok_or_else(|| OrderError::new_err("the writer was handed over already"))
    }
}

/// A stored message as the client session reads it.
pub(crate) struct StoredContent(pub(crate) Arc<StoredMessage>);

impl Content for StoredContent {
    fn len(&self) -> u64 {
        self.0.content_len()
    }

    fn slices(&self) -> Option<(&[u8], &[u8])> {
        self.0.as_slices().map(|[header, body]| (header, body))
    }

    fn header_section(&self) -> Option<&[u8]> {
        Some(&self.0.header_section)
    }

    fn read_at(&self, offset: u64, out: &mut Vec<u8>, octets_max: usize) -> io::Result<usize> {
        self.0.read_at(offset, out, octets_max)
    }
}

#[pyclass(frozen, name = "QueuedMessage", module = "pymta._core")]
pub(crate) struct PyQueuedMessage {
    pub(crate) message: Arc<StoredMessage>,
    /// Made when it is first asked for.
    envelope: PyOnceLock<Py<PyEnvelope>>,
}

impl PyQueuedMessage {
    fn of(message: Arc<StoredMessage>) -> Self {
        Self {
            message,
            envelope: PyOnceLock::new(),
        }
    }
}

#[pymethods]
impl PyQueuedMessage {
    #[getter]
    fn id(&self) -> String {
        self.message.id.to_string()
    }

    #[getter]
    fn envelope(&self, py: Python<'_>) -> PyResult<Py<PyEnvelope>> {
        let make = || Py::new(py, PyEnvelope(Arc::clone(&self.message.envelope)));
        self.envelope
            .get_or_try_init(py, make)
            .map(|envelope| envelope.clone_ref(py))
    }

    /// For a log line, without an Envelope in between.
    fn forward_path_text(&self, index: usize) -> PyResult<&str> {
        let found = self
            .message
            .envelope
            .recipients
            .get(index)
            .map(|r| r.forward_path.as_str());
        found.ok_or_else(|| PyIndexError::new_err("the envelope has no such recipient"))
    }

    #[getter]
    fn size_octets(&self) -> u64 {
        self.message.content_len()
    }

    #[getter]
    fn spooled_at_ms(&self) -> u64 {
        self.message.spooled_at.0
    }

    #[getter]
    fn attempts(&self) -> u32 {
        self.message.statuses().attempts()
    }

    #[getter]
    fn annotations<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.message.annotations)
    }

    #[getter]
    fn pending(&self) -> Vec<u32> {
        self.message.statuses().pending().collect()
    }

    #[getter]
    fn wants_success(&self) -> bool {
        self.message
            .envelope
            .recipients
            .iter()
            .any(|recipient| recipient.wants_success())
    }

    fn by_domain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let recipients = &self.message.envelope.recipients;
        let statuses = self.message.statuses();
        let mut groups: Vec<(String, Vec<u32>)> = Vec::new();
        let mut places: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
        for index in statuses.pending() {
            let Some(recipient) = recipients.get(index as usize) else {
                continue;
            };
            let domain = recipient.forward_path.domain().to_lowercase();
            match groups.first() {
                // One recipient, or all of one domain, is the usual case: no table for that.
                Some((first, _)) if *first == domain => groups[0].1.push(index),
                None => groups.push((domain, vec![index])),
                Some(_) => match places.get(&domain) {
                    Some(&place) => groups[place].1.push(index),
                    None => {
                        places.insert(domain.clone(), groups.len());
                        groups.push((domain, vec![index]));
                    }
                },
            }
        }
        PyList::new(py, groups)
    }

    fn status(&self, index: u32) -> PyResult<(&'static str, String)> {
        let statuses = self.message.statuses();
        let state = statuses
            .state(index)
            .ok_or(SpoolError::NoSuchRecipient(index))
            .or_py_err()?;
        Ok((state.as_str(), statuses.reply(index).to_owned()))
    }

    fn header_section<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.message.header_section)
    }

    fn fields<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyList>> {
        let limits = HeaderLimits {
            section_octets_max: usize::MAX, // it was within the limits when it was accepted
            fields_max: usize::MAX,
        };
        let section = HeaderSection::scan(&self.message.header_section, limits);
        let values = section.fields(name).map(|value| PyBytes::new(py, &value));
        PyList::new(py, values.collect::<Vec<_>>())
    }

    #[pyo3(signature = (octets_max, *, offset=0))]
    fn content<'py>(&self, py: Python<'py>, octets_max: usize, offset: u64) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = Vec::new();
        while out.len() < octets_max {
            let room = octets_max - out.len();
            let at = offset.saturating_add(out.len() as u64);
            if self.message.read_at(at, &mut out, room)? == 0 {
                break;
            }
        }
        Ok(PyBytes::new(py, &out))
    }

    fn __repr__(&self) -> String {
        format!("<QueuedMessage {}>", self.message.id)
    }
}

#[pyclass(frozen, name = "Spool", module = "pymta._core")]
pub(crate) struct PySpool {
    spool: Spool,
    wake: Arc<OwnedFd>,
}

impl PySpool {
    pub(crate) fn new_writer(&self) -> ContentWriter {
        self.spool.writer()
    }
}

/// A line of `list`: id, state, group, due, spooled at (Unix ms), attempts, octets.
type Row = (String, &'static str, String, u64, u64, u32, u64);

/// An outcome as Python says it: index, state, reply.
type Said = (u32, String, String);

fn outcome_of(word: &str) -> PyResult<Outcome> {
    Ok(match word {
        "delivered" => Outcome::Delivered,
        "deferred" => Outcome::Deferred,
        "delayed" => Outcome::Delayed,
        "failed" => Outcome::Failed,
        "expired" => Outcome::Expired,
        "dropped" => Outcome::Dropped,
        _ => return Err(PyValueError::new_err(format!("{word} is no outcome"))),
    })
}

fn notes_of(said: &[Said]) -> PyResult<Vec<Note<'_>>> {
    said.iter()
        .map(|(index, word, reply)| {
            Ok(Note {
                index: *index,
                outcome: outcome_of(word)?,
                reply,
            })
        })
        .collect()
}

fn id_of(text: &str) -> PyResult<SpoolId> {
    text.parse::<SpoolId>().or_py_err()
}

fn handles(py: Python<'_>, messages: Vec<Arc<StoredMessage>>) -> PyResult<Bound<'_, PyList>> {
    let handles = messages
        .into_iter()
        .map(|message| Py::new(py, PyQueuedMessage::of(message)));
    PyList::new(py, handles.collect::<PyResult<Vec<_>>>()?)
}

#[pymethods]
impl PySpool {
    #[new]
    #[pyo3(signature = (
        folder, *, now_ms, segment_octets=None, spill_octets=None, memory_octets_max=None, free_octets_min=None,
        pending_octets_max=None, header_octets_max=None, header_fields_max=None, shard=0
    ))]
    #[allow(clippy::too_many_arguments)] // keyword-only in Python, where they are the settings value
    fn new(
        py: Python<'_>,
        folder: &str,
        now_ms: u64,
        segment_octets: Option<u32>,
        spill_octets: Option<usize>,
        memory_octets_max: Option<usize>,
        free_octets_min: Option<u64>,
        pending_octets_max: Option<usize>,
        header_octets_max: Option<usize>,
        header_fields_max: Option<usize>,
        shard: u16,
    ) -> PyResult<Self> {
        let _ = now_ms; // part of the contract: a later format may age what it finds
        let mut settings = Settings::default();
        settings.segment_octets = segment_octets.unwrap_or(settings.segment_octets);
        settings.spill_octets = spill_octets.unwrap_or(settings.spill_octets);
        settings.memory_octets_max = memory_octets_max.unwrap_or(settings.memory_octets_max);
        settings.free_octets_min = free_octets_min.unwrap_or(settings.free_octets_min);
        settings.pending_octets_max = pending_octets_max.unwrap_or(settings.pending_octets_max);
        settings.header_octets_max = header_octets_max.unwrap_or(settings.header_octets_max);
        settings.header_fields_max = header_fields_max.unwrap_or(settings.header_fields_max);
        settings.shard = shard;
        let wake =
            Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(io::Error::from)?);
        let bell = Arc::clone(&wake);
        let ring = Box::new(move || {
            // It can fail only when the counter is full, and then the loop is awake already.
            let _ = rustix::io::write(&*bell, &1u64.to_ne_bytes());
        });
        let spool = py
            .detach(|| Spool::open(Path::new(folder), settings, ring))
            .or_py_err()?;
        Ok(Self { spool, wake })
    }

    #[getter]
    fn recovery<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = self.spool.recovery();
        let dict = PyDict::new(py);
        dict.set_item("messages", found.messages)?;
        dict.set_item("records", found.records)?;
        dict.set_item("segments", found.segments)?;
        dict.set_item("damaged_records", found.damaged_records)?;
        dict.set_item("torn_octets", found.torn_octets)?;
        Ok(dict)
    }

    #[getter]
    fn wake_fd(&self) -> i32 {
        self.wake.as_raw_fd()
    }

    fn drain_wake(&self) {
        let mut count = [0u8; 8];
        // Nothing to drain is not an error.
        let _ = rustix::io::read(&*self.wake, &mut count);
    }

    fn gather(&self) {
        self.spool.gather();
    }

    fn write_gathered(&self) {
        self.spool.write_gathered();
    }

    fn give_up(&self, token: u64) -> bool {
        self.spool.give_up(token)
    }

    fn writer(&self) -> PyContentWriter {
        PyContentWriter::of(self.spool.writer())
    }

    fn admission<'py>(&self, py: Python<'py>, now_ms: u64) -> &Bound<'py, PyString> {
        match self.spool.admission(UnixMs(now_ms)) {
            Admission::Ok => intern!(py, "ok"),
            Admission::Full => intern!(py, "full"),
            Admission::Slow => intern!(py, "slow"),
            Admission::Broken => intern!(py, "broken"),
        }
    }

    fn completions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let ended = self.spool.completions().into_iter().map(|(token, result)| {
            let answer = match result {
                Ok(id) => PyString::new(py, &id.to_string()).into_any(),
                Err(error) => exception_of(py, error),
            };
            Ok((token, answer))
        });
        PyList::new(py, ended.collect::<PyResult<Vec<_>>>()?)
    }

    fn take_due<'py>(
        &self,
        py: Python<'py>,
        now_ms: u64,
        count_max: usize,
        active_per_group_max: u32,
    ) -> PyResult<Bound<'py, PyList>> {
        handles(
            py,
            self.spool
                .take_due(UnixMs(now_ms), count_max, active_per_group_max),
        )
    }

    fn loaded<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        handles(py, self.spool.loaded())
    }

    #[getter]
    fn loading_count(&self) -> usize {
        self.spool.loading_count()
    }

    fn troubles(&self) -> Vec<String> {
        self.spool.troubles()
    }

    fn record(&self, spool_id: &str, outcomes: Vec<Said>) -> PyResult<()> {
        self.spool
            .record(id_of(spool_id)?, &notes_of(&outcomes)?)
            .or_py_err()
    }

    fn settle(&self, spool_id: &str, outcomes: Vec<Said>, due_ms: u64) -> PyResult<bool> {
        self.spool
            .settle(id_of(spool_id)?, &notes_of(&outcomes)?, UnixMs(due_ms))
            .or_py_err()
    }

    fn next_due_ms(&self) -> Option<u64> {
        self.spool.next_due().map(|due| due.0)
    }

    fn bring_forward(&self, due_ms_max: u64) {
        self.spool.bring_forward(UnixMs(due_ms_max));
    }

    fn suspend(&self, group: &str, until_ms: u64) {
        self.spool.suspend(group, UnixMs(until_ms));
    }

    fn suspended(&self, now_ms: u64) -> Vec<(String, u64)> {
        let suspended = self.spool.suspended(UnixMs(now_ms));
        suspended
            .into_iter()
            .map(|(group, until)| (group, until.0))
            .collect()
    }

    fn load(&self, py: Python<'_>, spool_id: &str) -> PyResult<Option<PyQueuedMessage>> {
        let id = id_of(spool_id)?;
        Ok(py
            .detach(|| self.spool.load(id))
            .or_py_err()?
            .map(PyQueuedMessage::of))
    }

    fn hold(&self, spool_id: &str) -> PyResult<bool> {
        Ok(self.spool.hold(id_of(spool_id)?))
    }

    fn release(&self, spool_id: &str, now_ms: u64) -> PyResult<bool> {
        Ok(self.spool.release(id_of(spool_id)?, UnixMs(now_ms)))
    }

    fn retry(&self, spool_id: &str, now_ms: u64) -> PyResult<bool> {
        Ok(self.spool.retry(id_of(spool_id)?, UnixMs(now_ms)))
    }

    fn drop(&self, spool_id: &str) -> PyResult<bool> {
        Ok(self.spool.drop_message(id_of(spool_id)?))
    }

    #[pyo3(signature = (*, state=None, domain=None, after=None, count_max=100))]
    fn list(
        &self,
        py: Python<'_>,
        state: Option<&str>,
        domain: Option<&str>,
        after: Option<&str>,
        count_max: usize,
    ) -> PyResult<Vec<Row>> {
        let states = [State::Incoming, State::Active, State::Deferred, State::Hold];
        let state = match state {
            None => None,
            Some("corrupt") => return Ok(Vec::new()), // set aside: counted, but no messages any more
            Some(word) => {
                let known = states.into_iter().find(|state| state.as_str() == word);
                Some(known.ok_or_else(|| PyValueError::new_err(format!("{word} is no state")))?)
            }
        };
        // A page begins after any text that sorts like an id; what sorts before all ids begins at the first.
        let after = after
            .map(|text| text.parse::<SpoolId>())
            .transpose()
            .or_py_err()?;
        let filter = Filter { state, domain, after };
        let rows = py.detach(|| self.spool.list(&filter, count_max));
        Ok(rows
            .into_iter()
            .map(|row| {
                let id = row.id.to_string();
                let (due_ms, spooled_at_ms) = (row.due.0, row.spooled_at.0);
                (
                    id,
                    row.state.as_str(),
                    row.group,
                    due_ms,
                    spooled_at_ms,
                    row.attempts,
                    row.size_octets,
                )
            })
            .collect())
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.spool.stats();
        let dict = PyDict::new(py);
        for (name, value) in [
            ("incoming", stats.incoming),
            ("active", stats.active),
            ("deferred", stats.deferred),
            ("hold", stats.hold),
            ("corrupt", stats.corrupt),
            ("segments", stats.segments),
            ("disk_octets", stats.disk_octets),
            ("live_octets", stats.live_octets),
            ("index_octets", stats.index_octets),
            ("commits", stats.commits),
            ("commit_batches", stats.commit_batches),
            ("pending_octets", stats.pending_octets),
        ] {
            dict.set_item(name, value)?;
        }
        Ok(dict)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.spool.close());
    }
}
