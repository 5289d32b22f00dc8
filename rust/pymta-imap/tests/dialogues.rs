//! Dialogues with scripted clients, as text: every file of `tests/dialogues/imap` of the repository is one.
//!
//! ```text
//! settings: WORD…      starttls secure auth_without_tls compress append=N limit.NAME=N;  whole: only as it stands
//! C: text              the client sends this line (CRLF is added); C! exactly this
//! S: text              the next line begins so; `S. text` it is exactly that
//! > refuse CODE TEXT   the next question is answered so (`-` for no code); also: challenge TEXT, stop TEXT, accept
//! = violations KIND…   all so far;  = stored N TEXT;  = events NAME…;  = closed | open
//! ```
//!
//! Escapes \r \n \0 \\ work in C; `\xN;` is N times an x. Each dialogue is run twice: written as it stands, and octet by
//! octet.

#![allow(clippy::unwrap_used)] // what fails shall stop the test

mod common;

use std::collections::VecDeque;

use common::{Answer, Behind, offer};
use pymta_imap::Offer;

#[test]
fn every_dialogue_goes_as_written() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/dialogues/imap");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let script = std::fs::read_to_string(&path).unwrap();
        for singly in [false, true] {
            run(&path.to_string_lossy(), &script, singly);
        }
        count += 1;
    }
    assert!(count >= 8, "dialogues are missing");
}

fn run(name: &str, script: &str, singly: bool) {
    let words = script
        .lines()
        .find_map(|line| line.strip_prefix("settings:"))
        .unwrap_or("");
    let has = |word: &str| words.split_whitespace().any(|one| one == word);
    if singly && has("whole") {
        return;
    }
    let mut behind = Behind::new(offer_of(words), has("secure"));
    let (mut unsent, mut said) = (Vec::new(), VecDeque::new());
    for (number, line) in script.lines().enumerate() {
        let at = format!("{name}:{} (octet by octet: {singly})", number + 1);
        if line.is_empty() || line.starts_with('#') || line.starts_with("settings:") {
            continue;
        }
        let (mark, rest) = line.split_at(2);
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        match mark {
            "C:" => unsent.extend([unescaped(rest), b"\r\n".to_vec()].concat()),
            "C!" => unsent.extend(unescaped(rest)),
            "> " => behind.answers.push_back(answer_of(rest)),
            _ => {
                send(&mut behind, &mut unsent, singly);
                let lines = String::from_utf8(std::mem::take(&mut behind.out)).unwrap();
                said.extend(lines.split_terminator("\r\n").map(str::to_owned));
                check(mark, rest, &at, &mut said, &behind);
            }
        }
    }
    send(&mut behind, &mut unsent, singly);
    assert!(
        behind.out.is_empty() && said.is_empty(),
        "{name}: said and not expected: {said:?} {}",
        String::from_utf8_lossy(&behind.out)
    );
}

fn send(behind: &mut Behind, unsent: &mut Vec<u8>, singly: bool) {
    let octets = std::mem::take(unsent);
    if singly {
        octets.iter().for_each(|&octet| behind.send(&[octet]));
    } else if !octets.is_empty() {
        behind.send(&octets);
    }
}

fn check(mark: &str, rest: &str, at: &str, said: &mut VecDeque<String>, behind: &Behind) {
    match mark {
        "S:" | "S." => {
            let line = said
                .pop_front()
                .unwrap_or_else(|| panic!("{at}: nothing was said; events {:?}", behind.events));
            let fits = if mark == "S." {
                line == rest
            } else {
                line.starts_with(rest)
            };
            assert!(fits, "{at}: said {line:?}");
        }
        _ => match rest.split_once(' ').unwrap_or((rest, "")) {
            ("violations", kinds) => assert_eq!(kinds, behind.violations.join(" "), "{at}"),
            ("stored", wanted) => {
                let found = format!("{} {}", behind.stored.len(), behind.stored.join(" "));
                assert_eq!(wanted, found, "{at}");
            }
            ("events", names) => {
                let is_name = |letter: char| letter.is_ascii_alphabetic();
                let found = behind.events.iter();
                let found: Vec<&str> = found
                    .map(|event| event.split(|letter| !is_name(letter)).next().unwrap())
                    .collect();
                assert_eq!(names, found.join(" "), "{at}");
            }
            ("closed", _) => assert!(behind.session.is_closing(), "{at}"),
            ("open", _) => assert!(!behind.session.is_closing(), "{at}"),
            _ => panic!("{at}: {rest:?} means nothing"),
        },
    }
}

fn offer_of(words: &str) -> Offer {
    let mut offer = offer();
    for word in words.split_whitespace() {
        match word.split_once('=').unwrap_or((word, "")) {
            ("starttls", _) => offer.starttls = true,
            ("auth_without_tls", _) => offer.auth_without_tls = true,
            ("compress", _) => offer.compress = true,
            ("append", octets) => offer.append_octets_max = Some(octets.parse().unwrap()),
            ("secure" | "whole", _) => {}
            (limit, value) => {
                let name = limit.strip_prefix("limit.").unwrap();
                offer.limits.set(name, value.parse().unwrap()).unwrap();
            }
        }
    }
    offer
}

fn answer_of(rest: &str) -> Answer {
    match rest.split_once(' ').unwrap_or((rest, "")) {
        ("accept", _) => Answer::Accept,
        ("refuse", text) => {
            let (code, text) = text.split_once(' ').unwrap();
            Answer::Refuse((code != "-").then(|| code.to_owned()), text.to_owned())
        }
        ("challenge", text) => Answer::Challenge(text.as_bytes().to_vec()),
        ("stop", text) => Answer::ShutDown(text.to_owned()),
        _ => panic!("{rest:?} is no answer"),
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut text = text
        .replace("\\r", "\r")
        .replace("\\n", "\n")
        .replace("\\0", "\0");
    while let Some((before, after)) = text.split_once("\\x") {
        let (count, after) = after.split_once(';').unwrap();
        text = format!("{before}{}{after}", "x".repeat(count.parse().unwrap()));
    }
    text.into_bytes()
}
