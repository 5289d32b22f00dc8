//! Reads a message back that is not in memory. Called by the reader's thread for what is due, and at once for a person
//! who looks at the queue.

use std::sync::{Arc, Mutex};

use pymta_types::{SpoolId, UnixMs};

use crate::codec::{DecodeError, MessageHead, decode_envelope};
use crate::error::SpoolError;
use crate::format::Location;
use crate::index::{InHand, StatusRef};
use crate::lock::lock;
use crate::log::Item;
use crate::message::{Body, Extent, ExtentBody, StoredMessage};
use crate::record::{Record, read_record};
use crate::settings::LOAD_RETRY_MS;
use crate::shared::{Core, Shared};
use crate::status::{StatusRecord, Statuses};
use crate::storage::SegmentFile;

/// Where everything of a message is, and the files, held so that they stay what they are.
struct Whereabouts {
    at: Location,
    octets: u32,
    chain: Vec<StatusRef>,
    file: Arc<dyn SegmentFile>,
    chain_files: Vec<Arc<dyn SegmentFile>>,
}

const LOST: SpoolError = SpoolError::Damaged("its segment is gone");
const MALFORMED: SpoolError = SpoolError::Damaged("a record is malformed");

impl From<DecodeError> for SpoolError {
    fn from(_: DecodeError) -> Self {
        MALFORMED
    }
}

fn whereabouts(core: &Core, id: u64) -> Result<Option<Whereabouts>, SpoolError> {
    let Some(slot) = core.index.find(id) else {
        return Ok(None);
    };
    let entry = core.index.get(slot);
    let file = |number: u32| core.segments.file(number).ok_or(LOST);
    let chain = core.index.chain(slot);
    Ok(Some(Whereabouts {
        at: entry.at,
        octets: entry.octets,
        file: file(entry.at.segment)?,
        chain_files: chain
            .iter()
            .map(|s| file(s.at.segment))
            .collect::<Result<_, _>>()?,
        chain,
    }))
}

/// Reads a message with its statuses; None where it is not in the spool (any more).
pub(crate) fn load(shared: &Shared, id: u64) -> Result<Option<Arc<StoredMessage>>, SpoolError> {
    let Some(places) = whereabouts(&lock(&shared.core), id)? else {
        return Ok(None);
    };
    let record = read_record(&*places.file, shared.salt, places.at, places.octets)?;
    let message = decode_message(shared, record)?;
    let statuses = read_statuses(shared, &places, message.envelope.recipients.len())?;
    *lock(&message.statuses) = statuses;
    Ok(Some(Arc::new(message)))
}

fn read_statuses(
    shared: &Shared,
    places: &Whereabouts,
    recipient_count: usize,
) -> Result<Statuses, SpoolError> {
    let mut statuses = Statuses::new(recipient_count);
    for (status, file) in places.chain.iter().zip(&places.chain_files) {
        let record = read_record(&**file, shared.salt, status.at, status.octets)?;
        statuses.apply(&StatusRecord::decode(record.head())?)?;
    }
    Ok(statuses)
}

fn decode_message(shared: &Shared, record: Record) -> Result<StoredMessage, SpoolError> {
    let head = MessageHead::decode(record.head())?;
    let envelope = decode_envelope(head.envelope)?;
    let extents = if head.extents.is_empty() {
        None
    } else {
        let core = lock(&shared.core);
        let extent = |reference: &crate::codec::ExtentRef| {
            Ok(Extent {
                file: core.segments.file(reference.at.segment).ok_or(LOST)?,
                salt: shared.salt,
                reference: *reference,
            })
        };
        Some(
            head.extents
                .iter()
                .map(extent)
                .collect::<Result<Vec<_>, SpoolError>>()?,
        )
    };
    Ok(StoredMessage {
        id: SpoolId(head.id),
        statuses: Mutex::new(Statuses::new(envelope.recipients.len())),
        unwritten: 0.into(),
        envelope: Arc::new(envelope),
        annotations: head.annotations.to_vec(),
        header_section: head.header_section.to_vec(),
        spooled_at: UnixMs(head.spooled_at_ms),
        body: match extents {
            Some(extents) => Body::Extents(ExtentBody::new(extents)),
            None => Body::Inline(record.into_tail()),
        },
    })
}

/// What a status record that replaces all of a message's records has to say: the merge of `chain`.
#[allow(clippy::type_complexity)] // the two halves of an Item::MoveStatus
pub(crate) fn merged_status(
    shared: &Shared,
    id: u64,
) -> Result<Option<(Vec<StatusRef>, Vec<u8>)>, SpoolError> {
    let Some(places) = whereabouts(&lock(&shared.core), id)? else {
        return Ok(None);
    };
    let (Some(last), Some(file)) = (places.chain.last(), places.chain_files.last()) else {
        return Ok(None);
    };
    let record = read_record(&**file, shared.salt, last.at, last.octets)?;
    let status = StatusRecord::decode(record.head())?;
    if places.chain.len() == 1 && status.is_snapshot {
        return Ok(Some((places.chain, record.head().to_vec())));
    }
    let message = read_record(&*places.file, shared.salt, places.at, places.octets)?;
    let recipient_count = MessageHead::decode(message.head())?.recipient_count as usize;
    let statuses = read_statuses(shared, &places, recipient_count)?;
    let payload = crate::status::encode_snapshot(&status.head(), &statuses);
    Ok(Some((places.chain, payload)))
}

/// Gets a message that was taken and is not in memory. One that moved while it was read is read again; one that
/// cannot be read is tried again later, or set aside if it is damaged.
pub(crate) fn fetch(shared: &Shared, id: u64) {
    match fetched(shared, id) {
        Some(message) => shared.deliver_loaded(message),
        None => shared.gave_up_loading(),
    }
}

fn fetched(shared: &Shared, id: u64) -> Option<Arc<StoredMessage>> {
    for _ in 0..FETCHES_MAX {
        let place = |core: &Core| {
            let slot = core.index.find(id)?;
            Some((slot, core.index.get(slot).at, core.index.chain(slot)))
        };
        let (_, at, chain) = place(&lock(&shared.core))?;
        let loaded = load(shared, id);
        let mut core = lock(&shared.core);
        let (slot, at_now, chain_now) = place(&core)?;
        if at != at_now || chain != chain_now {
            continue;
        }
        match loaded {
            Ok(Some(message)) => {
                core.index.in_hand.insert(slot, InHand::Loaded(message.clone()));
                return Some(message);
            }
            Ok(None) => return None,
            Err(error @ SpoolError::Damaged(_)) => {
                drop(core);
                set_aside(shared, id, &error);
                return None;
            }
            Err(error) => {
                core.put_back(slot);
                drop(core);
                shared.trouble(format!(
                    "message {}: cannot be read, trying again later: {error}",
                    SpoolId(id)
                ));
                return None;
            }
        }
    }
    put_back(shared, id);
    shared.trouble(format!(
        "message {}: moved whenever it was read, trying again later",
        SpoolId(id)
    ));
    None
}

/// A message moves at most once in a sweep, and sweeps take longer than reading a message.
const FETCHES_MAX: usize = 5;

/// Takes a damaged message out of the queue and keeps what is left of it for a person.
pub(crate) fn set_aside(shared: &Shared, id: u64, error: &SpoolError) {
    let name = SpoolId(id);
    let (file, at, octets, extents) = {
        let core = lock(&shared.core);
        let Some(slot) = core.index.find(id) else {
            return;
        };
        let entry = core.index.get(slot);
        let extents: Vec<_> = core
            .index
            .extents
            .get(&slot)
            .into_iter()
            .flatten()
            .copied()
            .collect();
        (
            core.segments.file(entry.at.segment),
            entry.at,
            entry.octets,
            extents,
        )
    };
    let mut octets = vec![0; octets as usize];
    let read = file
        .and_then(|f| f.read_at(u64::from(at.offset), &mut octets).ok())
        .unwrap_or(0);
    let mut kept = shared
        .storage
        .set_aside(&format!("{name}.record"), &octets[..read]);
    for (number, extent) in extents.into_iter().enumerate() {
        let file = lock(&shared.core).segments.file(extent.at.segment);
        let mut octets = vec![0; crate::apply::chunk_span(&extent) as usize];
        let read = file
            .and_then(|f| f.read_at(u64::from(extent.at.offset), &mut octets).ok())
            .unwrap_or(0);
        kept = kept.and(
            shared
                .storage
                .set_aside(&format!("{name}.chunk-{number:05}"), &octets[..read]),
        );
    }
    if let Err(cause) = kept {
        // Not taken out: better a message that is tried again and again than one that is nowhere.
        put_back(shared, id);
        return shared.trouble(format!(
            "message {name}: {error}, and it cannot be set aside: {cause}"
        ));
    }
    shared.trouble(format!(
        "message {name}: {error}; what is left of it is in the folder corrupt"
    ));
    let mut core = lock(&shared.core);
    core.corrupt_count += 1;
    if let Some(slot) = core.index.find(id) {
        let ended = core.forget(slot);
        shared.push(Item::Done(ended), 0);
    }
}

/// A message that was taken cannot be had now: whoever asked is told by the trouble that is noted next, whose waker
/// makes the queue ask again when the message is due.
fn put_back(shared: &Shared, id: u64) {
    let mut core = lock(&shared.core);
    if let Some(slot) = core.index.find(id) {
        core.put_back(slot);
    }
}

impl Core {
    /// See the function of the same name.
    fn put_back(&mut self, slot: u32) {
        if self.index.get(slot).state != crate::index::State::Active {
            return;
        }
        self.index.in_hand.remove(&slot);
        self.schedule.note_active(&self.index, slot, false);
        let entry = self.index.get_mut(slot);
        entry.due_ms = entry.due_ms.saturating_add(LOAD_RETRY_MS);
        let state = entry.waiting_state();
        self.set_state(slot, state);
        if state != crate::index::State::Hold {
            self.schedule.add(&mut self.index, slot);
        }
    }
}
