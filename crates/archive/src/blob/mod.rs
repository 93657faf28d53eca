//! Blobs: one instance a file, written once, under a name that is a number, synced there.
//!
//! ```text
//! incoming/17.tmp                          a large one being received; discarded when the archive is opened
//! blobs/000000/012/0000000048d1.dcm        blob 48d1H: 1024 files a folder, 1024 folders a folder
//! ```
//!
//! The numbers rise in the order of arrival, nearly. So instances that came together lie together. The highest ones may
//! be of empty files, which wait for an instance ([`numbers`]). No name has anything of
//! a peer in it.

pub(crate) mod buffers;
mod direct;
pub(crate) mod list;
pub(crate) mod numbers;
pub(crate) mod placed;
pub(crate) mod proof;
pub(crate) mod read;
pub(crate) mod seal;
pub(crate) mod sealed;
pub(crate) mod write;

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The number of a blob; never used for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BlobNumber(pub(crate) u64);

/// The highest number that a name has room for.
const HIGHEST: u64 = (1 << 48) - 1;

/// The highest that is given to a blob. What has a higher one is not of this archive, which would have no number left for
/// what comes after it.
const HIGHEST_GIVEN: u64 = (1 << 43) - 1;

const BITS_A_FOLDER: u32 = 10;

impl BlobNumber {
    /// The folder, relative to `blobs/`.
    pub(crate) fn folder(self) -> PathBuf {
        let folder = self.0 >> BITS_A_FOLDER;
        PathBuf::from(format!("{:06x}", folder >> BITS_A_FOLDER)).join(format!("{:03x}", folder & 0x3FF))
    }

    /// The number that a file name stands for.
    fn of_file_name(name: &str) -> Option<BlobNumber> {
        let number = u64::from_str_radix(name.strip_suffix(".dcm")?, 16).ok()?;
        Some(BlobNumber(number)).filter(|blob| number <= HIGHEST && blob.file_name() == name)
    }

    fn file_name(self) -> String {
        format!("{:012x}.dcm", self.0)
    }
}

/// What failed when a file was to be made durable.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A sync: of what was written before, nobody knows whether it is on the disk.
    Sync(io::Error),
    /// Anything else, which was not done.
    Other(io::Error),
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> io::Error {
        let (Fault::Sync(error) | Fault::Other(error)) = fault;
        error
    }
}

/// The folder `blobs/`.
#[derive(Debug, Clone)]
pub(crate) struct Blobs {
    root: PathBuf,
}

impl Blobs {
    pub(crate) fn new(root: PathBuf) -> Blobs {
        Blobs { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, blob: BlobNumber) -> PathBuf {
        self.root.join(blob.folder()).join(blob.file_name())
    }

    /// Renames a file to its place, whose folder is there; answers its path.
    pub(crate) fn take_in(&self, file: &Path, blob: BlobNumber) -> io::Result<PathBuf> {
        let target = self.path(blob);
        rename_new(file, &target)?;
        Ok(target)
    }

    /// Makes the names in a blob's folder durable.
    pub(crate) fn sync_folder_of(&self, blob: BlobNumber) -> io::Result<()> {
        sync_folder(&self.root.join(blob.folder()))
    }

    /// Makes the folder of a blob and syncs what holds it, so that it cannot vanish from above what is synced in it.
    pub(crate) fn make_folder(&self, blob: BlobNumber) -> Result<(), Fault> {
        let folder = self.root.join(blob.folder());
        fs::create_dir_all(&folder).map_err(Fault::Other)?;
        if let Some(parent) = folder.parent() {
            sync_folder(parent).map_err(Fault::Sync)?;
        }
        sync_folder(&self.root).map_err(Fault::Sync)
    }

    /// Removes a blob; that it is gone already is no error.
    pub(crate) fn remove(&self, blob: BlobNumber) -> io::Result<()> {
        match fs::remove_file(self.path(blob)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// The highest number on disk, of files that no row names too: a number is never used again.
    pub(crate) fn highest(&self) -> io::Result<Option<BlobNumber>> {
        const HIGHEST_UPPER: u64 = HIGHEST_GIVEN >> (2 * BITS_A_FOLDER);
        let given = numbers(&self.root, 6)?.into_iter().filter(|upper| *upper <= HIGHEST_UPPER);
        let Some(upper) = given.max() else { return Ok(None) };
        let upper_folder = self.root.join(format!("{upper:06x}"));
        let lower = numbers(&upper_folder, 3)?.into_iter().max().unwrap_or(0);
        let folder = upper_folder.join(format!("{lower:03x}"));
        let first = (upper << BITS_A_FOLDER | lower) << BITS_A_FOLDER;
        let in_folder = numbers(&folder, 12)?.into_iter().filter(|number| *number <= HIGHEST_GIVEN).max();
        Ok(Some(BlobNumber(in_folder.unwrap_or(first))))
    }
}

/// The names in a folder that have so many hexadecimal digits, as numbers; none of what is no folder.
fn numbers(folder: &Path, digits: usize) -> io::Result<Vec<u64>> {
    let number = |name: &str| {
        let hex = name.strip_suffix(".dcm").unwrap_or(name);
        (hex.len() == digits).then(|| u64::from_str_radix(hex, 16).ok()).flatten()
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries?,
    };
    let numbers = entries.map(|entry| Ok(entry?.file_name().to_str().and_then(number)));
    numbers.filter_map(io::Result::transpose).collect()
}

/// Renames without ever replacing a file.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // File systems without the flag (NFS): numbers are used once, so this loses little.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if !to.exists() => fs::rename(from, to),
        other => other.map_err(io::Error::from),
    }
}

/// Opens a file among the blobs to read it. No link is followed, nothing but a file opened, and nothing waited for,
/// whatever lies there.
///
/// # Errors
/// `NotFound` also when something else is in its place, with words that say so.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;
    let no_file = || io::Error::new(ErrorKind::NotFound, "a link, a folder or the like is in its place");
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(no_file());
        }
        other => other?,
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_file()) }
}

/// Whether a file that is open is still in some folder: what is written to one that is not is lost when it is closed.
fn has_a_name(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.nlink() > 0)
}

/// Makes a file and its name durable. The file first: what its rename has changed is then written with it, and
/// little is left to do for the folder.
pub(crate) fn sync(file: &Path) -> io::Result<()> {
    File::open(file)?.sync_all()?;
    file.parent().map_or(Ok(()), sync_folder)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_after_the_highest_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().join("blobs"));
        fs::create_dir(folder.path().join("blobs")).unwrap();
        assert_eq!(blobs.highest().unwrap(), None);
        for number in [0, 1023, 1024, (5 << 20) + 7] {
            let file = folder.path().join("x.tmp");
            fs::write(&file, b"x").unwrap();
            blobs.make_folder(BlobNumber(number)).unwrap();
            blobs.take_in(&file, BlobNumber(number)).unwrap();
            assert_eq!(blobs.highest().unwrap(), Some(BlobNumber(number)));
            assert!(blobs.path(BlobNumber(number)).is_file());
        }
    }

    #[test]
    fn a_number_that_is_never_given_is_not_gone_on_from() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().to_owned());
        for number in [5, HIGHEST_GIVEN + 1, HIGHEST] {
            fs::create_dir_all(blobs.path(BlobNumber(number)).parent().unwrap()).unwrap();
            fs::write(blobs.path(BlobNumber(number)), b"x").unwrap();
        }
        fs::create_dir_all(folder.path().join("ffffff/fff")).unwrap();
        fs::write(folder.path().join("ffffff/fff/ffffffffffff.dcm"), b"x").unwrap();
        assert_eq!(blobs.highest().unwrap(), Some(BlobNumber(5)));
    }

    #[test]
    fn a_blob_never_takes_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().join("blobs"));
        let file = folder.path().join("x.tmp");
        fs::write(&file, b"first").unwrap();
        blobs.make_folder(BlobNumber(1)).unwrap();
        blobs.take_in(&file, BlobNumber(1)).unwrap();
        fs::write(&file, b"second").unwrap();
        assert!(blobs.take_in(&file, BlobNumber(1)).is_err());
        assert_eq!(fs::read(blobs.path(BlobNumber(1))).unwrap(), b"first");
    }
}
