//! What deliveries ask of a file system, and a real one. The simulated one is `sim.rs`.
//!
//! Rules:
//! - Everything is named by the handle of its folder and one component; no component is ever followed through a
//!   symbolic link. Who replaces a folder by a link gets an error, not a message somewhere else.
//! - A sync having returned is the only promise of durability: of a file for its octets, of a folder for its names, of
//!   the system for all that came before.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;

/// What is said of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its size.
    pub octets: u64,
    /// Seconds since 1970.
    pub modified_s: u64,
    /// It holds others.
    pub is_folder: bool,
    /// A regular file with one name: nobody has it under another as well.
    pub is_plain_file: bool,
}

/// A file system below one root.
pub trait Files: Send + Sync + std::fmt::Debug + 'static {
    /// A folder that is open.
    type Folder: Send + Sync + std::fmt::Debug;
    /// A file that is open.
    type File: Send + Sync + std::fmt::Debug;

    /// The root.
    fn root(&self) -> &Self::Folder;
    /// Opens a folder, never through a link.
    fn open_folder(&self, at: &Self::Folder, name: &str) -> io::Result<Self::Folder>;
    /// Makes it and makes its name durable. One that exists is fine.
    fn make_folder(&self, at: &Self::Folder, name: &str) -> io::Result<()>;
    /// Makes a new file; `AlreadyExists` where the name is taken.
    fn create(&self, at: &Self::Folder, name: &str) -> io::Result<Self::File>;
    /// Writes behind what was written.
    fn write(&self, file: &Self::File, octets: &[u8]) -> io::Result<()>;
    /// Makes its octets durable.
    fn sync_file(&self, file: &Self::File) -> io::Result<()>;
    /// Makes its names durable.
    fn sync_folder(&self, folder: &Self::Folder) -> io::Result<()>;
    /// Syncs all that anybody wrote: dear for one file, cheap for many.
    fn sync_all(&self) -> io::Result<()>;
    /// `AlreadyExists` where the new name is taken.
    fn rename_new(
        &self,
        from: &Self::Folder,
        name: &str,
        into: &Self::Folder,
        new_name: &str,
    ) -> io::Result<()>;
    /// Takes the place of what has the new name.
    fn replace(&self, from: &Self::Folder, name: &str, into: &Self::Folder, new_name: &str)
    -> io::Result<()>;
    /// Takes a name away.
    fn remove(&self, at: &Self::Folder, name: &str) -> io::Result<()>;
    /// The names in a folder, without `.` and `..`; those that are not UTF-8 are left out.
    fn list(&self, at: &Self::Folder) -> io::Result<Vec<String>>;
    /// Of what the name stands for; of a link itself.
    fn stat(&self, at: &Self::Folder, name: &str) -> io::Result<Stat>;
    /// The first octets of a plain file; `InvalidInput` where it is none.
    fn read(&self, at: &Self::Folder, name: &str, octets_max: usize) -> io::Result<Vec<u8>>;
    /// Opens a regular file to read it; `InvalidInput` where it is none. It may have other names as well: a backup that
    /// links files takes nobody's mail away.
    fn open_file(&self, at: &Self::Folder, name: &str) -> io::Result<Self::File>;
    /// Appends at most so many octets from there to `out`; none at the end.
    fn read_at(
        &self,
        file: &Self::File,
        offset: u64,
        out: &mut Vec<u8>,
        octets_max: usize,
    ) -> io::Result<usize>;
    /// Locks a file, made where it is missing, for as long as the handle is kept; None where somebody else has it, in
    /// this process or another.
    fn lock(&self, at: &Self::Folder, name: &str) -> io::Result<Option<Self::File>>;
    /// When a file was last touched, in seconds since 1970.
    fn touched_s(&self, file: &Self::File) -> io::Result<u64>;
    /// Says that it was touched then.
    fn touch(&self, file: &Self::File, at_s: u64) -> io::Result<()>;
    /// Adds one line to a plain file that exists, in one write.
    fn append(&self, at: &Self::Folder, name: &str, line: &[u8]) -> io::Result<()>;
}

/// A folder of a real file system.
#[derive(Debug)]
pub struct Disk {
    root: OwnedFd,
}

const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o700);
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Never waits for the other end of a FIFO that somebody put there.
const PLAIN: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

impl Disk {
    /// Opens the root, and makes it where it is missing; its parents have to exist. The operator's own path may go
    /// through links: it is what lies below that others can write to.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(root: &Path) -> io::Result<Self> {
        match rustix::fs::mkdir(root, FOLDER_MODE) {
            Ok(()) => {
                if let Some(parent) = root.parent().filter(|p| !p.as_os_str().is_empty()) {
                    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
                    rustix::fs::fsync(rustix::fs::open(parent, flags, Mode::empty())?)?;
                }
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            root: rustix::fs::open(root, flags, Mode::empty())?,
        })
    }

    /// With a folder that is open as its root.
    pub fn below(root: OwnedFd) -> Self {
        Self { root }
    }
}

/// Opens a plain file, or `InvalidInput`.
fn open_plain(at: &OwnedFd, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let file = rustix::fs::openat(at, name, flags | PLAIN, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    if is_plain(stat.st_mode, stat.st_nlink) {
        Ok(file)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

fn is_plain(mode: u32, links: impl Into<u64>) -> bool {
    FileType::from_raw_mode(mode) == FileType::RegularFile && links.into() == 1
}

impl Files for Disk {
    type Folder = OwnedFd;
    type File = OwnedFd;

    fn root(&self) -> &OwnedFd {
        &self.root
    }

    fn open_folder(&self, at: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(at, name, FOLDER, Mode::empty())?)
    }

    fn make_folder(&self, at: &OwnedFd, name: &str) -> io::Result<()> {
        match rustix::fs::mkdirat(at, name, FOLDER_MODE) {
            Ok(()) => Ok(rustix::fs::fsync(at)?),
            Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn create(&self, at: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(at, name, flags, FILE_MODE)?)
    }

    fn write(&self, file: &OwnedFd, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            match rustix::io::write(file, octets) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => octets = &octets[count..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn sync_file(&self, file: &OwnedFd) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(file)?)
    }

    fn sync_folder(&self, folder: &OwnedFd) -> io::Result<()> {
        Ok(rustix::fs::fsync(folder)?)
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.root)?)
    }

    fn rename_new(&self, from: &OwnedFd, name: &str, into: &OwnedFd, new_name: &str) -> io::Result<()> {
        match rustix::fs::renameat_with(from, name, into, new_name, RenameFlags::NOREPLACE) {
            // A file system without it (NFS): link and unlink do the same in two steps.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(from, name, into, new_name, AtFlags::empty())?;
                Ok(rustix::fs::unlinkat(from, name, AtFlags::empty())?)
            }
            outcome => Ok(outcome?),
        }
    }

    fn replace(&self, from: &OwnedFd, name: &str, into: &OwnedFd, new_name: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(from, name, into, new_name)?)
    }

    fn remove(&self, at: &OwnedFd, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(at, name, AtFlags::empty())?)
    }

    fn list(&self, at: &OwnedFd) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(at)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().to_str()
                && !matches!(name, "." | "..")
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn stat(&self, at: &OwnedFd, name: &str) -> io::Result<Stat> {
        let stat = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Stat {
            octets: u64::try_from(stat.st_size).unwrap_or(0),
            modified_s: u64::try_from(stat.st_mtime).unwrap_or(0),
            is_folder: FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
            is_plain_file: is_plain(stat.st_mode, stat.st_nlink),
        })
    }

    fn read(&self, at: &OwnedFd, name: &str, octets_max: usize) -> io::Result<Vec<u8>> {
        let file = open_plain(at, name, OFlags::RDONLY)?;
        let mut octets = vec![0; octets_max];
        let mut filled = 0;
        while filled < octets_max {
            match rustix::io::read(&file, &mut octets[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        octets.truncate(filled);
        Ok(octets)
    }

    fn open_file(&self, at: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
        let file = rustix::fs::openat(at, name, OFlags::RDONLY | PLAIN, Mode::empty())?;
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            Ok(file)
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }

    fn read_at(
        &self,
        file: &OwnedFd,
        offset: u64,
        out: &mut Vec<u8>,
        octets_max: usize,
    ) -> io::Result<usize> {
        let begin = out.len();
        out.resize(begin + octets_max, 0);
        loop {
            match rustix::io::pread(file, &mut out[begin..], offset) {
                Ok(count) => {
                    out.truncate(begin + count);
                    return Ok(count);
                }
                Err(Errno::INTR) => {}
                Err(error) => {
                    out.truncate(begin);
                    return Err(error.into());
                }
            }
        }
    }

    fn lock(&self, at: &OwnedFd, name: &str) -> io::Result<Option<OwnedFd>> {
        let file = rustix::fs::openat(at, name, OFlags::RDWR | OFlags::CREATE | PLAIN, FILE_MODE)?;
        let stat = rustix::fs::fstat(&file)?;
        if !is_plain(stat.st_mode, stat.st_nlink) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn touched_s(&self, file: &OwnedFd) -> io::Result<u64> {
        Ok(u64::try_from(rustix::fs::fstat(file)?.st_mtime).unwrap_or(0))
    }

    fn touch(&self, file: &OwnedFd, at_s: u64) -> io::Result<()> {
        let at = Timespec {
            tv_sec: i64::try_from(at_s).unwrap_or(0),
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: at,
            last_modification: at,
        };
        Ok(rustix::fs::futimens(file, &times)?)
    }

    fn append(&self, at: &OwnedFd, name: &str, line: &[u8]) -> io::Result<()> {
        let file = open_plain(at, name, OFlags::WRONLY | OFlags::APPEND)?;
        self.write(&file, line)
    }
}
