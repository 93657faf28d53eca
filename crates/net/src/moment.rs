//! Moments that lie ahead. A limit may be [`Duration::MAX`] for "none", which no clock can be moved on by.

use std::time::Duration;

use tokio::time::Instant;

/// Nobody waits longer; tokio takes what it cannot reckon with for as much.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The moment at which so much time is over, or one that nobody lives to see.
pub(crate) fn after(begin: Instant, limit: Duration) -> Instant {
    begin + limit.min(FOREVER)
}
