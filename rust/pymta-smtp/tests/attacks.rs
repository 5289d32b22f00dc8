//! The attacks of the last ten years that concern this layer, each by the name of its class. What can be told as one
//! dialogue is in `tests/dialogues/` too; here are the ones with a matrix or with a bound to be measured.

#![allow(clippy::unwrap_used)] // what fails shall stop the test

mod common;

use common::{Answer, Behind, offer, reply};
use pymta_smtp::server::Offer;
use pymta_smtp::{LineEndings, proxy};

const TO_DATA: &[u8] = b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n";

fn in_data(offer: Offer) -> Behind {
    let mut behind = Behind::ready(offer);
    assert!(
        behind
            .ask(TO_DATA)
            .ends_with("354 End data with <CR><LF>.<CR><LF>\r\n")
    );
    behind
}

/// Everything that some server once took for the end of a message.
const FALSE_ENDS: &[&[u8]] = &[
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\n",
    b"\n.\r",
    b"\r\n.\r",
    b"\r.\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\r\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\r\0\n",
    b"\r\r\n.\r\n\n",
];

const SMUGGLED: &[u8] = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.test>\r\nDATA\r\nx";

#[test]
fn smuggling_no_false_end_ends_a_message() {
    for end in FALSE_ENDS
        .iter()
        .filter(|end| !end.windows(5).any(|w| w == b"\r\n.\r\n"))
    {
        for line_endings in [LineEndings::Refuse, LineEndings::Normalise] {
            let mut behind = in_data(Offer {
                line_endings,
                ..offer()
            });
            let text = [b"first", *end, SMUGGLED, b"\r\n.\r\nNOOP\r\n"].concat();
            let replies = behind.ask(&text);
            let shown = String::from_utf8_lossy(end).escape_debug().to_string();
            assert_eq!(2, replies.lines().count(), "{shown}: {replies}");
            assert!(
                replies.ends_with("250 2.0.0 OK\r\n"),
                "{shown}: NOOP was not read"
            );
            let nul = end.contains(&0);
            if line_endings == LineEndings::Refuse || nul {
                assert!(replies.starts_with("550 5.6.0 "), "{shown}: {replies}");
                assert!(behind.messages.is_empty(), "{shown}");
            } else {
                // All of it is one message, and it holds pairs only: nothing to be smuggled further.
                assert_eq!(1, behind.messages.len(), "{shown}");
                let content = &behind.messages[0].content;
                assert!(
                    content.windows(2).all(|w| (w[0] == b'\r') == (w[1] == b'\n')),
                    "{shown}"
                );
            }
        }
    }
}

#[test]
fn smuggling_a_true_end_among_false_ones_ends_exactly_one_message() {
    let mut behind = in_data(offer());
    let replies = behind.ask(b"a\r\r\n.\r\nNOOP\r\n");
    assert_eq!(
        "550 5.6.0 bare CR or LF in the message\r\n250 2.0.0 OK\r\n",
        replies
    );
}

#[test]
fn outbound_smuggling_chunks_cannot_bring_strays_in() {
    for stray in [&b"a\nb\r\n"[..], b"a\rb\r\n", b"a\r\n.\r\n\n", b"a\0\r\n"] {
        let mut behind = Behind::ready(offer());
        behind.ask(b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\n");
        let chunk = [format!("BDAT {} LAST\r\n", stray.len()).as_bytes(), stray].concat();
        assert!(behind.ask(&chunk).starts_with("550 5.6.0 "), "{stray:?}");
        assert!(behind.messages.is_empty());
    }
}

#[test]
fn starttls_injection_is_dropped_however_late_it_comes() {
    for injected in [
        &b""[..],
        b"EHLO evil.example.org\r\nMAIL FROM:<evil@example.org>\r\n",
        b"x",
    ] {
        let mut behind = Behind::ready(offer());
        behind.shakes_hands = false;
        behind.send(&[b"STARTTLS\r\n", injected].concat());
        behind.send(b"RSET\r\n"); // still in the clear
        behind.send(b"RSET\r\n");
        assert_eq!("220 2.0.0 Ready to start TLS\r\n", behind.take_out());
        behind.session.tls_started().unwrap();
        behind.go_on();
        assert_eq!(vec!["starttls-injection"], behind.violations, "{injected:?}");
        assert_eq!(1, behind.session.violation_count());
        assert_eq!(0, behind.session.buffered_octets());
        assert!(
            behind
                .ask(b"MAIL FROM:<a@example.test>\r\n")
                .starts_with("503 5.5.1 ")
        );
        assert_eq!("", behind.session.hello_name());
    }
}

#[test]
fn session_fixation_nothing_from_the_clear_survives_starttls() {
    let mut behind = Behind::ready(Offer {
        auth_mechanisms: vec!["PLAIN".to_owned()],
        auth_without_tls: true,
        ..offer()
    });
    assert!(behind.ask(b"AUTH PLAIN AGEAYg==\r\n").starts_with("235 "));
    assert!(behind.ask(b"STARTTLS\r\n").starts_with("220 "));
    assert!(behind.ask(b"EHLO client.example.test\r\n").contains("AUTH PLAIN"));
    // A login made in the clear counts for nothing here, so another one is taken.
    assert!(behind.ask(b"AUTH PLAIN AGEAYg==\r\n").starts_with("235 "));
}

#[test]
fn session_fixation_no_transaction_can_be_open_at_starttls() {
    let mut behind = Behind::ready(offer());
    behind.ask(b"MAIL FROM:<a@example.test>\r\n");
    assert!(behind.ask(b"STARTTLS\r\n").starts_with("503 5.5.1 "));
}

#[test]
fn bdat_confusion_octets_of_a_refused_chunk_are_never_commands() {
    let evil = b"MAIL FROM:<evil@example.org>\r\n";
    let head = format!("BDAT {} LAST\r\n", evil.len());
    for before in [
        &b""[..],
        b"MAIL FROM:<a@example.test>\r\n",
        b"MAIL FROM:<a@example.test>\r\nRCPT TO:<bad>\r\n",
    ] {
        let mut behind = Behind::ready(offer());
        behind.ask(before);
        let replies = behind.ask(&[head.as_bytes(), evil, b"NOOP\r\n"].concat());
        assert!(
            replies.starts_with("50") || replies.starts_with("55"),
            "{replies}"
        );
        assert!(replies.ends_with("250 2.0.0 OK\r\n"), "{replies}");
        assert_eq!(2, replies.lines().count(), "{replies}");
        assert!(
            !behind.events.iter().any(|event| event.contains("evil")),
            "{:?}",
            behind.events
        );
    }
}

#[test]
fn bdat_confusion_huge_sizes_neither_wrap_nor_allocate() {
    for size in ["18446744073709551615", "9223372036854775808", "67108865"] {
        let mut behind = Behind::ready(offer());
        behind.ask(b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\n");
        let replies = behind.ask(format!("BDAT {size}\r\n").as_bytes());
        assert!(replies.starts_with("552 5.3.4 "), "{size}: {replies}");
        assert_eq!("", behind.ask(&vec![b'x'; 1 << 20]));
        assert_eq!(0, behind.session.buffered_octets(), "{size}");
    }
    // Two chunks that are each allowed and together not: told before the second one arrives.
    let mut behind = Behind::ready(offer());
    behind.ask(b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nBDAT 2\r\n\r\n");
    assert!(behind.ask(b"BDAT 67108863\r\n").starts_with("552 "));
}

#[test]
fn bdat_confusion_rset_in_a_chunk_is_content() {
    let mut behind = Behind::ready(offer());
    behind.ask(b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\n");
    behind.ask(b"BDAT 18 LAST\r\nRSET\r\n");
    assert_eq!("250 2.0.0 taken\r\n", behind.ask(b"QUIT\r\nx\r\n.\r\n"));
    assert_eq!(b"RSET\r\nQUIT\r\nx\r\n.\r\n"[..], behind.messages[0].content);
}

#[test]
fn pipelining_desync_a_body_without_354_is_not_obeyed() {
    let body = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.test>\r\nDATA\r\nx\r\n.\r\n";
    // Every reason for which DATA can be refused; the last by policy.
    for (before, answers) in [
        (&b"RCPT TO:<b@example.test>\r\nDATA\r\n"[..], 0),
        (b"MAIL FROM:<a@example.test>\r\nDATA\r\n", 0),
        (b"MAIL FROM:<a@example.test>\r\nRCPT TO:<bad>\r\nDATA\r\n", 0),
        (
            b"MAIL FROM:<a@example.test> BODY=BINARYMIME\r\nRCPT TO:<b@example.test>\r\nDATA\r\n",
            0,
        ),
        (TO_DATA, 2),
    ] {
        let mut behind = Behind::ready(offer());
        if answers > 0 {
            behind.answers.extend((0..answers).map(|_| Answer::Accept));
            behind.answers.push_back(Answer::Refuse(reply("452 4.3.1 full")));
        }
        let replies = behind.ask(&[before, body].concat());
        assert!(
            replies.ends_with("421 4.7.0 content without a 354; closing\r\n"),
            "{replies}"
        );
        assert!(behind.session.is_closing());
        assert!(!behind.events.iter().any(|event| event.contains("evil")));
    }
}

#[test]
fn envelope_injection_no_path_or_parameter_brings_a_line_ending_in() {
    for line in [
        &b"MAIL FROM:<a\r\nRCPT TO:<b>>\r\n"[..],
        b"MAIL FROM:<a\rb@example.test>\r\n",
        b"MAIL FROM:<\"a\rb\"@example.test>\r\n",
        b"MAIL FROM:<\"a\0b\"@example.test>\r\n",
        b"MAIL FROM:<a\xc2\x85b@example.test> SMTPUTF8\r\n",
        b"MAIL FROM:<a\xe2\x80\xa8b@example.test> SMTPUTF8\r\n",
        b"MAIL FROM:<a@example.test> ENVID=x+0D+0AX-Evil:+20yes\r\n",
        b"MAIL FROM:<a@example.test> ENVID=x\rX-Evil\r\n",
    ] {
        let mut behind = Behind::ready(offer());
        let replies = behind.ask(line);
        assert!(replies.lines().all(|r| r.starts_with('5')), "{line:?}: {replies}");
        assert!(!behind.session.is_in_transaction());
    }
    for line in [
        &b"RCPT TO:<b@example.test> ORCPT=rfc822;x+0D+0AX-Evil:+20yes\r\n"[..],
        b"RCPT TO:<b@example.test> ORCPT=utf-8;x\\x{A}y\r\n",
        b"RCPT TO:<b@example.test> ORCPT=utf-8;x\\x{85}y\r\n",
        b"RCPT TO:<b\x0b@example.test>\r\n",
    ] {
        let mut behind = Behind::ready(offer());
        behind.ask(b"MAIL FROM:<a@example.test> SMTPUTF8\r\n");
        assert!(behind.ask(line).starts_with("501 "), "{line:?}");
    }
}

#[test]
fn reply_injection_what_the_peer_sent_never_ends_a_reply_line() {
    let mut behind = Behind::ready(offer());
    let replies = behind.ask(b"MAIL FROM:<\"a\x1b[31m\"@example.test>\r\nEHLO \x1b[31m\r\nXX\x1b[31m\r\n");
    assert!(
        replies
            .bytes()
            .all(|o| o == b'\r' || o == b'\n' || (b' '..=b'~').contains(&o)),
        "{replies:?}"
    );
}

#[test]
fn auth_framing_every_length_of_response_is_answered_once() {
    let offer = || Offer {
        auth_mechanisms: vec!["PLAIN".to_owned()],
        auth_without_tls: true,
        ..offer()
    };
    for octets in (0..200).chain([4095, 4096, 12_285, 12_286, 12_287, 65_536]) {
        let mut behind = Behind::ready(offer());
        behind.answers.push_back(Answer::Challenge(Vec::new()));
        behind.answers.push_back(Answer::Refuse(reply("535 5.7.8 no")));
        assert_eq!("334 \r\n", behind.ask(b"AUTH PLAIN\r\n"));
        let replies = behind.ask(&[&vec![b'A'; octets], &b"\r\nNOOP\r\n"[..]].concat());
        let expected = match octets {
            0..=12_286 if octets % 4 == 0 => "535 5.7.8 no\r\n",
            0..=12_286 => "501 5.5.2 response is not base64\r\n",
            _ => "500 5.5.2 line too long\r\n",
        };
        assert_eq!(format!("{expected}250 2.0.0 OK\r\n"), replies, "{octets}");
    }
}

#[test]
fn auth_framing_nul_and_padding_inside_reach_nobody_as_base64() {
    let mut behind = Behind::ready(Offer {
        auth_mechanisms: vec!["PLAIN".to_owned()],
        auth_without_tls: true,
        ..offer()
    });
    for text in [
        &b"AG=EAYg="[..],
        b"AGEAYg==AGEAYg==",
        b"AGEA\0Yg=",
        b"AGEAYh==",
        b" AGEAYg==",
    ] {
        behind.answers.push_back(Answer::Challenge(Vec::new()));
        behind.ask(b"AUTH PLAIN\r\n");
        assert!(
            behind.ask(&[text, b"\r\n"].concat()).starts_with("501 5.5.2 "),
            "{text:?}"
        );
    }
    // \0a\0b\0c is base64 of octets that the mechanism must judge: they arrive whole.
    behind.ask(b"AUTH PLAIN AGEAYgBj\r\n");
    assert!(
        behind
            .events
            .iter()
            .any(|event| event.contains("[0, 97, 0, 98, 0, 99]"))
    );
}

#[test]
fn relay_tricks_are_told_to_policy_as_the_address_they_are() {
    for (path, seen) in [
        ("a%ext.test@us.test", Some("a%ext.test@us.test")),
        ("@us.test:a@ext.test", Some("a@ext.test")),
        ("@us.test,@us.test:a@ext.test", Some("a@ext.test")),
        ("\"a@ext.test\"@us.test", Some("\"a@ext.test\"@us.test")),
        ("ext.test!a@us.test", Some("ext.test!a@us.test")),
        ("a@[127.0.0.1]", Some("a@[127.0.0.1]")),
        ("a@[IPv6:::1]", Some("a@[IPv6:::1]")),
        ("a@ext.test@us.test", None),
        ("a@ext.test.", None),
        ("@us.test:@us.test:a@ext.test", None),
        ("a@us.test>", None),
        ("a@ext.test\\@us.test", None),
        ("a@ext.test ", None),
        ("\"a@us.test", None),
    ] {
        let mut behind = Behind::ready(offer());
        behind.ask(b"MAIL FROM:<>\r\n");
        let replies = behind.ask(format!("RCPT TO:<{path}>\r\n").as_bytes());
        let envelope = behind.session.envelope();
        let accepted = envelope.recipients.first().map(|r| r.forward_path.as_str());
        assert_eq!(seen, accepted, "{path}: {replies}");
    }
}

#[test]
fn proxy_and_xclient_from_strangers_mean_nothing() {
    let mut behind = Behind::new(offer());
    behind.take_out();
    assert!(
        behind
            .ask(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 25\r\n")
            .starts_with("500 ")
    );
    behind.ask(b"EHLO client.example.test\r\n");
    assert!(
        behind
            .ask(b"XCLIENT ADDR=127.0.0.1 LOGIN=root\r\n")
            .starts_with("502 ")
    );
    assert!(
        behind
            .ask(b"XCLIENT NAME=x\r\nMAIL FROM:<>\r\n")
            .ends_with("250 2.1.0 OK\r\n")
    );
}

#[test]
fn proxy_a_stalling_header_is_bounded() {
    let long = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
    let wanted = (0..long.len()).find(|&octets| proxy::parse(&long[..octets]).is_err());
    assert!(wanted.is_some_and(|octets| octets <= 108), "{wanted:?}");
    let v2 = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..], &[0xff, 0xff], &[0; 600]].concat();
    let wanted = (0..v2.len()).find(|&octets| proxy::parse(&v2[..octets]).is_err());
    assert_eq!(Some(16), wanted);
}

#[test]
fn oversize_a_megabyte_without_crlf_is_bounded_everywhere() {
    let plain = || Offer {
        auth_mechanisms: vec!["PLAIN".to_owned()],
        auth_without_tls: true,
        ..offer()
    };
    let megabyte = vec![b'x'; 1 << 20];
    // Before EHLO, as a response to a challenge, and as content.
    for stage in ["command", "auth", "content"] {
        let mut behind = if stage == "content" {
            in_data(plain())
        } else {
            Behind::ready(plain())
        };
        if stage == "auth" {
            behind.answers.push_back(Answer::Challenge(Vec::new()));
            behind.ask(b"AUTH PLAIN\r\n");
        }
        for piece in megabyte.chunks(1460) {
            behind.send(piece);
            assert!(behind.session.buffered_octets() <= 12_288 + 1460, "{stage}");
        }
        let (end, code) = if stage == "content" {
            (&b"\r\n.\r\n"[..], "550 5.6.0 line too long in the message\r\n")
        } else {
            (&b"\r\n"[..], "500 5.5.2 line too long\r\n")
        };
        assert_eq!(code, behind.ask(end), "{stage}");
        assert_eq!("250 2.0.0 OK\r\n", behind.ask(b"NOOP\r\n"), "{stage}");
    }
}

#[test]
fn oversize_in_one_write_costs_no_more() {
    let mut behind = Behind::ready(offer());
    let line = [&vec![b'x'; 1 << 20], &b"\r\nNOOP\r\n"[..]].concat();
    assert_eq!("500 5.5.2 line too long\r\n250 2.0.0 OK\r\n", behind.ask(&line));
    assert_eq!(0, behind.session.buffered_octets());
}

#[test]
fn flooding_ends_by_itself() {
    let plain: &[u8] = b"";
    let transaction: &[u8] = b"MAIL FROM:<>\r\nRCPT TO:<b@example.test>\r\n";
    for (before, line) in [
        (plain, &b"NOOP\r\n"[..]),
        (plain, b"RSET\r\n"),
        (plain, b"\r\n"),
        (plain, b"EHLO a\r\n"),
        (plain, b"VRFY a\r\n"),
        (plain, b"BDAT 0\r\n"),
        (plain, b"MAIL FROM:<>\r\nRSET\r\n"),
        (transaction, b"BDAT 0\r\n"),
        (transaction, b"NOOP\r\n"),
    ] {
        let mut behind = Behind::ready(offer());
        behind.send(before);
        for _ in 0..1000 {
            behind.send(line);
        }
        assert!(behind.session.is_closing(), "{line:?}");
        assert!(behind.take_out().ends_with("closing\r\n"), "{line:?}");
        assert!(behind.session.next_event().is_none());
    }
}
