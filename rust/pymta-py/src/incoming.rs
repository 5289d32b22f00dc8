//! A message between end of data and commit: pymta-mime's view of what a spool's content writer holds.
//!
//! Only the header section can be changed, and it is copied once. The body stays where it is; what looks into it
//! (`parts`, `content`) reads a bounded piece on demand.

use std::io;
use std::sync::Arc;

use pymta_mime::{HeaderLimits, HeaderSection, Part, PartLimits, Peer, Protocol, Received, Structure};
use pymta_spool::{Commit, ContentWriter};
use pymta_types::{SpoolId, UnixMs};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::errors::{OrPyErr, OrderError};
use crate::spool::{PyContentWriter, PyQueuedMessage, PySpool};
use crate::types::PyEnvelope;

/// Content that `parts` looks at; what lies beyond is not looked into. Twice the usual limit of attachments that
/// policies care about, and small against the memory of a server that holds a few such messages at once.
const PARTS_OCTETS_MAX: usize = 32 << 20;

/// A message is copied in pieces of this size.
const COPY_OCTETS: usize = 256 << 10;

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyPart>()?;
    m.add_class::<PyIncomingMessage>()
}

#[pyclass(frozen, name = "Part", module = "pymta._core")]
pub(crate) struct PyPart(Part);

#[pymethods]
impl PyPart {
    #[getter]
    fn content_type(&self) -> &str {
        &self.0.content_type
    }

    #[getter]
    fn filename(&self) -> Option<&str> {
        self.0.filename()
    }

    #[getter]
    fn filenames(&self) -> Vec<&str> {
        self.0.filenames.iter().map(String::as_str).collect()
    }

    #[getter]
    fn disposition(&self) -> Option<&str> {
        self.0.disposition.as_deref()
    }

    #[getter]
    fn depth(&self) -> usize {
        self.0.depth
    }

    #[getter]
    fn size_octets(&self) -> usize {
        self.0.size_octets()
    }
}

#[pyclass(name = "IncomingMessage", module = "pymta._core")]
pub(crate) struct PyIncomingMessage {
    /// None after `commit` and `discard`.
    writer: Option<ContentWriter>,
    section: HeaderSection,
    /// What the writer took for the header section and pymta-mime takes for the beginning of the body.
    below: Vec<u8>,
    content_octets: u64,
    id: Option<SpoolId>,
    /// The content that `parts` looked at, for `part_content`.
    seen: Option<Vec<u8>>,
    #[pyo3(get)]
    envelope: Py<PyEnvelope>,
}

impl PyIncomingMessage {
    fn of(writer: ContentWriter, envelope: Py<PyEnvelope>) -> Self {
        let arrived = writer.header_section();
        // The writer has enforced the limits while the content arrived.
        let limits = HeaderLimits {
            section_octets_max: usize::MAX,
            fields_max: usize::MAX,
        };
        let section = HeaderSection::scan(arrived, limits);
        let below = arrived[section.original_octets()..].to_vec();
        Self {
            content_octets: writer.content_len(),
            section,
            below,
            id: None,
            seen: None,
            envelope,
            writer: Some(writer),
        }
    }

    fn open(&self) -> PyResult<&ContentWriter> {
        self.writer
            .as_ref()
            .ok_or_else(|| OrderError::new_err("the message was committed or discarded"))
    }

    /// The content from its start, as it is now, at most `octets_max` of it.
    fn read(&self, octets_max: usize) -> PyResult<Vec<u8>> {
        let mut out = Vec::new();
        for piece in [self.section.octets(), &self.below] {
            let room = octets_max - out.len();
            out.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        let room = octets_max - out.len();
        if room > 0 {
            out.extend(self.open()?.read_body(0, room).or_py_err()?);
        }
        Ok(out)
    }
}

#[pymethods]
impl PyIncomingMessage {
    #[new]
    fn new(writer: &Bound<'_, PyContentWriter>, envelope: Py<PyEnvelope>) -> PyResult<Self> {
        Ok(Self::of(writer.borrow_mut().take()?, envelope))
    }

    #[staticmethod]
    fn from_content(spool: &PySpool, envelope: Py<PyEnvelope>, content: &[u8]) -> PyResult<Self> {
        let mut writer = spool.new_writer();
        writer.write(content);
        Ok(Self::of(writer, envelope))
    }

    /// Reads the message piece by piece, so that a large one never is in memory as a whole.
    #[staticmethod]
    #[pyo3(signature = (spool, envelope, message, fields=Vec::new()))]
    fn from_message(
        py: Python<'_>,
        spool: &PySpool,
        envelope: Py<PyEnvelope>,
        message: &PyQueuedMessage,
        fields: Vec<(String, String)>,
    ) -> PyResult<Self> {
        let mut writer = spool.new_writer();
        py.detach(|| -> io::Result<()> {
            let (mut offset, mut piece) = (0u64, Vec::new());
            while message.message.read_at(offset, &mut piece, COPY_OCTETS)? > 0 {
                offset += piece.len() as u64;
                writer.write(&piece);
                piece.clear();
            }
            Ok(())
        })?;
        let mut copy = Self::of(writer, envelope);
        for (name, value) in fields.iter().rev() {
            copy.section.prepend(name, value).or_py_err()?;
        }
        Ok(copy)
    }

    #[setter]
    fn set_envelope(&mut self, envelope: Py<PyEnvelope>) {
        self.envelope = envelope;
    }

    #[getter]
    fn size_octets(&self) -> u64 {
        self.content_octets
    }

    #[getter]
    fn received_hops(&self) -> usize {
        self.section.received_hops()
    }

    #[getter]
    fn header_field_count(&self) -> usize {
        self.section.count()
    }

    #[getter]
    fn violation(&self) -> PyResult<Option<&'static str>> {
        Ok(self.open()?.violation())
    }

    fn field<'py>(&self, py: Python<'py>, name: &str) -> Option<Bound<'py, PyBytes>> {
        self.section.field(name).map(|value| PyBytes::new(py, &value))
    }

    fn fields<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyList>> {
        PyList::new(
            py,
            self.section
                .fields(name)
                .map(|value| PyBytes::new(py, &value))
                .collect::<Vec<_>>(),
        )
    }

    fn header_fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let rows = self.section.iter().map(|field| {
            PyTuple::new(
                py,
                [PyBytes::new(py, field.name()), PyBytes::new(py, &field.value())],
            )
        });
        PyList::new(py, rows.collect::<PyResult<Vec<_>>>()?)
    }

    fn header_section<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.section.octets())
    }

    fn prepend_field(&mut self, name: &str, value: &str) -> PyResult<()> {
        self.section.prepend(name, value).or_py_err()
    }

    fn add_field(&mut self, name: &str, value: &str) -> PyResult<()> {
        self.section.append(name, value).or_py_err()
    }

    fn replace_field(&mut self, name: &str, value: &str) -> PyResult<usize> {
        self.section.replace(name, value).or_py_err()
    }

    fn remove_field(&mut self, name: &str) -> usize {
        self.section.remove(name)
    }

    /// The spool id that it will have; reserved when it is first asked for, by `stamp`.
    #[getter]
    fn id(&self) -> Option<String> {
        self.id.map(|id| id.to_string())
    }

    #[pyo3(signature = (*, hello_name, peer_address, hostname, extended, tls, authenticated, now_ms, lmtp=false))]
    #[allow(clippy::too_many_arguments)] // keyword-only in Python, and all of it is one trace field
    fn stamp(
        &mut self,
        hello_name: &str,
        peer_address: &str,
        hostname: &str,
        extended: bool,
        tls: Option<&str>,
        authenticated: bool,
        now_ms: u64,
        lmtp: bool,
    ) -> PyResult<()> {
        let now = UnixMs(now_ms);
        let writer = self
            .writer
            .as_mut()
            .ok_or_else(|| OrderError::new_err("the message was committed or discarded"))?;
        let id = writer.reserve_id(now);
        self.id = Some(id);
        let envelope = &self.envelope.get().0;
        let field = Received {
            peer: Some(Peer {
                hello_name,
                ip: peer_address.parse().ok(),
                name: None,
            }),
            by: hostname,
            protocol: Protocol {
                extended,
                tls: tls.is_some(),
                auth: authenticated,
                utf8: envelope.smtputf8,
                lmtp,
            },
            id: &id.to_string(),
            forward_path: match envelope.recipients.as_slice() {
                [only] => Some(&only.forward_path),
                _ => None,
            },
            tls,
            date: now,
        };
        self.section.prepend_raw(field.compose().as_bytes()).or_py_err()
    }

    fn parts(&mut self) -> PyResult<Vec<PyPart>> {
        let content = self.read(PARTS_OCTETS_MAX)?;
        let found = Structure::scan(&content, PartLimits::default());
        self.seen = Some(content);
        Ok(found.parts.into_iter().map(PyPart).collect())
    }

    fn part_content<'py>(
        &self,
        py: Python<'py>,
        part: &PyPart,
        octets_max: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let seen = self
            .seen
            .as_ref()
            .ok_or_else(|| OrderError::new_err("parts() comes first"))?;
        if part.0.body.end > seen.len() {
            return Err(PyValueError::new_err("the part is of another message"));
        }
        Ok(PyBytes::new(py, &part.0.decode(seen, octets_max).octets))
    }

    fn content<'py>(&self, py: Python<'py>, octets_max: usize) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.read(octets_max)?))
    }

    #[pyo3(signature = (now_ms, *, due_ms, annotations=Vec::new()))]
    fn commit(&mut self, now_ms: u64, due_ms: Option<u64>, annotations: Vec<u8>) -> PyResult<u64> {
        let writer = self
            .writer
            .take()
            .ok_or_else(|| OrderError::new_err("the message was committed or discarded"))?;
        let none = HeaderSection::scan(b"", HeaderLimits::default());
        let mut header_section = std::mem::replace(&mut self.section, none).into_octets();
        header_section.append(&mut self.below);
        self.seen = None;
        Ok(writer.commit(Commit {
            envelope: Arc::clone(&self.envelope.get().0),
            header_section,
            annotations,
            spooled_at: UnixMs(now_ms),
            due: due_ms.map(UnixMs),
        }))
    }

    fn discard(&mut self) {
        self.writer = None;
    }
}
