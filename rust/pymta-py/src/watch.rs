//! inotify as Python needs it: one descriptor for the loop, watches by number, and which of them saw something. What changed
//! is not said, because whoever is woken looks for himself.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use pyo3::prelude::*;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyWatches>()
}

/// Some hundred events; there are more when the loop comes by again.
const BUFFER_OCTETS: usize = 16 * 1024;

#[pyclass(frozen, name = "Watches", module = "pymta._core")]
pub(crate) struct PyWatches(OwnedFd);

#[pymethods]
impl PyWatches {
    #[new]
    fn new() -> PyResult<Self> {
        inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map(Self)
            .map_err(os_error)
    }

    #[getter]
    fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }

    fn add(&self, path: PathBuf) -> PyResult<i32> {
        // Names that come, go and are renamed in a folder; a file that is written; the end of either.
        let flags = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE
            | WatchFlags::MODIFY
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF;
        inotify::add_watch(&self.0, path, flags).map_err(os_error)
    }

    fn remove(&self, watch: i32) {
        // It may have gone by itself, with what it watched.
        let _ = inotify::remove_watch(&self.0, watch);
    }

    /// (seen, gone, whether some were lost); each number once.
    fn read(&self) -> PyResult<(Vec<i32>, Vec<i32>, bool)> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER_OCTETS];
        let mut reader = Reader::new(&self.0, &mut buffer);
        let (mut seen, mut gone) = (BTreeSet::new(), Vec::new());
        let mut overflowed = false;
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => overflowed = true,
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => gone.push(event.wd()),
                Ok(event) => {
                    seen.insert(event.wd());
                }
                Err(Errno::WOULDBLOCK) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(os_error(error)),
            }
            if reader.is_buffer_empty() {
                break;
            }
        }
        Ok((seen.into_iter().collect(), gone, overflowed))
    }
}

fn os_error(error: Errno) -> PyErr {
    std::io::Error::from(error).into()
}
