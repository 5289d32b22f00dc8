//! Every error of the crates below, as Python sees it. One table: nothing else in this crate makes an exception of an
//! error.

use pymta_types::{AddressError, ReplyError, SpoolIdError};
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyOSError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;

create_exception!(
    pymta._core,
    OrderError,
    PyException,
    "A bug of ours: a method of a session was called in a state that does not allow it."
);

create_exception!(
    pymta._core,
    SpoolError,
    PyException,
    "The spool's own trouble; `.temporary` is True where a later try may succeed, `.full` where there is no room."
);

create_exception!(
    pymta._core,
    DamagedIndexError,
    PyOSError,
    "An account's index is damaged, and was set aside: whoever opens the account anew gets a new one."
);

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("SpoolError", m.py().get_type::<SpoolError>())?;
    m.add("DamagedIndexError", m.py().get_type::<DamagedIndexError>())?;
    m.add("OrderError", m.py().get_type::<OrderError>())
}

/// An error of a crate below that has a place in the table.
pub(crate) trait IntoPyErr {
    /// The exception for it.
    fn into_py_err(self) -> PyErr;
}

impl IntoPyErr for AddressError {
    fn into_py_err(self) -> PyErr {
        PyValueError::new_err(self.to_string())
    }
}

impl IntoPyErr for ReplyError {
    fn into_py_err(self) -> PyErr {
        PyValueError::new_err(self.to_string())
    }
}

impl IntoPyErr for SpoolIdError {
    fn into_py_err(self) -> PyErr {
        PyValueError::new_err(self.to_string())
    }
}

impl IntoPyErr for pymta_smtp::client::OrderError {
    fn into_py_err(self) -> PyErr {
        OrderError::new_err(self.to_string())
    }
}

impl IntoPyErr for pymta_smtp::Misuse {
    fn into_py_err(self) -> PyErr {
        OrderError::new_err(self.to_string())
    }
}

impl IntoPyErr for pymta_smtp::server::SettingsError {
    fn into_py_err(self) -> PyErr {
        PyValueError::new_err(self.to_string())
    }
}

impl IntoPyErr for pymta_pop3::SettingsError {
    fn into_py_err(self) -> PyErr {
        PyValueError::new_err(self.to_string())
    }
}

impl IntoPyErr for pymta_imap::SettingsError {
    fn into_py_err(self) -> PyErr {
        PyValueError::new_err(self.to_string())
    }
}

impl IntoPyErr for pymta_smtp::proxy::ProxyError {
    fn into_py_err(self) -> PyErr {
        PyValueError::new_err(self.to_string())
    }
}

impl IntoPyErr for pymta_mime::EditError {
    fn into_py_err(self) -> PyErr {
        PyValueError::new_err(self.to_string())
    }
}

impl IntoPyErr for pymta_spool::SpoolError {
    fn into_py_err(self) -> PyErr {
        let (temporary, full) = (self.is_temporary(), self.is_full());
        let error = SpoolError::new_err(self.to_string());
        Python::attach(|py| {
            // Who catches it decides by these; an exception that takes no attribute would be a bug of Python's.
            let _ = error.value(py).setattr(intern!(py, "temporary"), temporary);
            let _ = error.value(py).setattr(intern!(py, "full"), full);
        });
        error
    }
}

impl IntoPyErr for pymta_maildir::MaildirError {
    fn into_py_err(self) -> PyErr {
        match self {
            Self::BadName { .. } => PyValueError::new_err(self.to_string()),
            Self::Io { doing, error } => PyOSError::new_err(format!("{doing}: {error}")),
            other => OrderError::new_err(other.to_string()),
        }
    }
}

impl IntoPyErr for pymta_mailbox::IndexError {
    fn into_py_err(self) -> PyErr {
        match self {
            Self::Damaged(_) => DamagedIndexError::new_err(self.to_string()),
            other => PyOSError::new_err(other.to_string()),
        }
    }
}

impl IntoPyErr for pymta_mailbox::mbox::MboxError {
    fn into_py_err(self) -> PyErr {
        match self {
            Self::Index(error) => error.into_py_err(),
            other => PyOSError::new_err(other.to_string()),
        }
    }
}

/// The exception as an object, for an answer that holds one instead of raising it.
pub(crate) fn exception_of(py: Python<'_>, error: impl IntoPyErr) -> Bound<'_, PyAny> {
    error.into_py_err().into_value(py).into_bound(py).into_any()
}

/// `?` for the errors of the table.
pub(crate) trait OrPyErr<T> {
    /// The value, or the table's exception.
    fn or_py_err(self) -> PyResult<T>;
}

impl<T, E: IntoPyErr> OrPyErr<T> for Result<T, E> {
    fn or_py_err(self) -> PyResult<T> {
        self.map_err(IntoPyErr::into_py_err)
    }
}
