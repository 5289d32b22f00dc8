//! Dialogues of the server with scripted clients, as text: every file of `tests/dialogues/` of the repository is one.
//!
//! ```text
//! # NN-what-must-hold.dlg — section
//! settings: WORD…      lmtp secure starttls auth=PLAIN,LOGIN auth_without_tls xclient normalise limit.NAME=N
//!                      whole: the octets of a block are one write, and only that is tested
//! C: text              the client sends this line (CRLF is added)
//! C! text              the client sends exactly this
//! S: text              the next reply begins so; `?` stands for one octet, `*` for any; of a reply of several lines
//!                      those that are not named are skipped up to its last line
//! > refuse REPLY       the next question is answered so and not with yes; also: accept, challenge TEXT, stop REPLY,
//!                      but N REPLY (the message is accepted but for its recipient N, from 0)
//! = message FROM TO,TO : content
//! = violations KIND…   all so far
//! = closed | open
//! ```
//!
//! Escapes \r \n \t \0 \\ \xHH work in C and in content. Consecutive C lines are one write. Nothing but the S lines may
//! have been said. Each dialogue is run twice: written as it stands, and octet by octet. Those without `>` run over a
//! socket as well (tests/e2e/test_dialogues.py).

#![allow(clippy::unwrap_used)] // what fails shall stop the test

mod common;

use std::collections::VecDeque;

use common::{Answer, Behind, offer, reply};
use pymta_smtp::LineEndings;
use pymta_smtp::server::Offer;

struct Run {
    behind: Behind,
    octet_by_octet: bool,
    unsent: Vec<u8>,
    /// Reply lines that no S line has matched yet.
    said: VecDeque<String>,
    messages_seen: usize,
}

#[test]
fn every_dialogue_goes_as_written() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/dialogues");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dlg"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 30, "dialogues are missing");
    let mut failed = Vec::new();
    for path in paths {
        let script = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for octet_by_octet in [false, true] {
            // Each dialogue is a test of its own: one that fails does not hide the next.
            if std::panic::catch_unwind(|| run(&name, &script, octet_by_octet)).is_err() {
                failed.push(name.clone());
            }
        }
    }
    assert_eq!(Vec::<String>::new(), failed);
}

fn run(name: &str, script: &str, octet_by_octet: bool) {
    let words = script
        .lines()
        .find_map(|line| line.strip_prefix("settings:"))
        .unwrap_or("");
    if octet_by_octet && words.split_whitespace().any(|word| word == "whole") {
        return;
    }
    let secure = words.split_whitespace().any(|word| word == "secure");
    let mut run = Run {
        behind: Behind::secured(offer_of(words), secure),
        octet_by_octet,
        unsent: Vec::new(),
        said: VecDeque::new(),
        messages_seen: 0,
    };
    for (number, line) in script.lines().enumerate() {
        let at = format!("{name}:{} (octet by octet: {octet_by_octet})", number + 1);
        if line.is_empty() || line.starts_with('#') || line.starts_with("settings:") {
            continue;
        }
        let (mark, rest) = line.split_at(2);
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        match mark {
            "C:" => run.unsent.extend([unescaped(rest), b"\r\n".to_vec()].concat()),
            "C!" => run.unsent.extend(unescaped(rest)),
            _ => {
                run.send();
                run.step(mark, rest, &at);
            }
        }
    }
    run.send();
    run.listen();
    assert_eq!(
        VecDeque::<String>::new(),
        run.said,
        "{name}: said and not expected"
    );
    assert_eq!(
        run.messages_seen,
        run.behind.messages.len(),
        "{name}: messages that were not expected"
    );
}

impl Run {
    fn send(&mut self) {
        let octets = std::mem::take(&mut self.unsent);
        if self.octet_by_octet {
            octets.iter().for_each(|&octet| self.behind.send(&[octet]));
        } else if !octets.is_empty() {
            self.behind.send(&octets);
        }
    }

    fn listen(&mut self) {
        let said = self.behind.take_out();
        self.said.extend(said.split_terminator("\r\n").map(str::to_owned));
    }

    fn step(&mut self, mark: &str, rest: &str, at: &str) {
        match mark {
            "S:" => {
                self.listen();
                loop {
                    let line = self.said.pop_front();
                    let line = line.unwrap_or_else(|| panic!("{at}: nothing was said"));
                    if matches(rest.as_bytes(), line.as_bytes()) {
                        break;
                    }
                    let continues = line.as_bytes().get(3) == Some(&b'-');
                    assert!(continues, "{at}: said {line:?}");
                }
            }
            "> " | ">" => self.behind.answers.push_back(answer_of(rest, at)),
            "= " | "=" => self.check(rest, at),
            _ => panic!("{at}: {mark:?} means nothing"),
        }
    }

    fn check(&mut self, rest: &str, at: &str) {
        let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            "closed" => assert!(self.behind.session.is_closing(), "{at}"),
            "open" => assert!(!self.behind.session.is_closing(), "{at}"),
            "violations" => assert_eq!(rest, self.behind.violations.join(" "), "{at}"),
            "message" => {
                let (paths, content) = rest.split_once(" : ").unwrap();
                let (reverse_path, forward_paths) = paths.rsplit_once(' ').unwrap();
                let taken = self.behind.messages.get(self.messages_seen);
                let taken = taken.unwrap_or_else(|| panic!("{at}: no message"));
                let envelope = &taken.envelope;
                let to: Vec<&str> = envelope
                    .recipients
                    .iter()
                    .map(|r| r.forward_path.as_str())
                    .collect();
                let from = envelope.reverse_path.as_ref().map_or("<>", |a| a.as_str());
                assert_eq!((reverse_path, forward_paths), (from, &to.join(",")[..]), "{at}");
                assert_eq!(
                    String::from_utf8_lossy(&unescaped(content)),
                    String::from_utf8_lossy(&taken.content),
                    "{at}"
                );
                self.messages_seen += 1;
            }
            _ => panic!("{at}: {word:?} means nothing"),
        }
    }
}

fn offer_of(words: &str) -> Offer {
    let mut offer = Offer {
        starttls: false,
        ..offer()
    };
    for word in words.split_whitespace() {
        match word.split_once('=').unwrap_or((word, "")) {
            ("lmtp", _) => offer.lmtp = true,
            ("starttls", _) => offer.starttls = true,
            ("auth", names) => offer.auth_mechanisms = names.split(',').map(str::to_owned).collect(),
            ("auth_without_tls", _) => offer.auth_without_tls = true,
            ("xclient", _) => offer.xclient = true,
            ("normalise", _) => offer.line_endings = LineEndings::Normalise,
            ("secure" | "whole", _) => {}
            (limit, value) => offer
                .limits
                .set(limit.strip_prefix("limit.").unwrap(), value.parse().unwrap())
                .unwrap(),
        }
    }
    offer
}

fn answer_of(rest: &str, at: &str) -> Answer {
    match rest.split_once(' ').unwrap_or((rest, "")) {
        ("accept", _) => Answer::Accept,
        ("refuse", text) => Answer::Refuse(reply(text)),
        ("but", rest) => {
            let (place, text) = rest.split_once(' ').unwrap();
            Answer::AcceptBut(place.parse().unwrap(), reply(text))
        }
        ("challenge", text) => Answer::Challenge(unescaped(text)),
        ("stop", text) => Answer::ShutDown(reply(text)),
        _ => panic!("{at}: {rest:?} is no answer"),
    }
}

/// Whether `line` begins as `pattern` says.
fn matches(pattern: &[u8], line: &[u8]) -> bool {
    match (pattern.split_first(), line.split_first()) {
        (None, _) => true,
        (Some((b'*', rest)), _) => (0..=line.len()).any(|skip| matches(rest, &line[skip..])),
        (Some((&p, rest)), Some((&octet, after))) => (p == b'?' || p == octet) && matches(rest, after),
        (Some(_), None) => false,
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'\\' => match rest.next().unwrap() {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'0' => 0,
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other,
            },
            other => other,
        });
    }
    octets
}
