//! What SOP Class Extended Negotiation says about matching: PS3.4 C.5.1.1, Tables C.5-1 and C.5-2.
//!
//! ```text
//! byte 1: relational queries       byte 4: timezone query adjustment
//! byte 2: combined date-time       byte 6: empty value
//! byte 3: fuzzy names              byte 7: multiple value
//! ```

const DATE_TIME: usize = 1;
const EMPTY_VALUE: usize = 5;
const MULTIPLE_VALUE: usize = 6;

/// Kinds of matching that hold only where they were negotiated; by default none was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExtendedMatching {
    /// A range of dates and one of times are one range of moments (PS3.4 C.2.2.2.5).
    pub date_time: bool,
    /// Names match by their words and how these sound (PS3.4 C.2.2.2.1).
    pub fuzzy_names: bool,
    /// A key of two quotation marks is for what has no value (PS3.4 C.2.2.2.7).
    pub empty_value: bool,
    /// Of several values in a key each has to match, where the attribute may have several (PS3.4 C.2.2.2.8).
    pub multiple_value: bool,
}

impl ExtendedMatching {
    /// The index, from 0, of the byte about fuzzy names: the last of those that PS3.4 K.5 has for worklists, too.
    pub const FUZZY_NAMES: usize = 2;

    /// What the service-class-application-information of an A-ASSOCIATE-AC says.
    pub fn of_information(information: &[u8]) -> ExtendedMatching {
        let says = |index: usize| information.get(index) == Some(&1);
        ExtendedMatching {
            date_time: says(DATE_TIME),
            fuzzy_names: says(Self::FUZZY_NAMES),
            empty_value: says(EMPTY_VALUE),
            multiple_value: says(MULTIPLE_VALUE),
        }
    }

    /// Whether the byte of this index, from 0, is one of ours.
    pub fn is_known(index: usize) -> bool {
        [DATE_TIME, Self::FUZZY_NAMES, EMPTY_VALUE, MULTIPLE_VALUE].contains(&index)
    }
}
