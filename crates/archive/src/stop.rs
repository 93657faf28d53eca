//! The end of long work that nobody waits for any more, such as a search: its peer has cancelled, or is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Error;

/// Stops a search, or a reading of many instances, from another thread than the one that is at it. A clone stops the same.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops it: what it does next is to end with [`Error::Stopped`], within some thousand steps of the index or a
    /// piece of an instance.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Stops it when the guard is dropped, however that comes.
    pub fn at_end(&self) -> StopAtEnd {
        StopAtEnd(self.clone())
    }

    /// To be asked between two steps.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_stopped() { Err(Error::Stopped) } else { Ok(()) }
    }
}

/// Stops what it is a guard of: see [`Stop::at_end`].
#[derive(Debug)]
pub struct StopAtEnd(Stop);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.stop();
    }
}
