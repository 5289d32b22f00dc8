//! A message whose client was told to come back is not in the spool, whenever its commit ends.

use super::{NOW, commit, content, open, small, steps, take};
use crate::SpoolError;
use crate::sim::{Faults, SimDisk};

const PATHS: &[&str] = &["a@example.test"];

#[test]
fn what_is_given_up_is_never_taken_and_does_not_come_back() {
    // The last is so large that its body is written apart.
    for body_octets in [10, 300_000] {
        let disk = SimDisk::new(1);
        let spool = open(&disk, small());
        let kept = commit(&spool, PATHS, &content(10), Some(NOW));
        let given_up = commit(&spool, PATHS, &content(body_octets), Some(NOW));
        assert!(spool.give_up(given_up));
        steps(&spool);

        let mut completions = spool.completions();
        completions.sort_by_key(|(token, _)| *token);
        assert!(matches!(
            completions[..],
            [(first, Ok(_)), (second, Err(SpoolError::GivenUp))] if (first, second) == (kept, given_up)
        ));
        assert!(take(&spool, NOW).is_some());
        assert!(take(&spool, NOW).is_none());
        assert_eq!((1, 1), (spool.stats().active, spool.stats().commits));
        drop(spool);
        assert_eq!(1, open(&disk, small()).recovery().messages);
    }
}

#[test]
fn what_has_ended_cannot_be_given_up_any_more() {
    let spool = open(&SimDisk::new(1), small());
    let token = commit(&spool, PATHS, &content(10), Some(NOW));
    steps(&spool);

    assert!(!spool.give_up(token));

    assert!(matches!(spool.completions()[..], [(ended, Ok(_))] if ended == token));
    assert!(take(&spool, NOW).is_some());
}

#[test]
fn what_fails_after_it_was_given_up_is_forgotten() {
    let disk = SimDisk::new(1);
    let spool = open(&disk, small());
    let token = commit(&spool, PATHS, &content(10), Some(NOW));
    assert!(spool.give_up(token));
    disk.set_faults(Faults {
        sync_fails: 1,
        ..Faults::default()
    });
    spool.write_step();

    assert!(matches!(spool.completions()[..], [(ended, Err(_))] if ended == token));
    assert!(!spool.shared().is_given_up(token));
}
