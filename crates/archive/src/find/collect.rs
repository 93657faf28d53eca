//! The row numbers of the matches of a query: at first those of a few hundred, which is all for a selective query and a
//! quick beginning for others, then, once, those of all the rest. A number that has become another row's since is
//! noticed by a count that triggers keep (`row_reuse`), and the condition is then asked again.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::headers::Headers;
use super::rows::Rows;
use super::statements::Statements;
use crate::Error;
use crate::blob::Blobs;
use crate::index::condition::Selection;

/// Row numbers that are collected before the first answer.
pub(super) const FIRST_COLLECTED: usize = 512;

/// The row numbers of the matches that are still to be read.
#[derive(Debug)]
pub(super) struct Collected {
    rows: Rows,
    /// How many are collected first.
    at_first: usize,
    /// The numbers that were collected first, in ascending order, when there are more.
    first: Vec<i64>,
    rest: Rest,
    /// How often a row number had become another's when these were collected.
    reuse: i64,
}

/// What is still to be collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Everything; a few first.
    First,
    /// All but those.
    All,
    Nothing,
}

impl Collected {
    /// Nothing yet; so many first, then all the rest.
    pub(super) fn beginning_with(at_first: usize) -> Collected {
        Collected { rows: Rows::default(), at_first, first: Vec::new(), rest: Rest::First, reuse: 0 }
    }

    /// Nothing is left, neither to be read nor to be collected.
    pub(super) fn is_done(&self) -> bool {
        self.rows.is_empty() && self.rest == Rest::Nothing
    }

    /// The next rows, at most so many, of which the condition is true now. They may be none because others have got
    /// their numbers, without being the last.
    pub(super) fn next(
        &mut self,
        length: usize,
        index: &Connection,
        selection: &Selection,
        statements: &Statements,
    ) -> Result<Vec<i64>, Error> {
        if self.rows.is_empty() {
            self.collect_more(index, selection, statements)?;
        }
        let rows: Vec<i64> = self.rows.by_ref().take(length).collect();
        if times_reused(index)? == self.reuse {
            return Ok(rows);
        }
        still_matching(index, selection, statements, &rows)
    }

    fn collect_more(
        &mut self,
        index: &Connection,
        selection: &Selection,
        statements: &Statements,
    ) -> Result<(), Error> {
        let Collected { rows, at_first, first, rest, reuse } = self;
        match rest {
            Rest::First => {
                first.extend(collect(index, selection, statements, Some(*at_first))?);
                *rows = first.iter().copied().collect();
                *rest = if first.len() < *at_first { Rest::Nothing } else { Rest::All };
                first.sort_unstable();
            }
            _ => {
                let all = collect(index, selection, statements, None)?;
                *rows = all.filter(|row| first.binary_search(row).is_err()).collect();
                *rest = Rest::Nothing;
            }
        }
        *reuse = times_reused(index)?;
        Ok(())
    }
}

/// The row numbers of all matches, at the level of the query; of what cannot be read for a key nobody knows.
pub(crate) fn matching_rows(
    index: &Connection,
    blobs: &Blobs,
    selection: &Selection,
) -> Result<Vec<i64>, Error> {
    let mut selection = selection.clone();
    selection.condition.choose_leader(index)?;
    let selection = &selection;
    let rows = collect(index, selection, &Statements::of(selection), None)?;
    if selection.filters.is_empty() {
        return Ok(rows.collect());
    }
    let mut headers = Headers::new(index, blobs, selection.level);
    let mut matching = Vec::new();
    for id in rows {
        let header = headers.read(id, &selection.needed)?;
        if header.in_file.is_empty()
            && selection.filters.iter().all(|filter| filter.matches(&header.data_set))
        {
            matching.push(id);
        }
    }
    Ok(matching)
}

/// The row numbers of the matches, of as many as are wanted.
fn collect(
    index: &Connection,
    selection: &Selection,
    statements: &Statements,
    limit: Option<usize>,
) -> Result<Rows, Error> {
    let mut statement = index.prepare_cached(&statements.collect)?;
    // SQLite takes a negative number as none.
    let limit = Value::Integer(limit.map_or(-1, |limit| limit as i64));
    let parameters = selection.condition.parameters().chain([&limit]);
    let rows = statement.query_map(params_from_iter(parameters), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How often the number of a row that was removed has become free for another.
fn times_reused(index: &Connection) -> Result<i64, Error> {
    let mut statement = index.prepare_cached("SELECT times FROM row_reuse")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Of these rows, those that the condition is true of now: others have got their numbers meanwhile.
fn still_matching(
    index: &Connection,
    selection: &Selection,
    statements: &Statements,
    rows: &[i64],
) -> Result<Vec<i64>, Error> {
    let mut statement = index.prepare_cached(&statements.still)?;
    let among = Value::Text(serde_json::Value::from(rows).to_string());
    let parameters = selection.condition.parameters().chain([&among]);
    let rows = statement.query_map(params_from_iter(parameters), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
