//! Keys as a person writes them: `PatientName=Bowen*`, `0010,0010`, `Sequence[0].Keyword=value`.
//!
//! ```text
//!   key     = path [ "=" value ]          split at the first "=": names have more of them
//!   path    = step *( "." step )          every step but the last is a sequence
//!   step    = name [ "[" item "]" ]       items are counted from 0; without brackets it is item 0
//!   name    = keyword | gggg,eeee | "(" gggg,eeee ")" | ggggeeee
//! ```

use super::pattern::Pattern;
use super::range::parse_range;
use super::{KeyError, Level, QUERY_RETRIEVE_LEVEL};
use crate::Uid;
use crate::dataset::{DataSet, Tag, VR, dictionary};

/// More sequences in sequences than any information model has.
const MAX_DEPTH: usize = 16;

/// A key that has been read but not yet put anywhere.
pub(super) struct Key<'a> {
    path: &'a str,
    sequences: Vec<(Tag, usize)>,
    tag: Tag,
    value: &'a str,
}

pub(super) fn parse(text: &str) -> Result<Key<'_>, KeyError> {
    let (path, value) = text.split_once('=').unwrap_or((text, ""));
    let path = path.trim();
    let malformed = || KeyError::MalformedPath(path.to_owned());
    let mut steps = Vec::new();
    for step in path.split('.') {
        steps.push(parse_step(step).ok_or_else(malformed)?);
    }
    let Some((last, item)) = steps.pop() else {
        return Err(malformed());
    };
    if item.is_some() || steps.len() > MAX_DEPTH {
        return Err(malformed());
    }
    let tag = tag_of(last)?;
    let mut sequences = Vec::with_capacity(steps.len());
    for (name, item) in steps {
        let sequence = tag_of(name)?;
        if !matches!(dictionary::vr_of(sequence), VR::SQ | VR::UN) {
            return Err(malformed());
        }
        sequences.push((sequence, item.unwrap_or(0)));
    }
    Ok(Key { path, sequences, tag, value })
}

/// A name and, in brackets, an item.
fn parse_step(step: &str) -> Option<(&str, Option<usize>)> {
    let step = step.trim();
    let (name, item) = match step.split_once('[') {
        Some((name, bracketed)) => (name, Some(bracketed.strip_suffix(']')?.parse().ok()?)),
        None => (step, None),
    };
    (!name.is_empty() && !name.contains(']')).then_some((name, item))
}

fn tag_of(name: &str) -> Result<Tag, KeyError> {
    let tag = dictionary::tag_of(name).ok_or_else(|| KeyError::UnknownKeyword(name.to_owned()))?;
    match is_of_a_data_set(tag) {
        true => Ok(tag),
        false => Err(KeyError::NotOfADataSet(name.to_owned())),
    }
}

/// Whether an element can stand in an identifier: those of commands, of file meta information, delimiters and group lengths
/// cannot, and make it unreadable.
fn is_of_a_data_set(tag: Tag) -> bool {
    !matches!(tag.0, 0x0000..=0x0007 | 0xFFFE..) && tag.1 != 0
}

impl Key<'_> {
    /// The level, if that is what the key sets.
    pub(super) fn level(&self) -> Result<Option<Level>, KeyError> {
        if self.tag != QUERY_RETRIEVE_LEVEL || !self.sequences.is_empty() {
            return Ok(None);
        }
        let level = self.value.parse::<Level>().map_err(|error| self.error(error.to_string()))?;
        Ok(Some(level))
    }

    /// Puts the key into the keys of a query.
    pub(super) fn insert(&self, keys: &mut DataSet) -> Result<(), KeyError> {
        let vr = dictionary::vr_of(self.tag);
        if !self.value.is_empty() {
            check(vr, self.value).map_err(|reason| self.error(reason))?;
        }
        self.insert_at(keys, &self.sequences, vr)
    }

    fn insert_at(&self, keys: &mut DataSet, sequences: &[(Tag, usize)], vr: VR) -> Result<(), KeyError> {
        let Some((&(sequence, item), rest)) = sequences.split_first() else {
            return self.set(keys, vr);
        };
        let mut items = keys.items(sequence).unwrap_or_default();
        // Items come one after the other; a key for the tenth of two is a slip of the pen.
        if item > items.len() {
            return Err(KeyError::MalformedPath(self.path.to_owned()));
        }
        if item == items.len() {
            items.push(DataSet::new());
        }
        self.insert_at(&mut items[item], rest, vr)?;
        keys.set_items(sequence, items);
        Ok(())
    }

    fn set(&self, keys: &mut DataSet, vr: VR) -> Result<(), KeyError> {
        match (vr, self.value) {
            // A sequence that is asked for as a whole must not take the place of keys within it.
            (VR::SQ, _) if keys.items(self.tag).is_some_and(|items| !items.is_empty()) => {}
            _ if keys.contains(self.tag) => return Err(KeyError::Repeated(self.path.to_owned())),
            (VR::SQ, _) => keys.set_items(self.tag, Vec::new()),
            (_, "") => keys.set_empty(self.tag),
            (VR::US | VR::SS | VR::UL | VR::SL | VR::UV | VR::SV, value) => {
                // Checked to be an integer before.
                keys.set_integer(self.tag, value.trim().parse().unwrap_or_default());
            }
            (_, value) => keys.set_text(self.tag, value),
        }
        Ok(())
    }

    fn error(&self, reason: String) -> KeyError {
        KeyError::Value { keyword: self.path.to_owned(), value: self.value.to_owned(), reason }
    }
}

/// What a value of a VR must look like, PS3.5 6.2 with the wildcards and ranges of PS3.4 C.2.2.2. Lengths are not
/// checked: archives hold longer values than the standard allows, and one must be able to ask for these.
fn check(vr: VR, value: &str) -> Result<(), String> {
    if value
        .chars()
        .any(|c| c.is_control() && !(may_have_lines(vr) && matches!(c, '\r' | '\n' | '\t' | '\x0C')))
    {
        return Err("it has a control character".to_owned());
    }
    match vr {
        VR::DA | VR::TM | VR::DT => each(value, |value| match parse_range(vr, value) {
            // Not every archive reads them.
            Ok(_) if value.trim().contains(' ') => Err("a range has no spaces around its hyphen".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(with_wildcard_hint(value, &error.to_string())),
        }),
        VR::UI => each(value, |value| {
            let no_wildcards = "a UID is digits and dots, at most 64; wildcards are not for UIDs";
            Uid::new(value).map(|_| ()).map_err(|error| match Pattern::has_wildcard(value) {
                true => no_wildcards.to_owned(),
                false => error.to_string(),
            })
        }),
        VR::IS => each(value, |value| {
            integer_between(value, i32::MIN.into(), i32::MAX.into())
                .map_err(|reason| with_wildcard_hint(value, &reason))
        }),
        VR::US => integer_between(value, 0, u16::MAX.into()),
        VR::SS => integer_between(value, i16::MIN.into(), i16::MAX.into()),
        VR::UL => integer_between(value, 0, u32::MAX.into()),
        VR::SL => integer_between(value, i32::MIN.into(), i32::MAX.into()),
        VR::UV => integer_between(value, 0, i64::MAX),
        VR::SV => integer_between(value, i64::MIN, i64::MAX),
        VR::DS => each(value, |value| match value.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(()),
            _ => Err(with_wildcard_hint(value, "a decimal number such as 1.5")),
        }),
        VR::AS => each(value, age),
        VR::SQ => Err("a sequence has keys in its item, such as Sequence.Keyword=value".to_owned()),
        VR::OB | VR::OW | VR::OF | VR::OD | VR::OL | VR::OV | VR::AT | VR::FL | VR::FD => {
            Err(format!("an element of VR {} can be asked for but not matched", vr.to_string()))
        }
        _ => Ok(()),
    }
}

fn may_have_lines(vr: VR) -> bool {
    matches!(vr, VR::LT | VR::ST | VR::UT)
}

fn each(value: &str, check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    value.split('\\').try_for_each(check)
}

fn with_wildcard_hint(value: &str, reason: &str) -> String {
    if Pattern::has_wildcard(value) {
        format!("{reason}; wildcards are not for this VR, an empty value matches everything")
    } else {
        reason.to_owned()
    }
}

fn integer_between(value: &str, least: i64, most: i64) -> Result<(), String> {
    match value.trim().parse::<i64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(()),
        _ => Err(format!("an integer from {least} to {most}")),
    }
}

fn age(value: &str) -> Result<(), String> {
    let valid = matches!(value.as_bytes(), [a, b, c, b'D' | b'W' | b'M' | b'Y']
        if [a, b, c].into_iter().all(u8::is_ascii_digit));
    if valid { Ok(()) } else { Err("an age is three digits and D, W, M or Y, such as 045Y".to_owned()) }
}
