//! mbox files as several programs write them, and there and back.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use pymta_index::{IndexError, flag};
use pymta_maildir::{Host, MailboxPath};
use pymta_types::UnixMs;

use super::from_line::from_line;
use super::read::Reader;
use super::write::{Sheet, write};
use super::{Escaping, MboxError, fields, tree};
use crate::upkeep::Upkeep;

pub(super) const NOW: UnixMs = UnixMs(1_800_000_000_000);
pub(super) const FIRST: &str = "From a@b.c Thu Nov 16 10:00:00 2023\n";

/// Gives so many octets at a time.
struct Slowly<'a>(&'a [u8], usize);

impl Read for Slowly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let octets = self.1.min(self.0.len()).min(buffer.len());
        buffer[..octets].copy_from_slice(&self.0[..octets]);
        self.0 = &self.0[octets..];
        Ok(octets)
    }
}

pub(super) fn messages_as(text: &[u8], escaping: Escaping, step: usize) -> Vec<(Option<i64>, Vec<u8>)> {
    let mut reader = Reader::new(Slowly(text, step), escaping);
    assert!(reader.begins_well().unwrap());
    let mut found = Vec::new();
    while let Some(line) = reader.message().unwrap() {
        let mut content = Vec::new();
        while reader.read(&mut content).unwrap() {}
        found.push((line.date_s, content));
    }
    found
}

fn contents(text: &str) -> Vec<String> {
    let found = messages_as(text.as_bytes(), Escaping::Mboxrd, usize::MAX);
    found
        .into_iter()
        .map(|(_, content)| String::from_utf8(content).unwrap())
        .collect()
}

#[test]
fn an_empty_line_parts_messages_and_belongs_to_none() {
    let text = format!("\n{FIRST}A: 1\n\nx\n\n\n{FIRST}B: 2\n\n{FIRST}C: 3\n\ny");
    assert_eq!(contents(&text), ["A: 1\n\nx\n\n", "B: 2\n", "C: 3\n\ny"]);
    assert_eq!(contents(&text.replace('\n', "\r\n"))[0], "A: 1\r\n\r\nx\r\n\r\n");
    assert!(contents("").is_empty());
}

#[test]
fn a_line_without_a_date_begins_a_message_only_before_a_field() {
    let text = format!("{FIRST}A: 1\n\nFrom here to there\nis far.\n\nFrom - \nB: 2\n\nx\n");
    assert_eq!(
        contents(&text),
        ["A: 1\n\nFrom here to there\nis far.\n", "B: 2\n\nx\n"]
    );
}

#[test]
fn a_content_length_is_not_believed() {
    let text = format!("{FIRST}Content-Length: 999\n\nx\n\n{FIRST}B: 2\n\ny\n");
    assert_eq!(contents(&text).len(), 2);
}

#[test]
fn who_escapes_only_once_is_understood() {
    let text = format!("{FIRST}A: 1\n\n>From x\n>>From y\n> From z\n");
    let read = |escaping| String::from_utf8(messages_as(text.as_bytes(), escaping, 7).remove(0).1).unwrap();
    assert_eq!(read(Escaping::Mboxrd), "A: 1\n\nFrom x\n>From y\n> From z\n");
    assert_eq!(read(Escaping::Mboxo), "A: 1\n\nFrom x\n>>From y\n> From z\n");
}

#[test]
fn what_is_no_mbox_is_told_from_an_empty_one() {
    let begins_well = |text: &str| {
        Reader::new(text.as_bytes(), Escaping::Mboxrd)
            .begins_well()
            .unwrap()
    };
    assert!(begins_well("") && begins_well("\n\n") && begins_well(FIRST));
    assert!(!begins_well("Subject: x\n\n") && !begins_well("From the start\n\nx"));
}

#[test]
fn a_line_longer_than_what_is_held_is_whole() {
    let long = "x".repeat(700_000);
    let text = format!("{FIRST}A: 1\n\n{long}\nFrom me\n\n{FIRST}B: 2\n");
    assert_eq!(contents(&text)[0], format!("A: 1\n\n{long}\nFrom me\n"));
}

#[test]
fn dates_of_many_writers_are_read() {
    for (line, date_s) in [
        ("From a@b Thu Nov 16 10:00:00 2023\n", 1_700_128_800),
        ("From a@b  Thu Nov  2 10:00:00 2023\r\n", 1_698_919_200),
        ("From a b Thu Nov 16 10:00 2023\n", 1_700_128_800),
        ("From - thu nov 16 10:00:00 2023 +0100\n", 1_700_125_200),
        ("From a@b Thu Nov 16 10:00:00 UTC 2023\n", 1_700_128_800),
        (
            "From a@b Thu Nov 16 10:00:00 -0100 2023 remote from x\n",
            1_700_132_400,
        ),
    ] {
        assert_eq!(
            from_line(line.as_bytes(), false).unwrap().date_s,
            Some(date_s),
            "{line}"
        );
    }
    for line in [
        "From a@b Thu Nov 36 10:00:00 2023\n",
        "From Thu\n",
        "From \n",
        "From a Thu Nov 16 10:00:00 2023",
    ] {
        assert_eq!(from_line(line.as_bytes(), false), None, "{line}");
    }
}

#[test]
fn flags_and_keywords_are_taken_out_of_the_header_section() {
    let header = b"Subject: x\nStatus: RO\nX-Status: AF\nX-Keywords: work\n $Forwarded  a(b\nX-UID: 7\n\
        X-Mozilla-Status: 0009\nDate: Thu, 16 Nov 2023 10:00:00 +0000\nContent-Length: 3\n";
    let (kept, marks) = fields::split(header);
    assert_eq!(kept, b"Subject: x\nDate: Thu, 16 Nov 2023 10:00:00 +0000\n");
    let flags = flag::SEEN | flag::ANSWERED | flag::FLAGGED | flag::FORWARDED | flag::DELETED;
    assert_eq!((marks.flags, marks.keywords), (flags, vec!["work".to_owned()]));
    assert_eq!((marks.date_s, marks.is_internal), (Some(1_700_128_800), false));
    let note = b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n";
    assert!(fields::split(note).1.is_internal);
}

#[test]
fn names_of_files_and_mailboxes_lead_to_each_other() {
    for (mailbox, path) in [
        ("INBOX", "INBOX.mbox"),
        ("Archive/2026", "Archive/2026.mbox"),
        ("../a", "%2E./a.mbox"),
        ("a.b", "a.b.mbox"),
    ] {
        assert_eq!(tree::path_of(mailbox), Path::new(path));
    }
}

pub(super) fn written(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let sheet = Sheet {
        date_s: 1_700_128_800,
        flags: flag::SEEN | flag::DRAFT,
        keywords: &["work"],
    };
    write(&mut out, message, &sheet).unwrap();
    out
}

#[test]
fn a_message_is_written_as_every_reader_wants_it() {
    let message = b"Return-Path: <a@b.c>\r\nStatus: x\r\n\r\nFrom x\r\n>From y";
    let text = "From a@b.c Thu Nov 16 10:00:00 2023\nStatus: RO\nX-Status: T\nX-Keywords: work\n\
        Return-Path: <a@b.c>\n\n>From x\n>>From y\n\n";
    assert_eq!(String::from_utf8(written(message)).unwrap(), text);
    assert!(written(b"Return-Path: <a b>\n").starts_with(b"From MAILER-DAEMON Thu"));
}

proptest! {
    #[test]
    fn a_message_comes_back_as_it_was(head in "|[ \t]x\n", body in "[>x]{0,2}(From |x|\n|>From |From a@b Thu Nov 16 10:00:00 2023\n){0,12}", step in 1usize..9) {
        let message = format!("{head}A: 1\n\n{body}");
        let mut text = written(message.as_bytes());
        text.extend(written(b"B: 2\n\nother\n"));
        let found = messages_as(&text, Escaping::Mboxrd, step);
        prop_assert_eq!(found.len(), 2);
        let content = fields::split(&found[0].1).0;
        // The end of the last line is all that is not told.
        let end = if message.ends_with('\n') { "" } else { "\n" };
        prop_assert_eq!(String::from_utf8(content).unwrap(), format!("{message}{end}"));
    }

    #[test]
    fn nothing_makes_it_panic(text in "(From |>|\n|\r|a:|Thu Nov 16 10:00:00 2023|x){0,40}") {
        let mut reader = Reader::new(text.as_bytes(), Escaping::Mboxrd);
        reader.begins_well().unwrap();
        while reader.message().unwrap().is_some() {
            while reader.read(&mut Vec::new()).unwrap() {}
        }
    }
}

// ---- whole accounts

pub(super) struct Sandbox(pub(super) PathBuf);

impl Sandbox {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("pymta-mbox-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("mail")).unwrap();
        Self(folder)
    }

    pub(super) fn upkeep(&self) -> Upkeep {
        let path = MailboxPath::new(["example.org", "alice"]).unwrap();
        Upkeep::open(&self.0.join("mail"), &path, Host::new("h", 1), NOW).unwrap()
    }

    pub(super) fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn names(&self) -> Vec<String> {
        let names =
            ["new", "cur"].map(|name| std::fs::read_dir(self.0.join("mail/example.org/alice").join(name)));
        names
            .into_iter()
            .flat_map(Result::unwrap)
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn import(upkeep: &Upkeep, path: &Path) -> (u64, u64) {
    upkeep.import_mbox(path, None, Escaping::Mboxrd, NOW).unwrap();
    let progress = upkeep.progress();
    (
        progress.messages.load(Ordering::Relaxed),
        progress.known.load(Ordering::Relaxed),
    )
}

#[test]
fn a_second_import_adds_nothing_and_two_that_are_the_same_are_two() {
    let sandbox = Sandbox::new();
    let message = format!("{FIRST}Status: R\nA: 1\n\nx\n\n");
    let path = sandbox.put("old", &format!("{message}{message}{FIRST}B: 2\n\ny\n"));
    assert_eq!(import(&sandbox.upkeep(), &path), (3, 0));
    // Flags that changed since make no other message of it.
    let name = sandbox
        .names()
        .into_iter()
        .find(|name| name.ends_with("S"))
        .unwrap();
    let cur = sandbox.0.join("mail/example.org/alice/cur");
    std::fs::rename(cur.join(&name), cur.join(format!("{name}T"))).unwrap();
    assert_eq!(import(&sandbox.upkeep(), &path), (0, 3));
    assert_eq!(sandbox.names().len(), 3);
}

#[test]
fn who_was_stopped_goes_on_where_it_was() {
    let sandbox = Sandbox::new();
    let text: String = (0..1200)
        .map(|number| format!("{FIRST}A: {number}\n\nx\n\n"))
        .collect();
    let path = sandbox.put("old", &text);
    let upkeep = sandbox.upkeep();
    // As of somebody who was killed behind his second batch, in the midst of the third.
    let head = sandbox.put("head", &text[..text.match_indices("From ").nth(1000).unwrap().0]);
    assert_eq!(import(&upkeep, &head), (1000, 0));
    upkeep.progress().is_to_stop.store(true, Ordering::Relaxed);
    let stopped = upkeep.import_mbox(&path, None, Escaping::Mboxrd, NOW);
    assert!(matches!(stopped, Err(MboxError::Index(IndexError::Stopped))));
    let left = std::fs::read_dir(sandbox.0.join("mail/example.org/alice/tmp")).unwrap();
    assert_eq!(left.count(), 0);
    assert_eq!(import(&sandbox.upkeep(), &path), (200, 1000));
}

#[test]
fn a_tree_of_files_is_a_tree_of_mailboxes() {
    let sandbox = Sandbox::new();
    let mail = format!("{FIRST}A: 1\n\nx\n");
    for name in [
        "Inbox",
        "Sent",
        "Archive.sbd/2026",
        "Apple.mbox/mbox",
        "lists/pymta.mbox",
        "%2Eh",
    ] {
        sandbox.put(&format!("tree/{name}"), &mail);
    }
    sandbox.put("tree/Empty", "");
    sandbox.put("tree/Inbox.msf", "// <!-- <mdb:mork");
    sandbox.put("tree/.hidden", &mail);
    sandbox.put("tree/letter.eml", "From: a@b.c\n\nx\n");
    sandbox.put("tree/notes.txt", "From the start\n\nx\n");
    let upkeep = sandbox.upkeep();
    let others = upkeep
        .import_mbox(&sandbox.0.join("tree"), None, Escaping::Mboxrd, NOW)
        .unwrap();
    let passed_over = ["Inbox.msf", "letter.eml", "notes.txt"].map(|name| sandbox.0.join("tree").join(name));
    assert_eq!(others, passed_over);
    let (there, back) = (sandbox.0.join("back"), Sandbox::new());
    upkeep.export_mbox(&there, None, NOW).unwrap();
    let again = upkeep.export_mbox(&there, None, NOW);
    assert!(matches!(again, Err(MboxError::IsThere(_))));
    assert_eq!(import(&back.upkeep(), &there), (6, 0));
    let names = |upkeep: &Upkeep| -> Vec<String> {
        let report = upkeep.check(NOW).unwrap();
        report
            .mailboxes
            .into_iter()
            .filter(|one| one.messages > 0)
            .map(|one| one.name)
            .collect()
    };
    assert_eq!(names(&back.upkeep()), names(&upkeep));
    assert!(
        names(&upkeep).contains(&"Archive/2026".to_owned()),
        "{:?}",
        names(&upkeep)
    );
}

#[test]
fn what_is_no_mbox_is_refused_before_anything_is_made() {
    let sandbox = Sandbox::new();
    let path = sandbox.put("old", "Subject: x\n\nx\n");
    let refused = sandbox
        .upkeep()
        .import_mbox(&path, Some("New"), Escaping::Mboxrd, NOW);
    assert!(matches!(refused, Err(MboxError::NotMbox(_))));
    assert!(!sandbox.0.join("mail/example.org/alice/.New").exists());
}
