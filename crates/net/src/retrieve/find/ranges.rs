//! A query that a peer does not answer in full, by narrower ranges of Study Date, and of Study Time within a day. Pure.
//!
//! Where a range is cut in two is seen from the dates of the answers that came, so that each half has about as many
//! answers as the other: no calendar is walked through.

use chrono::{Days, NaiveDate};
use dicomet_proto::dataset::{DataSet, Tag};

const STUDY_DATE: Tag = Tag(0x0008, 0x0020);
const STUDY_TIME: Tag = Tag(0x0008, 0x0030);

const LAST_SECOND: u32 = 24 * 3600 - 1;

/// A range of days, open where there is no end, or of seconds within one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    seconds: Option<(u32, u32)>,
    /// Whether the user asks for some time of the day: then a day is the narrowest.
    is_time_asked: bool,
}

impl Range {
    /// What the keys ask for; `None` where they ask for what is no range.
    pub(super) fn of(keys: &DataSet) -> Option<Range> {
        let is_time_asked = keys.text(STUDY_TIME).is_some_and(|time| time != "*");
        let range = |from, to| Range { from, to, seconds: None, is_time_asked };
        let text = keys.text(STUDY_DATE).unwrap_or_default();
        let text = text.trim();
        if text.is_empty() || text == "*" {
            return Some(range(None, None));
        }
        let end = |text: &str| match text.trim() {
            "" => Some(None),
            text => date(text).map(Some),
        };
        match text.split_once('-') {
            Some((from, to)) => Some(range(end(from)?, end(to)?)),
            None => date(text).map(|day| range(Some(day), Some(day))),
        }
    }

    /// Whether it is all there is.
    pub(super) fn is_all(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// The date of an answer; `None` where it has none.
    pub(super) fn date_of(answer: &DataSet) -> Option<NaiveDate> {
        answer.text(STUDY_DATE).and_then(|text| date(text.trim()))
    }

    fn has(&self, date: NaiveDate) -> bool {
        self.from.is_none_or(|from| from <= date) && self.to.is_none_or(|to| date <= to)
    }

    /// Two ranges that are this one, by the dates of answers that came for it. `None` where it cannot be narrower, or
    /// where the peer does not keep to it.
    pub(super) fn halves(&self, dates: &mut [NaiveDate]) -> Option<[Range; 2]> {
        if !dates.iter().all(|date| self.has(*date)) {
            return None;
        }
        if self.from.is_some() && self.from == self.to {
            return self.halves_of_the_day();
        }
        dates.sort_unstable();
        let middle = *dates.get(dates.len() / 2)?;
        let last = match self.to {
            Some(to) if middle >= to => to.checked_sub_days(Days::new(1))?,
            _ => middle,
        };
        let next = last.checked_add_days(Days::new(1))?;
        Some([Range { to: Some(last), ..*self }, Range { from: Some(next), ..*self }])
    }

    fn halves_of_the_day(&self) -> Option<[Range; 2]> {
        let (from, to) = self.seconds.unwrap_or((0, LAST_SECOND));
        if self.is_time_asked || from >= to {
            return None;
        }
        let middle = from + (to - from) / 2;
        let half = |from, to| Range { seconds: Some((from, to)), ..*self };
        Some([half(from, middle), half(middle + 1, to)])
    }

    /// Asks for it.
    pub(super) fn ask(&self, keys: &mut DataSet) {
        let day =
            |date: Option<NaiveDate>| date.map(|date| date.format("%Y%m%d").to_string()).unwrap_or_default();
        let days = match (self.from, self.to) {
            (Some(from), Some(to)) if from == to => day(Some(from)),
            (from, to) => format!("{}-{}", day(from), day(to)),
        };
        keys.set_text(STUDY_DATE, &days);
        if let Some((from, to)) = self.seconds {
            keys.set_text(STUDY_TIME, &format!("{}-{}", time(from), time(to)));
        }
    }
}

fn date(text: &str) -> Option<NaiveDate> {
    // ACR-NEMA wrote points between.
    let plain = text.replace('.', "");
    (plain.len() == 8).then(|| NaiveDate::parse_from_str(&plain, "%Y%m%d").ok()).flatten()
}

/// A time of the day, with all fractions of its last second.
fn time(second: u32) -> String {
    format!("{:02}{:02}{:02}", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn keys(study_date: &str) -> DataSet {
        let mut keys = DataSet::new();
        keys.set_text(STUDY_DATE, study_date);
        keys
    }

    fn asked(range: &Range) -> (String, Option<String>) {
        let mut keys = DataSet::new();
        range.ask(&mut keys);
        (keys.text(STUDY_DATE).unwrap(), keys.text(STUDY_TIME))
    }

    fn halves(range: &Range, dates: &[&str]) -> Option<[String; 2]> {
        let mut dates: Vec<NaiveDate> = dates.iter().map(|text| date(text).unwrap()).collect();
        Some(range.halves(&mut dates)?.map(|half| asked(&half).0))
    }

    #[test]
    fn a_range_is_cut_where_half_of_the_answers_are() {
        let all = Range::of(&DataSet::new()).unwrap();
        assert!(all.is_all());
        let cut = halves(&all, &["20200301", "20190101", "20210101"]).unwrap();
        assert_eq!(cut, ["-20200301", "20200302-"]);
        let year = Range::of(&keys("20200101-20201231")).unwrap();
        assert_eq!(halves(&year, &["20200229"]).unwrap(), ["20200101-20200229", "20200301-20201231"]);
        assert_eq!(halves(&year, &["20201231"]).unwrap(), ["20200101-20201230", "20201231"]);
        let since = Range::of(&keys("20200101-")).unwrap();
        assert_eq!(halves(&since, &["20200101"]).unwrap(), ["20200101", "20200102-"]);
    }

    #[test]
    fn a_day_is_cut_by_the_time_down_to_a_second() {
        let day = Range::of(&keys("20200101")).unwrap();
        let [mut half, later] = day.halves(&mut []).unwrap();
        assert_eq!(asked(&half).1.unwrap(), "000000-115959");
        assert_eq!(asked(&later).1.unwrap(), "120000-235959");
        let mut cuts = 1;
        while let Some([first, _]) = half.halves(&mut []) {
            (half, cuts) = (first, cuts + 1);
        }
        assert_eq!((asked(&half).1.unwrap(), cuts), ("000000-000000".to_owned(), 17));
        let mut morning = keys("20200101");
        morning.set_text(STUDY_TIME, "0600-1200");
        assert_eq!(Range::of(&morning).unwrap().halves(&mut []), None);
    }

    #[test]
    fn what_is_no_range_or_not_kept_to_by_the_peer_is_not_cut() {
        for text in ["20200101\\20200102", "yesterday", "2020*"] {
            assert_eq!(Range::of(&keys(text)), None, "{text}");
        }
        let year = Range::of(&keys("20200101-20201231")).unwrap();
        assert_eq!(halves(&year, &["20200301", "20190101"]), None);
        assert_eq!(halves(&year, &[]), None, "answers without dates say nothing");
    }
}
