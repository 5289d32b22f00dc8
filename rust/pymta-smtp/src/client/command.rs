//! MAIL and RCPT as octets (RFC 5321 §4.1.1.2, §4.1.1.3), with the parameters that the next hop offered.
//!
//! Which parameters apply is decided by fit.rs; here is only how they are written. Addresses need no check: a
//! `pymta_types::Address` cannot hold what would end a line.

use std::fmt::Write as _;

use pymta_types::{Address, BodyType, Envelope, Notify, OriginalRecipient, Recipient, Ret};

use crate::xtext;

/// Parameters of MAIL that depend on the next hop.
#[derive(Clone, Copy, Debug)]
pub(super) struct MailParameters {
    /// SIZE=
    pub(super) size_octets: Option<u64>,
    /// BODY=, left out for 7BIT.
    pub(super) body: BodyType,
    pub(super) smtputf8: bool,
    /// Whether RET, ENVID, NOTIFY and ORCPT may be said.
    pub(super) dsn: bool,
}

pub(super) fn write_mail(out: &mut String, envelope: &Envelope, parameters: MailParameters) {
    out.push_str("MAIL FROM:<");
    out.push_str(envelope.reverse_path.as_ref().map_or("", Address::as_str));
    out.push('>');
    if let Some(octets) = parameters.size_octets {
        // Writing to a String cannot fail.
        let _ = write!(out, " SIZE={octets}");
    }
    match parameters.body {
        BodyType::SevenBit => {}
        BodyType::EightBitMime => out.push_str(" BODY=8BITMIME"),
        BodyType::BinaryMime => out.push_str(" BODY=BINARYMIME"),
    }
    if parameters.smtputf8 {
        out.push_str(" SMTPUTF8");
    }
    if parameters.dsn {
        match envelope.ret {
            Some(Ret::Full) => out.push_str(" RET=FULL"),
            Some(Ret::Headers) => out.push_str(" RET=HDRS"),
            None => {}
        }
        if let Some(envid) = &envelope.envid {
            out.push_str(" ENVID=");
            out.push_str(&xtext::encode(envid));
        }
    }
    out.push_str("\r\n");
}

pub(super) fn write_rcpt(out: &mut String, recipient: &Recipient, parameters: MailParameters) {
    out.push_str("RCPT TO:<");
    out.push_str(recipient.forward_path.as_str());
    out.push('>');
    if parameters.dsn {
        if let Some(notify) = recipient.notify {
            write_notify(out, notify);
        }
        if let Some(original) = &recipient.original {
            write_original(out, original, parameters.smtputf8);
        }
    }
    out.push_str("\r\n");
}

fn write_notify(out: &mut String, notify: Notify) {
    match notify {
        Notify::Never => out.push_str(" NOTIFY=NEVER"),
        // The empty set cannot be said; the server side does not make one.
        Notify::On {
            success: false,
            failure: false,
            delay: false,
        } => {}
        Notify::On {
            success,
            failure,
            delay,
        } => {
            let words = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
            let mut separator = " NOTIFY=";
            for (_, word) in words.iter().filter(|(wanted, _)| *wanted) {
                out.push_str(separator);
                out.push_str(word);
                separator = ",";
            }
        }
    }
}

fn write_original(out: &mut String, original: &OriginalRecipient, smtputf8: bool) {
    // The type is an atom (RFC 3461 §4.2); one that is none would break the command, so the parameter is left out.
    let is_atom = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    if original.address_type.is_empty() || !original.address_type.bytes().all(is_atom) {
        return;
    }
    out.push_str(" ORCPT=");
    out.push_str(&original.address_type);
    out.push(';');
    if original.address_type.eq_ignore_ascii_case("utf-8") {
        write_utf8_address(out, &original.address, smtputf8);
    } else {
        out.push_str(&xtext::encode(&original.address));
    }
}

/// `utf-8-addr-unitext` towards a host with SMTPUTF8, else `utf-8-addr-xtext` (RFC 6533 §3).
fn write_utf8_address(out: &mut String, text: &str, smtputf8: bool) {
    for character in text.chars() {
        let is_plain = character.is_ascii_graphic() && !"+=\\".contains(character);
        if is_plain || (smtputf8 && !character.is_ascii() && !character.is_control()) {
            out.push(character);
        } else {
            let _ = write!(out, "\\x{{{:02X}}}", u32::from(character));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: MailParameters = MailParameters {
        size_octets: None,
        body: BodyType::SevenBit,
        smtputf8: false,
        dsn: false,
    };

    const EVERYTHING: MailParameters = MailParameters {
        size_octets: Some(123),
        body: BodyType::EightBitMime,
        smtputf8: true,
        dsn: true,
    };

    fn envelope() -> Envelope {
        Envelope {
            reverse_path: Some(Address::parse(b"a@example.test").unwrap()),
            ret: Some(Ret::Headers),
            envid: Some("a b+c=d".to_owned()),
            ..Envelope::default()
        }
    }

    fn recipient(notify: Option<Notify>, original: Option<(&str, &str)>) -> Recipient {
        Recipient {
            forward_path: Address::parse(b"b@example.test").unwrap(),
            notify,
            original: original.map(|(address_type, address)| OriginalRecipient {
                address_type: address_type.to_owned(),
                address: address.to_owned(),
            }),
        }
    }

    fn mail(envelope: &Envelope, parameters: MailParameters) -> String {
        let mut out = String::new();
        write_mail(&mut out, envelope, parameters);
        out
    }

    fn rcpt(recipient: &Recipient, parameters: MailParameters) -> String {
        let mut out = String::new();
        write_rcpt(&mut out, recipient, parameters);
        out
    }

    #[test]
    fn mail_has_the_parameters_that_apply() {
        assert_eq!("MAIL FROM:<a@example.test>\r\n", mail(&envelope(), PLAIN));
        assert_eq!("MAIL FROM:<>\r\n", mail(&Envelope::default(), PLAIN));
        assert_eq!(
            "MAIL FROM:<a@example.test> SIZE=123 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+20b+2Bc+3Dd\r\n",
            mail(&envelope(), EVERYTHING)
        );
    }

    #[test]
    fn rcpt_says_dsn_parameters_only_where_dsn_is_offered() {
        let on = |success, failure, delay| {
            Some(Notify::On {
                success,
                failure,
                delay,
            })
        };
        let full = recipient(on(true, true, false), Some(("rfc822", "B+x@example.test")));
        assert_eq!("RCPT TO:<b@example.test>\r\n", rcpt(&full, PLAIN));
        assert_eq!(
            "RCPT TO:<b@example.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;B+2Bx@example.test\r\n",
            rcpt(&full, EVERYTHING)
        );
        assert_eq!(
            "RCPT TO:<b@example.test> NOTIFY=NEVER\r\n",
            rcpt(&recipient(Some(Notify::Never), None), EVERYTHING)
        );
        assert_eq!(
            "RCPT TO:<b@example.test> NOTIFY=DELAY\r\n",
            rcpt(&recipient(on(false, false, true), None), EVERYTHING)
        );
        assert_eq!(
            "RCPT TO:<b@example.test>\r\n",
            rcpt(&recipient(on(false, false, false), None), EVERYTHING)
        );
    }

    #[test]
    fn an_original_recipient_cannot_break_the_command() {
        let evil = recipient(None, Some(("rfc822", "x\r\nRSET\r\n y")));
        assert_eq!(
            "RCPT TO:<b@example.test> ORCPT=rfc822;x+0D+0ARSET+0D+0A+20y\r\n",
            rcpt(&evil, EVERYTHING)
        );
        let evil = recipient(None, Some(("rfc822\r\nRSET", "x")));
        assert_eq!("RCPT TO:<b@example.test>\r\n", rcpt(&evil, EVERYTHING));
    }

    #[test]
    fn an_international_original_recipient_fits_the_next_hop() {
        let original = recipient(None, Some(("utf-8", "grå@example.test")));
        assert_eq!(
            "RCPT TO:<b@example.test> ORCPT=utf-8;grå@example.test\r\n",
            rcpt(&original, EVERYTHING)
        );
        let without = MailParameters {
            smtputf8: false,
            ..EVERYTHING
        };
        assert_eq!(
            "RCPT TO:<b@example.test> ORCPT=utf-8;gr\\x{E5}@example.test\r\n",
            rcpt(&original, without)
        );
    }
}
