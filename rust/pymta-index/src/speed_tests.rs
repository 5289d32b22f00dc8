//! How long things take in a large mailbox. Not a test of anything that must hold: run by hand, in a release build.
//!
//! `cargo test --release -p pymta-index speed -- --ignored --nocapture`

use std::fs;
use std::time::Instant;

use crate::sandbox::{Sandbox, later, now};
use crate::{Added, CopyMode, StoreMode, flag};

const MESSAGES: u32 = 100_000;
const CHANGED: u32 = 10_000;

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    println!("{:>10.3} ms  {what}", begun.elapsed().as_secs_f64() * 1000.0);
    done
}

#[test]
#[ignore = "measures; takes some seconds"]
fn speed_of_a_large_mailbox() {
    let sandbox = Sandbox::new();
    for number in 0..MESSAGES {
        let name = format!("1700000000.M{number:06}P1Q{number}.mail.example.test,S=2,W=3:2,S");
        fs::write(sandbox.folder.join("cur").join(name), "a\n").unwrap();
    }
    let inbox = sandbox.open().mailbox("INBOX", now()).unwrap().unwrap();
    timed("first look", || inbox.reconcile(later(10)).unwrap());
    timed("second look", || inbox.reconcile(later(10)).unwrap());
    timed("status, counted", || inbox.status().unwrap());
    timed("status, known", || inbox.status().unwrap());
    timed("messages", || inbox.messages().unwrap());
    timed("messages again", || inbox.messages().unwrap());
    sandbox.deliver("a\n");
    timed("a delivery", || inbox.reconcile(now()).unwrap());
    let some: Vec<u32> = (1..=CHANGED).collect();
    timed("list again", || inbox.reconcile(later(20)).unwrap());
    timed("store in 10,000", || {
        inbox
            .store(&some, StoreMode::Add, (flag::FLAGGED, &[]), None, later(20))
            .unwrap()
    });
    timed("look after it", || inbox.reconcile(later(21)).unwrap());
    timed("list after it", || inbox.reconcile(later(60)).unwrap());
    let since = inbox.status().unwrap().highest_modseq - 1;
    timed("changes of 10,000", || inbox.changes(since).unwrap());
    timed("a keyword in 10,000", || {
        inbox
            .store(&some, StoreMode::Add, (0, &["k"]), None, now())
            .unwrap()
    });
    timed("store in 1", || {
        inbox
            .store(&[77], StoreMode::Add, (flag::ANSWERED, &[]), None, now())
            .unwrap()
    });
    timed("details of 10,000", || inbox.details(&some, now()).unwrap());
    let records: Vec<_> = some.iter().map(|&uid| (uid, vec![7u8; 700])).collect();
    timed("put 10,000 records of 700", || {
        inbox.put_records(&records).unwrap()
    });
    timed("records of 10,000", || inbox.records(&some).unwrap());
    inbox.account().create("b", None, now()).unwrap();
    let other = inbox.account().mailbox("b", now()).unwrap().unwrap();
    timed("copy 10,000", || {
        inbox.copy(&other, &some, CopyMode::Copy, now()).unwrap()
    });
    timed("move 10,000", || {
        inbox.copy(&other, &some, CopyMode::Move, now()).unwrap()
    });
    timed("expunge 10,000", || other.remove(&some, now()).unwrap());
    timed("append 100 of 4 KiB, one by one", || {
        for _ in 0..100 {
            let mut upload = inbox.begin_append();
            upload.begin(Added::default(), now()).unwrap();
            upload.write(&[b'x'; 4096]).unwrap();
            upload.commit(now()).unwrap();
        }
    });
    timed("open the account", || sandbox.open());
    let octets = fs::metadata(sandbox.folder.join("pymta.index")).unwrap().len();
    println!("{:>10} octets of index", octets);
}
