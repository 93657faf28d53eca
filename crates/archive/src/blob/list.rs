//! What lies in `blobs/`, folder by folder, and which numbers that are: a bit for each, whatever the archive's
//! size.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::{BITS_A_FOLDER, BlobNumber, Blobs, numbers};

/// Words of 64 bits for the numbers of one folder.
const WORDS: usize = 1 << (BITS_A_FOLDER - 6);

/// A set of blob numbers. Ten million that follow one another need 1.3 MB.
#[derive(Debug, Default, Clone)]
pub(crate) struct BlobSet {
    folders: BTreeMap<u64, [u64; WORDS]>,
}

impl BlobSet {
    pub(crate) fn insert(&mut self, blob: BlobNumber) {
        let (word, bit) = place(blob);
        self.folders.entry(blob.0 >> BITS_A_FOLDER).or_default()[word] |= bit;
    }

    pub(crate) fn contains(&self, blob: BlobNumber) -> bool {
        let (word, bit) = place(blob);
        self.folders.get(&(blob.0 >> BITS_A_FOLDER)).is_some_and(|words| words[word] & bit != 0)
    }

    pub(crate) fn remove(&mut self, blob: BlobNumber) {
        let (word, bit) = place(blob);
        if let Some(words) = self.folders.get_mut(&(blob.0 >> BITS_A_FOLDER)) {
            words[word] &= !bit;
        }
    }

    pub(crate) fn retain(&mut self, stays: impl Fn(BlobNumber) -> bool) {
        let gone: Vec<BlobNumber> = self.iter().filter(|&blob| !stays(blob)).collect();
        gone.into_iter().for_each(|blob| self.remove(blob));
    }

    pub(crate) fn len(&self) -> u64 {
        self.folders.values().flatten().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The numbers, rising.
    pub(crate) fn iter(&self) -> impl Iterator<Item = BlobNumber> + '_ {
        self.folders.iter().flat_map(|(&folder, words)| {
            (0..1_u64 << BITS_A_FOLDER).filter_map(move |low| {
                let blob = BlobNumber(folder << BITS_A_FOLDER | low);
                let (word, bit) = place(blob);
                (words[word] & bit != 0).then_some(blob)
            })
        })
    }
}

/// Word and bit within the folder's words.
fn place(blob: BlobNumber) -> (usize, u64) {
    let low = blob.0 & ((1 << BITS_A_FOLDER) - 1);
    ((low >> 6) as usize, 1 << (low & 63))
}

/// What lies in `blobs/`.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) blobs: BlobSet,
    /// Files whose name or place is not that of a blob, and what is no file.
    pub(crate) strays: Vec<PathBuf>,
}

/// What an entry of a folder is itself; no link is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    Other,
}

impl Kind {
    fn of(file_type: fs::FileType) -> Kind {
        match file_type.is_dir() {
            true => Kind::Folder,
            false if file_type.is_file() => Kind::File,
            false => Kind::Other,
        }
    }
}

impl Blobs {
    /// Lists all files. A folder that vanishes meanwhile had nothing in it.
    pub(crate) fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for (path, kind) in entries(&folder)? {
                match (kind, self.in_place(&path)) {
                    (Kind::File, Some(blob)) => listing.blobs.insert(blob),
                    (Kind::Folder, None) => folders.push(path),
                    _ => listing.strays.push(path),
                }
            }
        }
        listing.strays.sort();
        Ok(listing)
    }
}

impl Blobs {
    /// The blobs from the folder of one down to the folder of another, which has the lower number; a folder at a
    /// time, rising within. What does not lie where its name says, or is no file, is passed over.
    pub(crate) fn folders_down(
        &self,
        from: BlobNumber,
        to: BlobNumber,
    ) -> impl Iterator<Item = io::Result<Vec<BlobNumber>>> + '_ {
        let folders = (to.0 >> BITS_A_FOLDER)..=(from.0 >> BITS_A_FOLDER);
        let there = self.folders_there(folders);
        let (there, failed) =
            there.map_or_else(|error| (Vec::new(), Some(Err(error))), |there| (there, None));
        failed.into_iter().chain(there.into_iter().rev().map(|folder| {
            let path = self.root().join(BlobNumber(folder << BITS_A_FOLDER).folder());
            let mut blobs: Vec<BlobNumber> = entries(&path)?
                .into_iter()
                .filter(|(_, kind)| *kind == Kind::File)
                .filter_map(|(path, _)| self.in_place(&path))
                .collect();
            blobs.sort();
            Ok(blobs)
        }))
    }

    /// Which of these folders, by their numbers, are there; rising.
    fn folders_there(&self, wanted: RangeInclusive<u64>) -> io::Result<Vec<u64>> {
        let mut there = Vec::new();
        for upper in numbers(self.root(), 6)? {
            let (first, last) = (upper << BITS_A_FOLDER, ((upper + 1) << BITS_A_FOLDER) - 1);
            if last < *wanted.start() || first > *wanted.end() {
                continue;
            }
            let lower = numbers(&self.root().join(format!("{upper:06x}")), 3)?;
            there.extend(
                lower.into_iter().map(|lower| first | lower).filter(|folder| wanted.contains(folder)),
            );
        }
        there.sort_unstable();
        there.dedup();
        Ok(there)
    }

    /// The blob whose name and place a path has.
    fn in_place(&self, path: &Path) -> Option<BlobNumber> {
        let blob = BlobNumber::of_file_name(path.file_name()?.to_str()?)?;
        (self.path(blob) == path).then_some(blob)
    }
}

/// The entries of a folder, and what each is.
fn entries(folder: &Path) -> io::Result<Vec<(PathBuf, Kind)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    entries.map(|entry| entry.and_then(|entry| Ok((entry.path(), Kind::of(entry.file_type()?))))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_back_what_was_put_in_in_order() {
        let mut set = BlobSet::default();
        for number in [70_000, 0, 63, 64, 1023, 1024, 70_000] {
            set.insert(BlobNumber(number));
        }
        set.remove(BlobNumber(64));
        set.remove(BlobNumber(5));
        assert!(
            set.contains(BlobNumber(63)) && !set.contains(BlobNumber(64)) && !set.contains(BlobNumber(5))
        );
        let numbers: Vec<u64> = set.iter().map(|blob| blob.0).collect();
        assert_eq!(numbers, [0, 63, 1023, 1024, 70_000]);
        assert_eq!(set.len(), 5);
    }

    #[test]
    fn what_lies_far_apart_is_listed_as_quickly_from_the_highest_down() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().to_owned());
        let all = [3, 7, 1024, 1 << 20, (1 << 42) + 5].map(BlobNumber);
        for blob in all {
            fs::create_dir_all(blobs.path(blob).parent().unwrap()).unwrap();
            fs::write(blobs.path(blob), b"x").unwrap();
        }
        fs::write(folder.path().join("0000ff"), b"no folder").unwrap();
        let listed = |to| blobs.folders_down(all[4], to).collect::<io::Result<Vec<_>>>().unwrap();
        assert_eq!(listed(all[0]), [vec![all[4]], vec![all[3]], vec![all[2]], vec![all[0], all[1]]]);
        assert_eq!(listed(all[2]), [vec![all[4]], vec![all[3]], vec![all[2]]]);
    }

    #[test]
    fn what_does_not_lie_where_its_name_says_is_a_stray() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().to_owned());
        let misplaced = folder.path().join("000000000400.dcm");
        let deep = folder.path().join("000000/000");
        fs::create_dir_all(&deep).unwrap();
        for file in
            [&misplaced, &deep.join("x.txt"), &deep.join("00000000001.dcm"), &deep.join("+00000000001.dcm")]
        {
            fs::write(file, b"x").unwrap();
        }
        fs::write(blobs.path(BlobNumber(7)), b"x").unwrap();
        let listing = blobs.list().unwrap();
        assert_eq!(listing.blobs.iter().collect::<Vec<_>>(), [BlobNumber(7)]);
        assert_eq!(listing.strays.len(), 4);
    }
}
