//! Any sequence of operations, by us, by other programs, and with kills in the midst of them, against a simple model.
//!
//! What must hold after every step:
//! - the folders hold what the model says, and the index says what the folders hold;
//! - a UID never stands for another message than before;
//! - a client that only ever asks for changes has what a client that asks for everything gets.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use crate::sandbox::{Sandbox, later, list};
use crate::{Account, Added, CopyMode, IndexError, Mailbox, StoreMode};

const NAMES: [&str; 2] = ["INBOX", "Other"];
const FOLDERS: [&str; 2] = ["", ".Other"];

#[derive(Clone, Debug)]
enum Step {
    Deliver(usize),
    Append(usize, u8, u8),
    Store(usize, u8, u8, u8),
    Expunge(usize, u8),
    Copy(usize, usize, u8, bool),
    OthersFlag(usize, u8, u8),
    OthersRemove(usize, u8),
    Settle(usize),
    Reopen,
    LoseIndex,
}

/// A step, and after how many of its parts it is cut short.
fn steps() -> impl Strategy<Value = Vec<(Step, Option<i64>)>> {
    let (at, which) = (0usize..2, any::<u8>());
    let step = prop_oneof![
        3 => at.clone().prop_map(Step::Deliver),
        2 => (at.clone(), 1u8..4, 0u8..64).prop_map(|(a, b, c)| Step::Append(a, b, c)),
        4 => (at.clone(), which, 0u8..3, 0u8..64).prop_map(|(a, b, c, d)| Step::Store(a, b, c, d)),
        2 => (at.clone(), any::<u8>()).prop_map(|(a, b)| Step::Expunge(a, b)),
        3 => (at.clone(), 0usize..2, any::<u8>(), any::<bool>()).prop_map(|(a, b, c, d)| Step::Copy(a, b, c, d)),
        2 => (at.clone(), any::<u8>(), 0u8..64).prop_map(|(a, b, c)| Step::OthersFlag(a, b, c)),
        2 => (at.clone(), any::<u8>()).prop_map(|(a, b)| Step::OthersRemove(a, b)),
        1 => at.prop_map(Step::Settle),
        1 => Just(Step::Reopen),
        1 => Just(Step::LoseIndex),
    ];
    let kill = prop_oneof![3 => Just(None), 1 => (0i64..8).prop_map(Some)];
    proptest::collection::vec((step, kill), 1..25)
}

/// What a client knows that only asks for changes.
#[derive(Default)]
struct Replica {
    uid_validity: u32,
    modseq: u64,
    messages: BTreeMap<u32, u8>,
}

struct World {
    sandbox: Sandbox,
    account: Arc<Account>,
    clock_s: u64,
    count: usize,
    /// Of each mailbox: contents with flags.
    model: [Vec<(String, u8)>; 2],
    replicas: [Replica; 2],
    /// Which content a UID stands for, by mailbox, UIDVALIDITY and UID.
    contents: HashMap<(usize, u32, u32), String>,
}

impl World {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let account = sandbox.open();
        account.create(NAMES[1], None, later(0)).unwrap();
        Self {
            sandbox,
            account,
            clock_s: 100,
            count: 0,
            model: Default::default(),
            replicas: Default::default(),
            contents: HashMap::new(),
        }
    }

    fn mailbox(&self, at: usize) -> Arc<Mailbox> {
        self.account
            .mailbox(NAMES[at], later(self.clock_s))
            .unwrap()
            .unwrap()
    }

    fn reopen(&mut self) {
        self.account = self.sandbox.open();
    }

    /// The messages whose bit is set, taken round.
    fn chosen(&self, at: usize, which: u8) -> (Vec<u32>, Vec<usize>) {
        let messages = self.mailbox(at).messages().unwrap();
        let (mut uids, mut places) = (Vec::new(), Vec::new());
        for (index, message) in messages.iter().enumerate() {
            if which >> (index % 8) & 1 == 1 {
                // Copies with the same flags stand for each other.
                let wanted = (self.content(at, message.uid), message.flags);
                let is_it = |place: &usize| self.model[at][*place] == wanted && !places.contains(place);
                places.push((0..self.model[at].len()).find(is_it).unwrap());
                uids.push(message.uid);
            }
        }
        (uids, places)
    }

    fn content(&self, at: usize, uid: u32) -> String {
        let mut content = String::new();
        let file = self.mailbox(at).open_file(uid, later(self.clock_s)).unwrap();
        file.unwrap().read_to_string(&mut content).unwrap();
        content
    }

    fn fresh(&mut self) -> String {
        self.count += 1;
        format!("n: {}\n\n", self.count)
    }

    /// A file of a mailbox, with its folder.
    fn file(&self, at: usize, which: u8) -> Option<(String, String)> {
        let folder = |sub: &str| {
            format!("{}/{sub}", FOLDERS[at])
                .trim_start_matches('/')
                .to_owned()
        };
        let mut files = Vec::new();
        for sub in ["cur", "new"] {
            files.extend(
                self.sandbox
                    .list(&folder(sub))
                    .into_iter()
                    .map(|name| (folder(sub), name)),
            );
        }
        (!files.is_empty()).then(|| files.swap_remove(usize::from(which) % files.len()))
    }

    /// Does a step to the accounts and to the model. An error is that of a step that was cut short.
    fn take(&mut self, step: &Step) -> Result<(), IndexError> {
        let now = later(self.clock_s);
        match *step {
            Step::Deliver(at) => {
                let content = self.fresh();
                let name = self.sandbox.deliver(&content);
                if at == 1 {
                    let from = format!("{name},S={},W={}", content.len(), content.len() + 2);
                    let root = &self.sandbox.folder;
                    fs::rename(root.join("new").join(&from), root.join(".Other/new").join(&from)).unwrap();
                }
                self.model[at].push((content, 0));
            }
            Step::Append(at, count, flags) => {
                let mut upload = self.mailbox(at).begin_append();
                let mut added = Vec::new();
                for _ in 0..count {
                    let content = self.fresh();
                    upload.begin(
                        Added {
                            flags,
                            ..Added::default()
                        },
                        now,
                    )?;
                    upload.write(content.replace('\n', "\r\n").as_bytes())?;
                    added.push((content, flags));
                }
                upload.commit(now)?;
                self.model[at].extend(added);
            }
            Step::Store(at, which, mode, flags) => {
                let (uids, places) = self.chosen(at, which);
                let mode = [StoreMode::Add, StoreMode::Remove, StoreMode::Replace][usize::from(mode)];
                self.mailbox(at).store(&uids, mode, (flags, &[]), None, now)?;
                for place in places {
                    let known = &mut self.model[at][place].1;
                    *known = match mode {
                        StoreMode::Add => *known | flags,
                        StoreMode::Remove => *known & !flags,
                        StoreMode::Replace => flags,
                    };
                }
            }
            Step::Expunge(at, which) => {
                let (uids, mut places) = self.chosen(at, which);
                assert_eq!(uids, self.mailbox(at).remove(&uids, now)?);
                places.sort_unstable();
                for place in places.into_iter().rev() {
                    self.model[at].remove(place);
                }
            }
            Step::Copy(from, to, which, moves) => {
                let (uids, mut places) = self.chosen(from, which);
                let mode = if moves { CopyMode::Move } else { CopyMode::Copy };
                let copied = self.mailbox(from).copy(&self.mailbox(to), &uids, mode, now)?;
                assert_eq!(uids, copied.uids.iter().map(|pair| pair.0).collect::<Vec<_>>());
                let taken: Vec<_> = places
                    .iter()
                    .map(|&place| self.model[from][place].clone())
                    .collect();
                if moves {
                    places.sort_unstable();
                    for place in places.into_iter().rev() {
                        self.model[from].remove(place);
                    }
                }
                self.model[to].extend(taken);
            }
            Step::OthersFlag(at, which, flags) => {
                if let Some((folder, name)) = self.file(at, which) {
                    let root = &self.sandbox.folder;
                    let content = fs::read_to_string(root.join(&folder).join(&name)).unwrap();
                    let was = crate::flag::of_name(&name);
                    let letters = crate::flag::letters(flags);
                    let to = root.join(folder.replace("new", "cur"));
                    let renamed = pymta_maildir::with_letters(&name, letters);
                    fs::rename(root.join(&folder).join(&name), to.join(renamed)).unwrap();
                    let place = self.model[at]
                        .iter()
                        .position(|m| *m == (content.clone(), was))
                        .unwrap();
                    self.model[at][place].1 = flags;
                }
            }
            Step::OthersRemove(at, which) => {
                if let Some((folder, name)) = self.file(at, which) {
                    let path = self.sandbox.folder.join(folder).join(&name);
                    let content = fs::read_to_string(&path).unwrap();
                    let was = crate::flag::of_name(&name);
                    fs::remove_file(path).unwrap();
                    let place = self.model[at]
                        .iter()
                        .position(|m| *m == (content.clone(), was))
                        .unwrap();
                    self.model[at].remove(place);
                }
            }
            Step::Settle(at) => while self.mailbox(at).settle(now)? {},
            Step::Reopen => self.reopen(),
            Step::LoseIndex => {
                fs::remove_file(self.sandbox.folder.join("pymta.index")).unwrap();
                self.reopen();
                self.replicas = Default::default();
                self.contents.clear(); // the clock of these tests goes on; the real one does as well
            }
        }
        Ok(())
    }

    /// The model becomes what is there; what was there is, but for messages that the step was to take away.
    fn accept_cut(&mut self, step: &Step) {
        let before: Vec<String> = self.model.iter().flatten().map(|m| m.0.clone()).collect();
        for (at, folder) in FOLDERS.iter().enumerate() {
            let root = self.sandbox.folder.join(folder);
            self.model[at].clear();
            for sub in ["new", "cur"] {
                for name in list(&root.join(sub)) {
                    let content = fs::read_to_string(root.join(sub).join(&name)).unwrap();
                    self.model[at].push((content, crate::flag::of_name(&name)));
                }
            }
        }
        if !matches!(step, Step::Expunge(..)) {
            for content in before {
                assert!(
                    self.model.iter().flatten().any(|m| m.0 == content),
                    "lost: {content:?}"
                );
            }
        }
    }

    fn check(&mut self) {
        self.clock_s += 10; // what was recent is not any more
        for (at, name) in NAMES.iter().enumerate() {
            let mailbox = self.mailbox(at);
            mailbox.reconcile(later(self.clock_s)).unwrap();
            let status = mailbox.status().unwrap();
            let messages = mailbox.messages().unwrap();
            assert!(messages.windows(2).all(|pair| pair[0].uid < pair[1].uid));
            let mut found: Vec<(String, u8)> = messages
                .iter()
                .map(|m| (self.content(at, m.uid), m.flags))
                .collect();
            for (message, (content, _)) in messages.iter().zip(&found) {
                let key = (at, status.uid_validity, message.uid);
                let known = self.contents.entry(key).or_insert_with(|| content.clone());
                assert_eq!(known, content, "a UID stands for another message");
                assert!(message.uid < status.uid_next && message.modseq <= status.highest_modseq);
            }
            let mut expected = self.model[at].clone();
            found.sort();
            expected.sort();
            assert_eq!(expected, found, "{name}");
            assert_eq!(messages.len(), status.messages as usize);
            let sizes: u64 = found.iter().map(|m| m.0.len() as u64 + 2).sum();
            assert_eq!(sizes, mailbox.octets(later(self.clock_s)).unwrap());

            let replica = &mut self.replicas[at];
            if replica.uid_validity != status.uid_validity {
                *replica = Replica {
                    uid_validity: status.uid_validity,
                    ..Replica::default()
                };
            }
            let changes = mailbox.changes(replica.modseq).unwrap();
            for range in &changes.vanished {
                replica.messages.retain(|uid, _| !range.contains(uid));
            }
            replica
                .messages
                .extend(changes.changed.iter().map(|m| (m.uid, m.flags)));
            replica.modseq = changes.highest_modseq;
            let truth: BTreeMap<u32, u8> = messages.iter().map(|m| (m.uid, m.flags)).collect();
            assert_eq!(truth, replica.messages);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_index_and_folders_agree(steps in steps()) {
        let mut world = World::new();
        for (step, kill) in steps {
            if let Some(after) = kill {
                world.account.steps.store(after, Ordering::Relaxed);
            }
            let outcome = world.take(&step);
            if outcome.is_err() {
                prop_assert!(kill.is_some(), "{:?}", outcome);
                world.reopen();
                world.accept_cut(&step);
            }
            world.account.steps.store(i64::MAX, Ordering::Relaxed);
            world.check();
        }
    }
}
