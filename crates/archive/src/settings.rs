//! What can be set about an archive, with the reason for each default.

use std::time::Duration;

/// How long another process is waited for that writes to a database of the archive. It is as long as the largest
/// transaction of one takes on a slow disk: the removal of a study with tens of thousands of instances, the largest commit
/// of an archive that is served, a long list for the worklist. A peer that waits longer for an answer than for a minute is
/// rare.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The settings of an [`Archive`](crate::Archive).
#[derive(Debug, Clone)]
pub struct Settings {
    /// What happens to an instance whose SOP Instance UID is there with other bytes.
    pub duplicates: Duplicates,
    /// What happens where there is no archive yet.
    pub absent: Absent,
    /// Bytes of instances that the archive takes at most, the index not counted. Beyond, a store is refused as
    /// out of resources; nothing is ever removed to make room.
    pub quota: Option<u64>,
    /// Bytes of index pages that the writer keeps in memory. Enough for the inner pages of the indexes of a
    /// million instances; small beside the 64 MiB that the whole process may take.
    pub writer_cache_bytes: u32,
    /// Bytes of index pages that each reader keeps in memory.
    pub reader_cache_bytes: u32,
    /// Instances that one index transaction takes at most. Waiting instances share one sync; beyond a few
    /// hundred the sync no longer counts, and the first would wait for the last.
    pub largest_commit: usize,
    /// Requests for storage commitment whose reports may be due at a time; who asks beyond is told to ask again
    /// later. A modality has a handful; ten thousand are a requestor that runs wild.
    pub commitments_due: u32,
    /// How long another process is waited for that writes to a database of the archive; beyond, it is an
    /// [`Error::Busy`](crate::Error::Busy). The same for all of them, and in both directions: `delete` waits for an archive
    /// that is served as long as that waits for it.
    pub patience: Duration,
}

/// What happens to an instance whose SOP Instance UID is there with other bytes. The same bytes again are
/// always a success, and nothing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duplicates {
    /// The first stays, the second is refused with a Cxxx status.
    #[default]
    Refuse,
    /// The second takes the place of the first, which is kept until the second is durable.
    Replace,
}

/// What happens where there is no archive yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Absent {
    /// One is made, in a folder that is empty or absent.
    #[default]
    Create,
    /// It is an error: for a folder on a disk that might not be mounted.
    Refuse,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            duplicates: Duplicates::Refuse,
            absent: Absent::Create,
            quota: None,
            writer_cache_bytes: 16 << 20,
            reader_cache_bytes: 4 << 20,
            largest_commit: 256,
            commitments_due: 10_000,
            patience: PATIENCE,
        }
    }
}
