//! Query/Retrieve Level (0008,0052), PS3.4 C.3 and C.6: what one answer stands for.

use std::fmt;
use std::str::FromStr;

use crate::dataset::Tag;

/// Query/Retrieve Level (0008,0052).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// `PATIENT`.
    Patient,
    /// `STUDY`.
    Study,
    /// `SERIES`.
    Series,
    /// `IMAGE`: composite object instances.
    Image,
}

impl Level {
    /// The levels from the top down.
    pub const ALL: [Level; 4] = [Level::Patient, Level::Study, Level::Series, Level::Image];

    /// The value on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Patient => "PATIENT",
            Level::Study => "STUDY",
            Level::Series => "SERIES",
            Level::Image => "IMAGE",
        }
    }

    /// The unique key of the level, PS3.4 C.6.1.1 and C.6.2.1: Patient ID, or the UID of study, series, instance.
    pub fn unique_key(self) -> Tag {
        match self {
            Level::Patient => Tag(0x0010, 0x0020),
            Level::Study => Tag(0x0020, 0x000D),
            Level::Series => Tag(0x0020, 0x000E),
            Level::Image => Tag(0x0008, 0x0018),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the level is one of PATIENT, STUDY, SERIES, IMAGE")]
pub struct UnknownLevel;

impl FromStr for Level {
    type Err = UnknownLevel;

    /// Reads a level; upper and lower case are the same, as people and some peers write it.
    fn from_str(text: &str) -> Result<Level, UnknownLevel> {
        let text = text.trim_matches([' ', '\0']);
        Level::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(text)).ok_or(UnknownLevel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_they_are_written() {
        for level in Level::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert_eq!("study ".parse(), Ok(Level::Study));
        assert_eq!("INSTANCE".parse::<Level>(), Err(UnknownLevel));
        assert_eq!("".parse::<Level>(), Err(UnknownLevel));
    }
}
