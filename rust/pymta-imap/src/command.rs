//! Commands about mailboxes as values: what is left of a command when grammar, framing and limits are done with.
//!
//! What a session answers by itself (CAPABILITY, ENABLE, ID, LOGOUT …) and what decides who somebody is (LOGIN, AUTHENTICATE,
//! STARTTLS) is not here, but in the session. APPEND and REPLACE are events of their own, because their content comes in
//! pieces.
//!
//! Mailbox names are UTF-8 here, hierarchy separator `/`, INBOX in capitals whatever case it came in; the wire's modified
//! UTF-7 (RFC 3501 §5.1.3) is undone.

/// A command that `pymta-mailbox` carries out, with the tag that its completion carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Tagged {
    /// As the client wrote it.
    pub tag: String,
    /// UID was in front: numbers in the command are UIDs, and EXPUNGE has a set.
    pub by_uid: bool,
    /// What is asked.
    pub command: Command,
}

/// RFC 9051 §6.3 and §6.4 with the extensions that are announced.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// Also an occasion to tell what changed.
    Noop,
    /// RFC 9051 §6.4.1.
    Check,
    /// SELECT, or EXAMINE where `read_only`.
    Select {
        /// Which mailbox.
        mailbox: String,
        /// EXAMINE.
        read_only: bool,
        /// (CONDSTORE).
        condstore: bool,
        /// (QRESYNC …), RFC 7162 §3.2.5.
        qresync: Option<Qresync>,
    },
    /// CLOSE: also expunges, silently.
    Close,
    /// UNSELECT.
    Unselect,
    /// EXPUNGE, or UID EXPUNGE of a set.
    Expunge(Option<SequenceSet>),
    /// CREATE, with the special uses asked for (RFC 6154 §3).
    Create {
        /// Which mailbox; a separator at its end is gone.
        mailbox: String,
        /// As `\Sent`.
        special_use: Vec<String>,
    },
    /// DELETE.
    Delete(String),
    /// RENAME.
    Rename {
        /// The old name.
        from: String,
        /// The new one.
        to: String,
    },
    /// SUBSCRIBE.
    Subscribe(String),
    /// UNSUBSCRIBE.
    Unsubscribe(String),
    /// LIST in all its forms.
    List(List),
    /// LSUB of RFC 3501.
    Lsub {
        /// Prepended to the pattern.
        reference: String,
        /// With `*` and `%`.
        pattern: String,
    },
    /// NAMESPACE.
    Namespace,
    /// STATUS.
    Status {
        /// Which mailbox.
        mailbox: String,
        /// What is asked of it.
        items: Vec<StatusItem>,
    },
    /// FETCH.
    Fetch {
        /// Which messages.
        set: SequenceSet,
        /// What of each; macros are expanded.
        items: Vec<FetchItem>,
        /// CHANGEDSINCE.
        changed_since: Option<u64>,
        /// VANISHED (RFC 7162 §3.2.6).
        vanished: bool,
        /// PARTIAL (RFC 9394).
        partial: Option<Partial>,
    },
    /// STORE.
    Store {
        /// Which messages.
        set: SequenceSet,
        /// UNCHANGEDSINCE.
        unchanged_since: Option<u64>,
        /// FLAGS, +FLAGS or -FLAGS.
        action: StoreAction,
        /// .SILENT.
        silent: bool,
        /// Which flags.
        flags: Flags,
    },
    /// COPY, or MOVE where `removes`.
    Copy {
        /// Which messages.
        set: SequenceSet,
        /// Where to.
        mailbox: String,
        /// MOVE.
        removes: bool,
    },
    /// SEARCH, SORT and THREAD.
    Search(Box<Search>),
    /// CANCELUPDATE: the tags of searches.
    CancelUpdate(Vec<String>),
    /// GETQUOTA.
    GetQuota(String),
    /// GETQUOTAROOT.
    GetQuotaRoot(String),
    /// SETQUOTA: who may is not decided here.
    SetQuota(String),
    /// GETMETADATA.
    GetMetadata {
        /// Empty for the server.
        mailbox: String,
        /// Names of entries, in lower case.
        entries: Vec<String>,
        /// MAXSIZE.
        octets_max: Option<u64>,
        /// DEPTH.
        depth: MetadataDepth,
    },
    /// SETMETADATA; a value of None removes.
    SetMetadata {
        /// Empty for the server.
        mailbox: String,
        /// Entry and value.
        entries: Vec<(String, Option<Vec<u8>>)>,
    },
    /// GETACL.
    GetAcl(String),
    /// SETACL, or DELETEACL where `rights` is None.
    SetAcl {
        /// Which mailbox.
        mailbox: String,
        /// Who.
        identifier: String,
        /// With `+` or `-` in front where it changes what is there.
        rights: Option<String>,
    },
    /// LISTRIGHTS.
    ListRights {
        /// Which mailbox.
        mailbox: String,
        /// Who.
        identifier: String,
    },
    /// MYRIGHTS.
    MyRights(String),
    /// NOTIFY (RFC 5465); None for NOTIFY NONE.
    Notify(Option<Notify>),
}

/// What QRESYNC brings along in SELECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qresync {
    /// UIDVALIDITY that the client knows.
    pub uid_validity: u32,
    /// Mod-sequence up to which it knows everything.
    pub modseq: u64,
    /// UIDs that it knows; None for all.
    pub known_uids: Option<SequenceSet>,
    /// Message numbers and the UIDs that they had, to spare VANISHED (RFC 7162 §3.2.5.2).
    pub match_data: Option<(SequenceSet, SequenceSet)>,
}

/// A set of message numbers or UIDs, as it was written; see [`SequenceSet::Saved`] for `$`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequenceSet {
    /// Ranges in the order given, each from its lower to its higher end. `u32::MAX` stands for `*`: it is the largest
    /// number in use, so `*:4` is (4, *).
    Ranges(Vec<(u32, u32)>),
    /// `$`: the result that SEARCH saved (RFC 5182).
    Saved,
}

/// `a:b` of PARTIAL: results from the first, or from the last where `from_end`, counted from 1; `first` ≤ `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Lower number.
    pub first: u32,
    /// Higher number.
    pub last: u32,
    /// The numbers were negative.
    pub from_end: bool,
}

/// Flags of a command: the five that every message may have, and keywords.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // five independent facts, each with a name
pub struct Flags {
    /// \Answered
    pub answered: bool,
    /// \Flagged
    pub flagged: bool,
    /// \Deleted
    pub deleted: bool,
    /// \Seen
    pub seen: bool,
    /// \Draft
    pub draft: bool,
    /// Atoms as given, `$Forwarded` among them, each once (they compare without case).
    pub keywords: Vec<String>,
}

/// How STORE changes flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreAction {
    /// FLAGS
    Replace,
    /// +FLAGS
    Add,
    /// -FLAGS
    Remove,
}

/// What FETCH may ask of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchItem {
    /// UID
    Uid,
    /// FLAGS
    Flags,
    /// INTERNALDATE
    InternalDate,
    /// RFC822.SIZE
    Size,
    /// ENVELOPE
    Envelope,
    /// BODY without a section: BODYSTRUCTURE without extension data.
    Body,
    /// BODYSTRUCTURE
    BodyStructure,
    /// MODSEQ
    ModSeq,
    /// SAVEDATE (RFC 8514)
    SaveDate,
    /// EMAILID (RFC 8474)
    EmailId,
    /// THREADID (RFC 8474)
    ThreadId,
    /// PREVIEW (RFC 8970); LAZY may be answered with NIL.
    Preview {
        /// (LAZY)
        lazy: bool,
    },
    /// BODY[…], BINARY[…], RFC822, RFC822.HEADER and RFC822.TEXT.
    Section(Section),
    /// BINARY.SIZE[part]
    BinarySize(Vec<u32>),
}

/// A part of a message that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Numbers as in `1.2`; none for the whole message.
    pub part: Vec<u32>,
    /// What of it.
    pub text: SectionText,
    /// BODY.PEEK and RFC822.HEADER do not set \Seen.
    pub peek: bool,
    /// `<offset.octets>`
    pub partial: Option<(u64, u64)>,
    /// How it was asked for, which the answer repeats.
    pub form: SectionForm,
}

/// See [`Section`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionForm {
    /// BODY[…]
    Body,
    /// BINARY[…]: decoded from its transfer encoding (RFC 3516).
    Binary,
    /// RFC822
    Rfc822,
    /// RFC822.HEADER
    Rfc822Header,
    /// RFC822.TEXT
    Rfc822Text,
}

/// See [`Section`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionText {
    /// All of the part: its content; of the whole message, header section and body.
    All,
    /// HEADER
    Header,
    /// HEADER.FIELDS, or HEADER.FIELDS.NOT where `not`; names as they were written.
    HeaderFields {
        /// Which.
        names: Vec<Vec<u8>>,
        /// All others.
        not: bool,
    },
    /// TEXT
    Text,
    /// MIME
    Mime,
}

/// What STATUS may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)] // each is its name on the wire
pub enum StatusItem {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
    Deleted,
    Size,
    HighestModSeq,
    MailboxId,
    AppendLimit,
    DeletedStorage,
}

/// LIST (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // independent options, each with a name on the wire
pub struct List {
    /// Prepended to each pattern.
    pub reference: String,
    /// With `*` and `%`; one empty pattern asks for the separator.
    pub patterns: Vec<String>,
    /// Selection option SUBSCRIBED.
    pub select_subscribed: bool,
    /// Selection option REMOTE.
    pub select_remote: bool,
    /// Selection option RECURSIVEMATCH.
    pub recursive_match: bool,
    /// Selection option SPECIAL-USE.
    pub select_special_use: bool,
    /// Return option SUBSCRIBED.
    pub return_subscribed: bool,
    /// Return option CHILDREN.
    pub return_children: bool,
    /// Return option SPECIAL-USE.
    pub return_special_use: bool,
    /// Return option MYRIGHTS (RFC 8440).
    pub return_my_rights: bool,
    /// Return option STATUS.
    pub return_status: Option<Vec<StatusItem>>,
    /// Return option METADATA (RFC 9590).
    pub return_metadata: Option<Vec<String>>,
    /// It was written with options or several patterns: then what is not selectable is said as RFC 5258 has it.
    pub extended: bool,
}

/// SEARCH, SORT or THREAD.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// What is wanted of the messages found.
    pub kind: SearchKind,
    /// RETURN (…); None where there was none: a plain SEARCH or SORT response.
    pub returns: Option<SearchReturn>,
    /// A charset that was named, in capitals; strings in the keys are UTF-8 already.
    pub charset: Option<String>,
    /// What is looked for.
    pub key: SearchKey,
}

/// See [`Search`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKind {
    /// SEARCH
    Search,
    /// SORT, by these in turn.
    Sort(Vec<SortCriterion>),
    /// THREAD
    Thread(ThreadAlgorithm),
}

/// RETURN options (RFC 9051 §6.4.4, RFC 5182, RFC 9394, RFC 5267).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // independent options, each with a name on the wire
pub struct SearchReturn {
    /// MIN
    pub min: bool,
    /// MAX
    pub max: bool,
    /// ALL; also what an empty list means.
    pub all: bool,
    /// COUNT
    pub count: bool,
    /// SAVE
    pub save: bool,
    /// PARTIAL
    pub partial: Option<Partial>,
    /// UPDATE: what changes in the result is to be said. CONTEXT, a hint, is not kept.
    pub update: bool,
}

/// RFC 5256 §3 and RFC 5957.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortCriterion {
    /// REVERSE
    pub reverse: bool,
    /// By what.
    pub by: SortBy,
}

/// See [`SortCriterion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is its name on the wire
pub enum SortBy {
    Arrival,
    Cc,
    Date,
    From,
    Size,
    Subject,
    To,
    DisplayFrom,
    DisplayTo,
}

/// RFC 5256 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is its name on the wire
pub enum ThreadAlgorithm {
    OrderedSubject,
    References,
}

/// RFC 9051 §6.4.4. Dates are days since 1970-01-01, times are seconds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SearchKey {
    /// Every message.
    All,
    /// All of these; a list in parentheses, and the top level.
    And(Vec<SearchKey>),
    /// One or the other.
    Or(Box<(SearchKey, SearchKey)>),
    /// The others.
    Not(Box<SearchKey>),
    /// Message numbers, also where the command is by UID (RFC 9051 §6.4.9).
    Sequence(SequenceSet),
    /// UID set
    Uid(SequenceSet),
    /// ANSWERED … UNSEEN: a system flag that is set.
    Flag(SystemFlag),
    /// KEYWORD
    Keyword(String),
    /// NEW, OLD and RECENT of RFC 3501: OLD is what is not recent.
    Recent,
    /// INTERNALDATE before the day, on it, or on it or after; without regard to the time zone.
    Internal(DateTest, i64),
    /// The Date field, likewise.
    Sent(DateTest, i64),
    /// SAVEDATE, likewise (RFC 8514).
    Saved(DateTest, i64),
    /// SAVEDATESUPPORTED
    SaveDateSupported,
    /// LARGER
    Larger(u64),
    /// SMALLER
    Smaller(u64),
    /// OLDER, in seconds (RFC 5032).
    Older(u32),
    /// YOUNGER, in seconds.
    Younger(u32),
    /// BCC, CC, FROM, SUBJECT, TO and HEADER: the field's name, and what it holds; an empty text finds every message that
    /// has the field.
    Header(Vec<u8>, String),
    /// BODY
    Body(String),
    /// TEXT: header section or body.
    Text(String),
    /// MODSEQ at least; entries' names are looked over (RFC 7162 §3.1.5).
    ModSeq(u64),
    /// EMAILID
    EmailId(String),
    /// THREADID
    ThreadId(String),
}

/// See [`SearchKey::Internal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is its name on the wire
pub enum DateTest {
    Before,
    On,
    Since,
}

/// The five that every mailbox has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is its name on the wire
pub enum SystemFlag {
    Answered,
    Deleted,
    Draft,
    Flagged,
    Seen,
}

/// RFC 5464 §4.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is its name on the wire
pub enum MetadataDepth {
    Zero,
    One,
    Infinity,
}

/// NOTIFY SET (RFC 5465 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// STATUS: say first how the mailboxes are.
    pub status: bool,
    /// Mailboxes, and what of them is to be told.
    pub groups: Vec<NotifyGroup>,
}

/// See [`Notify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyGroup {
    /// Which mailboxes.
    pub mailboxes: NotifyMailboxes,
    /// What of them; none for NONE.
    pub events: Vec<NotifyEvent>,
}

/// RFC 5465 §6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyMailboxes {
    /// SELECTED
    Selected,
    /// SELECTED-DELAYED
    SelectedDelayed,
    /// INBOXES
    Inboxes,
    /// PERSONAL
    Personal,
    /// SUBSCRIBED
    Subscribed,
    /// SUBTREE
    Subtree(Vec<String>),
    /// MAILBOXES
    Mailboxes(Vec<String>),
}

/// RFC 5465 §5.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)] // each is its name on the wire
pub enum NotifyEvent {
    /// With what is to be fetched of new messages in the selected mailbox.
    MessageNew(Vec<FetchItem>),
    MessageExpunge,
    FlagChange,
    AnnotationChange,
    MailboxName,
    SubscriptionChange,
    MailboxMetadataChange,
    ServerMetadataChange,
}
