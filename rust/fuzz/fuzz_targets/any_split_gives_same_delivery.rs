//! Whatever a next hop says, line by line or octet by octet, every recipient gets one outcome, and the same one.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use pymta_smtp::client::{ClientEvent, ClientSession, ClientSettings, Credentials, HeldContent, StartTls};
use pymta_types::{Address, Envelope, Recipient};

const MESSAGES: u64 = 3;

fn settings_of(flags: u8) -> ClientSettings {
    let mut settings = ClientSettings::new("relay.example.test").unwrap();
    settings.lmtp = flags & 1 != 0;
    settings.extended = flags & 2 == 0;
    settings.starttls = match flags >> 2 & 3 {
        0 => StartTls::Never,
        1 => StartTls::Required,
        _ => StartTls::Opportunistic,
    };
    settings.pipelining = flags & 16 == 0;
    settings.chunking = flags & 32 == 0;
    settings.auth_without_tls = true;
    settings.auth = (flags & 64 != 0).then(|| Credentials::new("account", "secret").unwrap());
    settings
}

fn envelope() -> Envelope {
    let address = |text: &str| Address::parse(text.as_bytes()).unwrap();
    Envelope {
        reverse_path: Some(address("author@example.test")),
        recipients: ["a@example.test", "b@example.test"]
            .map(|path| Recipient::new(address(path)))
            .into(),
        ..Envelope::default()
    }
}

fn told<'a>(flags: u8, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Vec<u8>) {
    let mut session = ClientSession::new(Arc::new(settings_of(flags)), false);
    let (mut events, mut sent, mut given, mut concluded) = (Vec::new(), Vec::new(), 0, 0);
    let mut go_on = |session: &mut ClientSession| {
        while let Some(event) = session.next_event() {
            match &event {
                ClientEvent::Tls => session.tls_started().unwrap(),
                ClientEvent::Outcome(outcome) => {
                    let mut indexes: Vec<u32> = outcome.outcomes.iter().map(|(index, _)| *index).collect();
                    indexes.sort_unstable();
                    assert_eq!(vec![0, 1], indexes);
                    concluded += 1;
                }
                _ => {}
            }
            events.push(format!("{event:?}"));
            while given < MESSAGES && session.room() > 0 {
                let content = Box::new(HeldContent(b"Subject: x\r\n\r\n.body\r\n".to_vec()));
                if session.deliver(&envelope(), &[0, 1], content).is_err() {
                    break;
                }
                given += 1;
            }
        }
        while session.wants_write() && !session.closed() {
            session.output(4096, |octets| sent.extend_from_slice(octets));
        }
        (given, concluded)
    };
    for piece in pieces {
        session.receive(piece);
        go_on(&mut session);
    }
    session.end_of_stream("over");
    let (given, concluded) = go_on(&mut session);
    assert_eq!(given, concluded);
    assert!(session.closed());
    (events, sent)
}

fuzz_target!(|input: &[u8]| {
    let Some((&flags, octets)) = input.split_first() else {
        return;
    };
    let by_line = told(flags, octets.split_inclusive(|&octet| octet == b'\n'));
    let singly = told(flags, octets.chunks(1));
    assert_eq!(by_line, singly);
});
