//! What lies in a folder: Part 10 files by SOP Instance UID, and their data sets byte for byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// (0002,0003), in the file meta information.
const MEDIA_STORAGE_SOP_INSTANCE_UID: u16 = 0x0003;
/// (0002,0010), in the file meta information.
const TRANSFER_SYNTAX_UID: u16 = 0x0010;

/// A Part 10 file, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part10 {
    /// (0002,0010)
    pub transfer_syntax_uid: String,
    /// All that comes behind the file meta information.
    pub data_set: Vec<u8>,
}

/// Every regular file under a path, in order.
///
/// # Panics
/// When a folder cannot be read.
pub fn files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let mut entries: Vec<_> = std::fs::read_dir(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    entries.iter().flat_map(|entry| files(entry)).collect()
}

/// Every Part 10 file under a path.
pub fn dicom_files(path: &Path) -> Vec<PathBuf> {
    let is_part10 = |path: &PathBuf| {
        std::fs::read(path).is_ok_and(|bytes| bytes.get(128..132) == Some(b"DICM".as_slice()))
    };
    files(path).into_iter().filter(is_part10).collect()
}

/// All instances under a path by SOP Instance UID.
///
/// # Panics
/// When one is there twice with different bytes.
pub fn instances(path: &Path) -> BTreeMap<String, Part10> {
    let mut instances = BTreeMap::new();
    for file in dicom_files(path) {
        let (uid, part10) = take_apart(&std::fs::read(&file).expect("the file can be read"));
        if let Some(first) = instances.insert(uid, part10.clone()) {
            assert!(first == part10, "{} stands there twice, differing", file.display());
        }
    }
    instances
}

/// Fails with the differing UIDs when two sets of instances are not the same, byte for byte.
///
/// # Panics
/// When they differ.
#[track_caller]
pub fn assert_identical(ours: &BTreeMap<String, Part10>, theirs: &BTreeMap<String, Part10>) {
    let missing: Vec<_> = theirs.keys().filter(|uid| !ours.contains_key(*uid)).collect();
    let surplus: Vec<_> = ours.keys().filter(|uid| !theirs.contains_key(*uid)).collect();
    let differing: Vec<_> = ours
        .iter()
        .filter_map(|(uid, one)| theirs.get(uid).filter(|other| *other != one).map(|other| (uid, one, other)))
        .map(|(uid, one, other)| {
            let same = one.data_set.iter().zip(&other.data_set).take_while(|(a, b)| a == b).count();
            let (ours, theirs) = (&one.transfer_syntax_uid, &other.transfer_syntax_uid);
            format!("{uid} at byte {same} of {}, {ours} and {theirs}", one.data_set.len())
        })
        .collect();
    assert!(
        missing.is_empty() && surplus.is_empty() && differing.is_empty(),
        "missing: {missing:?}\nsurplus: {surplus:?}\ndiffering: {differing:#?}"
    );
}

/// Takes a Part 10 file apart by walking its group 0002, which is always in Explicit VR Little Endian.
fn take_apart(file: &[u8]) -> (String, Part10) {
    let (mut uid, mut transfer_syntax_uid) = (String::new(), String::new());
    let mut rest = &file[132..];
    while rest.starts_with(&[2, 0]) {
        let element = u16::from_le_bytes([rest[2], rest[3]]);
        let (head, length) = match &rest[4..6] {
            b"OB" | b"UN" => (12, u32::from_le_bytes([rest[8], rest[9], rest[10], rest[11]]) as usize),
            _ => (8, usize::from(u16::from_le_bytes([rest[6], rest[7]]))),
        };
        let value = String::from_utf8_lossy(&rest[head..head + length]);
        let value = value.trim_end_matches('\0');
        match element {
            MEDIA_STORAGE_SOP_INSTANCE_UID => uid = value.to_owned(),
            TRANSFER_SYNTAX_UID => transfer_syntax_uid = value.to_owned(),
            _ => {}
        }
        rest = &rest[head + length..];
    }
    (uid, Part10 { transfer_syntax_uid, data_set: rest.to_vec() })
}
