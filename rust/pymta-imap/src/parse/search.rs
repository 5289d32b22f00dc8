//! SEARCH, SORT and THREAD: RFC 9051 §6.4.4, RFC 5256 and what extends them.

use std::borrow::Cow;

use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};

use super::{Cursor, Flaw, Parsed};
use crate::capability::Extension;
use crate::command::{
    Command, DateTest, Search, SearchKey, SearchKind, SearchReturn, SortBy, SortCriterion, SystemFlag,
    ThreadAlgorithm,
};
use crate::limits::{LIST_MAX, NESTING_MAX, SEARCH_KEYS_MAX};

/// What is said to who names another charset; each of these is known, and some more names of theirs.
pub(crate) const CHARSETS: &str = "BADCHARSET (US-ASCII UTF-8 ISO-8859-1 ISO-8859-2 ISO-8859-3 ISO-8859-4 ISO-8859-5 \
    ISO-8859-6 ISO-8859-7 ISO-8859-8 ISO-8859-9 ISO-8859-10 ISO-8859-13 ISO-8859-14 ISO-8859-15 ISO-8859-16 \
    WINDOWS-874 WINDOWS-1250 WINDOWS-1251 WINDOWS-1252 WINDOWS-1253 WINDOWS-1254 WINDOWS-1255 WINDOWS-1256 \
    WINDOWS-1257 WINDOWS-1258 KOI8-R KOI8-U IBM866 MACINTOSH GBK GB2312 GB18030 BIG5 EUC-JP ISO-2022-JP SHIFT_JIS \
    EUC-KR)";

/// A charset that a client named: in capitals, and how it is read.
struct Charset {
    name: String,
    encoding: &'static Encoding,
}

/// Keys read so far, and how their texts are read.
struct Keys {
    count: usize,
    encoding: &'static Encoding,
}

impl Cursor<'_> {
    pub(crate) fn search(&mut self) -> Parsed<Command> {
        self.space()?;
        let returns = self.returns(Extension::Esearch)?;
        let charset = if self.take_word("CHARSET") {
            self.space()?;
            let charset = self.charset()?;
            self.space()?;
            Some(charset)
        } else {
            None
        };
        self.searched(SearchKind::Search, returns, charset)
    }

    /// RFC 5267 §4.3.5.
    pub(crate) fn cancel_update(&mut self) -> Parsed<Command> {
        self.needs(Extension::ContextSearch)?;
        let mut tags = Vec::new();
        while tags.is_empty() || self.peek().is_some() {
            self.space()?;
            tags.push(String::from_utf8(self.string()?.into_owned()).map_err(|_| Flaw::Syntax)?);
            if tags.len() > LIST_MAX {
                return Err(Flaw::TooComplex);
            }
        }
        Ok(Command::CancelUpdate(tags))
    }

    pub(crate) fn sort(&mut self) -> Parsed<Command> {
        self.needs(Extension::Sort)?;
        self.space()?;
        let returns = self.returns(Extension::Esort)?;
        let mut criteria: Vec<SortCriterion> = Vec::new();
        for criterion in self.list(Self::criterion)? {
            // What compared equal once does so again, in either direction.
            if criteria.iter().all(|before| before.by != criterion.by) {
                criteria.push(criterion);
            }
        }
        self.space()?;
        let charset = Some(self.charset()?);
        self.space()?;
        self.searched(SearchKind::Sort(criteria), returns, charset)
    }

    pub(crate) fn thread(&mut self) -> Parsed<Command> {
        let has_any = self.has(Extension::ThreadReferences) || self.has(Extension::ThreadOrderedSubject);
        if !has_any {
            return Err(Flaw::Unknown);
        }
        self.space()?;
        let algorithm = match self.word()?.as_str() {
            "ORDEREDSUBJECT" if self.has(Extension::ThreadOrderedSubject) => ThreadAlgorithm::OrderedSubject,
            "REFERENCES" if self.has(Extension::ThreadReferences) => ThreadAlgorithm::References,
            _ => return Err(Flaw::Syntax),
        };
        self.space()?;
        let charset = Some(self.charset()?);
        self.space()?;
        self.searched(SearchKind::Thread(algorithm), None, charset)
    }

    fn searched(
        &mut self,
        kind: SearchKind,
        returns: Option<SearchReturn>,
        charset: Option<Charset>,
    ) -> Parsed<Command> {
        let mut keys = Keys {
            count: 0,
            encoding: charset.as_ref().map_or(UTF_8, |charset| charset.encoding),
        };
        let mut all = vec![self.key(&mut keys, 0)?];
        while self.take(b' ') {
            all.push(self.key(&mut keys, 0)?);
        }
        let key = one_or_all(all);
        Ok(Command::Search(Box::new(Search {
            kind,
            returns,
            charset: charset.map(|charset| charset.name),
            key,
        })))
    }

    fn charset(&mut self) -> Parsed<Charset> {
        let name = self.text()?.to_ascii_uppercase();
        let encoding = match name.as_str() {
            // Whoever says so and sends more means what comes next to it.
            "US-ASCII" => Some(UTF_8),
            // A NUL cannot be sent.
            _ => Encoding::for_label(name.as_bytes())
                .filter(|encoding| ![REPLACEMENT, UTF_16BE, UTF_16LE].contains(encoding)),
        };
        let encoding = encoding.ok_or(Flaw::Charset)?;
        Ok(Charset { name, encoding })
    }

    /// A text that is looked for.
    fn needle(&mut self, keys: &Keys) -> Parsed<String> {
        let octets = self.astring()?;
        let text = keys
            .encoding
            .decode_without_bom_handling_and_without_replacement(&octets);
        text.map(Cow::into_owned).ok_or(Flaw::Syntax)
    }

    /// `RETURN (…) ` where it comes next.
    fn returns(&mut self, extension: Extension) -> Parsed<Option<SearchReturn>> {
        if !self.take_word("RETURN") {
            return Ok(None);
        }
        self.needs(extension).map_err(|_| Flaw::Syntax)?;
        self.space()?;
        // Of SORT that would be CONTEXT=SORT.
        let has_contexts = extension == Extension::Esearch && self.has(Extension::ContextSearch);
        let mut returns = SearchReturn::default();
        let options = self.list_or_none(|cursor| {
            let option = match cursor.word()?.as_str() {
                "MIN" => &mut returns.min,
                "MAX" => &mut returns.max,
                "ALL" => &mut returns.all,
                "COUNT" => &mut returns.count,
                "SAVE" if cursor.has(Extension::SearchRes) => &mut returns.save,
                "UPDATE" if has_contexts => &mut returns.update,
                // A hint (RFC 5267 §4.2): a search costs no less for having been announced.
                "CONTEXT" if has_contexts => return Ok(()),
                "PARTIAL" if has_contexts || cursor.has(Extension::Partial) => {
                    cursor.space()?;
                    returns.partial = Some(cursor.partial()?);
                    return Ok(());
                }
                _ => return Err(Flaw::Syntax),
            };
            *option = true;
            Ok(())
        })?;
        returns.all |= options.is_empty();
        // RFC 9394 §3.1: one or the other.
        if returns.all && returns.partial.is_some() {
            return Err(Flaw::Syntax);
        }
        self.space()?;
        Ok(Some(returns))
    }

    fn criterion(&mut self) -> Parsed<SortCriterion> {
        let reverse = self.take_word("REVERSE");
        if reverse {
            self.space()?;
        }
        let has_display = self.has(Extension::SortDisplay);
        let by = match self.word()?.as_str() {
            "ARRIVAL" => SortBy::Arrival,
            "CC" => SortBy::Cc,
            "DATE" => SortBy::Date,
            "FROM" => SortBy::From,
            "SIZE" => SortBy::Size,
            "SUBJECT" => SortBy::Subject,
            "TO" => SortBy::To,
            "DISPLAYFROM" if has_display => SortBy::DisplayFrom,
            "DISPLAYTO" if has_display => SortBy::DisplayTo,
            _ => return Err(Flaw::Syntax),
        };
        Ok(SortCriterion { reverse, by })
    }

    /// One key. The only place that recurses, and no deeper than [`NESTING_MAX`].
    fn key(&mut self, keys: &mut Keys, depth: usize) -> Parsed<SearchKey> {
        keys.count += 1;
        if keys.count > SEARCH_KEYS_MAX || depth > NESTING_MAX {
            return Err(Flaw::TooComplex);
        }
        match self.peek() {
            Some(b'(') => {
                self.expect(b'(')?;
                let mut all = vec![self.key(keys, depth + 1)?];
                while self.take(b' ') {
                    all.push(self.key(keys, depth + 1)?);
                }
                self.expect(b')')?;
                Ok(one_or_all(all))
            }
            Some(b'0'..=b'9' | b'*') if self.grammar.enabled.uid_only => Err(Flaw::UidRequired), // RFC 9586 §3.3
            Some(b'0'..=b'9' | b'*' | b'$') => self.set().map(SearchKey::Sequence),
            _ => match self.word()?.as_str() {
                "OR" => {
                    self.space()?;
                    let one = self.key(keys, depth + 1)?;
                    self.space()?;
                    let other = self.key(keys, depth + 1)?;
                    Ok(SearchKey::Or(Box::new((one, other))))
                }
                "NOT" => {
                    self.space()?;
                    Ok(not(self.key(keys, depth + 1)?))
                }
                word => self.simple_key(word, keys),
            },
        }
    }

    fn simple_key(&mut self, word: &str, keys: &Keys) -> Parsed<SearchKey> {
        if let Some(key) = flag_key(word) {
            return Ok(key);
        }
        if word == "SAVEDATESUPPORTED" && self.has(Extension::SaveDate) {
            return Ok(SearchKey::SaveDateSupported);
        }
        self.space()?;
        Ok(match word {
            "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => {
                SearchKey::Header(word.as_bytes().to_vec(), self.needle(keys)?)
            }
            "HEADER" => {
                let field = self.astring()?.into_owned();
                self.space()?;
                SearchKey::Header(field, self.needle(keys)?)
            }
            "BODY" => SearchKey::Body(self.needle(keys)?),
            "TEXT" => SearchKey::Text(self.needle(keys)?),
            "KEYWORD" => SearchKey::Keyword(self.atom()?),
            "UNKEYWORD" => not(SearchKey::Keyword(self.atom()?)),
            "UID" => SearchKey::Uid(self.set()?),
            "LARGER" => SearchKey::Larger(self.number64()?),
            "SMALLER" => SearchKey::Smaller(self.number64()?),
            "OLDER" if self.has(Extension::Within) => SearchKey::Older(self.nonzero()?),
            "YOUNGER" if self.has(Extension::Within) => SearchKey::Younger(self.nonzero()?),
            "MODSEQ" if self.has(Extension::Condstore) => self.modseq_key()?,
            "EMAILID" if self.has(Extension::ObjectId) => SearchKey::EmailId(self.atom()?),
            "THREADID" if self.has(Extension::ObjectId) => SearchKey::ThreadId(self.atom()?),
            _ => self.date_key(word)?,
        })
    }

    fn date_key(&mut self, word: &str) -> Parsed<SearchKey> {
        let (key, test): (fn(DateTest, i64) -> SearchKey, &str) =
            if let Some(test) = word.strip_prefix("SENT") {
                (SearchKey::Sent, test)
            } else if let Some(test) = word.strip_prefix("SAVED") {
                self.needs(Extension::SaveDate).map_err(|_| Flaw::Syntax)?;
                (SearchKey::Saved, test)
            } else {
                (SearchKey::Internal, word)
            };
        let test = match test {
            "BEFORE" => DateTest::Before,
            "ON" => DateTest::On,
            "SINCE" => DateTest::Since,
            _ => return Err(Flaw::Syntax),
        };
        Ok(key(test, self.date()?))
    }

    /// `MODSEQ [entry type] number` (RFC 7162 §3.1.5).
    fn modseq_key(&mut self) -> Parsed<SearchKey> {
        if self.peek() == Some(b'"') {
            self.string()?;
            self.space()?;
            if !matches!(self.word()?.as_str(), "ALL" | "PRIV" | "SHARED") {
                return Err(Flaw::Syntax);
            }
            self.space()?;
        }
        Ok(SearchKey::ModSeq(self.number64()?))
    }
}

fn one_or_all(mut keys: Vec<SearchKey>) -> SearchKey {
    match keys.pop() {
        Some(key) if keys.is_empty() => key,
        last => {
            keys.extend(last);
            SearchKey::And(keys)
        }
    }
}

fn not(key: SearchKey) -> SearchKey {
    SearchKey::Not(Box::new(key))
}

/// Keys without an argument.
fn flag_key(word: &str) -> Option<SearchKey> {
    let flag = |flag| Some(SearchKey::Flag(flag));
    match word {
        "ALL" => Some(SearchKey::All),
        "NEW" => Some(SearchKey::And(vec![
            SearchKey::Recent,
            not(SearchKey::Flag(SystemFlag::Seen)),
        ])),
        "OLD" => Some(not(SearchKey::Recent)),
        "RECENT" => Some(SearchKey::Recent),
        "ANSWERED" => flag(SystemFlag::Answered),
        "DELETED" => flag(SystemFlag::Deleted),
        "DRAFT" => flag(SystemFlag::Draft),
        "FLAGGED" => flag(SystemFlag::Flagged),
        "SEEN" => flag(SystemFlag::Seen),
        _ => word
            .strip_prefix("UN")
            .filter(|word| matches!(*word, "ANSWERED" | "DELETED" | "DRAFT" | "FLAGGED" | "SEEN"))
            .and_then(flag_key)
            .map(not),
    }
}
