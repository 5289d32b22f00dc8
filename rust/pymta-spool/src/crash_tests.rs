//! Random work, random failures, random crashes, and after each: is everything there that must be, and nothing else?
//!
//! The model knows of every message what the spool may say after a crash:
//!
//! | the model's message | after the crash |
//! | --- | --- |
//! | commit not answered | whole, or not at all |
//! | commit refused, and another one acknowledged since | not at all |
//! | commit acknowledged | whole, once, with its statuses of some moment since they were last known to be durable |
//! | given up before it was answered, and its end is durable | not at all, ever again |
//! | settled as done, and that is durable | not at all, ever again |
//!
//! `PYMTA_CRASHES` says how many crashes: by default 20,000, and 1,000,000 where `PYMTA_SOAK` is set, which begins at
//! another seed each time. `PYMTA_SEED` runs one history again.

#![allow(clippy::cast_possible_truncation)] // small numbers of tests

use std::collections::HashMap;
use std::sync::Arc;

use pymta_types::{SpoolId, UnixMs};

use crate::content::{Commit, ContentWriter};
use crate::lock::lock;
use crate::log::Item;
use crate::sim::{Faults, Random, SimDisk};
use crate::spool::{Filter, Note, Spool};
use crate::tests::{NOW, check_books, content_of, envelope, open};
use crate::{Outcome, RecipientState, Settings, SpoolError, StoredMessage};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Nobody was told anything.
    Unanswered,
    Refused,
    /// Refused, and what made sure of it is durable.
    Gone,
    Spooled,
    /// Settled or dropped; the record of it may not be durable.
    Done,
    DoneForGood,
}

#[derive(Debug)]
struct Known {
    content: Vec<u8>,
    paths: Vec<String>,
    fate: Fate,
    /// Each recipient's states since the last one that is known to be durable, which comes first.
    states: Vec<Vec<RecipientState>>,
}

struct World {
    seed: u64,
    random: Random,
    disk: SimDisk,
    settings: Settings,
    spool: Spool,
    known: HashMap<SpoolId, Known>,
    tokens: HashMap<u64, SpoolId>,
    writing: Vec<(ContentWriter, Vec<u8>)>,
    in_hand: Vec<Arc<StoredMessage>>,
    now: UnixMs,
    is_power_planned: bool,
}

const OUTCOMES: [(Outcome, RecipientState); 6] = [
    (Outcome::Delivered, RecipientState::Delivered),
    (Outcome::Delivered, RecipientState::Delivered),
    (Outcome::Deferred, RecipientState::Deferred),
    (Outcome::Delayed, RecipientState::Delayed),
    (Outcome::Failed, RecipientState::Failed),
    (Outcome::Expired, RecipientState::Expired),
];

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let disk = SimDisk::new(seed ^ 0x5eed);
        let settings = Settings {
            segment_octets: [16 << 10, 24 << 10, 40 << 10][random.below(3)],
            spill_octets: [1024, 2048, 4096][random.below(3)],
            memory_octets_max: [0, 8 << 10, 1 << 20][random.below(3)],
            free_octets_min: 1,
            ..Settings::default()
        };
        Self {
            seed,
            random,
            spool: open(&disk, settings.clone()),
            disk,
            settings,
            known: HashMap::new(),
            tokens: HashMap::new(),
            writing: Vec::new(),
            in_hand: Vec::new(),
            now: NOW,
            is_power_planned: false,
        }
    }

    fn some_content(&mut self) -> Vec<u8> {
        let body_octets = match self.random.below(10) {
            0 => 4000 + self.random.below(12_000),
            1..3 => 1000 + self.random.below(3000),
            _ => self.random.below(900),
        };
        let mut content = format!("Subject: {}\r\n\r\n", self.random.next()).into_bytes();
        let first = self.random.below(251);
        content.extend((0..body_octets).map(|i| ((first + i * 13) % 251) as u8));
        content
    }

    fn one_thing(&mut self) {
        match self.random.below(16) {
            0..3 => {
                let content = self.some_content();
                self.writing.push((self.spool.writer(), content));
            }
            3..7 => self.go_on_writing(),
            7..10 => self.write_step(),
            10..14 => self.go_on_delivering(),
            14 => self.ask_like_an_operator(),
            _ => _ = self.spool.read_step(),
        }
        self.hear_answers();
    }

    /// Feeds a writer; its end is a commit, or sometimes not.
    fn go_on_writing(&mut self) {
        if self.writing.is_empty() {
            return;
        }
        let which = self.random.below(self.writing.len());
        let (writer, content) = &mut self.writing[which];
        let fed = usize::try_from(writer.content_len()).unwrap();
        let octets = (1 + self.random.below(5000)).min(content.len() - fed);
        writer.write(&content[fed..fed + octets]);
        if fed + octets < content.len() {
            if self.random.chance(30) {
                self.writing.swap_remove(which); // the peer vanished
            }
            return;
        }
        let (mut writer, content) = self.writing.swap_remove(which);
        let count = if self.random.chance(40) {
            70
        } else {
            1 + self.random.below(4)
        };
        let paths: Vec<String> = (0..count)
            .map(|i| format!("u{i}@d{}.test", self.random.below(4)))
            .collect();
        let id = writer.reserve_id(self.now);
        let header_section = writer.header_section().to_vec();
        let token = writer.commit(Commit {
            envelope: Arc::new(envelope(&paths.iter().map(|p| &**p).collect::<Vec<_>>())),
            header_section,
            annotations: id.0.to_le_bytes().to_vec(),
            spooled_at: self.now,
            due: (!self.random.chance(10)).then_some(self.now),
        });
        self.tokens.insert(token, id);
        let known = Known {
            content,
            states: vec![vec![RecipientState::Pending]; paths.len()],
            paths,
            fate: Fate::Unanswered,
        };
        assert!(self.known.insert(id, known).is_none(), "an id was used twice");
        if self.random.chance(20) {
            self.spool.give_up(token);
        }
    }

    fn write_step(&mut self) {
        if self.random.chance(3) {
            // Messages end and change while a sweep copies them.
            let moves = self.spool.log().sweep_piece(self.spool.shared());
            (0..self.random.below(4)).for_each(|_| self.go_on_delivering());
            self.spool.log().write_round(self.spool.shared(), moves);
        } else {
            self.spool.write_step();
        }
        self.hear_answers();
        if self.disk.has_power() && self.spool.is_all_durable() {
            for known in self.known.values_mut() {
                known.states.iter_mut().for_each(|states| {
                    states.drain(..states.len() - 1);
                });
                if known.fate == Fate::Done {
                    known.fate = Fate::DoneForGood;
                }
            }
        }
    }

    fn hear_answers(&mut self) {
        for (token, answer) in self.spool.completions() {
            let id = self.tokens.remove(&token).expect("answered once");
            match answer {
                Ok(named) => {
                    assert_eq!(id, named);
                    for known in self.known.values_mut().filter(|k| k.fate == Fate::Refused) {
                        known.fate = Fate::Gone;
                    }
                    self.known.get_mut(&id).unwrap().fate = Fate::Spooled;
                }
                Err(SpoolError::GivenUp) => self.known.get_mut(&id).unwrap().fate = Fate::Done,
                Err(_) => self.known.get_mut(&id).unwrap().fate = Fate::Refused,
            }
        }
        self.in_hand.extend(self.spool.loaded());
    }

    fn go_on_delivering(&mut self) {
        if self.in_hand.is_empty() || self.random.chance(3) {
            let count_max = 1 + self.random.below(5);
            let taken = self.spool.take_due(self.now, count_max, 3);
            self.in_hand.extend(taken);
            return;
        }
        let which = self.random.below(self.in_hand.len());
        let message = self.in_hand[which].clone();
        if self.random.chance(10) {
            let known = &self.known[&message.id];
            // A read that was made to fail is no answer.
            if self.disk.has_power() && !self.disk.has_read_faults() {
                assert_eq!(known.content, content_of(&message), "in hand");
            }
        }
        let pending: Vec<u32> = message.statuses().pending().collect();
        let all = self.random.chance(2);
        let mut notes = Vec::new();
        for index in pending {
            if all || self.random.chance(2) {
                let (outcome, state) = OUTCOMES[self.random.below(if all { 2 } else { OUTCOMES.len() })];
                notes.push((index, outcome, state));
            }
        }
        let replies: Vec<Note<'_>> = notes
            .iter()
            .map(|&(index, outcome, _)| Note {
                index,
                outcome,
                reply: "450 4.0.0 a reply of usual length",
            })
            .collect();
        let known = self.known.get_mut(&message.id).unwrap();
        for &(index, _, state) in &notes {
            let states = &mut known.states[index as usize];
            let is_late = states.last() == Some(&RecipientState::Delayed);
            let sticks = is_late && state == RecipientState::Deferred;
            states.push(if sticks { RecipientState::Delayed } else { state });
        }
        if self.random.chance(3) {
            self.spool.record(message.id, &replies).unwrap();
            return;
        }
        let later = self.now.plus_ms(self.random.below(3) as u64 * 1000);
        if self.spool.settle(message.id, &replies, later).unwrap() {
            known.fate = Fate::Done;
        }
        self.in_hand.swap_remove(which);
        self.now = self.now.plus_ms(100);
    }

    fn ask_like_an_operator(&mut self) {
        let rows = self.spool.list(&Filter::default(), 50);
        if rows.is_empty() {
            return;
        }
        let id = rows[self.random.below(rows.len())].id;
        match self.random.below(6) {
            0 => _ = self.spool.hold(id),
            1..3 => _ = self.spool.release(id, self.now),
            3 => _ = self.spool.retry(id, self.now),
            4 => {
                if self.spool.drop_message(id) {
                    self.known.get_mut(&id).unwrap().fate = Fate::Done;
                }
            }
            _ => self.spool.suspend("d1.test", self.now.plus_ms(500)),
        }
    }

    /// One life of the process, from start to crash.
    fn live(&mut self) {
        if self.random.chance(3) {
            let mut one_in = |often: usize| {
                if self.random.chance(2) {
                    5 + self.random.below(often)
                } else {
                    0
                }
            };
            let faults = Faults {
                write_fails: one_in(40),
                sync_fails: one_in(40),
                create_fails: one_in(4),
                read_fails: one_in(60),
                files_max: 0,
            };
            let files_max = if self.random.chance(3) {
                3 + self.random.below(6)
            } else {
                0
            };
            self.disk.set_faults(Faults { files_max, ..faults });
        }
        self.is_power_planned = self.random.chance(2);
        if self.is_power_planned {
            self.disk.fail_power_after(1 + self.random.below(120) as u64);
        }
        let things = 20 + self.random.below(150);
        for _ in 0..things {
            self.one_thing();
            if !self.disk.has_power() {
                // A little longer, as the process does not know.
                (0..self.random.below(10)).for_each(|_| self.one_thing());
                break;
            }
        }
        self.spool.check();
        self.check_nothing_is_stuck();
    }

    /// No sweep left something behind: troubles of the disk are fine, this one would be ours.
    fn check_nothing_is_stuck(&self) {
        for trouble in self.spool.troubles() {
            assert!(
                !trouble.contains("could not be moved"),
                "seed {}: {trouble}",
                self.seed
            );
        }
    }

    fn crash(&mut self) {
        self.writing.clear();
        self.in_hand.clear();
        self.tokens.clear();
        match self.random.below(8) {
            // Stopped in good order.
            0 if self.disk.has_power() => self.spool.finish(),
            // The process is killed and the system lives: what was written is there, synced or not.
            0..3 => {}
            _ => self.disk.crash(),
        }
        self.disk.restore();
        // Ids that nothing on the disk has seen are told apart by the time only.
        self.now = self.now.plus_ms(1);
        self.spool = open(&self.disk, self.settings.clone());
        self.verify();
    }

    /// Holds the spool after a start against the model, which then knows what it was unsure of.
    fn verify(&mut self) {
        let seed = self.seed;
        self.spool.check();
        let recovery = self.spool.recovery();
        assert_eq!(
            0,
            recovery.damaged_records,
            "seed {seed}: {:?}",
            self.spool.troubles()
        );
        let rows = self.spool.list(&Filter::default(), usize::MAX);
        assert_eq!(recovery.messages, rows.len() as u64);
        for row in &rows {
            let known = self
                .known
                .get_mut(&row.id)
                .expect("a message that nobody committed");
            assert!(
                !matches!(known.fate, Fate::Gone | Fate::DoneForGood),
                "seed {seed}: {} came back, it was {:?}",
                row.id,
                known.fate
            );
            known.fate = Fate::Spooled;
            let message = self.spool.load(row.id).unwrap().expect("listed");
            assert_eq!(known.content, content_of(&message), "seed {seed}");
            assert_eq!(row.id.0.to_le_bytes().to_vec(), message.annotations);
            let paths: Vec<&str> = message
                .envelope
                .recipients
                .iter()
                .map(|r| r.forward_path.as_str())
                .collect();
            assert_eq!(known.paths, paths);
            let statuses = message.statuses();
            for (index, states) in (0..).zip(&mut known.states) {
                let state = statuses.state(index).unwrap();
                assert!(
                    states.contains(&state),
                    "seed {seed}: {} {index} {state:?} is none of {states:?}",
                    row.id.0
                );
                *states = vec![state];
            }
        }
        let ids: std::collections::HashSet<SpoolId> = rows.iter().map(|r| r.id).collect();
        assert_eq!(rows.len(), ids.len(), "once each");
        self.known.retain(|id, known| {
            if !ids.contains(id) {
                assert!(known.fate != Fate::Spooled, "seed {seed}: {id} is lost");
                known.fate = Fate::Gone;
            }
            true
        });
    }

    /// Delivers everything and finds that nothing is left, not even space.
    fn drain(&mut self) {
        let later = self.now.plus_ms(10_000_000);
        for row in self.spool.list(&Filter::default(), usize::MAX) {
            self.spool.release(row.id, later);
        }
        loop {
            let mut taken = self.spool.take_due(later, 10, 100);
            while self.spool.read_step() {}
            taken.extend(self.spool.loaded());
            if taken.is_empty() {
                break;
            }
            for message in taken {
                assert_eq!(self.known[&message.id].content, content_of(&message));
                let notes: Vec<Note<'_>> = message
                    .statuses()
                    .pending()
                    .map(|index| Note {
                        index,
                        outcome: Outcome::Delivered,
                        reply: "",
                    })
                    .collect();
                assert!(self.spool.settle(message.id, &notes, later).unwrap());
            }
        }
        for _ in 0..3 {
            crate::tests::steps(&self.spool);
        }
        self.spool.check();
        self.check_nothing_is_stuck();
        let stats = self.spool.stats();
        assert_eq!(
            (0, 0),
            (stats.live_octets, stats.pending_octets),
            "seed {}",
            self.seed
        );
        assert!(stats.segments <= 2, "seed {}: {stats:?}", self.seed);
    }
}

impl Spool {
    /// Whether nothing waits and nothing was kept back.
    fn is_all_durable(&self) -> bool {
        let is_empty = lock(&self.shared().inbox).items.is_empty();
        is_empty && self.log().retained.is_empty() && self.shared().health() == crate::shared::Health::Good
    }

    fn check(&self) {
        let log = self.log();
        let inbox = lock(&self.shared().inbox);
        let waiting = inbox.items.iter().map(|(item, _)| item).chain(&log.retained);
        let garbage = waiting.flat_map(|item| match item {
            Item::Done(ended) => ended.garbage.clone(),
            _ => Vec::new(),
        });
        let garbage: Vec<_> = garbage.collect();
        drop(inbox);
        check_books(&lock(&self.shared().core), &garbage);
    }
}

const CRASHES_PER_HISTORY: u64 = 10;
const CRASHES: u64 = 20_000;
const SOAK_CRASHES: u64 = 1_000_000;

fn run_history(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..CRASHES_PER_HISTORY {
        world.live();
        world.crash();
    }
    world.drain();
}

/// Found by soaks. What each showed has a test of its own (`tests/space_and_damage.rs`), as another order of random
/// numbers makes other histories of these.
#[test]
fn histories_that_went_wrong_once_go_right() {
    for seed in [30125116000067907, 30125134371117843, 30125134371127772] {
        run_history(seed);
    }
}

#[test]
fn nothing_is_lost_doubled_or_half_there_after_thousands_of_crashes() {
    if let Ok(seed) = std::env::var("PYMTA_SEED") {
        return run_history(seed.parse().unwrap());
    }
    let is_soak = std::env::var_os("PYMTA_SOAK").is_some();
    let default = if is_soak { SOAK_CRASHES } else { CRASHES };
    let crashes: u64 = std::env::var("PYMTA_CRASHES").map_or(default, |n| n.parse().unwrap());
    let histories = crashes.div_ceil(CRASHES_PER_HISTORY);
    // The ordinary run is the same each time; a soak shall find what the ones before did not.
    let first = if is_soak { seconds_since_1970() << 24 } else { 1 };
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        let halves: Vec<_> = (0..2)
            .map(|half| {
                scope.spawn(move || {
                    for seed in (first..first + histories).filter(|seed| seed % 2 == half) {
                        let result = std::panic::catch_unwind(|| run_history(seed));
                        assert!(result.is_ok(), "PYMTA_SEED={seed} shows it");
                    }
                })
            })
            .collect();
        halves.into_iter().for_each(|half| half.join().unwrap());
    });
    let (crashes, took) = (histories * CRASHES_PER_HISTORY, began.elapsed());
    println!("{crashes} crashes in {took:.1?}, seeds from {first} on");
}

fn seconds_since_1970() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}
