//! What is announced, as one table: each extension, its name, and whether it is part of what is offered by default.
//!
//! Rule: what is not announced is not understood either: the grammar asks [`Extensions::has`] before it reads a command
//! or an item of an extension.

/// The extensions that the grammar knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the table has the names
pub enum Extension {
    Rev2,
    Acl,
    Binary,
    Catenate,
    Children,
    Condstore,
    ContextSearch,
    CreateSpecialUse,
    Esearch,
    Esort,
    InProgress,
    ListExtended,
    ListMetadata,
    ListMyRights,
    ListStatus,
    Metadata,
    Move,
    MultiAppend,
    Namespace,
    Notify,
    ObjectId,
    Partial,
    Preview,
    Qresync,
    Quota,
    Replace,
    SaveDate,
    SearchRes,
    Sort,
    SortDisplay,
    SpecialUse,
    StatusSize,
    ThreadOrderedSubject,
    ThreadReferences,
    UidOnly,
    UidPlus,
    Unselect,
    Utf8Accept,
    Within,
}

/// (extension, name as it is announced, whether it works: offered where nothing else is said)
const TABLE: [(Extension, &str, bool); 39] = {
    use Extension::*;
    [
        (Rev2, "IMAP4rev2", true),
        (Acl, "ACL", true),
        (Binary, "BINARY", true),
        (Catenate, "CATENATE", true),
        (Children, "CHILDREN", true),
        (Condstore, "CONDSTORE", true),
        (ContextSearch, "CONTEXT=SEARCH", true),
        (CreateSpecialUse, "CREATE-SPECIAL-USE", true),
        (Esearch, "ESEARCH", true),
        (Esort, "ESORT", true),
        (InProgress, "INPROGRESS", true),
        (ListExtended, "LIST-EXTENDED", true),
        (ListMetadata, "LIST-METADATA", true),
        (ListMyRights, "LIST-MYRIGHTS", true),
        (ListStatus, "LIST-STATUS", true),
        (Metadata, "METADATA", true),
        (Move, "MOVE", true),
        (MultiAppend, "MULTIAPPEND", true),
        (Namespace, "NAMESPACE", true),
        (Notify, "NOTIFY", true),
        (ObjectId, "OBJECTID", true),
        (Partial, "PARTIAL", true),
        (Preview, "PREVIEW", true),
        (Qresync, "QRESYNC", true),
        (Quota, "QUOTA", true),
        (Replace, "REPLACE", true),
        (SaveDate, "SAVEDATE", true),
        (SearchRes, "SEARCHRES", true),
        (Sort, "SORT", true),
        (SortDisplay, "SORT=DISPLAY", true),
        (SpecialUse, "SPECIAL-USE", true),
        (StatusSize, "STATUS=SIZE", true),
        (ThreadOrderedSubject, "THREAD=ORDEREDSUBJECT", true),
        (ThreadReferences, "THREAD=REFERENCES", true),
        (UidOnly, "UIDONLY", true),
        (UidPlus, "UIDPLUS", true),
        (Unselect, "UNSELECT", true),
        (Utf8Accept, "UTF8=ACCEPT", true),
        (Within, "WITHIN", true),
    ]
};

/// A set of extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extensions(u64);

impl Default for Extensions {
    /// Those that work.
    fn default() -> Self {
        let works = TABLE.iter().filter(|(_, _, works)| *works);
        Self(works.fold(0, |bits, (one, _, _)| bits | bit(*one)))
    }
}

fn bit(extension: Extension) -> u64 {
    1 << extension as u32
}

impl Extensions {
    /// None.
    pub fn none() -> Self {
        Self(0)
    }

    /// Every one that the grammar knows.
    pub fn all() -> Self {
        Self(TABLE.iter().fold(0, |bits, (one, _, _)| bits | bit(*one)))
    }

    /// Adds the one of that name; false where there is none.
    pub fn add(&mut self, name: &str) -> bool {
        let found = TABLE.iter().find(|(_, one, _)| one.eq_ignore_ascii_case(name));
        found.inspect(|(one, _, _)| self.0 |= bit(*one)).is_some()
    }

    /// Without that one.
    pub fn remove(&mut self, extension: Extension) {
        self.0 &= !bit(extension);
    }

    /// Whether it is offered.
    pub fn has(self, extension: Extension) -> bool {
        self.0 & bit(extension) != 0
    }

    /// The names of those that are offered, in the order of the table.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let held = TABLE.iter().filter(move |(one, _, _)| self.has(*one));
        held.map(|(_, name, _)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_extension_has_its_row_and_its_bit() {
        for (place, (extension, name, _)) in TABLE.iter().enumerate() {
            assert_eq!(place, *extension as usize, "{name}");
            let mut one = Extensions::none();
            assert!(one.add(&name.to_lowercase()) && one.has(*extension));
            assert_eq!(vec![*name], one.names().collect::<Vec<_>>());
        }
        assert!(!Extensions::none().add("X"));
        assert_eq!(TABLE.len(), Extensions::all().names().count());
    }
}
