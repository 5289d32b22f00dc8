//! `pymta_mailbox::Upkeep` as the command line sees it.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use pymta_mailbox::mbox::Escaping;
use pymta_mailbox::{Host, MailboxPath, MailboxReport, Upkeep};
use pymta_types::UnixMs;
use pyo3::prelude::*;

use crate::errors::OrPyErr;

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyMailboxUpkeep>()?;
    m.add_class::<PyUpkeepProgress>()?;
    m.add_class::<PyMailboxReport>()
}

#[pyclass(frozen, name = "MailboxUpkeep", module = "pymta._core")]
pub(crate) struct PyMailboxUpkeep(Upkeep);

#[pymethods]
impl PyMailboxUpkeep {
    #[new]
    #[pyo3(signature = (folder, mailbox, *, hostname, process, now_ms, to_check=false))]
    fn new(
        py: Python<'_>,
        folder: PathBuf,
        mailbox: &str,
        hostname: &str,
        process: u32,
        now_ms: u64,
        to_check: bool,
    ) -> PyResult<Self> {
        let path = MailboxPath::new(mailbox.split('/')).or_py_err()?;
        let host = Host::new(hostname, process);
        let open = if to_check {
            Upkeep::open_to_check
        } else {
            Upkeep::open
        };
        let opened = py.detach(|| open(&folder, &path, host, UnixMs(now_ms)));
        Ok(Self(opened.or_py_err()?))
    }

    #[getter]
    fn trouble(&self) -> Option<&str> {
        self.0.trouble()
    }

    #[getter]
    fn progress(&self) -> PyUpkeepProgress {
        let progress = self.0.progress();
        PyUpkeepProgress {
            mailboxes: progress.mailboxes.load(Ordering::Relaxed),
            messages: progress.messages.load(Ordering::Relaxed),
            records: progress.records.load(Ordering::Relaxed),
            uids_kept: progress.uids_kept.load(Ordering::Relaxed),
            known: progress.known.load(Ordering::Relaxed),
            octets: progress.octets.load(Ordering::Relaxed),
            octets_total: progress.octets_total.load(Ordering::Relaxed),
        }
    }

    fn stop(&self) {
        self.0.progress().is_to_stop.store(true, Ordering::Relaxed);
    }

    #[pyo3(signature = (path, mailbox=None, *, mboxo=false, now_ms))]
    fn take_in_mbox(
        &self,
        py: Python<'_>,
        path: PathBuf,
        mailbox: Option<&str>,
        mboxo: bool,
        now_ms: u64,
    ) -> PyResult<Vec<PathBuf>> {
        let escaping = if mboxo { Escaping::Mboxo } else { Escaping::Mboxrd };
        py.detach(|| self.0.import_mbox(&path, mailbox, escaping, UnixMs(now_ms)))
            .or_py_err()
    }

    #[pyo3(signature = (path, mailbox=None, *, now_ms))]
    fn export_mbox(&self, py: Python<'_>, path: PathBuf, mailbox: Option<&str>, now_ms: u64) -> PyResult<()> {
        py.detach(|| self.0.export_mbox(&path, mailbox, UnixMs(now_ms)))
            .or_py_err()
    }

    fn take_in(&self, py: Python<'_>, now_ms: u64) -> PyResult<()> {
        py.detach(|| self.0.import(UnixMs(now_ms))).or_py_err()
    }

    fn read_texts(&self, py: Python<'_>, now_ms: u64) -> PyResult<()> {
        py.detach(|| self.0.read_texts(UnixMs(now_ms))).or_py_err()
    }

    fn export(&self, py: Python<'_>, now_ms: u64) -> PyResult<()> {
        py.detach(|| self.0.export(UnixMs(now_ms))).or_py_err()
    }

    fn check(
        &self,
        py: Python<'_>,
        now_ms: u64,
    ) -> PyResult<(Vec<String>, Vec<String>, Vec<PyMailboxReport>)> {
        let report = py.detach(|| self.0.check(UnixMs(now_ms))).or_py_err()?;
        let mailboxes = report.mailboxes.into_iter().map(PyMailboxReport);
        Ok((report.damage, report.foreign_folders, mailboxes.collect()))
    }

    fn repair(&self, py: Python<'_>, now_ms: u64) -> PyResult<()> {
        py.detach(|| self.0.repair(UnixMs(now_ms))).or_py_err()
    }
}

#[pyclass(frozen, get_all, name = "UpkeepProgress", module = "pymta._core")]
pub(crate) struct PyUpkeepProgress {
    mailboxes: u64,
    messages: u64,
    records: u64,
    uids_kept: u64,
    known: u64,
    octets: u64,
    octets_total: u64,
}

#[pyclass(frozen, name = "MailboxReport", module = "pymta._core")]
pub(crate) struct PyMailboxReport(MailboxReport);

#[pymethods]
impl PyMailboxReport {
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    #[getter]
    fn messages(&self) -> u64 {
        self.0.messages
    }

    #[getter]
    fn missing_files(&self) -> u64 {
        self.0.missing_files
    }

    #[getter]
    fn unknown_files(&self) -> u64 {
        self.0.unknown_files
    }

    #[getter]
    fn other_flags(&self) -> u64 {
        self.0.other_flags
    }

    #[getter]
    fn without_records(&self) -> u64 {
        self.0.without_records
    }
}
