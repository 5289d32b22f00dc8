//! Where a mailbox is, as values that cannot lead anywhere else.

use crate::MaildirError;

/// The longest component. File systems take 255 octets; what is below a mailbox needs none of the difference.
const COMPONENT_OCTETS_MAX: usize = 200;
/// Components below the root: domain and account, with room for who spreads them over more.
const COMPONENTS_MAX: usize = 6;

/// A mailbox's place below the root: at least one component, none of which is special to a file system.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxPath(Vec<String>);

impl MailboxPath {
    /// # Errors
    /// `BadName` where there are none or too many components, or one is empty, too long, begins with a dot, or holds a
    /// slash, a backslash or a control character. A leading dot is refused because `.name` is a folder of its mailbox.
    pub fn new<S: Into<String>>(components: impl IntoIterator<Item = S>) -> Result<Self, MaildirError> {
        let components: Vec<String> = components.into_iter().map(Into::into).collect();
        if components.is_empty() || components.len() > COMPONENTS_MAX {
            return Err(bad("mailbox", &components.join("/")));
        }
        match components.iter().find(|name| !is_component(name)) {
            Some(name) => Err(bad("mailbox", name)),
            None => Ok(Self(components)),
        }
    }

    /// From the root down.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// A Maildir++ folder, `Lists.pymta` for the folder `pymta` in `Lists`; on disk it has a dot in front.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FolderName(String);

impl FolderName {
    /// # Errors
    /// `BadName` where a part between dots is empty, or the name is too long or not printable ASCII without slashes.
    /// Names in other scripts come in modified UTF-7 (RFC 3501 §5.1.3), which is ASCII.
    pub fn new(name: &str) -> Result<Self, MaildirError> {
        let is_fine = !name.is_empty()
            && name.len() < COMPONENT_OCTETS_MAX
            && name.split('.').all(|part| !part.is_empty())
            && name
                .bytes()
                .all(|b| matches!(b, b' '..=b'~') && b != b'/' && b != b'\\');
        if is_fine {
            Ok(Self(format!(".{name}")))
        } else {
            Err(bad("folder", name))
        }
    }

    /// The name of its folder on disk.
    pub fn on_disk(&self) -> &str {
        &self.0
    }

    /// Whether it is the one whose messages do not count (Maildir++: Trash).
    pub(crate) fn is_trash(on_disk: &str) -> bool {
        on_disk.eq_ignore_ascii_case(".Trash")
    }
}

fn is_component(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= COMPONENT_OCTETS_MAX
        && !name.starts_with('.')
        && !name.chars().any(|c| c == '/' || c == '\\' || c.is_control())
}

fn bad(what: &'static str, name: &str) -> MaildirError {
    MaildirError::BadName {
        what,
        name: name.chars().take(COMPONENT_OCTETS_MAX).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_component_that_leads_elsewhere_is_refused() {
        for name in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "/etc",
            "a\0b",
            "a\\b",
            ".hidden",
            "a\nb",
            &"x".repeat(201),
        ] {
            assert!(MailboxPath::new(["example.test", name]).is_err(), "{name:?}");
        }
        assert!(MailboxPath::new(Vec::<String>::new()).is_err());
        assert!(MailboxPath::new(vec!["a"; 7]).is_err());
    }

    #[test]
    fn usual_and_international_names_are_fine() {
        for name in ["user", "o'brien", "a b", "grüße", "user+tag", "..."] {
            assert_eq!(
                MailboxPath::new(["example.test", name]).is_ok(),
                name != "...",
                "{name:?}"
            );
        }
    }

    #[test]
    fn a_folder_that_leads_elsewhere_is_refused() {
        for name in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a..b",
            ".a",
            "a.",
            "a\0",
            "ü",
            "a\nb",
            &"x".repeat(200),
        ] {
            assert!(FolderName::new(name).is_err(), "{name:?}");
        }
        assert_eq!(FolderName::new("Lists.pymta").unwrap().on_disk(), ".Lists.pymta");
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_stays_in_its_folder(name in "\\PC{0,12}") {
            if MailboxPath::new([name.as_str()]).is_ok() {
                let path = std::path::Path::new(&name);
                prop_assert_eq!(path.components().count(), 1);
                let is_normal = matches!(path.components().next(), Some(std::path::Component::Normal(_)));
                prop_assert!(is_normal);
            }
            if let Ok(folder) = FolderName::new(&name) {
                prop_assert_eq!(std::path::Path::new(folder.on_disk()).components().count(), 1);
                prop_assert_ne!(folder.on_disk(), "..");
            }
        }
    }
}
