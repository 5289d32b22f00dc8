//! `pymta_mailbox` as Python sees it: accounts, a view for each session, uploads. Every method that may wait for the disk
//! lets go of the interpreter; a lock for each view, so that two calls at a time are one after the other.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pymta_mailbox::{Accounts, Host, MailboxPath, Owner, Quota, Reader, Upload, View};
use pymta_types::UnixMs;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::OrPyErr;
use crate::imap::{PyImapAppendEvent, PyImapCommand, PyImapMessageEvent, PyImapOctets, PyImapUrlEvent};

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyImapAccounts>()?;
    m.add_class::<PyImapView>()?;
    m.add_class::<PyImapUpload>()
}

/// A panic below ends one session (its view is broken), so what the lock guards is taken as it is.
fn locked<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[pyclass(frozen, name = "ImapAccounts", module = "pymta._core")]
pub(crate) struct PyImapAccounts(Accounts);

#[pymethods]
impl PyImapAccounts {
    #[new]
    #[pyo3(signature = (folder, *, hostname, process, full_text=false))]
    fn new(folder: PathBuf, hostname: &str, process: u32, full_text: bool) -> Self {
        let host = Host::new(hostname, process);
        Self(if full_text {
            Accounts::with_full_text(&folder, host)
        } else {
            Accounts::new(&folder, host)
        })
    }

    #[getter]
    fn has_chores(&self) -> bool {
        self.0.has_chores()
    }

    fn do_chore(&self, py: Python<'_>, now_ms: u64) -> PyResult<()> {
        py.detach(|| self.0.do_chore(UnixMs(now_ms))).or_py_err()
    }

    #[pyo3(signature = (
        mailbox, account, now_ms, *, quota_octets=None, quota_messages=None, append_octets_max=None, shares=false,
        shares_with_anyone=false
    ))]
    #[allow(clippy::too_many_arguments)] // keywords of one value, as in the stub
    fn open(
        &self,
        py: Python<'_>,
        mailbox: &str,
        account: String,
        now_ms: u64,
        quota_octets: Option<u64>,
        quota_messages: Option<u64>,
        append_octets_max: Option<u64>,
        shares: bool,
        shares_with_anyone: bool,
    ) -> PyResult<PyImapView> {
        let path = MailboxPath::new(mailbox.split('/')).or_py_err()?;
        let quota = Quota {
            octets: quota_octets,
            messages: quota_messages,
        };
        let reader = Reader {
            account,
            quota,
            append_octets_max,
            shares,
            shares_with_anyone,
        };
        let view = py
            .detach(|| self.0.open(&path, reader, UnixMs(now_ms)))
            .or_py_err()?;
        Ok(PyImapView(Arc::new(Mutex::new(Some(view)))))
    }
}

/// None once it was closed.
type Slot = Arc<Mutex<Option<View>>>;

#[pyclass(frozen, name = "ImapView", module = "pymta._core")]
pub(crate) struct PyImapView(Slot);

impl PyImapView {
    /// Octets of a call, made without the interpreter.
    fn said<'py>(
        &self,
        py: Python<'py>,
        call: impl FnOnce(&mut View) -> Vec<u8> + Send,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let octets = py.detach(|| {
            let mut slot = locked(&self.0);
            let Some(view) = slot.as_mut() else {
                return Ok(Vec::new());
            };
            let octets = call(view);
            view.take_cut_off().map_or(Ok(octets), Err)
        })?;
        Ok(PyBytes::new(py, &octets))
    }
}

#[pymethods]
impl PyImapView {
    fn run<'py>(
        &self,
        py: Python<'py>,
        command: &Bound<'py, PyImapCommand>,
        now_ms: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let asked = command.get().0.clone();
        self.said(py, |view| view.run(asked, UnixMs(now_ms)))
    }

    fn go_on<'py>(&self, py: Python<'py>, now_ms: u64) -> PyResult<Bound<'py, PyBytes>> {
        self.said(py, |view| view.go_on(UnixMs(now_ms)))
    }

    #[getter]
    fn running(&self, py: Python<'_>) -> bool {
        py.detach(|| locked(&self.0).as_ref().is_some_and(View::is_running))
    }

    #[pyo3(signature = (now_ms, *, idling))]
    fn poll<'py>(&self, py: Python<'py>, now_ms: u64, idling: bool) -> PyResult<Bound<'py, PyBytes>> {
        self.said(py, |view| view.poll(idling, UnixMs(now_ms)))
    }

    #[getter]
    fn notifying(&self, py: Python<'_>) -> bool {
        py.detach(|| locked(&self.0).as_ref().is_some_and(View::is_notifying))
    }

    #[getter]
    fn selected(&self, py: Python<'_>) -> bool {
        py.detach(|| locked(&self.0).as_ref().is_some_and(View::is_selected))
    }

    #[getter]
    fn gone(&self, py: Python<'_>) -> bool {
        py.detach(|| locked(&self.0).as_ref().is_some_and(View::is_gone))
    }

    #[getter]
    fn watched(&self, py: Python<'_>) -> Vec<OsString> {
        // As `str`: of a thousand objects of pathlib's the loop would notice that they are made and compared.
        let watched = py.detach(|| locked(&self.0).as_ref().map(View::watched).unwrap_or_default());
        watched.into_iter().map(PathBuf::into_os_string).collect()
    }

    fn take_trouble(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| locked(&self.0).as_mut().and_then(View::take_trouble))
    }

    fn others(&self, py: Python<'_>, asked: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
        let names = |call: &(dyn Fn(&View) -> Vec<String> + Sync)| {
            py.detach(|| locked(&self.0).as_ref().map(call).unwrap_or_default())
        };
        if let Ok(event) = asked.cast::<PyImapAppendEvent>() {
            let mailbox = &event.get().asked.mailbox;
            return Ok(names(&|view| view.others_of_name(mailbox)));
        }
        if let Ok(event) = asked.cast::<PyImapUrlEvent>() {
            let url = &event.get().url;
            return Ok(names(&|view| view.others_of_url(url)));
        }
        let command = &asked.cast::<PyImapCommand>()?.get().0.tagged.command;
        Ok(names(&|view| view.others_of(command)))
    }

    #[pyo3(signature = (name, account, mailbox="", *, quota_octets=None, quota_messages=None))]
    fn introduce(
        &self,
        py: Python<'_>,
        name: String,
        account: Option<String>,
        mailbox: &str,
        quota_octets: Option<u64>,
        quota_messages: Option<u64>,
    ) -> PyResult<()> {
        let owner = match account {
            None => None,
            Some(account) => Some(Owner {
                account,
                path: MailboxPath::new(mailbox.split('/')).or_py_err()?,
                quota: Quota {
                    octets: quota_octets,
                    messages: quota_messages,
                },
            }),
        };
        py.detach(|| {
            if let Some(view) = locked(&self.0).as_mut() {
                view.introduce(name, owner);
            }
        });
        Ok(())
    }

    fn introduce_later(&self, py: Python<'_>, name: String) {
        py.detach(|| {
            if let Some(view) = locked(&self.0).as_mut() {
                view.introduce_later(name);
            }
        });
    }

    fn append(&self, py: Python<'_>, event: &Bound<'_, PyImapAppendEvent>, now_ms: u64) -> PyImapUpload {
        let event = event.get();
        let asked = event.asked.clone();
        let octets = event.octets_announced;
        let upload = py.detach(|| {
            let mut slot = locked(&self.0);
            slot.as_mut()
                .map(|view| view.begin_append(asked, octets, UnixMs(now_ms)))
        });
        PyImapUpload {
            upload: Mutex::new(upload),
            view: Arc::clone(&self.0),
        }
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(locked(&self.0).take()));
    }
}

#[pyclass(frozen, name = "ImapUpload", module = "pymta._core")]
pub(crate) struct PyImapUpload {
    /// None once it was committed or dropped.
    upload: Mutex<Option<Upload>>,
    view: Slot,
}

impl PyImapUpload {
    fn with(&self, py: Python<'_>, call: impl FnOnce(&mut Upload) + Send) {
        py.detach(|| locked(&self.upload).as_mut().map(call));
    }
}

#[pymethods]
impl PyImapUpload {
    #[getter]
    fn refusal(&self, py: Python<'_>) -> Option<(String, String)> {
        py.detach(|| {
            let upload = locked(&self.upload);
            let refusal = upload.as_ref().and_then(Upload::refusal)?;
            Some((refusal.text.to_owned(), refusal.code.clone().into_owned()))
        })
    }

    #[getter]
    fn trouble(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| {
            let upload = locked(&self.upload);
            upload.as_ref().and_then(Upload::trouble).map(str::to_owned)
        })
    }

    fn message(&self, py: Python<'_>, event: &Bound<'_, PyImapMessageEvent>) {
        let asked = event.get().0.clone();
        self.with(py, |upload| upload.message(asked));
    }

    fn write(&self, py: Python<'_>, octets: &Bound<'_, PyImapOctets>) {
        let octets = &octets.get().0;
        self.with(py, |upload| upload.write(octets));
    }

    fn url(&self, py: Python<'_>, url: &str) {
        py.detach(|| {
            let mut view = locked(&self.view);
            if let (Some(view), Some(upload)) = (view.as_mut(), locked(&self.upload).as_mut()) {
                upload.url(view, url);
            }
        });
    }

    fn commit<'py>(&self, py: Python<'py>, now_ms: u64) -> Bound<'py, PyBytes> {
        let octets = py.detach(|| {
            let mut view = locked(&self.view);
            let upload = locked(&self.upload).take();
            match (view.as_mut(), upload) {
                (Some(view), Some(upload)) => view.end_append(upload, UnixMs(now_ms)),
                _ => Vec::new(),
            }
        });
        PyBytes::new(py, &octets)
    }

    fn abort(&self, py: Python<'_>) {
        py.detach(|| drop(locked(&self.upload).take()));
    }
}
