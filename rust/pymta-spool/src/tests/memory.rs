//! What waiting costs in memory, and what happens when too much waits.

use super::*;

#[test]
fn a_waiting_message_costs_at_most_100_octets_of_memory() {
    use crate::index::Index;
    use crate::schedule::Schedule;
    for count in [200_000usize, 260_000, 300_000] {
        let (mut index, mut schedule) = (Index::default(), Schedule::default());
        for i in 0..count {
            let slot = index.insert((NOW.0 << 20) + i as u64);
            let entry = index.get_mut(slot);
            entry.due_ms = NOW.0 + (i * 7919 % 100_000) as u64;
            schedule.join(&mut index, slot, &format!("domain{}.example.test", i % 10_000));
            schedule.add(&mut index, slot);
        }
        assert_eq!(count, index.len());
        let octets = index.memory_octets() + schedule.memory_octets();
        let each = octets / count;
        assert!(each <= 100, "{each} octets each at {count} messages");
    }
}

#[test]
fn memory_in_messages_is_bounded_and_what_is_not_kept_is_read_back() {
    let disk = SimDisk::new(5);
    let settings = Settings {
        memory_octets_max: 20_000,
        ..small()
    };
    let spool = open(&disk, settings);
    (0..20).for_each(|_| _ = spooled(&spool, &["a@example.test"], &content(3000)));
    let taken = spool.take_due(NOW, 100, 100);
    assert!((1..=6).contains(&taken.len()), "{}", taken.len());
    while spool.read_step() {}
    let loaded = spool.loaded();
    assert_eq!(20, taken.len() + loaded.len());
    assert!(loaded.iter().all(|m| content_of(m) == content(3000)));
}

#[test]
fn too_much_waiting_is_slow_and_then_refused() {
    let disk = SimDisk::new(5);
    let settings = Settings {
        pending_octets_max: 10_000,
        ..small()
    };
    let spool = open(&disk, settings);
    assert_eq!(Admission::Ok, spool.admission(NOW));
    commit(&spool, &["a@example.test"], &content(15_000), Some(NOW));
    assert_eq!(Admission::Slow, spool.admission(NOW));
    let token = commit(&spool, &["a@example.test"], &content(60_000), Some(NOW));
    assert!(spool.pending_octets() < 30_000);
    let completions = spool.completions();
    assert!(matches!(completions[..], [(t, Err(SpoolError::Slow))] if t == token));
    steps(&spool);
    assert_eq!(1, spool.completions().len());
    assert_eq!(Admission::Ok, spool.admission(NOW));
    assert_eq!(0, spool.pending_octets());
}
