//! Mailboxes into mbox files. A file has its name when it is whole; nothing is written over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pymta_index::{Account, Mailbox, Progress};
use pymta_types::UnixMs;

use super::write::{Sheet, write};
use super::{MboxError, tree};

/// Messages whose details are asked for at a time.
const BATCH_MESSAGES: usize = 256;
const WRITE_OCTETS: usize = 256 << 10;

/// Writes one mailbox into a file, or all of them below a folder, which is made where it is missing.
///
/// # Errors
/// `IsThere`: what exists is left alone; `NoFolder`, `NoMailbox`, `Stopped` and others.
pub fn export(
    account: &Arc<Account>,
    (path, mailbox): (&Path, Option<&str>),
    progress: &Progress,
    now: UnixMs,
) -> Result<(), MboxError> {
    let folder = folder_of(path);
    match fs::metadata(folder) {
        Ok(there) if there.is_dir() => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(MboxError::file(folder)(error)),
        _ => return Err(MboxError::NoFolder(folder.to_owned())),
    }
    let mut wanted: Vec<(PathBuf, String)> = Vec::new();
    match mailbox {
        Some(name) => wanted.push((path.to_owned(), name.to_owned())),
        None => {
            let all = account.mailboxes(now)?.into_iter().filter(|info| info.exists);
            wanted.extend(all.map(|info| (path.join(tree::path_of(&info.name)), info.name)));
        }
    }
    // Before anything is written: half a tree beside an old one is a puzzle.
    if let Some((there, _)) = wanted.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
        return Err(MboxError::IsThere(there.clone()));
    }
    for (path, name) in wanted {
        let mailbox = account.mailbox(&name, now)?.ok_or(MboxError::NoMailbox(name))?;
        mailbox.reconcile(now)?;
        let folder = folder_of(&path);
        fs::create_dir_all(folder).map_err(MboxError::file(folder))?;
        let unfinished = unfinished(&path);
        let written = write_mailbox(&mailbox, &unfinished, progress, now);
        if let Err(error) = written.and_then(|()| name_it(&unfinished, &path)) {
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        progress.mailboxes.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Hidden, so that an import passes it over.
fn unfinished(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

fn write_mailbox(
    mailbox: &Arc<Mailbox>,
    path: &Path,
    progress: &Progress,
    now: UnixMs,
) -> Result<(), MboxError> {
    let options = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut out = BufWriter::with_capacity(WRITE_OCTETS, options.map_err(MboxError::file(path))?);
    let names = mailbox.keywords()?;
    for rows in mailbox.messages()?.chunks(BATCH_MESSAGES) {
        progress.goes_on()?;
        let uids: Vec<u32> = rows.iter().map(|row| row.uid).collect();
        let details = mailbox.details(&uids, now)?;
        for row in rows {
            let Ok(at) = details.binary_search_by_key(&row.uid, |details| details.uid) else {
                continue; // gone meanwhile
            };
            let Some(file) = mailbox.open_file(row.uid, now)? else {
                continue;
            };
            let named = names
                .iter()
                .enumerate()
                .filter(|(bit, _)| row.keywords >> bit & 1 == 1);
            let keywords: Vec<&str> = named.map(|(_, name)| name.as_str()).collect();
            let sheet = Sheet {
                date_s: details[at].internal_date_s,
                flags: row.flags,
                keywords: &keywords,
            };
            write(&mut out, file, &sheet).map_err(MboxError::file(path))?;
            progress.messages.fetch_add(1, Ordering::Relaxed);
        }
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error);
    file.and_then(|file| file.sync_all())
        .map_err(MboxError::file(path))
}

/// Durably, and never in another file's place.
fn name_it(unfinished: &Path, path: &Path) -> Result<(), MboxError> {
    match fs::hard_link(unfinished, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(MboxError::IsThere(path.to_owned()))
        }
        linked => linked.map_err(MboxError::file(path)),
    }?;
    fs::remove_file(unfinished).map_err(MboxError::file(unfinished))?;
    File::open(folder_of(path))
        .and_then(|folder| folder.sync_all())
        .map_err(MboxError::file(path))
}
