//! What the spool promises, on the simulated disk and step by step, and once on a real one with its threads.

#![allow(clippy::cast_possible_truncation)] // small numbers of tests

mod gathering;
mod giving_up;
mod memory;
mod space_and_damage;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pymta_types::{Address, Envelope, Recipient, SpoolId, UnixMs};

use crate::sim::SimDisk;
use crate::spool::{Admission, Filter, Note, Spool};
use crate::{Commit, Outcome, RecipientState, Settings, SpoolError, State, StoredMessage};

pub(crate) const NOW: UnixMs = UnixMs(1_800_000_000_000);

pub(crate) fn small() -> Settings {
    Settings {
        segment_octets: 64 << 10,
        spill_octets: 4 << 10,
        ..Settings::default()
    }
}

pub(crate) fn open(disk: &SimDisk, settings: Settings) -> Spool {
    Spool::open_stepped(Arc::new(disk.clone()), settings, Box::new(|| {})).unwrap()
}

pub(crate) fn envelope(paths: &[&str]) -> Envelope {
    Envelope {
        reverse_path: Some(Address::parse(b"from@example.org").unwrap()),
        recipients: paths
            .iter()
            .map(|p| Recipient::new(Address::parse(p.as_bytes()).unwrap()))
            .collect(),
        ..Envelope::default()
    }
}

pub(crate) fn commit(spool: &Spool, paths: &[&str], content: &[u8], due: Option<UnixMs>) -> u64 {
    let mut writer = spool.writer();
    // In pieces, so that boundaries fall everywhere.
    for piece in content.chunks(701) {
        writer.write(piece);
    }
    let header_section = writer.header_section().to_vec();
    writer.commit(Commit {
        envelope: Arc::new(envelope(paths)),
        header_section,
        annotations: b"notes".to_vec(),
        spooled_at: NOW,
        due,
    })
}

pub(crate) fn steps(spool: &Spool) {
    use crate::log::Progress;
    for _ in 0..10_000 {
        if spool.write_step() != Progress::Worked {
            return;
        }
    }
    panic!("the writer does not come to rest");
}

fn spooled(spool: &Spool, paths: &[&str], content: &[u8]) -> SpoolId {
    let token = commit(spool, paths, content, Some(NOW));
    steps(spool);
    let completions = spool.completions();
    assert_eq!(1, completions.len());
    assert_eq!(token, completions[0].0);
    completions[0].1.clone().unwrap()
}

/// Takes one message that is due, from memory or disk.
pub(crate) fn take(spool: &Spool, now: UnixMs) -> Option<Arc<StoredMessage>> {
    let taken = spool.take_due(now, 1, 100);
    while spool.read_step() {}
    taken.into_iter().chain(spool.loaded()).next()
}

pub(crate) fn content_of(message: &StoredMessage) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let at = out.len() as u64;
        if message.read_at(at, &mut out, 1000).unwrap() == 0 {
            return out;
        }
    }
}

pub(crate) fn content(body_octets: usize) -> Vec<u8> {
    let mut content = b"Subject: test\r\nX-Folded: a\r\n b\r\n\r\n".to_vec();
    content.extend((0..body_octets).map(|i| (i * 31 % 253) as u8));
    content
}

/// Counts everything anew and compares it with the books; `garbage` is on its way to be counted out.
pub(crate) fn check_books(core: &crate::shared::Core, garbage: &[(crate::format::Location, u32)]) {
    let mut live: std::collections::BTreeMap<u32, u64> = core.segments.map.keys().map(|&n| (n, 0)).collect();
    let mut counts = [0; 4];
    let mut add = |at: crate::format::Location, octets: u32| {
        *live.get_mut(&at.segment).expect("a segment that exists") += u64::from(octets);
    };
    garbage.iter().for_each(|&(at, octets)| add(at, octets));
    for (slot, entry) in core.index.iter() {
        assert_eq!(Some(slot), core.index.find(entry.id));
        add(entry.at, entry.octets);
        core.index.chain(slot).iter().for_each(|s| add(s.at, s.octets));
        core.index
            .extents
            .get(&slot)
            .into_iter()
            .flatten()
            .for_each(|e| add(e.at, crate::apply::chunk_span(e)));
        counts[entry.state as usize] += 1;
        let waits = matches!(entry.state, State::Incoming | State::Deferred);
        assert_eq!(waits, entry.heap_at != crate::index::NO_SLOT, "{entry:?}");
        assert_eq!(
            entry.state == State::Active,
            core.index.in_hand.contains_key(&slot)
        );
    }
    assert_eq!(counts, core.counts.all());
    for (number, segment) in &core.segments.map {
        assert_eq!(live[number], segment.live_octets, "segment {number}");
    }
}

fn deferred(index: u32) -> Note<'static> {
    Note {
        index,
        outcome: Outcome::Deferred,
        reply: "451 4.7.1 later",
    }
}

fn delivered(index: u32) -> Note<'static> {
    Note {
        index,
        outcome: Outcome::Delivered,
        reply: "250 2.0.0 ok",
    }
}

#[test]
fn a_message_comes_out_as_it_went_in_from_memory_and_from_disk() {
    for body_octets in [0, 1, 700, 4095, 4096, 5000, 60_000, 300_000] {
        let disk = SimDisk::new(1);
        let spool = open(&disk, small());
        let id = spooled(
            &spool,
            &["a@example.test", "b@example.test"],
            &content(body_octets),
        );
        let message = take(&spool, NOW).unwrap();
        assert_eq!(id, message.id);
        assert_eq!(content(body_octets), content_of(&message));
        drop(spool);

        let spool = open(&disk, small());
        assert_eq!(1, spool.recovery().messages);
        let message = take(&spool, NOW).unwrap();
        assert_eq!((id, NOW), (message.id, message.spooled_at));
        assert_eq!(envelope(&["a@example.test", "b@example.test"]), *message.envelope);
        assert_eq!(b"notes".to_vec(), message.annotations);
        assert_eq!(content(body_octets), content_of(&message), "{body_octets} octets");
        assert_eq!(content(body_octets).len() as u64, message.content_len());
    }
}

#[test]
fn nothing_is_answered_before_the_sync() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    spooled(&spool, &["a@example.test"], &content(10)); // begins the segment
    assert!(take(&spool, NOW).is_some());
    commit(&spool, &["a@example.test"], &content(10), Some(NOW));
    assert!(spool.completions().is_empty());
    assert!(take(&spool, NOW).is_none());
    let before = disk.syncs();
    steps(&spool);
    assert_eq!(before + 1, disk.syncs());
    assert_eq!(1, spool.completions().len());
}

#[test]
fn commits_that_gather_share_one_sync() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    spooled(&spool, &["a@example.test"], &content(10)); // begins the segment
    let before = disk.syncs();
    (0..20).for_each(|_| _ = commit(&spool, &["a@example.test"], &content(100), Some(NOW)));
    steps(&spool);
    assert_eq!(20, spool.completions().len());
    assert_eq!(before + 1, disk.syncs());
    assert_eq!((21, 2), (spool.stats().commits, spool.stats().commit_batches));
}

#[test]
fn a_settled_message_is_gone_after_a_restart_and_a_deferred_one_is_not() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    let first = spooled(&spool, &["a@example.test"], &content(10));
    let second = spooled(&spool, &["a@example.test", "b@other.test"], &content(20));
    for _ in 0..2 {
        let message = take(&spool, NOW).unwrap();
        let notes = [delivered(0), deferred(1)];
        let count = message.envelope.recipients.len();
        let later = NOW.plus_ms(60_000);
        assert_eq!(
            count == 1,
            spool.settle(message.id, &notes[..count], later).unwrap()
        );
    }
    steps(&spool);
    drop(spool);

    let spool = open(&disk, small());
    assert_eq!(1, spool.recovery().messages);
    assert!(spool.load(first).unwrap().is_none());
    assert!(take(&spool, NOW).is_none());
    let rows = spool.list(&Filter::default(), 10);
    assert_eq!(
        (second, State::Deferred, 1),
        (rows[0].id, rows[0].state, rows[0].attempts)
    );
    assert_eq!("other.test", rows[0].group);
    let message = take(&spool, NOW.plus_ms(60_000)).unwrap();
    let statuses = message.statuses();
    assert_eq!(vec![1], statuses.pending().collect::<Vec<_>>());
    assert_eq!(Some(RecipientState::Delivered), statuses.state(0));
    assert_eq!("451 4.7.1 later", statuses.reply(1));
    assert_eq!(1, statuses.attempts());
}

#[test]
fn what_is_recorded_in_mid_round_survives_a_crash() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    let id = spooled(&spool, &["a@example.test", "b@example.test"], &content(10));
    let message = take(&spool, NOW).unwrap();
    spool.record(message.id, &[delivered(1)]).unwrap();
    steps(&spool);
    disk.crash();
    drop(spool);
    let spool = open(&disk, small());
    let message = take(&spool, NOW).unwrap();
    assert_eq!(id, message.id);
    assert_eq!(vec![0], message.statuses().pending().collect::<Vec<_>>());
}

#[test]
fn fifty_thousand_recipients_cost_octets_in_proportion() {
    let disk = SimDisk::new(1);
    let settings = Settings {
        segment_octets: 16 << 20,
        ..Settings::default()
    };
    let spool = open(&disk, settings.clone());
    let paths: Vec<String> = (0..50_000).map(|i| format!("u{i}@example.test")).collect();
    let paths: Vec<&str> = paths.iter().map(|p| &**p).collect();
    let id = spooled(&spool, &paths, &content(10));
    take(&spool, NOW).unwrap();
    let before = spool.stats().live_octets;
    for batch in 0..490u32 {
        let notes: Vec<Note<'_>> = (batch * 100..batch * 100 + 100).map(delivered).collect();
        spool.record(id, &notes).unwrap();
        if batch % 20 == 0 {
            steps(&spool);
        }
    }
    steps(&spool);
    let written = spool.stats().live_octets - before;
    assert!(written < 50_000 * 40, "{written} octets of status");
    // The end of the round merges them.
    assert!(!spool.settle(id, &[deferred(49_999)], NOW).unwrap());
    steps(&spool);
    let merged = spool.stats().live_octets - before;
    assert!(merged < 1000, "{merged} octets after the merge");
    drop(spool);
    let spool = open(&disk, settings);
    let message = take(&spool, NOW).unwrap();
    assert_eq!(1000, message.statuses().pending_count());
    assert_eq!(49_000, message.statuses().pending().next().unwrap());
}

#[test]
fn hold_release_retry_and_drop_do_what_they_say() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    let later = NOW.plus_ms(5_000_000);
    let token = commit(&spool, &["a@example.test"], &content(10), None);
    steps(&spool);
    let (answered, id) = spool.completions().remove(0);
    let id = id.unwrap();
    assert_eq!(token, answered);
    assert!(take(&spool, later).is_none(), "committed on hold");
    assert!(!spool.retry(id, NOW));
    assert!(spool.release(id, NOW));
    steps(&spool);
    drop(spool);

    let spool = open(&disk, small());
    let message = take(&spool, NOW).unwrap();
    assert!(!spool.drop_message(id), "in hand");
    assert!(spool.hold(id), "takes effect when it is settled");
    assert!(!spool.settle(message.id, &[deferred(0)], later).unwrap());
    assert_eq!(State::Hold, spool.list(&Filter::default(), 9)[0].state);
    steps(&spool);
    drop(spool);

    let spool = open(&disk, small());
    assert_eq!(1, spool.stats().hold);
    assert!(take(&spool, later).is_none());
    assert!(spool.release(id, NOW));
    assert!(take(&spool, NOW).is_some());
    assert!(!spool.settle(id, &[deferred(0)], later).unwrap());
    assert!(take(&spool, NOW).is_none());
    assert!(spool.retry(id, NOW));
    assert!(take(&spool, NOW).is_some());
    assert!(!spool.settle(id, &[deferred(0)], later).unwrap());
    assert!(spool.drop_message(id));
    assert!(!spool.hold(id) && !spool.release(id, NOW) && !spool.retry(id, NOW) && !spool.drop_message(id));
    steps(&spool);
    drop(spool);
    assert_eq!(0, open(&disk, small()).recovery().messages);
}

#[test]
fn a_list_goes_by_id_and_filters() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    let ids: Vec<SpoolId> = (0..10)
        .map(|i| {
            spooled(
                &spool,
                &[if i % 2 == 0 { "a@EVEN.test" } else { "a@odd.test" }],
                &content(i),
            )
        })
        .collect();
    let page = spool.list(&Filter::default(), 4);
    assert_eq!(ids[..4].to_vec(), page.iter().map(|r| r.id).collect::<Vec<_>>());
    let filter = Filter {
        after: Some(ids[3]),
        domain: Some("even.test"),
        state: Some(State::Incoming),
    };
    let page = spool.list(&filter, 4);
    assert_eq!(
        vec![ids[4], ids[6], ids[8]],
        page.iter().map(|r| r.id).collect::<Vec<_>>()
    );
    assert_eq!(NOW.0 / 1000, page[0].spooled_at.0 / 1000);
    let hold = Filter {
        state: Some(State::Hold),
        ..Filter::default()
    };
    assert!(spool.list(&hold, 4).is_empty());
}

#[test]
fn a_list_for_a_domain_has_what_may_be_for_it_also_after_a_restart() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    let one = spooled(&spool, &["a@one.test"], &content(0));
    let both = spooled(&spool, &["a@one.test", "a@two.test"], &content(1));
    let of = |spool: &Spool, domain| {
        let filter = Filter {
            domain: Some(domain),
            ..Filter::default()
        };
        let rows = spool.list(&filter, 9);
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let check = |spool: &Spool| {
        assert_eq!(vec![one, both], of(spool, "one.test"));
        assert_eq!(vec![both], of(spool, "two.test"));
        assert_eq!(vec![both], of(spool, "unknown.test"));
    };
    check(&spool);
    drop(spool);
    check(&open(&disk, small()));
}

#[test]
fn outcomes_of_what_is_not_there_are_refused() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    let id = spooled(&spool, &["a@example.test"], &content(10));
    assert!(matches!(
        spool.settle(id, &[delivered(0)], NOW),
        Err(SpoolError::NotActive)
    ));
    take(&spool, NOW).unwrap();
    assert!(matches!(
        spool.settle(id, &[delivered(1)], NOW),
        Err(SpoolError::NoSuchRecipient(1))
    ));
    assert!(spool.settle(id, &[delivered(0)], NOW).unwrap());
    assert!(matches!(spool.record(id, &[]), Err(SpoolError::NotActive)));
}

#[test]
fn a_header_section_beyond_its_limits_is_refused_at_the_end() {
    let disk = SimDisk::new(1);
    let settings = Settings {
        header_octets_max: 1000,
        header_fields_max: 5,
        ..small()
    };
    let spool = open(&disk, settings);
    let many = b"A: b\r\n".repeat(6);
    let folded = [b"A: b\r\n".repeat(5), b" continued\r\n\r\nbody".to_vec()].concat();
    let long = [&b"A: "[..], &b"x".repeat(2000), b"\r\n\r\nbody"].concat();
    for (content, violation) in [
        (&b"A: b\r\n\r\nbody"[..], None),
        (&folded, None),
        (&many, Some("too many header fields")),
        (&[&many[..], b"\r\nbody"].concat(), Some("too many header fields")),
        (&long, Some("header section too large")),
    ] {
        let mut writer = spool.writer();
        content.chunks(7).for_each(|c| writer.write(c));
        assert_eq!(violation, writer.violation());
        assert_eq!(content.len() as u64, writer.content_len());
        writer.commit(Commit {
            envelope: Arc::new(envelope(&["a@example.test"])),
            ..Commit::default()
        });
        steps(&spool);
        let (_, result) = spool.completions().remove(0);
        assert_eq!(violation.is_none(), result.is_ok());
    }
}

#[test]
fn header_section_and_body_are_split_wherever_the_pieces_end() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    for (content, header_octets) in [
        (&b"A: b\r\n\r\nbody\r\n\r\nmore"[..], 8),
        (b"\r\nbody", 2),
        (b"A: b\r\nno body", 13),
        (b"", 0),
        (b"\r", 1),
    ] {
        for piece_octets in 1..=content.len().max(1) {
            let mut writer = spool.writer();
            content.chunks(piece_octets).for_each(|c| writer.write(c));
            assert_eq!(&content[..header_octets], writer.header_section());
            assert_eq!(
                content[header_octets..].to_vec(),
                writer.read_body(0, 1000).unwrap()
            );
            assert_eq!((content.len() - header_octets) as u64, writer.body_len());
        }
    }
}

#[test]
fn a_body_can_be_read_before_the_commit_wherever_it_is() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    let whole = content(20_000);
    let mut writer = spool.writer();
    whole.chunks(999).for_each(|c| writer.write(c));
    let body = &whole[writer.header_section().len()..];
    assert!(writer.pending_octets() > 0);
    for _ in 0..2 {
        for (offset, octets_max) in [
            (0, 50_000),
            (0, 10),
            (4090, 12),
            (8192, 4096),
            (19_990, 100),
            (30_000, 5),
        ] {
            let end = (offset + octets_max).min(body.len());
            let expected = body.get(offset..end).unwrap_or_default();
            assert_eq!(expected, writer.read_body(offset as u64, octets_max).unwrap());
        }
        steps(&spool); // the second time from the disk
        assert_eq!(0, writer.pending_octets());
    }
}

#[test]
fn abandoned_content_leaves_nothing_that_counts() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    for _ in 0..20 {
        let mut writer = spool.writer();
        writer.write(&content(20_000));
        steps(&spool);
        drop(writer);
        steps(&spool);
    }
    assert_eq!(0, spool.shared().held_octets());
    assert_eq!(0, spool.pending_octets());
    assert_eq!(0, spool.stats().live_octets);
    assert!(spool.stats().segments <= 2, "{:?}", spool.stats());
}

#[test]
fn on_a_real_disk_with_threads() {
    let folder = std::env::temp_dir().join(format!("pymta-spool-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let woken = Arc::new((
        std::sync::Mutex::new(()),
        std::sync::Condvar::new(),
        AtomicUsize::new(0),
    ));
    let settings = Settings {
        segment_octets: 1 << 20,
        free_octets_min: 0,
        ..Settings::default()
    };
    let open = || {
        let woken = woken.clone();
        let waker = Box::new(move || {
            let _guard = woken.0.lock().unwrap();
            woken.2.fetch_add(1, Ordering::Relaxed);
            woken.1.notify_all();
        });
        Spool::open(&folder, settings.clone(), waker).unwrap()
    };
    let wait_for = |done: &mut dyn FnMut() -> bool| {
        let mut guard = woken.0.lock().unwrap();
        while !done() {
            let (next, timeout) = woken
                .1
                .wait_timeout(guard, std::time::Duration::from_secs(20))
                .unwrap();
            assert!(!timeout.timed_out(), "nobody woke us");
            guard = next;
        }
    };

    let spool = open();
    assert!(matches!(
        Spool::open(&folder, settings.clone(), Box::new(|| {})),
        Err(SpoolError::InUse)
    ));
    for i in 0..300usize {
        commit(&spool, &["a@example.test"], &content(i * 37), Some(NOW));
    }
    commit(&spool, &["big@example.test"], &content(3 << 20), Some(NOW));
    let mut completed = 0;
    wait_for(&mut || {
        completed += spool.completions().into_iter().filter(|(_, r)| r.is_ok()).count();
        completed == 301
    });
    for message in spool.take_due(NOW, 100, 1000) {
        assert!(spool.settle(message.id, &[delivered(0)], NOW).unwrap());
    }
    drop(spool);

    let spool = open();
    assert_eq!(201, spool.recovery().messages);
    assert_eq!(0, spool.recovery().damaged_records);
    let mut messages = spool.take_due(NOW, 1000, 1000);
    wait_for(&mut || {
        messages.extend(spool.loaded());
        messages.len() == 201
    });
    assert!(
        messages
            .iter()
            .any(|m| m.content_len() > 3 << 20 && content_of(m) == content(3 << 20))
    );
    for message in messages {
        spool.settle(message.id, &[delivered(0)], NOW).unwrap();
    }
    drop(spool);
    assert_eq!(0, open().recovery().messages);
    std::fs::remove_dir_all(folder).unwrap();
}
