//! What earlier runs have learnt of the node is used, and what this one learns is kept.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use dicomet_proto::Uid;

use super::known::{Habits, Lesson, Seen};
use super::passes::Engine;
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
            syntaxes: self.contexts.syntaxes(),
        };
        known.learn(&self.shared.node, lesson, SystemTime::now());
    }
}

/// Which transfer syntaxes the peer has accepted of those proposed.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    accepted: BTreeSet<Uid>,
    proposed: BTreeSet<Uid>,
}

impl Contexts {
    /// Notes what an association was opened with. A class that is not accepted at all says nothing of syntaxes.
    pub(super) fn note(&mut self, proposed: &[(Uid, Uid)], accepted: &[(Uid, Uid)]) {
        let classes: BTreeSet<&Uid> = accepted.iter().map(|(class, _)| class).collect();
        let of_these = proposed.iter().filter(|(class, _)| classes.contains(class));
        self.proposed.extend(of_these.map(|(_, syntax)| syntax.clone()));
        self.accepted.extend(accepted.iter().map(|(_, syntax)| syntax.clone()));
    }

    /// Those that it has accepted with some class, and with none.
    fn syntaxes(&self) -> Seen {
        let refused = self.proposed.difference(&self.accepted).cloned().collect();
        Seen { accepted: self.accepted.clone(), refused }
    }
}
