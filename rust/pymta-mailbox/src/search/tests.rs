//! What SEARCH finds, and what it looks at for that.

use std::collections::HashMap;

use pymta_imap::command::{DateTest, SearchKey, SequenceSet, SystemFlag};
use pymta_index::{Details, IndexError, ObjectId, flag};

use super::*;
use crate::content::Octets;

/// A mailbox in memory that counts what it is asked.
#[derive(Default)]
pub(crate) struct Mail {
    pub(crate) messages: Vec<Message>,
    contents: HashMap<u32, Vec<u8>>,
    details: HashMap<u32, Details>,
    records: HashMap<u32, Vec<u8>>,
    details_asked: usize,
    opened: usize,
}

impl Mail {
    /// UIDs 10, 20, …; flags and INTERNALDATE of each.
    pub(crate) fn of(messages: &[(u8, i64, &str)]) -> Self {
        let mut mail = Self::default();
        for (uid, (flags, internal_date_s, content)) in (1..).map(|n| n * 10).zip(messages) {
            mail.messages.push(Message {
                keywords: u64::from(uid == 20),
                modseq: u64::from(uid),
                uid,
                flags: *flags,
            });
            let details = Details {
                uid,
                internal_date_s: *internal_date_s,
                saved_date_s: 0,
                octets: content.len() as u64,
                email_id: ObjectId(uid.into()),
                thread_id: None,
            };
            mail.details.insert(uid, details);
            mail.contents.insert(uid, content.as_bytes().to_vec());
        }
        mail
    }
}

impl Source for Mail {
    fn details(&mut self, uids: &[u32]) -> Result<Vec<Details>, IndexError> {
        self.details_asked += uids.len();
        Ok(uids
            .iter()
            .filter_map(|uid| self.details.get(uid).cloned())
            .collect())
    }

    fn records(&mut self, uids: &[u32]) -> Result<Vec<Option<Vec<u8>>>, IndexError> {
        Ok(uids.iter().map(|uid| self.records.get(uid).cloned()).collect())
    }

    fn keep(&mut self, records: Vec<(u32, Vec<u8>)>) -> Result<(), IndexError> {
        self.records.extend(records);
        Ok(())
    }

    fn open(&mut self, uid: u32) -> Result<Option<Box<dyn Octets>>, IndexError> {
        self.opened += 1;
        let content = self.contents.get(&uid).cloned();
        Ok(content.map(|content| Box::new(content) as Box<dyn Octets>))
    }
}

const DAY: i64 = 86_400;

fn mail() -> Mail {
    Mail::of(&[
        (
            flag::SEEN,
            0,
            "From: =?utf-8?Q?J=C3=BCrgen?= <j@x>\nSubject: One\nDate: 1 Jan 1970 23:00 -0500\n\nHello World\n",
        ),
        (
            flag::DELETED | flag::FORWARDED,
            10 * DAY,
            "From: anna@x\nSubject: Two\nX-Rare: strange\nContent-Type: text/plain; charset=iso-8859-1\n\
             Content-Transfer-Encoding: base64\n\nR3L832Ugd29ybGQ=\n",
        ),
        (
            0,
            20 * DAY,
            "Subject: =?iso-8859-1?Q?Dre=EF?=\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: \
             text/html\n\n<b>part text</b>\n--b\nContent-Type: image/png; name=picture.png\n\nhidden\n--b--\n",
        ),
    ])
}

fn found_in(mail: &mut Mail, key: &SearchKey, slice: usize) -> Vec<usize> {
    let keywords = ["Label".to_owned()];
    let context = Context {
        keywords: &keywords,
        count: u32::try_from(mail.messages.len()).unwrap(),
        last_uid: mail.messages.last().map_or(0, |message| message.uid),
        saved: &[20],
        now_s: 20 * DAY,
    };
    let mut run = Run::new(Program::new(key, &context), mail.messages.len());
    let messages = mail.messages.clone();
    while !run.go_on(&messages, mail, slice, u64::MAX).unwrap() {}
    run.into_found().into_iter().map(|at| at + 1).collect()
}

fn found(key: SearchKey) -> Vec<usize> {
    found_in(&mut mail(), &key, usize::MAX)
}

fn header(name: &str, text: &str) -> SearchKey {
    SearchKey::Header(name.as_bytes().to_vec(), text.to_owned())
}

#[test]
fn numbers_flags_and_what_the_index_knows() {
    use SearchKey::*;
    let ranges = |ranges: &[(u32, u32)]| SequenceSet::Ranges(ranges.to_vec());
    for (key, expected) in [
        (All, vec![1, 2, 3]),
        (Recent, vec![]),
        (Sequence(ranges(&[(2, u32::MAX)])), vec![2, 3]),
        (Sequence(ranges(&[(7, u32::MAX)])), vec![3]),
        (Sequence(ranges(&[(1, 1), (3, 3)])), vec![1, 3]),
        (Uid(ranges(&[(15, 20), (u32::MAX, u32::MAX)])), vec![2, 3]),
        (Uid(SequenceSet::Saved), vec![2]),
        (Sequence(SequenceSet::Saved), vec![2]),
        (Flag(SystemFlag::Seen), vec![1]),
        (Not(Box::new(Flag(SystemFlag::Deleted))), vec![1, 3]),
        (Keyword("LABEL".into()), vec![2]),
        (Keyword("$forwarded".into()), vec![2]),
        (Keyword("other".into()), vec![]),
        (ModSeq(20), vec![2, 3]),
        (Internal(DateTest::On, 10), vec![2]),
        (Internal(DateTest::Before, 10), vec![1]),
        (Internal(DateTest::Since, 10), vec![2, 3]),
        (Older(864_000), vec![1, 2]),
        (Younger(864_000), vec![2, 3]),
        (Larger(120), vec![2, 3]),
        (EmailId(format!("M{}", ObjectId(10))), vec![1]),
        (Sent(DateTest::On, 0), vec![1]),
        (Sent(DateTest::Since, 0), vec![1]),
        (
            Or(Box::new((Flag(SystemFlag::Seen), Internal(DateTest::On, 20)))),
            vec![1, 3],
        ),
        (And(vec![All, Larger(0), Flag(SystemFlag::Deleted)]), vec![2]),
    ] {
        assert_eq!(expected, found(key.clone()), "{key:?}");
    }
}

#[test]
fn text_is_found_decoded_and_without_regard_to_case() {
    use SearchKey::*;
    for (key, expected) in [
        (header("from", "JÜRGEN"), vec![1]),
        (header("Subject", "dreÏ"), vec![3]),
        (header("X-Rare", ""), vec![2]),
        (header("X-Rare", "common"), vec![]),
        (Body("hello".into()), vec![1]),
        (Body("GRÜSSE".into()), vec![]),
        (Body("grüß".into()), vec![2]),
        (Body("WORLD".into()), vec![1, 2]),
        (Body("part text".into()), vec![3]),
        (Body("hidden".into()), vec![]),
        (Body("picture.png".into()), vec![3]),
        (Body("anna".into()), vec![]),
        (Body(String::new()), vec![1, 2, 3]),
        (Text("anna".into()), vec![2]),
        (Text("subject: one".into()), vec![1]),
        (Text("world".into()), vec![1, 2]),
        (Not(Box::new(Text("world".into()))), vec![3]),
    ] {
        assert_eq!(expected, found(key.clone()), "{key:?}");
        assert_eq!(expected, found_in(&mut mail(), &key, 1), "in slices: {key:?}");
    }
}

/// RFC 9051 §6.4.4: what is searched is the envelope, and that has neither quotes nor comments.
#[test]
fn an_address_is_found_as_an_envelope_has_it() {
    let mut mail = Mail::of(&[
        (0, 0, "From: <anna (work)@ (the old) example.org>\n\nx\n"),
        (0, 0, "From: \"Anna \\\"Ann\\\" B\" <\"anna\"@example.org>\n\nx\n"),
        (
            0,
            0,
            "From: anna.b@example.org (Anna)\nSubject: anna@example.org\n\nx\n",
        ),
    ]);
    for (key, expected) in [
        (header("FROM", "Anna@Example.org"), vec![1, 2]),
        (header("FROM", "anna \"ann\" b"), vec![2]),
        (header("FROM", "the old"), vec![1]),
        (header("FROM", "anna@ "), vec![]),
        (header("Subject", "anna@example.org"), vec![3]),
    ] {
        assert_eq!(expected, found_in(&mut mail, &key, usize::MAX), "{key:?}");
    }
}

#[test]
fn nothing_is_opened_that_need_not_be() {
    use SearchKey::*;
    let mut mail = mail();
    found_in(
        &mut mail,
        &And(vec![Body("world".into()), Flag(SystemFlag::Answered)]),
        100,
    );
    assert_eq!((0, 0), (mail.details_asked, mail.opened));
    found_in(
        &mut mail,
        &And(vec![header("subject", "x"), Internal(DateTest::On, 3)]),
        100,
    );
    assert_eq!((3, 0), (mail.details_asked, mail.opened));
    found_in(&mut mail, &header("subject", "x"), 100);
    assert_eq!(3, mail.opened, "once, to make records");
    found_in(
        &mut mail,
        &And(vec![header("subject", "x"), Body("world".into())]),
        100,
    );
    assert_eq!(3, mail.opened);
    found_in(&mut mail, &Text("subject: one".into()), 100);
    assert_eq!(5, mail.opened, "what the header decides is not read");
}

#[test]
fn fields_that_no_record_keeps_are_looked_for_in_the_file() {
    let long = format!("X-Long: {}\nX-Other: y\nSubject: z\n\n", "a".repeat(4000));
    let mut mail = Mail::of(&[(0, 0, &long)]);
    assert_eq!(vec![1], found_in(&mut mail, &header("X-Other", "Y"), 9));
    assert_eq!(
        Vec::<usize>::new(),
        found_in(&mut mail, &header("X-Other", "n"), 9)
    );
    assert_eq!(Vec::<usize>::new(), found_in(&mut mail, &header("X-None", ""), 9));
}

#[test]
fn a_message_that_is_gone_is_not_found() {
    let mut mail = mail();
    mail.contents.remove(&20);
    mail.details.remove(&20);
    assert_eq!(vec![1], found_in(&mut mail, &SearchKey::Body("world".into()), 9));
    assert_eq!(vec![1, 3], found_in(&mut mail, &SearchKey::Larger(0), 9));
}
