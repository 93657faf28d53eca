//! What to propose to a move destination: a presentation context for every SOP class and transfer syntax that is to
//! be sent, in as many associations as that takes. Pure.
//!
//! An acceptor picks one transfer syntax a context, so each has a context of its own; with the one it is stored in
//! come those it can be converted to. All of a class go over the same association.

use std::collections::HashMap;

use dicomet_proto::Uid;

/// Presentation contexts that an association can have (PS3.8 9.3.2.2: odd IDs from 1 to 255).
pub const MAX_CONTEXTS: usize = 128;

/// The associations of a C-MOVE, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// SOP class and transfer syntax of each context, at most [`MAX_CONTEXTS`] for an association.
    pub associations: Vec<Vec<(Uid, Uid)>>,
    place_of: HashMap<Uid, usize>,
}

impl Plan {
    /// Plans for instances of these SOP classes, stored in these transfer syntaxes; `alternatives` are the ones that
    /// something stored in a syntax can be converted to.
    pub fn new<'u>(
        instances: impl IntoIterator<Item = (&'u Uid, &'u Uid)>,
        alternatives: impl Fn(&Uid) -> Vec<Uid>,
    ) -> Plan {
        let mut classes: Vec<&Uid> = Vec::new();
        let mut syntaxes_of: HashMap<&Uid, Vec<Uid>> = HashMap::new();
        for (class, syntax) in instances {
            let syntaxes = syntaxes_of.entry(class).or_insert_with(|| {
                classes.push(class);
                Vec::new()
            });
            if !syntaxes.contains(syntax) {
                syntaxes.push(syntax.clone());
            }
        }
        let mut plan = Plan::default();
        for class in classes {
            let mut syntaxes = syntaxes_of.remove(class).unwrap_or_default();
            for alternative in syntaxes.iter().flat_map(&alternatives).collect::<Vec<_>>() {
                if !syntaxes.contains(&alternative) {
                    syntaxes.push(alternative);
                }
            }
            // There are some sixty transfer syntaxes; an archive with more private ones than fit loses the rarest.
            syntaxes.truncate(MAX_CONTEXTS);
            plan.add(class, syntaxes);
        }
        plan
    }

    fn add(&mut self, class: &Uid, syntaxes: Vec<Uid>) {
        let has_room = |contexts: &Vec<_>| contexts.len() + syntaxes.len() <= MAX_CONTEXTS;
        if !self.associations.last().is_some_and(has_room) {
            self.associations.push(Vec::new());
        }
        let place = self.associations.len() - 1;
        self.associations[place].extend(syntaxes.into_iter().map(|syntax| (class.clone(), syntax)));
        self.place_of.insert(class.clone(), place);
    }

    /// Over which of the associations the instances of a class go.
    pub fn place(&self, sop_class: &Uid) -> Option<usize> {
        self.place_of.get(sop_class).copied()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use dicomet_proto::dataset::dictionary::uids;

    use super::*;

    fn uid(text: &str) -> Uid {
        Uid::new(text).unwrap()
    }

    #[test]
    fn each_syntax_of_a_class_has_a_context_and_so_has_what_it_converts_to() {
        let (ct, mr) = (uids::CT_IMAGE_STORAGE, uids::MR_IMAGE_STORAGE);
        let (explicit, implicit) = (uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN);
        let jpeg = uid("1.2.840.10008.1.2.4.70");
        let instances = [(&ct, &explicit), (&mr, &jpeg), (&ct, &jpeg), (&ct, &explicit)];
        let other = |syntax: &Uid| if *syntax == explicit { vec![implicit.clone()] } else { Vec::new() };
        let plan = Plan::new(instances, other);
        let expected = [(&ct, &explicit), (&ct, &jpeg), (&ct, &implicit), (&mr, &jpeg)]
            .map(|(a, b)| (a.clone(), b.clone()));
        assert_eq!(plan.associations, [expected]);
    }

    #[test]
    fn two_hundred_classes_take_two_associations_and_each_class_has_its_place() {
        let classes: Vec<Uid> = (0..200).map(|number| uid(&format!("2.999.{number}"))).collect();
        let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
        let plan = Plan::new(classes.iter().map(|class| (class, &explicit)), |_| Vec::new());
        let lengths: Vec<usize> = plan.associations.iter().map(Vec::len).collect();
        assert_eq!(lengths, [128, 72]);
        assert_eq!((plan.place(&classes[127]), plan.place(&classes[128])), (Some(0), Some(1)));
        assert_eq!(plan.place(&uid("1.2")), None);
    }

    #[test]
    fn nothing_to_send_needs_no_association() {
        assert_eq!(Plan::new([], |_| Vec::new()).associations.len(), 0);
    }
}
