//! Whether and how the next hop can take a message: a pure decision from what it offers and what the message needs.
//!
//! Rule: a message is never damaged. What the next hop cannot take is refused here, for the recipients it concerns,
//! with a reply of ours and without sending anything; or it is converted, which is a change that a reader does not
//! see (`crate::convert`).

use pymta_types::{BodyType, Enhanced, Envelope, Reply};

use super::capabilities::Capabilities;
use super::command::MailParameters;
use super::content::{Content, HeldContent};
use super::settings::ClientSettings;
use crate::convert::{self, ConvertError};
use crate::stuff::has_clean_lines;

/// Largest content that goes by BDAT in the same write as its MAIL and RCPT.
///
/// BDAT saves the round trip for 354 that DATA costs. The price is that content is sent before a recipient is
/// accepted; so it is done only for what fits a server's receive window, where waiting would cost more than sending.
pub(super) const BDAT_OCTETS_MAX: u64 = 64 * 1024;

/// Octets looked at or converted at a time; larger messages for a hop that needs a conversion are returned.
const CONVERSION_OCTETS_MAX: u64 = 64 * 1024 * 1024;

/// How the content goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// DATA, asked for in the same write as MAIL where there is PIPELINING.
    Data,
    /// `BDAT n LAST` in the same write as MAIL.
    BdatAtOnce,
    /// `BDAT n LAST` once a recipient was accepted.
    Bdat,
}

/// A message as this hop can take it.
pub(super) struct Plan {
    pub(super) via: Via,
    pub(super) parameters: MailParameters,
    pub(super) content: Box<dyn Content>,
    /// Recipients that are not tried, each with its reply.
    pub(super) refused: Vec<(u32, Reply)>,
    /// Recipients that are.
    pub(super) tried: Vec<u32>,
}

/// Decides. `recipients` are indexes into the envelope's.
pub(super) fn plan(
    offered: &Capabilities,
    settings: &ClientSettings,
    envelope: &Envelope,
    recipients: &[u32],
    content: Box<dyn Content>,
) -> Plan {
    let mut plan = Plan {
        via: Via::Data,
        parameters: MailParameters {
            size_octets: None,
            body: envelope.body,
            smtputf8: false,
            dsn: offered.dsn,
        },
        content,
        refused: Vec::new(),
        tried: Vec::with_capacity(recipients.len()),
    };
    let verdict = plan
        .fit_addresses(offered, envelope)
        .and_then(|()| plan.fit_body(offered, settings))
        .and_then(|()| plan.fit_size(offered));
    if let Err(reply) = verdict {
        plan.refused = recipients.iter().map(|&index| (index, reply.clone())).collect();
        return plan;
    }
    plan.fit_recipients(offered, envelope, recipients);
    plan.choose_via(offered, settings);
    plan
}

impl Plan {
    /// SMTPUTF8 where reverse-path or header section needs it (RFC 6531 §3.5, §3.6). A message that was announced
    /// with SMTPUTF8 and does not use it goes to any host: nothing of it changes.
    fn fit_addresses(&mut self, offered: &Capabilities, envelope: &Envelope) -> Result<(), Reply> {
        let reverse_path_needs = envelope
            .reverse_path
            .as_ref()
            .is_some_and(|path| !path.is_ascii());
        let needed = reverse_path_needs || (envelope.smtputf8 && !self.has_ascii_header());
        if needed && !offered.smtputf8 {
            return Err(Reply::fixed(
                553,
                Enhanced(5, 6, 7),
                "the message needs SMTPUTF8, which the next hop does not offer",
            ));
        }
        self.parameters.smtputf8 = offered.smtputf8 && envelope.needs_smtputf8();
        Ok(())
    }

    /// Whether the header section holds ASCII only. Where it is not in memory, it is taken not to.
    fn has_ascii_header(&self) -> bool {
        if let Some(section) = self.content.header_section() {
            return section.is_ascii();
        }
        self.content.slices().is_some_and(|(head, body)| {
            let first = if head.is_empty() { body } else { head };
            let end = memchr::memmem::find(first, b"\r\n\r\n").unwrap_or(first.len());
            first[..end].is_ascii()
        })
    }

    /// BODY=, and the conversions of RFC 6152 §3 and RFC 3030 §3.
    fn fit_body(&mut self, offered: &Capabilities, settings: &ClientSettings) -> Result<(), Reply> {
        if self.parameters.body == BodyType::BinaryMime {
            let passes = offered.binary_mime && offered.chunking && settings.chunking;
            return if passes { Ok(()) } else { self.convert(offered) };
        }
        let is_held = self.content.slices().is_some();
        if offered.eight_bit_mime {
            // What was announced as 7BIT and is not, is announced as it is; what is not in memory is not read for it.
            if is_held && !self.is_seven_bit()? {
                self.parameters.body = BodyType::EightBitMime;
            }
            return Ok(());
        }
        if self.is_seven_bit()? {
            self.parameters.body = BodyType::SevenBit;
            return Ok(());
        }
        self.convert(offered)
    }

    /// Whether all octets are below 128, if need be by reading them.
    fn is_seven_bit(&self) -> Result<bool, Reply> {
        if let Some((head, body)) = self.content.slices() {
            return Ok(head.is_ascii() && body.is_ascii());
        }
        let mut offset = 0;
        let mut piece = Vec::new();
        while offset < self.content.len() {
            piece.clear();
            let taken = self
                .content
                .read_at(offset, &mut piece, 128 * 1024)
                .map_err(|_| unreadable())?;
            if taken == 0 {
                return Err(unreadable());
            }
            if !piece.is_ascii() {
                return Ok(false);
            }
            offset += taken as u64;
        }
        Ok(true)
    }

    /// Replaces the content by what the next hop can take.
    fn convert(&mut self, offered: &Capabilities) -> Result<(), Reply> {
        let length = self.content.len();
        if length > CONVERSION_OCTETS_MAX {
            return Err(inconvertible("the message is too large to be converted"));
        }
        let mut octets = Vec::new();
        while (octets.len() as u64) < length {
            let offset = octets.len() as u64;
            let taken = self.content.read_at(offset, &mut octets, 128 * 1024);
            if taken.map_err(|_| unreadable())? == 0 {
                return Err(unreadable());
            }
        }
        let target = if offered.eight_bit_mime {
            convert::Target::EightBit
        } else {
            convert::Target::SevenBit
        };
        let converted = convert::convert(&octets, target).map_err(|error| match error {
            ConvertError::Signed => inconvertible("converting the message would break its signature"),
            _ => inconvertible("the message cannot be converted to what the next hop takes"),
        })?;
        self.parameters.body = if offered.eight_bit_mime && !converted.is_ascii() {
            BodyType::EightBitMime
        } else {
            BodyType::SevenBit
        };
        self.content = Box::new(HeldContent(converted));
        Ok(())
    }

    /// SIZE (RFC 1870 §6).
    fn fit_size(&mut self, offered: &Capabilities) -> Result<(), Reply> {
        let octets = self.content.len();
        if offered.size_octets_max.is_some_and(|most| octets > most) {
            return Err(Reply::fixed(
                552,
                Enhanced(5, 3, 4),
                "the message is larger than the next hop takes",
            ));
        }
        self.parameters.size_octets = offered.size.then_some(octets);
        Ok(())
    }

    /// Recipients whose address needs SMTPUTF8, and those over the limits of RFC 9422, which get the reply that the
    /// server would give: the caller tries them again at once in another transaction.
    fn fit_recipients(&mut self, offered: &Capabilities, envelope: &Envelope, recipients: &[u32]) {
        let rcpt_max = offered.limits.rcpt_max.map_or(usize::MAX, |most| most as usize);
        let domain_max = offered
            .limits
            .rcpt_domain_max
            .map_or(usize::MAX, |most| most as usize);
        let mut domains: Vec<String> = Vec::new();
        for &index in recipients {
            let path = &envelope.recipients[index as usize].forward_path;
            if !offered.smtputf8 && !path.is_ascii() {
                let reply = Reply::fixed(
                    553,
                    Enhanced(5, 6, 7),
                    "the forward-path needs SMTPUTF8, which the next hop does not offer",
                );
                self.refused.push((index, reply));
                continue;
            }
            let mut too_many = self.tried.len() >= rcpt_max;
            if domain_max < usize::MAX && !too_many {
                let domain = path.domain().to_lowercase();
                if !domains.contains(&domain) {
                    too_many = domains.len() >= domain_max;
                    if !too_many {
                        domains.push(domain);
                    }
                }
            }
            if too_many {
                let reply = Reply::fixed(452, Enhanced(4, 5, 3), "over the next hop's limit of recipients");
                self.refused.push((index, reply));
            } else {
                self.tried.push(index);
            }
        }
    }

    /// BDAT where it helps: for BINARYMIME, and where it saves the round trip for 354.
    fn choose_via(&mut self, offered: &Capabilities, settings: &ClientSettings) {
        let pipelining = offered.pipelining && settings.pipelining;
        let is_small = self.content.len() <= BDAT_OCTETS_MAX;
        if self.parameters.body == BodyType::BinaryMime {
            let at_once = pipelining && is_small && !settings.lmtp;
            self.via = if at_once { Via::BdatAtOnce } else { Via::Bdat };
            return;
        }
        // Not for LMTP: how many replies a refused BDAT gets is not agreed on (RFC 2033 knows DATA only).
        let helps = pipelining && is_small && offered.chunking && settings.chunking && !settings.lmtp;
        // BDAT counts octets, so stray line endings cannot be put right on the way; DATA does that.
        if helps && self.has_clean_lines() {
            self.via = Via::BdatAtOnce;
        }
    }

    fn has_clean_lines(&self) -> bool {
        self.content.slices().is_some_and(|(head, body)| {
            // Each half must be made of whole lines, or a CRLF cut in two would go unseen.
            has_clean_lines(head) && has_clean_lines(body) && !(head.is_empty() && body.is_empty())
        })
    }
}

/// The stored content cannot be read: our trouble, and another try may find it well.
pub(super) fn unreadable() -> Reply {
    Reply::fixed(
        451,
        Enhanced(4, 3, 0),
        "the message could not be read from the spool",
    )
}

fn inconvertible(text: &str) -> Reply {
    Reply::fixed(554, Enhanced(5, 6, 3), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// A message whose body is on disk.
    struct Large {
        header: &'static [u8],
        body: &'static [u8],
    }

    impl Content for Large {
        fn len(&self) -> u64 {
            (self.header.len() + self.body.len()) as u64
        }
        fn slices(&self) -> Option<(&[u8], &[u8])> {
            None
        }
        fn header_section(&self) -> Option<&[u8]> {
            Some(self.header)
        }
        fn read_at(&self, offset: u64, out: &mut Vec<u8>, octets_max: usize) -> io::Result<usize> {
            HeldContent([self.header, self.body].concat()).read_at(offset, out, octets_max.min(3))
        }
    }

    fn planned(offered: &Capabilities, envelope: &mut Envelope, content: Large) -> Plan {
        let path = pymta_types::Address::parse(b"a@example.test").unwrap();
        envelope.recipients = vec![pymta_types::Recipient::new(path)];
        let settings = ClientSettings::new("client.example.test").unwrap();
        plan(offered, &settings, envelope, &[0], Box::new(content))
    }

    #[test]
    fn a_large_message_that_only_claims_smtputf8_goes_anywhere() {
        let mut envelope = Envelope {
            smtputf8: true,
            ..Envelope::default()
        };
        let content = |header| Large {
            header,
            body: b"x\r\n",
        };
        let fits = planned(
            &Capabilities::default(),
            &mut envelope,
            content(b"Subject: x\r\n\r\n"),
        );
        assert_eq!(vec![0], fits.tried);
        let needs = planned(
            &Capabilities::default(),
            &mut envelope,
            content("Subject: å\r\n\r\n".as_bytes()),
        );
        assert_eq!((1, 0), (needs.refused.len(), needs.tried.len()));
    }

    #[test]
    fn a_large_message_is_read_before_a_hop_without_8bitmime_gets_it() {
        let header = b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n";
        let mut envelope = Envelope {
            body: BodyType::EightBitMime,
            ..Envelope::default()
        };
        let ascii = planned(
            &Capabilities::default(),
            &mut envelope,
            Large {
                header,
                body: b"x\r\n",
            },
        );
        assert_eq!(BodyType::SevenBit, ascii.parameters.body);
        assert!(ascii.content.slices().is_none(), "passes as it is");
        let body = "grå\r\n".as_bytes();
        let converted = planned(&Capabilities::default(), &mut envelope, Large { header, body });
        assert_eq!(BodyType::SevenBit, converted.parameters.body);
        let held = converted
            .content
            .slices()
            .map(|(octets, _)| octets.ends_with(b"gr=C3=A5\r\n"));
        assert_eq!(Some(true), held);
    }

    #[test]
    fn what_cannot_be_read_or_is_too_large_to_convert_is_not_tried() {
        struct Broken(u64);
        impl Content for Broken {
            fn len(&self) -> u64 {
                self.0
            }
            fn slices(&self) -> Option<(&[u8], &[u8])> {
                None
            }
            fn read_at(&self, _: u64, _: &mut Vec<u8>, _: usize) -> io::Result<usize> {
                Err(io::ErrorKind::Other.into())
            }
        }
        let settings = ClientSettings::new("client.example.test").unwrap();
        let path = pymta_types::Address::parse(b"a@example.test").unwrap();
        let envelope = Envelope {
            recipients: vec![pymta_types::Recipient::new(path)],
            body: BodyType::BinaryMime,
            ..Envelope::default()
        };
        for (octets, reply) in [
            (10, "451 4.3.0 the message could not be read from the spool"),
            (
                CONVERSION_OCTETS_MAX + 1,
                "554 5.6.3 the message is too large to be converted",
            ),
        ] {
            let plan = plan(
                &Capabilities::default(),
                &settings,
                &envelope,
                &[0],
                Box::new(Broken(octets)),
            );
            assert_eq!(
                vec![(0, reply.to_owned())],
                plan.refused
                    .iter()
                    .map(|(at, r)| (*at, r.to_string()))
                    .collect::<Vec<_>>()
            );
        }
    }
}
