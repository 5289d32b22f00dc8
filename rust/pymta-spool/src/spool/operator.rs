//! What an operator asks of the spool: hold, release, retry, drop, list, count. None of it is on a message's usual way.

use std::collections::BinaryHeap;

use super::*;
use crate::status::encode_change;

impl Spool {
    /// Keeps a message from being taken; one that is active is held when it is settled. False where there is none.
    pub fn hold(&self, id: SpoolId) -> bool {
        self.change(id, |core, slot| match core.index.get(slot).state {
            State::Active => {
                core.index.get_mut(slot).request_hold(true);
                Some(false)
            }
            State::Hold => Some(false),
            State::Incoming | State::Deferred => {
                core.schedule.withdraw(&mut core.index, slot);
                core.set_state(slot, State::Hold);
                core.evict(slot);
                Some(true)
            }
        })
    }

    /// Ends a hold: the message is due now. False where there is none on hold.
    pub fn release(&self, id: SpoolId, now: UnixMs) -> bool {
        self.change(id, |core, slot| match core.index.get(slot).state {
            State::Active => {
                let was_requested = core.index.get_mut(slot).request_hold(false);
                was_requested.then_some(false)
            }
            State::Hold => {
                let entry = core.index.get_mut(slot);
                entry.due_ms = now.0;
                entry.request_hold(false);
                let state = entry.waiting_state();
                core.set_state(slot, state);
                core.schedule.add(&mut core.index, slot);
                Some(true)
            }
            State::Incoming | State::Deferred => None,
        })
    }

    /// A waiting message is due now. False where there is none, or it is active or on hold.
    pub fn retry(&self, id: SpoolId, now: UnixMs) -> bool {
        self.change(id, |core, slot| match core.index.get(slot).state {
            State::Active | State::Hold => None,
            State::Incoming | State::Deferred => {
                core.schedule.withdraw(&mut core.index, slot);
                core.index.get_mut(slot).due_ms = now.0;
                core.schedule.add(&mut core.index, slot);
                // Not written: after a crash it is tried when it was to be tried before.
                Some(false)
            }
        })
    }

    /// Nothing waits for longer than until `due_max`: for a clock that was set back. Not written.
    pub fn bring_forward(&self, due_max: UnixMs) {
        let mut core = lock(&self.shared.core);
        let core = &mut *core;
        core.schedule.bring_forward(&mut core.index, due_max.0);
    }

    /// Takes a message out of the spool. False where there is none, or it is active.
    pub fn drop_message(&self, id: SpoolId) -> bool {
        let mut core = lock(&self.shared.core);
        let Some(slot) = core
            .index
            .find(id.0)
            .filter(|&s| core.index.get(s).state != State::Active)
        else {
            return false;
        };
        let ended = core.forget(slot);
        self.shared.push(Item::Done(ended), 0);
        true
    }

    /// Changes a message; `how` says None where it may not be changed, and else whether the change is to be written.
    fn change(&self, id: SpoolId, how: impl FnOnce(&mut Core, Slot) -> Option<bool>) -> bool {
        let mut core = lock(&self.shared.core);
        let core = &mut *core;
        let Some(slot) = core.index.find(id.0) else {
            return false;
        };
        let Some(is_written) = how(core, slot) else {
            return false;
        };
        if is_written {
            let entry = core.index.get(slot);
            let head = StatusHead {
                id: entry.id,
                due_ms: entry.due_ms,
                held: entry.state == State::Hold,
                group: core.schedule.name(entry.group).to_owned(),
            };
            let payload = encode_change(&head, u32::from(entry.attempts));
            let octets = payload.len();
            self.shared.push(
                Item::Status {
                    id: id.0,
                    payload,
                    is_snapshot: false,
                    message: None,
                },
                octets,
            );
        }
        true
    }

    /// Messages in order of id, at most `count_max`.
    pub fn list(&self, filter: &Filter<'_>, count_max: usize) -> Vec<Row> {
        let core = lock(&self.shared.core);
        let group = filter.domain.map(|name| core.schedule.find(name));
        let after = filter.after.map_or(0, |id| id.0);
        // The smallest ids so far, the greatest of them on top.
        let mut first: BinaryHeap<(u64, Slot)> = BinaryHeap::new();
        for (slot, entry) in core.index.iter() {
            let wanted = entry.id > after
                && filter.state.is_none_or(|state| state == entry.state)
                && group.is_none_or(|group| entry.has_several_recipients() || group == Some(entry.group))
                && (first.len() < count_max || first.peek().is_some_and(|(id, _)| entry.id < *id));
            if wanted {
                first.push((entry.id, slot));
                if first.len() > count_max {
                    first.pop();
                }
            }
        }
        first
            .into_sorted_vec()
            .into_iter()
            .map(|(_, slot)| row(&core, slot))
            .collect()
    }

    /// Numbers for the metrics.
    pub fn stats(&self) -> Stats {
        let spare_count = lock(&self.shared.spares).len() as u64;
        let mut core = lock(&self.shared.core);
        let core = &mut *core;
        let mut count = |state| *core.counts.get(state) as u64;
        Stats {
            incoming: count(State::Incoming),
            active: count(State::Active),
            deferred: count(State::Deferred),
            hold: count(State::Hold),
            corrupt: core.corrupt_count,
            segments: core.segments.map.len() as u64,
            disk_octets: (core.segments.map.len() as u64 + spare_count)
                * u64::from(self.shared.settings.segment_octets),
            live_octets: core.segments.live_octets(),
            index_octets: (core.index.memory_octets() + core.schedule.memory_octets()) as u64,
            commits: core.commit_count,
            commit_batches: core.batch_count,
            pending_octets: self.pending_octets() as u64,
        }
    }
}

fn row(core: &Core, slot: Slot) -> Row {
    let entry = core.index.get(slot);
    Row {
        id: SpoolId(entry.id),
        state: entry.state,
        group: core.schedule.name(entry.group).to_owned(),
        due: UnixMs(if entry.due_ms == crate::codec::HELD_DUE_MS {
            0
        } else {
            entry.due_ms
        }),
        // An id is made of the time; see `Shared::next_id`.
        spooled_at: UnixMs(entry.id >> 20),
        attempts: u32::from(entry.attempts),
        size_octets: u64::from(entry.content_octets),
    }
}
