//! Mail goes from `new` to `cur` without anybody noticing, whatever others do meanwhile.

use std::time::{Duration, Instant};

use super::*;
use crate::account::BUSY_MS;
use crate::sandbox::{Sandbox, later, now};
use crate::{StoreMode, flag};

fn many(sandbox: &Sandbox) {
    for number in 0..=NEW_MAX {
        sandbox.deliver(&format!("{number}\n"));
    }
}

fn settle_all(mailbox: &Mailbox) {
    for _ in 0..=NEW_MAX / BATCH + 1 {
        if !mailbox.settle(now()).unwrap() {
            return;
        }
    }
    panic!("there is no end");
}

#[test]
fn many_go_to_cur_and_nobody_is_told_of_a_change() {
    let sandbox = Sandbox::new();
    many(&sandbox);
    let inbox = sandbox.inbox();
    assert!(inbox.is_unsettled().unwrap());
    let (status, messages) = (inbox.status().unwrap(), inbox.messages().unwrap());
    let recent = inbox.recent_count().unwrap();
    settle_all(&inbox);
    assert!(sandbox.list("new").is_empty());
    let names = sandbox.list("cur");
    assert_eq!(NEW_MAX as usize + 1, names.len());
    assert!(names.iter().all(|name| name.ends_with(":2,")), "{names:?}");
    assert!(!inbox.is_unsettled().unwrap());
    for at in [now(), later(10), later(20)] {
        inbox.reconcile(at).unwrap();
        assert_eq!(status, inbox.status().unwrap());
        assert_eq!(messages, inbox.messages().unwrap());
    }
    assert_eq!(recent, inbox.recent_count().unwrap());
    assert!(inbox.open_file(7, now()).unwrap().is_some());
    inbox
        .store(&[7], StoreMode::Add, (flag::SEEN, &[]), None, now())
        .unwrap();
    assert_eq!(
        1,
        sandbox
            .list("cur")
            .iter()
            .filter(|name| name.ends_with(":2,S"))
            .count()
    );
}

#[test]
fn a_few_are_let_be() {
    let sandbox = Sandbox::new();
    sandbox.deliver("a\n");
    assert!(!sandbox.inbox().is_unsettled().unwrap());
}

/// A delivery, a program that moves mail itself, and one that removes it, while we are at it.
#[test]
fn what_others_do_meanwhile_is_not_lost() {
    let sandbox = Sandbox::new();
    many(&sandbox);
    let inbox = sandbox.inbox();
    let (new, cur) = (sandbox.folder.join("new"), sandbox.folder.join("cur"));
    let mut round = 0;
    inbox.account().meanwhile.set(move |doing| {
        round += 1;
        let mut names = crate::sandbox::list(&new);
        let Some(name) = names.pop().filter(|_| doing == "rename a message" && round <= 3) else {
            return;
        };
        match round {
            1 => std::fs::rename(new.join(&name), cur.join(format!("{name}:2,F"))).unwrap(),
            2 => std::fs::remove_file(new.join(&name)).unwrap(),
            _ => std::fs::write(new.join("1700000009.late,S=2,W=3"), "b\n").unwrap(),
        }
    });
    settle_all(&inbox);
    inbox.reconcile(now()).unwrap();
    inbox.reconcile(later(10)).unwrap();
    let messages = inbox.messages().unwrap();
    assert_eq!(NEW_MAX as usize + 1, messages.len()); // one is gone, one came
    assert_eq!(
        1,
        messages
            .iter()
            .filter(|message| message.flags == flag::FLAGGED)
            .count()
    );
    for message in messages {
        assert!(
            inbox.open_file(message.uid, later(10)).unwrap().is_some(),
            "{message:?}"
        );
    }
}

/// Whoever reads here would wait as well.
#[test]
fn it_does_not_wait_for_another_process() {
    let sandbox = Sandbox::new();
    sandbox.deliver("a\n");
    let (inbox, other) = (sandbox.inbox(), sandbox.open());
    let began = Instant::now();
    let settled = other.write(|_| Ok(inbox.settle(now())));
    assert!(matches!(settled, Ok(Ok(false))), "{settled:?}");
    assert!(began.elapsed() < Duration::from_millis(BUSY_MS / 2));
    assert_eq!(1, sandbox.list("new").len());
    // What somebody asked for does.
    let waits_ms = inbox
        .account()
        .read(|index| Ok(index.pragma_query_value(None, "busy_timeout", |row| row.get::<_, i64>(0))?));
    assert_eq!(BUSY_MS.to_string(), waits_ms.unwrap().to_string());
    inbox.settle(now()).unwrap();
    assert!(sandbox.list("new").is_empty());
}

/// The file is where it was, or where it was going; the index knows at the next look.
#[test]
fn a_kill_loses_nothing() {
    for steps in 0..8 {
        let sandbox = Sandbox::new();
        for number in 0..3 {
            sandbox.deliver(&format!("{number}\n"));
        }
        let inbox = sandbox.inbox();
        let messages = inbox.messages().unwrap();
        inbox
            .account()
            .steps
            .store(steps, std::sync::atomic::Ordering::Relaxed);
        let settled = inbox.settle(now());
        drop(inbox);
        // Three renames and a commit.
        assert_eq!(steps > 3, settled.is_ok(), "{steps}");
        assert_eq!(
            steps.clamp(0, 3),
            i64::try_from(sandbox.list("cur").len()).unwrap()
        );
        let inbox = sandbox.inbox();
        assert_eq!(messages, inbox.messages().unwrap(), "{steps}");
        for message in messages {
            assert!(inbox.open_file(message.uid, now()).unwrap().is_some(), "{steps}");
        }
    }
}
