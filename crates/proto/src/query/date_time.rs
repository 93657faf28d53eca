//! Combined date-time matching, PS3.4 C.2.2.2.5: Study Date `20240101-20240103` and Study Time `1000-1800` mean from
//! the first at ten until the third at six, not ten to six on three days.

use super::range::{Range, normalise};
use super::{Matching, MatchingKey};
use crate::dataset::{Tag, VR};

/// Dates and the times that belong to them.
const PAIRS: [(Tag, Tag); 9] = [
    (Tag(0x0008, 0x0012), Tag(0x0008, 0x0013)), // Instance Creation
    (Tag(0x0008, 0x0020), Tag(0x0008, 0x0030)), // Study
    (Tag(0x0008, 0x0021), Tag(0x0008, 0x0031)), // Series
    (Tag(0x0008, 0x0022), Tag(0x0008, 0x0032)), // Acquisition
    (Tag(0x0008, 0x0023), Tag(0x0008, 0x0033)), // Content
    (Tag(0x0040, 0x0002), Tag(0x0040, 0x0003)), // Scheduled Procedure Step Start
    (Tag(0x0040, 0x0004), Tag(0x0040, 0x0005)), // Scheduled Procedure Step End
    (Tag(0x0040, 0x0244), Tag(0x0040, 0x0245)), // Performed Procedure Step Start
    (Tag(0x0040, 0x0250), Tag(0x0040, 0x0251)), // Performed Procedure Step End
];

/// Makes one of each date and its time that both ask for a range of the same form: closed, or open at the same end.
/// Others mean what each means alone, and so they do where one is a single value.
pub(super) fn combine(keys: &mut [MatchingKey]) {
    for (date, time) in PAIRS {
        let position = |tag: Tag| keys.iter().position(|key| key.tag() == tag);
        let (Some(of_date), Some(of_time)) = (position(date), position(time)) else { continue };
        let (Some(dates), Some(times)) = (range_of(&keys[of_date]), range_of(&keys[of_time])) else {
            continue;
        };
        if (dates.from.is_some(), dates.to.is_some()) != (times.from.is_some(), times.to.is_some()) {
            continue;
        }
        let join = |date: Option<String>, time: Option<String>| Some(date? + &time?);
        let range = Range { from: join(dates.from, times.from), to: join(dates.to, times.to) };
        keys[of_date].matching = Matching::DateTime { time, range };
        keys[of_time].matching = Matching::Universal;
    }
}

fn range_of(key: &MatchingKey) -> Option<Range> {
    match &key.matching {
        Matching::Range(range) if range.from != range.to => Some(range.clone()),
        _ => None,
    }
}

/// The moment of a date and a time; none when one of them is missing.
pub(super) fn moment(dates: &[String], times: &[String]) -> Option<String> {
    Some(normalise(VR::DA, dates.first()?)? + &normalise(VR::TM, times.first()?)?)
}
