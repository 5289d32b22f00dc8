//! Dialogues of the client session with scripted servers, as text: every file of `client_dialogues/` is one.
//!
//! ```text
//! # NN-what-must-hold.dlg — section
//! settings: WORD…      lmtp helo secure starttls=never|opportunistic|required no-pipelining no-chunking
//!                      auth=USER:PASSWORD auth_without_tls
//! S: text              the server sends this line (CRLF is added)
//! S! text              the server sends exactly this
//! C: text              the client has sent this line (CRLF is added)
//! C! text              the client has sent exactly this
//! > deliver FROM TO,TO [body=… smtputf8 ret=… envid=… notify=… orcpt=…] : content
//! > quit | tls | eof REASON
//! E: ready | tls | outcome TICKET [dsn] [sent] INDEX REPLY | … | closed [early] STAGE REPLY
//! = room N | waiting WORD | delivered N
//! ```
//!
//! Escapes \r \n \t \\ \xHH work everywhere. C and E lines are complete: before anything else happens, the client must
//! have sent exactly the C lines and told exactly the E lines since then (a `>` or `=` line straight after a server's
//! line looks before that). So what stands in one block of C lines went out without waiting for the server. Each dialogue is run twice: the server's octets line by line, and one by one.

#![allow(clippy::unwrap_used)] // a script that is malformed shall stop the test

use std::fmt::Write as _;
use std::sync::Arc;

use pymta_smtp::client::{ClientEvent, ClientSession, ClientSettings, Credentials, HeldContent, StartTls};
use pymta_types::{Address, BodyType, Envelope, Notify, OriginalRecipient, Recipient, Ret};

struct Run {
    session: ClientSession,
    octet_by_octet: bool,
    /// What the C lines say was sent since the last other line.
    expected_octets: Vec<u8>,
    expected_events: Vec<String>,
}

#[test]
fn every_dialogue_goes_as_written() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client_dialogues");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dlg"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 3, "the dialogues are missing");
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
    let settings = script
        .lines()
        .find_map(|line| line.strip_prefix("settings:"))
        .unwrap_or("");
    let (settings, secure) = settings_of(settings);
    let mut run = Run {
        session: ClientSession::new(Arc::new(settings), secure),
        octet_by_octet,
        expected_octets: Vec::new(),
        expected_events: Vec::new(),
    };
    for (number, line) in script.lines().enumerate() {
        let at = format!("{name}:{} (octet by octet: {octet_by_octet})", number + 1);
        if line.is_empty() || line.starts_with('#') || line.starts_with("settings:") {
            continue;
        }
        let (mark, rest) = line.split_at(2);
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let something_expected = !(run.expected_octets.is_empty() && run.expected_events.is_empty());
        match mark {
            "C:" | "C!" | "E:" => {}
            // Two deliveries in a row, or a look at what is about to go out.
            "> " | "= " if !something_expected => {}
            _ => run.check(&at),
        }
        match mark {
            "C:" => run
                .expected_octets
                .extend([&unescaped(rest)[..], b"\r\n"].concat()),
            "C!" => run.expected_octets.extend(unescaped(rest)),
            "E:" => run.expected_events.push(rest.to_owned()),
            "S:" => run.receive(&[&unescaped(rest)[..], b"\r\n"].concat()),
            "S!" => run.receive(&unescaped(rest)),
            "> " => run.act(rest, &at),
            "= " => run.look(rest, &at),
            _ => panic!("{at}: what is {line:?}?"),
        }
    }
    run.check(&format!("{name}: end (octet by octet: {octet_by_octet})"));
}

impl Run {
    fn receive(&mut self, octets: &[u8]) {
        if self.octet_by_octet {
            octets.chunks(1).for_each(|octet| self.session.receive(octet));
        } else {
            self.session.receive(octets);
        }
    }

    fn act(&mut self, action: &str, at: &str) {
        let (verb, arguments) = action.split_once(' ').unwrap_or((action, ""));
        match verb {
            "deliver" => {
                let (envelope, content) = message_of(arguments);
                let all: Vec<u32> = (0..u32::try_from(envelope.recipients.len()).unwrap()).collect();
                self.session
                    .deliver(&envelope, &all, Box::new(HeldContent(content)))
                    .unwrap_or_else(|error| panic!("{at}: {error}"));
            }
            "quit" => self.session.quit(),
            "tls" => self
                .session
                .tls_started()
                .unwrap_or_else(|error| panic!("{at}: {error}")),
            "eof" => self.session.end_of_stream(arguments),
            _ => panic!("{at}: unknown action {verb}"),
        }
    }

    fn look(&mut self, question: &str, at: &str) {
        let (what, expected) = question.split_once(' ').unwrap();
        let actual = match what {
            "room" => self.session.room().to_string(),
            "waiting" => self.session.waiting_for().word().to_owned(),
            "delivered" => self.session.messages_delivered().to_string(),
            _ => panic!("{at}: unknown question {what}"),
        };
        assert_eq!(expected, actual, "{at}");
    }

    /// Everything that the C and E lines said happened, and nothing else.
    fn check(&mut self, at: &str) {
        let mut sent = Vec::new();
        loop {
            let promised = self.session.wants_write();
            let piece = self.session.output(64 * 1024, <[u8]>::to_vec);
            assert_eq!(promised, !piece.is_empty(), "{at}: wants_write");
            if piece.is_empty() {
                break;
            }
            sent.extend(piece);
        }
        let expected = std::mem::take(&mut self.expected_octets);
        assert_eq!(
            expected.escape_ascii().to_string(),
            sent.escape_ascii().to_string(),
            "before {at}"
        );
        let events: Vec<String> = std::iter::from_fn(|| self.session.next_event())
            .map(text_of)
            .collect();
        assert_eq!(std::mem::take(&mut self.expected_events), events, "before {at}");
    }
}

fn text_of(event: ClientEvent) -> String {
    match event {
        ClientEvent::Ready => "ready".to_owned(),
        ClientEvent::Tls => "tls".to_owned(),
        ClientEvent::Outcome(mut outcome) => {
            outcome.outcomes.sort_by_key(|(index, _)| *index);
            let mut text = format!("outcome {}", outcome.ticket);
            text.push_str(if outcome.dsn_passed { " dsn" } else { "" });
            text.push_str(if outcome.content_sent { " sent" } else { "" });
            for (number, (index, reply)) in outcome.outcomes.iter().enumerate() {
                let separator = if number > 0 { " |" } else { "" };
                write!(text, "{separator} {index} {reply}").unwrap();
            }
            text
        }
        ClientEvent::Closed(closed) => {
            let early = if closed.before_ready { " early" } else { "" };
            let reply = closed.reply.map_or(String::new(), |reply| format!(" {reply}"));
            format!("closed{early} {}{reply}", closed.stage.word())
        }
    }
}

fn settings_of(words: &str) -> (ClientSettings, bool) {
    let mut settings = ClientSettings::new("client.example.test").unwrap();
    let mut secure = false;
    for word in words.split_ascii_whitespace() {
        match word.split_once('=') {
            None if word == "lmtp" => settings.lmtp = true,
            None if word == "helo" => settings.extended = false,
            None if word == "secure" => secure = true,
            None if word == "no-pipelining" => settings.pipelining = false,
            None if word == "no-chunking" => settings.chunking = false,
            None if word == "auth_without_tls" => settings.auth_without_tls = true,
            Some(("starttls", "never")) => settings.starttls = StartTls::Never,
            Some(("starttls", "opportunistic")) => settings.starttls = StartTls::Opportunistic,
            Some(("starttls", "required")) => settings.starttls = StartTls::Required,
            Some(("auth", value)) => {
                let (user, password) = value.split_once(':').unwrap();
                settings.auth = Credentials::new(user, password);
            }
            _ => panic!("unknown setting {word}"),
        }
    }
    (settings, secure)
}

fn message_of(arguments: &str) -> (Envelope, Vec<u8>) {
    let (head, content) = arguments.split_once(" : ").unwrap_or((arguments, ""));
    let mut words = head.split_ascii_whitespace();
    let address = |text: &str| Address::parse(text.as_bytes()).unwrap();
    let from = words.next().unwrap();
    let mut envelope = Envelope {
        reverse_path: (from != "<>").then(|| address(from)),
        recipients: words
            .next()
            .unwrap()
            .split(',')
            .map(|to| Recipient::new(address(to)))
            .collect(),
        ..Envelope::default()
    };
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match (key, value) {
            ("body", "8BITMIME") => envelope.body = BodyType::EightBitMime,
            ("body", "BINARYMIME") => envelope.body = BodyType::BinaryMime,
            ("smtputf8", "") => envelope.smtputf8 = true,
            ("ret", "FULL") => envelope.ret = Some(Ret::Full),
            ("ret", "HDRS") => envelope.ret = Some(Ret::Headers),
            ("envid", id) => envelope.envid = Some(id.to_owned()),
            ("notify", words) => {
                let notify = if words == "NEVER" {
                    Notify::Never
                } else {
                    Notify::On {
                        success: words.contains("SUCCESS"),
                        failure: words.contains("FAILURE"),
                        delay: words.contains("DELAY"),
                    }
                };
                envelope
                    .recipients
                    .iter_mut()
                    .for_each(|to| to.notify = Some(notify));
            }
            ("orcpt", address) => {
                envelope.recipients[0].original = Some(OriginalRecipient {
                    address_type: "rfc822".to_owned(),
                    address: address.to_owned(),
                });
            }
            _ => panic!("unknown parameter {word}"),
        }
    }
    (envelope, unescaped(content))
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        octets.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let length = match escape.as_bytes()[0] {
            b'r' => {
                octets.push(b'\r');
                1
            }
            b'n' => {
                octets.push(b'\n');
                1
            }
            b't' => {
                octets.push(b'\t');
                1
            }
            b'\\' => {
                octets.push(b'\\');
                1
            }
            b'x' => {
                octets.push(u8::from_str_radix(&escape[1..3], 16).unwrap());
                3
            }
            other => panic!("unknown escape {other}"),
        };
        rest = &escape[length..];
    }
    octets.extend_from_slice(rest.as_bytes());
    octets
}
