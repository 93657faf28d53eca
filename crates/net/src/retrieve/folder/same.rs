//! An instance that comes again: whether its data set is that of the file that stands here.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use dicomet_proto::Uid;
use dicomet_proto::dataset::FileMeta;

use super::{Folder, Part};

/// Bytes that are compared at a time.
const PIECE: usize = 64 * 1024;

impl Folder {
    /// Whether an instance that has come whole has the bytes of the one that stands here, in the same transfer syntax.
    /// Where that one cannot be read any more, it has not.
    ///
    /// # Errors
    /// What the system says.
    pub fn has_same(
        &self,
        part: &mut Part,
        (study, series, instance): (&Uid, &Uid, &Uid),
    ) -> io::Result<bool> {
        part.close()?;
        let path = match self.layout.is_by_uids() {
            true => Some(self.path_by_uids(study, series, instance)),
            false => self.listed(instance),
        };
        let Some(Ok(first)) = path.map(|path| data_set(&path)) else { return Ok(false) };
        let second = data_set(&part.path)?;
        Ok(first.transfer_syntax == second.transfer_syntax
            && first.length == second.length
            && is_same(first.file, second.file)?)
    }
}

/// A file at the beginning of its data set.
struct Opened {
    transfer_syntax: Uid,
    length: u64,
    file: File,
}

fn data_set(path: &Path) -> io::Result<Opened> {
    let mut file = File::open(path)?;
    let (meta, begin) = FileMeta::read(&mut file).map_err(io::Error::other)?;
    file.seek(SeekFrom::Start(begin))?;
    let length = file.metadata()?.len().saturating_sub(begin);
    Ok(Opened { transfer_syntax: meta.transfer_syntax, length, file })
}

/// Whether two files of the same length go on alike.
fn is_same(first: File, second: File) -> io::Result<bool> {
    let [mut first, mut second] = [first, second].map(|file| BufReader::with_capacity(PIECE, file));
    let mut pieces = [vec![0; PIECE], vec![0; PIECE]];
    loop {
        let [one, other] = &mut pieces;
        let length = first.read(one)?;
        if length == 0 {
            return Ok(true);
        }
        second.read_exact(&mut other[..length])?;
        if one[..length] != other[..length] {
            return Ok(false);
        }
    }
}
