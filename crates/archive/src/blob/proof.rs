//! Which data sets were held against their digests lately. What lies on a disk goes bad over months: proved once, a data set
//! is taken for sound for a day, so that who reads it again and again does not pay for it each time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::BlobNumber;
use super::list::BlobSet;

/// For so long nothing is proved twice.
const LATELY: Duration = Duration::from_secs(24 * 60 * 60);

/// The blobs that were proved lately; 1.3 MB for ten million that follow one another.
#[derive(Debug)]
pub(crate) struct Proofs(Mutex<State>);

#[derive(Debug)]
struct State {
    since: Instant,
    proved: BlobSet,
}

impl Default for Proofs {
    fn default() -> Proofs {
        Proofs(Mutex::new(State { since: Instant::now(), proved: BlobSet::default() }))
    }
}

impl Proofs {
    /// What a data set is to be held against; `None` when it was lately.
    pub(crate) fn wanted(self: &Arc<Self>, blob: BlobNumber, digest: [u8; 32]) -> Option<Proof> {
        let is_proved = self.with(Instant::now(), |proved| proved.contains(blob));
        (!is_proved).then(|| Proof { blob, digest, hasher: Box::default(), proofs: Arc::clone(self) })
    }

    fn with<T>(&self, now: Instant, act: impl FnOnce(&mut BlobSet) -> T) -> T {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(state.since) >= LATELY {
            *state = State { since: now, proved: BlobSet::default() };
        }
        act(&mut state.proved)
    }
}

/// A proof under way.
#[derive(Debug)]
pub(crate) struct Proof {
    blob: BlobNumber,
    digest: [u8; 32],
    hasher: Box<blake3::Hasher>,
    proofs: Arc<Proofs>,
}

impl Proof {
    /// Takes the next bytes of the data set.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Whether all that was taken is the data set.
    pub(crate) fn is_sound(&self) -> bool {
        let is_sound = *self.hasher.finalize().as_bytes() == self.digest;
        if is_sound {
            self.proofs.with(Instant::now(), |proved| proved.insert(self.blob));
        }
        is_sound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_proved_is_wanted_again_after_a_day() {
        let proofs = Arc::new(Proofs::default());
        let digest = *blake3::hash(b"sound").as_bytes();
        let mut proof = proofs.wanted(BlobNumber(7), digest).unwrap();
        proof.update(b"sou");
        assert!(!proof.is_sound());
        assert!(proofs.wanted(BlobNumber(7), digest).is_some());
        proof.update(b"nd");
        assert!(proof.is_sound());
        assert!(proofs.wanted(BlobNumber(7), digest).is_none());
        assert!(proofs.wanted(BlobNumber(8), digest).is_some());
        assert!(!proofs.with(Instant::now() + LATELY, |proved| proved.contains(BlobNumber(7))));
    }
}
