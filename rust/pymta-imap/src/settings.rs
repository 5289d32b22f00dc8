//! What a listener offers, checked once, shared by its sessions.

use crate::capability::{Extension, Extensions};
use crate::limits::Limits;
use crate::write;

/// What is offered.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// STARTTLS can be had.
    pub starttls: bool,
    /// SASL mechanisms in order of preference, in upper case.
    pub auth_mechanisms: Vec<String>,
    /// The LOGIN command can be had.
    pub login: bool,
    /// Logins are taken in the clear, too.
    pub auth_without_tls: bool,
    /// What mailboxes can do.
    pub extensions: Extensions,
    /// COMPRESS=DEFLATE can be had.
    pub compress: bool,
    /// The largest message that is taken (APPENDLIMIT, RFC 7889); None for no limit.
    pub append_octets_max: Option<u64>,
    /// What ID answers: fields and values.
    pub identity: Vec<(String, String)>,
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

    /// `CAPABILITY …` (RFC 9051 §7.2.2): only what can be had now.
    pub(crate) fn capabilities(&self, now: Now) -> String {
        let offer = &self.offer;
        let mut line = String::from("CAPABILITY IMAP4rev1");
        let mut say = |word: &str| {
            line.push(' ');
            line.push_str(word);
        };
        if now.open {
            ["LITERAL+", "ID", "ENABLE", "IDLE"]
                .into_iter()
                .for_each(&mut say);
            offer.extensions.names().for_each(&mut say);
            if offer.extensions.has(Extension::Acl) {
                say("RIGHTS=texk");
            }
            if offer.compress && !now.compressing {
                say("COMPRESS=DEFLATE");
            }
            match offer.append_octets_max {
                None => say("APPENDLIMIT"),
                Some(octets) => say(&format!("APPENDLIMIT={octets}")),
            }
        } else {
            if offer.extensions.has(Extension::Rev2) {
                say("IMAP4rev2");
            }
            ["LITERAL+", "SASL-IR", "ID", "ENABLE"]
                .into_iter()
                .for_each(&mut say);
            if offer.starttls && !now.secure {
                say("STARTTLS");
            }
            if !self.takes_login_command(now.secure) {
                say("LOGINDISABLED");
            }
            if self.takes_logins(now.secure) {
                for name in &offer.auth_mechanisms {
                    say(&format!("AUTH={name}"));
                }
            }
        }
        line
    }

    /// The answer to ID (RFC 2971).
    pub(crate) fn identity(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"* ID ");
        if self.offer.identity.is_empty() {
            out.extend_from_slice(b"NIL");
        }
        for (index, (field, value)) in self.offer.identity.iter().enumerate() {
            out.push(if index == 0 { b'(' } else { b' ' });
            write::string(out, field.as_bytes(), false);
            out.push(b' ');
            write::string(out, value.as_bytes(), false);
        }
        if !self.offer.identity.is_empty() {
            out.push(b')');
        }
        out.extend_from_slice(b"\r\n");
    }

    pub(crate) fn takes_logins(&self, secure: bool) -> bool {
        secure || self.offer.auth_without_tls
    }

    pub(crate) fn takes_login_command(&self, secure: bool) -> bool {
        self.offer.login && self.takes_logins(secure)
    }
}

/// What is announced depends on this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) secure: bool,
    /// Logged in.
    pub(crate) open: bool,
    pub(crate) compressing: bool,
}
