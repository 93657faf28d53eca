//! What the keys of a query ask, a term of SQL each, and which of them leads.
//!
//! Modalities, SOP classes and names have tables of their own. Such a key can be asked in two ways: by a list of all
//! that match it, which their index gives, and by a look from a study that another key has found. Of several
//! keys one leads, the one with the fewest rows to go through, and the others are looked at from what it finds: so the
//! cost is that of the most selective key, whatever else is asked. Which one that is nobody knows beforehand ("since
//! 2015", a rare modality), so their rows are counted first, as far as a few are.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// Rows that are counted of each key, one number after the other, until one key has fewer. Beyond the last no key is
/// selective; to count it takes a millisecond or two.
const COUNTED: [i64; 3] = [512, 4096, 32_768];

/// A piece of SQL with its parameters.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Sql {
    text: String,
    parameters: Vec<Value>,
}

impl Sql {
    /// What is written, with the parameters that are pushed meanwhile.
    pub(super) fn of(write: impl FnOnce(&mut Vec<Value>) -> String) -> Sql {
        let mut parameters = Vec::new();
        Sql { text: write(&mut parameters), parameters }
    }

    /// The same with more before and after.
    pub(super) fn between(self, before: &str, after: &str) -> Sql {
        Sql { text: format!("{before}{}{after}", self.text), ..self }
    }
}

/// How a key that another table answers is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// All that match, as a list.
    List,
    /// One row, that has been found by another key.
    Look,
}

/// What one key asks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Term {
    /// When it leads.
    leading: Sql,
    /// When another does: such that no index is used for it.
    following: Sql,
    /// The rows of an index that it goes through when it leads, as a table with a condition; where there is no index,
    /// or none that tells beforehand how many they are, nothing.
    walked: Option<Sql>,
    is_list: bool,
}

impl Term {
    /// What no index serves, or whose index is left to SQLite.
    pub(super) fn plain(sql: Sql) -> Term {
        Term { leading: sql.clone(), following: sql, walked: None, is_list: false }
    }

    /// What an index of the column serves.
    pub(super) fn indexed(leading: Sql, following: Sql, walked: Sql) -> Term {
        Term { leading, following, walked: Some(walked), is_list: false }
    }

    /// What another table answers.
    pub(super) fn in_table(sql: impl Fn(Form) -> Sql, walked: Option<Sql>) -> Term {
        Term { leading: sql(Form::List), following: sql(Form::Look), walked, is_list: true }
    }

    /// How many rows it goes through, if they can be counted and are fewer than so many.
    fn fewer_than(&self, most: i64, index: &Connection) -> rusqlite::Result<Option<i64>> {
        let Some(walked) = &self.walked else { return Ok(None) };
        let sql = format!("SELECT COUNT(*) FROM (SELECT 1 FROM {} LIMIT ?)", walked.text);
        let limit = Value::Integer(most);
        let parameters = walked.parameters.iter().chain([&limit]);
        let mut statement = index.prepare_cached(&sql)?;
        let count: i64 = statement.query_row(params_from_iter(parameters), |row| row.get(0))?;
        Ok((count < most).then_some(count))
    }
}

/// Terms that hold together.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Condition {
    terms: Vec<Term>,
    /// Which of them leads. Without one, each is as if it did, and SQLite decides.
    leader: Option<usize>,
}

impl Condition {
    pub(super) fn and(&mut self, term: Term) {
        self.terms.push(term);
    }

    /// The expression; `1` when nothing is asked.
    pub(crate) fn sql(&self) -> String {
        match self.is_universal() {
            true => "1".to_owned(),
            false => self.parts().map(|sql| sql.text.as_str()).collect::<Vec<_>>().join(" AND "),
        }
    }

    /// The parameters of the expression.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Value> {
        self.parts().flat_map(|sql| &sql.parameters)
    }

    pub(crate) fn is_universal(&self) -> bool {
        self.terms.is_empty()
    }

    fn parts(&self) -> impl Iterator<Item = &Sql> {
        self.terms.iter().enumerate().map(|(number, term)| {
            match self.leader.is_none_or(|leader| leader == number) {
                true => &term.leading,
                false => &term.following,
            }
        })
    }

    /// Has the key lead that goes through the fewest rows, where it matters: where a list would be made beside another
    /// key that finds rows. None leads when all have many.
    pub(crate) fn choose_leader(&mut self, index: &Connection) -> rusqlite::Result<()> {
        let finds = |term: &&Term| term.is_list || term.walked.is_some();
        if !self.terms.iter().any(|term| term.is_list) || self.terms.iter().filter(finds).count() < 2 {
            return Ok(());
        }
        for most in COUNTED {
            let mut fewest = None;
            for (number, term) in self.terms.iter().enumerate() {
                if let Some(count) = term.fewer_than(most, index)? {
                    fewest = fewest.into_iter().chain([(count, number)]).min();
                }
            }
            if let Some((_, leader)) = fewest {
                self.leader = Some(leader);
                return Ok(());
            }
        }
        Ok(())
    }
}
