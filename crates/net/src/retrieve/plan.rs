//! The plan of a retrieve: which presentation contexts to propose, and what to ask for in them. Pure.
//!
//! A C-GET needs a presentation context for every SOP class in the study, and, since an acceptor picks one
//! transfer syntax a context, one for every transfer syntax the instances may be stored in: otherwise the peer
//! must convert, or fails them (dcmqrscp cannot decompress). An association holds 128 contexts, so a study of
//! many classes takes several rounds. Studies whose classes fit together share a round.
//!
//! ```text
//! ledger: what is missing -> rounds (contexts + studies or parts of them) -> requests (study, series, images)
//! ```

mod offered;
mod requests;

use std::collections::BTreeSet;

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::{self, uids};

use super::inventory::Study;
use super::likely;
use super::verify::MissingStudy;

pub use offered::Offered;
pub use requests::{Dealer, Granularity, Request};

/// Presentation contexts for storage classes in one association: 128 but the one of C-GET itself.
pub const STORAGE_CONTEXTS: usize = 127;

/// One association's worth of work: what to propose and which parts of the inventory to ask for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Round {
    /// SOP class and transfer syntax of each storage context, at most [`STORAGE_CONTEXTS`].
    pub contexts: Vec<(Uid, Uid)>,
    /// Classes that have one context, by which it is seen whether the peer takes them now. Where it does, nothing is asked
    /// for before they have all of theirs: it would convert what it has in another transfer syntax.
    pub probes: BTreeSet<Uid>,
    /// What to ask for.
    pub parts: Vec<Part>,
}

/// A study, or what of it has certain SOP classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Place in the inventory.
    pub study: usize,
    /// Only instances of these classes; `None` is all that is missing.
    pub classes: Option<BTreeSet<Uid>>,
}

/// The rounds that cover all that is missing, for one pass.
///
/// `narrowed` holds the transfer syntaxes that the user wants and no others.
pub fn rounds(missing: &[MissingStudy], offered: &Offered, narrowed: Option<&[Uid]>) -> Vec<Round> {
    rounds_beside(missing, offered, narrowed, &[])
}

/// As [`rounds`], with contexts for further classes where there is room: studies that are found later may need them.
pub fn rounds_beside(
    missing: &[MissingStudy],
    offered: &Offered,
    narrowed: Option<&[Uid]>,
    further: &[Uid],
) -> Vec<Round> {
    let mut drafts = Vec::new();
    let mut shared = Draft::default();
    for study in missing {
        let classes = candidates(study, offered);
        if cost(&classes, offered, narrowed) > STORAGE_CONTEXTS {
            drafts.extend(split(study, &classes, offered, narrowed));
            continue;
        }
        if shared.cost_with(&classes, offered, narrowed) > STORAGE_CONTEXTS {
            drafts.push(std::mem::take(&mut shared));
        }
        shared.add(Part { study: study.study, classes: None }, &classes);
    }
    for class in further {
        if shared.cost_with(std::slice::from_ref(class), offered, narrowed) <= STORAGE_CONTEXTS {
            shared.add_classes(std::slice::from_ref(class));
        }
    }
    drafts.push(shared);
    drafts
        .into_iter()
        .filter(|draft| !draft.parts.is_empty())
        .map(|draft| draft.finish(offered, narrowed))
        .collect()
}

/// Whether another pass could bring more in further transfer syntaxes: some class that instances are missing of has
/// one that it was not offered with.
pub fn has_more_syntaxes(missing: &[MissingStudy], offered: &Offered, narrowed: Option<&[Uid]>) -> bool {
    missing.iter().any(|study| {
        let mut known = study.classes.keys().chain(study.guesses_told());
        known.any(|class| !offered.is_exhausted(class, narrowed))
    })
}

/// Whether another pass could bring more in further SOP classes: those of what is missing are not all known, and
/// some that it may be of were not offered at all.
pub fn has_more_classes(missing: &[MissingStudy], offered: &Offered) -> bool {
    missing.iter().any(|study| {
        // A count that is wrong is no reason to try every class there is.
        study.is_guessed()
            && (study.unknown > 0 || study.sop_classes.is_empty())
            && candidates(study, offered).iter().any(|class| !offered.has(class))
    })
}

/// The classes to prepare for, those with the most instances first. Where the classes are not all known: SOP Classes
/// in Study, or else what the modalities make likely, or, that having been offered, every storage class there is.
fn candidates(study: &MissingStudy, offered: &Offered) -> Vec<Uid> {
    let mut classes: Vec<(&Uid, usize)> =
        study.classes.iter().map(|(class, count)| (class, *count)).collect();
    classes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let mut classes: Vec<Uid> = classes.into_iter().map(|(class, _)| class.clone()).collect();
    if study.is_guessed() {
        let told: Vec<Uid> = study.guesses_told().cloned().collect();
        let likely = if told.is_empty() { likely::classes_of(&study.modalities) } else { told };
        let is_news = likely.iter().any(|class| !offered.has(class));
        let further = if is_news { likely.as_slice() } else { dictionary::storage_sop_classes() };
        for class in further {
            if !classes.contains(class) {
                classes.push(class.clone());
            }
        }
    }
    classes
}

/// The classes to prepare for at first.
pub(super) fn classes_of(study: &MissingStudy) -> Vec<Uid> {
    candidates(study, &Offered::default())
}

/// Whether one association has room for all these classes (and there are any), so that it need not be known which
/// instance has which. It must have room even when nothing is left out of what is offered.
pub(super) fn fit_together(classes: &[Uid]) -> bool {
    !classes.is_empty() && cost(classes, &Offered::default(), None) <= STORAGE_CONTEXTS
}

/// Whether the contexts that a study needs are known before its instances are: by SOP Classes in Study, or what the
/// modalities of its series make likely.
pub(super) fn is_known_before(study: &Study) -> bool {
    match study.sop_classes.as_slice() {
        [] => fit_together(&likely::classes_of(&study.modalities)),
        told => fit_together(told),
    }
}

/// A round in the making: parts, and their classes with the number of instances of each.
#[derive(Debug, Default)]
struct Draft {
    parts: Vec<Part>,
    classes: Vec<Uid>,
}

impl Draft {
    fn add(&mut self, part: Part, classes: &[Uid]) {
        self.parts.push(part);
        self.add_classes(classes);
    }

    fn add_classes(&mut self, classes: &[Uid]) {
        for class in classes {
            if !self.classes.contains(class) {
                self.classes.push(class.clone());
            }
        }
    }

    fn cost_with(&self, classes: &[Uid], offered: &Offered, narrowed: Option<&[Uid]>) -> usize {
        let new: Vec<Uid> = classes.iter().filter(|class| !self.classes.contains(class)).cloned().collect();
        cost(&self.classes, offered, narrowed) + cost(&new, offered, narrowed)
    }

    /// Deals the contexts out: every class its likeliest syntax, then every class its second, as far as they go.
    fn finish(self, offered: &Offered, narrowed: Option<&[Uid]>) -> Round {
        let orders: Vec<Vec<Uid>> = self.classes.iter().map(|class| offered.order(class, narrowed)).collect();
        let longest = orders.iter().map(Vec::len).max().unwrap_or(0);
        let mut contexts = Vec::new();
        for rank in 0..longest {
            for (class, order) in self.classes.iter().zip(&orders) {
                if let Some(syntax) = order.get(rank).filter(|_| contexts.len() < STORAGE_CONTEXTS) {
                    contexts.push((class.clone(), syntax.clone()));
                }
            }
        }
        let probes = self.classes.iter().filter(|class| offered.is_probed(class)).cloned().collect();
        Round { contexts, probes, parts: self.parts }
    }
}

/// The contexts that the classes need at least.
fn cost(classes: &[Uid], offered: &Offered, narrowed: Option<&[Uid]>) -> usize {
    classes.iter().map(|class| offered.least(class, narrowed)).sum()
}

/// A study of more classes than one association holds: one draft for as many classes as fit. Instances whose class
/// is not known are asked for in each.
fn split(study: &MissingStudy, classes: &[Uid], offered: &Offered, narrowed: Option<&[Uid]>) -> Vec<Draft> {
    let mut groups: Vec<Vec<Uid>> = vec![Vec::new()];
    let mut room = STORAGE_CONTEXTS;
    for class in classes {
        let needs = offered.least(class, narrowed);
        if needs > room {
            groups.push(Vec::new());
            room = STORAGE_CONTEXTS;
        }
        room -= needs.min(room);
        if let Some(group) = groups.last_mut() {
            group.push(class.clone());
        }
    }
    let all_known = study.unknown == 0 && !study.is_open;
    groups
        .into_iter()
        .map(|group| {
            let classes = all_known.then(|| group.iter().cloned().collect());
            Draft { parts: vec![Part { study: study.study, classes }], classes: group }
        })
        .collect()
}

/// The SOP class of C-GET in a model.
pub fn get_sop_class(model: dicomet_proto::query::Model) -> Uid {
    match model {
        dicomet_proto::query::Model::PatientRoot => uids::PATIENT_ROOT_GET,
        _ => uids::STUDY_ROOT_GET,
    }
}

#[cfg(test)]
mod tests;
