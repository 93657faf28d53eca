//! What was offered to the peer so far, and what each class is offered next. Pure.
//!
//! What the peer has refused in an earlier run is left out at first, so that others have room: a transfer syntax
//! altogether, a SOP class but for one context, by which it is seen whether the peer takes it now.

use std::collections::{BTreeSet, HashMap, HashSet};

use dicomet_proto::Uid;

use crate::retrieve::likely::{self, syntaxes_of};

/// How many transfer syntaxes each class of an association is to have at least, if there are so many: all that are
/// met in archives. With fewer, an instance comes converted, or not at all (Orthanc 1.10 inflates what is stored
/// deflated when that context is missing).
const MIN_SYNTAXES: usize = likely::COMMON_SYNTAXES;

/// What was proposed before, by class: a class whose instances are still missing gets what it did not have yet.
#[derive(Debug, Default)]
pub struct Offered {
    by_class: HashMap<Uid, HashSet<Uid>>,
    /// Syntaxes that are left out for now.
    left_out: HashSet<Uid>,
    /// Classes that are offered in one syntax for now.
    probed: HashSet<Uid>,
}

impl Offered {
    /// Remembers the contexts of a round.
    pub fn add(&mut self, contexts: &[(Uid, Uid)]) {
        for (class, syntax) in contexts {
            self.by_class.entry(class.clone()).or_default().insert(syntax.clone());
        }
    }

    /// Leaves out transfer syntaxes that the peer has refused in an earlier run.
    pub fn leave_out(&mut self, syntaxes: impl Iterator<Item = Uid>) {
        self.left_out.extend(syntaxes);
    }

    /// Offers classes that the peer has refused in an earlier run in one context each.
    pub fn probe(&mut self, classes: impl Iterator<Item = Uid>) {
        self.probed.extend(classes);
    }

    /// The peer has accepted these contexts: their classes are offered in all that they have.
    pub fn was_accepted(&mut self, contexts: &[(Uid, Uid)]) {
        for (class, _) in contexts {
            self.probed.remove(class);
        }
    }

    /// The same with nothing offered yet.
    pub fn anew(&self) -> Offered {
        Offered { by_class: HashMap::new(), left_out: self.left_out.clone(), probed: self.probed.clone() }
    }

    /// Leaves out none any more; answers whether there were any.
    pub fn leave_out_none(&mut self) -> bool {
        let syntaxes = std::mem::take(&mut self.left_out);
        let classes = std::mem::take(&mut self.probed);
        !syntaxes.is_empty() || !classes.is_empty()
    }

    /// Whether a class is offered in one context for now.
    pub(super) fn is_probed(&self, class: &Uid) -> bool {
        self.probed.contains(class)
    }

    /// How many contexts a class needs at least.
    pub(super) fn least(&self, class: &Uid, narrowed: Option<&[Uid]>) -> usize {
        self.syntaxes_of(class, narrowed).len().min(MIN_SYNTAXES)
    }

    /// Whether a class was proposed in so many syntaxes that one can say the peer refuses it, none having been accepted.
    /// A probe says nothing new. Syntaxes that only the user asks for say nothing: the class may come in others.
    pub(in crate::retrieve) fn is_enough(&self, class: &Uid, syntaxes: &BTreeSet<&Uid>) -> bool {
        let usual = self.syntaxes_of(class, None);
        let proposed = usual.iter().filter(|syntax| syntaxes.contains(syntax)).count();
        !self.is_probed(class) && proposed >= self.least(class, None)
    }

    /// The syntaxes to offer a class in. All of them, where it has no others than those that are left out; for a probe
    /// the likeliest.
    fn syntaxes_of(&self, class: &Uid, narrowed: Option<&[Uid]>) -> Vec<Uid> {
        let mut syntaxes = syntaxes_of(class, narrowed);
        if narrowed.is_none() && syntaxes.iter().any(|syntax| !self.left_out.contains(syntax)) {
            syntaxes.retain(|syntax| !self.left_out.contains(syntax));
        }
        if self.is_probed(class) {
            syntaxes.truncate(1);
        }
        syntaxes
    }

    /// Whether the class was offered in any syntax.
    pub(super) fn has(&self, class: &Uid) -> bool {
        self.by_class.contains_key(class)
    }

    /// The syntaxes of a class, those that were not offered yet first.
    pub(super) fn order(&self, class: &Uid, narrowed: Option<&[Uid]>) -> Vec<Uid> {
        let mut syntaxes = self.syntaxes_of(class, narrowed);
        if let Some(offered) = self.by_class.get(class) {
            syntaxes.sort_by_key(|syntax| offered.contains(syntax));
        }
        syntaxes
    }

    /// Whether the class has no syntaxes that were not offered yet.
    pub(super) fn is_exhausted(&self, class: &Uid, narrowed: Option<&[Uid]>) -> bool {
        let offered = self.by_class.get(class);
        self.syntaxes_of(class, narrowed)
            .iter()
            .all(|syntax| offered.is_some_and(|offered| offered.contains(syntax)))
    }
}
