//! What a key asks of person names, by their rows in `person_name`: one for each component group that is not empty.

use dicomet_proto::query::{Matching, NameKey, Pattern};
use rusqlite::types::Value;

use super::condition::{any, glob, glob_text, look};
use super::fuzzy::FUZZY_NAME;
use super::name_parts;
use super::term::{Form, Sql, Term};

/// Whose names: the number of the attribute, the column that owns its rows, and the one with the value.
pub(super) struct Name {
    pub(super) number: i64,
    pub(super) owner: &'static str,
    pub(super) value: &'static str,
}

impl Name {
    /// What a key asks of the name.
    pub(super) fn term(&self, matching: &Matching) -> Term {
        let sql = |form| Sql::of(|parameters| self.comparison(form, matching, parameters));
        Term::in_table(sql, self.walked(matching))
    }

    /// The rows that a list of the names goes through, when each pattern has a beginning that leads to them.
    fn walked(&self, matching: &Matching) -> Option<Sql> {
        let Matching::PersonName(key) = matching else { return None };
        let patterns = match key {
            NameKey::AnyGroup(patterns) => patterns,
            NameKey::Groups(groups) => groups.iter().find(|patterns| !patterns.is_empty())?,
        };
        let have_beginnings = patterns.iter().all(|pattern| !pattern.prefix().is_empty());
        have_beginnings.then(|| {
            Sql::of(|parameters| {
                let comparison =
                    any(patterns.iter().map(|pattern| glob("name", pattern, parameters)).collect());
                format!("person_name WHERE attribute = {} AND {comparison}", self.number)
            })
        })
    }

    fn comparison(&self, form: Form, matching: &Matching, parameters: &mut Vec<Value>) -> String {
        match matching {
            Matching::PersonName(key) => self.key(form, key, parameters),
            Matching::FuzzyName(key) => {
                let exact = self.key(form, key.exact(), parameters);
                parameters.push(Value::Text(key.text().to_owned()));
                format!("({exact} OR {})", self.has_row(form, &format!("{FUZZY_NAME}(name, ?)")))
            }
            Matching::AllOf(all) => {
                let all: Vec<String> =
                    all.iter().map(|matching| self.comparison(form, matching, parameters)).collect();
                format!("({})", all.join(" AND "))
            }
            Matching::AnyOf(alternatives) => {
                any(alternatives.iter().map(|matching| self.comparison(form, matching, parameters)).collect())
            }
            Matching::Universal | Matching::Unsupported => "1".to_owned(),
            _ => "0".to_owned(),
        }
    }

    fn key(&self, form: Form, key: &NameKey, parameters: &mut Vec<Value>) -> String {
        let Name { number, owner, value } = self;
        match key {
            NameKey::AnyGroup(patterns) => {
                // A group that is not there has no row, and is what such a pattern is for too.
                if !patterns.iter().any(|pattern| pattern.matches("")) {
                    return self.has_row(form, &one_of(form, patterns, parameters));
                }
                let part = self.has_row(Form::Look, &one_of(Form::Look, patterns, parameters));
                format!(
                    "({value} <> '' AND ({part} OR (SELECT COUNT(DISTINCT component_group) FROM person_name
                         WHERE attribute = {number} AND owner = {owner}) < 3))"
                )
            }
            NameKey::Groups(groups) => {
                let mut parts = vec![format!("{value} <> ''")];
                let mut form = form;
                for (group, patterns) in
                    groups.iter().enumerate().filter(|(_, patterns)| !patterns.is_empty())
                {
                    let may_be_absent = patterns.iter().any(|pattern| pattern.matches(""));
                    let form =
                        if may_be_absent { Form::Look } else { std::mem::replace(&mut form, Form::Look) };
                    let of_group = format!("component_group = {group}");
                    let mut part =
                        self.has_row(form, &format!("{of_group} AND {}", one_of(form, patterns, parameters)));
                    if may_be_absent {
                        part = format!("({part} OR NOT {})", self.has_row(Form::Look, &of_group));
                    }
                    parts.push(part);
                }
                format!("({})", parts.join(" AND "))
            }
        }
    }

    /// That the name has a row of which the condition is true.
    fn has_row(&self, form: Form, condition: &str) -> String {
        let Name { number, owner, .. } = self;
        match form {
            Form::List => format!(
                "{owner} IN (SELECT owner FROM person_name WHERE attribute = {number} AND {condition})"
            ),
            Form::Look => {
                let rows = format!("person_name WHERE attribute = {number} AND person_name.owner = {owner}");
                look(&format!("{rows} AND {condition})"))
            }
        }
    }
}

fn one_of(form: Form, patterns: &[Pattern], parameters: &mut Vec<Value>) -> String {
    any(patterns.iter().map(|pattern| name_glob(form, pattern, parameters)).collect())
}

/// A pattern for the rows of `person_name`. A list of those that contain something is made by the parts of names.
fn name_glob(form: Form, pattern: &Pattern, parameters: &mut Vec<Value>) -> String {
    let groups = name_parts::groups_of(pattern).filter(|_| form == Form::List);
    match (groups, glob_text(pattern)) {
        (Some(groups), Some(glob)) => {
            parameters.extend([groups, glob.clone(), glob].map(Value::Text));
            name_parts::CONDITION.to_owned()
        }
        _ => glob("name", pattern, parameters),
    }
}
