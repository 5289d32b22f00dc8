//! What must hold for any input: the same session however it is split, no panic, bounded memory, and calls in the
//! wrong order that change nothing.

#![allow(clippy::unwrap_used)] // what fails shall stop the test

mod common;

use common::{Answer, Behind, offer, reply};
use proptest::prelude::*;
use pymta_smtp::LineEndings;
use pymta_smtp::server::Offer;

/// A session that offers everything, with limits that random input can reach.
fn tight(which: usize) -> Offer {
    let mut offer = Offer {
        auth_mechanisms: vec!["PLAIN".to_owned()],
        auth_without_tls: true,
        xclient: true,
        lmtp: which == 2,
        line_endings: [LineEndings::Refuse, LineEndings::Normalise, LineEndings::Refuse][which],
        ..offer()
    };
    for (name, value) in [
        ("command_line_octets_max", 512),
        ("auth_line_octets_max", 600),
        ("text_line_octets_max", 1000),
        ("message_octets_max", 1500),
        ("recipients_max", 3),
        ("idle_commands_max", 6),
        ("violations_max", 5),
    ] {
        offer.limits.set(name, value).unwrap();
    }
    offer
}

/// Pieces of sessions, good and bad, so that random sequences reach every state.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        Just("EHLO client.example.test\r\n"),
        Just("LHLO client.example.test\r\n"),
        Just("HELO x\r\n"),
        Just("MAIL FROM:<a@example.test>\r\n"),
        Just("MAIL FROM:<> BODY=BINARYMIME SIZE=10\r\n"),
        Just("MAIL FROM:<a@example.test> SIZE=1501\r\n"),
        Just("RCPT TO:<b@example.test>\r\n"),
        Just("RCPT TO:<b@example.test> NOTIFY=NEVER\r\n"),
        Just("RCPT TO:<bad>\r\n"),
        Just("DATA\r\n"),
        Just("x\r\n.\r\n"),
        Just(".\r\n"),
        Just("..\r\n"),
        Just("\r\n.\r"),
        Just("\n.\n"),
        Just("a\rb\r\n"),
        Just("BDAT 5\r\n12\r\n\r"),
        Just("BDAT 5 LAST\r\n\n23\r\n"),
        Just("BDAT 2000\r\n"),
        Just("BDAT 0 LAST\r\n"),
        Just("BDAT x\r\n"),
        Just("RSET\r\n"),
        Just("NOOP\r\n"),
        Just("AUTH PLAIN\r\n"),
        Just("AGEAYg==\r\n"),
        Just("*\r\n"),
        Just("AUTH PLAIN AGEAYg==\r\n"),
        Just("XCLIENT NAME=a\r\n"),
        Just("QUIT\r\n"),
        Just("\0"),
        Just("\r"),
        Just("\n"),
    ];
    let deep = prop_oneof![
        Just("MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"),
        Just("MAIL FROM:<>\r\nRCPT TO:<b@example.test>\r\nRCPT TO:<c@example.test>\r\n"),
        Just("EHLO x\r\nMAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<b@example.test>\r\nBDAT 3\r\n\0\r\n"),
        Just("AUTH PLAIN\r\nAGEAYg==\r\n"),
    ];
    prop_oneof![
        8 => text.prop_map(|text| text.as_bytes().to_vec()),
        4 => deep.prop_map(|text| text.as_bytes().to_vec()),
        1 => (400usize..1600).prop_map(|octets| vec![b'x'; octets]),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ]
}

/// Events, replies and messages of a session that is fed so.
fn told(which: usize, answers: &[u8], pieces: &[&[u8]]) -> (Vec<String>, String, bool) {
    let mut behind = Behind::ready(tight(which));
    behind.answers.extend(answers.iter().map(|answer| match answer {
        0..=7 => Answer::Accept,
        8 => Answer::Challenge(b"?".to_vec()),
        _ => Answer::Refuse(reply("450 4.7.1 later")),
    }));
    for piece in pieces {
        behind.send(piece);
        assert!(behind.session.buffered_octets() <= 600 + piece.len());
    }
    (
        behind.events,
        String::from_utf8(behind.out).unwrap(),
        behind.session.is_closing(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_split_gives_the_same_session(
        which in 0usize..3,
        pieces in proptest::collection::vec(piece(), 0..24),
        answers in proptest::collection::vec(0u8..10, 0..12),
        cuts in proptest::collection::vec(1usize..700, 1..8),
    ) {
        let octets = pieces.concat();
        let by_octet: Vec<&[u8]> = octets.chunks(1).collect();
        let slowly = told(which, &answers, &by_octet);
        let mut some = Vec::new();
        let mut rest = &octets[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            some.push(head);
            rest = tail;
        }
        for pieces in [vec![&octets[..]], some] {
            let told = told(which, &answers, &pieces);
            // Content that is there before DATA is refused is about time, not about splits.
            if !told.0.iter().any(|event| event.starts_with("PipelinedContent")) {
                prop_assert_eq!(&slowly, &told);
            }
        }
    }

    #[test]
    fn random_octets_never_panic(
        which in 0usize..3,
        octets in proptest::collection::vec(any::<u8>(), 0..300),
        cut in 1usize..100,
    ) {
        let pieces: Vec<&[u8]> = octets.chunks(cut).collect();
        told(which, &[], &pieces);
    }

    #[test]
    fn misuse_changes_nothing(pieces in proptest::collection::vec(piece(), 0..12), calls in proptest::collection::vec(0usize..7, 0..4)) {
        let plain = told(0, &[], &pieces.iter().map(|p| &p[..]).collect::<Vec<_>>());
        let mut behind = Behind::ready(tight(0));
        for piece in &pieces {
            behind.send(piece);
            // Nothing is asked now, so each of these is a bug of the caller's.
            prop_assert!(!behind.session.is_waiting());
            for call in &calls {
                let session = &mut behind.session;
                let done = match call {
                    0 => session.greet(),
                    1 => session.accept(),
                    2 => session.refuse(&reply("550 5.7.1 no")),
                    3 => session.accept_content(Vec::new()),
                    4 => session.accept_message("x"),
                    5 => session.challenge(b"x"),
                    _ => session.tls_started(),
                };
                prop_assert!(done.is_err());
            }
        }
        let with_misuse = (behind.events, String::from_utf8(behind.out).unwrap(), behind.session.is_closing());
        prop_assert_eq!(plain, with_misuse);
    }
}

#[test]
fn content_goes_to_the_sink_from_the_chunk_itself() {
    let mut behind = Behind::ready(offer());
    behind.send(b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n");
    // Received and not asked for an event: had it been buffered, it would be here.
    behind
        .session
        .receive(&[b"x".repeat(900), b"\r\n".to_vec()].concat().repeat(1000));
    assert_eq!(0, behind.session.buffered_octets());
}

#[test]
fn a_positive_reply_is_no_refusal_and_the_question_stays_open() {
    let mut behind = Behind::ready(offer());
    behind.session.receive(b"NOOP\r\nMAIL FROM:<>\r\n");
    assert!(behind.session.next_event().is_some() && behind.session.is_waiting());
    assert!(behind.session.refuse(&reply("250 2.0.0 OK")).is_err());
    assert!(behind.session.accept_message("x").is_err());
    assert!(behind.session.accept().is_ok());
}

/// RFC 2034 §3: neither the greeting nor the reply to EHLO carries an enhanced status code.
#[test]
fn a_refused_greeting_ends_the_session_and_a_refused_hello_does_not() {
    let no = reply("554 5.7.1 not you");
    let settings = std::sync::Arc::new(pymta_smtp::server::Settings::new(offer()).unwrap());
    let mut session = pymta_smtp::server::Session::<Vec<u8>>::new(settings, false);
    session.refuse(&no).unwrap();
    assert_eq!(b"554 not you\r\n", session.output());
    assert!(session.is_closing());

    let mut behind = Behind::new(offer());
    behind.take_out();
    behind.answers.push_back(Answer::Refuse(no));
    assert_eq!("554 not you\r\n", behind.ask(b"EHLO client.example.test\r\n"));
    assert!(!behind.session.is_closing());
}

#[test]
fn while_a_decision_is_waited_for_nothing_is_read() {
    let mut behind = Behind::ready(offer());
    behind
        .session
        .receive(b"MAIL FROM:<>\r\nRCPT TO:<b@example.test>\r\n");
    assert!(behind.session.next_event().is_some());
    assert!(behind.session.next_event().is_none());
    behind.session.receive(b"DATA\r\n");
    assert_eq!(
        b"RCPT TO:<b@example.test>\r\nDATA\r\n".len(),
        behind.session.buffered_octets()
    );
    behind.session.accept().unwrap();
    behind.go_on();
    assert!(behind.session.is_receiving_content());
}

#[test]
fn shutting_down_waits_for_an_open_question_and_for_nothing_else() {
    let stop = reply("421 4.3.2 shutting down");
    let mut idle = Behind::ready(offer());
    idle.session.shut_down(&stop);
    assert!(idle.session.is_closing());
    assert_eq!(b"421 4.3.2 shutting down\r\n", idle.session.output());

    let mut asked = Behind::ready(offer());
    asked.session.receive(b"MAIL FROM:<>\r\n");
    assert!(asked.session.next_event().is_some());
    asked.session.shut_down(&stop);
    assert!(!asked.session.is_closing());
    asked.session.accept().unwrap();
    assert!(asked.session.is_closing());
    assert_eq!(
        b"250 2.1.0 OK\r\n421 4.3.2 shutting down\r\n",
        asked.session.output()
    );

    let mut shaking = Behind::ready(offer());
    shaking.shakes_hands = false;
    shaking.ask(b"STARTTLS\r\n");
    shaking.session.shut_down(&stop);
    assert!(shaking.session.is_closing() && shaking.session.output().is_empty());
}

/// The budget of an idle connection is 4 KiB with everything that Python and the loop have for it.
#[test]
fn an_idle_session_is_small() {
    let octets = std::mem::size_of::<pymta_smtp::server::Session<Vec<u8>>>();
    assert!(octets <= 400, "{octets}");
}
