//! What the workers of a round share: the contexts to propose, the files that are left, and what they see of the peer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use dicomet_proto::Uid;
use tokio::sync::Notify;

use super::files::FileInstance;

/// A file that waits.
pub(super) struct Item {
    pub(super) file: FileInstance,
    /// How often an association was cut while it was outstanding.
    pub(super) cuts: u8,
    /// All of its data set was sent once, and no answer came: the peer may have it.
    pub(super) may_be_stored: bool,
}

/// A round, as its workers see it.
pub(super) struct Work {
    pub(super) contexts: Vec<(Uid, Uid)>,
    queue: Mutex<VecDeque<Item>>,
    /// Associations that stand.
    pub(super) serving: AtomicUsize,
    /// Associations that are being opened.
    pub(super) opening: AtomicUsize,
    /// Further associations that are to end, though files are left.
    surplus: AtomicUsize,
    /// The first association stands, and tells what the peer is.
    pub(super) stands: Notify,
    /// Instances that are stored side by side overwrite one another there.
    pub(super) overwrites: AtomicBool,
    /// The window of the association that was opened last.
    pub(super) window: AtomicU16,
    /// The shortest time in which the peer answered anything, in microseconds.
    round_trip_us: AtomicU64,
}

impl Work {
    pub(super) fn new(contexts: Vec<(Uid, Uid)>, items: VecDeque<Item>) -> Work {
        Work {
            contexts,
            queue: Mutex::new(items),
            serving: AtomicUsize::new(0),
            opening: AtomicUsize::new(0),
            surplus: AtomicUsize::new(0),
            stands: Notify::new(),
            overwrites: AtomicBool::new(false),
            window: AtomicU16::new(1),
            round_trip_us: AtomicU64::new(u64::MAX),
        }
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, VecDeque<Item>> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn left(&self) -> usize {
        self.queue().len()
    }

    /// So many further associations are to end; the count replaces that of before.
    pub(super) fn retire(&self, associations: usize) {
        self.surplus.store(associations, SeqCst);
    }

    /// Whether the association that asks is one of those that are to end.
    pub(super) fn is_retired(&self) -> bool {
        self.surplus.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    /// The peer has answered in this time.
    pub(super) fn answered_in(&self, time: Duration) {
        self.round_trip_us.fetch_min(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), SeqCst);
    }

    /// The shortest time in which the peer answered anything.
    pub(super) fn round_trip(&self) -> Duration {
        match self.round_trip_us.load(SeqCst) {
            u64::MAX => Duration::ZERO,
            time => Duration::from_micros(time),
        }
    }
}
