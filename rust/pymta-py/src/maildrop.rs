//! `pymta_maildir::Maildrop` as Python sees it, and a message of it as the lines of a POP3 reply: each piece is read and
//! turned without the interpreter's lock, and crosses once.

use std::sync::{Mutex, PoisonError};

use pymta_maildir::{Maildrop, OpenMessage};
use pymta_pop3::Wire;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::OrPyErr;

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyMaildrop>()?;
    m.add_class::<PyRetrieval>()
}

/// Open for one reader; given back with the object or by `close`.
#[pyclass(frozen, name = "Maildrop", module = "pymta._core")]
pub(crate) struct PyMaildrop(Mutex<Option<Maildrop>>);

impl PyMaildrop {
    pub(crate) fn of(maildrop: Maildrop) -> Self {
        Self(Mutex::new(Some(maildrop)))
    }

    /// (unique-id, octets on the wire) of each message.
    pub(crate) fn held(&self) -> Vec<(String, u64)> {
        let maildrop = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let messages = maildrop.iter().flat_map(|maildrop| maildrop.messages());
        messages
            .map(|held| (held.uid.clone(), held.wire_octets))
            .collect()
    }
}

#[pymethods]
impl PyMaildrop {
    #[getter]
    fn messages(&self) -> Vec<(String, u64)> {
        self.held()
    }

    #[pyo3(signature = (index, lines=None))]
    fn retrieve(&self, py: Python<'_>, index: usize, lines: Option<u64>) -> PyResult<Option<PyRetrieval>> {
        let opened = py.detach(|| {
            let mut maildrop = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            maildrop
                .as_mut()
                .map_or(Ok(None), |maildrop| maildrop.open_message(index))
        });
        Ok(opened.or_py_err()?.map(|message| {
            PyRetrieval(Mutex::new(Some(Reading {
                message,
                wire: Wire::new(lines),
                piece: Vec::new(),
            })))
        }))
    }

    fn remove(&self, py: Python<'_>, indexes: Vec<usize>) -> PyResult<()> {
        py.detach(|| {
            let mut maildrop = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            maildrop
                .as_mut()
                .map_or(Ok(()), |maildrop| maildrop.remove(&indexes))
        })
        .or_py_err()
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        });
    }
}

struct Reading {
    message: OpenMessage,
    wire: Wire,
    piece: Vec<u8>,
}

/// A message on its way to a client.
#[pyclass(frozen, name = "Retrieval", module = "pymta._core")]
pub(crate) struct PyRetrieval(Mutex<Option<Reading>>);

#[pymethods]
impl PyRetrieval {
    /// The next octets of the reply, made of at most so many of the file; with its end mark where it is over.
    fn read<'py>(&self, py: Python<'py>, octets_max: usize) -> PyResult<Bound<'py, PyBytes>> {
        let octets = py.detach(|| {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let mut out = Vec::new();
            let mut wants_more = false;
            if let Some(reading) = slot.as_mut() {
                reading.piece.clear();
                while reading.piece.len() < octets_max {
                    let room = octets_max - reading.piece.len();
                    wants_more = reading.message.read(&mut reading.piece, room)? > 0;
                    if !wants_more {
                        break;
                    }
                }
                wants_more = reading.wire.push(&reading.piece, &mut out) && wants_more;
            }
            if !wants_more && let Some(reading) = slot.take() {
                reading.wire.finish(&mut out);
            }
            Ok::<_, std::io::Error>(out)
        })?;
        Ok(PyBytes::new(py, &octets))
    }

    /// All of it was read.
    #[getter]
    fn ended(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}
