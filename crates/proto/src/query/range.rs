//! Dates and times as keys: single values and ranges, PS3.4 C.2.2.2.1 and C.2.2.2.5, PS3.5 6.2.
//!
//! A value of less than full precision stands for its first moment (`1030` equals `103000`), but as the end of a
//! range for its last: `-1030` goes to 10:30:59.999999. Bounds are texts of fixed width, so that comparing them as
//! texts compares them as times; an index can do that too.

use crate::dataset::VR;

/// From when to when, both included; an open end is `None`. A single value is a range of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The first moment, in the form that [`normalise`] gives.
    pub from: Option<String>,
    /// The last moment.
    pub to: Option<String>,
}

impl Range {
    /// Whether a moment lies within, by its form of [`normalise`].
    pub fn contains(&self, moment: &str) -> bool {
        self.from.as_deref().is_none_or(|from| from <= moment)
            && self.to.as_deref().is_none_or(|to| moment <= to)
    }
}

/// What a value of DA, TM or DT must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRange {
    /// Of DA.
    #[error("a date is YYYYMMDD, a range YYYYMMDD-YYYYMMDD, YYYYMMDD- or -YYYYMMDD")]
    Date,
    /// Of TM.
    #[error("a time is HHMMSS.FFFFFF or a part of it from the left, a range two of them with '-' between")]
    Time,
    /// Of DT.
    #[error(
        "a date time is YYYYMMDDHHMMSS.FFFFFF&ZZXX or a part of it from the left, a range two of them with '-' between"
    )]
    DateTime,
}

/// Reads a key value of VR DA, TM or DT (any other VR is read as DT).
///
/// # Errors
/// [`InvalidRange`] says what the value must look like.
pub fn parse_range(vr: VR, text: &str) -> Result<Range, InvalidRange> {
    let text = text.trim_matches([' ', '\0']);
    let range = match vr {
        VR::DA => split_range(text, date, |_| false),
        VR::TM => split_range(text, time, |_| false),
        _ => split_range(text, date_time, is_offset),
    };
    range.ok_or(match vr {
        VR::DA => InvalidRange::Date,
        VR::TM => InvalidRange::Time,
        _ => InvalidRange::DateTime,
    })
}

/// The moment of a stored value of VR DA, TM or DT in comparable form: `YYYYMMDD`, `HHMMSS.FFFFFF`, or both
/// joined, a DT with an offset from UTC brought to UTC. A value of less precision counts as its first moment.
/// `None` for what is no such value.
pub fn normalise(vr: VR, text: &str) -> Option<String> {
    let text = text.trim_matches([' ', '\0']);
    let moments = match vr {
        VR::DA => date(text),
        VR::TM => time(text),
        VR::DT => date_time(text),
        _ => None,
    };
    moments.map(|(first, _)| first)
}

/// The first and the last moment that a value covers.
type Moments = (String, String);

/// Tries the one hyphen, or each of them, that can divide the range. A hyphen that is the sign of an offset
/// from UTC divides nothing.
fn split_range(text: &str, read: fn(&str) -> Option<Moments>, is_offset: fn(&str) -> bool) -> Option<Range> {
    let single = |text| read(text).map(|(moment, _)| Range { from: Some(moment.clone()), to: Some(moment) });
    let hyphens: Vec<usize> = text.match_indices('-').map(|(at, _)| at).collect();
    // More than a range with two offsets can have.
    if hyphens.is_empty() || hyphens.len() > 3 {
        return single(text);
    }
    if hyphens.len() == 1 && hyphens[0] > 0 && is_offset(&text[hyphens[0]..]) {
        return single(text);
    }
    hyphens.into_iter().find_map(|at| {
        // PS3.4 C.2.2.2.5 prints a range with spaces around its hyphen, and some send it so.
        let (from, to) = (text[..at].trim_end_matches(' '), text[at + 1..].trim_start_matches(' '));
        match (from.is_empty(), to.is_empty()) {
            (true, true) => None,
            (true, false) => read(to).map(|(_, last)| Range { from: None, to: Some(last) }),
            (false, true) => read(from).map(|(first, _)| Range { from: Some(first), to: None }),
            (false, false) => {
                let ((first, _), (_, last)) = (read(from)?, read(to)?);
                Some(Range { from: Some(first), to: Some(last) })
            }
        }
    })
}

/// `YYYYMMDD`, or `YYYY.MM.DD` of ACR-NEMA.
fn date(text: &str) -> Option<Moments> {
    let digits = match text.as_bytes() {
        [_, _, _, _, b'.', _, _, b'.', _, _] => text.replace('.', ""),
        _ => text.to_owned(),
    };
    if digits.len() != 8 || !is_digits(&digits) {
        return None;
    }
    let (month, day) = (number(&digits, 4), number(&digits, 6));
    let valid = (1..=12).contains(&month) && (1..=31).contains(&day);
    valid.then(|| (digits.clone(), digits))
}

/// `HH`, `HHMM`, `HHMMSS`, `HHMMSS.F` to `.FFFFFF`, or with colons as in ACR-NEMA.
fn time(text: &str) -> Option<Moments> {
    let digits = match text.as_bytes() {
        [_, _, b':', _, _] | [_, _, b':', _, _, b':', _, _, ..] => text.replace(':', ""),
        _ => text.to_owned(),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits.as_str(), None),
    };
    if !is_digits(whole) || !matches!(whole.len(), 2 | 4 | 6) || (fraction.is_some() && whole.len() != 6) {
        return None;
    }
    let fraction = fraction.unwrap_or("");
    if fraction.len() > 6 || !is_digits(fraction) || (digits.ends_with('.')) {
        return None;
    }
    let in_range = number(whole, 0) < 24
        && (whole.len() < 4 || number(whole, 2) < 60)
        // 60 is a leap second.
        && (whole.len() < 6 || number(whole, 4) <= 60);
    in_range.then(|| {
        let first = format!("{whole:0<6}.{fraction:0<6}");
        let last = format!("{}.{fraction:9<6}", complete(whole, "235959"));
        (first, last)
    })
}

/// `YYYY` to `YYYYMMDDHHMMSS.FFFFFF`, and an offset from UTC after it.
fn date_time(text: &str) -> Option<Moments> {
    let (local, offset) = split_offset(text)?;
    let digits = local.bytes().take_while(u8::is_ascii_digit).count();
    let (date_part, time_part) = local.split_at(digits.min(8));
    if !matches!(date_part.len(), 4 | 6 | 8) || (!time_part.is_empty() && date_part.len() < 8) {
        return None;
    }
    let (first_date, _) = date(&complete(date_part, "00000101"))?;
    let last_date = complete(date_part, "99991231");
    let (first_time, last_time) = match time_part {
        "" => ("000000.000000".to_owned(), "235959.999999".to_owned()),
        _ => time(time_part)?,
    };
    let moment = |date: &str, time: &str| to_utc(date, time, offset);
    Some((moment(&first_date, &first_time), moment(&last_date, &last_time)))
}

/// `&ZZXX` at the end, in minutes; no offset is none, the time is taken as it stands.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    let Some(sign) = text.find(['+', '-']) else {
        return Some((text, 0));
    };
    let (local, offset) = text.split_at(sign);
    if offset.len() != 5 || !is_digits(&offset[1..]) {
        return None;
    }
    let minutes = number(offset, 1) * 60 + number(offset, 3);
    Some((local, if offset.starts_with('-') { -minutes } else { minutes }))
}

/// Whether `-1200` and the like: a hyphen with the digits of an offset west of Greenwich.
fn is_offset(text: &str) -> bool {
    text.len() == 5
        && text.starts_with('-')
        && is_digits(&text[1..])
        && number(text, 1) <= 12
        && number(text, 3) < 60
}

/// Takes the offset away; without one, days that no month has stay as they are and still compare in order.
fn to_utc(date: &str, time: &str, offset_minutes: i64) -> String {
    if offset_minutes == 0 {
        return format!("{date}{time}");
    }
    let (year, month, day) = (number(date, 0) * 100 + number(date, 2), number(date, 4), number(date, 6));
    let minutes = number(time, 0) * 60 + number(time, 2) - offset_minutes;
    let (year, month, day) = civil_of_days(days_of_civil(year, month, day) + minutes.div_euclid(24 * 60));
    let minutes = minutes.rem_euclid(24 * 60);
    let seconds = &time[4..];
    format!("{:04}{month:02}{day:02}{:02}{:02}{seconds}", year.clamp(0, 9999), minutes / 60, minutes % 60)
}

/// Days since 1970-01-01 of the proleptic Gregorian calendar; years begin in March, so that the leap day is last.
fn days_of_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// The reverse of [`days_of_civil`].
fn civil_of_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = (shifted_month + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

/// The two digits at a place; the caller has seen that they are digits.
fn number(digits: &str, at: usize) -> i64 {
    digits.get(at..at + 2).and_then(|two| two.parse().ok()).unwrap_or(0)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What is missing at the end, from a text that is whole.
fn complete(part: &str, whole: &str) -> String {
    format!("{part}{}", whole.get(part.len()..).unwrap_or(""))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(vr: VR, text: &str) -> (Option<String>, Option<String>) {
        let range = parse_range(vr, text).unwrap();
        (range.from, range.to)
    }

    fn bounds(from: &str, to: &str) -> (Option<String>, Option<String>) {
        let bound = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (bound(from), bound(to))
    }

    #[test]
    fn dates_are_single_or_a_range_with_one_or_two_ends() {
        for (text, from, to) in [
            ("20240131", "20240131", "20240131"),
            ("2024.01.31", "20240131", "20240131"),
            ("20240101-20240131", "20240101", "20240131"),
            ("2024.01.01-2024.01.31", "20240101", "20240131"),
            ("20240101-", "20240101", ""),
            ("-20240131", "", "20240131"),
            ("20240131 ", "20240131", "20240131"),
            ("20240101 - 20240131", "20240101", "20240131"),
            ("20240101 -", "20240101", ""),
            ("- 20240131", "", "20240131"),
        ] {
            assert_eq!(range(VR::DA, text), bounds(from, to), "{text}");
        }
        for text in [
            "",
            "-",
            "2024",
            "202401",
            "20241301",
            "20240132",
            "2024-01-31",
            "2024013a",
            "202401 31",
            " - ",
            "20240101--20240131",
            "*",
            "２０２４０１３１",
        ] {
            assert_eq!(parse_range(VR::DA, text), Err(InvalidRange::Date), "{text}");
        }
    }

    #[test]
    fn times_stand_for_their_first_moment_and_as_an_end_for_their_last() {
        for (text, from, to) in [
            ("10", "100000.000000", "100000.000000"),
            ("1030", "103000.000000", "103000.000000"),
            ("103015.5", "103015.500000", "103015.500000"),
            ("103015.123456", "103015.123456", "103015.123456"),
            ("10:30:15", "103015.000000", "103015.000000"),
            ("103015.5-103015.5", "103015.500000", "103015.599999"),
            ("10-11", "100000.000000", "115959.999999"),
            ("1000-", "100000.000000", ""),
            ("-1030", "", "103059.999999"),
        ] {
            assert_eq!(range(VR::TM, text), bounds(from, to), "{text}");
        }
        for text in ["", "-", "1", "103", "24", "1060", "103015.", "103015.1234567", "10.5", "10:3", "a"] {
            assert_eq!(parse_range(VR::TM, text), Err(InvalidRange::Time), "{text}");
        }
    }

    #[test]
    fn date_times_know_offsets_from_hyphens() {
        for (text, from, to) in [
            ("2024", "20240101000000.000000", "20240101000000.000000"),
            ("20240131103015.25", "20240131103015.250000", "20240131103015.250000"),
            ("20240131103015+0100", "20240131093015.000000", "20240131093015.000000"),
            ("20240131233015-0100", "20240201003015.000000", "20240201003015.000000"),
            ("20240301003000+0100", "20240229233000.000000", "20240229233000.000000"),
            ("202402-202402", "20240201000000.000000", "20240231235959.999999"),
            ("2024013110-2024013110", "20240131100000.000000", "20240131105959.999999"),
            ("20230101-20230131", "20230101000000.000000", "20230131235959.999999"),
            ("2010-2012", "20100101000000.000000", "20121231235959.999999"),
            ("2010-", "20100101000000.000000", ""),
            ("-2012", "", "20121231235959.999999"),
            ("20240101-0500-20240102-0500", "20240101050000.000000", "20240103045959.999999"),
            ("20240101-0500-", "20240101050000.000000", ""),
            ("-20240101-0500", "", "20240102045959.999999"),
        ] {
            assert_eq!(range(VR::DT, text), bounds(from, to), "{text}");
        }
        for text in ["", "-", "20", "20241", "20241301", "2024+1", "2024010110+01000", "x"] {
            assert_eq!(parse_range(VR::DT, text), Err(InvalidRange::DateTime), "{text}");
        }
    }

    #[test]
    fn stored_values_compare_as_texts() {
        assert_eq!(normalise(VR::TM, "1030").unwrap(), "103000.000000");
        assert_eq!(normalise(VR::DA, "2024.01.31").unwrap(), "20240131");
        assert_eq!(normalise(VR::DA, "99999999"), None);
        assert_eq!(normalise(VR::LO, "20240131"), None);
        let morning = parse_range(VR::TM, "08-1159").unwrap();
        assert!(morning.contains("115959.999999"));
        assert!(!morning.contains("120000.000000"));
        assert!(!morning.contains("075959.999999"));
    }

    proptest! {
        #[test]
        fn days_and_dates_are_each_others_reverse(days in -700_000_i64..2_900_000) {
            let (year, month, day) = civil_of_days(days);
            prop_assert_eq!(days_of_civil(year, month, day), days);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9.:+ -]{0,30}|.{0,20}") {
            for vr in [VR::DA, VR::TM, VR::DT] {
                let _ = parse_range(vr, &text);
                let _ = normalise(vr, &text);
            }
        }
    }
}
