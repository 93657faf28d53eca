//! Information models: which levels they have, and their SOP classes. PS3.4 C.6 and K.6, UIDs of PS3.6 Annex A.

use super::Level;
use crate::Uid;

/// The information models of PS3.4 C.6 and K.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Model {
    /// Patient Root.
    PatientRoot,
    /// Study Root.
    StudyRoot,
    /// Patient/Study Only (retired).
    PatientStudyOnly,
    /// Modality Worklist.
    Worklist,
}

/// What a SOP class of an information model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// C-FIND.
    Find,
    /// C-MOVE.
    Move,
    /// C-GET.
    Get,
}

/// A row: the model, and its FIND, MOVE and GET SOP classes.
type Row = (Model, Uid, Option<Uid>, Option<Uid>);

static SOP_CLASSES: [Row; 4] = [
    (
        Model::PatientRoot,
        Uid::from_static("1.2.840.10008.5.1.4.1.2.1.1"),
        Some(Uid::from_static("1.2.840.10008.5.1.4.1.2.1.2")),
        Some(Uid::from_static("1.2.840.10008.5.1.4.1.2.1.3")),
    ),
    (
        Model::StudyRoot,
        Uid::from_static("1.2.840.10008.5.1.4.1.2.2.1"),
        Some(Uid::from_static("1.2.840.10008.5.1.4.1.2.2.2")),
        Some(Uid::from_static("1.2.840.10008.5.1.4.1.2.2.3")),
    ),
    (
        Model::PatientStudyOnly,
        Uid::from_static("1.2.840.10008.5.1.4.1.2.3.1"),
        Some(Uid::from_static("1.2.840.10008.5.1.4.1.2.3.2")),
        Some(Uid::from_static("1.2.840.10008.5.1.4.1.2.3.3")),
    ),
    (Model::Worklist, Uid::from_static("1.2.840.10008.5.1.4.31"), None, None),
];

impl Model {
    /// The SOP class of C-FIND.
    pub fn find_sop_class(self) -> Uid {
        self.row().1.clone()
    }

    /// The SOP class of C-MOVE; a worklist has none.
    pub fn move_sop_class(self) -> Option<Uid> {
        self.row().2.clone()
    }

    /// The SOP class of C-GET; a worklist has none.
    pub fn get_sop_class(self) -> Option<Uid> {
        self.row().3.clone()
    }

    /// The model and operation that a SOP class stands for.
    pub fn of_sop_class(sop_class: &Uid) -> Option<(Model, Operation)> {
        SOP_CLASSES.iter().find_map(|(model, find, move_, get)| {
            let operation = if sop_class == find {
                Operation::Find
            } else if Some(sop_class) == move_.as_ref() {
                Operation::Move
            } else if Some(sop_class) == get.as_ref() {
                Operation::Get
            } else {
                return None;
            };
            Some((*model, operation))
        })
    }

    /// The levels from the root down; a worklist has none.
    pub fn levels(self) -> &'static [Level] {
        match self {
            Model::PatientRoot => &Level::ALL,
            Model::StudyRoot => &Level::ALL[1..],
            Model::PatientStudyOnly => &Level::ALL[..2],
            Model::Worklist => &[],
        }
    }

    fn row(self) -> &'static Row {
        // The table stands in the order of the variants.
        &SOP_CLASSES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sop_class_leads_back_to_its_model() {
        for model in [Model::PatientRoot, Model::StudyRoot, Model::PatientStudyOnly, Model::Worklist] {
            assert_eq!(Model::of_sop_class(&model.find_sop_class()), Some((model, Operation::Find)));
            for (uid, operation) in
                [(model.move_sop_class(), Operation::Move), (model.get_sop_class(), Operation::Get)]
            {
                assert_eq!(uid.is_none(), model == Model::Worklist);
                if let Some(uid) = uid {
                    assert_eq!(Model::of_sop_class(&uid), Some((model, operation)));
                }
            }
        }
        assert_eq!(Model::of_sop_class(&Uid::from_static("1.2.840.10008.1.1")), None);
    }
}
