//! What was learnt of a node in earlier runs, in a small file of the user's: habits that cost time to find out anew.
//!
//! ```text
//! {"PACS@192.0.2.7:104":{"associations_most":{"value":4,"learnt":1763856000}, ...}, ...}
//! ```
//!
//! Each habit is forgotten after a while, and so is each thing that it refuses, so that a peer that was mended is found
//! out. The file names nodes and holds nothing of patients; a broken one is as good as none, and it may be deleted at any
//! time.

mod learnt;
mod refused;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::Node;

pub use learnt::Learnt;
pub use refused::Refused;
pub(super) use refused::Seen;

/// A peer that had no association to spare may only have been busy.
const BUSY_FOR: Duration = Duration::from_secs(24 * 3600);

/// More nodes than anybody has; a bigger file is none of ours.
const MAX_LENGTH: u64 = 4 * 1024 * 1024;

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Habits {
    /// It grants the SCP role only together with the SCU role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub both_roles: Option<Learnt<bool>>,
    /// It answers no C-FIND at IMAGE level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_image_level: Option<Learnt<bool>>,
    /// It brought nothing by C-GET that came by C-MOVE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_get: Option<Learnt<bool>>,
    /// The most associations that it serves at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub associations_most: Option<Learnt<usize>>,
    /// How many associations were worth it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub associations: Option<Learnt<usize>>,
    /// How many studies it answers a query with at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers_most: Option<Learnt<usize>>,
    /// The transfer syntaxes that it accepts no presentation context with, while it accepts others of the same classes.
    #[serde(skip_serializing_if = "Refused::is_empty")]
    pub refused_syntaxes: Refused,
    /// The SOP classes of storage that it accepts no presentation context for, while it accepts others.
    #[serde(skip_serializing_if = "Refused::is_empty")]
    pub refused_classes: Refused,
}

/// What a run has learnt; `None` is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lesson {
    pub(super) both_roles: Option<bool>,
    pub(super) no_image_level: Option<bool>,
    pub(super) no_get: Option<bool>,
    pub(super) associations_most: Option<usize>,
    pub(super) associations: Option<usize>,
    pub(super) answers_most: Option<usize>,
    pub(super) syntaxes: Seen,
    pub(super) classes: Seen,
}

impl Habits {
    /// Without what is too old to be believed.
    fn fresh(self, now: SystemTime) -> Habits {
        Habits {
            both_roles: self.both_roles.filter(|learnt| learnt.is_fresh(now)),
            no_image_level: self.no_image_level.filter(|learnt| learnt.is_fresh(now)),
            no_get: self.no_get.filter(|learnt| learnt.is_fresh(now)),
            associations_most: self.associations_most.filter(|learnt| learnt.is_younger(now, BUSY_FOR)),
            associations: self.associations.filter(|learnt| learnt.is_fresh(now)),
            answers_most: self.answers_most.filter(|learnt| learnt.is_fresh(now)),
            refused_syntaxes: self.refused_syntaxes.fresh(now),
            refused_classes: self.refused_classes.fresh(now),
        }
    }

    fn learn(self, lesson: Lesson, now: SystemTime) -> Habits {
        Habits {
            both_roles: Learnt::merged(self.both_roles, lesson.both_roles, now),
            no_image_level: Learnt::merged(self.no_image_level, lesson.no_image_level, now),
            no_get: Learnt::merged(self.no_get, lesson.no_get, now),
            associations_most: Learnt::merged(self.associations_most, lesson.associations_most, now),
            associations: Learnt::merged(self.associations, lesson.associations, now),
            answers_most: Learnt::merged(self.answers_most, lesson.answers_most, now),
            refused_syntaxes: self.refused_syntaxes.learn(&lesson.syntaxes, now),
            refused_classes: self.refused_classes.learn(&lesson.classes, now),
        }
    }

    /// In words, one each.
    pub fn in_words(&self) -> Vec<String> {
        let is = |learnt: &Option<Learnt<bool>>| learnt.as_ref().is_some_and(|learnt| learnt.value);
        let mut words = Vec::new();
        if is(&self.both_roles) {
            words.push("grants the SCP role only with the SCU role".to_owned());
        }
        if is(&self.no_image_level) {
            words.push("answers no C-FIND at IMAGE level".to_owned());
        }
        if is(&self.no_get) {
            words.push("sends by C-MOVE and not by C-GET".to_owned());
        }
        if let Some(most) = &self.associations_most {
            words.push(format!("serves {} associations at a time", most.value));
        }
        if let Some(associations) = &self.associations {
            words.push(format!("is fastest with {}", associations.value));
        }
        if let Some(most) = &self.answers_most {
            words.push(format!("answers a query with {} studies at the most", most.value));
        }
        if !self.refused_syntaxes.is_empty() {
            words
                .push(format!("accepts nothing in {} of the transfer syntaxes", self.refused_syntaxes.len()));
        }
        if !self.refused_classes.is_empty() {
            words.push(format!("accepts no context for {} of the SOP classes", self.refused_classes.len()));
        }
        words
    }
}

/// The file.
#[derive(Debug, Clone)]
pub struct Known {
    path: PathBuf,
}

impl Known {
    /// The file at a path; it need not be there.
    pub fn at(path: impl Into<PathBuf>) -> Known {
        Known { path: path.into() }
    }

    /// What is known of a node.
    pub fn habits(&self, node: &Node, now: SystemTime) -> Habits {
        self.read().remove(&node.to_string()).unwrap_or_default().fresh(now)
    }

    /// Adds what a run has learnt. A file that cannot be written is no reason to fail.
    pub(super) fn learn(&self, node: &Node, lesson: Lesson, now: SystemTime) {
        if lesson == Lesson::default() {
            return;
        }
        let mut nodes = self.read();
        let before = nodes.remove(&node.to_string()).unwrap_or_default();
        let habits = before.clone().fresh(now).learn(lesson, now);
        if habits == before {
            return;
        }
        nodes.insert(node.to_string(), habits);
        if let Err(error) = self.write(&nodes) {
            tracing::warn!("what was learnt of the node cannot be kept in {}: {error}", self.path.display());
        }
    }

    /// Forgets a node, or all of them; answers how many.
    ///
    /// # Errors
    /// What the system says.
    pub fn forget(&self, node: Option<&Node>) -> io::Result<usize> {
        let mut nodes = self.read();
        let before = nodes.len();
        match node {
            Some(node) => _ = nodes.remove(&node.to_string()),
            None => nodes.clear(),
        }
        if nodes.len() < before {
            self.write(&nodes)?;
        }
        Ok(before - nodes.len())
    }

    fn read(&self) -> BTreeMap<String, Habits> {
        match read(&self.path) {
            Ok(nodes) => nodes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                tracing::warn!("{} cannot be used, and is passed over: {error}", self.path.display());
                BTreeMap::new()
            }
        }
    }

    /// Writes it beside, and puts it in the place of the one that was there.
    fn write(&self, nodes: &BTreeMap<String, Habits>) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec_pretty(nodes)?)?;
        file.persist(&self.path)?;
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<BTreeMap<String, Habits>> {
    if std::fs::metadata(path)?.len() > MAX_LENGTH {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::UNIX_EPOCH;

    use dicomet_proto::Uid;

    use super::*;

    fn node(text: &str) -> Node {
        text.parse().unwrap()
    }

    fn day(number: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(20_000 * 24 * 3600 + number * 24 * 3600)
    }

    fn four() -> Lesson {
        Lesson { both_roles: Some(true), associations: Some(4), ..Lesson::default() }
    }

    #[test]
    fn what_is_learnt_is_known_to_the_next_run_and_of_this_node_alone() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known::at(folder.path().join("state/nodes.json"));
        let pacs = node("PACS@192.0.2.7:104");
        assert_eq!(known.habits(&pacs, day(0)), Habits::default());
        known.learn(&pacs, four(), day(0));
        let habits = known.habits(&pacs, day(1));
        assert_eq!(habits.associations.as_ref().unwrap().value, 4);
        assert_eq!(habits.in_words(), ["grants the SCP role only with the SCU role", "is fastest with 4"]);
        assert_eq!(known.habits(&node("PACS@192.0.2.8:104"), day(1)), Habits::default());
    }

    #[test]
    fn a_habit_is_tried_again_after_a_week_though_it_was_used_every_day() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known::at(folder.path().join("nodes.json"));
        let pacs = node("PACS@192.0.2.7:104");
        for number in 0..7 {
            known.learn(&pacs, four(), day(number));
            assert!(known.habits(&pacs, day(number)).associations.is_some());
        }
        assert_eq!(known.habits(&pacs, day(7)), Habits::default());
        // A clock that was set back.
        assert_eq!(known.habits(&pacs, day(0) - Duration::from_secs(1)), Habits::default());
    }

    #[test]
    fn that_a_peer_had_no_association_to_spare_is_forgotten_after_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known::at(folder.path().join("nodes.json"));
        let pacs = node("PACS@192.0.2.7:104");
        known.learn(&pacs, Lesson { associations_most: Some(2), ..four() }, day(0));
        let later = |hours: u64| day(0) + Duration::from_secs(hours * 3600);
        assert_eq!(known.habits(&pacs, later(23)).associations_most.unwrap().value, 2);
        let habits = known.habits(&pacs, later(24));
        assert!(habits.associations_most.is_none() && habits.associations.is_some());
    }

    #[test]
    fn what_turned_out_otherwise_replaces_what_was_learnt() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known::at(folder.path().join("nodes.json"));
        let pacs = node("PACS@192.0.2.7:104");
        let no_get = |value| Lesson { no_get: Some(value), ..Lesson::default() };
        known.learn(&pacs, no_get(true), day(0));
        assert_eq!(known.habits(&pacs, day(0)).in_words(), ["sends by C-MOVE and not by C-GET"]);
        known.learn(&pacs, no_get(false), day(1));
        assert!(known.habits(&pacs, day(1)).in_words().is_empty());
    }

    #[test]
    fn what_is_refused_is_kept_each_with_its_own_time() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known::at(folder.path().join("nodes.json"));
        let pacs = node("PACS@192.0.2.7:104");
        let seen = |refused: &[&'static str], accepted: &[&'static str]| Seen {
            refused: refused.iter().map(|uid| Uid::from_static(uid)).collect(),
            accepted: accepted.iter().map(|uid| Uid::from_static(uid)).collect(),
        };
        let learn = |classes: Seen, syntaxes: Seen, now| {
            known.learn(&pacs, Lesson { classes, syntaxes, ..Lesson::default() }, now);
        };
        learn(seen(&["1.2.1", "1.2.2"], &[]), seen(&["1.3.1"], &[]), day(0));
        learn(seen(&["1.2.3"], &["1.2.2"]), seen(&["1.3.2", "1.3.3"], &[]), day(5));
        let words = |now| known.habits(&pacs, now).in_words();
        let syntaxes = |number| format!("accepts nothing in {number} of the transfer syntaxes");
        let classes = |number| format!("accepts no context for {number} of the SOP classes");
        assert_eq!(words(day(6)), [syntaxes(3), classes(2)]);
        assert_eq!(words(day(7)), [syntaxes(2), classes(1)]);
        let left: Vec<Uid> = known.habits(&pacs, day(7)).refused_classes.uids().collect();
        assert_eq!(left, [Uid::from_static("1.2.3")]);
        assert!(words(day(12)).is_empty());
    }

    #[test]
    fn a_broken_file_is_passed_over_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes.json");
        let pacs = node("PACS@192.0.2.7:104");
        for broken in [&b"{"[..], b"[1, 2]", b"\xff\xfe", b"{\"PACS@192.0.2.7:104\": {\"both_roles\": 3}}"] {
            std::fs::write(&path, broken).unwrap();
            let known = Known::at(&path);
            assert_eq!(known.habits(&pacs, day(0)), Habits::default());
            known.learn(&pacs, four(), day(0));
            assert_ne!(known.habits(&pacs, day(0)), Habits::default());
        }
    }

    #[test]
    fn a_node_is_forgotten_by_name_or_with_all_others() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known::at(folder.path().join("nodes.json"));
        let nodes = [node("A@192.0.2.7:104"), node("B@192.0.2.7:104"), node("C@192.0.2.7:104")];
        nodes.iter().for_each(|node| known.learn(node, four(), day(0)));
        assert_eq!(known.forget(Some(&nodes[0])).unwrap(), 1);
        assert_eq!(known.forget(Some(&nodes[0])).unwrap(), 0);
        assert_eq!(known.forget(None).unwrap(), 2);
        assert_eq!(known.habits(&nodes[1], day(0)), Habits::default());
    }
}
