//! A query as SQL: pure and parameterised.
//!
//! A key whose attribute has a column becomes a condition; one without is a filter on the stored header, applied
//! after; one below the level is unsupported and said so (PS3.4 C.4.1.1.4, FF01).
//! What a key asks, and whether an identifier fits its model and level, [`dicomet_proto::query`] has decided.

use dicomet_proto::dataset::{DataSet, Tag, VR};
use dicomet_proto::message::{Refusal, Status};
use dicomet_proto::query::pattern::Piece;
use dicomet_proto::query::{Attribute as Named, Level, Matching, MatchingKey, Pattern, Query, Range};
use rusqlite::types::Value;

use super::attributes::{Attribute, INDEXED, Kind, attribute, level_of, tags};
use super::header::is_kept;
use super::normalise::search_form;
use super::person_name::Name;
pub(crate) use super::term::Condition;
use super::term::{Form, Sql, Term};

/// The most characters of a wildcard pattern: the longest text that GLOB takes has some more bytes. A value of
/// PN, LO or SH that such a pattern could match is longer than its VR allows.
const MAX_PATTERN_CHARS: usize = 8192;

/// What is put into an answer.
#[derive(Debug, Clone)]
pub(crate) enum Returned {
    /// The next of the selected columns.
    Column(Tag, &'static Attribute),
    /// From the stored header; of a sequence, the attributes that the key's item names (all when none).
    Header(Named, Vec<Named>),
    /// The same in every answer.
    Constant(Tag, &'static str),
    /// Not supported: there, and empty.
    Empty(Named),
}

/// A query taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    pub(crate) level: Level,
    pub(crate) condition: Condition,
    /// Keys that the stored header has to match.
    pub(crate) filters: Vec<MatchingKey>,
    pub(crate) returned: Vec<Returned>,
    /// What filters and answer need of the stored headers.
    pub(crate) needed: Vec<Named>,
    pub(crate) unsupported: Vec<Tag>,
}

/// Takes a C-FIND query apart.
///
/// # Errors
/// A900 when the model does not have the level, C000 when a key cannot be understood.
pub(crate) fn select(query: &Query) -> Result<Selection, Refusal> {
    check_level(query)?;
    let mut selection = Selection {
        level: query.level,
        condition: Condition::default(),
        filters: Vec::new(),
        returned: Vec::new(),
        needed: Vec::new(),
        unsupported: Vec::new(),
    };
    for key in query.matching_keys()? {
        if key.tag() == tags::RETRIEVE_AE_TITLE {
            // Who knows our AE title adds it.
        } else if key.tag() == tags::INSTANCE_AVAILABILITY {
            selection.constant_key(&key, "ONLINE");
        } else if let Some(attribute) = attribute(key.tag(), query.level) {
            selection.column_key(attribute, &key);
        } else if level_of(key.tag()) <= query.level && is_kept(key.tag()) {
            selection.header_key(key, &query.keys);
        } else {
            selection.unsupported(key.attribute);
        }
    }
    Ok(selection)
}

impl Selection {
    fn column_key(&mut self, attribute: &'static Attribute, key: &MatchingKey) {
        if attribute.level > self.level {
            return self.unsupported(key.attribute.clone());
        }
        self.returned.push(Returned::Column(attribute.tag, attribute));
        self.condition.require(attribute, &key.matching);
    }

    fn constant_key(&mut self, key: &MatchingKey, value: &'static str) {
        let mut constant = DataSet::new();
        constant.set_text(key.tag(), value);
        if !key.matches(&constant) {
            self.condition.and(Term::plain(Sql::of(|_| "0".to_owned())));
        }
        self.returned.push(Returned::Constant(key.tag(), value));
    }

    fn header_key(&mut self, key: MatchingKey, keys: &DataSet) {
        self.needed.push(key.attribute.clone());
        let items = keys.items(key.tag()).unwrap_or_default();
        let wanted = items.first().map(Named::all_of).unwrap_or_default();
        self.returned.push(Returned::Header(key.attribute.clone(), wanted));
        self.unsupported.extend(MatchingKey::unsupported_among(std::slice::from_ref(&key)));
        if !matches!(key.matching, Matching::Universal | Matching::Unsupported) {
            self.filters.push(key);
        }
    }

    fn unsupported(&mut self, attribute: Named) {
        self.unsupported.push(attribute.tag);
        self.returned.push(Returned::Empty(attribute));
    }
}

/// What a retrieve identifier asks for: unique keys, down to its level (PS3.4 C.4.2.2.1, C.4.3.2.1). Those above
/// the level narrow it when they are there.
///
/// # Errors
/// A900 when the model does not have the level, or the level's own unique key is missing: that would mean the
/// whole archive.
pub(crate) fn select_for_retrieve(query: &Query) -> Result<Condition, Refusal> {
    check_level(query)?;
    let mut condition = Condition::default();
    for level in [Level::Patient, Level::Study, Level::Series, Level::Image] {
        let key = level.unique_key();
        let values = query.keys.texts(key);
        let is_named = !values.is_empty() && values.iter().all(|value| !value.trim().is_empty());
        // Seen from below: a patient's instances are those of its studies.
        let attribute = attribute(key, Level::Image);
        match attribute {
            _ if level > query.level => {}
            Some(attribute) if is_named => condition.require_one_of(attribute, values),
            _ if level == query.level => {
                let status = Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS;
                return Err(Refusal::new(status, "the unique key of the level has no value").offending(key));
            }
            _ => {}
        }
    }
    Ok(condition)
}

fn check_level(query: &Query) -> Result<(), Refusal> {
    if query.model.levels().contains(&query.level) && query.model != dicomet_proto::query::Model::Worklist {
        return Ok(());
    }
    Err(Refusal::new(Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS, "the model does not have this level")
        .offending(tags::QUERY_RETRIEVE_LEVEL))
}

impl Condition {
    /// Requires one of these values, whatever characters are in them: a retrieve names what it wants.
    fn require_one_of(&mut self, attribute: &Attribute, values: Vec<String>) {
        if let Kind::Column(column) = attribute.kind {
            self.and(Term::plain(Sql::of(|parameters| one_of(column, values, parameters))));
        }
    }

    /// Requires what a key asks.
    fn require(&mut self, attribute: &Attribute, matching: &Matching) {
        if matches!(matching, Matching::Universal | Matching::Unsupported) {
            return;
        }
        match attribute.kind {
            Kind::Count => {
                self.and(Term::plain(Sql::of(|parameters| count(attribute.value, matching, parameters))));
            }
            // The value as received: what is no value of its VR has an empty search form and is not empty.
            _ if *matching == Matching::Empty => {
                self.and(Term::plain(Sql::of(|_| format!("{} = ''", attribute.value))));
            }
            Kind::Column(column) => self.and(of_column(column, attribute.vr, matching)),
            Kind::OfStudy(table, column) => {
                let all = match matching {
                    Matching::AllOf(all) => all.as_slice(),
                    matching => std::slice::from_ref(matching),
                };
                for matching in all {
                    self.and(of_study(table, column, attribute.vr, matching));
                }
            }
            Kind::Name(number, owner) => {
                self.and(Name { number, owner, value: attribute.value }.term(matching));
            }
        }
    }
}

/// What a key asks of a column of the level's own table or of one above it.
fn of_column(column: &str, vr: VR, matching: &Matching) -> Term {
    let compared = |column: &str| {
        Sql::of(|parameters| match matching {
            Matching::DateTime { time, range } => date_time(column, *time, range, parameters),
            _ => comparison(column, vr, matching, parameters),
        })
    };
    let table = column.split('.').next().filter(|_| INDEXED.contains(&column) && has_beginning(matching));
    match table {
        // SQLite uses no index for an expression.
        Some(table) => {
            let walked = compared(column).between(&format!("{table} WHERE "), "");
            Term::indexed(compared(column), compared(&format!("+{column}")), walked)
        }
        None => Term::plain(compared(column)),
    }
}

/// What a key asks of the rows that a table has for a study.
fn of_study(table: &str, column: &str, vr: VR, matching: &Matching) -> Term {
    let compared = || Sql::of(|parameters| comparison(column, vr, matching, parameters));
    let walked = has_beginning(matching).then(|| compared().between(&format!("{table} WHERE "), ""));
    let sql = |form| match form {
        Form::List => compared().between(&format!("study.id IN (SELECT study FROM {table} WHERE "), ")"),
        Form::Look => compared().between(&look(&format!("{table} WHERE {table}.study = study.id AND ")), ")"),
    };
    Term::in_table(sql, walked)
}

/// The beginning of a look into another table. As an expression it is no join to SQLite, which might order it as it likes.
pub(super) fn look(rows: &str) -> String {
    format!("+EXISTS (SELECT 1 FROM {rows}")
}

/// Whether an index of the column leads to what matches, without going through the others.
fn has_beginning(matching: &Matching) -> bool {
    match matching {
        Matching::SingleValue(_)
        | Matching::ListOfUid(_)
        | Matching::Range(_)
        | Matching::DateTime { .. } => true,
        Matching::Wildcard(pattern) => !pattern.prefix().is_empty(),
        Matching::AnyOf(alternatives) => alternatives.iter().all(has_beginning),
        _ => false,
    }
}

/// A comparison of a column, in its search form, with what is asked of it.
pub(crate) fn comparison(column: &str, vr: VR, matching: &Matching, parameters: &mut Vec<Value>) -> String {
    match matching {
        Matching::Universal | Matching::Unsupported => "1".to_owned(),
        Matching::SingleValue(value) => one_of(column, vec![search_form(vr, value)], parameters),
        Matching::ListOfUid(uids) => {
            one_of(column, uids.iter().map(|uid| uid.as_str().to_owned()).collect(), parameters)
        }
        Matching::Wildcard(pattern) => glob(column, pattern, parameters),
        Matching::Range(range) => {
            // An absent value is in no range, not even in one that is open at its beginning. And one that is open at its
            // end is to SQLite no range that leads anywhere.
            let from = range.from.clone().unwrap_or_else(|| "0".to_owned());
            let to = range.to.clone().unwrap_or_else(|| char::MAX.to_string());
            parameters.extend([from, to].map(Value::Text));
            format!("{column} BETWEEN ? AND ?")
        }
        Matching::AnyOf(alternatives) => {
            let (singles, others): (Vec<_>, Vec<_>) =
                alternatives.iter().partition(|matching| matches!(matching, Matching::SingleValue(_)));
            let mut any_of: Vec<String> =
                others.into_iter().map(|matching| comparison(column, vr, matching, parameters)).collect();
            let values = singles.into_iter().filter_map(|matching| match matching {
                Matching::SingleValue(value) => Some(search_form(vr, value)),
                _ => None,
            });
            any_of.push(one_of(column, values.collect(), parameters));
            any(any_of)
        }
        Matching::AllOf(all) => all
            .iter()
            .map(|matching| comparison(column, vr, matching, parameters))
            .collect::<Vec<_>>()
            .join(" AND "),
        Matching::Empty => format!("{column} = ''"),
        // Of names and sequences there are no columns; a moment needs two.
        Matching::PersonName(_)
        | Matching::FuzzyName(_)
        | Matching::Sequence(_)
        | Matching::DateTime { .. } => "0".to_owned(),
    }
}

fn number(matching: &Matching) -> Option<i64> {
    match matching {
        Matching::SingleValue(value) => value.trim().parse().ok(),
        _ => None,
    }
}

/// A comparison of a number that is counted.
fn count(expression: &str, matching: &Matching, parameters: &mut Vec<Value>) -> String {
    match matching {
        Matching::Universal | Matching::Unsupported => "1".to_owned(),
        Matching::SingleValue(_) => match number(matching) {
            Some(number) => {
                parameters.push(Value::Integer(number));
                format!("{expression} = ?")
            }
            None => "0".to_owned(),
        },
        Matching::AnyOf(alternatives) => {
            let numbers: Vec<i64> = alternatives.iter().filter_map(number).collect();
            parameters.push(Value::Text(serde_json::Value::from(numbers).to_string()));
            format!("{expression} IN (SELECT value FROM json_each(?))")
        }
        _ => "0".to_owned(),
    }
}

/// A range of moments over a column with dates, which narrows it, and one with times. Times may be missing.
fn date_time(date: &str, time: Tag, range: &Range, parameters: &mut Vec<Value>) -> String {
    // Where a date has a column, its time has one.
    let Some(Kind::Column(time)) = attribute(time, Level::Image).map(|attribute| attribute.kind) else {
        return "0".to_owned();
    };
    let day = |moment: &String| moment.get(..8).unwrap_or_default().to_owned();
    let from = range.from.as_ref().map_or_else(|| "0".to_owned(), day);
    let to = range.to.as_ref().map_or_else(|| char::MAX.to_string(), day);
    let mut sql = format!("{time} <> '' AND {date} BETWEEN ? AND ?");
    parameters.extend([from, to].map(Value::Text));
    if let Some(to) = &range.to {
        sql.push_str(&format!(" AND {date} || {time} <= ?"));
        parameters.push(Value::Text(to.clone()));
    }
    if let Some(from) = &range.from {
        sql.push_str(&format!(" AND {date} || {time} >= ?"));
        parameters.push(Value::Text(from.clone()));
    }
    sql
}

pub(super) fn any(alternatives: Vec<String>) -> String {
    match alternatives.len() {
        0 => "0".to_owned(),
        1 => alternatives.concat(),
        _ => format!("({})", alternatives.join(" OR ")),
    }
}

/// One parameter however many values: a list of 10,000 UIDs makes the same statement as one of two.
fn one_of(column: &str, mut values: Vec<String>, parameters: &mut Vec<Value>) -> String {
    match values.len() {
        0 => "0".to_owned(),
        1 => {
            parameters.push(Value::Text(values.remove(0)));
            format!("{column} = ?")
        }
        _ => {
            parameters.push(Value::Text(serde_json::Value::from(values).to_string()));
            format!("{column} IN (SELECT value FROM json_each(?))")
        }
    }
}

/// A pattern as GLOB, with the range of its beginning so that an index serves it.
pub(super) fn glob(column: &str, pattern: &Pattern, parameters: &mut Vec<Value>) -> String {
    if let Some(literal) = pattern.literal() {
        return one_of(column, vec![literal.to_owned()], parameters);
    }
    let Some(glob) = glob_text(pattern) else { return "0".to_owned() };
    let prefix = pattern.prefix();
    if prefix.is_empty() {
        parameters.push(Value::Text(glob));
        return format!("{column} GLOB ?");
    }
    // Nothing that begins with the prefix sorts after it with the last character of Unicode behind.
    let end = format!("{prefix}{}", char::MAX);
    parameters.extend([prefix.to_owned(), end, glob].map(Value::Text));
    format!("({column} >= ? AND {column} < ? AND {column} GLOB ?)")
}

/// A pattern in the words of GLOB, unless it is longer than GLOB takes.
pub(super) fn glob_text(pattern: &Pattern) -> Option<String> {
    let mut glob = String::new();
    for piece in pattern.pieces() {
        match piece {
            Piece::Any => glob.push('*'),
            Piece::One => glob.push('?'),
            Piece::Literal(text) => push_escaped(&mut glob, text),
        }
    }
    (glob.chars().count() <= MAX_PATTERN_CHARS).then_some(glob)
}

/// In GLOB a character is itself when it stands alone between brackets.
fn push_escaped(glob: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '*' | '?' | '[' => glob.extend(['[', character, ']']),
            other => glob.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use dicomet_proto::query::Model;

    use super::*;

    fn condition(level: Level, tag: Tag, value: &str) -> (String, Vec<Value>) {
        let mut query = Query::new(Model::StudyRoot, level);
        query.keys.set_text(tag, value);
        let condition = select(&query).unwrap().condition;
        (condition.sql(), condition.parameters().cloned().collect())
    }

    fn texts(values: &[&str]) -> Vec<Value> {
        values.iter().map(|value| Value::Text((*value).to_owned())).collect()
    }

    #[test]
    fn a_value_is_a_parameter_whatever_is_in_it() {
        let (sql, parameters) = condition(Level::Study, tags::ACCESSION_NUMBER, "'; DROP TABLE--");
        assert_eq!(sql, "study.accession_number = ?");
        assert_eq!(parameters, texts(&["'; DROP TABLE--"]));
    }

    #[test]
    fn only_star_and_question_mark_are_wildcards() {
        let (sql, parameters) = condition(Level::Study, tags::STUDY_DESCRIPTION, "a[0-9]%_*?");
        let column = "study.study_description";
        assert_eq!(sql, format!("({column} >= ? AND {column} < ? AND {column} GLOB ?)"));
        assert_eq!(parameters, texts(&["a[0-9]%_", "a[0-9]%_\u{10FFFF}", "a[[]0-9]%_*?"]));
        assert_eq!(condition(Level::Study, tags::STUDY_DESCRIPTION, "*chest*").1, texts(&["*chest*"]));
    }

    #[test]
    fn a_list_of_uids_is_one_parameter() {
        let (sql, parameters) = condition(Level::Study, tags::STUDY_INSTANCE_UID, "1.2\\1.3");
        assert_eq!(sql, "study.study_instance_uid IN (SELECT value FROM json_each(?))");
        assert_eq!(parameters, texts(&["[\"1.2\",\"1.3\"]"]));
    }

    #[test]
    fn single_values_among_others_are_one_parameter() {
        let (sql, parameters) = condition(Level::Study, tags::ACCESSION_NUMBER, "A1\\B?\\A2");
        let column = "study.accession_number";
        let pattern = format!("({column} >= ? AND {column} < ? AND {column} GLOB ?)");
        assert_eq!(sql, format!("({pattern} OR {column} IN (SELECT value FROM json_each(?)))"));
        assert_eq!(parameters, texts(&["B", "B\u{10FFFF}", "B?", "[\"A1\",\"A2\"]"]));
        let (sql, parameters) = condition(Level::Study, tags::STUDY_RELATED_SERIES, "04\\x\\1");
        assert_eq!(sql, "study.series IN (SELECT value FROM json_each(?))");
        assert_eq!(parameters, texts(&["[4,1]"]));
    }

    #[test]
    fn keys_below_the_level_are_unsupported_and_ask_nothing() {
        let mut query = Query::new(Model::StudyRoot, Level::Study);
        query.keys.set_text(tags::SERIES_INSTANCE_UID, "1.2");
        query.keys.set_text(Tag(0x0018, 0x0050), "5");
        let selection = select(&query).unwrap();
        assert!(selection.condition.is_universal() && selection.filters.is_empty());
        assert_eq!(selection.unsupported, [Tag(0x0018, 0x0050), tags::SERIES_INSTANCE_UID]);
    }
}
