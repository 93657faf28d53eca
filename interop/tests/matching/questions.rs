//! Queries made up from what is in the headers, so that most have answers; always the same ones.

use dicomet_proto::dataset::{Tag, VR, dictionary};
use dicomet_proto::query::{Level, Model, Query};

use crate::reference::{KEYS, Reference};

/// What the first key of a query asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Single,
    ListOfUid,
    SeveralValues,
    WildcardPrefix,
    WildcardInfix,
    WildcardOneCharacter,
    Name,
    NameOtherCase,
    NameWithoutAccents,
    NameWildcard,
    RangeClosed,
    RangeOpen,
    Universal,
    Nothing,
    SeveralKeys,
}

const KINDS: [Kind; 15] = [
    Kind::Single,
    Kind::ListOfUid,
    Kind::SeveralValues,
    Kind::WildcardPrefix,
    Kind::WildcardInfix,
    Kind::WildcardOneCharacter,
    Kind::Name,
    Kind::NameOtherCase,
    Kind::NameWithoutAccents,
    Kind::NameWildcard,
    Kind::RangeClosed,
    Kind::RangeOpen,
    Kind::Universal,
    Kind::Nothing,
    Kind::SeveralKeys,
];

const LEVELS: [Level; 4] = [Level::Patient, Level::Study, Level::Series, Level::Image];
/// So often a query of a kind and level is tried to be made.
const TRIES: usize = 50;
/// Longer ones are no longer keys that anybody sends, and some VRs would not hold them.
const MAX_VALUE_CHARS: usize = 60;

/// An endless row of queries.
pub(crate) struct Generator<'a> {
    reference: &'a Reference,
    state: u64,
    number: usize,
}

impl Iterator for Generator<'_> {
    type Item = (Kind, Query);

    fn next(&mut self) -> Option<(Kind, Query)> {
        loop {
            let kind = KINDS[self.number % KINDS.len()];
            let level = LEVELS[self.number / KINDS.len() % LEVELS.len()];
            self.number += 1;
            // Not every kind is of every level, and not every instance has a value.
            if let Some(query) = (0..TRIES).find_map(|_| self.query(kind, level)) {
                return Some((kind, query));
            }
        }
    }
}

impl<'a> Generator<'a> {
    pub(crate) fn new(reference: &'a Reference) -> Generator<'a> {
        Generator { reference, state: 0xD1C0, number: 0 }
    }

    /// The next draw from 0 to below `limit` (SplitMix64).
    fn draw(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit.max(1) as u64).unwrap()
    }

    fn query(&mut self, kind: Kind, level: Level) -> Option<Query> {
        let model = match level {
            Level::Patient => Model::PatientRoot,
            _ if self.draw(4) == 0 => Model::PatientRoot,
            _ => Model::StudyRoot,
        };
        let target = self.draw(self.reference.instances.len());
        let mut query = Query::new(model, level);
        query.keys.set_empty(level.unique_key());
        // Half of the deeper ones name what is above them, the other half are relational.
        if self.draw(2) == 0 {
            for &above in model.levels().iter().filter(|above| **above < level) {
                let value = self.reference.instances[target].header.text(above.unique_key())?;
                query.keys.set_text(above.unique_key(), &value);
            }
        }
        let keys = if kind == Kind::SeveralKeys { 2 + self.draw(3) } else { 1 };
        for _ in 0..keys {
            let kind = match kind {
                Kind::SeveralKeys => {
                    [Kind::Single, Kind::WildcardPrefix, Kind::RangeOpen, Kind::NameWildcard, Kind::Universal]
                        [self.draw(5)]
                }
                kind => kind,
            };
            let (tag, value) = self.key(kind, level, target)?;
            query.keys.set_text(tag, &value);
        }
        // What cannot be understood as a key is no question about matching.
        query.matching_keys().ok()?;
        Some(query)
    }

    fn key(&mut self, kind: Kind, level: Level, target: usize) -> Option<(Tag, String)> {
        let fits = |vr: VR| match kind {
            Kind::ListOfUid => vr == VR::UI,
            Kind::WildcardPrefix | Kind::WildcardInfix | Kind::WildcardOneCharacter => {
                matches!(vr, VR::LO | VR::SH | VR::CS)
            }
            Kind::Name | Kind::NameOtherCase | Kind::NameWithoutAccents | Kind::NameWildcard => vr == VR::PN,
            Kind::RangeClosed | Kind::RangeOpen => matches!(vr, VR::DA | VR::TM),
            Kind::SeveralValues => matches!(vr, VR::LO | VR::SH | VR::CS | VR::PN | VR::IS),
            _ => true,
        };
        let tags: Vec<Tag> = KEYS
            .iter()
            .filter(|(of, _)| *of <= level)
            .flat_map(|(_, tags)| tags.iter().copied())
            .filter(|tag| fits(dictionary::vr_of(*tag)))
            .collect();
        let tag = *tags.get(self.draw(tags.len()))?;
        let vr = dictionary::vr_of(tag);
        let value = self.value(tag, target)?;
        let characters: Vec<char> = value.chars().collect();
        let at = self.draw(characters.len());
        let text = |characters: &[char]| characters.iter().collect::<String>();
        let key = match kind {
            Kind::Single | Kind::Name | Kind::SeveralKeys => value,
            Kind::ListOfUid | Kind::SeveralValues => {
                let mut values = vec![value];
                for _ in 0..=self.draw(3) {
                    let other = self.draw(self.reference.instances.len());
                    values.extend(self.value(tag, other));
                }
                values.join("\\")
            }
            Kind::WildcardPrefix => format!("{}*", text(&characters[..=at])),
            Kind::WildcardInfix => format!("*{}*", text(&characters[at..(at + 3).min(characters.len())])),
            Kind::WildcardOneCharacter => {
                format!("{}?{}", text(&characters[..at]), text(&characters[at + 1..]))
            }
            Kind::NameOtherCase => {
                let upper = value.to_uppercase();
                if upper == value { value.to_lowercase() } else { upper }
            }
            Kind::NameWithoutAccents => value.chars().map(without_accent).collect(),
            Kind::NameWildcard => match self.draw(3) {
                0 => format!("{}*", text(&characters[..=at])),
                1 => format!("*{}*", text(&characters[at..(at + 3).min(characters.len())]).to_lowercase()),
                _ => format!("{}?{}*", text(&characters[..at]), text(&characters[at + 1..])),
            },
            Kind::RangeClosed => {
                let other = self.draw(self.reference.instances.len());
                let other = self.value(tag, other)?;
                let (from, to) = if value <= other { (value, other) } else { (other, value) };
                format!("{from}-{to}")
            }
            Kind::RangeOpen if !matches!(vr, VR::DA | VR::TM) => value,
            Kind::RangeOpen => match self.draw(3) {
                0 => format!("{value}-"),
                1 => format!("-{value}"),
                _ => value,
            },
            Kind::Universal => [String::new(), "*".to_owned()][self.draw(2)].clone(),
            Kind::Nothing => nothing(vr),
        };
        Some((tag, key))
    }

    /// A single value of the attribute in this instance, when it can be a key.
    fn value(&mut self, tag: Tag, instance: usize) -> Option<String> {
        let values = self.reference.instances[instance].header.texts(tag);
        let value = values.get(self.draw(values.len()))?.trim().to_owned();
        let is_plain = !value.is_empty()
            && value.chars().count() <= MAX_VALUE_CHARS
            && !value.contains(['*', '?', '\\'])
            && !value.chars().any(char::is_control);
        is_plain.then_some(value)
    }
}

fn without_accent(character: char) -> char {
    const ACCENTED: &str = "ÄÖÜäöüéèêàáâçëïîôùûñíóú";
    const PLAIN: &str = "AOUaoueeeaaaceiiouuniou";
    let position = ACCENTED.chars().position(|accented| accented == character);
    position.and_then(|position| PLAIN.chars().nth(position)).unwrap_or(character)
}

/// What no header has.
fn nothing(vr: VR) -> String {
    match vr {
        VR::UI => "2.999.404".to_owned(),
        VR::DA => "17890714".to_owned(),
        VR::TM => "031415.926".to_owned(),
        VR::IS | VR::US | VR::DS => "31415".to_owned(),
        VR::AS => "271Y".to_owned(),
        VR::PN => "Nobody^Of*This^Name".to_owned(),
        _ => "NOT HERE".to_owned(),
    }
}
