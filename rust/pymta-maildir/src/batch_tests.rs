//! Batches on the simulated file system: what was answered is there after any crash, and what is there is whole.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use proptest::prelude::*;
use pymta_types::UnixMs;

use crate::MaildirError;
use crate::batch::{Batch, Content, Delivery, LineEndings, Order};
use crate::name::{Flags, Host, MessageName};
use crate::path::{FolderName, MailboxPath};
use crate::quota::{Ledger, Quota, Usage};
use crate::sim::{Random, Sim};

const NOW: UnixMs = UnixMs(1_764_061_234_000);
const ACCOUNTS: [&str; 3] = ["ann", "bob", "cy"];

/// Content that is handed out in pieces of its own choice.
pub(crate) struct Octets(pub(crate) Vec<u8>, pub(crate) usize);

impl Content for Octets {
    fn read_at(&self, offset: u64, out: &mut Vec<u8>, octets_max: usize) -> io::Result<usize> {
        let rest = &self.0[usize::try_from(offset).unwrap().min(self.0.len())..];
        let piece = &rest[..rest.len().min(octets_max).min(self.1)];
        out.extend_from_slice(piece);
        Ok(piece.len())
    }
}

pub(crate) fn delivery(account: &str, content: &str) -> Delivery {
    Delivery {
        mailbox: MailboxPath::new(["example.test", account]).unwrap(),
        folder: None,
        makes_folder: true,
        fields: format!("Delivered-To: {account}@example.test\r\n").into_bytes(),
        content: Arc::new(Octets(content.as_bytes().to_vec(), 5)),
        quota: Quota::default(),
        flags: Flags::default(),
        line_endings: LineEndings::Lf,
    }
}

fn order(token: u64, delivery: Delivery) -> Order {
    Order {
        token,
        delivery,
        now: NOW,
        number: token,
    }
}

fn run(files: &Sim, orders: &[Order]) -> Vec<(u64, Result<crate::Delivered, MaildirError>)> {
    Batch::new(files, &Host::new("mail.example.test", 1), &|_, _, _, _| {}).run(orders)
}

/// What readers of an account see: name and octets, of the inbox and of the folder Junk.
fn visible(files: &Sim, account: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = files.look(&["example.test", account, "new"]);
    found.extend(files.look(&["example.test", account, "cur"]));
    found.extend(files.look(&["example.test", account, ".Junk", "new"]));
    found
}

#[test]
fn a_message_is_in_new_with_its_fields_its_sizes_and_unix_lines() {
    let files = Sim::new(1);
    let outcomes = run(
        &files,
        &[order(7, delivery("ann", "Subject: x\r\n\r\nhello\r\n"))],
    );

    let text = "Delivered-To: ann@example.test\nSubject: x\n\nhello\n";
    let found = visible(&files, "ann");
    assert_eq!(found.len(), 1);
    assert_eq!(String::from_utf8(found[0].1.clone()).unwrap(), text);
    let name = MessageName::parse(&found[0].0);
    assert_eq!(name.file_octets, Some(text.len() as u64));
    assert_eq!(name.wire_octets, Some(text.len() as u64 + 4));
    assert_eq!(outcomes[0].0, 7);
    assert_eq!(outcomes[0].1.as_ref().unwrap().file_name, found[0].0);
    assert!(files.look(&["example.test", "ann", "tmp"]).is_empty());
}

#[test]
fn content_that_is_no_lines_is_not_touched() {
    let files = Sim::new(1);
    let mut binary = delivery("ann", "a\r\n\r\nb\nc\rd\r\n");
    binary.line_endings = LineEndings::AsTheyAre;
    binary.fields = Vec::new();
    run(&files, &[order(1, binary)]);

    let found = visible(&files, "ann");
    assert_eq!(found[0].1, b"a\r\n\r\nb\nc\rd\r\n");
    let name = MessageName::parse(&found[0].0);
    assert_eq!(name.file_octets, name.wire_octets);
}

#[test]
fn flags_put_it_into_cur_and_a_folder_below_the_mailbox() {
    let files = Sim::new(1);
    let mut seen = delivery("ann", "x\r\n");
    seen.flags = Flags::parse("SF");
    let mut junk = delivery("ann", "y\r\n");
    junk.folder = Some(FolderName::new("Junk").unwrap());
    run(&files, &[order(1, seen), order(2, junk)]);

    let cur = files.look(&["example.test", "ann", "cur"]);
    assert!(cur[0].0.ends_with(":2,FS"), "{}", cur[0].0);
    assert_eq!(files.look(&["example.test", "ann", ".Junk", "new"]).len(), 1);
    let marks = files.look(&["example.test", "ann", ".Junk"]);
    assert_eq!(marks, [("maildirfolder".to_owned(), Vec::new())]);
}

#[test]
fn a_folder_that_is_missing_and_not_to_be_made_leaves_it_in_the_inbox() {
    let files = Sim::new(1);
    let into_junk = |token, makes_folder| {
        let mut one = delivery("ann", "x\r\n");
        one.folder = Some(FolderName::new("Junk").unwrap());
        one.makes_folder = makes_folder;
        order(token, one)
    };
    run(&files, &[into_junk(1, false)]);
    assert_eq!(files.look(&["example.test", "ann", "new"]).len(), 1);
    run(&files, &[into_junk(2, true)]);
    run(&files, &[into_junk(3, false)]);
    assert_eq!(files.look(&["example.test", "ann", ".Junk", "new"]).len(), 2);
}

#[test]
fn a_quota_admits_what_fits_and_writes_down_what_is_used() {
    let files = Sim::new(1);
    let quota = Quota {
        octets: Some(80),
        messages: None,
    };
    let within = |account: &str, token| {
        let mut one = delivery(account, "0123456789\r\n");
        one.quota = quota;
        order(token, one)
    };
    // 31 octets of the field, 11 of the content: one fits, two do not.
    let outcomes = run(&files, &[within("ann", 1), within("ann", 2), within("bob", 3)]);

    assert!(outcomes[0].1.is_ok());
    assert!(matches!(
        outcomes[1].1,
        Err(MaildirError::OverQuota {
            used_octets: 42,
            used_messages: 1
        })
    ));
    assert!(outcomes[2].1.is_ok());
    let ledger = |files: &Sim| Ledger::parse(&files.look(&["example.test", "ann"])[0].1).unwrap();
    assert_eq!(
        ledger(&files).usage,
        Usage {
            octets: 42,
            messages: 1
        }
    );
    assert_eq!(ledger(&files).quota, quota);

    // What Trash holds does not count; what is added without a quota does.
    let mut trash = delivery("ann", "0123456789\r\n");
    trash.folder = Some(FolderName::new("Trash").unwrap());
    trash.quota = quota;
    let outcomes = run(&files, &[order(4, trash), order(5, delivery("ann", "x"))]);
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
    assert_eq!(
        ledger(&files).usage,
        Usage {
            octets: 42 + 32,
            messages: 2
        }
    );
}

#[test]
fn a_ledger_that_is_wrong_is_mended_before_a_message_is_refused() {
    let files = Sim::new(1);
    run(&files, &[order(1, delivery("ann", "x\r\n"))]);
    let mut one = delivery("ann", "y\r\n");
    one.quota = Quota {
        octets: Some(100),
        messages: Some(5),
    };
    run(&files, &[order(2, one)]);
    crate::files::Files::append(&files, &folder(&files), "maildirsize", b"1000 1\n").unwrap();

    let mut one = delivery("ann", "z\r\n");
    one.quota = Quota {
        octets: Some(100),
        messages: Some(5),
    };
    let outcomes = run(&files, &[order(3, one)]);

    assert!(outcomes[0].1.is_ok(), "{:?}", outcomes[0].1);
    let ledger = Ledger::parse(&files.look(&["example.test", "ann"])[0].1).unwrap();
    assert_eq!(
        ledger.usage,
        Usage {
            octets: 99,
            messages: 3
        }
    );
}

/// A message of a batch that is admitted by the ledger says nothing about the ledger being right for the next.
#[test]
fn a_ledger_that_is_wrong_is_mended_before_a_later_message_of_a_batch_is_refused() {
    let within = |token, messages_max| {
        let mut one = delivery("ann", "x\r\n");
        one.quota.messages = Some(messages_max);
        order(token, one)
    };
    let ledger_after = |files: &Sim| {
        let there = files.look(&["example.test", "ann"]);
        Ledger::parse(&there[0].1).unwrap().usage
    };
    let octets = "Delivered-To: ann@example.test\nx\n".len() as u64;
    for (room, fit) in [(3, 2), (4, 3), (5, 4)] {
        let files = Sim::new(1);
        run(&files, &[within(1, room)]);
        // One message less than fills it, though one is there.
        let stale = format!("0 {}\n", room - 2);
        crate::files::Files::append(&files, &folder(&files), "maildirsize", stale.as_bytes()).unwrap();
        let mut trash = within(9, room);
        trash.delivery.folder = Some(FolderName::new("Trash").unwrap());

        let mut orders = vec![trash];
        orders.extend((2..8).map(|token| within(token, room)));
        let outcomes = run(&files, &orders);

        let expected: Vec<u64> = std::iter::once(9).chain(2..2 + fit).collect();
        assert_eq!(delivered(&outcomes), expected);
        assert!(matches!(
            outcomes[6].1,
            Err(MaildirError::OverQuota { used_messages, .. }) if used_messages == room
        ));
        let usage = Usage {
            octets: octets * room,
            messages: room,
        };
        assert_eq!(ledger_after(&files), usage);
    }
}

/// Counting is for those who could fit: else whoever writes to a full mailbox makes the server look at all its files.
#[test]
fn a_ledger_that_was_just_written_and_says_over_is_believed_for_all_of_a_batch() {
    let files = Sim::new(1);
    let within = |token| {
        let mut one = order(token, delivery("ann", "x\r\n"));
        one.delivery.quota.messages = Some(2);
        one.now = UnixMs(1000);
        one
    };
    run(&files, &[within(1), within(2)]);
    for (name, _) in files.look(&["example.test", "ann", "new"]) {
        let new = crate::files::Files::open_folder(&files, &folder(&files), "new").unwrap();
        crate::files::Files::remove(&files, &new, &name).unwrap();
    }

    assert!(delivered(&run(&files, &[within(3), within(4), within(5)])).is_empty());
}

#[test]
fn what_a_batch_adds_without_a_quota_is_in_the_ledger_too() {
    let files = Sim::new(1);
    let with = |token, messages| {
        let mut one = delivery("ann", "x\r\n");
        one.quota.messages = messages;
        order(token, one)
    };
    run(&files, &[with(1, None), with(2, Some(9)), with(3, None)]);

    let there = files.look(&["example.test", "ann"]);
    assert_eq!(Ledger::parse(&there[0].1).unwrap().usage.messages, 3);
}

fn folder(files: &Sim) -> usize {
    use crate::files::Files;
    let domain = files.open_folder(files.root(), "example.test").unwrap();
    files.open_folder(&domain, "ann").unwrap()
}

/// Random orders for some accounts, and what each would leave.
fn random_orders(
    random: &mut Random,
    first: u64,
    count: usize,
) -> (Vec<Order>, BTreeMap<u64, (String, String)>) {
    let mut expected = BTreeMap::new();
    let mut orders = Vec::new();
    for number in 0..count as u64 {
        let token = first + number;
        let account = ACCOUNTS[random.below(ACCOUNTS.len())];
        let body = format!("message {token}\n").repeat(1 + random.below(4));
        let mut one = delivery(account, &body.replace('\n', "\r\n"));
        if random.below(4) == 0 {
            one.folder = Some(FolderName::new("Junk").unwrap());
        } else if random.below(4) == 0 {
            one.flags = Flags::parse("S");
        }
        if random.below(3) == 0 {
            one.quota.octets = Some(400);
        }
        let text = format!("Delivered-To: {account}@example.test\n{body}");
        expected.insert(token, (account.to_owned(), text));
        orders.push(order(token, one));
    }
    (orders, expected)
}

/// Every visible file is a whole message that somebody delivered; returns how often each is there.
fn check_visible(files: &Sim, expected: &BTreeMap<u64, (String, String)>) -> BTreeMap<u64, usize> {
    let mut found = BTreeMap::new();
    for account in ACCOUNTS {
        for (name, octets) in visible(files, account) {
            let text = String::from_utf8(octets).expect("half a message is visible");
            let known = expected.iter().find(|(_, e)| e.0 == account && e.1 == text);
            let (&token, _) = known.unwrap_or_else(|| panic!("{name} is no whole message: {text:?}"));
            assert_eq!(MessageName::parse(&name).file_octets, Some(text.len() as u64));
            *found.entry(token).or_insert(0) += 1;
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// The power ends at any call: what was answered "delivered" is there, once and whole, and nothing else is half.
    #[test]
    fn what_was_answered_survives_any_crash(seed in any::<u64>(), at in 0usize..260, count in 1usize..12) {
        let files = Sim::new(seed);
        let mut random = Random::new(seed ^ 0x5eed);
        let (first, mut expected) = random_orders(&mut random, 1, 3);
        let mut answered: Vec<u64> = delivered(&run(&files, &first));
        let (orders, more) = random_orders(&mut random, 100, count);
        expected.extend(more);
        files.end_power_at(at);
        let outcomes = run(&files, &orders);
        let _ = files.has_power();
        answered.extend(delivered(&outcomes));
        files.crash();

        let found = check_visible(&files, &expected);
        for token in answered {
            prop_assert_eq!(found.get(&token), Some(&1), "message {} was answered", token);
        }
    }

    /// Any call may fail: what was answered "delivered" is there once, what was not is not there, but where the disk
    /// failed after the name was given and failed again when it was taken back.
    #[test]
    fn what_failed_is_not_there(seed in any::<u64>(), one_in in 4usize..40, count in 1usize..12) {
        let files = Sim::new(seed);
        let (orders, expected) = random_orders(&mut Random::new(seed), 1, count);
        files.fail_one_in(one_in);
        let outcomes = run(&files, &orders);
        files.fail_one_in(0);

        let found = check_visible(&files, &expected);
        for (token, outcome) in outcomes {
            match outcome {
                Ok(_) => prop_assert_eq!(found.get(&token), Some(&1)),
                Err(MaildirError::Io { doing: "make the name durable", .. }) => {}
                Err(_) => prop_assert_eq!(found.get(&token), None),
            }
        }
    }

    /// However deliveries come, the ledger says what a count says.
    #[test]
    fn the_ledger_is_what_is_there(seed in any::<u64>(), batches in 1usize..5) {
        let files = Sim::new(seed);
        let mut random = Random::new(seed);
        for number in 0..batches {
            let (mut orders, _) = random_orders(&mut random, number as u64 * 100, 6);
            for order in &mut orders {
                order.delivery.quota = Quota { octets: Some(2000), messages: Some(30) };
            }
            run(&files, &orders);
        }
        for account in ACCOUNTS {
            let files_there = files.look(&["example.test", account]);
            let Some((_, octets)) = files_there.iter().find(|(name, _)| name == "maildirsize") else {
                prop_assert!(visible(&files, account).is_empty());
                continue;
            };
            let there = visible(&files, account);
            let sum: usize = there.iter().map(|(_, octets)| octets.len()).sum();
            let usage = Ledger::parse(octets).unwrap().usage;
            prop_assert_eq!(usage, Usage { octets: sum as u64, messages: there.len() as u64 });
        }
    }
}

fn delivered(outcomes: &[(u64, Result<crate::Delivered, MaildirError>)]) -> Vec<u64> {
    outcomes
        .iter()
        .filter(|(_, outcome)| outcome.is_ok())
        .map(|(token, _)| *token)
        .collect()
}
