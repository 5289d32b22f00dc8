//! Which message is next: fair between groups, in order of due time within one.
//!
//! A group is the canonical domain of a message's first pending recipient. Each has a heap of its waiting messages;
//! the groups themselves wait in a heap until their first message is due (or their suspension ends), then they stand
//! in a ring and are served in turn, one message each. So a call costs what it takes, however many wait.
//!
//! | place | means | left when |
//! | --- | --- | --- |
//! | Idle | nothing waits | a message is added |
//! | Waiting | in the heap of groups, by the time it may have something | that time comes |
//! | Ready | in the ring | served, found empty, not due, suspended or at its cap |
//! | Capped | has as many active messages as it may | one of them is settled, or the cap is raised |
//!
//! Not here: retry times, connections, sites. Those are the queue manager's.

use std::collections::VecDeque;
use std::mem::size_of;

use hashbrown::HashTable;

use crate::heap::fix;
use crate::index::{Index, NO_SLOT, Slot};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Idle,
    Waiting,
    Ready,
    Capped,
}

/// The messages of one domain.
#[derive(Debug)]
struct Group {
    name: Box<str>,
    /// Slots of the waiting messages, the earliest due first.
    heap: Vec<Slot>,
    suspended_until_ms: u64,
    /// When it may have something to take; its key in the heap of groups.
    key_ms: u64,
    waiting_at: u32,
    active: u32,
    /// Messages in it, waiting, active or held.
    members: u32,
    place: Place,
}

/// All groups and their order.
#[derive(Debug)]
pub(crate) struct Schedule {
    groups: Vec<Option<Box<Group>>>,
    vacant: Vec<u32>,
    by_name: HashTable<u32>,
    waiting: Vec<u32>,
    ready: VecDeque<u32>,
    active_max: u32,
}

fn hash(name: &str) -> u64 {
    // FNV-1a, then mixed: hashbrown looks at the highest bits too. Whoever crafts collisions gains slow look-ups of
    // domains that they send to themselves, once per message.
    let fnv = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    (fnv ^ (fnv >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Order within a group: by due time, then by age.
fn fix_heap(heap: &mut [Slot], at: usize, index: &mut Index) {
    fix(
        heap,
        at,
        index,
        |index, a, b| {
            let (a, b) = (index.get(a), index.get(b));
            (a.due_ms, a.id) < (b.due_ms, b.id)
        },
        |index, slot, place| index.get_mut(slot).heap_at = place,
    );
}

fn key_ms(groups: &[Option<Box<Group>>], group: u32) -> u64 {
    groups[group as usize].as_ref().map_or(0, |g| g.key_ms)
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
            vacant: Vec::new(),
            by_name: HashTable::new(),
            waiting: Vec::new(),
            ready: VecDeque::new(),
            active_max: u32::MAX,
        }
    }
}

impl Schedule {
    pub(crate) fn name(&self, group: u32) -> &str {
        &self.group(group).name
    }

    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.by_name
            .find(hash(name), |&g| &*self.group(g).name == name)
            .copied()
    }

    fn group(&self, group: u32) -> &Group {
        self.groups[group as usize]
            .as_ref()
            .expect("a group lives as long as it has members or a place")
    }

    fn group_mut(&mut self, group: u32) -> &mut Group {
        self.groups[group as usize].as_mut().expect("as above")
    }

    fn intern(&mut self, name: &str) -> u32 {
        if let Some(group) = self.find(name) {
            return group;
        }
        let group = Box::new(Group {
            name: name.into(),
            heap: Vec::new(),
            suspended_until_ms: 0,
            key_ms: 0,
            waiting_at: NO_SLOT,
            active: 0,
            members: 0,
            place: Place::Idle,
        });
        let number = match self.vacant.pop() {
            Some(number) => {
                self.groups[number as usize] = Some(group);
                number
            }
            None => {
                self.groups.push(Some(group));
                u32::try_from(self.groups.len() - 1).expect("fewer groups than messages")
            }
        };
        let groups = &self.groups;
        self.by_name.insert_unique(hash(name), number, |&other| {
            groups[other as usize].as_ref().map_or(0, |g| hash(&g.name))
        });
        number
    }

    /// Makes the message a member of the group of that name.
    pub(crate) fn join(&mut self, index: &mut Index, slot: Slot, name: &str) {
        let group = self.intern(name);
        self.group_mut(group).members += 1;
        index.get_mut(slot).group = group;
    }

    /// Ends the membership; the message must not wait any more.
    pub(crate) fn leave(&mut self, index: &Index, slot: Slot) {
        let group = index.get(slot).group;
        self.group_mut(group).members -= 1;
        self.replace(index, group);
    }

    /// Lets the message wait until its `due_ms`.
    pub(crate) fn add(&mut self, index: &mut Index, slot: Slot) {
        let group = index.get(slot).group;
        let heap = &mut self.group_mut(group).heap;
        heap.push(slot);
        let at = heap.len() - 1;
        fix_heap(heap, at, index);
        self.replace(index, group);
    }

    /// The message waits no more, for whatever reason; nothing happens where it does not wait.
    pub(crate) fn withdraw(&mut self, index: &mut Index, slot: Slot) {
        let entry = index.get(slot);
        let (group, at) = (entry.group, entry.heap_at);
        if at == NO_SLOT {
            return;
        }
        self.take_from_heap(index, group, at as usize);
        self.replace(index, group);
    }

    fn take_from_heap(&mut self, index: &mut Index, group: u32, at: usize) {
        let group = self.groups[group as usize].as_mut().expect("it has a member");
        let slot = group.heap.swap_remove(at);
        index.get_mut(slot).heap_at = NO_SLOT;
        fix_heap(&mut group.heap, at, index);
        if group.heap.capacity() > 64 && group.heap.len() < group.heap.capacity() / 4 {
            group.heap.shrink_to(group.heap.len() * 2);
        }
    }

    /// Makes it count as active (`start`) or no longer.
    pub(crate) fn note_active(&mut self, index: &Index, slot: Slot, start: bool) {
        let number = index.get(slot).group;
        let group = self.group_mut(number);
        group.active = if start { group.active + 1 } else { group.active - 1 };
        self.replace(index, number);
    }

    /// Nothing of the group is due before `until_ms`; 0 ends it.
    pub(crate) fn suspend(&mut self, index: &Index, name: &str, until_ms: u64) {
        let group = self.intern(name);
        self.group_mut(group).suspended_until_ms = until_ms;
        self.replace(index, group);
    }

    /// Nothing waits for longer than until `due_ms_max`: what is due later is due then. Looks at all that waits.
    pub(crate) fn bring_forward(&mut self, index: &mut Index, due_ms_max: u64) {
        for number in 0..u32::try_from(self.groups.len()).expect("as in intern") {
            let Some(group) = self.groups[number as usize].as_mut() else {
                continue;
            };
            let mut is_changed = false;
            for &slot in &group.heap {
                let entry = index.get_mut(slot);
                is_changed |= entry.due_ms > due_ms_max;
                entry.due_ms = entry.due_ms.min(due_ms_max);
            }
            if is_changed {
                // What is in order is a heap; those that are due together go by age.
                group.heap.sort_unstable_by_key(|&slot| {
                    let entry = index.get(slot);
                    (entry.due_ms, entry.id)
                });
                for (at, &slot) in (0u32..).zip(&group.heap) {
                    index.get_mut(slot).heap_at = at;
                }
                self.replace(index, number);
            }
        }
    }

    /// The groups that are suspended beyond `now_ms`, and until when. Looks at all groups: for a person who asks.
    pub(crate) fn suspended(&self, now_ms: u64) -> Vec<(String, u64)> {
        self.groups
            .iter()
            .flatten()
            .filter(|group| group.suspended_until_ms > now_ms)
            .map(|group| (group.name.to_string(), group.suspended_until_ms))
            .collect()
    }

    /// When the group may have something: None for never (nothing waits and no suspension has to be remembered).
    fn key(&self, index: &Index, group: &Group) -> Option<u64> {
        let due_ms = group.heap.first().map(|&slot| index.get(slot).due_ms);
        match due_ms {
            Some(due_ms) => Some(due_ms.max(group.suspended_until_ms)),
            None => (group.suspended_until_ms > 0).then_some(group.suspended_until_ms),
        }
    }

    /// Puts a group where it belongs after a change. One in the ring stays until its turn finds out.
    fn replace(&mut self, index: &Index, number: u32) {
        let group = self.group(number);
        if group.place == Place::Ready {
            return;
        }
        let capped = group.active >= self.active_max && !group.heap.is_empty();
        let key = self.key(index, group).filter(|_| !capped);
        match (key, group.place) {
            (Some(key_ms), Place::Waiting) => self.rekey(number, key_ms),
            (Some(key_ms), _) => self.wait(number, key_ms),
            (None, place) => {
                if place == Place::Waiting {
                    self.unwait(number);
                }
                self.group_mut(number).place = if capped { Place::Capped } else { Place::Idle };
                self.forget_if_empty(number);
            }
        }
    }

    fn forget_if_empty(&mut self, number: u32) {
        let group = self.group(number);
        if group.members > 0 || group.place != Place::Idle {
            return;
        }
        if let Ok(found) = self.by_name.find_entry(hash(&group.name), |&g| g == number) {
            found.remove();
        }
        self.groups[number as usize] = None;
        self.vacant.push(number);
    }

    /// Takes the next message that is due at `now_ms`, or None where no group has one that it may hand out.
    pub(crate) fn take(&mut self, index: &mut Index, now_ms: u64, active_max: u32) -> Option<Slot> {
        self.set_active_max(index, active_max);
        while let Some(&first) = self.waiting.first() {
            if self.group(first).key_ms > now_ms {
                break;
            }
            self.unwait(first);
            self.group_mut(first).place = Place::Ready;
            self.ready.push_back(first);
        }
        while let Some(number) = self.ready.pop_front() {
            let group = self.group(number);
            let due = self.key(index, group).is_some_and(|key_ms| key_ms <= now_ms);
            if !due || group.heap.is_empty() || group.active >= active_max {
                let group = self.group_mut(number);
                group.place = Place::Idle;
                if group.suspended_until_ms <= now_ms {
                    group.suspended_until_ms = 0;
                }
                self.replace(index, number);
                continue;
            }
            let slot = group.heap[0];
            self.take_from_heap(index, number, 0);
            self.group_mut(number).active += 1;
            self.ready.push_back(number);
            return Some(slot);
        }
        None
    }

    /// Groups at a cap that was raised may go on. The cap is a setting, so this is rare and may look at all of them.
    fn set_active_max(&mut self, index: &Index, active_max: u32) {
        let raised = active_max > self.active_max;
        self.active_max = active_max;
        if !raised {
            return;
        }
        for number in 0..u32::try_from(self.groups.len()).expect("as in intern") {
            if self.groups[number as usize]
                .as_ref()
                .is_some_and(|g| g.place == Place::Capped)
            {
                self.replace(index, number);
            }
        }
    }

    /// When there may next be something to take, 0 for now; None where nothing waits but for a settlement.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        if !self.ready.is_empty() {
            // Each of the ring may be due, or not: a look at all of it would be a scan, the next `take` finds out.
            return Some(0);
        }
        self.waiting.first().map(|&g| self.group(g).key_ms)
    }

    fn wait(&mut self, number: u32, key_ms: u64) {
        let group = self.group_mut(number);
        group.place = Place::Waiting;
        group.key_ms = key_ms;
        self.waiting.push(number);
        self.waiting_fix(self.waiting.len() - 1);
    }

    fn rekey(&mut self, number: u32, key_ms: u64) {
        let group = self.group_mut(number);
        group.key_ms = key_ms;
        let at = group.waiting_at as usize;
        self.waiting_fix(at);
    }

    fn unwait(&mut self, number: u32) {
        let at = self.group(number).waiting_at as usize;
        self.group_mut(number).waiting_at = NO_SLOT;
        self.waiting.swap_remove(at);
        self.waiting_fix(at);
    }

    /// Restores the order of the heap of groups around `at`, and what the groups know about it.
    fn waiting_fix(&mut self, at: usize) {
        fix(
            &mut self.waiting,
            at,
            &mut self.groups,
            |groups, a, b| key_ms(groups, a) < key_ms(groups, b),
            |groups, number, place| {
                if let Some(group) = groups[number as usize].as_mut() {
                    group.waiting_at = place;
                }
            },
        );
    }

    /// Memory, in octets.
    pub(crate) fn memory_octets(&self) -> usize {
        let groups: usize = self
            .groups
            .iter()
            .flatten()
            .map(|g| size_of::<Group>() + g.name.len() + g.heap.capacity() * size_of::<Slot>())
            .sum();
        groups
            + self.groups.capacity() * size_of::<Option<Box<Group>>>()
            + self.by_name.allocation_size()
            + (self.waiting.capacity() + self.ready.capacity() + self.vacant.capacity()) * size_of::<u32>()
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    /// A schedule with messages (id, domain, due).
    fn scheduled(messages: &[(u64, &str, u64)]) -> (Index, Schedule) {
        let (mut index, mut schedule) = (Index::default(), Schedule::default());
        for &(id, domain, due_ms) in messages {
            let slot = index.insert(id);
            index.get_mut(slot).due_ms = due_ms;
            schedule.join(&mut index, slot, domain);
            schedule.add(&mut index, slot);
        }
        (index, schedule)
    }

    fn take_all(index: &mut Index, schedule: &mut Schedule, now_ms: u64, active_max: u32) -> Vec<u64> {
        std::iter::from_fn(|| {
            schedule
                .take(index, now_ms, active_max)
                .map(|slot| index.get(slot).id)
        })
        .collect()
    }

    #[test]
    fn groups_take_turns_and_messages_go_by_due_time() {
        let (mut index, mut schedule) = scheduled(&[
            (1, "a", 30),
            (2, "a", 10),
            (3, "a", 20),
            (4, "b", 15),
            (5, "c", 99),
        ]);
        assert_eq!(Some(10), schedule.next_due_ms());
        assert_eq!(vec![2, 4, 3, 1], take_all(&mut index, &mut schedule, 50, 10));
        assert_eq!(Some(99), schedule.next_due_ms());
        assert_eq!(vec![5], take_all(&mut index, &mut schedule, 99, 10));
        assert_eq!(None, schedule.next_due_ms());
    }

    #[test]
    fn a_group_at_its_cap_waits_for_a_settlement() {
        let (mut index, mut schedule) = scheduled(&[(1, "a", 1), (2, "a", 2), (3, "a", 3), (4, "b", 9)]);
        assert_eq!(vec![1, 4], take_all(&mut index, &mut schedule, 50, 1));
        assert_eq!(None, schedule.next_due_ms());
        let slot = index.find(1).unwrap();
        schedule.note_active(&index, slot, false);
        schedule.leave(&index, slot);
        assert_eq!(vec![2], take_all(&mut index, &mut schedule, 50, 1));
        assert_eq!(vec![3], take_all(&mut index, &mut schedule, 50, 2));
    }

    #[test]
    fn a_suspended_group_is_passed_over_until_its_time() {
        let (mut index, mut schedule) = scheduled(&[(1, "a", 1), (2, "b", 2)]);
        schedule.suspend(&index, "a", 100);
        assert_eq!(vec![2], take_all(&mut index, &mut schedule, 50, 9));
        assert_eq!(Some(100), schedule.next_due_ms());
        assert_eq!(vec![("a".to_owned(), 100)], schedule.suspended(99));
        assert!(schedule.suspended(100).is_empty());
        schedule.suspend(&index, "a", 0);
        assert!(schedule.suspended(0).is_empty());
        assert_eq!(vec![1], take_all(&mut index, &mut schedule, 50, 9));
        schedule.suspend(&index, "nobody", 60);
        assert!(take_all(&mut index, &mut schedule, 60, 9).is_empty());
        assert_eq!(None, schedule.find("nobody"));
    }

    #[test]
    fn what_is_brought_forward_is_taken_in_order_of_age() {
        let messages: Vec<(u64, &str, u64)> = (1..=20).map(|id| (id, "a", 1000 - id)).collect();
        let (mut index, mut schedule) = scheduled(&messages);
        let (other, soon) = (index.insert(21), index.insert(22));
        for (slot, domain, due_ms) in [(other, "b", 5000), (soon, "a", 7)] {
            index.get_mut(slot).due_ms = due_ms;
            schedule.join(&mut index, slot, domain);
            schedule.add(&mut index, slot);
        }
        schedule.bring_forward(&mut index, 10);
        assert_eq!(Some(7), schedule.next_due_ms());
        assert_eq!(vec![22], take_all(&mut index, &mut schedule, 9, 99));
        let third = index.find(3).unwrap();
        schedule.withdraw(&mut index, third);
        let taken = take_all(&mut index, &mut schedule, 10, 99);
        let of_a: Vec<u64> = taken.iter().copied().filter(|&id| id != 21).collect();
        assert_eq!((1..=20).filter(|&id| id != 3).collect::<Vec<_>>(), of_a);
        assert!(taken.contains(&21));
    }

    #[test]
    fn a_suspension_in_mid_turn_counts() {
        let (mut index, mut schedule) = scheduled(&[(1, "a", 1), (2, "a", 2), (3, "b", 3)]);
        assert_eq!(Some(1), schedule.take(&mut index, 9, 9).map(|s| index.get(s).id));
        schedule.suspend(&index, "a", 100);
        assert_eq!(vec![3], take_all(&mut index, &mut schedule, 9, 9));
    }

    #[test]
    fn what_is_withdrawn_is_not_taken_and_empty_groups_are_forgotten() {
        let (mut index, mut schedule) = scheduled(&[(1, "a", 1), (2, "b", 2)]);
        let slot = index.find(1).unwrap();
        schedule.withdraw(&mut index, slot);
        assert!(schedule.find("a").is_some());
        schedule.leave(&index, slot);
        assert_eq!(None, schedule.find("a"));
        assert_eq!(vec![2], take_all(&mut index, &mut schedule, 9, 9));
    }

    #[test]
    fn fifty_thousand_groups_cost_a_call_no_more_than_it_takes() {
        let (mut index, mut schedule) = (Index::default(), Schedule::default());
        for id in 1..=200_000u64 {
            let slot = index.insert(id);
            index.get_mut(slot).due_ms = id % 1000;
            schedule.join(&mut index, slot, &format!("d{}.example", id % 50_000));
            schedule.add(&mut index, slot);
        }
        let first: Vec<Slot> = (0..50_000)
            .map(|_| schedule.take(&mut index, 2000, 2).unwrap())
            .collect();
        let groups: std::collections::HashSet<u32> = first.iter().map(|&s| index.get(s).group).collect();
        assert_eq!(50_000, groups.len(), "each group once before any group twice");
        assert_eq!(50_000, take_all(&mut index, &mut schedule, 2000, 2).len());
    }
}
