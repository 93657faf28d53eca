//! The row numbers of the matches of a query.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::headers::Headers;
use super::rows::Rows;
use super::statements::Statements;
use crate::Error;
use crate::blob::Blobs;
use crate::index::condition::Selection;

/// The row numbers of all matches, at the level of the query; of what cannot be read for a key nobody knows.
pub(crate) fn matching_rows(
    index: &Connection,
    blobs: &Blobs,
    selection: &Selection,
) -> Result<Vec<i64>, Error> {
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
pub(super) fn collect(
    index: &Connection,
    selection: &Selection,
    statements: &Statements,
    limit: Option<usize>,
) -> Result<Rows, Error> {
    let mut statement = index.prepare_cached(&statements.collect)?;
    // SQLite takes a negative number as none.
    let limit = Value::Integer(limit.map_or(-1, |limit| limit as i64));
    let parameters = selection.condition.parameters.iter().chain([&limit]);
    let rows = statement.query_map(params_from_iter(parameters), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How often the number of a row that was removed has become free for another.
pub(super) fn times_reused(index: &Connection) -> Result<i64, Error> {
    let mut statement = index.prepare_cached("SELECT times FROM row_reuse")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Of these rows, those that the condition is true of now: others have got their numbers meanwhile.
pub(super) fn still_matching(
    index: &Connection,
    selection: &Selection,
    statements: &Statements,
    rows: &[i64],
) -> Result<Vec<i64>, Error> {
    let mut statement = index.prepare_cached(&statements.still)?;
    let among = Value::Text(serde_json::Value::from(rows).to_string());
    let parameters = selection.condition.parameters.iter().chain([&among]);
    let rows = statement.query_map(params_from_iter(parameters), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
