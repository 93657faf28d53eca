//! How much is asked for at a time. What is asked for by one request is got on one association, so that others find
//! something to do only where requests are small; but each costs a round trip, and what the peer needs to look up what
//! is asked for, which is much where instances are named one by one (Orthanc 1.10: half a millisecond each).

use std::time::Duration;

use super::NEAR;

/// An association is worth opening for so many instances.
pub(super) const SMALL_SHARE: usize = 8;

/// How much one request is for at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Instances.
    pub instances: usize,
    /// Whether a series of more is asked for in parts, by lists of its instances; else it is asked for whole.
    pub cuts_series: bool,
}

impl Share {
    /// All there is of a study.
    pub const ALL: Share = Share { instances: usize::MAX, cuts_series: false };

    /// So many instances, of whatever series.
    pub fn of(instances: usize) -> Share {
        Share { instances, cuts_series: true }
    }
}

/// What requests have cost so far, in the mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// From a request to the first instance that came of it.
    pub request: Duration,
    /// From an instance to the next.
    pub instance: Duration,
}

impl Costs {
    /// For so many instances a request takes a tenth of the time.
    fn least_share(&self) -> usize {
        let times = 9.0 * self.request.as_secs_f64() / self.instance.as_secs_f64().max(1e-6);
        times.ceil() as usize
    }
}

/// How many instances one request is for at the most, where associations may come and go.
///
/// From a peer nearby series come whole, and everything where it granted a window of operations, since no further
/// association is worth it then. Over distance a request is for few enough that a further association finds something to do,
/// and for so many that the request counts little; while their number still grows, `is_growing`, for few, since a peer may let
/// none begin in the midst of the requests of others.
pub fn share(
    round_trip: Duration,
    window: u16,
    (associations, is_growing): (usize, bool),
    left: usize,
    costs: Option<Costs>,
) -> Share {
    const NEAR_SHARE: usize = 1024;
    const WINDOWS: usize = 32;
    let is_near = round_trip < NEAR;
    let instances = match (is_near, window) {
        (_, 0) => return Share::ALL,
        (true, 1) => NEAR_SHARE,
        (true, _) => return Share::ALL,
        (false, 1) if is_growing => SMALL_SHARE,
        (false, window) => WINDOWS * usize::from(window),
    };
    let least = costs.map_or(0, |costs| costs.least_share());
    let instances = match associations {
        0 | 1 => instances.max(least),
        several => instances.max(least).min(left.div_ceil(2 * several)).max(SMALL_SHARE),
    };
    Share { instances, cuts_series: !is_near }
}
