//! What has come so far and how fast the peer answers: for the number of associations.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::associations::Costs;
use super::shared::Shared;

/// Counts over all associations.
#[derive(Debug)]
pub(super) struct Meter {
    instances: AtomicU64,
    bytes: AtomicU64,
    round_trip_us: AtomicU64,
    lists: Mutex<Lists>,
    /// Whether the peer answers no C-FIND at IMAGE level.
    pub(super) has_no_image_level: AtomicBool,
    /// How many studies it answers a query with at the most; 0 when that is not known.
    pub(super) answers_most: AtomicUsize,
}

/// The requests by lists of instances that something came of.
#[derive(Debug, Default)]
struct Lists {
    requests: u32,
    /// From each request to its first instance.
    waited: Duration,
    instances: u32,
    /// From there to the end of each.
    took: Duration,
}

/// What has come so far.
pub(super) struct Progress {
    pub(super) instances: u64,
    pub(super) bytes: u64,
}

impl Meter {
    /// With the shortest time in which the peer has answered anything so far, if it has.
    pub(super) fn new(round_trip: Option<Duration>) -> Meter {
        let has_no_image_level = AtomicBool::new(false);
        let meter = Meter {
            has_no_image_level,
            answers_most: AtomicUsize::new(0),
            instances: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            round_trip_us: AtomicU64::new(u64::MAX),
            lists: Mutex::default(),
        };
        if let Some(round_trip) = round_trip {
            meter.answered_within(round_trip);
        }
        meter
    }

    fn answered_within(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.round_trip_us.fetch_min(micros, Ordering::Relaxed);
    }
}

impl Shared {
    /// An instance came.
    pub(super) fn note_instance(&self) {
        self.meter.instances.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of data sets came.
    pub(super) fn note_bytes(&self, bytes: u64) {
        self.meter.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The peer has answered something within this time.
    pub(super) fn note_round_trip(&self, time: Duration) {
        self.meter.answered_within(time);
    }

    /// A request by a list was worked off: so long to its first instance, and so long from there for all of them.
    pub(super) fn note_list(&self, waited: Duration, instances: u32, took: Duration) {
        let mut lists = self.meter.lists.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        lists.requests = lists.requests.saturating_add(1);
        lists.waited += waited;
        lists.instances = lists.instances.saturating_add(instances);
        lists.took += took;
    }

    /// What requests by lists cost, as far as there were some.
    pub(super) fn costs(&self) -> Option<Costs> {
        let lists = self.meter.lists.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let request = lists.waited.checked_div(lists.requests)?;
        Some(Costs { request, instance: lists.took.checked_div(lists.instances)? })
    }

    /// The shortest time in which the peer has answered anything; zero while that is not known.
    pub(super) fn round_trip(&self) -> Duration {
        match self.meter.round_trip_us.load(Ordering::Relaxed) {
            u64::MAX => Duration::ZERO,
            micros => Duration::from_micros(micros),
        }
    }

    pub(super) fn progress(&self) -> Progress {
        let Meter { instances, bytes, .. } = &self.meter;
        Progress { instances: instances.load(Ordering::Relaxed), bytes: bytes.load(Ordering::Relaxed) }
    }
}
