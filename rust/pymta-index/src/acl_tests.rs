//! Rights on disk, and the list of who gives what to whom.

use pymta_maildir::{Host, MailboxPath};

use crate::acl::ACL_NAME;
use crate::sandbox::{Sandbox, now};
use crate::{
    Account, Acl, AclChange, Identifier, IndexError, Options, Rights, Share, Shares, StoreMode, Within,
    acl_below, flag,
};

const OWNER: &str = "olga@example.test";
const BOB: &str = "bob@example.test";

fn user(name: &str) -> Identifier {
    Identifier::User(name.to_owned())
}

fn give(account: &std::sync::Arc<Account>, mailbox: &str, who: &Identifier, letters: &str) {
    let change = AclChange::Replace(Rights::parse(letters).unwrap());
    account
        .set_acl(mailbox, |acl| acl.set(who, false, change), now())
        .unwrap();
}

#[test]
fn a_file_of_dovecot_is_read_and_kept() {
    let text = "owner lrwstipekxa\n\"user=a b@example.test\" lr\nuser=bob@example.test lrws\n-user=bob@example.test w\n\
                anyone l\ngroup=team lr :named,other\n";
    let acl = Acl::parse(text.as_bytes());
    assert!(!acl.is_damaged());
    assert_eq!("lrs", acl.rights(BOB, OWNER).to_string());
    assert_eq!("lr", acl.rights("a b@example.test", OWNER).to_string());
    assert_eq!("l", acl.rights("eve@example.test", OWNER).to_string());
    assert_eq!(Rights::ALL, acl.rights(OWNER, OWNER));
    let again = Acl::parse(acl.compose().as_bytes());
    assert_eq!(acl, again);
    assert!(acl.compose().contains("group=team lr :named,other\n"));
}

#[test]
fn what_is_not_understood_gives_nobody_but_the_owner_anything() {
    for text in [
        "user=bob@example.test lrz\n",
        "bob@example.test lr\n",
        "user= lr\n",
        "\"user=bob lr\n",
        "user=bob@example.test lr\nanyone lr named\n",
        "user=bob@example.test lrd\n",
        &"user=bob@example.test lr\n".repeat(4000),
    ] {
        let mut acl = Acl::parse(text.as_bytes());
        assert!(acl.is_damaged(), "{text:.40}");
        assert_eq!(Rights::NONE, acl.rights(BOB, OWNER));
        assert_eq!(Rights::ALL, acl.rights(OWNER, OWNER));
        let changed = acl.set(&user(BOB), false, AclChange::Add(Rights::READ));
        assert!(matches!(changed, Err(IndexError::BadAcl)));
    }
    assert!(Acl::parse(b"user=\xff lr\n").is_damaged());
}

#[test]
fn the_owner_has_all_rights_or_what_he_left_himself_and_always_l_and_a() {
    let mut acl = Acl::default();
    assert_eq!(Rights::ALL, acl.rights(OWNER, OWNER));
    acl.set(&user(BOB), false, AclChange::Replace(Rights::READ))
        .unwrap();
    assert_eq!(Rights::ALL, acl.rights(OWNER, OWNER));
    acl.set(&Identifier::Owner, false, AclChange::Remove(Rights::DELETE))
        .unwrap();
    assert_eq!("lrswipktea", acl.rights(OWNER, OWNER).to_string());
    acl.set(&Identifier::Owner, false, AclChange::Replace(Rights::NONE))
        .unwrap();
    assert_eq!("la", acl.rights(OWNER, OWNER).to_string());
    acl.set(&Identifier::Anyone, true, AclChange::Replace(Rights::ALL))
        .unwrap();
    assert_eq!("la", acl.rights(OWNER, OWNER).to_string());
    assert_eq!(Rights::NONE, acl.rights(BOB, OWNER));
    acl.remove(&Identifier::Owner, false).unwrap();
    acl.remove(&Identifier::Anyone, true).unwrap();
    assert_eq!(Rights::ALL, acl.rights(OWNER, OWNER));
}

#[test]
fn an_identifier_cannot_write_lines_of_its_own() {
    for name in ["", "bob\nowner lr", "bob\0", "bob\r", &"b".repeat(400)] {
        let set = Acl::default().set(&user(name), false, AclChange::Add(Rights::READ));
        assert!(matches!(set, Err(IndexError::BadName)), "{name:?}");
    }
    for name in [
        "a\"b\\c'd@x",
        "-bob",
        "owner",
        "anyone",
        "x y",
        "user=bob",
        ":",
        "ü@example.test",
    ] {
        let mut acl = Acl::default();
        acl.set(&user(name), false, AclChange::Add(Rights::READ)).unwrap();
        let read = Acl::parse(acl.compose().as_bytes());
        assert_eq!(acl, read, "{name:?}: {}", acl.compose());
        assert_eq!("r", read.rights(name, OWNER).to_string());
        assert_eq!(Rights::NONE, read.rights("another", OWNER));
    }
}

#[test]
fn rights_lie_in_the_folder_and_go_where_it_goes() {
    let sandbox = Sandbox::new();
    let account = sandbox.open();
    account.create("Team", None, now()).unwrap();
    give(&account, "Team", &user(BOB), "lr");
    let file = sandbox.folder.join(".Team").join(ACL_NAME);
    assert_eq!(
        "user=bob@example.test lr\n",
        std::fs::read_to_string(&file).unwrap()
    );
    account.create("Team/Plans", None, now()).unwrap();
    account.inherit_acl("Team/Plans", now()).unwrap();
    let of = |name: &str| {
        account
            .acl(name)
            .unwrap()
            .map(|acl| acl.rights(BOB, OWNER).to_string())
    };
    assert_eq!(Some("lr".to_owned()), of("Team/Plans"));
    account.rename("Team", "Club", now()).unwrap();
    assert_eq!((None, Some("lr".to_owned())), (of("Team"), of("Club")));
    let given = [
        (Some(BOB.to_owned()), "Club".to_owned()),
        (Some(BOB.to_owned()), "Club/Plans".to_owned()),
    ];
    assert_eq!(given.to_vec(), account.given(OWNER).unwrap());
    account.delete("Club", now()).unwrap();
    account.create("Club", None, now()).unwrap();
    assert_eq!(Some(String::new()), of("Club"));
    account
        .set_acl("Club/Plans", |acl| acl.remove(&user(BOB), false), now())
        .unwrap();
    assert!(!sandbox.folder.join(".Club.Plans").join(ACL_NAME).exists());
    let gone = account.set_acl("Gone", |_| Ok(()), now());
    assert!(matches!(gone, Err(IndexError::NoMailbox)));
    assert_eq!(Vec::<String>::new(), sandbox.list("tmp"));
}

#[test]
fn a_crash_leaves_the_old_rights_or_the_new_ones() {
    for steps in 0..4 {
        let sandbox = Sandbox::new();
        let account = sandbox.open();
        give(&account, "INBOX", &user(BOB), "l");
        account.steps.store(steps, std::sync::atomic::Ordering::Relaxed);
        let change = AclChange::Replace(Rights::parse("lr").unwrap());
        let _ = account.set_acl("INBOX", |acl| acl.set(&user(BOB), false, change), now());
        let found = sandbox.open().acl("INBOX").unwrap().unwrap();
        let found = found.rights(BOB, OWNER).to_string();
        assert!(matches!(found.as_str(), "l" | "lr"), "{steps}: {found}");
    }
}

#[test]
fn rights_are_read_without_an_index_and_never_through_links() {
    let sandbox = Sandbox::new();
    let root = sandbox.folder.join("root");
    let cur = root.join("olga/.Team/cur");
    std::fs::create_dir_all(&cur).unwrap();
    std::fs::write(root.join("olga/.Team").join(ACL_NAME), "anyone lr\n").unwrap();
    let path = MailboxPath::new(["olga"]).unwrap();
    let of = |path: &MailboxPath, name: &str| acl_below(&root, path, name).unwrap();
    assert_eq!("lr", of(&path, "Team").unwrap().rights(BOB, OWNER).to_string());
    assert!(of(&path, "INBOX").unwrap().is_empty());
    for name in ["Other", "../olga", "a//b", "", "."] {
        assert_eq!(None, of(&path, name), "{name}");
    }
    assert_eq!(None, of(&MailboxPath::new(["eve"]).unwrap(), "INBOX"));
    assert!(!root.join("olga/pymta.index").exists() && !root.join("eve").exists());
    std::os::unix::fs::symlink(root.join("olga"), root.join("mallory")).unwrap();
    assert_eq!(None, of(&MailboxPath::new(["mallory"]).unwrap(), "Team"));
    std::os::unix::fs::symlink(root.join("olga/.Team"), root.join("olga/.Link")).unwrap();
    assert_eq!(None, of(&path, "Link"));
    std::fs::remove_file(root.join("olga/.Team").join(ACL_NAME)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.join("olga/.Team").join(ACL_NAME)).unwrap();
    assert!(of(&path, "Team").unwrap().is_damaged());
}

#[test]
fn the_list_of_shares_says_what_the_files_say_and_may_be_removed() {
    let sandbox = Sandbox::new();
    let shares = Shares::below(&sandbox.folder);
    assert_eq!(Vec::<Share>::new(), shares.of(BOB).unwrap());
    assert!(!shares.gives(OWNER, BOB).unwrap());
    assert!(!sandbox.folder.join(".pymta.shares").exists());
    let account = sandbox.open();
    give(&account, "INBOX", &user(BOB), "lr");
    account.create("Team", None, now()).unwrap();
    give(&account, "Team", &Identifier::Anyone, "l");
    let given = || account.given(OWNER);
    shares.put(OWNER, given).unwrap();
    let share = |mailbox: &str| Share {
        owner: OWNER.to_owned(),
        mailbox: mailbox.to_owned(),
    };
    assert_eq!(vec![share("INBOX"), share("Team")], shares.of(BOB).unwrap());
    assert_eq!(vec![share("Team")], shares.of("eve@example.test").unwrap());
    assert_eq!(Vec::<Share>::new(), shares.of(OWNER).unwrap());
    assert!(shares.gives(OWNER, BOB).unwrap() && !shares.gives(BOB, OWNER).unwrap());
    std::fs::write(sandbox.folder.join(".pymta.shares"), "no database at all").unwrap();
    let beside = ["-journal", "-wal"].map(|ending| sandbox.folder.join(format!(".pymta.shares{ending}")));
    for path in &beside {
        std::fs::write(path, "left").unwrap();
    }
    assert_eq!(Vec::<Share>::new(), shares.of(BOB).unwrap());
    assert!(beside.iter().all(|path| !path.exists()));
    shares.put(OWNER, given).unwrap();
    assert_eq!(2, shares.of(BOB).unwrap().len());
    shares.put(OWNER, || Ok(Vec::new())).unwrap();
    assert_eq!(Vec::<Share>::new(), shares.of(BOB).unwrap());
    let host = Host::new("mail.example.test", 7);
    drop(Account::open(&sandbox.folder, Options::for_once(host), now()).unwrap());
}

#[test]
fn a_list_of_shares_that_is_damaged_within_is_made_anew() {
    let sandbox = Sandbox::new();
    let shares = Shares::below(&sandbox.folder);
    let account = sandbox.open();
    give(&account, "INBOX", &user(BOB), "lr");
    let given = || account.given(OWNER);
    shares.put(OWNER, given).unwrap();
    // Its first page is well, and says which other pages there are.
    let path = sandbox.folder.join(".pymta.shares");
    let mut octets = std::fs::read(&path).unwrap();
    octets[4096..].fill(0xff);
    std::fs::write(&path, octets).unwrap();
    assert!(matches!(shares.of(BOB), Err(IndexError::Damaged(_))));
    shares.put(OWNER, given).unwrap();
    assert_eq!(1, shares.of(BOB).unwrap().len());
}

#[test]
fn a_change_touches_only_the_flags_that_it_may() {
    let sandbox = Sandbox::new();
    sandbox.deliver("a\n");
    let inbox = sandbox.inbox();
    let only = |flags: u8, keywords: bool| Within { flags, keywords };
    let store = |mode, flags, within| {
        let stored = inbox
            .store_within(&[1], mode, flags, within, None, now())
            .unwrap();
        stored.changed.first().map(|row| (row.flags, row.keywords))
    };
    let all = (flag::FLAGGED | flag::DELETED, ["one"].as_slice());
    assert_eq!(
        Some((flag::FLAGGED | flag::DELETED, 1)),
        store(StoreMode::Add, all, Within::ALL)
    );
    let seen = (flag::SEEN, ["two"].as_slice());
    let just_seen = store(StoreMode::Replace, seen, only(flag::SEEN, false));
    assert_eq!(Some((flag::SEEN | flag::FLAGGED | flag::DELETED, 1)), just_seen);
    assert_eq!(vec!["one".to_owned()], inbox.keywords().unwrap());
    assert_eq!(None, store(StoreMode::Remove, all, only(flag::SEEN, false)));
    let replaced = store(StoreMode::Replace, (0, &[]), only(!flag::DELETED, true));
    assert_eq!(Some((flag::DELETED, 0)), replaced);
}

#[test]
fn of_two_who_change_something_at_once_the_last_to_write_has_seen_both() {
    let sandbox = Sandbox::new();
    let shares = Shares::below(&sandbox.folder);
    let account = sandbox.open();
    give(&account, "INBOX", &user(BOB), "lr");
    let looks = std::cell::Cell::new(0);
    let given = || {
        let given = account.given(OWNER);
        looks.set(looks.get() + 1);
        if looks.get() == 1 {
            // Another session, which is quicker.
            give(&account, "INBOX", &user("eve@example.test"), "lr");
            Shares::below(&sandbox.folder)
                .put(OWNER, || account.given(OWNER))
                .unwrap();
        }
        given
    };
    shares.put(OWNER, given).unwrap();
    assert!(shares.gives(OWNER, BOB).unwrap() && shares.gives(OWNER, "eve@example.test").unwrap());
}
