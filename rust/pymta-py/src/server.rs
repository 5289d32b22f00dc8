//! `pymta_smtp::server` as Python sees it: settings, session, events; and the PROXY header's parser.
//!
//! Not a second state machine: a method here is one call below. Crossings: one for what arrived, one an event, one an
//! answer, one for all that goes out. Octets of content never become Python objects: they go from the chunk that
//! Python holds to the sink's memory, through a slice.

use std::sync::Arc;

use pymta_smtp::server::{Event, HelloVerb, LimitError, Limits, Offer, Session, Settings};
use pymta_smtp::{ContentSink, LineEndings, proxy};
use pymta_spool::ContentWriter;
use pymta_types::{BodyType, Reply};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyString};

use crate::errors::OrPyErr;
use crate::spool::PyContentWriter;
use crate::types::{PyAddress, PyEnvelope, PyRecipient, PyReply};

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyServerSettings>()?;
    m.add_class::<PyHelloEvent>()?;
    m.add_class::<PyStartTlsEvent>()?;
    m.add_class::<PyAuthEvent>()?;
    m.add_class::<PyAuthResponseEvent>()?;
    m.add_class::<PyXclientEvent>()?;
    m.add_class::<PyMailEvent>()?;
    m.add_class::<PyRcptEvent>()?;
    m.add_class::<PyDataEvent>()?;
    m.add_class::<PyMessageEvent>()?;
    m.add_class::<PyViolationEvent>()?;
    m.add_class::<PyQuitEvent>()?;
    m.add_class::<PyServerSession>()?;
    m.add_function(wrap_pyfunction!(parse_proxy, m)?)
}

/// Built once a listener, shared by its sessions.
#[pyclass(frozen, name = "ServerSettings", module = "pymta._core")]
pub(crate) struct PyServerSettings(Arc<Settings>);

#[pymethods]
impl PyServerSettings {
    #[new]
    #[pyo3(signature = (
        *, hostname, lmtp=false, starttls=false, auth_mechanisms=Vec::new(), auth_without_tls=false, xclient=false,
        line_endings="refuse", limits=None
    ))]
    #[allow(clippy::too_many_arguments)] // keyword-only in Python, where they are the settings value
    fn new(
        hostname: String,
        lmtp: bool,
        starttls: bool,
        auth_mechanisms: Vec<String>,
        auth_without_tls: bool,
        xclient: bool,
        line_endings: &str,
        limits: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let offer = Offer {
            hostname,
            lmtp,
            starttls,
            auth_mechanisms,
            auth_without_tls,
            xclient,
            line_endings: match line_endings {
                "refuse" => LineEndings::Refuse,
                "normalise" => LineEndings::Normalise,
                _ => return Err(PyValueError::new_err("line_endings is refuse or normalise")),
            },
            limits: limits_of(limits)?,
        };
        Settings::new(offer)
            .map(|settings| Self(Arc::new(settings)))
            .or_py_err()
    }
}

fn limits_of(given: Option<&Bound<'_, PyDict>>) -> PyResult<Limits> {
    let mut limits = Limits::default();
    for (name, value) in given.into_iter().flatten() {
        let name: String = name.extract()?;
        let value: u64 = value
            .extract()
            .map_err(|_| PyValueError::new_err(format!("{name}: {}", LimitError::Value)))?;
        limits
            .set(&name, value)
            .map_err(|error| PyValueError::new_err(format!("{name}: {error}")))?;
    }
    Ok(limits)
}

// ---- events

#[pyclass(frozen, name = "HelloEvent", module = "pymta._core")]
pub(crate) struct PyHelloEvent {
    verb: HelloVerb,
    #[pyo3(get)]
    name: String,
}

#[pymethods]
impl PyHelloEvent {
    #[getter]
    fn verb<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        match self.verb {
            HelloVerb::Ehlo => intern!(py, "EHLO"),
            HelloVerb::Helo => intern!(py, "HELO"),
            HelloVerb::Lhlo => intern!(py, "LHLO"),
        }
    }
}

#[pyclass(frozen, name = "StartTlsEvent", module = "pymta._core")]
pub(crate) struct PyStartTlsEvent;

#[pyclass(frozen, name = "AuthEvent", module = "pymta._core")]
pub(crate) struct PyAuthEvent {
    #[pyo3(get)]
    pub(crate) mechanism: String,
    #[pyo3(get)]
    pub(crate) initial_response: Option<Py<PyBytes>>,
}

#[pyclass(frozen, name = "AuthResponseEvent", module = "pymta._core")]
pub(crate) struct PyAuthResponseEvent {
    #[pyo3(get)]
    pub(crate) response: Option<Py<PyBytes>>,
}

#[pyclass(frozen, name = "XclientEvent", module = "pymta._core")]
pub(crate) struct PyXclientEvent {
    #[pyo3(get)]
    attributes: Py<PyDict>,
}

#[pyclass(frozen, name = "MailEvent", module = "pymta._core")]
pub(crate) struct PyMailEvent {
    #[pyo3(get)]
    reverse_path: Option<Py<PyAddress>>,
    #[pyo3(get)]
    size_octets: Option<u64>,
    body: BodyType,
    #[pyo3(get)]
    smtputf8: bool,
}

#[pymethods]
impl PyMailEvent {
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        match self.body {
            BodyType::SevenBit => intern!(py, "7BIT"),
            BodyType::EightBitMime => intern!(py, "8BITMIME"),
            BodyType::BinaryMime => intern!(py, "BINARYMIME"),
        }
    }
}

#[pyclass(frozen, name = "RcptEvent", module = "pymta._core")]
pub(crate) struct PyRcptEvent {
    #[pyo3(get)]
    recipient: Py<PyRecipient>,
    #[pyo3(get)]
    accepted_count: usize,
}

#[pyclass(frozen, name = "DataEvent", module = "pymta._core")]
pub(crate) struct PyDataEvent;

#[pyclass(frozen, name = "MessageEvent", module = "pymta._core")]
pub(crate) struct PyMessageEvent {
    #[pyo3(get)]
    writer: Py<PyAny>,
    #[pyo3(get)]
    envelope: Py<PyEnvelope>,
    #[pyo3(get)]
    size_octets: u64,
}

#[pyclass(frozen, name = "ViolationEvent", module = "pymta._core")]
pub(crate) struct PyViolationEvent {
    kind: &'static str,
    #[pyo3(get)]
    reply: Py<PyReply>,
}

#[pymethods]
impl PyViolationEvent {
    #[getter]
    fn kind(&self) -> &'static str {
        self.kind
    }
}

#[pyclass(frozen, name = "QuitEvent", module = "pymta._core")]
pub(crate) struct PyQuitEvent;

/// Where a session's content goes, with the octets counted.
struct Sink {
    place: Place,
    octets: u64,
}

enum Place {
    /// Into the spool.
    Writer(Box<ContentWriter>),
    /// For tests and scripted peers.
    Bytes(Py<PyByteArray>),
    /// Nowhere: a sink that only counts.
    Nowhere,
}

impl Sink {
    fn of(writer: &Bound<'_, PyAny>) -> PyResult<Self> {
        let place = if let Ok(writer) = writer.cast::<PyContentWriter>() {
            Place::Writer(Box::new(writer.borrow_mut().take()?))
        } else if let Ok(array) = writer.cast::<PyByteArray>() {
            Place::Bytes(array.clone().unbind())
        } else if writer.is_none() {
            Place::Nowhere
        } else {
            return Err(PyTypeError::new_err(
                "a ContentWriter, a bytearray or None is needed",
            ));
        };
        Ok(Self { place, octets: 0 })
    }

    fn into_py_object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self.place {
            Place::Writer(writer) => Py::new(py, PyContentWriter::of(*writer))?.into_any(),
            Place::Bytes(array) => array.into_any(),
            Place::Nowhere => py.None(),
        })
    }
}

impl ContentSink for Sink {
    fn write(&mut self, octets: &[u8]) {
        self.octets += octets.len() as u64;
        match &mut self.place {
            Place::Writer(writer) => writer.write(octets),
            Place::Bytes(array) => Python::attach(|py| {
                let bytes = PyBytes::new(py, octets);
                array
                    .call_method1(py, intern!(py, "extend"), (bytes,))
                    .expect("a bytearray that nobody exports can grow");
            }),
            Place::Nowhere => {}
        }
    }

    fn pending_octets(&self) -> usize {
        match &self.place {
            Place::Writer(writer) => writer.pending_octets(),
            Place::Bytes(_) | Place::Nowhere => 0,
        }
    }
}

// ---- the session

#[pyclass(name = "ServerSession", module = "pymta._core")]
pub(crate) struct PyServerSession(Session<Sink>);

#[pymethods]
impl PyServerSession {
    #[new]
    #[pyo3(signature = (settings, *, secure=false))]
    fn new(settings: &PyServerSettings, secure: bool) -> Self {
        Self(Session::new(Arc::clone(&settings.0), secure))
    }

    fn greet(&mut self) -> PyResult<()> {
        self.0.greet().or_py_err()
    }

    fn receive(&mut self, chunk: &Bound<'_, PyBytes>) {
        self.0.receive(chunk.as_bytes());
    }

    fn next_event(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.0.next_event().map(|event| event_of(py, event)).transpose()
    }

    fn output<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let octets = PyBytes::new(py, self.0.output());
        self.0.clear_output();
        octets
    }

    fn accept(&mut self) -> PyResult<()> {
        self.0.accept().or_py_err()
    }

    fn refuse(&mut self, reply: &PyReply) -> PyResult<()> {
        self.0.refuse(&reply.0).or_py_err()
    }

    fn accept_content(&mut self, writer: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.accept_content(Sink::of(writer)?).or_py_err()
    }

    #[pyo3(signature = (text, refused=Vec::new()))]
    fn accept_message(&mut self, text: &str, refused: Vec<(usize, PyRef<'_, PyReply>)>) -> PyResult<()> {
        let refused: Vec<_> = refused
            .iter()
            .map(|(place, reply)| (*place, reply.0.clone()))
            .collect();
        self.0.accept_message_but(text, &refused).or_py_err()
    }

    fn challenge(&mut self, text: &[u8]) -> PyResult<()> {
        self.0.challenge(text).or_py_err()
    }

    fn tls_started(&mut self) -> PyResult<()> {
        self.0.tls_started().or_py_err()
    }

    fn shut_down(&mut self, reply: &PyReply) {
        self.0.shut_down(&reply.0);
    }

    /// The three questions that a driver has after each chunk, in one crossing: bits of closing (1),
    /// waiting_for_decision (2), receiving_content (4).
    #[getter]
    fn standing(&self) -> u8 {
        u8::from(self.0.is_closing())
            | u8::from(self.0.is_waiting()) << 1
            | u8::from(self.0.is_receiving_content()) << 2
    }

    #[getter]
    fn closing(&self) -> bool {
        self.0.is_closing()
    }

    #[getter]
    fn receiving_content(&self) -> bool {
        self.0.is_receiving_content()
    }

    #[getter]
    fn in_transaction(&self) -> bool {
        self.0.is_in_transaction()
    }

    #[getter]
    fn waiting_for_decision(&self) -> bool {
        self.0.is_waiting()
    }

    #[getter]
    fn buffered_octets(&self) -> usize {
        self.0.buffered_octets()
    }

    #[getter]
    fn pending_octets(&self) -> usize {
        self.0.pending_octets()
    }

    #[getter]
    fn envelope(&self) -> PyEnvelope {
        PyEnvelope(self.0.envelope())
    }

    #[getter]
    fn hello_name(&self) -> &str {
        self.0.hello_name()
    }

    #[getter]
    fn is_extended(&self) -> bool {
        self.0.is_extended()
    }

    #[getter]
    fn command_count(&self) -> u64 {
        self.0.command_count()
    }

    #[getter]
    fn violation_count(&self) -> u32 {
        self.0.violation_count()
    }
}

/// The event as an object of its class.
fn event_of(py: Python<'_>, event: Event<Sink>) -> PyResult<Py<PyAny>> {
    let bytes = |octets: Vec<u8>| PyBytes::new(py, &octets).unbind();
    let object = match event {
        Event::Mail {
            reverse_path,
            size_octets,
            body,
            smtputf8,
        } => {
            let reverse_path = reverse_path.map(|address| Py::new(py, PyAddress(address)));
            Py::new(
                py,
                PyMailEvent {
                    reverse_path: reverse_path.transpose()?,
                    size_octets,
                    body,
                    smtputf8,
                },
            )?
            .into_any()
        }
        Event::Rcpt {
            recipient,
            accepted_count,
        } => {
            let recipient = Py::new(py, PyRecipient(recipient))?;
            Py::new(
                py,
                PyRcptEvent {
                    recipient,
                    accepted_count,
                },
            )?
            .into_any()
        }
        Event::Data => Py::new(py, PyDataEvent)?.into_any(),
        Event::Message { writer, envelope } => {
            let size_octets = writer.octets;
            Py::new(
                py,
                PyMessageEvent {
                    writer: writer.into_py_object(py)?,
                    envelope: Py::new(py, PyEnvelope(envelope))?,
                    size_octets,
                },
            )?
            .into_any()
        }
        Event::Hello { verb, name } => Py::new(py, PyHelloEvent { verb, name })?.into_any(),
        Event::StartTls => Py::new(py, PyStartTlsEvent)?.into_any(),
        Event::Auth {
            mechanism,
            initial_response,
        } => Py::new(
            py,
            PyAuthEvent {
                mechanism,
                initial_response: initial_response.map(bytes),
            },
        )?
        .into_any(),
        Event::AuthResponse(response) => Py::new(
            py,
            PyAuthResponseEvent {
                response: response.map(bytes),
            },
        )?
        .into_any(),
        Event::Xclient(pairs) => {
            let attributes = PyDict::new(py);
            for (name, value) in pairs {
                attributes.set_item(name, value)?;
            }
            Py::new(
                py,
                PyXclientEvent {
                    attributes: attributes.unbind(),
                },
            )?
            .into_any()
        }
        Event::Violation { kind, reply } => violation(py, kind.as_str(), reply)?.into_any(),
        Event::Quit => Py::new(py, PyQuitEvent)?.into_any(),
    };
    Ok(object)
}

fn violation(py: Python<'_>, kind: &'static str, reply: Reply) -> PyResult<Py<PyViolationEvent>> {
    let reply = Py::new(py, PyReply(reply))?;
    Py::new(py, PyViolationEvent { kind, reply })
}

// ---- PROXY

/// What a PROXY header says of the client's address, and how many octets it has.
type ProxiedSource = (Option<(String, u16)>, usize);

/// The PROXY header that starts *buffer*: the client's address and port (None where the connection's own hold) and
/// the octets of the header; None where more must arrive; ValueError where it is none.
#[pyfunction]
fn parse_proxy(buffer: &[u8]) -> PyResult<Option<ProxiedSource>> {
    let header = proxy::parse(buffer).or_py_err()?;
    Ok(header.map(|header| {
        let source = header
            .addresses
            .map(|(source, _)| (source.ip().to_string(), source.port()));
        (source, header.octets)
    }))
}
