//! Whatever several sessions do to one mailbox: what each was told is what there is.
//!
//! A client that believes nothing but the untagged responses keeps its own picture; after every command that may tell all,
//! it must be the server's. Deliveries and deletions behind our back belong to it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use pymta_imap::Enabled;
use pymta_imap::command::{Command, FetchItem, Flags, StoreAction};
use pymta_maildir::Quota;

use crate::sandbox::{Sandbox, Session, add_flags, all, copy, deleted, fetch, numbers, select};

/// What a client knows of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    uid: Option<u32>,
    flags: Option<BTreeSet<String>>,
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

    /// Asks what it does not know.
    fn learn(&mut self) {
        let said = self.say(fetch(all(), vec![FetchItem::Uid, FetchItem::Flags]));
        assert!(said.ends_with("a OK Fetched\r\n"), "{said}");
    }

    fn say(&mut self, command: Command) -> String {
        let said = self.session.say(command);
        self.hear(&said);
        said
    }

    fn say_uid(&mut self, command: Command) {
        let said = self.session.say_uid(command);
        self.hear(&said);
    }

    fn hear(&mut self, said: &str) {
        for line in said.lines().filter_map(|line| line.strip_prefix("* ")) {
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
    },
    Expunge,
    Copy {
        place: usize,
        removes: bool,
    },
    Noop,
    Poll,
    Fetch,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => Just(Act::Deliver),
        1 => (0..20usize).prop_map(Act::Lose),
        4 => (0..20usize, 0..4u8, 0..3u8, any::<bool>())
            .prop_map(|(place, flag, mode, by_uid)| Act::Store { place, flag, mode, by_uid }),
        1 => Just(Act::Expunge),
        1 => (0..20usize, any::<bool>()).prop_map(|(place, removes)| Act::Copy { place, removes }),
        2 => Just(Act::Noop),
        2 => Just(Act::Poll),
        2 => Just(Act::Fetch),
    ]
}

fn do_it(act: &Act, client: &mut Client, sandbox: &Sandbox) {
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
                silent: false,
                flags,
            };
            if *by_uid {
                client.say_uid(store);
            } else {
                client.say(store);
            }
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
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn what_each_session_was_told_is_what_there_is(acts in proptest::collection::vec((0..3usize, act()), 1..40)) {
        let sandbox = Sandbox::new();
        sandbox.deliver_many(4);
        let with_vanished = Enabled { condstore: true, qresync: true, ..Enabled::default() };
        let with_rev2 = Enabled { rev2: true, utf8: true, ..Enabled::default() };
        let mut clients = [
            Client::new(&sandbox, Enabled::default()),
            Client::new(&sandbox, with_vanished),
            Client::new(&sandbox, with_rev2),
        ];
        for (who, act) in &acts {
            do_it(act, &mut clients[*who], &sandbox);
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
            }
            pictures.push(client.messages.clone());
        }
        prop_assert_eq!(&pictures[0], &pictures[1]);
        prop_assert_eq!(&pictures[0], &pictures[2]);
        let uids: Vec<_> = pictures[0].iter().map(|known| known.uid).collect();
        prop_assert!(uids.is_sorted());
    }
}
