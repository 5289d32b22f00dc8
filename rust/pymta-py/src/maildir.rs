//! `pymta_maildir` as Python sees it: a delivery takes the spool's handle of a message, so that no content becomes a
//! Python object; answers come in batches behind one eventfd.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use pymta_maildir::{
    Content, Delivery, Flags, FolderName, Host, LineEndings, MailboxPath, MaildirError, Quota, Store,
};
use pymta_spool::StoredMessage;
use pymta_types::{BodyType, UnixMs};
use pyo3::exceptions::PyIndexError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use rustix::event::{EventfdFlags, eventfd};

use crate::errors::OrPyErr;
use crate::maildrop::PyMaildrop;
use crate::spool::PyQueuedMessage;

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyMaildirStore>()
}

/// A stored message as a delivery reads it.
struct StoredContent(Arc<StoredMessage>);

impl Content for StoredContent {
    fn read_at(&self, offset: u64, out: &mut Vec<u8>, octets_max: usize) -> io::Result<usize> {
        self.0.read_at(offset, out, octets_max)
    }
}

/// A line of `entries`: name of the file, flags, whether it is in `new`, octets.
type Row = (String, String, bool, u64);

#[pyclass(frozen, name = "MaildirStore", module = "pymta._core")]
pub(crate) struct PyMaildirStore {
    store: Store,
    wake: Arc<OwnedFd>,
}

fn mailbox_of(path: &str) -> PyResult<MailboxPath> {
    MailboxPath::new(path.split('/')).or_py_err()
}

fn folder_of(name: Option<&str>) -> PyResult<Option<FolderName>> {
    name.map(FolderName::new).transpose().or_py_err()
}

#[pymethods]
impl PyMaildirStore {
    #[new]
    #[pyo3(signature = (folder, *, hostname, process))]
    fn new(py: Python<'_>, folder: &str, hostname: &str, process: u32) -> PyResult<Self> {
        let wake =
            Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(io::Error::from)?);
        let bell = Arc::clone(&wake);
        let ring = Box::new(move || {
            // It can fail only when the counter is full, and then the loop is awake already.
            let _ = rustix::io::write(&*bell, &1u64.to_ne_bytes());
        });
        let host = Host::new(hostname, process);
        let store = py
            .detach(|| Store::open(Path::new(folder), host, ring))
            .or_py_err()?;
        Ok(Self { store, wake })
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

    #[pyo3(signature = (
        message, recipient, mailbox, *, now_ms, folder=None, makes_folder=false, flags="", quota_octets=None,
        quota_messages=None
    ))]
    #[allow(clippy::too_many_arguments)] // keyword-only in Python, where they are one delivery
    fn deliver(
        &self,
        message: &PyQueuedMessage,
        recipient: usize,
        mailbox: &str,
        now_ms: u64,
        folder: Option<&str>,
        makes_folder: bool,
        flags: &str,
        quota_octets: Option<u64>,
        quota_messages: Option<u64>,
    ) -> PyResult<u64> {
        let envelope = &message.message.envelope;
        let forward_path = &envelope
            .recipients
            .get(recipient)
            .ok_or_else(|| PyIndexError::new_err("the envelope has no such recipient"))?
            .forward_path;
        let mut fields = pymta_mime::reverse_path_field(envelope.reverse_path.as_ref());
        fields.push_str(&pymta_mime::delivered_to(forward_path));
        let delivery = Delivery {
            mailbox: mailbox_of(mailbox)?,
            folder: folder_of(folder)?,
            makes_folder,
            fields: fields.into_bytes(),
            content: Arc::new(StoredContent(Arc::clone(&message.message))),
            quota: Quota {
                octets: quota_octets,
                messages: quota_messages,
            },
            flags: Flags::parse(flags),
            line_endings: match envelope.body {
                BodyType::BinaryMime => LineEndings::AsTheyAre,
                _ => LineEndings::Lf,
            },
        };
        Ok(self.store.deliver(delivery, UnixMs(now_ms)))
    }

    fn completions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let ended = self.store.completions().into_iter().map(|(token, outcome)| {
            let (word, text) = match outcome {
                Ok(delivered) => (intern!(py, "delivered"), delivered.file_name),
                Err(error @ MaildirError::OverQuota { .. }) => (intern!(py, "over_quota"), error.to_string()),
                Err(error) => (intern!(py, "failed"), error.to_string()),
            };
            let text = PyString::new(py, &text);
            PyTuple::new(
                py,
                [
                    token.into_pyobject(py)?.into_any(),
                    word.clone().into_any(),
                    text.into_any(),
                ],
            )
        });
        PyList::new(py, ended.collect::<PyResult<Vec<_>>>()?)
    }

    #[pyo3(signature = (mailbox, folder=None))]
    fn entries(&self, py: Python<'_>, mailbox: &str, folder: Option<&str>) -> PyResult<Vec<Row>> {
        let (mailbox, folder) = (mailbox_of(mailbox)?, folder_of(folder)?);
        let entries = py
            .detach(|| self.store.entries(&mailbox, folder.as_ref()))
            .or_py_err()?;
        Ok(entries
            .into_iter()
            .map(|entry| {
                let flags = entry.name.flags.to_string();
                (entry.file_name, flags, entry.is_new, entry.file_octets)
            })
            .collect())
    }

    #[pyo3(signature = (mailbox, *, now_ms, delay_s=0))]
    fn open_maildrop<'py>(
        &self,
        py: Python<'py>,
        mailbox: &str,
        now_ms: u64,
        delay_s: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mailbox = mailbox_of(mailbox)?;
        match py.detach(|| self.store.open_maildrop(&mailbox, UnixMs(now_ms), delay_s)) {
            Ok(maildrop) => Ok(Bound::new(py, PyMaildrop::of(maildrop))?.into_any()),
            Err(MaildirError::InUse) => Ok(intern!(py, "in_use").clone().into_any()),
            Err(MaildirError::TooSoon) => Ok(intern!(py, "too_soon").clone().into_any()),
            Err(error) => Err(error).or_py_err(),
        }
    }

    fn usage(&self, py: Python<'_>, mailbox: &str) -> PyResult<(u64, u64)> {
        let mailbox = mailbox_of(mailbox)?;
        let usage = py.detach(|| self.store.usage(&mailbox)).or_py_err()?;
        Ok((usage.octets, usage.messages))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.store.close());
    }
}
