//! Commits that are gathered share one sync, and none of them waits longer than its turn.

use std::sync::mpsc::channel;
use std::time::Duration;

use super::{NOW, commit, content, delivered, open, small};
use crate::Settings;
use crate::lock::lock;
use crate::sim::SimDisk;
use crate::spool::Spool;

/// Runs `work` on a real disk, and returns the spool's numbers when all `count` commits have succeeded.
fn commits_and_batches(name: &str, count: usize, work: impl Fn(&Spool)) -> (u64, u64) {
    let folder = std::env::temp_dir().join(format!("pymta-gathering-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let settings = Settings {
        segment_octets: 1 << 20,
        free_octets_min: 0,
        ..Settings::default()
    };
    let (bell, rung) = channel();
    let spool = Spool::open(&folder, settings, Box::new(move || _ = bell.send(()))).unwrap();
    work(&spool);
    let mut completed = 0;
    while completed < count {
        rung.recv_timeout(Duration::from_secs(20))
            .expect("nobody woke us");
        completed += spool.completions().into_iter().filter(|(_, r)| r.is_ok()).count();
    }
    let stats = spool.stats();
    drop(spool);
    std::fs::remove_dir_all(folder).unwrap();
    (stats.commits, stats.commit_batches)
}

#[test]
fn what_is_gathered_shares_one_batch() {
    let numbers = commits_and_batches("share", 5, |spool| {
        spool.gather();
        for size in 0..5 {
            commit(spool, &["a@example.test"], &content(size * 1000), Some(NOW));
        }
        spool.write_gathered();
    });
    assert_eq!((5, 1), numbers);
}

#[test]
fn a_turn_that_begins_before_the_writer_looks_holds_up_nothing() {
    let spool = open(&SimDisk::new(1), small());
    let is_quiet = || lock(&spool.shared().inbox).is_quiet();
    spool.gather();
    commit(&spool, &["a@example.test"], &content(100), Some(NOW));
    assert!(is_quiet());
    spool.write_gathered();
    spool.gather();
    assert!(!is_quiet());
    spool.write_step();
    assert!(is_quiet());
    let (_, id) = spool.completions().remove(0);
    assert_eq!(1, spool.take_due(NOW, 1, 1).len());

    // The same for what was pushed before the turn began: the end of a delivery.
    spool.write_gathered();
    spool.settle(id.unwrap(), &[delivered(0)], NOW).unwrap();
    spool.gather();
    assert!(!is_quiet());
}

#[test]
fn a_spool_that_closes_writes_what_is_still_gathered() {
    let numbers = commits_and_batches("close", 1, |spool| {
        spool.gather();
        commit(spool, &["a@example.test"], &content(100), Some(NOW));
        spool.close();
    });
    assert_eq!((1, 1), numbers);
}
