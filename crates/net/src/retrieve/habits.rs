//! What earlier runs have learnt of the node is used, and what this one learns is kept.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::known::{Habits, Lesson};
use super::passes::Engine;
use super::report::{Event, Method};
use super::work::Roles;

impl Habits {
    /// Whether C-MOVE is the way.
    pub(super) fn has_no_get(&self) -> bool {
        self.no_get.is_some_and(|learnt| learnt.value)
    }

    /// Whether there is no association to spare beside that for C-FIND.
    pub(super) fn serves_one(&self) -> bool {
        self.associations_most.is_some_and(|most| most.value == 1)
    }
}

impl Engine {
    /// What is known of the node.
    pub(super) fn recall(&mut self) -> Habits {
        let Some(known) = &self.options.known else { return Habits::default() };
        let habits = known.habits(&self.shared.node, SystemTime::now());
        if habits.both_roles.is_some_and(|learnt| learnt.value) {
            self.roles = Roles::ScuAndScp;
        }
        let most = habits.associations_most.map(|learnt| learnt.value);
        self.controller.remember(most, habits.associations.map(|learnt| learnt.value));
        let words = habits.in_words();
        if !words.is_empty() {
            self.shared.tell(Event::Known(words));
        }
        habits
    }

    /// Keeps what was learnt; `by_get` is how many instances came by C-GET.
    pub(super) fn learn(&self, by_get: u64) {
        let Some(known) = &self.options.known else { return };
        let came = self.shared.progress().instances;
        let is_by_move = self.method == Method::Move && came > by_get;
        let was_get_tried = self.associations > 0 && self.options.method != Some(Method::Move);
        let lesson = Lesson {
            both_roles: (self.roles == Roles::ScuAndScp && by_get > 0).then_some(true),
            no_image_level: self.shared.meter.has_no_image_level.load(Ordering::Relaxed).then_some(true),
            no_get: (is_by_move && was_get_tried && by_get == 0).then_some(true),
            associations_most: self.controller.most().filter(|_| by_get > 0),
            associations: Some(self.controller.worth())
                .filter(|worth| *worth > 1 && by_get > 0 && self.options.associations.is_none()),
        };
        known.learn(&self.shared.node, lesson, SystemTime::now());
    }
}
