//! `pymta_imap`'s events as Python sees them. What a view or an upload needs of them is for this crate alone: command,
//! flags and content never become Python objects. Settings and session are in `imap_session`.

use pymta_imap::command::Flags;
use pymta_imap::{Asked, AskedAppend, AskedMessage, Event};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::server::{PyAuthEvent, PyAuthResponseEvent, PyStartTlsEvent};

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyImapCommand>()?;
    m.add_class::<PyImapOctets>()?;
    m.add_class::<PyImapLoginEvent>()?;
    m.add_class::<PyImapCommandEvent>()?;
    m.add_class::<PyImapIdleEvent>()?;
    m.add_class::<PyImapIdleDoneEvent>()?;
    m.add_class::<PyImapAppendEvent>()?;
    m.add_class::<PyImapMessageEvent>()?;
    m.add_class::<PyImapContentEvent>()?;
    m.add_class::<PyImapUrlEvent>()?;
    m.add_class::<PyImapAppendEndEvent>()?;
    m.add_class::<PyImapAppendAbortEvent>()?;
    m.add_class::<PyImapLogoutEvent>()?;
    m.add_class::<PyImapViolationEvent>()
}

/// What a view carries out.
#[pyclass(frozen, name = "ImapCommand", module = "pymta._core")]
pub(crate) struct PyImapCommand(pub(crate) Asked);

#[pymethods]
impl PyImapCommand {
    #[getter]
    fn about_others(&self) -> bool {
        pymta_mailbox::is_about_others(&self.0.tagged.command)
    }
}

/// A piece of a message; at most 64 KiB.
#[pyclass(frozen, name = "ImapOctets", module = "pymta._core")]
pub(crate) struct PyImapOctets(pub(crate) Vec<u8>);

#[pymethods]
impl PyImapOctets {
    fn __len__(&self) -> usize {
        self.0.len()
    }
}

#[pyclass(frozen, name = "ImapLoginEvent", module = "pymta._core")]
pub(crate) struct PyImapLoginEvent {
    #[pyo3(get)]
    account: String,
    #[pyo3(get)]
    password: Py<PyBytes>,
}

#[pyclass(frozen, name = "ImapCommandEvent", module = "pymta._core")]
pub(crate) struct PyImapCommandEvent {
    #[pyo3(get)]
    name: &'static str,
    #[pyo3(get)]
    command: Py<PyImapCommand>,
}

#[pyclass(frozen, name = "ImapIdleEvent", module = "pymta._core")]
pub(crate) struct PyImapIdleEvent;

#[pyclass(frozen, name = "ImapIdleDoneEvent", module = "pymta._core")]
pub(crate) struct PyImapIdleDoneEvent {
    #[pyo3(get)]
    command: Py<PyImapCommand>,
}

/// `asked` is for the view.
#[pyclass(frozen, name = "ImapAppendEvent", module = "pymta._core")]
pub(crate) struct PyImapAppendEvent {
    pub(crate) asked: AskedAppend,
    #[pyo3(get)]
    pub(crate) octets_announced: Option<u64>,
}

#[pymethods]
impl PyImapAppendEvent {
    #[getter]
    fn tag(&self) -> &str {
        &self.asked.tag
    }

    #[getter]
    fn mailbox(&self) -> &str {
        &self.asked.mailbox
    }

    #[getter]
    fn about_others(&self) -> bool {
        pymta_mailbox::is_anothers(&self.asked.mailbox)
    }

    #[getter]
    fn replaces(&self) -> Option<(u32, bool)> {
        self.asked.replaces.map(|one| (one.number, one.by_uid))
    }
}

/// `0` is for the upload.
#[pyclass(frozen, name = "ImapMessageEvent", module = "pymta._core")]
pub(crate) struct PyImapMessageEvent(pub(crate) AskedMessage);

#[pymethods]
impl PyImapMessageEvent {
    #[getter]
    fn flags(&self) -> Vec<String> {
        names(&self.0.flags)
    }

    #[getter]
    fn internal_date_s(&self) -> Option<i64> {
        self.0.internal_date_s
    }

    #[getter]
    fn octets(&self) -> Option<u64> {
        self.0.octets
    }
}

fn names(flags: &Flags) -> Vec<String> {
    let system = [
        (flags.answered, "\\Answered"),
        (flags.flagged, "\\Flagged"),
        (flags.deleted, "\\Deleted"),
        (flags.seen, "\\Seen"),
        (flags.draft, "\\Draft"),
    ];
    let system = system.into_iter().filter(|(is_set, _)| *is_set);
    let system = system.map(|(_, name)| name.to_owned());
    system.chain(flags.keywords.iter().cloned()).collect()
}

#[pyclass(frozen, name = "ImapContentEvent", module = "pymta._core")]
pub(crate) struct PyImapContentEvent {
    #[pyo3(get)]
    octets: Py<PyImapOctets>,
    #[pyo3(get)]
    last: bool,
}

#[pyclass(frozen, name = "ImapUrlEvent", module = "pymta._core")]
pub(crate) struct PyImapUrlEvent {
    #[pyo3(get)]
    pub(crate) url: String,
}

#[pymethods]
impl PyImapUrlEvent {
    #[getter]
    fn about_others(&self) -> bool {
        pymta_mailbox::is_url_anothers(&self.url)
    }
}

#[pyclass(frozen, name = "ImapAppendEndEvent", module = "pymta._core")]
pub(crate) struct PyImapAppendEndEvent;

#[pyclass(frozen, name = "ImapAppendAbortEvent", module = "pymta._core")]
pub(crate) struct PyImapAppendAbortEvent;

#[pyclass(frozen, name = "ImapLogoutEvent", module = "pymta._core")]
pub(crate) struct PyImapLogoutEvent;

#[pyclass(frozen, name = "ImapViolationEvent", module = "pymta._core")]
pub(crate) struct PyImapViolationEvent {
    #[pyo3(get)]
    kind: &'static str,
    #[pyo3(get)]
    text: &'static str,
    #[pyo3(get)]
    ends_session: bool,
}

/// The event as Python's.
pub(crate) fn event_of(py: Python<'_>, event: Event, is_closing: bool) -> PyResult<Py<PyAny>> {
    let bytes = |octets: &[u8]| PyBytes::new(py, octets).unbind();
    Ok(match event {
        Event::StartTls => Py::new(py, PyStartTlsEvent)?.into_any(),
        Event::Login { account, password } => {
            let password = bytes(password.octets());
            Py::new(py, PyImapLoginEvent { account, password })?.into_any()
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
        Event::Command { name, asked } => {
            let command = Py::new(py, PyImapCommand(asked))?;
            Py::new(py, PyImapCommandEvent { name, command })?.into_any()
        }
        Event::Idle => Py::new(py, PyImapIdleEvent)?.into_any(),
        Event::IdleDone(asked) => {
            let command = Py::new(py, PyImapCommand(asked))?;
            Py::new(py, PyImapIdleDoneEvent { command })?.into_any()
        }
        Event::Append { asked, octets } => {
            let octets_announced = octets;
            Py::new(
                py,
                PyImapAppendEvent {
                    asked,
                    octets_announced,
                },
            )?
            .into_any()
        }
        Event::Message(asked) => Py::new(py, PyImapMessageEvent(asked))?.into_any(),
        Event::Content { octets, is_last } => {
            let octets = Py::new(py, PyImapOctets(octets))?;
            Py::new(
                py,
                PyImapContentEvent {
                    octets,
                    last: is_last,
                },
            )?
            .into_any()
        }
        Event::Url(url) => Py::new(py, PyImapUrlEvent { url })?.into_any(),
        Event::AppendEnd => Py::new(py, PyImapAppendEndEvent)?.into_any(),
        Event::AppendAbort => Py::new(py, PyImapAppendAbortEvent)?.into_any(),
        Event::Logout => Py::new(py, PyImapLogoutEvent)?.into_any(),
        Event::Violation { kind, text } => {
            let violation = PyImapViolationEvent {
                kind: kind.as_str(),
                text,
                ends_session: is_closing,
            };
            Py::new(py, violation)?.into_any()
        }
    })
}
