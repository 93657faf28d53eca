//! A query as SQL: pure, parameterised, and the only place that decides which keys a query can have.
//!
//! A key whose attribute has a column becomes a condition; one without is a filter on the stored header, applied
//! after; one below the level, or one that is only counted, is unsupported and said so (PS3.4 C.4.1.1.4, FF01).

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::vr_of;
use dicomet_proto::dataset::{DataSet, Tag, VR};
use dicomet_proto::message::{Refusal, Status};
use dicomet_proto::query::{Level, Model, Query};
use rusqlite::types::Value;

use super::attributes::{Attribute, Kind, attribute, level_of, tags};
use super::criterion::Criterion;
use super::normalise::{person_name, trim};

/// Whether the unique keys above the level must be there (PS3.4 C.4.1.2.1) or need not, as negotiated
/// (C.4.1.2.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Relation {
    /// Hierarchical: one value for each unique key above the level.
    #[default]
    Hierarchical,
    /// Relational.
    Relational,
}

/// Conditions that hold together.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Condition {
    sql: String,
    pub(crate) parameters: Vec<Value>,
}

impl Condition {
    /// The expression; `1` when nothing is asked.
    pub(crate) fn sql(&self) -> &str {
        if self.sql.is_empty() { "1" } else { &self.sql }
    }

    pub(crate) fn is_universal(&self) -> bool {
        self.sql.is_empty()
    }

    fn and(&mut self, sql: &str, parameters: impl IntoIterator<Item = Value>) {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        self.sql.push_str(sql);
        self.parameters.extend(parameters);
    }
}

/// A filter on an attribute that has no column.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    /// On the values of an element.
    Values(Tag, VR, Criterion),
    /// On person names, by component group.
    Names(Tag, Vec<[Criterion; 3]>),
    /// On the items of a sequence: one of them must pass all of these.
    Items(Tag, Vec<Filter>),
}

/// What is put into an answer.
#[derive(Debug, Clone)]
pub(crate) enum Returned {
    /// The expression with this position in the list of columns.
    Column(Tag, &'static Attribute),
    /// From the stored header; of a sequence, the elements that the key's item names (all when none).
    Header(Tag, Vec<Tag>),
    /// The same in every answer.
    Constant(Tag, &'static str),
    /// Not supported: there, and empty.
    Empty(Tag),
}

/// A query taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    pub(crate) level: Level,
    pub(crate) condition: Condition,
    pub(crate) filters: Vec<Filter>,
    pub(crate) returned: Vec<Returned>,
    /// Attributes of the stored headers that filters and answer need.
    pub(crate) header_tags: Vec<Tag>,
    pub(crate) unsupported: Vec<Tag>,
}

/// Takes a C-FIND query apart.
///
/// # Errors
/// A900 when the identifier does not fit model, level or hierarchy.
pub(crate) fn select(query: &Query, relation: Relation) -> Result<Selection, Refusal> {
    check_level(query)?;
    if relation == Relation::Hierarchical {
        check_keys_above(query)?;
    }
    let keys = &query.keys;
    let mut selection = Selection {
        level: query.level,
        condition: Condition::default(),
        filters: Vec::new(),
        returned: Vec::new(),
        header_tags: Vec::new(),
        unsupported: Vec::new(),
    };
    for tag in keys.tags().filter(|&tag| !is_control(tag)) {
        if tag == tags::INSTANCE_AVAILABILITY {
            selection.returned.push(Returned::Constant(tag, "ONLINE"));
        } else if let Some(attribute) = attribute(tag, query.level) {
            selection.column_key(attribute, keys);
        } else if level_of(tag) <= query.level {
            selection.header_key(tag, keys);
        } else {
            selection.unsupported(tag);
        }
    }
    Ok(selection)
}

impl Selection {
    fn column_key(&mut self, attribute: &'static Attribute, keys: &DataSet) {
        if attribute.level > self.level {
            return self.unsupported(attribute.tag);
        }
        self.returned.push(Returned::Column(attribute.tag, attribute));
        self.condition.require(attribute, &keys.texts(attribute.tag));
    }

    fn header_key(&mut self, tag: Tag, keys: &DataSet) {
        self.header_tags.push(tag);
        if let Some(filter) = filter(tag, keys) {
            self.filters.push(filter);
        }
        let items = keys.items(tag).unwrap_or_default();
        let wanted = items.first().map(|item| item.tags().collect()).unwrap_or_default();
        self.returned.push(Returned::Header(tag, wanted));
    }

    fn unsupported(&mut self, tag: Tag) {
        self.unsupported.push(tag);
        self.returned.push(Returned::Empty(tag));
    }
}

/// What a retrieve identifier asks for: unique keys, down to its level (PS3.4 C.4.2.2.1, C.4.3.2.1).
///
/// # Errors
/// A900 when the level's own unique key is missing, or one above it.
pub(crate) fn select_for_retrieve(query: &Query, relation: Relation) -> Result<Condition, Refusal> {
    check_level(query)?;
    if relation == Relation::Hierarchical {
        check_keys_above(query)?;
    }
    let own = unique_key(query.level);
    if query.keys.texts(own).iter().all(|value| trim(value).is_empty()) {
        return Err(Refusal::new(
            Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
            "the unique key of the level has no value",
        )
        .offending(own));
    }
    let mut condition = Condition::default();
    for level in [Level::Patient, Level::Study, Level::Series, Level::Image] {
        // Seen from below, a patient's instances are those of its studies.
        if level <= query.level
            && let Some(attribute) = attribute(unique_key(level), Level::Image)
        {
            let values: Vec<String> =
                query.keys.texts(attribute.tag).iter().map(|value| trim(value).to_owned()).collect();
            if values.iter().any(|value| !value.is_empty()) {
                // Never a pattern: a retrieve names what it wants.
                condition.require_criterion(attribute, &Criterion::OneOf(values));
            }
        }
    }
    Ok(condition)
}

fn is_control(tag: Tag) -> bool {
    tag.1 == 0
        || [
            tags::SPECIFIC_CHARACTER_SET,
            tags::QUERY_RETRIEVE_LEVEL,
            tags::RETRIEVE_AE_TITLE,
            tags::TIMEZONE_OFFSET,
        ]
        .contains(&tag)
}

fn unique_key(level: Level) -> Tag {
    match level {
        Level::Patient => tags::PATIENT_ID,
        Level::Study => tags::STUDY_INSTANCE_UID,
        Level::Series => tags::SERIES_INSTANCE_UID,
        Level::Image => tags::SOP_INSTANCE_UID,
    }
}

fn check_level(query: &Query) -> Result<(), Refusal> {
    let fits = match query.model {
        Model::PatientRoot => true,
        Model::StudyRoot => query.level >= Level::Study,
        Model::PatientStudyOnly => query.level <= Level::Study,
        Model::Worklist => false,
    };
    if fits {
        return Ok(());
    }
    Err(Refusal::new(Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS, "the model does not have this level")
        .offending(tags::QUERY_RETRIEVE_LEVEL))
}

fn check_keys_above(query: &Query) -> Result<(), Refusal> {
    let top = if query.model == Model::StudyRoot { Level::Study } else { Level::Patient };
    for level in [Level::Patient, Level::Study, Level::Series] {
        if level < top || level >= query.level {
            continue;
        }
        let key = unique_key(level);
        let values = query.keys.texts(key);
        let single = match &values[..] {
            [value] if level == Level::Patient => !trim(value).is_empty() && !value.contains(['*', '?']),
            [value] => Uid::new(trim(value)).is_ok(),
            _ => false,
        };
        if !single {
            return Err(Refusal::new(
                Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
                "a unique key above the level must have one value",
            )
            .offending(key));
        }
    }
    Ok(())
}

impl Condition {
    /// Requires what the values of a key ask.
    fn require(&mut self, attribute: &Attribute, values: &[String]) {
        match attribute.kind {
            Kind::Name(number, owner) => {
                let names = name_criteria(values);
                if names.is_empty() {
                    return;
                }
                let mut alternatives = Vec::new();
                let mut parameters = Vec::new();
                for groups in &names {
                    alternatives.push(name_condition(number, owner, groups, &mut parameters));
                }
                self.and(&format!("({})", alternatives.join(" OR ")), parameters);
            }
            _ => self.require_criterion(attribute, &Criterion::of(attribute.vr, values)),
        }
    }

    fn require_criterion(&mut self, attribute: &Attribute, criterion: &Criterion) {
        if *criterion == Criterion::Universal {
            return;
        }
        let mut parameters = Vec::new();
        match attribute.kind {
            Kind::Column(column) => {
                let sql = comparison(column, criterion, &mut parameters);
                self.and(&sql, parameters);
            }
            Kind::OfStudy(table, column) => {
                let sql = comparison(column, criterion, &mut parameters);
                self.and(&format!("study.id IN (SELECT study FROM {table} WHERE {sql})"), parameters);
            }
            // A count is returned whatever was asked (PS3.4 C.3.4: it cannot be matched).
            Kind::Count | Kind::Name(..) => {}
        }
    }
}

/// A comparison of a column with what is asked of it.
fn comparison(column: &str, criterion: &Criterion, parameters: &mut Vec<Value>) -> String {
    let alternatives: Vec<String> = criterion
        .alternatives()
        .iter()
        .map(|criterion| match criterion {
            Criterion::Universal => "1".to_owned(),
            Criterion::OneOf(values) => match &values[..] {
                [] => "0".to_owned(),
                [value] => {
                    parameters.push(Value::Text(value.clone()));
                    format!("{column} = ?")
                }
                // One parameter however many values: a list of 10,000 UIDs is no longer a statement.
                _ => {
                    parameters.push(Value::Text(serde_json::Value::from(values.as_slice()).to_string()));
                    format!("{column} IN (SELECT value FROM json_each(?))")
                }
            },
            Criterion::Range(from, to) => {
                parameters.extend([Value::Text(from.clone()), Value::Text(to.clone())]);
                format!("{column} BETWEEN ? AND ?")
            }
            Criterion::Pattern(pattern) => pattern_comparison(column, pattern, parameters),
            Criterion::Any(_) => comparison_of_any(column, criterion, parameters),
        })
        .collect();
    if alternatives.len() == 1 { alternatives.concat() } else { format!("({})", alternatives.join(" OR ")) }
}

/// [`Criterion::of`] never puts alternatives into alternatives; were it to, they hold all the same.
fn comparison_of_any(column: &str, criterion: &Criterion, parameters: &mut Vec<Value>) -> String {
    let parts: Vec<String> =
        criterion.alternatives().iter().map(|part| comparison(column, part, parameters)).collect();
    format!("({})", parts.join(" OR "))
}

/// A pattern as GLOB, with the range of its beginning so that an index serves it.
fn pattern_comparison(column: &str, pattern: &str, parameters: &mut Vec<Value>) -> String {
    let prefix: String = pattern.chars().take_while(|c| !matches!(c, '*' | '?')).collect();
    let glob = Value::Text(pattern.replace('[', "[[]"));
    if prefix.is_empty() {
        parameters.push(glob);
        return format!("{column} GLOB ?");
    }
    // Nothing that begins with the prefix sorts after it with the last character of Unicode behind.
    let end = format!("{prefix}{}", char::MAX);
    parameters.extend([Value::Text(prefix), Value::Text(end), glob]);
    format!("({column} >= ? AND {column} < ? AND {column} GLOB ?)")
}

/// What a person name key asks, a triple for each of its values: criteria for the alphabetic, ideographic and
/// phonetic group. Empty for universal matching.
fn name_criteria(values: &[String]) -> Vec<[Criterion; 3]> {
    let mut names = Vec::new();
    for value in values {
        let mut groups = value.splitn(3, '=');
        let groups: [Criterion; 3] = std::array::from_fn(|_| {
            Criterion::of(VR::PN, &groups.next().map(|group| vec![person_name(group)]).unwrap_or_default())
        });
        if groups.iter().all(|group| *group == Criterion::Universal) {
            return Vec::new();
        }
        names.push(groups);
    }
    names
}

/// Whether a name key has its first group only: then any group of the stored name may fit it.
fn any_group(groups: &[Criterion; 3]) -> Option<&Criterion> {
    match groups {
        [first, Criterion::Universal, Criterion::Universal] => Some(first),
        _ => None,
    }
}

fn name_condition(
    attribute: i64,
    owner: &str,
    groups: &[Criterion; 3],
    parameters: &mut Vec<Value>,
) -> String {
    if let Some(criterion) = any_group(groups) {
        let comparison = comparison("name", criterion, parameters);
        return format!(
            "{owner} IN (SELECT owner FROM person_name WHERE attribute = {attribute} AND {comparison})"
        );
    }
    let parts: Vec<String> = (0..)
        .zip(groups)
        .filter(|(_, criterion)| **criterion != Criterion::Universal)
        .map(|(number, criterion): (i64, _)| {
            let comparison = comparison("name", criterion, parameters);
            format!(
                "{owner} IN (SELECT owner FROM person_name WHERE attribute = {attribute} AND {comparison} AND component_group = {number})"
            )
        })
        .collect();
    format!("({})", parts.join(" AND "))
}

/// The filter of a key without a column; `None` when it asks nothing.
fn filter(tag: Tag, keys: &DataSet) -> Option<Filter> {
    if let Some(items) = keys.items(tag) {
        let item = items.into_iter().next()?;
        let filters: Vec<Filter> = item.tags().filter_map(|tag| filter(tag, &item)).collect();
        return (!filters.is_empty()).then_some(Filter::Items(tag, filters));
    }
    let vr = match vr_of(tag) {
        VR::UN => keys.vr(tag).unwrap_or(VR::UN),
        vr => vr,
    };
    let values = keys.texts(tag);
    if vr == VR::PN {
        let names = name_criteria(&values);
        return (!names.is_empty()).then_some(Filter::Names(tag, names));
    }
    match Criterion::of(vr, &values) {
        Criterion::Universal => None,
        criterion => Some(Filter::Values(tag, vr, criterion)),
    }
}

impl Filter {
    /// Whether a stored header, or an item in it, passes. An element of several values passes when one does.
    pub(crate) fn passes(&self, header: &DataSet) -> bool {
        match self {
            Filter::Values(tag, vr, criterion) => {
                let values = header.texts(*tag);
                values.iter().any(|value| criterion.matches(&super::normalise::search_form(*vr, value)))
            }
            Filter::Names(tag, names) => header.texts(*tag).iter().any(|stored| {
                let stored = super::normalise::component_groups(stored);
                names.iter().any(|groups| match any_group(groups) {
                    Some(criterion) => {
                        stored.iter().any(|group| !group.is_empty() && criterion.matches(group))
                    }
                    None => stored.iter().zip(groups).all(|(group, criterion)| criterion.matches(group)),
                })
            }),
            Filter::Items(tag, filters) => header
                .items(*tag)
                .unwrap_or_default()
                .iter()
                .any(|item| filters.iter().all(|filter| filter.passes(item))),
        }
    }
}
