//! Every limit of the spool, with its unit and reason. Nothing here is read from a file.

/// Limits and sizes of one spool. All have safe defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Size of a segment file. Larger ones are rolled less often, smaller ones come back sooner.
    pub segment_octets: u32,
    /// A body up to this size stays in memory until commit; beyond it, pieces of this size go to the log as they arrive.
    pub spill_octets: usize,
    /// What content in writers, and committed messages not yet handed on, may hold in memory in all. Beyond it,
    /// bodies spill at an eighth of `spill_octets` and committed messages are read back from the disk.
    pub memory_octets_max: usize,
    /// Below this much free space in the file system no new mail is admitted.
    pub free_octets_min: u64,
    /// More than this waiting to be written means the disk is too slow: no new mail is admitted. At twice this much,
    /// content that arrives is thrown away and its commit fails.
    pub pending_octets_max: usize,
    /// Longest header section.
    pub header_octets_max: usize,
    /// Most header fields.
    pub header_fields_max: usize,
    /// Which of several spools that work at the same time this one is, from 0: part of every id, so that no two give
    /// out the same.
    pub shard: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_octets: 64 << 20,
            spill_octets: 256 << 10,
            memory_octets_max: 64 << 20,
            free_octets_min: 256 << 20,
            pending_octets_max: 64 << 20,
            header_octets_max: 256 << 10,
            header_fields_max: 1000,
            shard: 0,
        }
    }
}

/// Smallest segment: two headers and one record of a useful size.
pub(crate) const SEGMENT_OCTETS_MIN: u32 = 16 << 10;
/// Spools that may work at the same time; a power of two, because the shard is the low bits of an id.
pub(crate) const SHARDS_MAX: u16 = 1 << 10;
/// Largest segment: offsets are 32 bits, and one segment is the unit of space that comes back.
pub(crate) const SEGMENT_OCTETS_MAX: u32 = 1 << 30;

/// Most octets of one round of the writer, so that no commit waits for more than this to be written before it.
pub(crate) const BATCH_OCTETS_MAX: usize = 8 << 20;
/// Streamed content is synced at the latest after this much, so that no commit's sync has to flush more.
pub(crate) const UNSYNCED_OCTETS_MAX: u64 = 4 << 20;
/// Empty segments kept for reuse; more are removed.
pub(crate) const SPARE_SEGMENTS_MAX: usize = 4;
/// Most octets that one round moves for the sake of space, so that a commit waits for no more.
pub(crate) const SWEEP_OCTETS_MAX: usize = 512 << 10;
/// Recipients up to which every status record is a snapshot; beyond, records are deltas until a merge.
pub(crate) const SNAPSHOT_RECIPIENTS_MAX: usize = 64;
/// Status records of a message that may lie in a row before they are merged.
pub(crate) const CHAIN_MAX: usize = 16;
/// What is kept of a recipient's last reply.
pub(crate) const REPLY_OCTETS_MAX: usize = 256;
/// How long after a failed load a message is tried again.
pub(crate) const LOAD_RETRY_MS: u64 = 60_000;
/// How often the free space of the file system is asked for.
pub(crate) const FREE_CHECK_MS: u64 = 1_000;
/// How long a lone status record waits for a commit to share a sync with, while mail is flowing.
pub(crate) const STATUS_GATHER_MS: u64 = 2;
/// Pause after a round that failed, before what could not be written is tried again.
pub(crate) const RETRY_PAUSE_MS: u64 = 1_000;
/// Notes of trouble kept for the log until somebody asks.
pub(crate) const TROUBLES_MAX: usize = 256;

impl Settings {
    /// The settings with every size in the range that the format allows.
    pub(crate) fn bounded(mut self) -> Self {
        self.segment_octets = self
            .segment_octets
            .clamp(SEGMENT_OCTETS_MIN, SEGMENT_OCTETS_MAX)
            .next_multiple_of(4096);
        let piece_octets_max = self.segment_octets as usize / 4;
        self.spill_octets = self.spill_octets.clamp(1024, piece_octets_max);
        self.header_octets_max = self.header_octets_max.min(piece_octets_max);
        self.shard %= SHARDS_MAX;
        self
    }
}
