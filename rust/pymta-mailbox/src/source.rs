//! Where SEARCH, SORT and THREAD get from what they look at: the index and the files, asked for many messages at once.

use std::collections::HashMap;
use std::io;

use pymta_index::{Details, IndexError, TextFilter};

use crate::content::Octets;
use crate::record::Record;

/// So many messages are asked for at once.
pub(crate) const BATCH_MESSAGES: usize = 256;

/// A mailbox to look into.
pub trait Source {
    /// Details of those that are still there.
    ///
    /// # Errors
    /// As the index has them.
    fn details(&mut self, uids: &[u32]) -> Result<Vec<Details>, IndexError>;

    /// What was kept of these, in their order; None where nothing is kept.
    ///
    /// # Errors
    /// As the index has them.
    fn records(&mut self, uids: &[u32]) -> Result<Vec<Option<Vec<u8>>>, IndexError>;

    /// Keeps records that had to be made.
    ///
    /// # Errors
    /// As the index has them.
    fn keep(&mut self, records: Vec<(u32, Vec<u8>)>) -> Result<(), IndexError>;

    /// Opens a message's file; None where it is gone.
    ///
    /// # Errors
    /// As the index has them.
    fn open(&mut self, uid: u32) -> Result<Option<Box<dyn Octets>>, IndexError>;

    /// Which messages' contents cannot hold these texts, folded; None where nobody knows.
    fn text_filter(&mut self, texts: &[&str]) -> Option<TextFilter> {
        let _ = texts;
        None
    }
}

/// Why a search ended early.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A message cannot be read.
    #[error("a message cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Details by UID.
pub(crate) fn details(source: &mut dyn Source, uids: &[u32]) -> Result<HashMap<u32, Details>, SearchError> {
    let found = source.details(uids)?;
    Ok(found.into_iter().map(|details| (details.uid, details)).collect())
}

/// Records in the order of the UIDs, made where there was none; None where a message is gone.
pub(crate) fn records(source: &mut dyn Source, uids: &[u32]) -> Result<Vec<Option<Vec<u8>>>, SearchError> {
    let mut found = source.records(uids)?;
    found.resize(uids.len(), None);
    let mut made = Vec::new();
    for (uid, record) in uids.iter().zip(&mut found) {
        if record.as_deref().and_then(Record::decode).is_some() {
            continue;
        }
        let Some(file) = source.open(*uid)? else {
            *record = None;
            continue;
        };
        let encoded = Record::of_file(&*file)?.encode();
        made.push((*uid, encoded.clone()));
        *record = Some(encoded);
    }
    if !made.is_empty() {
        source.keep(made)?;
    }
    Ok(found)
}
