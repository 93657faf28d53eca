//! Room on the disk that is set apart while there is plenty, for when there is none: who removes needs some to make more,
//! and so does who opens an archive (SQLite's log and shared memory).
//!
//! It is a file that takes blocks and says nothing, `reserve`. Who finds the disk full makes it shorter, and tries again;
//! it grows again when an archive is opened, or something was removed, and there is room. It is not synced: what a power
//! failure takes of it is made anew as well.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::Error;
use crate::blob::sync_folder;

/// Bytes that are set apart: a removal writes each page of the index that it changes, and takes out a study as a whole.
const SIZE: u64 = 8 << 20;

/// Opening an archive takes this much of it: some 100 KiB for three databases. Of the rest, half is for what a crash has left
/// out of the index, and what remains is for removals, not for the stores that come first.
const TO_OPEN: u64 = 1 << 20;

/// One part in so many of what is free is set apart at the most.
const PART: u64 = 4;

/// The room that is set apart in an archive's folder.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
}

/// How much of it somebody gets who finds the disk full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Who opens the archive.
    ToOpen,
    /// Who puts into the index what a crash has left out of it: half.
    ToSettle,
    /// Who removes.
    All,
}

impl Reserve {
    pub(crate) fn of(root: &Path) -> Reserve {
        Reserve { path: root.join("reserve") }
    }

    /// Does something, and once more with a share of the reserve when there was no room for it.
    pub(crate) fn with_room<T>(
        &self,
        share: Share,
        mut doing: impl FnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        match doing() {
            Err(error) if is_full(&error) && self.give(share) => {
                tracing::warn!(%error, "what was set apart for a full disk is used");
                doing()
            }
            outcome => outcome,
        }
    }

    /// Sets room apart, where there is some and the file system can do that.
    pub(crate) fn fill(&self) {
        if let Err(error) = self.try_fill() {
            tracing::debug!(%error, "no room is set apart for a full disk");
        }
    }

    fn try_fill(&self) -> io::Result<()> {
        let length = self.length();
        if length >= SIZE {
            return Ok(());
        }
        let room = statvfs(self.path.parent().unwrap_or(&self.path))?;
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        let wanted = SIZE.min((length + free) / PART / TO_OPEN * TO_OPEN);
        if wanted <= length {
            return Ok(());
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
        fallocate(&file, FallocateFlags::empty(), 0, wanted).or_else(|error| {
            // Cut in the middle it may have taken what little there was.
            file.set_len(length)?;
            Err(error.into())
        })
    }

    fn length(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// Makes it shorter, and waits until the disk has the room. Whether there was something to give.
    fn give(&self, share: Share) -> bool {
        let given = match (share, self.length()) {
            (_, 0) => return false,
            // What another user has made may only be removed.
            (Share::ToOpen, length) if length > TO_OPEN => {
                self.shorten(length - TO_OPEN).or_else(|_| self.remove())
            }
            (Share::ToSettle, length) if length > TO_OPEN => {
                self.shorten(length / 2).or_else(|_| self.remove())
            }
            _ => self.remove(),
        };
        match given {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "what is set apart for a full disk cannot be used");
                false
            }
        }
    }

    fn shorten(&self, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.path)?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        self.path.parent().map_or(Ok(()), sync_folder)
    }
}

/// Whether it is bytes on the disk that are lacking.
fn is_full(error: &Error) -> bool {
    let Error::NoRoom { source, .. } = error else { return false };
    // Other: SQLite does not say more of a write that was refused.
    matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Error {
        Error::NoRoom { doing: "writing", source: ErrorKind::StorageFull.into() }
    }

    /// What became of something that fails so many times.
    fn failing(reserve: &Reserve, share: Share, times: u32, error: impl Fn() -> Error) -> (bool, u32) {
        let mut tried = 0;
        let outcome = reserve.with_room(share, || {
            tried += 1;
            if tried > times { Ok(()) } else { Err(error()) }
        });
        (outcome.is_ok(), tried)
    }

    #[test]
    fn who_opens_takes_a_part_and_who_removes_the_rest_until_it_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(folder.path());
        assert_eq!(failing(&reserve, Share::All, 1, full), (false, 1));
        reserve.fill();
        assert_eq!(failing(&reserve, Share::All, 0, full), (true, 1));
        assert_eq!(reserve.length(), SIZE);
        assert_eq!(failing(&reserve, Share::ToOpen, 1, full), (true, 2));
        assert_eq!(reserve.length(), SIZE - TO_OPEN);
        assert_eq!(failing(&reserve, Share::ToSettle, 1, full), (true, 2));
        assert_eq!(reserve.length(), (SIZE - TO_OPEN) / 2);
        assert_eq!(failing(&reserve, Share::All, 2, full), (false, 2));
        assert!(!reserve.path.exists());
        reserve.fill();
        assert_eq!(reserve.length(), SIZE);
    }

    #[test]
    fn it_takes_blocks_and_not_for_what_no_blocks_would_help() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(folder.path());
        reserve.fill();
        assert!(fs::metadata(&reserve.path).unwrap().blocks() * 512 >= SIZE);
        let read_only = || Error::NoRoom { doing: "writing", source: ErrorKind::ReadOnlyFilesystem.into() };
        assert_eq!(failing(&reserve, Share::All, 1, read_only), (false, 1));
        assert_eq!(reserve.length(), SIZE);
    }
}
