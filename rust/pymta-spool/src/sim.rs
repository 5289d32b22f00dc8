//! A disk that exists in memory only and behaves as badly as a real one may: until a sync, writes are lost, torn and
//! reordered by a crash; writes and syncs fail; space runs out. For tests.
//!
//! What a crash may keep of a write is decided octet range by octet range; what a sync that failed may have lost is
//! lost for good even if a later sync succeeds, which is how real systems behave.

#![allow(clippy::cast_possible_truncation)] // small numbers of tests

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};

use crate::lock::lock;
use crate::storage::{SegmentFile, Storage};

/// Small, seeded and good enough (xorshift64*).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Less than `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 11) as usize % bound
    }

    pub(crate) fn chance(&mut self, one_in: usize) -> bool {
        one_in > 0 && self.below(one_in) == 0
    }
}

/// How often things fail: one in so many calls, 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) write_fails: usize,
    pub(crate) sync_fails: usize,
    pub(crate) create_fails: usize,
    pub(crate) read_fails: usize,
    /// Files that may exist at once; 0 for any number.
    pub(crate) files_max: usize,
}

#[derive(Debug)]
struct FileState {
    /// What survives any crash.
    durable: Vec<u8>,
    /// What a read sees.
    current: Vec<u8>,
    /// Written since the last sync.
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Debug)]
struct DiskState {
    files: BTreeMap<u32, Arc<Mutex<FileState>>>,
    random: Random,
    faults: Faults,
    set_aside: BTreeMap<String, Vec<u8>>,
    syncs: u64,
    /// After so many more writes and syncs the power fails; everything from then on is an error.
    power: Option<u64>,
}

/// A simulated folder. Clones are the same folder.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk(Arc<Mutex<DiskState>>);

#[derive(Debug)]
struct SimFile {
    file: Arc<Mutex<FileState>>,
    disk: SimDisk,
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

fn enospc() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())
}

impl SimDisk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(DiskState {
            files: BTreeMap::new(),
            random: Random::new(seed),
            faults: Faults::default(),
            set_aside: BTreeMap::new(),
            syncs: 0,
            power: None,
        })))
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        lock(&self.0).faults = faults;
    }

    /// Lets the power fail after so many more writes and syncs.
    pub(crate) fn fail_power_after(&self, calls: u64) {
        lock(&self.0).power = Some(calls);
    }

    /// The power is back and nothing fails any more.
    pub(crate) fn restore(&self) {
        let mut disk = lock(&self.0);
        disk.power = None;
        disk.faults = Faults::default();
    }

    pub(crate) fn has_read_faults(&self) -> bool {
        lock(&self.0).faults.read_fails > 0
    }

    pub(crate) fn has_power(&self) -> bool {
        lock(&self.0).power != Some(0)
    }

    pub(crate) fn set_aside_names(&self) -> Vec<String> {
        lock(&self.0).set_aside.keys().cloned().collect()
    }

    pub(crate) fn syncs(&self) -> u64 {
        lock(&self.0).syncs
    }

    pub(crate) fn file_count(&self) -> usize {
        lock(&self.0).files.len()
    }

    /// The power fails and comes back: of every unsynced write any part may have reached the disk.
    pub(crate) fn crash(&self) {
        let mut disk = lock(&self.0);
        let disk = &mut *disk;
        for file in disk.files.values() {
            let mut file = lock(file);
            let unsynced = std::mem::take(&mut file.unsynced);
            for (offset, octets) in unsynced {
                keep_some(&mut disk.random, &mut file.durable, offset, &octets);
            }
            file.current = file.durable.clone();
        }
    }

    /// Changes octets behind everybody's back.
    pub(crate) fn damage(&self, slot: u32, offset: usize, octets: &[u8]) {
        let disk = lock(&self.0);
        let mut file = lock(&disk.files[&slot]);
        file.durable[offset..offset + octets.len()].copy_from_slice(octets);
        file.current[offset..offset + octets.len()].copy_from_slice(octets);
    }

    pub(crate) fn contents(&self, slot: u32) -> Vec<u8> {
        lock(&lock(&self.0).files[&slot]).current.clone()
    }

    fn spend_power(&self) -> io::Result<()> {
        let mut disk = lock(&self.0);
        match &mut disk.power {
            Some(0) => Err(eio()),
            Some(left) => {
                *left -= 1;
                if *left == 0 { Err(eio()) } else { Ok(()) }
            }
            None => Ok(()),
        }
    }
}

/// Keeps all of a write, nothing of it, or pieces.
fn keep_some(random: &mut Random, durable: &mut [u8], offset: usize, octets: &[u8]) {
    match random.below(4) {
        0 => durable[offset..offset + octets.len()].copy_from_slice(octets),
        1 => {}
        _ => {
            let mut at = 0;
            while at < octets.len() {
                let step = (1 + random.below(600)).min(octets.len() - at);
                if random.chance(2) {
                    durable[offset + at..offset + at + step].copy_from_slice(&octets[at..at + step]);
                }
                at += step;
            }
        }
    }
}

impl Storage for SimDisk {
    fn list(&self) -> io::Result<Vec<u32>> {
        Ok(lock(&self.0).files.keys().copied().collect())
    }

    fn open(&self, slot: u32) -> io::Result<Arc<dyn SegmentFile>> {
        let file = lock(&self.0)
            .files
            .get(&slot)
            .cloned()
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile {
            file,
            disk: self.clone(),
        }))
    }

    fn create(&self, slot: u32, octets: u32) -> io::Result<Arc<dyn SegmentFile>> {
        self.spend_power()?;
        let mut disk = lock(&self.0);
        let faults = disk.faults;
        if faults.files_max > 0 && disk.files.len() >= faults.files_max {
            return Err(enospc());
        }
        if disk.random.chance(faults.create_fails) {
            return Err(if disk.random.chance(2) { enospc() } else { eio() });
        }
        let octets = vec![0; octets as usize];
        let file = Arc::new(Mutex::new(FileState {
            durable: octets.clone(),
            current: octets,
            unsynced: Vec::new(),
        }));
        disk.files.insert(slot, file.clone());
        Ok(Arc::new(SimFile {
            file,
            disk: self.clone(),
        }))
    }

    fn remove(&self, slot: u32) -> io::Result<()> {
        self.spend_power()?;
        lock(&self.0)
            .files
            .remove(&slot)
            .map(|_| ())
            .ok_or(io::ErrorKind::NotFound.into())
    }

    fn set_aside(&self, name: &str, octets: &[u8]) -> io::Result<()> {
        lock(&self.0)
            .set_aside
            .entry(name.to_owned())
            .or_insert_with(|| octets.to_vec());
        Ok(())
    }

    fn free_octets(&self) -> io::Result<u64> {
        let disk = lock(&self.0);
        let is_full = disk.faults.files_max > 0 && disk.files.len() >= disk.faults.files_max;
        Ok(if is_full { 0 } else { 1 << 40 })
    }

    fn secret(&self) -> u32 {
        lock(&self.0).random.next() as u32
    }
}

impl SegmentFile for SimFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        {
            let mut disk = lock(&self.disk.0);
            let one_in = disk.faults.read_fails;
            if disk.random.chance(one_in) {
                return Err(eio());
            }
        }
        let file = lock(&self.file);
        let from = (offset as usize).min(file.current.len());
        let octets = into.len().min(file.current.len() - from);
        into[..octets].copy_from_slice(&file.current[from..from + octets]);
        Ok(octets)
    }

    fn write_at(&self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let powered = self.disk.spend_power();
        let (fails, cut) = {
            let mut disk = lock(&self.disk.0);
            let one_in = disk.faults.write_fails;
            (disk.random.chance(one_in), disk.random.next())
        };
        let mut octets: Vec<u8> = pieces.iter().flat_map(|p| p.iter().copied()).collect();
        assert!(
            offset as usize + octets.len() <= lock(&self.file).current.len(),
            "a segment never grows"
        );
        if fails || powered.is_err() {
            // A write that fails may have written something.
            octets.truncate(cut as usize % (octets.len() + 1));
        }
        let mut file = lock(&self.file);
        let at = offset as usize;
        file.current[at..at + octets.len()].copy_from_slice(&octets);
        file.unsynced.push((at, octets));
        powered.and(if fails { Err(eio()) } else { Ok(()) })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.spend_power()?;
        let mut disk = lock(&self.disk.0);
        let disk = &mut *disk;
        disk.syncs += 1;
        let mut file = lock(&self.file);
        let file = &mut *file;
        let unsynced = std::mem::take(&mut file.unsynced);
        if disk.random.chance(disk.faults.sync_fails) {
            // Some of it reached the disk; the rest is forgotten: reads still see it, no later sync writes it.
            for (offset, octets) in unsynced {
                keep_some(&mut disk.random, &mut file.durable, offset, &octets);
            }
            return Err(eio());
        }
        for (offset, octets) in unsynced {
            file.durable[offset..offset + octets.len()].copy_from_slice(&octets);
        }
        Ok(())
    }

    fn octets(&self) -> io::Result<u64> {
        Ok(lock(&self.file).current.len() as u64)
    }
}
