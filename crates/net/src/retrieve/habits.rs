//! What earlier runs have learnt of the node is used, and what this one learns is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use dicomet_proto::Uid;

use super::known::{Habits, Lesson, Seen};
use super::passes::Engine;
use super::plan::Offered;
use super::report::Event;
use super::work::Roles;

impl Habits {
    /// Whether C-MOVE is the way.
    pub(super) fn has_no_get(&self) -> bool {
        self.no_get.as_ref().is_some_and(|learnt| learnt.value)
    }

    /// Whether there is no association to spare beside that for C-FIND.
    pub(super) fn serves_one(&self) -> bool {
        self.associations_most.as_ref().is_some_and(|most| most.value == 1)
    }

    /// Whether no IMAGE level is answered.
    pub(super) fn has_no_image_level(&self) -> bool {
        self.no_image_level.as_ref().is_some_and(|learnt| learnt.value)
    }

    /// How many studies a query is answered with at the most.
    pub(super) fn answers_most(&self) -> Option<usize> {
        self.answers_most.as_ref().map(|learnt| learnt.value)
    }
}

/// How C-GET went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GetTried {
    /// It was not tried.
    No,
    /// The peer does not offer it.
    NotOffered,
    /// All was asked for, by C-GET.
    Through,
    /// It ended early.
    Failed,
}

/// Instances that C-MOVE has to bring before C-GET is called useless: one may be of a kind that the peer sends otherwise.
const MIN_MOVED: u64 = 2;

impl Engine {
    /// What is known of the node.
    pub(super) fn recall(&mut self) -> Habits {
        let Some(known) = &self.options.known else { return Habits::default() };
        let habits = known.habits(&self.shared.node, SystemTime::now());
        if habits.both_roles.as_ref().is_some_and(|learnt| learnt.value) {
            self.roles = Roles::ScuAndScp;
        }
        let [most, worth] = [&habits.associations_most, &habits.associations]
            .map(|habit| habit.as_ref().map(|learnt| learnt.value));
        self.controller.remember(most, worth);
        self.offered.leave_out(habits.refused_syntaxes.uids());
        self.offered.probe(habits.refused_classes.uids());
        let words = habits.in_words();
        if !words.is_empty() {
            self.shared.tell(Event::Known(words));
        }
        habits
    }

    /// Keeps what was learnt; `by_get` is how many instances came by C-GET, and `tried` how that went.
    pub(super) fn learn(&self, by_get: u64, tried: GetTried) {
        let Some(known) = &self.options.known else { return };
        let by_move = self.shared.progress().instances - by_get;
        let was_here_before = self.shared.ledger().report("").present > 0;
        let is_useless = match tried {
            GetTried::NotOffered => by_move > 0,
            // What was left over by another run may be what the peer sends in no way.
            GetTried::Through => by_get == 0 && by_move >= MIN_MOVED && !was_here_before,
            GetTried::No | GetTried::Failed => false,
        };
        let answers_most = self.shared.meter.answers_most.load(Ordering::Relaxed);
        let lesson = Lesson {
            both_roles: (self.roles == Roles::ScuAndScp && by_get > 0 && !self.is_scp_enough).then_some(true),
            no_image_level: self.shared.meter.has_no_image_level.load(Ordering::Relaxed).then_some(true),
            no_get: if by_get > 0 { Some(false) } else { is_useless.then_some(true) },
            associations_most: self.controller.most().filter(|_| by_get > 0),
            associations: Some(self.controller.worth())
                .filter(|worth| *worth > 1 && by_get > 0 && self.options.associations.is_none()),
            answers_most: Some(answers_most).filter(|most| *most > 0),
            syntaxes: self.contexts.syntaxes.clone(),
            classes: self.contexts.classes.clone(),
        };
        known.learn(&self.shared.node, lesson, SystemTime::now());
    }
}

/// What the peer has accepted of the storage contexts proposed, and what it refuses.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    syntaxes: Seen,
    classes: Seen,
}

impl Contexts {
    /// Notes what a pass proposed. A class that is not accepted at all says nothing of syntaxes; and where none is, that
    /// says nothing of classes.
    pub(super) fn note(&mut self, proposed: &[(Uid, Uid)], accepted: &[(Uid, Uid)], offered: &Offered) {
        let classes: BTreeSet<&Uid> = accepted.iter().map(|(class, _)| class).collect();
        let mut refused: BTreeMap<&Uid, BTreeSet<&Uid>> = BTreeMap::new();
        let contexts: BTreeSet<&(Uid, Uid)> = accepted.iter().collect();
        for (class, syntax) in proposed.iter().filter(|context| !contexts.contains(context)) {
            match classes.contains(class) {
                true => _ = self.syntaxes.refused.insert(syntax.clone()),
                false => _ = refused.entry(class).or_default().insert(syntax),
            }
        }
        if !classes.is_empty() {
            refused.retain(|class, syntaxes| offered.is_enough(class, syntaxes));
            self.classes.refused.extend(refused.into_keys().cloned());
        }
        for (class, syntax) in accepted {
            self.syntaxes.accepted.insert(syntax.clone());
            self.classes.accepted.insert(class.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use dicomet_proto::dataset::dictionary::uids;

    use super::super::likely::{COMMON_SYNTAXES, syntaxes_of};
    use super::*;

    const CT: Uid = uids::CT_IMAGE_STORAGE;
    const MR: Uid = uids::MR_IMAGE_STORAGE;
    const SR: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.1.88.22");

    /// Contexts of a class in its likeliest syntaxes.
    fn contexts(class: &Uid, number: usize) -> Vec<(Uid, Uid)> {
        syntaxes_of(class, None).into_iter().take(number).map(|syntax| (class.clone(), syntax)).collect()
    }

    /// The classes that are called refused where CT is accepted in one context and all others are not.
    fn refused(proposed: &[(Uid, Uid)], offered: &Offered) -> Vec<Uid> {
        let mut noted = Contexts::default();
        noted.note(&[proposed, &contexts(&CT, 5)].concat(), &contexts(&CT, 1), offered);
        assert_eq!(noted.classes.accepted, [CT].into());
        noted.classes.refused.into_iter().collect()
    }

    #[test]
    fn a_class_is_refused_when_it_was_proposed_as_the_plan_does_and_another_was_accepted() {
        let none = Offered::default();
        assert_eq!(refused(&contexts(&MR, COMMON_SYNTAXES), &none), [MR]);
        assert_eq!(refused(&contexts(&MR, COMMON_SYNTAXES - 1), &none), []);
        assert_eq!(refused(&contexts(&SR, 4), &none), [SR], "it has no more");
        assert_eq!(refused(&contexts(&SR, 3), &none), []);
        let mut noted = Contexts::default();
        noted.note(&contexts(&MR, COMMON_SYNTAXES), &[], &none);
        assert_eq!((noted.classes, noted.syntaxes), (Seen::default(), Seen::default()));
    }

    #[test]
    fn a_probe_says_nothing_new_of_a_class() {
        let mut offered = Offered::default();
        offered.probe([MR].into_iter());
        assert_eq!(refused(&contexts(&MR, 1), &offered), []);
        // Those that are left out may leave it no more.
        offered.leave_out(syntaxes_of(&MR, None).into_iter().skip(1));
        assert_eq!(refused(&contexts(&MR, 1), &offered), []);
    }

    #[test]
    fn what_the_peer_takes_with_no_class_need_not_be_proposed_for_a_class_to_be_called_refused() {
        let mut offered = Offered::default();
        offered.leave_out(syntaxes_of(&MR, None).into_iter().skip(2));
        assert_eq!(refused(&contexts(&MR, 2), &offered), [MR]);
        let narrowed: Vec<(Uid, Uid)> = contexts(&MR, 4).split_off(2);
        assert_eq!(refused(&narrowed, &offered), [], "the user has asked for others");
    }

    #[test]
    fn syntaxes_are_noted_for_classes_that_are_accepted_alone() {
        let mut noted = Contexts::default();
        let proposed = [contexts(&CT, 3), contexts(&MR, 5)].concat();
        noted.note(&proposed, &contexts(&CT, 1), &Offered::default());
        let syntaxes = syntaxes_of(&CT, None);
        assert_eq!(noted.syntaxes.accepted, [syntaxes[0].clone()].into());
        assert_eq!(noted.syntaxes.refused, syntaxes[1..3].iter().cloned().collect());
    }
}
