//! One row against its file: whether it is there, as long as it was, and byte for byte what it was.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use dicomet_proto::Uid;
use rusqlite::Connection;

use super::head::Head;
use super::{Damage, Depth, Extent, Named};
use crate::Error;
use crate::blob::seal::Seal;
use crate::blob::{BlobNumber, Blobs, open};
use crate::reread::PIECE;

/// What the index says of a file.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) blob: BlobNumber,
    pub(super) head: Head,
    /// Where the data set begins: the length of the head.
    pub(super) offset: u64,
    pub(super) received_at: i64,
}

impl Row {
    pub(super) fn file_length(&self) -> u64 {
        self.offset.saturating_add(self.head.seal.length)
    }
}

/// The next rows after one, in the order in which they came.
pub(super) fn page(index: &Connection, after: i64, length: usize) -> Result<Vec<Row>, Error> {
    let mut statement = index.prepare_cached(
        "SELECT id, blob, sop_class_uid, sop_instance_uid, transfer_syntax_uid, calling_ae_title,
             data_set_offset, data_set_length, data_set_digest, received_at
         FROM instance
         WHERE id > ?1
         ORDER BY id
         LIMIT ?2",
    )?;
    let rows = statement.query_map([after, length as i64], |row| {
        let number = |column| row.get::<_, i64>(column).map(|number| number as u64);
        Ok(Row {
            id: row.get(0)?,
            blob: BlobNumber(number(1)?),
            head: Head {
                sop_class: row.get(2)?,
                sop_instance: row.get(3)?,
                transfer_syntax: row.get(4)?,
                source_ae_title: row.get(5)?,
                seal: Seal { length: number(7)?, digest: row.get(8)? },
            },
            offset: number(6)?,
            received_at: row.get(9)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The UIDs of a row.
pub(super) fn named(index: &Connection, id: i64) -> Result<Named, Error> {
    let [study, series, sop_instance]: [String; 3] = index.query_row(
        "SELECT study.study_instance_uid, series.series_instance_uid, instance.sop_instance_uid
         FROM instance
             JOIN series ON series.id = instance.series
             JOIN study ON study.id = series.study
         WHERE instance.id = ?1",
        [id],
        |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]),
    )?;
    let uid = |text| Uid::new(text).map_err(|_| Error::Index("a UID in the index is none".to_owned()));
    Ok(Named { study: uid(study)?, series: uid(series)?, sop_instance: uid(sop_instance)? })
}

/// What is wrong with a file, how much of it, and more about it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) damage: Damage,
    pub(super) extent: Extent,
    pub(super) detail: String,
}

impl Fault {
    fn of_all(damage: Damage, detail: impl Into<String>) -> Fault {
        Fault { damage, extent: Extent::All, detail: detail.into() }
    }
}

pub(super) type Outcome = Result<(), Fault>;

/// Looks at the files of all rows, side by side when they are to be read; answers in their order.
pub(super) fn verify_all(blobs: &Blobs, rows: &[Row], depth: Depth) -> Vec<Outcome> {
    let one = |row: &Row| verify(blobs, row, depth);
    side_by_side(rows, one)
}

/// Applies a function to all, on as many threads as there are processors, and keeps the order.
pub(super) fn side_by_side<T: Sync, U: Send>(all: &[T], one: impl Fn(&T) -> U + Sync) -> Vec<U> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let share = all.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let shares: Vec<_> = all
            .chunks(share)
            .map(|share| scope.spawn(|| share.iter().map(&one).collect::<Vec<U>>()))
            .collect();
        // A thread that panicked is a fault of ours, and ends us as it would have without threads.
        let resume = |panic| std::panic::resume_unwind(panic);
        shares.into_iter().flat_map(|share| share.join().unwrap_or_else(resume)).collect()
    })
}

fn verify(blobs: &Blobs, row: &Row, depth: Depth) -> Outcome {
    let mut file = open(&blobs.path(row.blob)).map_err(|error| match error.kind() {
        ErrorKind::NotFound if error.get_ref().is_some() => Fault::of_all(Damage::Missing, error.to_string()),
        ErrorKind::NotFound => Fault::of_all(Damage::Missing, "its file is not there"),
        _ => unreadable(&error),
    })?;
    let length = file.metadata().map_err(|error| unreadable(&error))?.len();
    let expected = row.file_length();
    if length != expected {
        let damage = if length < expected { Damage::Cut } else { Damage::Altered };
        return Err(Fault::of_all(damage, format!("it has {length} bytes, not {expected}")));
    }
    match depth {
        Depth::Sizes => Ok(()),
        Depth::Bytes => verify_bytes(&mut file, row),
    }
}

fn verify_bytes(file: &mut File, row: &Row) -> Outcome {
    let mut head = Vec::new();
    file.take(row.offset).read_to_end(&mut head).map_err(|error| unreadable(&error))?;
    let digest = digest(file, row.offset).map_err(|error| unreadable(&error))?;
    if digest != row.head.seal.digest {
        return Err(Fault::of_all(Damage::Altered, "its data set has another digest"));
    }
    match row.head.fault(&head) {
        None => Ok(()),
        Some(detail) => {
            let detail = format!("{detail}; its data set is as it was");
            Err(Fault { damage: Damage::Altered, extent: Extent::Head, detail })
        }
    }
}

fn digest(file: &mut File, offset: u64) -> io::Result<[u8; 32]> {
    file.seek(SeekFrom::Start(offset))?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(*hasher.finalize().as_bytes()),
            Ok(length) => hasher.update(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
    }
}

fn unreadable(error: &io::Error) -> Fault {
    Fault::of_all(Damage::Unreadable, error.to_string())
}
