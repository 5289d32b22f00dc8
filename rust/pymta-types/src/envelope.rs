//! What travels beside the message: reverse-path, recipients and their parameters (RFC 5321 §2.3.1, RFC 3461).

use crate::Address;

/// BODY= of RFC 6152 and RFC 3030: what the octets of the content may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyType {
    /// Lines of ASCII.
    #[default]
    SevenBit,
    /// Lines that may hold octets above 127 (RFC 6152).
    EightBitMime,
    /// Any octets, not made of lines (RFC 3030); arrives by BDAT only.
    BinaryMime,
}

/// RET= of RFC 3461 §4.3: what a failed DSN returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its header section only.
    Headers,
}

/// NOTIFY= of RFC 3461 §4.1: which DSNs the sender of a message wants for a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// NOTIFY=NEVER: none at all.
    Never,
    /// Any set of the other three, at least one of them.
    On {
        /// SUCCESS
        success: bool,
        /// FAILURE
        failure: bool,
        /// DELAY
        delay: bool,
    },
}

/// ORCPT= of RFC 3461 §4.2, decoded from xtext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRecipient {
    /// Such as `rfc822` or `utf-8`.
    pub address_type: String,
    /// The address as the original sender wrote it.
    pub address: String,
}

/// One forward-path with what was asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Argument of RCPT TO.
    pub forward_path: Address,
    /// None where the command had no NOTIFY: then failures are reported, and delays as we see fit.
    pub notify: Option<Notify>,
    /// None where the command had no ORCPT.
    pub original: Option<OriginalRecipient>,
}

impl Recipient {
    /// A recipient without DSN parameters.
    pub fn new(forward_path: Address) -> Self {
        Self {
            forward_path,
            notify: None,
            original: None,
        }
    }

    /// Whether a DSN of `Action: failed` is wanted (RFC 3461 §4.1: yes unless said otherwise).
    pub fn wants_failure(&self) -> bool {
        !matches!(
            self.notify,
            Some(Notify::Never | Notify::On { failure: false, .. })
        )
    }

    /// Whether a DSN of `Action: delayed` is wanted (our default is yes; RFC 3461 §4.1 leaves it to us).
    pub fn wants_delay(&self) -> bool {
        !matches!(self.notify, Some(Notify::Never | Notify::On { delay: false, .. }))
    }

    /// Whether a DSN of `Action: delivered` or `relayed` is wanted.
    pub fn wants_success(&self) -> bool {
        matches!(self.notify, Some(Notify::On { success: true, .. }))
    }
}

/// The envelope of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Argument of MAIL FROM; None is the null reverse-path `<>` (RFC 5321 §4.5.5).
    pub reverse_path: Option<Address>,
    /// In the order in which they were accepted. Their index names them in the spool.
    pub recipients: Vec<Recipient>,
    /// BODY=
    pub body: BodyType,
    /// SMTPUTF8 (RFC 6531 §3.4)
    pub smtputf8: bool,
    /// RET=
    pub ret: Option<Ret>,
    /// ENVID= of RFC 3461 §4.4, decoded from xtext.
    pub envid: Option<String>,
}

impl Envelope {
    /// Whether it can go only to a host that offers SMTPUTF8 (RFC 6531 §3.4: said by the client, or an address
    /// needs it).
    pub fn needs_smtputf8(&self) -> bool {
        self.smtputf8
            || self.reverse_path.as_ref().is_some_and(|a| !a.is_ascii())
            || self.recipients.iter().any(|r| !r.forward_path.is_ascii())
    }

    /// Whether any recipient asks for a DSN of success.
    pub fn wants_success(&self) -> bool {
        self.recipients.iter().any(Recipient::wants_success)
    }

    /// The same envelope with no recipient asking for a DSN of success; who asked for nothing else asks for NEVER.
    pub fn without_success(mut self) -> Self {
        for recipient in &mut self.recipients {
            recipient.notify = match recipient.notify {
                Some(Notify::On {
                    success: true,
                    failure: false,
                    delay: false,
                }) => Some(Notify::Never),
                Some(Notify::On {
                    success: true,
                    failure,
                    delay,
                }) => Some(Notify::On {
                    success: false,
                    failure,
                    delay,
                }),
                other => other,
            };
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipient(notify: Option<Notify>) -> Recipient {
        Recipient {
            notify,
            ..Recipient::new(Address::parse(b"a@b").unwrap())
        }
    }

    #[test]
    fn without_notify_failures_are_wanted_and_success_is_not() {
        let plain = recipient(None);
        assert!(plain.wants_failure() && plain.wants_delay() && !plain.wants_success());
    }

    #[test]
    fn never_wants_nothing() {
        let never = recipient(Some(Notify::Never));
        assert!(!never.wants_failure() && !never.wants_delay() && !never.wants_success());
    }

    #[test]
    fn without_success_the_other_wishes_stay() {
        let asked = |success, failure, delay| {
            recipient(Some(Notify::On {
                success,
                failure,
                delay,
            }))
        };
        let envelope = Envelope {
            recipients: vec![
                asked(true, true, false),
                asked(true, false, false),
                asked(false, false, true),
                recipient(None),
            ],
            ..Envelope::default()
        };
        assert!(envelope.wants_success());

        let left = envelope.without_success();

        assert!(!left.wants_success());
        assert_eq!(
            left.recipients,
            [
                asked(false, true, false),
                recipient(Some(Notify::Never)),
                asked(false, false, true),
                recipient(None),
            ]
        );
    }

    #[test]
    fn an_address_beyond_ascii_needs_smtputf8() {
        let mut envelope = Envelope::default();
        assert!(!envelope.needs_smtputf8());
        envelope
            .recipients
            .push(Recipient::new(Address::parse("ü@b".as_bytes()).unwrap()));
        assert!(envelope.needs_smtputf8());
    }
}
