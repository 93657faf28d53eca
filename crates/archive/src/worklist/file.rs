//! Files with worklist items: DICOM files (PS3.10), as DCMTK's `dump2dcm` makes them for its own worklist server, or
//! the DICOM JSON model (PS3.18 Annex F), one data set, an array, or one behind the other.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use dicomet_proto::dataset::{DataSet, DataSetError, FileMeta, FileMetaError};

use super::{InvalidItem, WorklistItem};

/// The longest file that is read: tens of thousands of items in JSON.
const MAX_FILE_LENGTH: u64 = 64 * 1024 * 1024;

/// Why a file's items are not put into a worklist. None of a file's items are, when one is not fit.
#[derive(Debug, thiserror::Error)]
pub enum WorklistFileError {
    /// Reading failed.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is longer than any list of items.
    #[error("longer than {} MiB", MAX_FILE_LENGTH >> 20)]
    TooLong,
    /// Neither a DICOM file nor JSON.
    #[error("neither a DICOM file nor DICOM JSON")]
    NeitherDicomNorJson,
    /// A DICOM file that is broken.
    #[error("{0}")]
    FileMeta(FileMetaError),
    /// A data set that cannot be read.
    #[error("{0}")]
    DataSet(#[from] DataSetError),
    /// Broken JSON.
    #[error("broken JSON: {0}")]
    Json(serde_json::Error),
    /// There is none in it.
    #[error("no worklist item in it")]
    Empty,
    /// An item that is not fit.
    #[error("item {number}: {reason}")]
    Item {
        /// Counted from 1.
        number: usize,
        /// Why.
        reason: InvalidItem,
    },
}

/// Reads the items of a file.
///
/// # Errors
/// [`WorklistFileError`].
pub fn read(path: &Path) -> Result<Vec<WorklistItem>, WorklistFileError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_LENGTH + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_LENGTH {
        return Err(WorklistFileError::TooLong);
    }
    of_bytes(&bytes)
}

fn of_bytes(bytes: &[u8]) -> Result<Vec<WorklistItem>, WorklistFileError> {
    let data_sets = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => of_json(bytes)?,
        _ => vec![of_part10(bytes)?],
    };
    let mut items = Vec::new();
    for (index, data_set) in data_sets.iter().enumerate() {
        let of_one = WorklistItem::of_data_set(data_set);
        items.extend(of_one.map_err(|reason| WorklistFileError::Item { number: index + 1, reason })?);
    }
    if items.is_empty() { Err(WorklistFileError::Empty) } else { Ok(items) }
}

fn of_part10(bytes: &[u8]) -> Result<DataSet, WorklistFileError> {
    let (meta, offset) = FileMeta::read(&mut Cursor::new(bytes)).map_err(|error| match error {
        FileMetaError::NotDicom => WorklistFileError::NeitherDicomNorJson,
        error => WorklistFileError::FileMeta(error),
    })?;
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    Ok(DataSet::parse(bytes.get(offset..).unwrap_or_default(), &meta.transfer_syntax)?)
}

fn of_json(bytes: &[u8]) -> Result<Vec<DataSet>, WorklistFileError> {
    let mut data_sets = Vec::new();
    for value in serde_json::Deserializer::from_slice(bytes).into_iter::<serde_json::Value>() {
        match value.map_err(WorklistFileError::Json)? {
            serde_json::Value::Array(values) => {
                for value in &values {
                    data_sets.push(DataSet::from_json(value)?);
                }
            }
            value => data_sets.push(DataSet::from_json(&value)?),
        }
    }
    Ok(data_sets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ITEM: &str = r#"{
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Bowen^William^^Dr"}]},
        "00100020": {"vr": "LO", "Value": ["PAT004"]},
        "0020000D": {"vr": "UI", "Value": ["2.999.1"]},
        "00321060": {"vr": "LO", "Value": ["CT thorax"]},
        "00401001": {"vr": "SH", "Value": ["R1"]},
        "00400100": {"vr": "SQ", "Value": [{
            "00080060": {"vr": "CS", "Value": ["CT"]},
            "00400001": {"vr": "AE", "Value": ["CT1"]},
            "00400002": {"vr": "DA", "Value": ["20240131"]},
            "00400003": {"vr": "TM", "Value": ["1030"]},
            "00400007": {"vr": "LO", "Value": ["Thorax"]},
            "00400009": {"vr": "SH", "Value": ["S1"]}
        }]}
    }"#;

    #[test]
    fn json_is_one_data_set_an_array_or_one_behind_the_other() {
        for (text, count) in
            [(ITEM.to_owned(), 1), (format!("[{ITEM},{ITEM}]"), 2), (format!("\n{ITEM}\n{ITEM}\n{ITEM}"), 3)]
        {
            assert_eq!(of_bytes(text.as_bytes()).unwrap().len(), count);
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        for (text, message) in [
            ("hello", "neither a DICOM file nor DICOM JSON"),
            ("", "neither a DICOM file nor DICOM JSON"),
            ("[]", "no worklist item in it"),
            ("[{]", "broken JSON"),
            ("{\"00100010\": 1, \"x\": 2}", "malformed"),
        ] {
            let error = of_bytes(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
        let two = format!("[{ITEM},{}]", ITEM.replace("PAT004", ""));
        let error = of_bytes(two.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("item 2: ") && error.contains("PatientID"), "{error}");
    }

    /// JSON in the shape of the DICOM JSON model, as far as it goes.
    fn hostile_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "(CT|2024.{0,4}|1\\.2|.{0,8})".prop_map(Into::into),
        ];
        let key = "(00100010|00100020|0020000D|00400100|00400002|7FE00010|vr|Value|InlineBinary|BulkDataURI|Alphabetic|.{0,9})";
        leaf.prop_recursive(8, 64, 6, move |inner| {
            let element = ("(PN|LO|DA|SQ|OB|AT|US|FD|UN|XX|)", prop::collection::vec(inner.clone(), 0..3))
                .prop_map(|(vr, values)| serde_json::json!({"vr": vr, "Value": values}));
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(key, prop_oneof![inner, element], 0..5)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_json_makes_it_panic(json in hostile_json()) {
            let _ = of_bytes(json.to_string().as_bytes());
        }

        /// One byte of a good item changed, and its end cut off.
        #[test]
        fn no_damage_makes_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), end in any::<prop::sample::Index>()) {
            let mut bytes = ITEM.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = of_bytes(&bytes);
            let _ = of_bytes(&bytes[..end.index(bytes.len())]);
        }
    }

    #[test]
    fn json_that_is_nested_very_deep_is_refused() {
        for deep in ["[".repeat(100_000), "{\"00400100\":{\"vr\":\"SQ\",\"Value\":[".repeat(20_000)] {
            assert!(matches!(of_bytes(deep.as_bytes()), Err(WorklistFileError::Json(_))));
        }
    }
}
