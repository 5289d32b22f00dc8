//! What holds for the client session whatever a server sends: no panic, one outcome a message, success only for what
//! went out whole, and nothing on the wire that could be taken for something else.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use pymta_smtp::client::{ClientEvent, ClientSession, ClientSettings, HeldContent, Outcome};
use pymta_types::{Address, Envelope, Recipient};

fn session(lmtp: bool) -> ClientSession {
    let mut settings = ClientSettings::new("client.example.test").unwrap();
    settings.lmtp = lmtp;
    ClientSession::new(Arc::new(settings), false)
}

fn envelope(recipients: usize) -> Envelope {
    Envelope {
        reverse_path: Some(Address::parse(b"a@example.test").unwrap()),
        recipients: (0..recipients)
            .map(|index| Recipient::new(Address::parse(format!("r{index}@example.test").as_bytes()).unwrap()))
            .collect(),
        ..Envelope::default()
    }
}

/// A driver that delivers as long as there is room, and notes everything.
struct Driver {
    session: ClientSession,
    /// How much goes out at a time.
    octets_max: usize,
    contents: Vec<Vec<u8>>,
    wire: Vec<u8>,
    outcomes: Vec<Outcome>,
    closed_count: usize,
    delivered: HashMap<u64, usize>,
}

impl Driver {
    fn new(session: ClientSession, contents: Vec<Vec<u8>>) -> Self {
        Self {
            session,
            octets_max: 1000,
            contents,
            wire: Vec::new(),
            outcomes: Vec::new(),
            closed_count: 0,
            delivered: HashMap::new(),
        }
    }

    fn receive(&mut self, chunk: &[u8]) {
        self.session.receive(chunk);
        self.turn();
    }

    fn turn(&mut self) {
        loop {
            while self.session.room() > 0 && !self.contents.is_empty() {
                let content = self.contents.remove(0);
                let recipients: Vec<u32> = (0..1 + u32::try_from(content.len() % 3).unwrap()).collect();
                let ticket = self
                    .session
                    .deliver(&envelope(3), &recipients, Box::new(HeldContent(content)))
                    .unwrap();
                self.delivered.insert(ticket, recipients.len());
            }
            let piece = self.session.output(self.octets_max, <[u8]>::to_vec);
            self.wire.extend(&piece);
            let events: Vec<_> = std::iter::from_fn(|| self.session.next_event()).collect();
            let quiet = piece.is_empty() && events.is_empty();
            for event in events {
                match event {
                    ClientEvent::Outcome(outcome) => self.outcomes.push(outcome),
                    ClientEvent::Closed(_) => self.closed_count += 1,
                    ClientEvent::Tls => self.session.tls_started().unwrap_or(()),
                    ClientEvent::Ready => {}
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// What must hold at the end of every session.
    fn finish(mut self) -> Result<Vec<u8>, TestCaseError> {
        self.session.end_of_stream("gone");
        self.turn();
        prop_assert!(self.session.closed());
        prop_assert_eq!(1, self.closed_count);
        prop_assert_eq!(self.delivered.len(), self.outcomes.len());
        for outcome in &self.outcomes {
            let mut indexes: Vec<u32> = outcome.outcomes.iter().map(|(index, _)| *index).collect();
            indexes.sort_unstable();
            indexes.dedup();
            prop_assert_eq!(Some(&indexes.len()), self.delivered.get(&outcome.ticket));
            prop_assert_eq!(indexes.len(), outcome.outcomes.len());
            for (_, reply) in &outcome.outcomes {
                prop_assert!(!reply.is_positive() || outcome.content_sent, "{:?}", outcome);
                prop_assert!(reply.code() / 100 != 3, "{:?}", outcome);
            }
        }
        // An idle session that is closed gives nothing any more.
        prop_assert!(self.session.output(1000, <[u8]>::is_empty));
        Ok(self.wire)
    }
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![b'\r', b'\n', b'.', b'a', 0]), 0..40)
}

/// Replies as a bad server may give them, in any order.
fn reply_line() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "250 2.1.0 ok\r\n",
        "250 ok\r\n",
        "250-x\r\n250-PIPELINING\r\n250 STARTTLS\r\n",
        "250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
        "354 go\r\n",
        "450 4.2.0 later\r\n",
        "550 5.1.1 no\r\n",
        "503 5.5.1 order\r\n",
        "220 go\r\n",
    ])
}

fn rude_line() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        9 => reply_line(),
        1 => prop::sample::select(vec!["421 bye\r\n", "334 \r\n", "garbage\r\n", "250-", "\r\n", "199 x\r\n"]),
    ]
}

/// What a strict server takes from a wire that was written for it: contents of DATA, and commands.
fn contents_of(wire: &[u8]) -> Vec<Vec<u8>> {
    let mut contents = Vec::new();
    let mut inside: Option<Vec<u8>> = None;
    for line in wire.split_inclusive(|&octet| octet == b'\n') {
        match (&mut inside, line) {
            (Some(content), b".\r\n") => {
                contents.push(std::mem::take(content));
                inside = None;
            }
            (Some(content), line) => content.extend_from_slice(line.strip_prefix(b".").unwrap_or(line)),
            (None, b"DATA\r\n") => inside = Some(Vec::new()),
            (None, _) => {}
        }
    }
    assert!(inside.is_none());
    contents
}

proptest! {
    #[test]
    fn any_replies_give_each_message_one_outcome(
        lmtp: bool,
        contents in prop::collection::vec(content(), 0..6),
        lines in prop::collection::vec(rude_line(), 0..40),
        joined in 1usize..4,
    ) {
        let mut driver = Driver::new(session(lmtp), contents);
        driver.receive(b"220 x\r\n");
        driver.receive(b"250-x\r\n250 PIPELINING\r\n");
        for group in lines.chunks(joined) {
            driver.receive(group.concat().as_bytes());
        }
        driver.finish()?;
    }

    #[test]
    fn any_octets_end_in_order(
        pipelining: bool,
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8),
    ) {
        let mut driver = Driver::new(session(false), vec![b"x\r\n".to_vec()]);
        driver.receive(b"220 x\r\n");
        driver.receive(if pipelining { b"250-x\r\n250 PIPELINING\r\n" } else { b"250 x\r\n" });
        for chunk in chunks {
            driver.receive(&chunk);
        }
        driver.finish()?;
    }

    #[test]
    fn any_split_of_what_arrives_makes_no_difference(
        contents in prop::collection::vec(content(), 0..4),
        lines in prop::collection::vec(reply_line(), 0..30),
        size in 1usize..7,
    ) {
        let (mut whole, mut split) = (session(false), session(false));
        let mut seen = (Vec::new(), Vec::new());
        let mut waiting = contents;
        let opening = ["220 x\r\n", "250-x\r\n250 PIPELINING\r\n"];
        for line in opening.iter().chain(&lines) {
            whole.receive(line.as_bytes());
            line.as_bytes().chunks(size).for_each(|chunk| split.receive(chunk));
            while whole.room() > 0 && !waiting.is_empty() {
                let content = waiting.remove(0);
                for session in [&mut whole, &mut split] {
                    session.deliver(&envelope(2), &[0, 1], Box::new(HeldContent(content.clone()))).unwrap();
                }
            }
            seen.0.push(whole.output(1000, <[u8]>::to_vec));
            seen.1.push(split.output(1000, <[u8]>::to_vec));
            loop {
                let events = (whole.next_event(), split.next_event());
                prop_assert_eq!(&events.0, &events.1);
                if events.0.is_none() {
                    break;
                }
            }
            prop_assert_eq!((whole.room(), whole.waiting_for()), (split.room(), split.waiting_for()));
        }
        prop_assert_eq!(seen.0, seen.1);
    }

    /// Attacks row 2: whatever a message holds, a server sees as many contents as there were messages, and pairs only.
    #[test]
    fn no_content_becomes_a_command(
        contents in prop::collection::vec(content(), 1..5),
        octets_max in 1usize..60,
    ) {
        let count = contents.len();
        let mut driver = Driver::new(session(false), contents);
        driver.octets_max = octets_max;
        driver.receive(b"220 x\r\n");
        driver.receive(b"250-x\r\n250 PIPELINING\r\n");
        // A server that answers what it was asked, in order.
        while driver.outcomes.len() < count {
            driver.receive(match driver.session.waiting_for().word() {
                "mail" | "final" => b"250 ok\r\n",
                "data" => b"354 go\r\n",
                other => panic!("{other}"),
            });
        }
        prop_assert!(driver.outcomes.iter().all(|outcome| outcome.outcomes.iter().all(|(_, reply)| reply.is_positive())));
        let wire = driver.finish()?;
        prop_assert!(pymta_smtp::stuff::has_clean_lines(&wire));
        prop_assert_eq!(count, contents_of(&wire).len());
        let mails = wire.windows(10).filter(|window| window == b"MAIL FROM:").count();
        prop_assert_eq!(count, mails);
    }
}

#[test]
fn a_large_message_goes_out_in_bounded_pieces() {
    let mut session = session(false);
    session.receive(b"220 x\r\n");
    session.output(1000, |_| ());
    session.receive(b"250-x\r\n250 PIPELINING\r\n");
    let content = b"0123456789abcdef\r\n".repeat(100_000);
    let length = content.len();
    session
        .deliver(&envelope(1), &[0], Box::new(HeldContent(content)))
        .unwrap();
    session.output(1000, |_| ());
    session.receive(b"250 ok\r\n250 ok\r\n354 go\r\n");
    let mut sent = 0;
    loop {
        let piece = session.output(64 * 1024, <[u8]>::len);
        if piece == 0 {
            break;
        }
        assert!(piece <= 64 * 1024 + 16, "{piece}");
        sent += piece;
    }
    assert_eq!(length + 3, sent);
    assert_eq!("final", session.waiting_for().word());
}

#[test]
fn content_that_cannot_be_read_ends_the_session_without_an_end_mark() {
    struct Broken;
    impl pymta_smtp::client::Content for Broken {
        fn len(&self) -> u64 {
            1_000_000
        }
        fn slices(&self) -> Option<(&[u8], &[u8])> {
            None
        }
        fn read_at(&self, offset: u64, out: &mut Vec<u8>, octets_max: usize) -> std::io::Result<usize> {
            if offset > 100_000 {
                return Err(std::io::ErrorKind::Other.into());
            }
            out.resize(out.len() + octets_max, b'a');
            Ok(octets_max)
        }
    }
    let mut session = session(false);
    session.receive(b"220 x\r\n");
    session.output(1000, |_| ());
    session.receive(b"250-x\r\n250-8BITMIME\r\n250 PIPELINING\r\n");
    session.deliver(&envelope(1), &[0], Box::new(Broken)).unwrap();
    session.output(1000, |_| ());
    session.receive(b"250 ok\r\n250 ok\r\n354 go\r\n");
    let mut sent = Vec::new();
    while session.output(32 * 1024, |piece| {
        sent.extend_from_slice(piece);
        !piece.is_empty()
    }) {}
    assert!(!sent.is_empty() && sent.iter().all(|&octet| octet == b'a'));
    assert!(session.closed());
    let events: Vec<_> = std::iter::from_fn(|| session.next_event()).collect();
    match &events[..] {
        [
            ClientEvent::Ready,
            ClientEvent::Outcome(outcome),
            ClientEvent::Closed(closed),
        ] => {
            assert_eq!(
                "451 4.3.0 the message could not be read from the spool",
                outcome.outcomes[0].1.to_string()
            );
            assert!(!outcome.content_sent);
            assert_eq!(Some(&outcome.outcomes[0].1), closed.reply.as_ref());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn bdat_is_for_small_messages() {
    for (octets, verb) in [(64 * 1024, "BDAT 65536 LAST\r\n"), (64 * 1024 + 2, "DATA\r\n")] {
        let mut session = session(false);
        session.receive(b"220 x\r\n");
        session.output(1000, |_| ());
        session.receive(b"250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
        let content = b"\r\n".repeat(octets / 2);
        session
            .deliver(&envelope(1), &[0], Box::new(HeldContent(content)))
            .unwrap();
        let sent = session.output(1000, |sent| String::from_utf8(sent.to_vec()).unwrap());
        assert!(sent.contains(verb), "{octets}: {sent}");
    }
}

#[test]
fn what_was_offered_in_the_clear_is_forgotten_with_the_handshake() {
    let mut session = session(false);
    session.receive(b"220 x\r\n");
    session.receive(b"250-x\r\n250-SIZE 1\r\n250 STARTTLS\r\n");
    session.receive(b"220 go\r\n");
    assert_eq!(Some(1), session.offered().size_octets_max);
    session.tls_started().unwrap();
    assert_eq!(None, session.offered().size_octets_max);
    assert!(session.offered().lines.is_empty());
}

#[test]
fn nothing_that_waited_goes_out_behind_the_end() {
    let mut session = session(false);
    session.receive(b"220 x\r\n");
    assert!(session.wants_write());
    session.receive(b"421 bye\r\n");
    assert!(session.closed() && !session.wants_write());
    assert!(session.output(1000, <[u8]>::is_empty));
}

#[test]
fn a_refused_delivery_changes_nothing() {
    use pymta_smtp::client::OrderError;
    let mut session = session(false);
    let held = || Box::new(HeldContent(b"x\r\n".to_vec()));
    assert_eq!(
        Err(OrderError::NotReady),
        session.deliver(&envelope(1), &[0], held())
    );
    assert_eq!(Err(OrderError::NoTls), session.tls_started());
    session.receive(b"220 x\r\n");
    session.output(1000, |_| ());
    session.receive(b"250 x\r\n");
    assert_eq!(
        Err(OrderError::NoSuchRecipient),
        session.deliver(&envelope(1), &[1], held())
    );
    assert_eq!(
        Err(OrderError::NoSuchRecipient),
        session.deliver(&envelope(1), &[], held())
    );
    assert_eq!(0, session.in_hand());
    assert_eq!(Ok(0), session.deliver(&envelope(1), &[0], held()));
    assert_eq!(
        Err(OrderError::NoRoom),
        session.deliver(&envelope(1), &[0], held())
    );
    session.quit();
    assert_eq!(
        Err(OrderError::NotReady),
        session.deliver(&envelope(1), &[0], held())
    );
    assert_eq!(1, session.in_hand());
}
