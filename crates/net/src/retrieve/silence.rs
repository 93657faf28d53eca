//! A peer that falls silent in the middle: the instance at which it does so is passed over, and the others come.
//!
//! Where the peer has begun the instance, it is known. Where it has not, those that the request was for are asked for
//! one by one, until one is by itself when the peer falls silent.

use std::collections::HashSet;

use dicomet_proto::Uid;

use super::plan::Request;
use super::shared::Shared;
use crate::Error;

/// Each costs a time limit: a peer with more of them is out of order.
const MAX_PASSED_OVER: usize = 20;

/// So many in a row, with nothing coming in between, are no instances that hang: the peer does.
const MAX_IN_A_ROW: u32 = 4;

/// At what the peer fell silent.
#[derive(Debug, Default)]
pub(super) struct Silences {
    passed_over: HashSet<Uid>,
    suspects: HashSet<Uid>,
    in_a_row: u32,
    /// Instances that had come by the last time.
    came: u64,
}

impl Silences {
    /// Whether the instance is not to be asked for again.
    pub(super) fn is_passed_over(&self, instance: &Uid) -> bool {
        self.passed_over.contains(instance)
    }

    /// Whether the instance is to be asked for by itself.
    pub(super) fn is_suspect(&self, instance: &Uid) -> bool {
        self.suspects.contains(instance)
    }

    /// How many were passed over.
    pub(super) fn count(&self) -> usize {
        self.passed_over.len()
    }

    /// Whether no instance was met at which the peer fell silent.
    pub(super) fn is_empty(&self) -> bool {
        self.passed_over.is_empty() && self.suspects.is_empty()
    }
}

impl Shared {
    pub(super) fn silences(&self) -> std::sync::MutexGuard<'_, Silences> {
        self.silences.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Draws the conclusions from an association that ended at a request. Answers whether it makes sense to go on with
    /// the others at once: the peer fell silent, and it is known where, or it will be soon.
    pub(super) fn note_silence(&self, request: &Request, coming: Option<Uid>, error: &Error) -> bool {
        if !matches!(error, Error::TimedOut { .. }) {
            return false;
        }
        let came = self.progress().instances;
        let missing = self.missing_of(request);
        let mut silences = self.silences();
        silences.in_a_row = if came > silences.came { 1 } else { silences.in_a_row + 1 };
        silences.came = came;
        if silences.in_a_row > MAX_IN_A_ROW || silences.passed_over.len() >= MAX_PASSED_OVER {
            return false;
        }
        let culprit = coming.or_else(|| match missing.as_slice() {
            [alone] => Some(alone.clone()),
            _ => None,
        });
        match culprit {
            Some(instance) => {
                let reason = format!("passed over: {error} when this instance was its turn");
                self.ledger().failed(&instance, reason);
                silences.passed_over.insert(instance)
            }
            None => {
                let before = silences.suspects.len();
                silences.suspects.extend(missing);
                silences.suspects.len() > before
            }
        }
    }

    /// The instances of a request that are not here.
    pub(super) fn missing_of(&self, request: &Request) -> Vec<Uid> {
        let ledger = self.ledger();
        let is_asked = |uid: &Uid| request.instances.is_empty() || request.instances.contains(uid);
        let series = ledger.missing_in(request.study, None).series.into_iter();
        let series = series.filter(|series| request.series.as_ref().is_none_or(|uid| *uid == series.uid));
        series.flat_map(|series| series.instances).filter(is_asked).collect()
    }
}
