//! `pymta_imap`'s settings and session as Python sees them; its events are in `imap`. A method here is one call below.

use std::sync::Arc;

use pymta_imap::capability::{Extension, Extensions};
use pymta_imap::limits::{LimitError, Limits};
use pymta_imap::{Offer, Session, Settings, write};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::errors::OrPyErr;
use crate::imap::event_of;

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyImapSettings>()?;
    m.add_class::<PyImapSession>()
}

/// Built once a listener, shared by its sessions.
#[pyclass(frozen, name = "ImapSettings", module = "pymta._core")]
pub(crate) struct PyImapSettings(Arc<Settings>);

#[pymethods]
impl PyImapSettings {
    #[new]
    #[pyo3(signature = (
        *, starttls=false, auth_mechanisms=Vec::new(), login=false, auth_without_tls=false, extensions=None, compress=false,
        acl=true, append_octets_max=None, identity=Vec::new(), limits=None
    ))]
    #[allow(clippy::too_many_arguments)] // keywords of one value, as in the stub
    fn new(
        starttls: bool,
        auth_mechanisms: Vec<String>,
        login: bool,
        auth_without_tls: bool,
        extensions: Option<Vec<String>>,
        compress: bool,
        acl: bool,
        append_octets_max: Option<u64>,
        identity: Vec<(String, String)>,
        limits: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let mut extensions = extensions_of(extensions)?;
        if !acl {
            extensions.remove(Extension::Acl);
            extensions.remove(Extension::ListMyRights);
        }
        let offer = Offer {
            starttls,
            auth_mechanisms,
            login,
            auth_without_tls,
            extensions,
            compress,
            append_octets_max,
            identity,
            limits: limits_of(limits)?,
        };
        Settings::new(offer)
            .map(|settings| Self(Arc::new(settings)))
            .or_py_err()
    }
}

fn extensions_of(names: Option<Vec<String>>) -> PyResult<Extensions> {
    let Some(names) = names else {
        return Ok(Extensions::default());
    };
    let mut extensions = Extensions::none();
    for name in names {
        if !extensions.add(&name) {
            return Err(PyValueError::new_err(format!("{name}: no such extension")));
        }
    }
    Ok(extensions)
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

#[pyclass(name = "ImapSession", module = "pymta._core")]
pub(crate) struct PyImapSession(Session);

#[pymethods]
impl PyImapSession {
    #[new]
    #[pyo3(signature = (settings, *, secure=false))]
    fn new(settings: &PyImapSettings, secure: bool) -> Self {
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
        PyBytes::new(py, &self.0.take_output())
    }

    fn accept(&mut self) -> PyResult<()> {
        self.0.accept().or_py_err()
    }

    #[pyo3(signature = (text, *, code=None))]
    fn refuse(&mut self, text: &str, code: Option<&str>) -> PyResult<()> {
        if code.is_some_and(|code| !write::is_code(code)) {
            return Err(PyValueError::new_err("a code that cannot be sent"));
        }
        self.0.refuse(code, text).or_py_err()
    }

    fn challenge(&mut self, octets: &[u8]) -> PyResult<()> {
        self.0.challenge(octets).or_py_err()
    }

    fn open(&mut self) -> PyResult<()> {
        self.0.open().or_py_err()
    }

    fn accept_append(&mut self) -> PyResult<()> {
        self.0.accept_append().or_py_err()
    }

    fn took(&mut self) -> PyResult<()> {
        self.0.took().or_py_err()
    }

    #[pyo3(signature = (*, selected))]
    fn done(&mut self, selected: bool) -> PyResult<()> {
        self.0.done(selected).or_py_err()
    }

    fn say(&mut self, octets: &[u8]) {
        self.0.say(octets);
    }

    fn compress<'py>(&mut self, py: Python<'py>, octets: &Bound<'py, PyBytes>) -> Bound<'py, PyBytes> {
        match self.0.compress(octets.as_bytes()) {
            None => octets.clone(),
            Some(compressed) => PyBytes::new(py, &compressed),
        }
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
    fn idling(&self) -> bool {
        self.0.is_idling()
    }

    #[getter]
    fn compressing(&self) -> bool {
        self.0.is_compressing()
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
