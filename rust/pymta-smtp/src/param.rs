//! The parameters of MAIL and RCPT (RFC 5321 §4.1.1.11) and the attributes of XCLIENT.
//!
//! ```abnf
//! Mail-parameters = esmtp-param *(SP esmtp-param)
//! esmtp-param     = esmtp-keyword ["=" esmtp-value]
//! esmtp-keyword   = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
//! esmtp-value     = 1*(%d33-60 / %d62-126)
//! ```
//!
//! | parameter | command | from | value |
//! | --- | --- | --- | --- |
//! | SIZE | MAIL | RFC 1870 | 1*20DIGIT |
//! | BODY | MAIL | RFC 6152, RFC 3030 | 7BIT, 8BITMIME, BINARYMIME |
//! | SMTPUTF8 | MAIL | RFC 6531 | none |
//! | RET, ENVID | MAIL | RFC 3461 §4.3, §4.4 | FULL or HDRS; xtext |
//! | AUTH | MAIL | RFC 4954 §5 | xtext or `<>`; read and ignored, as §5 lets who does not trust the client |
//! | NOTIFY, ORCPT | RCPT | RFC 3461 §4.1, §4.2 | NEVER or a list; addr-type ";" xtext |
//!
//! Rule: a keyword given twice is malformed, an unknown one is `555`. An octet beyond ASCII is let through to the
//! values that may have it (RFC 6531 §3.4, RFC 6533 §3).

use pymta_types::{BodyType, Notify, OriginalRecipient, Ret};

use crate::xtext;

/// RFC 3461 §4.4.
const ENVID_OCTETS_MAX: usize = 100;
/// RFC 3461 §4.2.
const ORCPT_OCTETS_MAX: usize = 500;
/// RFC 1870 §3: at most 20 digits.
const SIZE_DIGITS_MAX: usize = 20;
/// More than any client sends; bounds the work on one line.
const PARAMETERS_MAX: usize = 20;

/// Why parameters are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParameterError {
    /// Not `keyword` or `keyword=value`, or given twice.
    Form,
    /// The keyword means nothing to us.
    Unknown,
    /// The value of this keyword is malformed.
    Value(&'static str),
}

/// What MAIL may carry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct MailParameters {
    pub(crate) size_octets: Option<u64>,
    pub(crate) body: BodyType,
    pub(crate) smtputf8: bool,
    pub(crate) ret: Option<Ret>,
    pub(crate) envid: Option<String>,
}

/// What RCPT may carry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RcptParameters {
    pub(crate) notify: Option<Notify>,
    pub(crate) original: Option<OriginalRecipient>,
}

/// Reads the parameters of MAIL.
pub(crate) fn of_mail(text: &[u8]) -> Result<MailParameters, ParameterError> {
    let mut found = MailParameters::default();
    each(
        text,
        &["SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH"],
        |keyword, value| {
            match keyword {
                "SIZE" => found.size_octets = Some(size_of(value?)?),
                "BODY" => found.body = body_of(value?)?,
                "SMTPUTF8" => found.smtputf8 = value.is_none(),
                "RET" => found.ret = Some(ret_of(value?)?),
                "ENVID" => found.envid = Some(envid_of(value?)?),
                // RFC 4954 §5: `<>` or an xtext-encoded mailbox; ignored.
                _ => drop(xtext::decode(value?)?),
            }
            (keyword != "SMTPUTF8" || value.is_none()).then_some(())
        },
    )?;
    Ok(found)
}

/// Reads the parameters of RCPT.
pub(crate) fn of_rcpt(text: &[u8]) -> Result<RcptParameters, ParameterError> {
    let mut found = RcptParameters::default();
    each(text, &["NOTIFY", "ORCPT"], |keyword, value| {
        match keyword {
            "NOTIFY" => found.notify = Some(notify_of(value?)?),
            _ => found.original = Some(original_of(value?)?),
        }
        Some(())
    })?;
    Ok(found)
}

/// The attributes of XCLIENT, values decoded: `NAME=… ADDR=…` (Postfix XCLIENT_README). At least one.
pub(crate) fn of_xclient(text: &[u8]) -> Result<Vec<(&'static str, String)>, ParameterError> {
    let mut found = Vec::new();
    each(text, XCLIENT_ATTRIBUTES, |keyword, value| {
        found.push((keyword, xtext::decode(value?)?));
        Some(())
    })?;
    if found.is_empty() {
        return Err(ParameterError::Form);
    }
    Ok(found)
}

/// In the order in which EHLO names them.
pub(crate) const XCLIENT_ATTRIBUTES: &[&str] = &[
    "NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT",
];

/// Calls `take` with each keyword of `known` and its value; None from it means a malformed value.
fn each<'a>(
    text: &'a [u8],
    known: &[&'static str],
    mut take: impl FnMut(&'static str, Option<&'a [u8]>) -> Option<()>,
) -> Result<(), ParameterError> {
    let mut seen = [false; PARAMETERS_MAX];
    for parameter in text.split(|&octet| octet == b' ').filter(|p| !p.is_empty()) {
        let (keyword, value) = match parameter.iter().position(|&octet| octet == b'=') {
            Some(at) => (&parameter[..at], Some(&parameter[at + 1..])),
            None => (parameter, None),
        };
        if !is_keyword(keyword) || value.is_some_and(|v| !is_value(v)) {
            return Err(ParameterError::Form);
        }
        let place = known
            .iter()
            .position(|name| name.as_bytes().eq_ignore_ascii_case(keyword))
            .ok_or(ParameterError::Unknown)?;
        if std::mem::replace(&mut seen[place], true) {
            return Err(ParameterError::Form);
        }
        take(known[place], value).ok_or(ParameterError::Value(known[place]))?;
    }
    Ok(())
}

fn is_keyword(octets: &[u8]) -> bool {
    octets.first().is_some_and(u8::is_ascii_alphanumeric)
        && octets.iter().all(|o| o.is_ascii_alphanumeric() || *o == b'-')
}

fn is_value(octets: &[u8]) -> bool {
    !octets.is_empty() && octets.iter().all(|o| o.is_ascii_graphic() || !o.is_ascii())
}

/// A size too large for 64 bits is still a size: the largest one, which no limit allows.
fn size_of(value: &[u8]) -> Option<u64> {
    let digits = value.len() <= SIZE_DIGITS_MAX && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits)?;
    Some(text.parse().unwrap_or(u64::MAX))
}

fn body_of(value: &[u8]) -> Option<BodyType> {
    [
        (&b"7BIT"[..], BodyType::SevenBit),
        (b"8BITMIME", BodyType::EightBitMime),
        (b"BINARYMIME", BodyType::BinaryMime),
    ]
    .into_iter()
    .find_map(|(word, body)| value.eq_ignore_ascii_case(word).then_some(body))
}

fn ret_of(value: &[u8]) -> Option<Ret> {
    match value.to_ascii_uppercase().as_slice() {
        b"FULL" => Some(Ret::Full),
        b"HDRS" => Some(Ret::Headers),
        _ => None,
    }
}

fn envid_of(value: &[u8]) -> Option<String> {
    (value.len() <= ENVID_OCTETS_MAX).then(|| xtext::decode(value))?
}

/// ```abnf
/// notify-esmtp-value = "NEVER" / 1#notify-list-element
/// notify-list-element = "SUCCESS" / "FAILURE" / "DELAY"
/// ```
fn notify_of(value: &[u8]) -> Option<Notify> {
    if value.eq_ignore_ascii_case(b"NEVER") {
        return Some(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for word in value.split(|&octet| octet == b',') {
        match word.to_ascii_uppercase().as_slice() {
            b"SUCCESS" => success = true,
            b"FAILURE" => failure = true,
            b"DELAY" => delay = true,
            _ => return None,
        }
    }
    Some(Notify::On {
        success,
        failure,
        delay,
    })
}

/// `orcpt-parameter = "ORCPT=" original-recipient-address`, `original-recipient-address = addr-type ";" xtext`.
fn original_of(value: &[u8]) -> Option<OriginalRecipient> {
    if value.len() > ORCPT_OCTETS_MAX {
        return None;
    }
    let semicolon = value.iter().position(|&octet| octet == b';')?;
    let (address_type, address) = (&value[..semicolon], &value[semicolon + 1..]);
    if !is_keyword(address_type) || address.is_empty() {
        return None;
    }
    let address = if address_type.eq_ignore_ascii_case(b"utf-8") {
        xtext::decode_utf8(address)?
    } else {
        xtext::decode(address)?
    };
    Some(OriginalRecipient {
        address_type: String::from_utf8_lossy(address_type).into_owned(),
        address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_mail() {
        assert_eq!(Ok(MailParameters::default()), of_mail(b""));
        assert_eq!(
            Ok(MailParameters {
                size_octets: Some(1000),
                body: BodyType::BinaryMime,
                smtputf8: true,
                ret: Some(Ret::Headers),
                envid: Some("a+b".to_owned()),
            }),
            of_mail(b" size=1000 BODY=binarymime SMTPUTF8 RET=HDRS  ENVID=a+2Bb AUTH=<> ")
        );
    }

    #[test]
    fn a_size_beyond_64_bits_is_the_largest() {
        let size = |text: &str| of_mail(text.as_bytes()).map(|p| p.size_octets);
        assert_eq!(Ok(Some(u64::MAX)), size("SIZE=99999999999999999999"));
        assert_eq!(
            Err(ParameterError::Value("SIZE")),
            size("SIZE=999999999999999999999")
        );
        assert_eq!(Err(ParameterError::Value("SIZE")), size("SIZE=-1"));
        assert_eq!(Err(ParameterError::Value("SIZE")), size("SIZE=+1"));
        assert_eq!(Err(ParameterError::Form), size("SIZE="));
    }

    #[test]
    fn malformed_parameters_of_mail() {
        use ParameterError::*;
        for (text, error) in [
            ("SIZE", Value("SIZE")),
            ("BODY=9BIT", Value("BODY")),
            ("SMTPUTF8=1", Value("SMTPUTF8")),
            ("RET=BOTH", Value("RET")),
            ("ENVID=a+0Ab", Value("ENVID")),
            ("SIZE=1 SIZE=2", Form),
            ("=1", Form),
            ("-X=1", Form),
            ("SIZE=1\t", Form),
            ("NOTIFY=NEVER", Unknown),
            ("XYZZY", Unknown),
        ] {
            assert_eq!(Err(error), of_mail(text.as_bytes()), "{text}");
        }
        let long = format!("ENVID={}", "x".repeat(101));
        assert_eq!(Err(Value("ENVID")), of_mail(long.as_bytes()));
    }

    #[test]
    fn parameters_of_rcpt() {
        let both = of_rcpt(b"NOTIFY=SUCCESS,delay ORCPT=rfc822;Bob+2Bx@example.org").unwrap();
        assert_eq!(
            Some(Notify::On {
                success: true,
                failure: false,
                delay: true
            }),
            both.notify
        );
        assert_eq!("Bob+x@example.org", both.original.unwrap().address);
        for text in [
            "NOTIFY=NEVER,DELAY",
            "NOTIFY=,",
            "NOTIFY",
            "ORCPT=rfc822",
            "ORCPT=rfc822;",
            "ORCPT=;a@b",
            "ORCPT=rfc822;a+0D+0AX:+20y",
        ] {
            assert!(
                matches!(of_rcpt(text.as_bytes()), Err(ParameterError::Value(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn attributes_of_xclient() {
        assert_eq!(
            Ok(vec![
                ("NAME", "[UNAVAILABLE]".to_owned()),
                ("ADDR", "192.0.2.1".to_owned())
            ]),
            of_xclient(b"name=[UNAVAILABLE] ADDR=192.0.2.1")
        );
        for text in ["", "NAME", "FOO=bar", "HELO=a+0Ab", "ADDR=1 ADDR=2"] {
            assert!(of_xclient(text.as_bytes()).is_err(), "{text}");
        }
    }
}
