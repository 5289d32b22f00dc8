//! `pymta_smtp::client` as Python sees it: settings, session, events.
//!
//! Not a second state machine: what this adds is which Python object a ticket stands for, so that an outcome gives
//! back the very message that `deliver` took. Crossings: one for what arrived, one an event, one for what goes out,
//! whatever the number of recipients and lines.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use pymta_smtp::client::{
    ClientEvent, ClientSession, ClientSettings, Closed, Content, Credentials, Outcome, StartTls,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};

use crate::errors::OrPyErr;
use crate::spool::{PyQueuedMessage, StoredContent};
use crate::types::{PyEnvelope, PyReply};

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyClientSettings>()?;
    m.add_class::<PyReadyEvent>()?;
    m.add_class::<PyTlsEvent>()?;
    m.add_class::<PyOutcomeEvent>()?;
    m.add_class::<PyClosedEvent>()?;
    m.add_class::<PyClientSession>()
}

/// Built once a next hop, shared by its sessions.
#[pyclass(frozen, name = "ClientSettings", module = "pymta._core")]
pub(crate) struct PyClientSettings(Arc<ClientSettings>);

#[pymethods]
impl PyClientSettings {
    #[new]
    #[pyo3(signature = (
        *, hello_name, lmtp=false, extended=true, starttls="opportunistic", pipelining=true, chunking=true, auth=None,
        auth_without_tls=false
    ))]
    #[allow(clippy::too_many_arguments)] // keyword-only in Python, where they are the settings value
    fn new(
        hello_name: &str,
        lmtp: bool,
        extended: bool,
        starttls: &str,
        pipelining: bool,
        chunking: bool,
        auth: Option<(String, String)>,
        auth_without_tls: bool,
    ) -> PyResult<Self> {
        let mut settings = ClientSettings::new(hello_name)
            .ok_or_else(|| PyValueError::new_err("hello_name is one word of ASCII"))?;
        settings.lmtp = lmtp;
        settings.extended = extended;
        settings.starttls = match starttls {
            "never" => StartTls::Never,
            "opportunistic" => StartTls::Opportunistic,
            "required" => StartTls::Required,
            _ => {
                return Err(PyValueError::new_err(
                    "starttls is never, opportunistic or required",
                ));
            }
        };
        settings.pipelining = pipelining;
        settings.chunking = chunking;
        settings.auth_without_tls = auth_without_tls;
        if let Some((user, password)) = auth {
            let credentials = Credentials::new(&user, &password)
                .ok_or_else(|| PyValueError::new_err("auth is a user and a password without NUL"))?;
            settings.auth = Some(credentials);
        }
        Ok(Self(Arc::new(settings)))
    }
}

#[pyclass(frozen, name = "ReadyEvent", module = "pymta._core")]
pub(crate) struct PyReadyEvent {
    #[pyo3(get)]
    capabilities: Vec<String>,
}

#[pyclass(frozen, name = "TlsEvent", module = "pymta._core")]
pub(crate) struct PyTlsEvent;

#[pyclass(frozen, name = "OutcomeEvent", module = "pymta._core")]
pub(crate) struct PyOutcomeEvent {
    #[pyo3(get)]
    message: Option<Py<PyAny>>,
    #[pyo3(get)]
    outcomes: Py<PyList>,
    #[pyo3(get)]
    dsn_passed: bool,
    #[pyo3(get)]
    content_sent: bool,
}

#[pyclass(frozen, name = "ClosedEvent", module = "pymta._core")]
pub(crate) struct PyClosedEvent {
    #[pyo3(get)]
    reply: Option<Py<PyReply>>,
    #[pyo3(get)]
    before_ready: bool,
    #[pyo3(get)]
    stage: &'static str,
}

/// Octets of Python's, read in place.
struct PythonContent(PyBackedBytes);

impl Content for PythonContent {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn slices(&self) -> Option<(&[u8], &[u8])> {
        Some((&self.0, &[]))
    }

    fn read_at(&self, offset: u64, out: &mut Vec<u8>, octets_max: usize) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.0.get(start..).unwrap_or(b"");
        let taken = &rest[..rest.len().min(octets_max)];
        out.extend_from_slice(taken);
        Ok(taken.len())
    }
}

#[pyclass(name = "ClientSession", module = "pymta._core")]
pub(crate) struct PyClientSession {
    session: ClientSession,
    /// What the open tickets stand for; at most `TRANSACTIONS_MAX` and what waits in `next_event`.
    messages: VecDeque<(u64, Option<Py<PyAny>>)>,
}

#[pymethods]
impl PyClientSession {
    #[new]
    #[pyo3(signature = (settings, *, secure=false))]
    fn new(settings: &PyClientSettings, secure: bool) -> Self {
        Self {
            session: ClientSession::new(settings.0.clone(), secure),
            messages: VecDeque::new(),
        }
    }

    fn receive(&mut self, chunk: &[u8]) {
        self.session.receive(chunk);
    }

    fn next_event(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let event = match self.session.next_event() {
            None => return Ok(None),
            Some(ClientEvent::Outcome(outcome)) => self.outcome_event(py, outcome)?.into_any(),
            Some(ClientEvent::Ready) => {
                let capabilities = self.session.offered().lines.clone();
                Py::new(py, PyReadyEvent { capabilities })?.into_any()
            }
            Some(ClientEvent::Tls) => Py::new(py, PyTlsEvent)?.into_any(),
            Some(ClientEvent::Closed(closed)) => closed_event(py, closed)?.into_any(),
        };
        Ok(Some(event))
    }

    #[pyo3(signature = (octets_max=262_144))]
    fn output<'py>(&mut self, py: Python<'py>, octets_max: usize) -> Bound<'py, PyBytes> {
        self.session.output(octets_max, |octets| PyBytes::new(py, octets))
    }

    fn deliver(&mut self, message: &Bound<'_, PyQueuedMessage>, recipients: Vec<u32>) -> PyResult<()> {
        let stored = Arc::clone(&message.get().message);
        let content = Box::new(StoredContent(Arc::clone(&stored)));
        let ticket = self
            .session
            .deliver(&stored.envelope, &recipients, content)
            .or_py_err()?;
        self.messages
            .push_back((ticket, Some(message.clone().into_any().unbind())));
        Ok(())
    }

    fn deliver_content(&mut self, envelope: &PyEnvelope, content: PyBackedBytes) -> PyResult<()> {
        let count = u32::try_from(envelope.0.recipients.len()).unwrap_or(u32::MAX);
        let recipients: Vec<u32> = (0..count).collect();
        let content = Box::new(PythonContent(content));
        let ticket = self
            .session
            .deliver(&envelope.0, &recipients, content)
            .or_py_err()?;
        self.messages.push_back((ticket, None));
        Ok(())
    }

    fn quit(&mut self) {
        self.session.quit();
    }

    fn tls_started(&mut self) -> PyResult<()> {
        self.session.tls_started().or_py_err()
    }

    fn end_of_stream(&mut self, reason: &str) {
        self.session.end_of_stream(reason);
    }

    #[getter]
    fn wants_write(&self) -> bool {
        self.session.wants_write()
    }

    #[getter]
    fn room(&self) -> usize {
        self.session.room()
    }

    #[getter]
    fn has_event(&self) -> bool {
        self.session.has_event()
    }

    #[getter]
    fn waiting_for(&self) -> &'static str {
        self.session.waiting_for().word()
    }

    #[getter]
    fn closed(&self) -> bool {
        self.session.closed()
    }

    #[getter]
    fn capabilities(&self) -> Vec<String> {
        self.session.offered().lines.clone()
    }

    #[getter]
    fn messages_delivered(&self) -> u64 {
        self.session.messages_delivered()
    }
}

impl PyClientSession {
    fn outcome_event(&mut self, py: Python<'_>, outcome: Outcome) -> PyResult<Py<PyOutcomeEvent>> {
        // Tickets end in order but for messages refused at once, so this is nearly always the first.
        let at = self
            .messages
            .iter()
            .position(|(ticket, _)| *ticket == outcome.ticket);
        let message = at
            .and_then(|at| self.messages.remove(at))
            .and_then(|(_, message)| message);
        let outcomes = outcome
            .outcomes
            .into_iter()
            .map(|(index, reply)| Ok((index, Py::new(py, PyReply(reply))?)))
            .collect::<PyResult<Vec<_>>>()?;
        let event = PyOutcomeEvent {
            message,
            outcomes: PyList::new(py, outcomes)?.unbind(),
            dsn_passed: outcome.dsn_passed,
            content_sent: outcome.content_sent,
        };
        Py::new(py, event)
    }
}

fn closed_event(py: Python<'_>, closed: Closed) -> PyResult<Py<PyClosedEvent>> {
    let reply = closed
        .reply
        .map(|reply| Py::new(py, PyReply(reply)))
        .transpose()?;
    let event = PyClosedEvent {
        reply,
        before_ready: closed.before_ready,
        stage: closed.stage.word(),
    };
    Py::new(py, event)
}
