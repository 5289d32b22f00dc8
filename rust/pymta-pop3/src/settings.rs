//! What a listener offers, checked once, shared by its sessions.

use crate::limits::Limits;

/// What is offered.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// STLS can be had.
    pub stls: bool,
    /// SASL mechanisms in order of preference, in upper case.
    pub auth_mechanisms: Vec<String>,
    /// USER and PASS can be had.
    pub user_and_pass: bool,
    /// Logins are taken in the clear, too.
    pub auth_without_tls: bool,
    /// How long after a login the next one is taken; None for at once (RFC 2449 §6.5).
    pub login_delay_s: Option<u32>,
    /// Limits of a session.
    pub limits: Limits,
}

/// A mechanism's name is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a mechanism: {0:?}")]
pub struct SettingsError(String);

/// A checked offer.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) offer: Offer,
}

impl Settings {
    /// # Errors
    /// A mechanism whose name could not be sent.
    pub fn new(offer: Offer) -> Result<Self, SettingsError> {
        let is_name = |name: &&String| {
            !name.is_empty()
                && name.bytes().all(|octet| {
                    octet.is_ascii_uppercase() || octet.is_ascii_digit() || matches!(octet, b'-' | b'_')
                })
        };
        match offer.auth_mechanisms.iter().find(|name| !is_name(name)) {
            Some(name) => Err(SettingsError(name.clone())),
            None => Ok(Self { offer }),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.offer.limits
    }

    /// The answer to CAPA (RFC 2449 §5): only what can be had now.
    pub(crate) fn capabilities(&self, out: &mut Vec<u8>, now: Now) {
        let offer = &self.offer;
        let mut say = |text: &str| {
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        };
        say("+OK capabilities follow");
        say("TOP");
        say("UIDL");
        say("PIPELINING");
        say("RESP-CODES");
        say("AUTH-RESP-CODE");
        if self.takes_logins(now.secure) {
            if offer.user_and_pass {
                say("USER");
            }
            if !offer.auth_mechanisms.is_empty() {
                say(&format!("SASL {}", offer.auth_mechanisms.join(" ")));
            }
        }
        if offer.stls && !now.secure && !now.open {
            say("STLS");
        }
        say(if offer.user_and_pass { "UTF8 USER" } else { "UTF8" });
        say("LANG");
        say("EXPIRE NEVER");
        if let Some(seconds) = offer.login_delay_s {
            say(&format!("LOGIN-DELAY {seconds}"));
        }
        say(".");
    }

    pub(crate) fn takes_logins(&self, secure: bool) -> bool {
        secure || self.offer.auth_without_tls
    }
}

/// What CAPA depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) secure: bool,
    /// Logged in.
    pub(crate) open: bool,
}
