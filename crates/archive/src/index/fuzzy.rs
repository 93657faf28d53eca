//! Fuzzy matching of names within SQLite: a function that holds a name of `person_name` against a key. It goes
//! through the names of an attribute, all of them, so it costs what there are; only a query that negotiated it
//! pays.

use dicomet_proto::query::FuzzyName;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

/// `FUZZY_NAME(component group in the form of comparison, key)`.
pub(crate) const FUZZY_NAME: &str = "dicomet_fuzzy_name";

pub(crate) fn register(connection: &Connection) -> Result<(), rusqlite::Error> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function(FUZZY_NAME, 2, flags, |context| {
        // Kept between the calls of one statement.
        let key = context.get_or_create_aux(1, |value| value.as_str().map(FuzzyName::new))?;
        Ok(key.matches_group(context.get_raw(0).as_str()?))
    })
}
