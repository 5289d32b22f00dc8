//! Every combination of accepted, temporary and permanent at MAIL, two RCPTs, DATA and the end of content: which
//! outcome each recipient gets, and that the next message on the connection is not touched by it.
//!
//! The server here is a small model of RFC 5321 that keeps state, so that a missing RSET shows as a nested MAIL.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::sync::Arc;

use pymta_smtp::client::{ClientEvent, ClientSession, ClientSettings, HeldContent};
use pymta_types::{Address, Envelope, Recipient};

/// What the model answers to the first message's commands; the second one is accepted.
#[derive(Clone, Copy, Debug)]
struct Answers {
    mail: u16,
    rcpt: [u16; 2],
    data: u16,
    end: u16,
}

#[derive(Default)]
struct Server {
    /// For the transaction in progress; None accepts all.
    answers: Option<Answers>,
    first: Option<Answers>,
    has_mail: bool,
    rcpts_seen: usize,
    accepted: usize,
    in_data: bool,
    pending: Vec<u8>,
    contents: Vec<(usize, Vec<u8>)>,
}

impl Server {
    fn reset(&mut self) {
        (self.has_mail, self.rcpts_seen, self.accepted) = (false, 0, 0);
    }

    /// Answers all whole lines; a content is `x` or `y` and an end mark.
    fn take(&mut self, octets: &[u8], replies: &mut Vec<u8>) {
        self.pending.extend_from_slice(octets);
        while let Some(end) = self.pending.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = self.pending.drain(..end + 2).collect();
            let line = String::from_utf8(line).unwrap();
            let code = self.answer(line.trim_end());
            if code != 0 {
                replies.extend_from_slice(format!("{code} text\r\n").as_bytes());
            }
        }
    }

    fn answer(&mut self, line: &str) -> u16 {
        if self.in_data {
            return self.take_content(line);
        }
        match line.split([' ', ':']).next().unwrap() {
            "RSET" => {
                self.reset();
                250
            }
            "MAIL" if self.has_mail => 503,
            "MAIL" => {
                self.answers = self.first.filter(|_| line.contains("first@"));
                let code = self.answers.map_or(250, |answers| answers.mail);
                self.has_mail = code == 250;
                code
            }
            "RCPT" if !self.has_mail => 503,
            "RCPT" => {
                let code = self.answers.map_or(250, |answers| answers.rcpt[self.rcpts_seen]);
                self.rcpts_seen += 1;
                self.accepted += usize::from(code == 250);
                code
            }
            "DATA" if self.accepted == 0 => 503,
            "DATA" => {
                let code = self.answers.map_or(354, |answers| answers.data);
                self.in_data = code == 354;
                code
            }
            "QUIT" => 221,
            other => panic!("the model does not know {other:?}"),
        }
    }

    fn take_content(&mut self, line: &str) -> u16 {
        if line != "." {
            self.contents.push((self.accepted, line.as_bytes().to_vec()));
            return 0;
        }
        self.in_data = false;
        self.reset();
        self.answers.map_or(250, |answers| answers.end)
    }
}

/// The codes that the first message's recipients must get.
fn expected(answers: Answers) -> [u16; 2] {
    answers.rcpt.map(|rcpt| match () {
        () if answers.mail != 250 => answers.mail,
        () if rcpt != 250 => rcpt,
        () if answers.data != 354 => answers.data,
        () => answers.end,
    })
}

fn envelope(reverse_path: &str, recipients: &[&str]) -> Envelope {
    Envelope {
        reverse_path: Some(Address::parse(reverse_path.as_bytes()).unwrap()),
        recipients: recipients
            .iter()
            .map(|path| Recipient::new(Address::parse(path.as_bytes()).unwrap()))
            .collect(),
        ..Envelope::default()
    }
}

fn outcomes_of(answers: Answers, pipelining: bool) -> Vec<Vec<(u32, u16)>> {
    let mut session = ClientSession::new(Arc::new(ClientSettings::new("c.example.test").unwrap()), false);
    session.receive(b"220 x\r\n");
    session.output(1000, |_| ());
    session.receive(if pipelining {
        b"250-x\r\n250 PIPELINING\r\n"
    } else {
        b"250 x\r\n"
    });
    let mut server = Server {
        first: Some(answers),
        ..Server::default()
    };
    let mut waiting = vec![
        (
            envelope("first@x.test", &["a@one.test", "b@one.test"]),
            b"x\r\n".to_vec(),
        ),
        (envelope("second@x.test", &["c@two.test"]), b"y\r\n".to_vec()),
    ];
    let mut outcomes = Vec::new();
    for _ in 0..40 {
        while session.room() > 0 && !waiting.is_empty() {
            let (envelope, content) = waiting.remove(0);
            let all: Vec<u32> = (0..).take(envelope.recipients.len()).collect();
            session
                .deliver(&envelope, &all, Box::new(HeldContent(content)))
                .unwrap();
        }
        let mut replies = Vec::new();
        session.output(1000, |octets| server.take(octets, &mut replies));
        session.receive(&replies);
        while let Some(event) = session.next_event() {
            match event {
                ClientEvent::Outcome(outcome) => {
                    let mut codes: Vec<_> = outcome
                        .outcomes
                        .iter()
                        .map(|(at, reply)| (*at, reply.code()))
                        .collect();
                    codes.sort_unstable();
                    outcomes.push(codes);
                }
                ClientEvent::Ready => {}
                other => panic!("{answers:?}: {other:?}"),
            }
        }
    }
    let taken: Vec<&[u8]> = server.contents.iter().map(|(_, content)| &content[..]).collect();
    assert!(
        server.contents.iter().all(|(accepted, _)| *accepted > 0),
        "{answers:?}"
    );
    let first = answers.mail == 250 && answers.rcpt.contains(&250) && answers.data == 354;
    assert_eq!(
        if first {
            vec![&b"x"[..], b"y"]
        } else {
            vec![&b"y"[..]]
        },
        taken,
        "{answers:?}"
    );
    outcomes
}

#[test]
fn every_combination_of_failures_gives_each_recipient_its_own_outcome() {
    let codes = [250, 450, 550];
    let mut count = 0;
    for mail in codes {
        for first in codes {
            for second in codes {
                for data in [354, 450, 550] {
                    for end in codes {
                        let answers = Answers {
                            mail,
                            rcpt: [first, second],
                            data,
                            end,
                        };
                        let [a, b] = expected(answers);
                        let expected = vec![vec![(0, a), (1, b)], vec![(0, 250)]];
                        for pipelining in [false, true] {
                            assert_eq!(
                                expected,
                                outcomes_of(answers, pipelining),
                                "{answers:?} {pipelining}"
                            );
                            count += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(2 * 3usize.pow(5), count);
}
