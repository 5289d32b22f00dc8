//! What another program did in the moment of a change of our own is found, and nobody waits for the index meanwhile.

use std::fs;
use std::time::{Duration, Instant};

use super::*;
use crate::account::BUSY_MS;
use crate::sandbox::{Sandbox, later};
use crate::{StoreMode, flag};

/// A mailbox of which a second listing is due, of messages in `cur`.
fn due(sandbox: &Sandbox) -> std::sync::Arc<Mailbox> {
    for _ in 0..3 {
        sandbox.deliver("a\n");
    }
    let inbox = sandbox.inbox();
    for uids in [&[1, 2, 3][..], &[1]] {
        inbox.reconcile(later(10)).unwrap();
        inbox
            .store(uids, StoreMode::Remove, (flag::SEEN, &[]), None, later(10))
            .unwrap();
        inbox
            .store(uids, StoreMode::Add, (flag::SEEN, &[]), None, later(10))
            .unwrap();
    }
    assert!(state(&inbox).list_again_ms > 0);
    inbox
}

fn state(inbox: &Mailbox) -> State {
    inbox.account.read(|index| inbox.state(index)).unwrap()
}

/// Does something to `cur` of which its time does not tell.
fn unseen(sandbox: &Sandbox, act: impl FnOnce(&std::path::Path)) {
    let cur = sandbox.folder.join("cur");
    let before = fs::metadata(&cur).unwrap().modified().unwrap();
    act(&cur);
    fs::File::open(&cur).unwrap().set_modified(before).unwrap();
}

#[test]
fn where_all_is_as_known_nothing_is_due_any_more() {
    let sandbox = Sandbox::new();
    let inbox = due(&sandbox);
    assert!(!inbox.reconcile_but_list_again(later(11)).unwrap());
    assert!(inbox.reconcile_but_list_again(later(60)).unwrap());
    let before = inbox.status().unwrap();
    inbox.list_again(later(60)).unwrap();
    assert_eq!(0, state(&inbox).list_again_ms);
    assert!(!inbox.reconcile_but_list_again(later(61)).unwrap());
    assert_eq!(before, inbox.status().unwrap());
}

#[test]
fn what_others_did_in_the_same_moment_is_found() {
    let sandbox = Sandbox::new();
    let inbox = due(&sandbox);
    unseen(&sandbox, |cur| {
        let names = sandbox.list("cur");
        fs::remove_file(cur.join(&names[0])).unwrap();
        fs::rename(cur.join(&names[1]), cur.join(names[1].replace(":2,S", ":2,FS"))).unwrap();
        fs::write(cur.join("1700000001.another:2,"), "b\n").unwrap();
    });
    assert!(inbox.reconcile_but_list_again(later(60)).unwrap());
    assert_eq!(3, inbox.messages().unwrap().len()); // nothing tells of it yet
    inbox.list_again(later(60)).unwrap();
    let flags: Vec<u8> = inbox
        .messages()
        .unwrap()
        .iter()
        .map(|message| message.flags)
        .collect();
    assert_eq!(vec![flag::FLAGGED | flag::SEEN, flag::SEEN, 0], flags);
    assert_eq!(0, state(&inbox).list_again_ms);
}

#[test]
fn where_cur_has_just_changed_it_is_put_off_but_not_for_ever() {
    let sandbox = Sandbox::new();
    let inbox = due(&sandbox);
    let changed = fs::metadata(sandbox.folder.join("cur"))
        .unwrap()
        .modified()
        .unwrap();
    let at = changed.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let just_now = UnixMs(u64::try_from(at).unwrap());
    let set_due = |ms: i64| {
        let set = |transaction: &rusqlite::Transaction<'_>| {
            transaction.execute("UPDATE mailbox SET list_again_ms = ?1", [ms])?;
            Ok(())
        };
        inbox.account.write(set).unwrap();
    };
    set_due(milliseconds(just_now) - 1);
    inbox.list_again(just_now).unwrap();
    assert!(state(&inbox).list_again_ms > 0);
    set_due(milliseconds(just_now) - OVERDUE_MS);
    inbox.list_again(just_now).unwrap();
    assert_eq!(0, state(&inbox).list_again_ms);
}

/// Many sessions of several processes hear of the same change at once.
#[test]
fn what_another_has_taken_in_meanwhile_is_not_listed_again() {
    let sandbox = Sandbox::new();
    let (inbox, other) = (due(&sandbox), sandbox.inbox());
    inbox.reconcile(later(60)).unwrap();
    let folder = sandbox.folder.clone();
    fs::write(folder.join("cur/1700000001.another:2,"), "b\n").unwrap();
    inbox.account().meanwhile.set(move |doing| {
        if doing == "take in" {
            other.reconcile_but_list_again(later(60)).unwrap();
            let cur = folder.join("cur");
            let before = fs::metadata(&cur).unwrap().modified().unwrap();
            fs::write(cur.join("1700000002.unseen:2,"), "c\n").unwrap();
            fs::File::open(&cur).unwrap().set_modified(before).unwrap();
        }
    });
    inbox.reconcile_but_list_again(later(60)).unwrap();
    assert_eq!(4, inbox.messages().unwrap().len());
}

#[test]
fn it_does_not_wait_for_another_process() {
    let sandbox = Sandbox::new();
    let (inbox, other) = (due(&sandbox), sandbox.open());
    let began = Instant::now();
    let listed = other.write(|_| Ok(inbox.list_again(later(60))));
    assert!(matches!(listed, Ok(Ok(()))), "{listed:?}");
    assert!(began.elapsed() < Duration::from_millis(BUSY_MS / 2));
    assert!(inbox.reconcile_but_list_again(later(60)).unwrap());
    inbox.list_again(later(60)).unwrap();
    assert!(!inbox.reconcile_but_list_again(later(60)).unwrap());
}
