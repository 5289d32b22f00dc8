//! The seam: the only crate that knows Python. It wraps the other crates' values in classes and their errors in
//! exceptions (errors.rs, one table), and decides nothing.
//!
//! Rule: no call from here into Python code, no Python object kept by a crate below, no clock, no socket. What Python
//! sees is written down in `python/pymta/_core.pyi`, which stubtest holds against this module.

use pyo3::prelude::*;

mod client;
mod errors;
mod imap;
mod imap_session;
mod incoming;
mod mailbox;
mod maildir;
mod maildrop;
mod pop3;
mod server;
mod spool;
mod types;
mod upkeep;
mod watch;

/// The module `pymta._core`.
#[pymodule]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    errors::register(m)?;
    types::register(m)?;
    client::register(m)?;
    server::register(m)?;
    spool::register(m)?;
    incoming::register(m)?;
    mailbox::register(m)?;
    upkeep::register(m)?;
    maildir::register(m)?;
    maildrop::register(m)?;
    pop3::register(m)?;
    imap::register(m)?;
    watch::register(m)?;
    imap_session::register(m)?;
    Ok(())
}
