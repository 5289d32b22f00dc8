//! The nouns of pymta-types as Python classes. All are frozen: a change makes a new value.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use pymta_types::{Address, BodyType, Envelope, Notify, OriginalRecipient, Recipient, Reply, Ret};
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::errors::OrPyErr;

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyAddress>()?;
    m.add_class::<PyReply>()?;
    m.add_class::<PyRecipient>()?;
    m.add_class::<PyEnvelope>()
}

#[pyclass(frozen, eq, skip_from_py_object, name = "Address", module = "pymta._core")]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PyAddress(pub(crate) Address);

#[pymethods]
impl PyAddress {
    #[new]
    fn new(text: &str) -> PyResult<Self> {
        Address::parse(text.as_bytes()).map(Self).or_py_err()
    }

    #[getter]
    fn local_part(&self) -> &str {
        self.0.local_part()
    }

    #[getter]
    fn domain(&self) -> &str {
        self.0.domain()
    }

    #[getter]
    fn canonical(&self) -> String {
        self.0.canonical()
    }

    #[getter]
    fn canonical_domain(&self) -> String {
        self.0.domain().to_lowercase()
    }

    #[getter]
    fn is_literal(&self) -> bool {
        self.0.is_literal()
    }

    #[getter]
    fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }

    fn __str__(&self) -> &str {
        self.0.as_str()
    }

    fn __repr__(&self) -> String {
        format!("Address({:?})", self.0.as_str())
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }
}

#[pyclass(frozen, eq, skip_from_py_object, name = "Reply", module = "pymta._core")]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PyReply(pub(crate) Reply);

#[pymethods]
impl PyReply {
    #[new]
    fn new(code: u16, enhanced: Option<&str>, text: &str) -> PyResult<Self> {
        let enhanced = enhanced.map(str::parse).transpose().or_py_err()?;
        Reply::new(code, enhanced, text).map(Self).or_py_err()
    }

    #[getter]
    fn code(&self) -> u16 {
        self.0.code()
    }

    #[getter]
    fn enhanced(&self) -> Option<String> {
        self.0.enhanced().map(|e| e.to_string())
    }

    #[getter]
    fn text(&self) -> &str {
        self.0.text()
    }

    #[getter]
    fn is_positive(&self) -> bool {
        self.0.is_positive()
    }

    #[getter]
    fn is_temporary(&self) -> bool {
        self.0.is_temporary()
    }

    #[getter]
    fn is_permanent(&self) -> bool {
        self.0.is_permanent()
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("Reply({:?})", self.0.to_string())
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.to_string().hash(&mut hasher);
        hasher.finish()
    }
}

#[pyclass(frozen, eq, skip_from_py_object, name = "Recipient", module = "pymta._core")]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PyRecipient(pub(crate) Recipient);

#[pymethods]
impl PyRecipient {
    #[new]
    #[pyo3(signature = (forward_path, *, notify=None, original=None))]
    fn new(forward_path: &Bound<'_, PyAny>, notify: Option<&str>, original: Option<&str>) -> PyResult<Self> {
        Ok(Self(Recipient {
            forward_path: address_of(forward_path)?,
            notify: notify.map(notify_of).transpose()?,
            original: original.map(original_of).transpose()?,
        }))
    }

    #[getter]
    fn forward_path(&self) -> PyAddress {
        PyAddress(self.0.forward_path.clone())
    }

    #[getter]
    fn notify(&self) -> Option<String> {
        Some(match self.0.notify? {
            Notify::Never => "NEVER".to_owned(),
            Notify::On {
                success,
                failure,
                delay,
            } => {
                let wanted = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
                wanted
                    .iter()
                    .filter(|(on, _)| *on)
                    .map(|(_, word)| *word)
                    .collect::<Vec<_>>()
                    .join(",")
            }
        })
    }

    #[getter]
    fn original(&self) -> Option<String> {
        self.0
            .original
            .as_ref()
            .map(|o| format!("{};{}", o.address_type, o.address))
    }

    #[getter]
    fn wants_failure(&self) -> bool {
        self.0.wants_failure()
    }

    #[getter]
    fn wants_delay(&self) -> bool {
        self.0.wants_delay()
    }

    #[getter]
    fn wants_success(&self) -> bool {
        self.0.wants_success()
    }

    fn __repr__(&self) -> String {
        format!("Recipient({:?})", self.0.forward_path.as_str())
    }
}

/// Shared, because the spool, the session and Python look at the same envelope and none of them changes it.
#[pyclass(frozen, eq, skip_from_py_object, name = "Envelope", module = "pymta._core")]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PyEnvelope(pub(crate) Arc<Envelope>);

#[pymethods]
impl PyEnvelope {
    #[new]
    #[pyo3(signature = (reverse_path, recipients, *, body="7BIT", smtputf8=false, ret=None, envid=None))]
    fn new(
        reverse_path: Option<&Bound<'_, PyAny>>,
        recipients: Vec<Bound<'_, PyAny>>,
        body: &str,
        smtputf8: bool,
        ret: Option<&str>,
        envid: Option<String>,
    ) -> PyResult<Self> {
        Ok(Self(Arc::new(Envelope {
            reverse_path: reverse_path.map(address_of).transpose()?,
            recipients: recipients.iter().map(recipient_of).collect::<PyResult<_>>()?,
            body: body_of(body)?,
            smtputf8,
            ret: ret.map(ret_of).transpose()?,
            envid,
        })))
    }

    #[getter]
    fn reverse_path(&self) -> Option<PyAddress> {
        self.0.reverse_path.clone().map(PyAddress)
    }

    /// For a log line, without an Address in between.
    #[getter]
    fn reverse_path_text(&self) -> &str {
        self.0.reverse_path.as_ref().map_or("", |a| a.as_str())
    }

    fn forward_path_text(&self, index: usize) -> PyResult<&str> {
        let found = self.0.recipients.get(index).map(|r| r.forward_path.as_str());
        found.ok_or_else(|| PyIndexError::new_err("the envelope has no such recipient"))
    }

    #[getter]
    fn recipients(&self) -> Vec<PyRecipient> {
        self.0.recipients.iter().cloned().map(PyRecipient).collect()
    }

    #[getter]
    fn recipient_count(&self) -> usize {
        self.0.recipients.len()
    }

    #[getter]
    fn body(&self) -> &'static str {
        body_word(self.0.body)
    }

    #[getter]
    fn smtputf8(&self) -> bool {
        self.0.smtputf8
    }

    #[getter]
    fn needs_smtputf8(&self) -> bool {
        self.0.needs_smtputf8()
    }

    #[getter]
    fn ret(&self) -> Option<&'static str> {
        self.0.ret.map(|ret| match ret {
            Ret::Full => "FULL",
            Ret::Headers => "HDRS",
        })
    }

    #[getter]
    fn envid(&self) -> Option<&str> {
        self.0.envid.as_deref()
    }

    #[getter]
    fn wants_success(&self) -> bool {
        self.0.wants_success()
    }

    fn without_success(&self) -> Self {
        Self(Arc::new((*self.0).clone().without_success()))
    }

    fn recipient(&self, index: usize) -> PyResult<PyRecipient> {
        let found = self.0.recipients.get(index).cloned();
        found
            .map(PyRecipient)
            .ok_or_else(|| PyIndexError::new_err("the envelope has no such recipient"))
    }

    fn with_recipients(&self, recipients: Vec<Bound<'_, PyAny>>) -> PyResult<Self> {
        let recipients = recipients.iter().map(recipient_of).collect::<PyResult<_>>()?;
        Ok(Self(Arc::new(Envelope {
            recipients,
            ..(*self.0).clone()
        })))
    }

    #[pyo3(signature = (reverse_path))]
    fn with_reverse_path(&self, reverse_path: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let reverse_path = reverse_path.map(address_of).transpose()?;
        Ok(Self(Arc::new(Envelope {
            reverse_path,
            ..(*self.0).clone()
        })))
    }

    fn __repr__(&self) -> String {
        let reverse_path = self.0.reverse_path.as_ref().map_or("", |a| a.as_str());
        format!(
            "Envelope(<{reverse_path}>, {} recipients)",
            self.0.recipients.len()
        )
    }
}

/// BODY= as the wire has it (RFC 6152 §2, RFC 3030 §3).
pub(crate) fn body_word(body: BodyType) -> &'static str {
    match body {
        BodyType::SevenBit => "7BIT",
        BodyType::EightBitMime => "8BITMIME",
        BodyType::BinaryMime => "BINARYMIME",
    }
}

fn address_of(value: &Bound<'_, PyAny>) -> PyResult<Address> {
    if let Ok(address) = value.cast::<PyAddress>() {
        return Ok(address.get().0.clone());
    }
    match value.cast::<PyString>() {
        Ok(text) => Address::parse(text.to_string_lossy().as_bytes()).or_py_err(),
        Err(_) => Err(PyTypeError::new_err("an Address or a str is needed")),
    }
}

fn recipient_of(value: &Bound<'_, PyAny>) -> PyResult<Recipient> {
    match value.cast::<PyRecipient>() {
        Ok(recipient) => Ok(recipient.get().0.clone()),
        Err(_) => address_of(value).map(Recipient::new),
    }
}

fn body_of(word: &str) -> PyResult<BodyType> {
    match word {
        "7BIT" => Ok(BodyType::SevenBit),
        "8BITMIME" => Ok(BodyType::EightBitMime),
        "BINARYMIME" => Ok(BodyType::BinaryMime),
        _ => Err(PyValueError::new_err("body is 7BIT, 8BITMIME or BINARYMIME")),
    }
}

fn ret_of(word: &str) -> PyResult<Ret> {
    match word {
        "FULL" => Ok(Ret::Full),
        "HDRS" => Ok(Ret::Headers),
        _ => Err(PyValueError::new_err("ret is FULL or HDRS")),
    }
}

fn notify_of(text: &str) -> PyResult<Notify> {
    if text == "NEVER" {
        return Ok(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for word in text.split(',') {
        match word {
            "SUCCESS" => success = true,
            "FAILURE" => failure = true,
            "DELAY" => delay = true,
            _ => {
                return Err(PyValueError::new_err(
                    "notify is NEVER or a set of SUCCESS, FAILURE and DELAY",
                ));
            }
        }
    }
    Ok(Notify::On {
        success,
        failure,
        delay,
    })
}

fn original_of(text: &str) -> PyResult<OriginalRecipient> {
    let (address_type, address) = text
        .split_once(';')
        .ok_or_else(|| PyValueError::new_err("original looks like rfc822;user@example.org"))?;
    Ok(OriginalRecipient {
        address_type: address_type.to_owned(),
        address: address.to_owned(),
    })
}
