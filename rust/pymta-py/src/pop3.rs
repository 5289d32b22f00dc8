//! `pymta_pop3` as Python sees it: settings, session, events. A method here is one call below.

use std::sync::Arc;

use pymta_pop3::{Code, Event, LimitError, Limits, Maildrop, Message, Offer, Session, Settings};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::errors::OrPyErr;
use crate::maildrop::PyMaildrop;
use crate::server::{PyAuthEvent, PyAuthResponseEvent, PyQuitEvent, PyStartTlsEvent};

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyPop3Settings>()?;
    m.add_class::<PyPop3LoginEvent>()?;
    m.add_class::<PyPop3RetrieveEvent>()?;
    m.add_class::<PyPop3UpdateEvent>()?;
    m.add_class::<PyPop3ViolationEvent>()?;
    m.add_class::<PyPop3Session>()
}

/// Built once a listener, shared by its sessions.
#[pyclass(frozen, name = "Pop3Settings", module = "pymta._core")]
pub(crate) struct PyPop3Settings(Arc<Settings>);

#[pymethods]
impl PyPop3Settings {
    #[new]
    #[pyo3(signature = (
        *, stls=false, auth_mechanisms=Vec::new(), user_and_pass=false, auth_without_tls=false, login_delay_s=None, limits=None
    ))]
    fn new(
        stls: bool,
        auth_mechanisms: Vec<String>,
        user_and_pass: bool,
        auth_without_tls: bool,
        login_delay_s: Option<u32>,
        limits: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let offer = Offer {
            stls,
            auth_mechanisms,
            user_and_pass,
            auth_without_tls,
            login_delay_s,
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

#[pyclass(frozen, name = "Pop3LoginEvent", module = "pymta._core")]
pub(crate) struct PyPop3LoginEvent {
    #[pyo3(get)]
    account: String,
    #[pyo3(get)]
    password: Py<PyBytes>,
}

#[pyclass(frozen, name = "Pop3RetrieveEvent", module = "pymta._core")]
pub(crate) struct PyPop3RetrieveEvent {
    #[pyo3(get)]
    index: usize,
    #[pyo3(get)]
    lines: Option<u64>,
}

#[pyclass(frozen, name = "Pop3UpdateEvent", module = "pymta._core")]
pub(crate) struct PyPop3UpdateEvent {
    #[pyo3(get)]
    deleted: Vec<usize>,
}

#[pyclass(frozen, name = "Pop3ViolationEvent", module = "pymta._core")]
pub(crate) struct PyPop3ViolationEvent {
    #[pyo3(get)]
    kind: &'static str,
    #[pyo3(get)]
    text: &'static str,
    #[pyo3(get)]
    ends_session: bool,
}

#[pyclass(name = "Pop3Session", module = "pymta._core")]
pub(crate) struct PyPop3Session(Session);

#[pymethods]
impl PyPop3Session {
    #[new]
    #[pyo3(signature = (settings, *, secure=false))]
    fn new(settings: &PyPop3Settings, secure: bool) -> Self {
        Self(Session::new(Arc::clone(&settings.0), secure))
    }

    fn greet(&mut self) -> PyResult<()> {
        self.0.greet().or_py_err()
    }

    fn receive(&mut self, chunk: &Bound<'_, PyBytes>) {
        self.0.receive(chunk.as_bytes());
    }

    fn next_event(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let is_closing = self.0.is_closing();
        let event = self.0.next_event();
        event.map(|event| event_of(py, event, is_closing)).transpose()
    }

    fn output<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let octets = PyBytes::new(py, self.0.output());
        self.0.clear_output();
        octets
    }

    fn accept(&mut self) -> PyResult<()> {
        self.0.accept().or_py_err()
    }

    #[pyo3(signature = (text, *, code=None))]
    fn refuse(&mut self, text: &str, code: Option<&str>) -> PyResult<()> {
        let code = match code {
            None => None,
            Some(name) => Some(Code::parse(name).ok_or_else(|| PyValueError::new_err("no such code"))?),
        };
        self.0.refuse(code, text).or_py_err()
    }

    fn challenge(&mut self, octets: &[u8]) -> PyResult<()> {
        self.0.challenge(octets).or_py_err()
    }

    fn open(&mut self, maildrop: &PyMaildrop) -> PyResult<()> {
        let messages = maildrop.held();
        let messages = messages
            .into_iter()
            .map(|(uid, octets)| Message { octets, uid })
            .collect();
        let maildrop = Maildrop::new(messages)
            .ok_or_else(|| PyValueError::new_err("a unique-id that cannot be sent"))?;
        self.0.open(maildrop).or_py_err()
    }

    fn begin_content(&mut self) -> PyResult<()> {
        self.0.begin_content().or_py_err()
    }

    fn end_content(&mut self) -> PyResult<()> {
        self.0.end_content().or_py_err()
    }

    fn updated(&mut self) -> PyResult<()> {
        self.0.updated().or_py_err()
    }

    fn tls_started(&mut self) -> PyResult<()> {
        self.0.tls_started().or_py_err()
    }

    fn shut_down(&mut self, text: &str) {
        self.0.shut_down(text);
    }

    #[getter]
    fn closing(&self) -> bool {
        self.0.is_closing()
    }

    #[getter]
    fn waiting_for_decision(&self) -> bool {
        self.0.is_waiting()
    }

    #[getter]
    fn is_open(&self) -> bool {
        self.0.is_open()
    }

    #[getter]
    fn output_full(&self) -> bool {
        self.0.is_output_full()
    }

    #[getter]
    fn buffered_octets(&self) -> usize {
        self.0.buffered_octets()
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

fn event_of(py: Python<'_>, event: Event, is_closing: bool) -> PyResult<Py<PyAny>> {
    let bytes = |octets: &[u8]| PyBytes::new(py, octets).unbind();
    Ok(match event {
        Event::StartTls => Py::new(py, PyStartTlsEvent)?.into_any(),
        Event::Login { account, password } => {
            let password = bytes(password.octets());
            Py::new(py, PyPop3LoginEvent { account, password })?.into_any()
        }
        Event::Auth {
            mechanism,
            initial_response,
        } => {
            let initial_response = initial_response.map(|octets| bytes(&octets));
            Py::new(
                py,
                PyAuthEvent {
                    mechanism,
                    initial_response,
                },
            )?
            .into_any()
        }
        Event::AuthResponse(response) => {
            let response = response.map(|octets| bytes(&octets));
            Py::new(py, PyAuthResponseEvent { response })?.into_any()
        }
        Event::Retrieve { index, lines } => Py::new(py, PyPop3RetrieveEvent { index, lines })?.into_any(),
        Event::Update { deleted } => Py::new(py, PyPop3UpdateEvent { deleted })?.into_any(),
        Event::QuitUnread => Py::new(py, PyQuitEvent)?.into_any(),
        Event::Violation { kind, text } => {
            let violation = PyPop3ViolationEvent {
                kind: kind.as_str(),
                text,
                ends_session: is_closing,
            };
            Py::new(py, violation)?.into_any()
        }
    })
}
