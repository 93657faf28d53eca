//! What a key asks for, by the VR of its element and the look of its value: PS3.4 C.2.2.2.
//!
//! [`Query::matches`] holds a query against a data set, one key after the other: slow and plain, for what has no
//! index, and as the measure of what has one.

use super::attribute::is_private_creator;
use super::pattern::Pattern;
use super::person_name::{NameKey, normalise_person_name};
use super::range::{Range, normalise, parse_range};
use super::{
    Attribute, ExtendedMatching, FuzzyName, QUERY_RETRIEVE_LEVEL, Query, SPECIFIC_CHARACTER_SET, date_time,
};
use crate::Uid;
use crate::dataset::{DataSet, Tag, VR, dictionary};
use crate::message::{Refusal, Status};

/// More sequences in sequences than any information model has.
const MAX_DEPTH: usize = 16;

/// Matching takes steps in proportion to the product of pattern and value, so the pattern has a limit. A name of
/// three groups in UTF-8, the longest that one would look for, is below 800.
const MAX_PATTERN_BYTES: usize = 4096;

/// Values of one key at most that are more than texts to compare with: an index looks for each of them apart. Of UIDs
/// and other single values there may be any number.
const MAX_ALTERNATIVES: usize = 256;

/// A key and what it asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchingKey {
    /// What it names.
    pub attribute: Attribute,
    /// Its VR by the dictionary; as it came where the dictionary knows none.
    pub vr: VR,
    /// What it asks for.
    pub matching: Matching,
}

/// The kinds of matching of PS3.4 C.2.2.2.
#[derive(Debug, Clone, PartialEq)]
pub enum Matching {
    /// No value, or nothing but `*`: everything matches, and the value is asked for.
    Universal,
    /// One value, without padding. IS and DS are compared as numbers, other VRs as they are written.
    SingleValue(String),
    /// One of these; what was no UID in the key is left out, so that an empty list matches nothing.
    ListOfUid(Vec<Uid>),
    /// A text with `*` or `?`, case counting.
    Wildcard(Pattern),
    /// A name, with or without wildcards; case and accents do not count.
    PersonName(NameKey),
    /// A name by its words and how they sound; negotiated.
    FuzzyName(FuzzyName),
    /// A date that is matched together with a time, whose own key is universal then; negotiated.
    DateTime {
        /// The element with the time.
        time: Tag,
        /// Moments of date and time joined, as of VR DT.
        range: Range,
    },
    /// No value, or none there; negotiated.
    Empty,
    /// Dates and times; a single one is a range of one moment.
    Range(Range),
    /// Keys that one and the same item has to match.
    Sequence(Vec<MatchingKey>),
    /// The key has several values, and one of them has to match.
    AnyOf(Vec<Matching>),
    /// The key has several values, as the attribute may, and each has to match one; negotiated.
    AllOf(Vec<Matching>),
    /// A value that is not for matching, by its VR or because it is no text, or a private element that nobody has
    /// reserved: everything matches, and FF01 says so.
    Unsupported,
}

/// What is wrong with the value of a key, in the words of an Error Comment: nothing of the value is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Of DA, TM or DT.
    #[error("a date or time key is neither a value nor a range")]
    NoDateOrTime,
    /// A pattern longer than any value that it could be for.
    #[error("a key with wildcards is longer than {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    /// More values than there is a use for.
    #[error("a key has more than {MAX_ALTERNATIVES} names, ranges or patterns")]
    TooManyValues,
}

impl MatchingKey {
    /// The keys of a data set, in the order of their tags. Left out: (0008,0052), (0008,0005), the offset from UTC,
    /// group lengths and private creators, none of which is a key.
    pub(super) fn of_data_set(
        keys: &DataSet,
        extended: &ExtendedMatching,
    ) -> Result<Vec<MatchingKey>, Refusal> {
        MatchingKey::of_item(keys, extended, MAX_DEPTH)
    }

    fn of_item(
        keys: &DataSet,
        extended: &ExtendedMatching,
        depth_left: usize,
    ) -> Result<Vec<MatchingKey>, Refusal> {
        let tags = keys.tags().filter(|tag| is_key(*tag));
        let of_tags: Result<Vec<MatchingKey>, Refusal> =
            tags.map(|tag| MatchingKey::of(keys, tag, extended, depth_left)).collect();
        let mut of_tags = of_tags?;
        if extended.date_time {
            date_time::combine(&mut of_tags);
        }
        Ok(of_tags)
    }

    fn of(
        keys: &DataSet,
        tag: Tag,
        extended: &ExtendedMatching,
        depth_left: usize,
    ) -> Result<MatchingKey, Refusal> {
        let refusal = |comment: &str| Refusal::new(Status::UNABLE_TO_PROCESS, comment).offending(tag);
        let vr = match (dictionary::vr_of(tag), keys.vr(tag)) {
            (VR::UN, Some(vr)) => vr,
            (vr, _) => vr,
        };
        let attribute = Attribute::of_key(keys, tag);
        let matching = if attribute.is_nobodys() {
            Matching::Unsupported
        } else if let Some(items) = keys.items(tag) {
            match items.as_slice() {
                [] => Matching::Universal,
                _ if depth_left == 0 => return Err(refusal("sequences are nested too deep")),
                [item] => Matching::of_sequence(MatchingKey::of_item(item, extended, depth_left - 1)?),
                _ => return Err(refusal("a sequence key has more than one item")),
            }
        } else {
            let values = values(keys, tag, vr);
            match values.is_empty() && keys.has_value(tag) {
                true => Matching::Unsupported,
                false => Matching::of_values(tag, vr, &values, extended)
                    .map_err(|error| refusal(&error.to_string()))?,
            }
        };
        Ok(MatchingKey { attribute, vr, matching })
    }

    /// The tag that the key came with.
    pub fn tag(&self) -> Tag {
        self.attribute.tag
    }

    /// The elements among some keys and in their items whose values nothing is held against, to be said with FF01.
    pub fn unsupported_among(keys: &[MatchingKey]) -> Vec<Tag> {
        let mut unsupported = Vec::new();
        let mut waiting: Vec<&MatchingKey> = keys.iter().rev().collect();
        while let Some(key) = waiting.pop() {
            match &key.matching {
                Matching::Unsupported => unsupported.push(key.tag()),
                Matching::Sequence(keys) => waiting.extend(keys.iter().rev()),
                _ => {}
            }
        }
        unsupported
    }

    /// Whether it asks only for the value.
    pub fn is_universal(&self) -> bool {
        self.matching == Matching::Universal
    }

    /// Whether a data set is what the key asks for. An element that is absent or empty matches only universally.
    pub fn matches(&self, data_set: &DataSet) -> bool {
        let tag = self.attribute.tag_in(data_set);
        let values = || tag.map(|tag| values(data_set, tag, self.vr)).unwrap_or_default();
        match &self.matching {
            Matching::Sequence(keys) => {
                let items = tag.and_then(|tag| data_set.items(tag)).unwrap_or_default();
                items.iter().any(|item| keys.iter().all(|key| key.matches(item)))
            }
            Matching::Universal | Matching::Unsupported => true,
            Matching::Empty => {
                let values = values();
                let is_blank = !values.is_empty() && values.iter().all(String::is_empty);
                is_blank || !tag.is_some_and(|tag| data_set.has_value(tag))
            }
            Matching::DateTime { time, range } => {
                date_time::moment(&values(), &self::values(data_set, *time, VR::TM))
                    .is_some_and(|moment| range.contains(&moment))
            }
            Matching::AllOf(all) => {
                let values = values();
                all.iter().all(|matching| values.iter().any(|value| matching.matches(self.vr, value)))
            }
            matching => values().iter().any(|value| matching.matches(self.vr, value)),
        }
    }
}

impl Matching {
    /// What the values of a key ask for; its tag says whether there may be several in one data set.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn of_values(
        tag: Tag,
        vr: VR,
        values: &[String],
        extended: &ExtendedMatching,
    ) -> Result<Matching, InvalidKey> {
        let mut alternatives = Vec::new();
        match values {
            [] => return Ok(Matching::Universal),
            // Several clients send `*` for "anything", whatever the VR.
            [single] if !single.is_empty() && single.bytes().all(|byte| byte == b'*') => {
                return Ok(Matching::Universal);
            }
            [empty] if extended.empty_value && empty == "\"\"" => return Ok(Matching::Empty),
            uids if vr == VR::UI => {
                return Ok(Matching::ListOfUid(
                    uids.iter().filter_map(|uid| Uid::new(uid.as_str()).ok()).collect(),
                ));
            }
            _ => {}
        }
        let is_all_of = extended.multiple_value && dictionary::has_several_values(tag);
        for value in values.iter().filter(|value| !value.is_empty()) {
            match Matching::of_value(vr, value, extended)? {
                // Of several that all have to match, one that always does asks nothing.
                Matching::Universal if is_all_of => {}
                whole @ (Matching::Universal | Matching::Unsupported) => return Ok(whole),
                matching => alternatives.push(matching),
            }
        }
        let is_compared = |matching: &&Matching| !is_all_of && matches!(matching, Matching::SingleValue(_));
        if alternatives.iter().filter(|matching| !is_compared(matching)).count() > MAX_ALTERNATIVES {
            return Err(InvalidKey::TooManyValues);
        }
        Ok(match alternatives.len() {
            0 => Matching::Universal,
            1 => alternatives.remove(0),
            _ if is_all_of => Matching::AllOf(alternatives),
            _ => Matching::AnyOf(alternatives),
        })
    }

    fn of_value(vr: VR, value: &str, extended: &ExtendedMatching) -> Result<Matching, InvalidKey> {
        if value.len() > MAX_PATTERN_BYTES && Pattern::has_wildcard(value) && has_wildcards(vr) {
            return Err(InvalidKey::TooLong);
        }
        Ok(match vr {
            VR::DA | VR::TM | VR::DT => {
                Matching::Range(parse_range(vr, value).map_err(|_| InvalidKey::NoDateOrTime)?)
            }
            VR::PN => {
                let key = NameKey::new(value);
                match key.is_universal() {
                    true => Matching::Universal,
                    false if extended.fuzzy_names => Matching::FuzzyName(FuzzyName::new(value)),
                    false => Matching::PersonName(key),
                }
            }
            VR::OB | VR::OW | VR::OF | VR::OD | VR::OL | VR::OV | VR::SQ => Matching::Unsupported,
            _ if Pattern::has_wildcard(value) && has_wildcards(vr) => {
                let pattern = Pattern::new(value);
                if pattern.is_any() { Matching::Universal } else { Matching::Wildcard(pattern) }
            }
            _ => Matching::SingleValue(value.to_owned()),
        })
    }

    /// Keys of an item that ask for values alone ask nothing of the sequence, nor do those that cannot be matched.
    fn of_sequence(keys: Vec<MatchingKey>) -> Matching {
        if keys.iter().all(MatchingKey::is_universal) {
            Matching::Universal
        } else if keys.iter().all(|key| key.is_universal() || key.matching == Matching::Unsupported) {
            Matching::Unsupported
        } else {
            Matching::Sequence(keys)
        }
    }

    /// Whether one value of an element, without padding, is what is asked for. A sequence has no values.
    pub fn matches(&self, vr: VR, value: &str) -> bool {
        match self {
            Matching::Universal | Matching::Unsupported => true,
            Matching::SingleValue(key) => is_same(vr, key, value),
            Matching::ListOfUid(uids) => uids.iter().any(|uid| uid.as_str() == value),
            Matching::Wildcard(pattern) => pattern.matches(value),
            Matching::PersonName(key) => key.matches(&normalise_person_name(value)),
            Matching::Range(range) => normalise(vr, value).is_some_and(|moment| range.contains(&moment)),
            Matching::AnyOf(alternatives) => alternatives.iter().any(|matching| matching.matches(vr, value)),
            Matching::FuzzyName(key) => key.matches(&normalise_person_name(value)),
            Matching::AllOf(all) => all.iter().all(|matching| matching.matches(vr, value)),
            Matching::Empty => value.is_empty(),
            // More than a value is needed.
            Matching::Sequence(_) | Matching::DateTime { .. } => false,
        }
    }
}

impl Query {
    /// Whether a data set is what the query asks for: each key against the element of the same tag.
    ///
    /// What an archive reckons, such as Modalities in Study, has to stand in the data set. A query whose keys
    /// cannot be understood matches nothing.
    pub fn matches(&self, data_set: &DataSet) -> bool {
        self.matching_keys().is_ok_and(|keys| keys.iter().all(|key| key.matches(data_set)))
    }
}

fn is_key(tag: Tag) -> bool {
    const TIMEZONE_OFFSET_FROM_UTC: Tag = Tag(0x0008, 0x0201);
    let Tag(group, element) = tag;
    ![SPECIFIC_CHARACTER_SET, QUERY_RETRIEVE_LEVEL, TIMEZONE_OFFSET_FROM_UTC].contains(&tag)
        && group > 0x0002
        && element != 0
        && !is_private_creator(tag)
}

/// PS3.4 C.2.2.2.4: the VRs that may have wildcards.
fn has_wildcards(vr: VR) -> bool {
    matches!(
        vr,
        VR::AE | VR::CS | VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UR | VR::UT | VR::UN
    )
}

/// The values of an element without padding; a text of several lines is one value, whatever backslashes it has. Bytes
/// have no values.
fn values(data_set: &DataSet, tag: Tag, vr: VR) -> Vec<String> {
    let unknown = text_of_unknown(data_set, tag, vr);
    match vr {
        VR::LT | VR::ST | VR::UT | VR::UR => unknown.or_else(|| data_set.text(tag)).into_iter().collect(),
        _ if unknown.is_some() => {
            let split = |text: String| text.split('\\').map(|value| value.trim().to_owned()).collect();
            unknown.map(split).unwrap_or_default()
        }
        _ => data_set.texts(tag).iter().map(|value| value.trim_matches([' ', '\0']).to_owned()).collect(),
    }
}

/// The text of an element that came without its VR, as a private one does in Implicit VR: the numbers that its bytes
/// are by the VR of the key, or the text, where they are such that they can be nothing else in any character set.
fn text_of_unknown(data_set: &DataSet, tag: Tag, vr: VR) -> Option<String> {
    if data_set.vr(tag) != Some(VR::UN) {
        return None;
    }
    let bytes = data_set.bytes(tag)?;
    if matches!(vr, VR::US | VR::SS | VR::UL | VR::SL | VR::UV | VR::SV | VR::FL | VR::FD | VR::AT) {
        let mut known = DataSet::new();
        known.set_bytes(tag, vr, &bytes);
        return known.text(tag);
    }
    let text = std::str::from_utf8(&bytes).ok()?.trim_end_matches([' ', '\0']);
    let is_text = !text.is_empty() && !text.chars().any(char::is_control);
    is_text.then(|| text.to_owned())
}

fn is_same(vr: VR, key: &str, value: &str) -> bool {
    let as_numbers = match vr {
        VR::IS => key.parse::<i64>().ok().zip(value.parse::<i64>().ok()).map(|(key, value)| key == value),
        VR::DS => key.parse::<f64>().ok().zip(value.parse::<f64>().ok()).map(|(key, value)| key == value),
        _ => None,
    };
    as_numbers.unwrap_or(key == value)
}
