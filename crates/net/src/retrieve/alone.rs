//! Transfer syntaxes one at a time, for peers that send all instances of a SOP class in one presentation context,
//! whatever they are stored in: dcmqrscp takes the first that was accepted, and fails what it cannot convert. Such
//! an instance comes when the syntax it is stored in is the only one that its class is offered. Other peers fail what
//! they fail for other reasons, so that there are few such passes that bring nothing. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::uids;

use super::likely::syntaxes_of;
use super::plan::{Part, Round, STORAGE_CONTEXTS};

/// Passes in a row that bring nothing before the peer is taken for one that chooses the syntax for each instance. As many
/// as a dcmqrscp accepts: it takes one compressed syntax beside the three native ones.
const MAX_BARREN: u32 = 4;

/// What a peer accepted, and what of it was tried alone.
#[derive(Debug, Default)]
pub(super) struct Alone {
    accepted: HashMap<Uid, HashSet<Uid>>,
    tried: HashMap<Uid, HashSet<Uid>>,
    /// Passes in a row that brought nothing.
    barren: u32,
}

impl Alone {
    /// Remembers accepted contexts: SOP class and transfer syntax.
    pub(super) fn learn(&mut self, contexts: Vec<(Uid, Uid)>) {
        for (class, syntax) in contexts {
            self.accepted.entry(class).or_default().insert(syntax);
        }
    }

    /// The rounds of the next pass, in which each class has one accepted syntax that it was not offered alone yet.
    /// None when there are no more: at the latest after as many passes as some class has accepted syntaxes, and when
    /// [`MAX_BARREN`] in a row have brought nothing.
    ///
    /// `failed` names the studies in which the peer failed instances of a class, and the class; where that is not
    /// known, every accepted class is offered.
    pub(super) fn rounds(&mut self, failed: &BTreeSet<(usize, Option<Uid>)>) -> Vec<Round> {
        if self.barren >= MAX_BARREN {
            return Vec::new();
        }
        let mut classes: BTreeSet<Uid> = failed.iter().filter_map(|(_, class)| class.clone()).collect();
        if failed.iter().any(|(_, class)| class.is_none()) {
            classes.extend(self.accepted.keys().cloned());
        }
        let contexts: Vec<(Uid, Uid)> =
            classes.into_iter().filter_map(|class| Some((class.clone(), self.next(&class)?))).collect();
        contexts.chunks(STORAGE_CONTEXTS).map(|contexts| round(contexts, failed)).collect()
    }

    /// Notes whether a pass brought something.
    pub(super) fn brought(&mut self, something: bool) {
        self.barren = if something { 0 } else { self.barren + 1 };
    }

    /// Forgets what was tried: other instances have failed since.
    pub(super) fn start_over(&mut self) {
        self.tried.clear();
    }

    /// The next syntax for a class: compressed ones before native ones, those that are met more often first. Nothing
    /// for a class that had but one: it was alone before.
    fn next(&mut self, class: &Uid) -> Option<Uid> {
        let accepted = self.accepted.get(class).filter(|accepted| accepted.len() > 1)?;
        let tried = self.tried.entry(class.clone()).or_default();
        let likely = syntaxes_of(class, None);
        let next = accepted.iter().filter(|syntax| !tried.contains(*syntax)).min_by_key(|syntax| {
            let rank = likely.iter().position(|other| other == *syntax).unwrap_or(likely.len());
            (is_native(syntax), rank, (*syntax).clone())
        })?;
        tried.insert(next.clone());
        Some(next.clone())
    }
}

/// Any peer can convert these into one another.
fn is_native(syntax: &Uid) -> bool {
    [uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN].contains(syntax)
        || syntax.as_str() == "1.2.840.10008.1.2.2"
}

fn round(contexts: &[(Uid, Uid)], failed: &BTreeSet<(usize, Option<Uid>)>) -> Round {
    let mut studies: BTreeMap<usize, Option<BTreeSet<Uid>>> = BTreeMap::new();
    for (study, class) in failed {
        let classes = studies.entry(*study).or_insert_with(|| Some(BTreeSet::new()));
        match class {
            Some(class) if contexts.iter().any(|(offered, _)| offered == class) => {
                classes.iter_mut().for_each(|classes| _ = classes.insert(class.clone()));
            }
            Some(_) => {}
            // It may be any.
            None => *classes = None,
        }
    }
    studies.retain(|_, classes| classes.as_ref().is_none_or(|classes| !classes.is_empty()));
    let parts = studies.into_iter().map(|(study, classes)| Part { study, classes });
    Round { contexts: contexts.to_vec(), parts: parts.collect(), ..Round::default() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CT: Uid = uids::CT_IMAGE_STORAGE;
    const MR: Uid = uids::MR_IMAGE_STORAGE;
    const EXPLICIT: Uid = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    const IMPLICIT: Uid = uids::IMPLICIT_VR_LITTLE_ENDIAN;
    const JPEG: Uid = Uid::from_static("1.2.840.10008.1.2.4.50");
    const RLE: Uid = Uid::from_static("1.2.840.10008.1.2.5");

    fn offers(alone: &mut Alone, failed: &[(usize, Uid)]) -> Vec<Vec<(Uid, Uid)>> {
        let failed = failed.iter().map(|(study, class)| (*study, Some(class.clone()))).collect();
        let passes = std::iter::from_fn(|| Some(alone.rounds(&failed)).filter(|rounds| !rounds.is_empty()));
        passes.map(|rounds| rounds.into_iter().flat_map(|round| round.contexts).collect()).collect()
    }

    #[test]
    fn each_class_is_offered_its_accepted_syntaxes_one_by_one_compressed_ones_first() {
        let mut alone = Alone::default();
        alone.learn(vec![(CT, EXPLICIT), (CT, IMPLICIT), (CT, RLE), (CT, JPEG), (MR, EXPLICIT), (MR, JPEG)]);
        assert_eq!(
            offers(&mut alone, &[(0, CT), (3, CT), (3, MR)]),
            [
                vec![(CT, JPEG), (MR, JPEG)],
                vec![(CT, RLE), (MR, EXPLICIT)],
                vec![(CT, EXPLICIT)],
                vec![(CT, IMPLICIT)],
            ]
        );
        assert_eq!(offers(&mut alone, &[(0, CT)]).len(), 0, "each is tried once");
        alone.start_over();
        assert_eq!(offers(&mut alone, &[(0, CT)]).len(), 4);
    }

    #[test]
    fn passes_that_bring_nothing_come_to_an_end_also_when_other_instances_have_failed_since() {
        let mut alone = Alone::default();
        let others = (0..40).map(|number| Uid::new(format!("1.2.840.10008.1.2.4.{}", 50 + number)).unwrap());
        alone.learn(others.map(|syntax| (CT, syntax)).collect());
        let failed = [(0, Some(CT))].into();
        let mut passes = 0;
        while !alone.rounds(&failed).is_empty() {
            passes += 1;
            // The third brings something.
            alone.brought(passes == 3);
        }
        assert_eq!(passes, 3 + MAX_BARREN);
        alone.start_over();
        assert_eq!(alone.rounds(&failed), []);
    }

    #[test]
    fn a_class_with_one_accepted_syntax_was_alone_before() {
        let mut alone = Alone::default();
        alone.learn(vec![(CT, EXPLICIT)]);
        assert_eq!(offers(&mut alone, &[(0, CT), (0, MR)]).len(), 0);
    }

    #[test]
    fn a_round_asks_for_the_classes_that_failed_and_no_others() {
        let mut alone = Alone::default();
        alone.learn(vec![(CT, EXPLICIT), (CT, JPEG), (MR, EXPLICIT), (MR, JPEG)]);
        let rounds = alone.rounds(&[(2, Some(CT)), (5, Some(CT)), (5, Some(MR))].into());
        let parts: Vec<(usize, usize)> =
            rounds[0].parts.iter().map(|part| (part.study, part.classes.as_ref().unwrap().len())).collect();
        assert_eq!(parts, [(2, 1), (5, 2)]);
    }

    #[test]
    fn an_instance_whose_class_nobody_tells_is_asked_for_in_all_that_were_accepted() {
        let mut alone = Alone::default();
        alone.learn(vec![(CT, EXPLICIT), (CT, JPEG), (MR, EXPLICIT), (MR, JPEG)]);
        let rounds = alone.rounds(&[(2, None), (2, Some(CT)), (5, Some(MR))].into());
        assert_eq!(rounds[0].contexts, [(CT, JPEG), (MR, JPEG)]);
        assert_eq!(rounds[0].parts[0], Part { study: 2, classes: None });
        assert_eq!(rounds[0].parts[1], Part { study: 5, classes: Some([MR].into()) });
    }
}
