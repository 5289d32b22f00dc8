//! The log's space: where another segment comes from, how one begins and ends, and how an empty one is given back.
//! What is written into segments is the parent's affair.

use super::*;

/// Most segments that one step gives back.
const RELEASED_PER_STEP_MAX: usize = 2;

impl Log {
    /// New mail may take space only if enough is left for what becomes of the mail that is there: tombstones must be
    /// written before space can come back, so without a reserve a full disk would stay full.
    ///
    /// The reserve is a spare segment, or half of the current one.
    pub(super) fn secure_reserve(&self, shared: &Shared, span: u32) -> Result<(), SpoolError> {
        let octets = shared.settings.segment_octets;
        let spares_needed = match self.current.as_ref().map(|c| c.offset + span) {
            Some(end) if end <= octets / 2 => 0,
            Some(end) if end <= octets => 1,
            _ => 2,
        };
        while lock(&shared.spares).len() < spares_needed {
            let spare = if shared.has_room() {
                shared.make_spare()
            } else {
                Err(SpoolError::Full)
            };
            shared.add_spare(spare.inspect_err(|error| shared.set_health(Health::of(error)))?);
        }
        Ok(())
    }

    /// Begins another segment; the one before is durable.
    pub(super) fn roll(&mut self, shared: &Shared) -> Result<(), SpoolError> {
        if self.cuts.len() >= CUTS_MAX {
            shared.set_health(Health::Broken);
            let cause = std::io::Error::other("too many segments have failed");
            return Err(SpoolError::io("begin a segment", cause));
        }
        let taken = {
            let mut spares = lock(&shared.spares);
            (!spares.is_empty()).then(|| spares.remove(0))
        };
        let spare = taken
            .map_or_else(|| shared.make_spare(), Ok)
            .inspect_err(|error| {
                shared.set_health(Health::of(error));
            })?;
        // Only now: while there is no other segment, what still fits goes into this one.
        if let Some(before) = self.current.take() {
            self.seal(shared, before.number, before.synced_end);
        }
        let number = self.next_number;
        self.next_number += 1;
        let generation = spare.generation + 1;
        // Durable before the first record is written: a number that a crash makes us forget must not be in any record,
        // because it is used again then.
        self.write_header(shared, &spare, SegmentState::Active, number, generation)?;
        let segment = Segment::new(spare.file.clone(), spare.slot, generation);
        lock(&shared.core).segments.map.insert(number, segment);
        shared.heal(Health::Full);
        self.current = Some(Current {
            number,
            file: spare.file,
            offset: DATA_OFFSET,
            batch: DATA_OFFSET,
            synced_end: DATA_OFFSET,
        });
        Ok(())
    }

    pub(super) fn seal(&mut self, shared: &Shared, number: u32, end: u32) {
        self.before = (number, end);
        if let Some(segment) = lock(&shared.core).segments.map.get_mut(&number) {
            segment.is_sealed = true;
            segment.end = end;
        }
    }

    fn write_header(
        &self,
        shared: &Shared,
        spare: &Spare,
        state: SegmentState,
        number: u32,
        generation: u64,
    ) -> Result<(), SpoolError> {
        let header = SegmentHeader {
            state,
            number,
            generation,
            id_floor: shared.last_id(),
            segment_octets: shared.settings.segment_octets,
            salt: shared.salt,
            before: self.before,
            cuts: self.cuts.clone(),
        };
        let written = spare
            .file
            .write_at(header.offset(), &[IoSlice::new(&header.encode())]);
        written.and_then(|()| spare.file.sync()).map_err(|error| {
            // The file is left alone: whatever its header is now, no record will be of that number.
            let slot = spare.slot;
            shared.trouble(format!(
                "segment file {slot:08}: cannot write its header: {error}"
            ));
            let error = SpoolError::io("write a segment's header", error);
            shared.set_health(Health::of(&error));
            error
        })
    }

    /// Gives empty segments back; true where there were any.
    pub(super) fn release(&mut self, shared: &Shared) -> bool {
        let mut any = false;
        // Each costs a sync; commits must not wait for many.
        for _ in 0..RELEASED_PER_STEP_MAX {
            let Some((number, segment)) = take_unused(shared) else {
                break;
            };
            any = true;
            self.release_one(shared, number, segment);
        }
        any
    }

    fn release_one(&mut self, shared: &Shared, number: u32, segment: Segment) {
        let spare = Spare {
            slot: segment.slot,
            file: segment.file.clone(),
            generation: segment.generation + 1,
        };
        // While the old header counts, so does its content: nobody may rely on it being gone before this is durable.
        let freed = self.write_header(shared, &spare, SegmentState::Free, number, spare.generation);
        let removed = match freed {
            Ok(()) => Ok(()),
            Err(_) => shared
                .storage
                .remove(segment.slot)
                .map_err(|e| SpoolError::io("remove a segment", e)),
        };
        let gone = freed.is_err() && removed.is_ok();
        let mut core = lock(&shared.core);
        if let Err(error) = removed {
            shared.trouble(format!(
                "segment {number}: cannot be freed, its space is lost until the next start: {error}"
            ));
            let left_over = Segment {
                is_stuck: true,
                ..segment
            };
            core.segments.map.insert(number, left_over);
            return;
        }
        core.index.forget_segment(number);
        drop(core);
        self.cuts.retain(|(cut, _)| *cut != number);
        drop(segment);
        if !gone {
            keep_or_remove(shared, spare);
        }
    }

    /// Octets that can be written before another segment is needed.
    pub(crate) fn room(&self, shared: &Shared) -> u64 {
        let current = self
            .current
            .as_ref()
            .map_or(0, |c| shared.settings.segment_octets - c.offset);
        let spares = lock(&shared.spares).len() as u64;
        u64::from(current) + spares * u64::from(shared.settings.segment_octets - DATA_OFFSET)
    }

    /// Has a segment made ready ahead of its need: one to go on with, and one for the reserve.
    pub(crate) fn order_spare(&self, shared: &Shared) {
        if lock(&shared.spares).len() < 2 {
            let mut errands = lock(&shared.errands);
            if !errands.wants_spare {
                errands.wants_spare = true;
                shared.errands_filled.notify_one();
            }
        }
    }
}

fn take_unused(shared: &Shared) -> Option<(u32, Segment)> {
    let mut core = lock(&shared.core);
    let number = core.segments.next_to_free()?;
    core.segments.map.remove(&number).map(|segment| (number, segment))
}

/// Keeps a freed segment for reuse, or removes one where there are enough or somebody still reads it.
fn keep_or_remove(shared: &Shared, spare: Spare) {
    let is_read = Arc::strong_count(&spare.file) > 1;
    let surplus = if is_read {
        Some(spare)
    } else {
        shared.add_spare(spare)
    };
    if let Some(surplus) = surplus
        && let Err(error) = shared.storage.remove(surplus.slot)
    {
        let slot = surplus.slot;
        shared.trouble(format!("segment file {slot:08}: cannot be removed: {error}"));
    }
}
