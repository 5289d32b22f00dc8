//! A file system that exists in memory only and behaves as badly as a real one may: until a sync, octets and names may
//! be lost, each for itself; any call may fail; at a chosen call the power goes. For tests.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;

use crate::files::{Files, Stat};
use crate::lock::lock;

type Inode = usize;

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
        usize::try_from(self.next() >> 33).unwrap_or(0) % bound
    }
}

#[derive(Clone, Debug)]
enum Node {
    File {
        current: Vec<u8>,
        /// What survives any crash.
        durable: Vec<u8>,
    },
    Folder {
        current: BTreeMap<String, Inode>,
        durable: BTreeMap<String, Inode>,
    },
}

impl Node {
    fn file() -> Self {
        Self::File {
            current: Vec::new(),
            durable: Vec::new(),
        }
    }

    fn folder() -> Self {
        Self::Folder {
            current: BTreeMap::new(),
            durable: BTreeMap::new(),
        }
    }

    fn sync(&mut self) {
        match self {
            Self::File { current, durable } => durable.clone_from(current),
            Self::Folder { current, durable } => durable.clone_from(current),
        }
    }
}

#[derive(Debug)]
struct State {
    nodes: Vec<Node>,
    random: Random,
    /// One call in so many fails; 0 for never.
    fails_one_in: usize,
    calls: usize,
    /// From this call on nothing happens any more.
    power_ends_at: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Sim(Mutex<State>);

const ROOT: Inode = 0;

impl Sim {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(State {
            nodes: vec![Node::folder()],
            random: Random::new(seed),
            fails_one_in: 0,
            calls: 0,
            power_ends_at: usize::MAX,
        }))
    }

    pub(crate) fn fail_one_in(&self, calls: usize) {
        lock(&self.0).fails_one_in = calls;
    }

    pub(crate) fn end_power_at(&self, call: usize) {
        let mut state = lock(&self.0);
        state.calls = 0;
        state.power_ends_at = call;
    }

    pub(crate) fn has_power(&self) -> bool {
        let state = lock(&self.0);
        state.calls < state.power_ends_at
    }

    /// What a start after the crash finds: of each name and of each file's octets the durable state, or a later one.
    pub(crate) fn crash(&self) {
        let mut state = lock(&self.0);
        state.power_ends_at = usize::MAX;
        state.fails_one_in = 0;
        let State { nodes, random, .. } = &mut *state;
        for node in nodes {
            match node {
                Node::File { current, durable } => {
                    // Octets behind the durable ones survive in part, or as zeros: their blocks, but not what is in them.
                    if current.len() > durable.len() {
                        let kept = durable.len() + random.below(current.len() - durable.len() + 1);
                        let written = durable.len() + random.below(kept - durable.len() + 1);
                        current.truncate(kept);
                        current[written..].fill(0);
                    }
                }
                Node::Folder { current, durable } => {
                    let names: Vec<String> = current.keys().chain(durable.keys()).cloned().collect();
                    for name in names {
                        if random.below(2) == 0 {
                            match durable.get(&name) {
                                Some(&inode) => current.insert(name, inode),
                                None => current.remove(&name),
                            };
                        }
                    }
                }
            }
            node.sync();
        }
    }

    /// The files of a folder by path, with what is in them; none where it does not exist.
    pub(crate) fn look(&self, path: &[&str]) -> Vec<(String, Vec<u8>)> {
        let state = lock(&self.0);
        let mut at = ROOT;
        for name in path {
            match &state.nodes[at] {
                Node::Folder { current, .. } if current.contains_key(*name) => at = current[*name],
                _ => return Vec::new(),
            }
        }
        let Node::Folder { current, .. } = &state.nodes[at] else {
            return Vec::new();
        };
        let files = current
            .iter()
            .filter_map(|(name, &inode)| match &state.nodes[inode] {
                Node::File { current, .. } => Some((name.clone(), current.clone())),
                Node::Folder { .. } => None,
            });
        files.collect()
    }

    /// One call: None after the power ended or where it is to fail.
    fn call(&self) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let mut state = lock(&self.0);
        state.calls += 1;
        if state.calls > state.power_ends_at {
            return Err(io::Error::other("no power"));
        }
        let one_in = state.fails_one_in;
        if one_in > 0 && state.random.below(one_in) == 0 {
            return Err(io::Error::other("input/output error"));
        }
        Ok(state)
    }
}

impl State {
    fn names(&mut self, at: Inode) -> &mut BTreeMap<String, Inode> {
        match &mut self.nodes[at] {
            Node::Folder { current, .. } => current,
            Node::File { .. } => panic!("a file is no folder"),
        }
    }

    fn find(&mut self, at: Inode, name: &str) -> io::Result<Inode> {
        let found = self.names(at).get(name).copied();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn add(&mut self, at: Inode, name: &str, node: Node) -> io::Result<Inode> {
        if self.names(at).contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.nodes.push(node);
        let inode = self.nodes.len() - 1;
        self.names(at).insert(name.to_owned(), inode);
        Ok(inode)
    }

    fn octets(&mut self, file: Inode) -> io::Result<&mut Vec<u8>> {
        match &mut self.nodes[file] {
            Node::File { current, .. } => Ok(current),
            Node::Folder { .. } => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl Files for Sim {
    type Folder = Inode;
    type File = Inode;

    fn root(&self) -> &Inode {
        &ROOT
    }

    fn open_folder(&self, at: &Inode, name: &str) -> io::Result<Inode> {
        self.call()?.find(*at, name)
    }

    fn make_folder(&self, at: &Inode, name: &str) -> io::Result<()> {
        let mut state = self.call()?;
        match state.add(*at, name, Node::folder()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // The real one syncs the parent, too.
        state.nodes[*at].sync();
        Ok(())
    }

    fn create(&self, at: &Inode, name: &str) -> io::Result<Inode> {
        self.call()?.add(*at, name, Node::file())
    }

    fn write(&self, file: &Inode, octets: &[u8]) -> io::Result<()> {
        let mut state = match self.call() {
            Ok(state) => state,
            Err(error) => {
                // A write that fails may have written some of it.
                let mut state = lock(&self.0);
                if state.calls <= state.power_ends_at {
                    state
                        .octets(*file)?
                        .extend_from_slice(&octets[..octets.len() / 2]);
                }
                return Err(error);
            }
        };
        state.octets(*file)?.extend_from_slice(octets);
        Ok(())
    }

    fn sync_file(&self, file: &Inode) -> io::Result<()> {
        self.call()?.nodes[*file].sync();
        Ok(())
    }

    fn sync_folder(&self, folder: &Inode) -> io::Result<()> {
        self.call()?.nodes[*folder].sync();
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.call()?.nodes.iter_mut().for_each(Node::sync);
        Ok(())
    }

    fn rename_new(&self, from: &Inode, name: &str, into: &Inode, new_name: &str) -> io::Result<()> {
        let mut state = self.call()?;
        let inode = state.find(*from, name)?;
        if state.names(*into).contains_key(new_name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.names(*from).remove(name);
        state.names(*into).insert(new_name.to_owned(), inode);
        Ok(())
    }

    fn replace(&self, from: &Inode, name: &str, into: &Inode, new_name: &str) -> io::Result<()> {
        let mut state = self.call()?;
        let inode = state.find(*from, name)?;
        state.names(*from).remove(name);
        state.names(*into).insert(new_name.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, at: &Inode, name: &str) -> io::Result<()> {
        let mut state = self.call()?;
        state.find(*at, name)?;
        state.names(*at).remove(name);
        Ok(())
    }

    fn list(&self, at: &Inode) -> io::Result<Vec<String>> {
        Ok(self.call()?.names(*at).keys().cloned().collect())
    }

    fn stat(&self, at: &Inode, name: &str) -> io::Result<Stat> {
        let mut state = self.call()?;
        let inode = state.find(*at, name)?;
        Ok(match &state.nodes[inode] {
            Node::File { current, .. } => Stat {
                octets: current.len() as u64,
                modified_s: 0,
                is_folder: false,
                is_plain_file: true,
            },
            Node::Folder { .. } => Stat {
                octets: 0,
                modified_s: 0,
                is_folder: true,
                is_plain_file: false,
            },
        })
    }

    fn read(&self, at: &Inode, name: &str, octets_max: usize) -> io::Result<Vec<u8>> {
        let mut state = self.call()?;
        let inode = state.find(*at, name)?;
        let octets = state.octets(inode)?;
        Ok(octets[..octets.len().min(octets_max)].to_vec())
    }

    fn open_file(&self, at: &Inode, name: &str) -> io::Result<Inode> {
        let mut state = self.call()?;
        let inode = state.find(*at, name)?;
        state.octets(inode)?;
        Ok(inode)
    }

    fn read_at(&self, file: &Inode, offset: u64, out: &mut Vec<u8>, octets_max: usize) -> io::Result<usize> {
        let mut state = self.call()?;
        let octets = state.octets(*file)?;
        let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(octets.len());
        let count = octets_max.min(octets.len() - begin);
        out.extend_from_slice(&octets[begin..begin + count]);
        Ok(count)
    }

    /// Locks are the real one's affair: here everybody gets one.
    fn lock(&self, at: &Inode, name: &str) -> io::Result<Option<Inode>> {
        let mut state = self.call()?;
        match state.find(*at, name) {
            Ok(inode) => Ok(Some(inode)),
            Err(_) => state.add(*at, name, Node::file()).map(Some),
        }
    }

    fn touched_s(&self, _: &Inode) -> io::Result<u64> {
        self.call().map(|_| 0)
    }

    fn touch(&self, _: &Inode, _: u64) -> io::Result<()> {
        self.call().map(|_| ())
    }

    fn append(&self, at: &Inode, name: &str, line: &[u8]) -> io::Result<()> {
        let mut state = self.call()?;
        let inode = state.find(*at, name)?;
        state.octets(inode)?.extend_from_slice(line);
        Ok(())
    }
}
