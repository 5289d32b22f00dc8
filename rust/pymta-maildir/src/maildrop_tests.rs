//! Maildrops: on a real disk with others at work in the same mailbox, and on one whose power ends.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;

use pymta_types::UnixMs;

use crate::MaildirError;
use crate::files::{Disk, Files};
use crate::mailbox::{open_mailbox, open_subfolders};
use crate::maildrop::Maildrop;
use crate::path::MailboxPath;
use crate::sim::Sim;

const NOW: UnixMs = UnixMs(1_764_061_234_000);

struct Fixture {
    folder: PathBuf,
    files: Arc<Disk>,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("pymta-maildrop-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let files = Arc::new(Disk::open(&folder).unwrap());
        let fixture = Self { folder, files };
        fixture.open();
        fixture
    }

    fn open(&self) -> Maildrop {
        self.try_open(0, NOW).unwrap()
    }

    fn try_open(&self, delay_s: u64, now: UnixMs) -> Result<Maildrop, MaildirError> {
        Maildrop::open(Arc::clone(&self.files), &path(), now, delay_s)
    }

    fn at(&self, rest: &str) -> PathBuf {
        self.folder.join("example.test/user").join(rest)
    }

    fn write(&self, rest: &str, content: &str) {
        fs::write(self.at(rest), content).unwrap();
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn path() -> MailboxPath {
    MailboxPath::new(["example.test", "user"]).unwrap()
}

fn listed<F: Files>(maildrop: &Maildrop<F>) -> Vec<(&str, u64)> {
    let messages = maildrop.messages().iter();
    messages
        .map(|held| (held.uid.as_str(), held.wire_octets))
        .collect()
}

fn content<F: Files>(maildrop: &mut Maildrop<F>, index: usize) -> Option<String> {
    let mut message = maildrop.open_message(index).unwrap()?;
    let mut octets = Vec::new();
    while message.read(&mut octets, 3).unwrap() > 0 {}
    Some(String::from_utf8(octets).unwrap())
}

#[test]
fn one_reader_at_a_time_has_it() {
    let fixture = Fixture::new("lock");
    let first = fixture.open();
    assert!(matches!(fixture.try_open(0, NOW), Err(MaildirError::InUse)));
    drop(first);
    fixture.open();
}

#[test]
fn a_login_too_soon_after_the_last_is_refused() {
    let fixture = Fixture::new("delay");
    let at = |s: u64| UnixMs(NOW.0 + s * 1000);
    drop(fixture.try_open(60, at(0)).unwrap());
    assert!(matches!(fixture.try_open(60, at(59)), Err(MaildirError::TooSoon)));
    drop(fixture.try_open(60, at(60)).unwrap());
    assert!(matches!(fixture.try_open(60, at(61)), Err(MaildirError::TooSoon)));
    // A clock that was set back locks nobody out.
    drop(fixture.try_open(60, at(0)).unwrap());
}

#[test]
fn sizes_are_those_of_the_wire() {
    let fixture = Fixture::new("sizes");
    fixture.write("new/1.a,S=4,W=77", "x");
    fixture.write("cur/2.b:2,S", "a\nb\r\nc\n");
    fixture.write("cur/3.c,S=3:2,", "a\nb");
    fixture.write("new/4.d", "");
    fixture.write("new/5.e", "\n\r");
    fixture.write("new/.hidden", "x");
    let maildrop = fixture.open();
    assert_eq!(
        vec![("1.a", 77), ("2.b", 9), ("3.c", 6), ("4.d", 0), ("5.e", 5)],
        listed(&maildrop)
    );
}

#[test]
fn a_line_end_that_lies_across_two_pieces_counts_once() {
    let fixture = Fixture::new("pieces");
    let content = format!("{}\r\nb\n", "x".repeat(64 * 1024 - 1));
    fixture.write("new/1.a", &content);
    assert_eq!(content.len() as u64 + 1, fixture.open().messages()[0].wire_octets);
}

#[test]
fn unique_ids_stay_through_renames_and_differ() {
    let fixture = Fixture::new("uids");
    fixture.write("new/1.a,S=1", "x");
    fixture.write("new/1.a,S=2", "xy");
    fixture.write(&format!("new/2.{}", "h".repeat(90)), "x");
    fixture.write("new/3.with space", "x");
    let before: Vec<String> = fixture
        .open()
        .messages()
        .iter()
        .map(|held| held.uid.clone())
        .collect();
    assert_eq!("1.a", before[0]);
    assert_ne!(before[0], before[1]);
    assert!(
        before
            .iter()
            .all(|uid| uid.len() <= 70 && uid.bytes().all(|b| b.is_ascii_graphic()))
    );
    for entry in fs::read_dir(fixture.at("new")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        fs::rename(
            fixture.at("new").join(&name),
            fixture.at("cur").join(format!("{name}:2,FS")),
        )
        .unwrap();
    }
    let after: Vec<String> = fixture
        .open()
        .messages()
        .iter()
        .map(|held| held.uid.clone())
        .collect();
    assert_eq!(before, after);
}

#[test]
fn a_message_that_was_renamed_is_found_and_one_that_is_gone_is_not() {
    let fixture = Fixture::new("renamed");
    for name in ["1.a", "2.b", "3.c"] {
        fixture.write(&format!("new/{name}"), name);
    }
    let mut maildrop = fixture.open();
    fs::rename(fixture.at("new/1.a"), fixture.at("cur/1.a:2,S")).unwrap();
    fs::remove_file(fixture.at("new/2.b")).unwrap();
    assert_eq!(Some("1.a"), content(&mut maildrop, 0).as_deref());
    assert_eq!(None, content(&mut maildrop, 1));
    assert_eq!(Some("3.c"), content(&mut maildrop, 2).as_deref());
    assert_eq!(None, content(&mut maildrop, 3));
    fs::rename(fixture.at("cur/1.a:2,S"), fixture.at("cur/1.a:2,FS")).unwrap();
    maildrop.remove(&[0, 1, 7]).unwrap();
    assert_eq!(vec![("3.c", 3)].len(), fixture_names(&fixture).len());
    assert_eq!(vec!["3.c"], fixture_names(&fixture));
}

fn fixture_names(fixture: &Fixture) -> Vec<String> {
    let mut names = Vec::new();
    for folder in ["new", "cur"] {
        for entry in fs::read_dir(fixture.at(folder)).unwrap() {
            names.push(entry.unwrap().file_name().into_string().unwrap());
        }
    }
    names
}

#[test]
fn nothing_is_read_through_a_link_and_nothing_waits_for_a_pipe() {
    let fixture = Fixture::new("links");
    fixture.write("secret", "secret\n");
    symlink(fixture.at("secret"), fixture.at("new/1.a,W=8")).unwrap();
    symlink(fixture.at("secret"), fixture.at("new/2.b")).unwrap();
    fs::create_dir(fixture.at("new/3.c")).unwrap();
    let mut maildrop = fixture.open();
    assert_eq!(vec![("1.a", 8)], listed(&maildrop));
    assert!(maildrop.open_message(0).is_err());
    drop(maildrop);
    fs::remove_dir_all(fixture.at("new")).unwrap();
    symlink(fixture.at("cur"), fixture.at("new")).unwrap();
    assert!(fixture.try_open(0, NOW).is_err());
}

#[test]
fn a_lock_that_is_a_link_is_not_followed() {
    let fixture = Fixture::new("lock-link");
    fs::remove_file(fixture.at("pymta-pop3.lock")).unwrap();
    symlink(fixture.at("elsewhere"), fixture.at("pymta-pop3.lock")).unwrap();
    assert!(fixture.try_open(0, NOW).is_err());
    assert!(!fixture.at("elsewhere").exists());
}

#[test]
fn what_is_removed_no_longer_counts_against_the_quota() {
    let fixture = Fixture::new("quota");
    fixture.write("maildirsize", "1000S\n300 3\n");
    fixture.write("new/1.a,S=100", "x");
    fixture.write("cur/2.b,S=100:2,T", "x");
    fixture.write("cur/3.c", "xyz");
    fixture.open().remove(&[0, 1, 2]).unwrap();
    assert_eq!(
        "1000S\n300 3\n-103 -2\n",
        fs::read_to_string(fixture.at("maildirsize")).unwrap()
    );
}

/// Whenever the power ends: what was not to be removed is there, and once it was said that the others are removed, they
/// are.
#[test]
fn a_crash_removes_nothing_else_and_takes_nothing_back() {
    for call in 1..60 {
        for seed in 1..6 {
            let files = Arc::new(Sim::new(seed));
            let mailbox = open_mailbox(&*files, &path()).unwrap();
            let folder = open_subfolders(&*files, &mailbox).unwrap();
            for (number, at) in [
                (1, &folder.new),
                (2, &folder.cur),
                (3, &folder.cur),
                (4, &folder.new),
            ] {
                let file = files.create(at, &format!("{number}.m,S=1,W=1")).unwrap();
                files.write(&file, b"x").unwrap();
                files.sync_file(&file).unwrap();
            }
            files.sync_all().unwrap();
            files.end_power_at(call);
            let opened = Maildrop::open(Arc::clone(&files), &path(), NOW, 0);
            let removed = opened.and_then(|mut maildrop| maildrop.remove(&[0, 2]));
            files.crash();
            let again = Maildrop::open(Arc::clone(&files), &path(), NOW, 0).unwrap();
            let uids: Vec<&str> = again.messages().iter().map(|held| held.uid.as_str()).collect();
            assert!(uids.contains(&"2.m") && uids.contains(&"4.m"), "{call} {seed}");
            assert!(removed.is_err() || uids == ["2.m", "4.m"], "{call} {seed}");
        }
    }
}

/// Ten thousand messages of another program's are not read at every login.
#[test]
fn a_size_that_had_to_be_counted_is_counted_once() {
    let fixture = Fixture::new("sizes");
    fixture.write("cur/1.M1.h:2,", "a\nb\n");
    fixture.write("new/2.M1.h", "c\n");
    fixture.write("new/3.M1.h,W=99", "d\n");
    let octets = || -> Vec<u64> {
        fixture
            .open()
            .messages()
            .iter()
            .map(|held| held.wire_octets)
            .collect()
    };
    assert_eq!(octets(), [6, 3, 99]);
    fixture.write("cur/1.M1.h:2,", "nobody looks into it\n");
    fs::rename(fixture.at("cur/1.M1.h:2,"), fixture.at("cur/1.M1.h:2,S")).unwrap();
    fixture.write("new/4.M1.h", "e\n");
    assert_eq!(octets(), [6, 3, 99, 3]);
    let note = fixture.at("pymta-pop3.sizes");
    assert_eq!(fs::read_to_string(&note).unwrap().lines().count(), 3);
    fs::write(&note, "1.M1.h 6\n2.M1").unwrap();
    assert_eq!(octets(), [6, 3, 99, 3]);
    fs::remove_file(fixture.at("cur/1.M1.h:2,S")).unwrap();
    fs::remove_file(&note).unwrap();
    fs::create_dir(&note).unwrap(); // it is no more than a note
    assert_eq!(octets(), [3, 99, 3]);
}
