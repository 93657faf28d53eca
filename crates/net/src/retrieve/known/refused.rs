//! What a peer refuses in negotiation: UIDs, each with when that was learnt. A run sees some of them only, so each is
//! forgotten by its own age, and what a run has not seen is kept.

use std::collections::BTreeSet;
use std::time::SystemTime;

use dicomet_proto::Uid;
use serde::{Deserialize, Serialize};

use super::Learnt;

/// More than the standard has. A peer may name any number of its own.
const MOST: usize = 1000;

/// UIDs that a peer has refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Refused(Vec<Learnt<String>>);

/// What a run has seen of the peer's answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::retrieve) struct Seen {
    pub(in crate::retrieve) accepted: BTreeSet<Uid>,
    /// What was not accepted where it could have been. It may have been elsewhere.
    pub(in crate::retrieve) refused: BTreeSet<Uid>,
}

impl Refused {
    /// The UIDs.
    pub fn uids(&self) -> impl Iterator<Item = Uid> {
        // The file may hold anything.
        self.0.iter().filter_map(|learnt| Uid::new(learnt.value.as_str()).ok())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Without what is too old to be believed.
    pub(super) fn fresh(mut self, now: SystemTime) -> Refused {
        self.0.retain(|learnt| learnt.is_fresh(now));
        self
    }

    /// Forgets what was accepted, and adds what was refused. What was known before keeps its time, so that it is tried
    /// again one day.
    pub(super) fn learn(mut self, seen: &Seen, now: SystemTime) -> Refused {
        self.0.retain(|learnt| !seen.accepted.iter().any(|uid| uid.as_str() == learnt.value));
        for uid in seen.refused.difference(&seen.accepted) {
            let is_known = self.0.iter().any(|learnt| learnt.value == uid.as_str());
            if !is_known && self.0.len() < MOST {
                self.0.push(Learnt::at(uid.to_string(), now));
            }
        }
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn day(number: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs((20_000 + number) * 24 * 3600)
    }

    fn uids(numbers: &[usize]) -> BTreeSet<Uid> {
        numbers.iter().map(|number| Uid::new(format!("1.2.{number}")).unwrap()).collect()
    }

    fn seen(refused: &[usize], accepted: &[usize]) -> Seen {
        Seen { refused: uids(refused), accepted: uids(accepted) }
    }

    fn known(refused: &Refused) -> BTreeSet<Uid> {
        refused.uids().collect()
    }

    #[test]
    fn each_is_forgotten_by_its_own_age_though_others_are_learnt_meanwhile() {
        let mut refused = Refused::default();
        for number in 0..6 {
            refused = refused.learn(&seen(&[number], &[]), day(number as u64));
        }
        let left = |number| known(&refused.clone().fresh(day(number)));
        assert_eq!(left(6), uids(&[0, 1, 2, 3, 4, 5]));
        assert_eq!(left(7), uids(&[1, 2, 3, 4, 5]));
        assert_eq!(left(11), uids(&[5]));
        assert_eq!(left(12), uids(&[]));
    }

    #[test]
    fn what_is_refused_again_keeps_its_time() {
        let refused = Refused::default().learn(&seen(&[1], &[]), day(0));
        let refused = refused.learn(&seen(&[1, 2], &[]), day(6));
        assert_eq!(known(&refused.fresh(day(7))), uids(&[2]));
    }

    #[test]
    fn what_a_run_has_not_seen_is_kept_and_what_it_sees_accepted_is_unlearnt() {
        let refused = Refused::default().learn(&seen(&[1, 2], &[]), day(0));
        let refused = refused.learn(&seen(&[3], &[2, 9]), day(1));
        assert_eq!(known(&refused), uids(&[1, 3]));
        // Refused by one association, and accepted by another.
        assert_eq!(known(&refused.learn(&seen(&[1, 4], &[1, 4]), day(1))), uids(&[3]));
    }

    #[test]
    fn no_peer_makes_it_grow_without_end() {
        let many: Vec<usize> = (0..2 * MOST).collect();
        assert_eq!(Refused::default().learn(&seen(&many, &[]), day(0)).len(), MOST);
    }

    #[test]
    fn what_is_no_uid_is_passed_over() {
        let text = r#"[{"value":"no UID","learnt":1},{"value":"1.2.5","learnt":1}]"#;
        let refused: Refused = serde_json::from_str(text).unwrap();
        assert_eq!(known(&refused), uids(&[5]));
    }
}
