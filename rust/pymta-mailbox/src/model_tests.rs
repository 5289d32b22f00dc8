//! Whatever several sessions do to one mailbox: what each was told is what there is.
//!
//! A client that believes nothing but the untagged responses keeps its own picture; after every command that may tell all,
//! it must be the server's. Deliveries and deletions behind our back belong to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use pymta_imap::Enabled;
use pymta_imap::command::{Command, FetchItem, Flags, StoreAction};
use pymta_index::{Mailbox, Message, flag};
use pymta_maildir::Quota;

use crate::sandbox::{Sandbox, Session, add_flags, all, copy, deleted, fetch, now, numbers, select};

fn create(mailbox: &str) -> Command {
    Command::Create {
        mailbox: mailbox.to_owned(),
        special_use: Vec::new(),
    }
}

/// What a client knows of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    uid: Option<u32>,
    flags: Option<BTreeSet<String>>,
    /// Of a client that wants mod-sequences.
    modseq: Option<u64>,
}

impl Known {
    /// The flags after a silent STORE.
    fn work_out(&mut self, mode: u8, flags: &Flags) {
        let Some(known) = self.flags.as_mut() else {
            return;
        };
        let system = [
            (flags.seen, "\\Seen"),
            (flags.flagged, "\\Flagged"),
            (flags.deleted, "\\Deleted"),
        ];
        let system = system.into_iter().filter(|(is_named, _)| *is_named);
        let named = system
            .map(|(_, name)| name.to_owned())
            .chain(flags.keywords.iter().cloned());
        if mode == 2 {
            known.retain(|name| name == "\\Recent");
        }
        for name in named {
            if mode == 1 {
                known.remove(&name);
            } else {
                known.insert(name);
            }
        }
    }

    /// What is the same for all clients.
    fn for_all(&self) -> Self {
        let mut known = self.clone();
        known.modseq = None;
        if let Some(flags) = known.flags.as_mut() {
            flags.remove("\\Recent");
        }
        known
    }
}

struct Client {
    session: Session,
    messages: Vec<Known>,
}

impl Client {
    fn new(sandbox: &Sandbox, enabled: Enabled) -> Self {
        let mut client = Self {
            session: sandbox.session_with(enabled, Quota::default()),
            messages: Vec::new(),
        };
        client.say(select("INBOX"));
        client.learn();
        client
    }

    /// Selects anew.
    fn select(&mut self, mailbox: &str, read_only: bool) {
        self.say(Command::Select {
            mailbox: mailbox.to_owned(),
            read_only,
            condstore: false,
            qresync: None,
        });
        self.learn();
    }

    /// Asks what it does not know.
    fn learn(&mut self) {
        let mut items = vec![FetchItem::Uid, FetchItem::Flags];
        if self.session.enabled.condstore {
            items.push(FetchItem::ModSeq);
        }
        let said = self.say(fetch(all(), items));
        assert!(said.ends_with("a OK Fetched\r\n"), "{said}");
    }

    fn mailbox(&self, name: &str) -> Arc<Mailbox> {
        let found = self.session.view.account.mailbox(name, now());
        found.unwrap().unwrap()
    }

    /// Nothing is untold.
    fn check_all(&self, mailbox: &str, sandbox: &Sandbox) {
        check(self, mailbox, sandbox);
        let mailbox = self.mailbox(mailbox);
        assert_eq!(mailbox.messages().unwrap().len(), self.messages.len());
    }

    fn say(&mut self, command: Command) -> String {
        let said = self.session.say(command);
        self.hear(&said);
        said
    }

    fn hear(&mut self, said: &str) {
        for line in said.lines().filter_map(|line| line.strip_prefix("* ")) {
            if line.starts_with("OK [CLOSED]") {
                self.messages.clear();
            }
            if let Some(set) = line.strip_prefix("VANISHED ") {
                for range in set.split(',') {
                    let (first, last) = range.split_once(':').unwrap_or((range, range));
                    let range = first.parse::<u32>().unwrap()..=last.parse().unwrap();
                    self.messages
                        .retain(|known| !known.uid.is_some_and(|uid| range.contains(&uid)));
                }
                continue;
            }
            let Some((number, what)) = line.split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<usize>() else {
                continue;
            };
            match what.split(' ').next() {
                Some("EXISTS") => {
                    assert!(
                        number >= self.messages.len(),
                        "a number went without a word: {line}"
                    );
                    self.messages.resize(number, Known::default());
                }
                Some("EXPUNGE") => drop(self.messages.remove(number - 1)),
                Some("FETCH") => self.hear_fetch(number, what),
                _ => {}
            }
        }
    }

    fn hear_fetch(&mut self, number: usize, what: &str) {
        let known = &mut self.messages[number - 1];
        if let Some((_, rest)) = what.split_once("UID ") {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let uid = Some(digits.parse().unwrap());
            assert!(known.uid.is_none() || known.uid == uid, "another UID: {what}");
            known.uid = uid;
        }
        if let Some((_, rest)) = what.split_once("FLAGS (") {
            let flags = rest.split_once(')').unwrap().0;
            known.flags = Some(flags.split_whitespace().map(str::to_owned).collect());
        }
        if let Some((_, rest)) = what.split_once("MODSEQ (") {
            known.modseq = Some(rest.split_once(')').unwrap().0.parse().unwrap());
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Deliver,
    /// Somebody removes a file.
    Lose(usize),
    Store {
        place: usize,
        flag: u8,
        mode: u8,
        by_uid: bool,
        silent: bool,
    },
    Expunge,
    Copy {
        place: usize,
        removes: bool,
    },
    Noop,
    Poll,
    Fetch,
    Select {
        read_only: bool,
    },
    /// INBOX is renamed, so it is empty; or another mailbox, which is made anew.
    Rename {
        inbox: bool,
    },
    /// Looks into the other mailbox, and puts something there first.
    Visit(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => Just(Act::Deliver),
        1 => (0..20usize).prop_map(Act::Lose),
        4 => (0..20usize, 0..4u8, 0..3u8, any::<bool>(), any::<bool>())
            .prop_map(|(place, flag, mode, by_uid, silent)| Act::Store { place, flag, mode, by_uid, silent }),
        1 => Just(Act::Expunge),
        1 => (0..20usize, any::<bool>()).prop_map(|(place, removes)| Act::Copy { place, removes }),
        2 => Just(Act::Noop),
        2 => Just(Act::Poll),
        2 => Just(Act::Fetch),
        1 => any::<bool>().prop_map(|read_only| Act::Select { read_only }),
        1 => any::<bool>().prop_map(|inbox| Act::Rename { inbox }),
        2 => (0..20usize).prop_map(Act::Visit),
    ]
}

/// What the index has is what this session has, and what the next one would get of the others.
fn check(client: &Client, mailbox: &str, sandbox: &Sandbox) {
    let mailbox = client.mailbox(mailbox);
    let (numbers, rows) = (mailbox.numbers().unwrap(), mailbox.messages().unwrap());
    let shared = sandbox
        .accounts
        .rows()
        .get(&mailbox, numbers.uid_validity, numbers.highest_modseq);
    assert!(shared.is_none_or(|shared| *shared == rows));
    let Some(picture) =
        client.session.view.selected.as_ref().filter(|picture| {
            picture.mailbox.id() == mailbox.id() && picture.modseq == numbers.highest_modseq
        })
    else {
        return;
    };
    let held = picture.rows().iter().map(|row| Message {
        flags: row.flags & !flag::RECENT,
        ..*row
    });
    let held: Vec<_> = held.filter(|row| !picture.is_gone(row.uid)).collect();
    assert_eq!(held[..], rows[..held.len()]);
}

fn do_it(act: &Act, client: &mut Client, ghost: Option<&mut Client>, sandbox: &Sandbox) {
    let count = client.messages.len();
    match act {
        Act::Deliver => drop(sandbox.deliver("Subject: a\n\nb\n")),
        Act::Lose(place) => {
            let cur = sandbox.folder().join("cur");
            let names = Sandbox::files(&cur);
            if let Some(name) = names.get(*place) {
                std::fs::remove_file(cur.join(name)).unwrap();
            }
        }
        Act::Store {
            place,
            flag,
            mode,
            by_uid,
            silent,
        } => {
            let Some(known) = client.messages.get(*place) else {
                return;
            };
            let flags = Flags {
                seen: *flag == 0,
                flagged: *flag == 1,
                deleted: *flag == 2,
                keywords: (*flag == 3).then(|| "$Junk".to_owned()).into_iter().collect(),
                ..Flags::default()
            };
            let number = match (*by_uid, known.uid) {
                (false, _) => u32::try_from(place + 1).unwrap(),
                (true, Some(uid)) => uid,
                (true, None) => return,
            };
            let store = Command::Store {
                set: numbers(&[(number, number)]),
                unchanged_since: None,
                action: [StoreAction::Add, StoreAction::Remove, StoreAction::Replace][usize::from(*mode)],
                silent: *silent,
                flags: flags.clone(),
            };
            let said = if *by_uid {
                client.session.say_uid(store)
            } else {
                client.session.say(store)
            };
            if *silent && said.contains("a OK") {
                client.messages[*place].work_out(*mode, &flags);
            }
            client.hear(&said);
        }
        Act::Expunge => {
            if count > 0 {
                client.say(add_flags(numbers(&[(1, 1)]), deleted()));
            }
            // Who is told of UIDs that are gone has to know those that there are (RFC 7162 §3.2.10).
            if client.messages.iter().any(|known| known.uid.is_none()) {
                client.learn();
            }
            client.say(Command::Expunge(None));
        }
        Act::Copy { place, removes } => {
            if *place < count {
                let number = u32::try_from(place + 1).unwrap();
                client.say(copy(numbers(&[(number, number)]), "INBOX", *removes));
            }
        }
        Act::Noop => drop(client.say(Command::Noop)),
        Act::Poll => {
            let said = client.session.poll();
            client.hear(&said);
        }
        Act::Fetch => client.learn(),
        Act::Select { read_only } => client.select("INBOX", *read_only),
        Act::Rename { inbox: true } => {
            let to = format!("Old{}", sandbox.deliver("Subject: a\n\nb\n").replace('.', "-"));
            let said = client.say(Command::Rename {
                from: "INBOX".to_owned(),
                to,
            });
            assert!(said.contains("a OK"), "{said}");
        }
        Act::Rename { inbox: false } => {
            let said = client.say(Command::Delete("Other".to_owned()));
            assert!(said.contains("a OK"), "{said}");
            client.say(create("Other"));
        }
        Act::Visit(place) => {
            if *place < count {
                let number = u32::try_from(place + 1).unwrap();
                client.say(copy(numbers(&[(number, number)]), "Other", false));
            }
            client.select("Other", false);
            client.check_all("Other", sandbox);
            let ghost = ghost.unwrap();
            ghost.say(Command::Noop);
            if !ghost.session.view.is_selected() {
                ghost.select("Other", false);
            }
            ghost.check_all("Other", sandbox);
            client.select("INBOX", false);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn what_each_session_was_told_is_what_there_is(
        acts in proptest::collection::vec((0..3usize, act()), 1..40), has_recent in any::<bool>()
    ) {
        let mut sandbox = Sandbox::new();
        sandbox.has_recent = has_recent;
        sandbox.deliver_many(4);
        let with_vanished = Enabled { condstore: true, qresync: true, ..Enabled::default() };
        let with_rev2 = Enabled { rev2: true, utf8: true, ..Enabled::default() };
        let mut clients = [
            Client::new(&sandbox, Enabled::default()),
            Client::new(&sandbox, with_vanished),
            Client::new(&sandbox, with_rev2),
        ];
        clients[0].say(create("Other"));
        // It has the other mailbox selected, whatever becomes of that meanwhile.
        let mut ghost = Client::new(&sandbox, Enabled::default());
        ghost.select("Other", false);
        for (who, act) in &acts {
            do_it(act, &mut clients[*who], Some(&mut ghost), &sandbox);
            clients.iter().for_each(|client| check(client, "INBOX", &sandbox));
            // Likewise.
            if *who == 1 && clients[1].messages.iter().any(|known| known.uid.is_none()) {
                clients[1].learn();
            }
        }
        // New messages' UIDs are asked for; everything else was told.
        let mut pictures = Vec::new();
        for client in &mut clients {
            client.say(Command::Noop);
            let told = client.messages.clone();
            client.learn();
            prop_assert_eq!(told.len(), client.messages.len());
            for (told, there) in told.iter().zip(&client.messages) {
                prop_assert!(told.uid.is_none() || told.uid == there.uid);
                prop_assert!(told.flags.is_none() || told.flags == there.flags, "{:?} {:?}", told, there);
                prop_assert!(told.modseq.is_none() || told.modseq == there.modseq, "{:?} {:?}", told, there);
            }
            client.check_all("INBOX", &sandbox);
            pictures.push(client.messages.iter().map(Known::for_all).collect::<Vec<_>>());
        }
        prop_assert_eq!(&pictures[0], &pictures[1]);
        prop_assert_eq!(&pictures[0], &pictures[2]);
        let uids: Vec<_> = pictures[0].iter().map(|known| known.uid).collect();
        prop_assert!(uids.is_sorted());
    }
}

/// Steps of one session between any steps of others.
#[test]
fn what_each_session_was_told_is_what_there_is_whoever_is_quicker() {
    let sandbox = Sandbox::new();
    sandbox.deliver_many(40);
    let with_modseqs = Enabled {
        condstore: true,
        ..Enabled::default()
    };
    let with_rev2 = Enabled {
        rev2: true,
        utf8: true,
        ..Enabled::default()
    };
    let kinds = [Enabled::default(), with_modseqs, with_rev2];
    let mut clients: Vec<_> = kinds
        .into_iter()
        .map(|enabled| Client::new(&sandbox, enabled))
        .collect();
    std::thread::scope(|scope| {
        for (client, seed) in clients.iter_mut().zip(1u64..) {
            let sandbox = &sandbox;
            scope.spawn(move || {
                let mut random = seed;
                for _ in 0..200 {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let drawn = usize::try_from(random >> 40).unwrap();
                    let act = match drawn % 16 {
                        0 => Act::Deliver,
                        1 => Act::Expunge,
                        2 => Act::Copy {
                            place: drawn / 16 % 40,
                            removes: drawn % 3 == 0,
                        },
                        3 => Act::Select { read_only: false },
                        4..7 => Act::Noop,
                        7..10 => Act::Poll,
                        _ => Act::Store {
                            place: drawn / 16 % 40,
                            flag: u8::try_from(drawn / 640 % 4).unwrap(),
                            mode: u8::try_from(drawn / 2560 % 3).unwrap(),
                            by_uid: drawn % 5 == 0,
                            silent: drawn % 7 == 0,
                        },
                    };
                    do_it(&act, client, None, sandbox);
                }
            });
        }
    });
    for client in &mut clients {
        client.say(Command::Noop);
        let told = client.messages.clone();
        client.learn();
        for (told, there) in told.iter().zip(&client.messages) {
            assert!(told.uid.is_none() || told.uid == there.uid);
            assert!(
                told.flags.is_none() || told.flags == there.flags,
                "{told:?} {there:?}"
            );
            assert!(
                told.modseq.is_none() || told.modseq == there.modseq,
                "{told:?} {there:?}"
            );
        }
        client.check_all("INBOX", &sandbox);
    }
}
