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
    use crate::index::attributes::{INDEXED, tags};
    use crate::index::condition::select;
    use crate::index::schema::open_for_writing;

    /// How SQLite goes about collecting the matches of keys.
    fn plan(index: &Connection, level: Level, keys: &[(Tag, &str)]) -> String {
        let mut query = Query::new(Model::PatientRoot, level);
        for (tag, value) in keys {
            query.keys.set_text(*tag, value);
        }
        let mut selection = select(&query).unwrap();
        selection.condition.choose_leader(index).unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {}", Statements::of(&selection).collect);
        let mut statement = index.prepare(&sql).unwrap();
        let limit = Value::Integer(1);
        let parameters = selection.condition.parameters().chain([&limit]);
        let steps = statement.query_map(params_from_iter(parameters), |row| row.get::<_, String>(3)).unwrap();
        steps.map(|step| step.unwrap() + "; ").collect()
    }

    /// An index with more studies of one modality, SOP class and name than are counted at first.
    fn index_of_many() -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let index = open_for_writing(&folder.path().join("index.sqlite"), &Settings::default()).unwrap();
        index
            .execute_batch(
                "INSERT INTO patient VALUES (1, 'P', '', '', 'YAMADA', '', '', '');
                 WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 600)
                 INSERT INTO study (patient, study_instance_uid, patient_id, issuer_of_patient_id, patient_name,
                     patient_birth_date, patient_birth_date_search, patient_sex, study_date, study_date_search,
                     study_time, study_time_search, accession_number, study_id, study_description,
                     referring_physician_name)
                 SELECT 1, '2.999.' || n, 'P', '', 'YAMADA', '', '', '', '', '', '', '', '', '1', '', '' FROM number;
                 INSERT INTO study_modality SELECT id, 'CT' FROM study;
                 INSERT INTO study_sop_class SELECT id, '1.2.840.10008.5.1.4.1.1.2' FROM study;
                 INSERT INTO person_name SELECT 2, 'yamada', id, 0 FROM study;",
            )
            .unwrap();
        (folder, index)
    }

    const TABLES: [&str; 8] = [
        "patient",
        "study",
        "series",
        "instance",
        "person_name",
        "name_text",
        "study_modality",
        "study_sop_class",
    ];

    fn goes_through(plan: &str, table: &str) -> bool {
        plan.contains(&format!("SCAN {table} ")) || plan.contains(&format!("SCAN {table};"))
    }

    /// Keys that select few of however many, as the levels below see them too.
    const OF_PATIENT: [(Tag, &str); 7] = [
        (tags::PATIENT_ID, "P1"),
        (tags::PATIENT_ID, "P1*"),
        (tags::PATIENT_ID, "P1\\P2"),
        (tags::PATIENT_NAME, "bowen^william"),
        (tags::PATIENT_NAME, "bowen*"),
        (tags::PATIENT_BIRTH_DATE, "19700101"),
        (tags::PATIENT_BIRTH_DATE, "19700101-19700131"),
    ];
    const OF_STUDY: [(Tag, &str); 10] = [
        (tags::STUDY_INSTANCE_UID, "1.2"),
        (tags::STUDY_INSTANCE_UID, "1.2\\1.3"),
        (tags::ACCESSION_NUMBER, "A1"),
        (tags::ACCESSION_NUMBER, "A1*"),
        (tags::ACCESSION_NUMBER, "A1\\B*"),
        (tags::STUDY_ID, "S1"),
        (tags::STUDY_DATE, "20200301"),
        (tags::STUDY_DATE, "20200301-20200331"),
        (tags::STUDY_DATE, "20200301-"),
        (tags::REFERRING_PHYSICIAN_NAME, "house*"),
    ];
    const BELOW: [(Level, Tag, &str); 4] = [
        (Level::Series, tags::SERIES_INSTANCE_UID, "1.2.3"),
        (Level::Image, tags::SERIES_INSTANCE_UID, "1.2.3"),
        (Level::Image, tags::SOP_INSTANCE_UID, "1.2.3.4"),
        (Level::Image, tags::SOP_INSTANCE_UID, "1.2.3.4\\1.2.3.5"),
    ];

    /// Each at every level that knows it.
    fn selective() -> impl Iterator<Item = (Level, Tag, &'static str)> {
        let at = |level: Level, keys: &'static [(Tag, &'static str)]| {
            keys.iter().map(move |(tag, value)| (level, *tag, *value))
        };
        let below = [Level::Study, Level::Series, Level::Image];
        at(Level::Patient, &OF_PATIENT)
            .chain(
                below.into_iter().flat_map(move |level| at(level, &OF_PATIENT).chain(at(level, &OF_STUDY))),
            )
            .chain(BELOW)
    }

    #[test]
    fn selective_keys_never_go_through_a_whole_table() {
        let (_folder, index) = index_of_many();
        // So does what has no index of its own; were it otherwise, this test would look at the wrong words.
        assert!(goes_through(&plan(&index, Level::Study, &[(tags::STUDY_DESCRIPTION, "x")]), "study"));
        let others = [
            (Level::Patient, tags::PATIENT_NAME, "*owen*"),
            (Level::Study, tags::PATIENT_NAME, "*owen*"),
            (Level::Study, tags::MODALITIES_IN_STUDY, "MR"),
            (Level::Study, tags::MODALITIES_IN_STUDY, "CT"),
            (Level::Study, tags::SOP_CLASSES_IN_STUDY, "1.2.840.10008.5.1.4.1.1.4"),
        ];
        for (level, tag, value) in selective().chain(others) {
            let plan = plan(&index, level, &[(tag, value)]);
            for table in TABLES {
                assert!(!goes_through(&plan, table), "{level:?} {tag} {value}: {plan}");
            }
        }
    }

    #[test]
    fn what_many_studies_have_is_looked_at_from_those_that_a_selective_key_finds() {
        let (_folder, index) = index_of_many();
        let of_many = [
            (tags::MODALITIES_IN_STUDY, "CT"),
            (tags::MODALITIES_IN_STUDY, "C*"),
            (tags::MODALITIES_IN_STUDY, "*T"),
            (tags::MODALITIES_IN_STUDY, "MR\\C?"),
            (tags::SOP_CLASSES_IN_STUDY, "1.2.840.10008.5.1.4.1.1.2"),
            (tags::PATIENT_NAME, "y*"),
            (tags::PATIENT_NAME, "*amada*"),
            (tags::PATIENT_NAME, "*d*=*x*"),
            (tags::STUDY_ID, "1"),
        ];
        let below = |(level, ..): &(Level, Tag, &str)| *level > Level::Patient;
        for (level, tag, value) in selective().filter(below) {
            for (other, common) in of_many.into_iter().filter(|(other, _)| *other != tag) {
                let plan =
                    plan(&index, level, &[(tag, value), (other, common), (tags::MODALITIES_IN_STUDY, "CT")]);
                for table in TABLES {
                    assert!(!goes_through(&plan, table), "{level:?} {tag} {value} {common}: {plan}");
                }
                // Of lists there are those of the values of the key itself.
                let is_name = [tags::PATIENT_NAME, tags::REFERRING_PHYSICIAN_NAME].contains(&tag);
                assert!(is_name || !plan.contains("LIST SUBQUERY") || value.contains('\\'), "{plan}");
                for index in ["study_by_modality", "study_by_sop_class", "study_by_study_id (study_id=? AND"]
                {
                    assert!(!plan.contains(index), "{level:?} {tag} {value} {common}: {plan}");
                }
            }
        }
    }

    #[test]
    fn a_modality_that_few_studies_have_leads_and_one_of_many_as_ever_when_nothing_else_is_selective() {
        let (_folder, index) = index_of_many();
        for (modality, others) in [
            ("OP", [(tags::STUDY_ID, "1"), (tags::PATIENT_NAME, "y*")]),
            ("CT", [(tags::STUDY_DESCRIPTION, "x"), (tags::PATIENT_SEX, "F")]),
        ] {
            let keys = [others[0], others[1], (tags::MODALITIES_IN_STUDY, modality)];
            let plan = plan(&index, Level::Study, &keys);
            assert!(plan.starts_with("SEARCH study USING INTEGER PRIMARY KEY"), "{plan}");
            assert!(plan.contains("study_by_modality"), "{plan}");
        }
    }

    #[test]
    fn a_column_that_is_said_to_have_an_index_has_one() {
        let (_folder, index) = index_of_many();
        for column in INDEXED {
            let (table, name) = column.split_once('.').unwrap();
            let begun_by =
                "SELECT COUNT(*) FROM pragma_index_list(?1) AS list, pragma_index_info(list.name) AS info
                 WHERE info.seqno = 0 AND info.name = ?2";
            let indexes: i64 = index.query_row(begun_by, [table, name], |row| row.get(0)).unwrap();
            assert!(indexes > 0, "{column}");
        }
    }
}
