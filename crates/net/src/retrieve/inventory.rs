//! The inventory: what C-FIND told about all that is to be fetched, down to every SOP Instance UID.

use dicomet_proto::Uid;

/// What C-FIND told about all that is to be fetched.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inventory {
    /// The studies.
    pub studies: Vec<Study>,
    /// Studies that match but have no usable Study Instance UID, so that nobody can ask for them.
    pub nameless: u64,
    /// Studies that had to be looked into only because a series or an instance was named without its study.
    pub walked: u64,
    /// Why there may be studies that match beyond these, if there may.
    pub cut: Option<String>,
    /// Whether the studies were found by ranges of their dates, so that one without a date may be missing.
    pub by_dates: bool,
}

/// A study in the inventory.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// Study Instance UID.
    pub uid: Uid,
    /// Patient ID, which Patient Root requests need.
    pub patient_id: Option<String>,
    /// SOP Classes in Study (0008,0062).
    pub sop_classes: Vec<Uid>,
    /// The modalities: of its series, or Modalities in Study (0008,0061).
    pub modalities: Vec<String>,
    /// Number of Study Related Instances (0020,1208).
    pub counted: Option<u64>,
    /// Whether all of it is wanted: no key narrows it.
    pub is_whole: bool,
    /// Whether IMAGE level answers named the instances of every series.
    pub is_named: bool,
    /// The series.
    pub series: Vec<Series>,
}

impl Study {
    /// The study without its series: what a request needs of it.
    pub(super) fn head(&self) -> Study {
        Study {
            uid: self.uid.clone(),
            patient_id: self.patient_id.clone(),
            sop_classes: Vec::new(),
            modalities: Vec::new(),
            counted: self.counted,
            is_whole: self.is_whole,
            is_named: self.is_named,
            series: Vec::new(),
        }
    }
}

/// A series in the inventory.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Series Instance UID.
    pub uid: Uid,
    /// Whether all of it is wanted.
    pub is_whole: bool,
    /// Number of Series Related Instances (0020,1209).
    pub counted: Option<u64>,
    /// The instances.
    pub instances: Vec<Instance>,
}

/// An instance in the inventory.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// SOP Instance UID.
    pub uid: Uid,
    /// SOP Class UID, where the peer told it.
    pub sop_class: Option<Uid>,
}

#[cfg(test)]
impl Study {
    /// A study for a test: all of it is wanted, and its instances are named.
    pub(super) fn named(uid: Uid, series: Vec<Series>) -> Study {
        Study {
            uid,
            patient_id: None,
            sop_classes: Vec::new(),
            modalities: Vec::new(),
            counted: None,
            is_whole: true,
            is_named: true,
            series,
        }
    }
}

#[cfg(test)]
impl Series {
    /// A series for a test: all of it is wanted.
    pub(super) fn named(uid: Uid, instances: Vec<Instance>) -> Series {
        Series { uid, is_whole: true, counted: None, instances }
    }
}
