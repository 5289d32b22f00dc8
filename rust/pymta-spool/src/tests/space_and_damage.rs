//! Space that comes back, disks that fail or fill up, and damage that is found.

use super::*;
use crate::lock::lock;
use crate::log::Item;

#[test]
fn space_comes_back_and_files_are_used_again() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    for round in 0..300 {
        let id = spooled(&spool, &["a@example.test"], &content(3000));
        take(&spool, NOW).unwrap();
        assert!(spool.settle(id, &[delivered(0)], NOW).unwrap());
        while spool.read_step() {}
        assert!(disk.file_count() <= 6, "round {round}: {:?}", spool.stats());
    }
    steps(&spool);
    assert_eq!(0, spool.stats().live_octets);
}

#[test]
fn a_few_old_messages_do_not_keep_their_segments() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    let mut old = Vec::new();
    for round in 0..400usize {
        let octets = if round % 41 == 0 { 9000 } else { 1500 };
        let id = spooled(&spool, &["a@example.test", "b@b.test"], &content(octets + round));
        take(&spool, NOW).unwrap();
        if round % 20 == 1 || round % 41 == 0 {
            let later = NOW.plus_ms(1000);
            assert!(!spool.settle(id, &[deferred(0), delivered(1)], later).unwrap());
            old.push((id, octets + round));
        } else {
            assert!(spool.settle(id, &[delivered(0), delivered(1)], NOW).unwrap());
        }
    }
    steps(&spool);
    let stats = spool.stats();
    assert!(
        stats.segments * (64 << 10) < 3 * stats.live_octets + (5 << 16),
        "{stats:?}"
    );
    assert!(spool.troubles().is_empty());
    drop(spool);
    let spool = open(&disk, small());
    assert_eq!(old.len() as u64, spool.recovery().messages);
    for (id, octets) in old {
        let message = spool.load(id).unwrap().unwrap();
        assert_eq!(content(octets), content_of(&message));
        assert_eq!(vec![0], message.statuses().pending().collect::<Vec<_>>());
        assert_eq!("451 4.7.1 later", message.statuses().reply(0));
    }
}

#[test]
fn a_message_in_hand_is_readable_whatever_happens_to_its_segment() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    let id = spooled(&spool, &["a@example.test"], &content(20_000));
    let message = take(&spool, NOW).unwrap();
    assert!(spool.settle(id, &[delivered(0)], NOW).unwrap());
    for _ in 0..200 {
        let id = spooled(&spool, &["a@example.test"], &content(3000));
        take(&spool, NOW).unwrap();
        spool.settle(id, &[delivered(0)], NOW).unwrap();
    }
    assert_eq!(content(20_000), content_of(&message));
}

#[test]
fn a_failed_sync_is_survived_in_another_segment() {
    let disk = SimDisk::new(5);
    let spool = open(&disk, small());
    let first = spooled(&spool, &["a@example.test"], &content(100));
    disk.set_faults(crate::sim::Faults {
        sync_fails: 1,
        ..Default::default()
    });
    commit(&spool, &["a@example.test"], &content(200), Some(NOW));
    spool.write_step();
    let (_, result) = spool.completions().remove(0);
    assert!(result.as_ref().is_err_and(SpoolError::is_temporary), "{result:?}");
    assert_eq!(Admission::Broken, spool.admission(NOW));
    disk.set_faults(crate::sim::Faults::default());
    steps(&spool);
    assert_eq!(Admission::Ok, spool.admission(NOW), "it is tried again");
    let second = spooled(&spool, &["a@example.test"], &content(300));
    disk.crash();
    drop(spool);
    let spool = open(&disk, small());
    assert_eq!(2, spool.recovery().messages);
    assert!(spool.load(first).unwrap().is_some() && spool.load(second).unwrap().is_some());
}

#[test]
fn a_disk_that_stays_broken_is_not_filled_with_files() {
    let disk = SimDisk::new(5);
    let spool = open(&disk, small());
    spooled(&spool, &["a@example.test"], &content(100));
    disk.set_faults(crate::sim::Faults {
        sync_fails: 1,
        ..Default::default()
    });
    for _ in 0..50 {
        commit(&spool, &["a@example.test"], &content(200), Some(NOW));
        spool.write_step();
    }
    assert_eq!(50, spool.completions().len());
    assert!(disk.file_count() <= 4, "{} files", disk.file_count());
}

#[test]
fn a_full_disk_refuses_commits_and_heals() {
    let disk = SimDisk::new(5);
    let spool = open(&disk, small());
    disk.set_faults(crate::sim::Faults {
        files_max: 4,
        ..Default::default()
    });
    let mut ids = Vec::new();
    let mut refused = 0;
    for _ in 0..60 {
        commit(&spool, &["a@example.test"], &content(3000), Some(NOW));
        spool.write_step();
        match spool.completions().remove(0).1 {
            Ok(id) => ids.push(id),
            Err(error) => {
                assert!(matches!(error, SpoolError::Full), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && !ids.is_empty());
    assert_eq!(Admission::Full, spool.admission(NOW));
    // A body that is written while it arrives finds no room before its message is committed.
    commit(&spool, &["a@example.test"], &content(20_000), Some(NOW));
    spool.write_step();
    let (_, result) = spool.completions().remove(0);
    assert!(matches!(result, Err(SpoolError::Full)), "{result:?}");
    for _ in 0..ids.len() {
        let message = take(&spool, NOW).unwrap();
        assert!(spool.settle(message.id, &[delivered(0)], NOW).unwrap());
        spool.write_step();
    }
    for _ in 0..5 {
        spool.write_step();
    }
    spooled(&spool, &["a@example.test"], &content(3000));
    assert_eq!(Health::Good, spool.shared().health());
}

use crate::shared::Health;

#[test]
fn damage_in_the_middle_costs_what_it_hits_and_is_reported() {
    let disk = SimDisk::new(5);
    let spool = open(&disk, small());
    let ids: Vec<SpoolId> = (0..5)
        .map(|_| spooled(&spool, &["a@example.test"], &content(500)))
        .collect();
    drop(spool);
    let octets = disk.contents(1);
    let at = memchr::memmem::find_iter(&octets, b"Subject: test")
        .nth(2)
        .unwrap();
    disk.damage(1, at, b"#");
    let spool = open(&disk, small());
    assert_eq!(
        (4, 1),
        (spool.recovery().messages, spool.recovery().damaged_records)
    );
    assert_eq!(1, spool.stats().corrupt);
    assert_eq!(1, disk.set_aside_names().len());
    assert_eq!(1, spool.troubles().len());
    assert!(spool.load(ids[2]).unwrap().is_none());
    for id in [ids[0], ids[1], ids[3], ids[4]] {
        assert_eq!(content(500), content_of(&spool.load(id).unwrap().unwrap()));
    }
}

#[test]
fn a_damaged_header_of_a_segment_loses_nothing() {
    let disk = SimDisk::new(5);
    let spool = open(&disk, small());
    let id = spooled(&spool, &["a@example.test"], &content(500));
    let other = spooled(&spool, &["a@example.test"], &content(501));
    drop(spool);
    disk.damage(1, 2048, &[0xff; 64]);
    let spool = open(&disk, small());
    assert_eq!(2, spool.recovery().messages);
    assert_eq!(content(500), content_of(&spool.load(id).unwrap().unwrap()));
    assert_eq!(content(501), content_of(&spool.load(other).unwrap().unwrap()));
    assert_eq!(1, spool.troubles().len());
}

#[test]
fn a_message_that_lost_a_part_of_its_body_is_set_aside_and_not_delivered() {
    let disk = SimDisk::new(5);
    let spool = open(&disk, small());
    let id = spooled(&spool, &["a@example.test"], &content(20_000));
    drop(spool);
    let spool = open(&disk, small()); // so that the end of the first segment is known
    spooled(&spool, &["a@example.test"], &content(1));
    drop(spool);
    disk.damage(1, 4096 + 6000, b"####");
    let spool = open(&disk, small());
    assert!(spool.load(id).unwrap().is_none());
    assert_eq!(1, spool.recovery().messages);
    assert!(
        disk.set_aside_names()
            .iter()
            .any(|n| n.starts_with(&id.to_string()))
    );
    steps(&spool);
    drop(spool);
    assert_eq!(
        1,
        open(&disk, small()).recovery().messages,
        "it does not come back"
    );
}

#[test]
fn content_that_looks_like_a_record_does_not_become_one() {
    let disk = SimDisk::new(5);
    let spool = open(&disk, small());
    let victim = spooled(&spool, &["a@example.test"], &content(10));
    // The attacker knows the format and the segment's number, and even that this record will be damaged.
    let tombstone = crate::codec::encode_done(&[crate::codec::Tombstone {
        id: victim.0,
        segment: 1,
    }]);
    let header =
        crate::format::RecordHeader::of(0, crate::format::Kind::Done, 1, 4096, &tombstone, &[]).encode();
    let forged = [&header[..], &tombstone, &[0; 4]].concat();
    let mut body = content(0);
    (0..8).for_each(|i| body.extend([&forged[..], &vec![b'x'; i]].concat()));
    spooled(&spool, &["a@example.test"], &body);
    let octets = disk.contents(1);
    let at = memchr::memmem::find_iter(&octets, b"Subject: test")
        .nth(1)
        .unwrap();
    spooled(&spool, &["a@example.test"], &content(11));
    drop(spool);
    disk.damage(1, at, b"#");
    let spool = open(&disk, small());
    assert_eq!(1, spool.recovery().damaged_records);
    assert!(spool.load(victim).unwrap().is_some());
}

#[test]
fn a_later_format_is_refused() {
    let disk = SimDisk::new(5);
    drop({
        let spool = open(&disk, small());
        spooled(&spool, &["a@example.test"], &content(1));
        spool
    });
    let mut header = disk.contents(1)[2048..4096].to_vec();
    header[8] = 9;
    let crc = crc32c::crc32c(&header[..2044]);
    header[2044..].copy_from_slice(&crc.to_le_bytes());
    disk.damage(1, 2048, &header);
    let error = Spool::open_stepped(Arc::new(disk), small(), Box::new(|| {})).unwrap_err();
    assert!(matches!(error, SpoolError::LaterFormat { version: 9, .. }));
}

#[test]
fn ids_are_never_used_again_even_if_the_clock_goes_back() {
    let disk = SimDisk::new(5);
    let mut last = SpoolId(0);
    for restart in 0..20 {
        let spool = open(&disk, small());
        for _ in 0..12 {
            let id = spooled(&spool, &["a@example.test"], &content(4000));
            assert!(id > last);
            last = id;
            take(&spool, NOW).unwrap();
            spool.settle(id, &[delivered(0)], NOW).unwrap();
        }
        steps(&spool);
        assert!(spool.stats().segments < 6, "restart {restart}");
    }
}

#[test]
fn spools_of_different_shards_never_give_out_the_same_id() {
    let mut ids = std::collections::HashSet::new();
    for shard in [0, 1, 1023] {
        let spool = open(&SimDisk::new(5), Settings { shard, ..small() });
        let mut last = SpoolId(0);
        for _ in 0..2000 {
            let id = spool.shared().next_id(NOW);
            assert_eq!(u64::from(shard), id.0 % 1024);
            assert!(id > last && ids.insert(id));
            last = id;
        }
    }
}

#[test]
fn a_segment_with_several_statuses_of_one_message_is_given_back() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    let victim = spooled(&spool, &["a@example.test"], &content(10));
    let mut now = NOW;
    for _ in 0..2 {
        let message = take(&spool, now).unwrap();
        now = now.plus_ms(1000);
        spool.settle(message.id, &[deferred(0)], now).unwrap();
        steps(&spool);
    }
    let homes = |id: SpoolId| {
        let core = lock(&spool.shared().core);
        let slot = core.index.find(id.0).unwrap();
        let statuses = core.index.chain(slot).into_iter().map(|s| s.at.segment);
        [vec![core.index.get(slot).at.segment], statuses.collect()].concat()
    };
    assert_eq!(vec![1, 1], homes(victim));
    for number in 0..200 {
        let id = spooled(&spool, &["b@example.test"], &content(3000));
        take(&spool, NOW).unwrap();
        // Some stay, so that every segment is kept by a few and worth a sweep.
        let outcome = if number % 20 == 0 {
            deferred(0)
        } else {
            delivered(0)
        };
        spool.settle(id, &[outcome], NOW.plus_ms(1 << 40)).unwrap();
        steps(&spool);
    }
    assert!(homes(victim).iter().all(|&segment| segment > 1));
    assert!(!lock(&spool.shared().core).segments.map.contains_key(&1));
    assert_eq!(Vec::<String>::new(), spool.troubles());
}

#[test]
fn a_message_that_ends_while_it_is_moved_does_not_come_back() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    let settled = |count: usize| {
        for _ in 0..count {
            let id = spooled(&spool, &["a@example.test"], &content(3000));
            take(&spool, NOW).unwrap();
            assert!(spool.settle(id, &[delivered(0)], NOW).unwrap());
        }
    };
    let home = |id: SpoolId| {
        let core = lock(&spool.shared().core);
        core.index.find(id.0).map(|slot| core.index.get(slot).at.segment)
    };
    let victim = spooled(&spool, &["a@example.test"], &content(10));
    take(&spool, NOW).unwrap();
    spool
        .settle(victim, &[deferred(0)], NOW.plus_ms(1 << 40))
        .unwrap();
    let first_home = home(victim).unwrap();
    // Until a sweep has read it and not written it yet.
    let mut moves = Vec::new();
    let mut rounds = 0;
    while !moves
        .iter()
        .any(|item| matches!(item, Item::MoveMessage { id, .. } if *id == victim.0))
    {
        rounds += 1;
        assert!(rounds < 1000, "its segment is never swept");
        commit(&spool, &["a@example.test"], &content(3000), Some(NOW));
        spool.log().write_round(spool.shared(), moves);
        spool.completions();
        let message = take(&spool, NOW).unwrap();
        spool.settle(message.id, &[delivered(0)], NOW).unwrap();
        moves = spool.log().sweep_piece(spool.shared());
    }
    assert!(spool.drop_message(victim));
    // The round is longer than a segment, so that the copy lies in one and the tombstone in a later one.
    (0..30).for_each(|_| _ = commit(&spool, &["a@example.test"], &content(3000), Some(NOW)));
    spool.log().write_round(spool.shared(), moves);
    let ids: Vec<SpoolId> = spool
        .completions()
        .into_iter()
        .map(|(_, id)| id.unwrap())
        .collect();
    let copy_home = home(ids[0]).unwrap();
    let tombstone_home = home(ids[29]).unwrap();
    assert!(copy_home < tombstone_home);
    // What lies beside the copy stays in hand; everything else ends.
    while let Some(message) = take(&spool, NOW) {
        if home(message.id) != Some(copy_home) {
            spool.settle(message.id, &[delivered(0)], NOW).unwrap();
        }
    }
    settled(80);
    steps(&spool);
    let numbers: Vec<u32> = lock(&spool.shared().core).segments.map.keys().copied().collect();
    assert!(
        !numbers.contains(&first_home) && numbers.contains(&copy_home),
        "{numbers:?}"
    );
    assert!(
        !numbers.contains(&tombstone_home),
        "only what was carried on knows of the end"
    );
    drop(spool);
    let spool = open(&disk, small());
    assert!(spool.load(victim).unwrap().is_none(), "it came back");
}

#[test]
fn a_swept_segment_stays_until_its_tombstones_are_durable_elsewhere() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    // The first segment keeps most of its messages, the second has nothing but the tombstones of the others.
    let fill = |count: usize| -> Vec<SpoolId> {
        let one = |_| spooled(&spool, &["a@example.test"], &content(1900));
        (0..count).map(one).collect()
    };
    let segment_of = |id: &SpoolId| {
        let core = lock(&spool.shared().core);
        core.index.get(core.index.find(id.0).unwrap()).at.segment
    };
    let mut ids = fill(36);
    let ended: Vec<SpoolId> = ids.drain(..8).collect();
    assert_eq!((1, 2), (segment_of(&ids[0]), segment_of(ids.last().unwrap())));
    ended.iter().for_each(|&id| assert!(spool.drop_message(id)));
    steps(&spool);
    ids.extend(fill(36));
    for id in ids.iter().filter(|id| segment_of(id) == 2) {
        assert!(spool.drop_message(*id));
    }
    spool.log().write_round(spool.shared(), Vec::new());
    let moves = spool.log().sweep_piece(spool.shared());
    assert!(
        moves.iter().any(|item| matches!(item, Item::Done(_))),
        "tombstones are carried"
    );

    // They cannot be written: the segment is given up and no other can be had.
    lock(&spool.shared().spares).clear();
    disk.set_faults(crate::sim::Faults {
        write_fails: 1,
        files_max: 1,
        ..Default::default()
    });
    spool.log().write_round(spool.shared(), moves);
    disk.set_faults(crate::sim::Faults {
        files_max: 1,
        ..Default::default()
    });
    // The sweep comes to its end, and then the power fails.
    spool.shared().set_health(crate::shared::Health::Good); // as a segment that came back would make it
    spool.write_step();
    disk.crash();
    disk.restore();
    drop(spool);
    let spool = open(&disk, small());
    for id in ended {
        assert!(spool.load(id).unwrap().is_none(), "{id} came back");
    }
}

#[test]
fn a_refused_message_that_a_start_did_not_find_is_not_found_by_a_later_one() {
    let mut known_cuts = 0;
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let spool = open(&disk, small());
        let kept = spooled(&spool, &["a@example.test"], &content(100));
        let fails = crate::sim::Faults {
            sync_fails: 1,
            ..Default::default()
        };
        disk.set_faults(fails);
        commit(&spool, &["a@example.test"], &content(200), Some(NOW));
        // Neither this segment nor any other can be synced, but some of it reaches the disk.
        spool.write_step();
        drop(spool);

        disk.restore();
        let spool = open(&disk, small());
        let found = spool.recovery().messages;
        known_cuts += usize::from(found == 1 && !spool.log().cuts.is_empty());
        while spool.read_step() {} // there is room for a sweep
        steps(&spool);
        disk.crash();
        drop(spool);
        let spool = open(&disk, small());
        assert_eq!(found, spool.recovery().messages, "seed {seed}");
        assert!(spool.load(kept).unwrap().is_some());
    }
    assert!(known_cuts > 10, "{known_cuts}");
}
