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
        if let Err(error) = self.write_header(shared, &spare, SegmentState::Active, number, generation) {
            // Whatever its header is now, no record will be of that number. It is tried again when its turn comes: a file
            // that is given up at each try of a disk that stays broken would fill the disk.
            lock(&shared.spares).push(spare);
            return Err(error);
        }
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
            let slot = spare.slot;
            shared.trouble(format!(
                "segment file {slot:08}: cannot write its header: {error}"
            ));
            let error = SpoolError::io("write a segment's header", error);
            shared.set_health(Health::of(&error));
            error
        })
    }

    /// Whether a durable header of the log itself has all cuts: that of the current segment has those before it. If not,
    /// the header of any file may be the only one that knows one of them, so that none may be removed.
    fn is_every_cut_known(&self) -> bool {
        self.current.is_some() || self.cuts.is_empty()
    }

    /// Gives empty segments back; true where there were any.
    pub(super) fn release(&mut self, shared: &Shared) -> bool {
        let mut any = false;
        // What could not be written may be tombstones that a sweep carries.
        let is_all_carried = !self.retained.iter().any(|item| matches!(item, Item::Done(_)));
        if !self.is_every_cut_known()
            && let Some(mut sweep) = self.sweep.take()
        {
            sweep.close_moved(&mut lock(&shared.core)); // its segment may be the one that lets the log go on
        }
        // Each costs a sync; commits must not wait for many.
        for _ in 0..RELEASED_PER_STEP_MAX {
            let Some((number, segment)) = take_unused(shared, is_all_carried, self.is_every_cut_known())
            else {
                break;
            };
            if !self.release_one(shared, number, segment) {
                break;
            }
            any = true;
        }
        any
    }

    /// False where it could not be freed.
    fn release_one(&mut self, shared: &Shared, number: u32, segment: Segment) -> bool {
        let spare = Spare {
            slot: segment.slot,
            file: segment.file.clone(),
            generation: segment.generation + 1,
        };
        // While the old header counts, so does its content: nobody may rely on it being gone before this is durable.
        let freed = self.write_header(shared, &spare, SegmentState::Free, number, spare.generation);
        let may_remove = self.is_every_cut_known();
        if freed.is_err() && !may_remove {
            lock(&shared.core).segments.map.insert(number, segment);
            return false;
        }
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
            return false;
        }
        core.index.forget_segment(number);
        drop(core);
        self.cuts.retain(|(cut, _)| *cut != number);
        drop(segment);
        if !may_remove {
            shared.heal(Health::Full);
            lock(&shared.spares).push(spare);
        } else if !gone {
            keep_or_remove(shared, spare);
        }
        true
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

/// Takes a segment out of the books that can be freed. Where files may not be removed, it must be one that can be used
/// again: nobody reads it.
fn take_unused(shared: &Shared, is_all_carried: bool, may_remove: bool) -> Option<(u32, Segment)> {
    let mut core = lock(&shared.core);
    let number = core
        .segments
        .next_to_free(|s| may_remove || Arc::strong_count(&s.file) == 1, is_all_carried)?;
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
