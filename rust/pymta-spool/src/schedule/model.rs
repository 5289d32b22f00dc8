//! Random histories of a schedule against a model that looks at every message each time.

use std::collections::BTreeMap;

use super::*;
use crate::sim::Random;

const DOMAINS: [&str; 4] = ["a.example", "b.example", "c.example", "d.example"];
const HISTORIES: u64 = 300;
const STEPS: u64 = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Waits,
    Active,
    Held,
}

#[derive(Clone, Debug)]
struct Known {
    domain: &'static str,
    due_ms: u64,
    place: Place,
}

struct World {
    seed: u64,
    random: Random,
    index: Index,
    schedule: Schedule,
    known: BTreeMap<u64, Known>,
    suspended: BTreeMap<&'static str, u64>,
    last_id: u64,
    now_ms: u64,
    active_max: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            random: Random::new(seed),
            index: Index::default(),
            schedule: Schedule::default(),
            known: BTreeMap::new(),
            suspended: BTreeMap::new(),
            last_id: 0,
            now_ms: 1000,
            active_max: 3,
        }
    }

    fn domain(&mut self) -> &'static str {
        DOMAINS[self.random.below(DOMAINS.len())]
    }

    fn below_ms(&mut self, bound_ms: usize) -> u64 {
        self.random.below(bound_ms) as u64
    }

    /// Sometimes past, sometimes now, sometimes later.
    fn some_due(&mut self) -> u64 {
        self.now_ms + self.below_ms(60) - 20
    }

    /// A message in that place, if there is one.
    fn any(&mut self, place: Place) -> Option<u64> {
        let all: Vec<u64> = self
            .known
            .iter()
            .filter(|(_, k)| k.place == place)
            .map(|(&id, _)| id)
            .collect();
        let at = self.random.below(all.len().max(1));
        all.get(at).copied()
    }

    fn slot(&self, id: u64) -> Slot {
        self.index.find(id).unwrap()
    }

    fn add(&mut self, id: u64, due_ms: u64) {
        let slot = self.slot(id);
        self.index.get_mut(slot).due_ms = due_ms;
        self.schedule.add(&mut self.index, slot);
        let known = self.known.get_mut(&id).unwrap();
        (known.due_ms, known.place) = (due_ms, Place::Waits);
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0..3 => {
                self.last_id += 1;
                let (id, domain, due_ms) = (self.last_id, self.domain(), self.some_due());
                let slot = self.index.insert(id);
                self.schedule.join(&mut self.index, slot, domain);
                self.known.insert(
                    id,
                    Known {
                        domain,
                        due_ms,
                        place: Place::Held,
                    },
                );
                self.add(id, due_ms);
            }
            3..5 => {
                // Some, or all that there are.
                for _ in 0..self.random.below(8) {
                    if !self.take() {
                        break;
                    }
                }
            }
            5..7 => self.settle(),
            7 => self.hold_release_or_drop(),
            8 => {
                let (domain, until_ms) = (self.domain(), self.now_ms + self.below_ms(80));
                let until_ms = if self.random.below(3) == 0 { 0 } else { until_ms };
                self.schedule.suspend(&self.index, domain, until_ms);
                self.suspended.insert(domain, until_ms);
            }
            9 => self.active_max = u32::try_from(1 + self.random.below(4)).unwrap(),
            _ => self.now_ms += self.below_ms(30),
        }
    }

    fn settle(&mut self) {
        let Some(id) = self.any(Place::Active) else {
            return;
        };
        let slot = self.slot(id);
        self.schedule.note_active(&self.index, slot, false);
        if self.random.below(2) == 0 {
            return self.forget(id);
        }
        if self.random.below(3) == 0 {
            let domain = self.domain();
            self.schedule.leave(&self.index, slot);
            self.schedule.join(&mut self.index, slot, domain);
            self.known.get_mut(&id).unwrap().domain = domain;
        }
        let due_ms = self.some_due();
        self.add(id, due_ms);
    }

    fn hold_release_or_drop(&mut self) {
        if let Some(id) = self.any(Place::Held) {
            let due_ms = self.now_ms;
            return self.add(id, due_ms);
        }
        if let Some(id) = self.any(Place::Waits) {
            let slot = self.slot(id);
            self.schedule.withdraw(&mut self.index, slot);
            if self.random.below(2) == 0 {
                self.known.get_mut(&id).unwrap().place = Place::Held;
            } else {
                self.forget(id);
            }
        }
    }

    fn forget(&mut self, id: u64) {
        let slot = self.slot(id);
        self.schedule.leave(&self.index, slot);
        self.index.remove(slot);
        self.known.remove(&id);
    }

    fn active_of(&self, domain: &str) -> u32 {
        let active = |k: &&Known| k.domain == domain && k.place == Place::Active;
        u32::try_from(self.known.values().filter(active).count()).unwrap()
    }

    /// When the message may be taken, as far as time goes; None where its domain has enough in hand.
    fn allowed_ms(&self, known: &Known) -> Option<u64> {
        let suspended_ms = self.suspended.get(known.domain).copied().unwrap_or(0);
        (self.active_of(known.domain) < self.active_max).then_some(known.due_ms.max(suspended_ms))
    }

    /// When the next message may be taken.
    fn next_ms(&self) -> Option<u64> {
        let waiting = self.known.values().filter(|k| k.place == Place::Waits);
        waiting.filter_map(|k| self.allowed_ms(k)).min()
    }

    fn take(&mut self) -> bool {
        let taken = self.schedule.take(&mut self.index, self.now_ms, self.active_max);
        let next_ms = self.next_ms();
        let Some(slot) = taken else {
            assert!(
                next_ms.is_none_or(|ms| ms > self.now_ms),
                "seed {}: what is due at {next_ms:?} was not found at {}",
                self.seed,
                self.now_ms
            );
            // Whoever waits for it must not find nothing again and again.
            let said_ms = self.schedule.next_due_ms();
            assert!(
                said_ms.is_none_or(|ms| ms > self.now_ms),
                "seed {}: {said_ms:?}",
                self.seed
            );
            return false;
        };
        let id = self.index.get(slot).id;
        let known = self.known[&id].clone();
        assert_eq!(Place::Waits, known.place);
        let allowed_ms = self.allowed_ms(&known);
        assert!(
            allowed_ms.is_some_and(|ms| ms <= self.now_ms),
            "seed {}: {id} {known:?} {allowed_ms:?}",
            self.seed
        );
        let earlier = |(other, k): (&u64, &Known)| {
            k.place == Place::Waits && k.domain == known.domain && (k.due_ms, *other) < (known.due_ms, id)
        };
        assert!(
            !self.known.iter().any(earlier),
            "seed {}: {id} overtakes",
            self.seed
        );
        self.known.get_mut(&id).unwrap().place = Place::Active;
        true
    }

    /// Who waits until `next_due_ms`, and then takes, is never late.
    fn check(&self) {
        let said_ms = self.schedule.next_due_ms();
        // The cap of now is told by the next take.
        if self.active_max != self.schedule.active_max {
            return;
        }
        if let Some(next_ms) = self.next_ms() {
            assert!(
                said_ms.is_some_and(|ms| ms <= next_ms.max(self.now_ms)),
                "seed {}: next is {next_ms}, said was {said_ms:?}, now is {}",
                self.seed,
                self.now_ms
            );
        }
    }
}

#[test]
fn what_is_due_is_taken_in_its_turn_and_nobody_who_waits_for_it_is_late() {
    for seed in 0..HISTORIES {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
            world.check();
        }
        // All of it comes out, whatever was.
        world.active_max = u32::MAX;
        world.now_ms += 1000;
        for id in world.known.clone().into_keys() {
            if world.known[&id].place == Place::Held {
                world.add(id, 0);
            }
        }
        while world.take() {}
        assert!(
            world.known.values().all(|k| k.place == Place::Active),
            "seed {seed}"
        );
        while world.any(Place::Active).is_some() {
            let id = world.any(Place::Active).unwrap();
            let slot = world.slot(id);
            world.schedule.note_active(&world.index, slot, false);
            world.forget(id);
        }
        world.take();
        assert!(
            DOMAINS.iter().all(|name| world.schedule.find(name).is_none()),
            "seed {seed}: a group of nobody"
        );
    }
}
