//! The journal of an output folder: how long the file of each instance was when it got its name. A file that a power
//! cut left shorter is noticed by it, even where the cut lies between two elements and the rest reads well.
//!
//! ```text
//! DIR/.dicomet/journal     one line an instance: SOP Instance UID, space, bytes, newline
//! ```
//!
//! Lines are only ever appended, each by one write; of several lines for an instance the last counts. What is no such
//! line, as a cut may leave it, is passed over. Nothing is held in memory but what is asked for.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use dicomet_proto::Uid;

/// The folder of what is ours and no instance.
pub(super) const FOLDER: &str = ".dicomet";

/// Longer than any line: a UID has 64 characters, a number of bytes 20.
const MAX_LINE: u64 = 128;

/// The journal, open for appending. The folder's lock keeps it ours alone.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens or begins the journal of an output folder.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(root: &Path) -> io::Result<Journal> {
        let folder = root.join(FOLDER);
        fs::create_dir_all(&folder)?;
        let path = folder.join("journal");
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        if is_torn(&mut file)? {
            // Makes a number that was cut no number.
            file.write_all(b"?\n")?;
        }
        Ok(Journal { path, file })
    }

    /// Notes that an instance stands under its name. A journal that cannot be written is no reason to lose the
    /// instance.
    pub(super) fn note(&self, instance: &Uid, bytes: u64) {
        if let Err(error) = (&self.file).write_all(format!("{instance} {bytes}\n").as_bytes()) {
            tracing::warn!("the journal cannot be written: {error}");
        }
    }

    /// How long the files of these instances are to be, where it is known.
    pub(super) fn lengths<'a>(&self, of: impl Iterator<Item = &'a Uid>) -> HashMap<&'a Uid, u64> {
        let mut wanted: HashMap<&Uid, Option<u64>> = of.map(|instance| (instance, None)).collect();
        if let Err(error) = self.read(|instance, bytes| {
            if let Some(length) = wanted.get_mut(&instance) {
                *length = Some(bytes);
            }
        }) {
            tracing::warn!("the journal cannot be read: {error}");
        }
        wanted.into_iter().filter_map(|(instance, length)| Some((instance, length?))).collect()
    }

    fn read(&self, mut take: impl FnMut(Uid, u64)) -> io::Result<()> {
        let mut reader = BufReader::new(File::open(&self.path)?);
        let mut line = Vec::new();
        while reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? > 0 {
            if let Some((instance, bytes)) = parse(&line) {
                take(instance, bytes);
            }
            line.clear();
        }
        Ok(())
    }
}

fn parse(line: &[u8]) -> Option<(Uid, u64)> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (instance, bytes) = line.split_once(' ')?;
    Some((Uid::new(instance).ok()?, bytes.parse().ok()?))
}

/// Whether the last line has no end.
fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ONE: Uid = Uid::from_static("1.2.1");
    const TWO: Uid = Uid::from_static("1.2.2");

    #[test]
    fn the_last_line_of_an_instance_counts_and_runs_follow_one_another() {
        let folder = tempfile::tempdir().unwrap();
        Journal::open(folder.path()).unwrap().note(&ONE, 10);
        let journal = Journal::open(folder.path()).unwrap();
        journal.note(&TWO, 20);
        journal.note(&ONE, 11);
        assert_eq!(journal.lengths([ONE].iter()), [(&ONE, 11)].into());
        assert_eq!(journal.lengths([ONE, TWO].iter()).len(), 2);
    }

    #[test]
    fn what_a_cut_left_is_passed_over_and_what_follows_is_read() {
        for torn in [&b"1.2.1 5"[..], b"1.2.1", b"\0\0\0\0", &[b'x'; 1000], b"1.2.1 \xff\n"] {
            let folder = tempfile::tempdir().unwrap();
            Journal::open(folder.path()).unwrap().note(&ONE, 500);
            let path = folder.path().join(FOLDER).join("journal");
            OpenOptions::new().append(true).open(&path).unwrap().write_all(torn).unwrap();
            let journal = Journal::open(folder.path()).unwrap();
            journal.note(&TWO, 20);
            assert_eq!(journal.lengths([ONE, TWO].iter()), [(&ONE, 500), (&TWO, 20)].into(), "{torn:?}");
        }
    }
}
