//! Why an archive did not do as asked, and the DIMSE status that says so.
//!
//! Three kinds that never mix: a refusal (the instance or query is at fault, and the peer is told), no room or a busy
//! database (heals when there is space again, or whoever writes has ended), and a fault of ours. None of the texts has a
//! value of a data set in it.

use std::io;
use std::path::{Path, PathBuf};

use dicomet_proto::message::{Refusal, Status};

use crate::folder::INDEX;

/// The Cxxx statuses of C-STORE that are ours to define (PS3.4 B.2.3): one code a cause.
pub mod status {
    use dicomet_proto::message::Status;

    /// The data set cannot be parsed.
    pub const MALFORMED: Status = Status::UNABLE_TO_PROCESS;
    /// The SOP Instance UID is stored with other bytes, which stay.
    pub const DUPLICATE_WITH_OTHER_BYTES: Status = Status::new(0xC001);
    /// Data sets in this transfer syntax cannot be read.
    pub const TRANSFER_SYNTAX: Status = Status::new(0xC002);
    /// It is nested too deep or has too many elements.
    pub const LIMIT: Status = Status::new(0xC004);
    /// A deflated data set cannot be inflated.
    pub const DEFLATED: Status = Status::new(0xC005);
    /// The file is none of DICOM.
    pub const NOT_DICOM: Status = Status::new(0xC003);
}

/// Why an archive did not do as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The instance or query is refused; the answer says why.
    #[error("{0}")]
    Refused(Refusal),
    /// No space, no quota, no inodes, no file handles, or read-only.
    #[error("no room in the archive ({doing}): {source}")]
    NoRoom {
        /// What was being done.
        doing: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Reading or writing failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The index failed.
    #[error("index: {0}")]
    Index(String),
    /// A database beside the index failed, which cannot be built from anything: the worklist, or the storage commitment
    /// reports that are due.
    #[error("{}: {reason}", file.display())]
    BesideIndex {
        /// The database.
        file: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// A folder with files in it, and none of them the marker of an archive.
    #[error("{0} is not empty and not an archive (no file 'dicomet-archive' in it)")]
    NotAnArchive(PathBuf),
    /// There is no archive, and none was to be made.
    #[error("there is no archive in {0} (no file 'dicomet-archive' in it)")]
    NoArchive(PathBuf),
    /// Another process has the archive open.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// Another process has been writing to a database of the archive for longer than is waited for. Nothing is wrong with
    /// it: it can be tried again.
    #[error("{database} is in use by another process, which is writing to it")]
    Busy {
        /// Its file in the archive's folder.
        database: String,
    },
    /// The folder cannot be written.
    #[error("{folder} cannot be written: {source}")]
    NotWritable {
        /// Of the archive.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There are instances and no index of them: it was lost, or not restored with them.
    #[error("{0} has instances and no index of them")]
    IndexLost(PathBuf),
    /// More files than a crash can leave so are not in the index: it is older than they are, or empty.
    #[error("its index is older than its instances, and does not know them all")]
    IndexBehind,
    /// Written by a later version of this program.
    #[error("the archive has schema {found}; this program knows schemas up to {known}")]
    NewerSchema {
        /// Of the archive.
        found: i64,
        /// The latest known here.
        known: i64,
    },
    /// Syncing failed earlier, so that nothing more can be promised until the archive is opened anew.
    #[error("the archive takes nothing more since the disk failed to sync")]
    Degraded,
    /// What a crash has left is not in the index yet: what is missing there may be stored all the same.
    #[error("not all that is stored is in the index yet; the log has the reason")]
    Unsettled,
    /// The instance is in the index and its file is not whole.
    #[error("the file of an instance is damaged: {0}")]
    Damaged(&'static str),
    /// A search, or a reading of instances, was stopped, for nobody waits for it any more.
    #[error("it was stopped")]
    Stopped,
    /// The archive is being closed.
    #[error("the archive is closed")]
    Closed,
}

impl Error {
    /// An error of the system while something was being done.
    pub(crate) fn io(doing: &'static str, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::OutOfMemory => Error::NoRoom { doing, source },
            _ if source.raw_os_error().is_some_and(is_exhaustion) => Error::NoRoom { doing, source },
            _ => Error::Io { doing, source },
        }
    }

    /// The same of a database beside the index.
    pub(crate) fn beside_index(self, file: &Path) -> Error {
        match self {
            Error::Index(reason) => Error::BesideIndex { file: file.to_owned(), reason },
            Error::Busy { .. } => {
                let database = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Error::Busy { database }
            }
            error => error,
        }
    }

    /// A refusal of a data set or query.
    pub(crate) fn refused(status: Status, comment: &str) -> Error {
        Error::Refused(Refusal::new(status, comment))
    }

    /// The answer to a peer: PS3.4 B.2.3, C.4.1.1.4. The log has the details.
    pub fn refusal(&self) -> Refusal {
        match self {
            Error::Refused(refusal) => refusal.clone(),
            Error::NoRoom { .. } => Refusal::new(Status::OUT_OF_RESOURCES, "no room in the archive"),
            Error::Busy { .. } => Refusal::new(Status::OUT_OF_RESOURCES, "the archive is busy"),
            Error::Degraded => Refusal::new(Status::OUT_OF_RESOURCES, "the archive's disk has failed"),
            Error::Closed => Refusal::new(Status::OUT_OF_RESOURCES, "the archive is closing"),
            Error::Stopped => Refusal::new(Status::OUT_OF_RESOURCES, "it was stopped"),
            Error::Damaged(_) => Refusal::new(Status::PROCESSING_FAILURE, "the stored instance is damaged"),
            _ => Refusal::new(Status::PROCESSING_FAILURE, "the archive failed; see its log"),
        }
    }
}

fn is_exhaustion(code: i32) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::MLINK].iter().any(|errno| errno.raw_os_error() == code)
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => Error::Stopped,
            // Of another database, `beside_index` says which.
            Some(ErrorCode::DatabaseBusy) => Error::Busy { database: INDEX.to_owned() },
            Some(code @ (ErrorCode::DiskFull | ErrorCode::OutOfMemory | ErrorCode::ReadOnly)) => {
                Error::NoRoom {
                    doing: "writing the index",
                    source: match code {
                        ErrorCode::ReadOnly => io::ErrorKind::ReadOnlyFilesystem.into(),
                        ErrorCode::OutOfMemory => io::ErrorKind::OutOfMemory.into(),
                        _ => io::ErrorKind::StorageFull.into(),
                    },
                }
            }
            // A limit of the process or of the user (EFBIG, EDQUOT), for which SQLite has no word of its own.
            _ if is_write_failure(&error) || lacks_shared_memory(&error) => Error::NoRoom {
                doing: "writing the index",
                source: io::Error::other("the system refused the write"),
            },
            // The message of SQLite names statements and columns, never bound values.
            _ => Error::Index(error.to_string()),
        }
    }
}

/// Whether bytes could not be written, which is before anything of them counts: the write-ahead log is written
/// first, its last frame makes the commit.
pub(crate) fn is_write_failure(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE)
}

/// Whether the file beside the index by which its users know of each other could not be made longer.
fn lacks_shared_memory(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Error {
        Error::io("writing an instance", source)
    }
}
