//! The SQL of one query: how the row numbers of its matches are collected, and how the rows are read.

use dicomet_proto::query::Level;

use crate::index::condition::{Returned, Selection};

/// The statements of one query.
#[derive(Debug)]
pub(super) struct Statements {
    /// Parameters: those of the condition, how many.
    pub(super) collect: String,
    /// Parameter: the row.
    pub(super) by_row: String,
    /// Parameters: those of the condition, rows.
    pub(super) still: String,
    /// Parameters: the row after which to begin, how many.
    pub(super) scan: String,
}

impl Statements {
    pub(super) fn of(selection: &Selection) -> Statements {
        // Without a condition there is nothing to choose an index by: through the table, in its order.
        let (table, from, scan_from) = match selection.level {
            Level::Patient => ("patient", "patient", "patient NOT INDEXED"),
            Level::Study => ("study", "study", "study NOT INDEXED"),
            Level::Series => (
                "series",
                "series JOIN study ON study.id = series.study",
                "series NOT INDEXED CROSS JOIN study ON study.id = series.study",
            ),
            Level::Image => (
                "instance",
                "instance JOIN series ON series.id = instance.series JOIN study ON study.id = series.study",
                "instance NOT INDEXED CROSS JOIN series ON series.id = instance.series
                     CROSS JOIN study ON study.id = series.study",
            ),
        };
        let mut columns = format!("{table}.id");
        for returned in &selection.returned {
            if let Returned::Column(_, attribute) = returned {
                columns.push_str(", ");
                columns.push_str(attribute.value);
            }
        }
        let condition = selection.condition.sql();
        Statements {
            collect: format!("SELECT {table}.id FROM {from} WHERE {condition} LIMIT ?"),
            by_row: format!("SELECT {columns} FROM {from} WHERE {table}.id = ?"),
            still: format!(
                "SELECT {table}.id FROM {from}
                 WHERE {condition} AND {table}.id IN (SELECT value FROM json_each(?))"
            ),
            scan: format!(
                "SELECT {columns} FROM {scan_from} WHERE {table}.id > ? ORDER BY {table}.id LIMIT ?"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use dicomet_proto::dataset::Tag;
    use dicomet_proto::query::{Model, Query};
    use rusqlite::types::Value;
    use rusqlite::{Connection, params_from_iter};

    use super::*;
    use crate::Settings;
    use crate::index::attributes::tags;
    use crate::index::condition::select;
    use crate::index::schema::open_for_writing;

    /// How SQLite goes about collecting the matches of a key.
    fn plan(index: &Connection, level: Level, keys: &[(Tag, &str)]) -> String {
        let mut query = Query::new(Model::PatientRoot, level);
        for (tag, value) in keys {
            query.keys.set_text(*tag, value);
        }
        let selection = select(&query).unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {}", Statements::of(&selection).collect);
        let mut statement = index.prepare(&sql).unwrap();
        let limit = Value::Integer(1);
        let parameters = selection.condition.parameters.iter().chain([&limit]);
        let steps = statement.query_map(params_from_iter(parameters), |row| row.get::<_, String>(3)).unwrap();
        steps.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn selective_keys_never_go_through_a_whole_table() {
        let folder = tempfile::tempdir().unwrap();
        let index = open_for_writing(&folder.path().join("index.sqlite"), &Settings::default()).unwrap();
        let of_study = [(tags::STUDY_INSTANCE_UID, "1.2"), (tags::PATIENT_ID, "P1")];
        // So does what has no index of its own; were it otherwise, this test would look at the wrong words.
        assert!(plan(&index, Level::Study, &[(tags::STUDY_DESCRIPTION, "x")]).contains("SCAN study"));
        for (level, keys) in [
            (Level::Patient, &[(tags::PATIENT_ID, "P1")][..]),
            (Level::Patient, &[(tags::PATIENT_NAME, "bowen*")]),
            (Level::Study, &[(tags::STUDY_INSTANCE_UID, "1.2")]),
            (Level::Study, &[(tags::STUDY_INSTANCE_UID, "1.2\\1.3")]),
            (Level::Study, &[(tags::PATIENT_ID, "P1")]),
            (Level::Study, &[(tags::PATIENT_ID, "P1*")]),
            (Level::Study, &[(tags::PATIENT_NAME, "bowen^william")]),
            (Level::Study, &[(tags::PATIENT_NAME, "bowen*")]),
            (Level::Study, &[(tags::PATIENT_NAME, "*owen*")]),
            (Level::Study, &[(tags::REFERRING_PHYSICIAN_NAME, "house*")]),
            (Level::Study, &[(tags::ACCESSION_NUMBER, "A1")]),
            (Level::Study, &[(tags::STUDY_DATE, "20200301-20200331")]),
            (Level::Study, &[(tags::MODALITIES_IN_STUDY, "MR")]),
            (Level::Series, &of_study),
            (Level::Image, &[of_study[0], (tags::SERIES_INSTANCE_UID, "1.2.3")]),
            (Level::Image, &[(tags::SOP_INSTANCE_UID, "1.2.3.4")]),
        ] {
            let plan = plan(&index, level, keys);
            for table in
                ["patient", "study", "series", "instance", "person_name", "name_text", "study_modality"]
            {
                assert!(!format!("{plan};").contains(&format!("SCAN {table};")), "{keys:?}: {plan}");
                assert!(!plan.contains(&format!("SCAN {table} ")), "{keys:?}: {plan}");
            }
        }
    }
}
