//! Blobs against index, both ways: every kind of damage is found and named, nothing is changed.
//!
//! It works while the archive runs. The files are listed first and the rows read after, page by page, so that
//! what is stored meanwhile has both; whatever looks damaged is looked at again before it is named, so that what
//! is replaced or removed meanwhile is not. [`repair`] acts on what is found.

mod doomed;
mod head;
mod orphan;
mod quarantine;
mod rebuild;
mod repair;
mod verify;

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use dicomet_proto::Uid;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

pub use repair::{Repair, repair};

use self::verify::{Fault, Row, side_by_side, verify_all};
use crate::Error;
use crate::blob::list::BlobSet;
use crate::blob::{BlobNumber, open};
use crate::folder::{Layout, leftovers};
use crate::index::schema::LATEST;
use crate::settings::PATIENCE;

/// Rows read at a time: their files are read side by side.
const PAGE: usize = 256;
/// How many faults SQLite names.
const MAX_INDEX_FAULTS: u32 = 20;

/// How closely is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Every file is there and as long as it was.
    Sizes,
    /// Every byte is what it was; of files that the index does not know, by their own seals.
    Bytes,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// The file of an instance is not there.
    Missing,
    /// It is shorter than it was.
    Cut,
    /// It is as long or longer, with other bytes.
    Altered,
    /// The system does not let us read it; it may be good.
    Unreadable,
    /// A file is there that the index does not know, and that is whole as far as was looked.
    Orphan,
    /// Something is among the instances that is none of ours: a file, a link, a folder in place of a file.
    Stray,
    /// A file was being received or written, or waited to be, when that was cut off.
    Leftover,
    /// The index is missing, or broken in itself.
    Index,
    /// The worklist is broken. Nothing else has its items: it can only be restored.
    Worklist,
    /// What others asked the archive to answer for is broken: they are to ask again.
    Commitment,
}

impl Damage {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Damage::Missing => "missing",
            Damage::Cut => "cut",
            Damage::Altered => "altered",
            Damage::Unreadable => "unreadable",
            Damage::Orphan => "orphan",
            Damage::Stray => "stray",
            Damage::Leftover => "leftover",
            Damage::Index => "index",
            Damage::Worklist => "worklist",
            Damage::Commitment => "commitment",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub damage: Damage,
    /// The instance whose file it is, as the index has it.
    pub instance: Option<Named>,
    /// The file, below the archive's folder.
    pub file: PathBuf,
    /// More about it.
    pub detail: String,
    pub(crate) row: Option<i64>,
    pub(crate) blob: Option<BlobNumber>,
    pub(crate) extent: Extent,
}

/// How much of a file is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Its data set, or nobody knows.
    All,
    /// What comes before the data set.
    Head,
}

/// The UIDs of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Study Instance UID.
    pub study: Uid,
    /// Series Instance UID.
    pub series: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
}

/// What is told while it goes on.
#[derive(Debug)]
pub enum Event<'a> {
    /// So many of all instances have been looked at, and so many bytes read.
    Progress {
        /// Looked at.
        instances: u64,
        /// In the index.
        of: u64,
        /// Read.
        bytes: u64,
    },
    /// Something is wrong.
    Found(&'a Finding),
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Instances in the index.
    pub instances: u64,
    /// Bytes of their files, as the index has them.
    pub bytes: u64,
    /// Files of instances.
    pub files: u64,
    /// What is wrong.
    pub findings: u64,
}

/// Looks through the archive in a folder, and tells of everything that is wrong as it is found.
///
/// # Errors
/// [`Error::NoArchive`], [`Error::NewerSchema`], or a fault of the system. Damage is no error.
pub fn check(folder: &Path, depth: Depth, tell: &mut dyn FnMut(Event<'_>)) -> Result<Summary, Error> {
    Ok(Check::new(Layout::existing(folder)?, depth, tell).run()?.0)
}

/// A check under way.
pub(crate) struct Check<'a> {
    layout: Layout,
    depth: Depth,
    /// How closely is looked at files that no row names.
    depth_without_row: Depth,
    tell: &'a mut dyn FnMut(Event<'_>),
    summary: Summary,
    /// Empty files that wait for an instance.
    made_ahead: Vec<BlobNumber>,
}

impl<'a> Check<'a> {
    pub(crate) fn new(layout: Layout, depth: Depth, tell: &'a mut dyn FnMut(Event<'_>)) -> Check<'a> {
        let (summary, made_ahead) = (Summary::default(), Vec::new());
        Check { layout, depth, depth_without_row: depth, tell, summary, made_ahead }
    }

    /// Reads files that no row names, whatever else is read: they are to be put into the index, or given up.
    pub(crate) fn reading_what_has_no_row(self) -> Check<'a> {
        Check { depth_without_row: Depth::Bytes, ..self }
    }

    /// Answers the files as well that were made ahead, by their numbers.
    pub(crate) fn run(mut self) -> Result<(Summary, Vec<BlobNumber>), Error> {
        let listing =
            self.layout.blobs.list().map_err(|error| Error::io("looking through the blobs", error))?;
        self.summary.files = listing.blobs.len();
        for stray in listing.strays {
            self.found(
                Damage::Stray,
                stray,
                "its name or place is not that of an instance, or it is no file".to_owned(),
            );
        }
        if let Some(index) = self.sound_index()? {
            let without_row = self.rows(&index, listing.blobs)?;
            self.orphans(&index, without_row)?;
        }
        self.beside_the_index(self.layout.worklist.clone(), Damage::Worklist)?;
        self.beside_the_index(self.layout.commitments.clone(), Damage::Commitment)?;
        self.leftovers()?;
        Ok((self.summary, self.made_ahead))
    }

    /// Lets SQLite look through a database that is not made of the blobs.
    fn beside_the_index(&mut self, path: PathBuf, damage: Damage) -> Result<(), Error> {
        if !path.exists() {
            return Ok(());
        }
        let database = open_read_only(&path).map_err(|error| error.beside_index(&path))?;
        match own_faults(&database, self.depth) {
            Err(error) if !is_damage(&error) => return Err(Error::from(error).beside_index(&path)),
            Err(error) => self.found(damage, path, error.to_string()),
            Ok(faults) => faults.into_iter().for_each(|fault| self.found(damage, path.clone(), fault)),
        }
        Ok(())
    }

    /// The index, unless it is broken.
    fn sound_index(&mut self) -> Result<Option<Connection>, Error> {
        let path = self.layout.index.clone();
        if !path.exists() {
            // An archive that was never filled has one all the same: it is made at the first start.
            self.found(Damage::Index, path, "it is missing".to_owned());
            return Ok(None);
        }
        let index = open_read_only(&path)?;
        let version = index.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).ok();
        if let Some(found) = version.filter(|found| *found > LATEST) {
            return Err(Error::NewerSchema { found, known: LATEST });
        }
        let faults = match faults(&index, self.depth) {
            Ok(faults) if faults.is_empty() => return Ok(Some(index)),
            Ok(faults) => faults,
            Err(error) if is_damage(&error) => vec![error.to_string()],
            Err(error) => return Err(error.into()),
        };
        for fault in faults {
            self.found(Damage::Index, path.clone(), fault);
        }
        Ok(None)
    }

    /// Holds every row against its file; answers the files that no row names.
    fn rows(&mut self, index: &Connection, mut files: BlobSet) -> Result<BlobSet, Error> {
        let of = index.query_row("SELECT COUNT(*) FROM instance", [], |row| row.get::<_, i64>(0))? as u64;
        let (mut after, mut bytes) = (0, 0);
        loop {
            let page = verify::page(index, after, PAGE)?;
            let Some(last) = page.last() else { return Ok(files) };
            after = last.id;
            let outcomes = verify_all(&self.layout.blobs, &page, self.depth);
            for (row, outcome) in page.iter().zip(outcomes) {
                files.remove(row.blob);
                self.summary.instances += 1;
                self.summary.bytes += row.file_length();
                bytes += if self.depth == Depth::Bytes { row.file_length() } else { 0 };
                if let Err(fault) = outcome
                    && is_still_there(index, row)?
                {
                    self.damaged(index, row, fault)?;
                }
            }
            (self.tell)(Event::Progress { instances: self.summary.instances, of, bytes });
        }
    }

    fn damaged(&mut self, index: &Connection, row: &Row, fault: Fault) -> Result<(), Error> {
        let Fault { damage, extent, detail } = fault;
        let file = self.relative(self.layout.blobs.path(row.blob));
        let instance = Some(verify::named(index, row.id)?);
        let (row, blob) = (Some(row.id), Some(row.blob));
        self.tell_of(Finding { damage, instance, file, detail, row, blob, extent });
        Ok(())
    }

    /// Names the files that no row names, not even one that was written meanwhile: whole ones, and what is left of others.
    fn orphans(&mut self, index: &Connection, mut files: BlobSet) -> Result<(), Error> {
        if files.len() == 0 {
            return Ok(());
        }
        self.made_ahead = files.iter().filter(|blob| is_empty(&self.layout.blobs.path(*blob))).collect();
        self.made_ahead.iter().for_each(|blob| files.remove(*blob));
        self.tell_of_made_ahead()?;
        // Whoever stores holds a file locked until it has a row, or is gone.
        files.retain(|blob| !is_being_stored(&self.layout.blobs.path(blob)));
        let known = "SELECT blob FROM instance UNION ALL SELECT blob FROM doomed_blob";
        let mut statement = index.prepare(known)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            files.remove(BlobNumber(row.get::<_, i64>(0)? as u64));
        }
        let mut files = files.iter();
        loop {
            let page: Vec<BlobNumber> = files.by_ref().take(PAGE).collect();
            if page.is_empty() {
                return Ok(());
            }
            let depth = self.depth_without_row;
            let looks = side_by_side(&page, |blob| orphan::look(&self.layout.blobs.path(*blob), depth));
            for (&blob, look) in page.iter().zip(looks) {
                let Some((damage, detail)) = look else { continue };
                self.tell_of_file(damage, self.layout.blobs.path(blob), detail, Some(blob));
            }
        }
    }

    /// Names files that wait for an instance. While the archive runs, or is repaired, that is as it should be.
    fn tell_of_made_ahead(&mut self) -> Result<(), Error> {
        self.summary.files -= self.made_ahead.len() as u64;
        if self.layout.is_in_use()? {
            return Ok(());
        }
        let paths: Vec<PathBuf> = self.made_ahead.iter().map(|blob| self.layout.blobs.path(*blob)).collect();
        for file in paths {
            let detail = "it was made ahead, for an instance; it goes when the archive is next opened";
            self.found(Damage::Leftover, file, detail.to_owned());
        }
        Ok(())
    }

    /// Names what was being received or rebuilt. While the archive runs, that is as it should be.
    fn leftovers(&mut self) -> Result<(), Error> {
        if self.layout.is_in_use()? {
            return Ok(());
        }
        let received = match leftovers(&self.layout.incoming) {
            // A copy need not have it; it is made when the archive is opened.
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            other => other.map_err(|error| Error::io("looking through incoming", error))?,
        };
        for file in received {
            let detail = "it was being received; it goes when the archive is next opened".to_owned();
            self.found(Damage::Leftover, file, detail);
        }
        let rebuilt = rebuild::path(&self.layout);
        if rebuilt.exists() {
            self.found(Damage::Leftover, rebuilt, "a rebuild of the index was cut off".to_owned());
        }
        Ok(())
    }

    fn found(&mut self, damage: Damage, file: PathBuf, detail: String) {
        self.tell_of_file(damage, file, detail, None);
    }

    fn tell_of_file(&mut self, damage: Damage, file: PathBuf, detail: String, blob: Option<BlobNumber>) {
        let file = self.relative(file);
        let extent = Extent::All;
        self.tell_of(Finding { damage, instance: None, file, detail, row: None, blob, extent });
    }

    fn tell_of(&mut self, finding: Finding) {
        self.summary.findings += 1;
        (self.tell)(Event::Found(&finding));
    }

    fn relative(&self, path: PathBuf) -> PathBuf {
        path.strip_prefix(&self.layout.root).map(Path::to_owned).unwrap_or(path)
    }
}

/// Opens the index without being able to change it, on a read-only medium too.
fn open_read_only(path: &Path) -> Result<Connection, Error> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let open = |options: &str| -> rusqlite::Result<Connection> {
        let index = Connection::open_with_flags(format!("file:{name}{options}"), flags)?;
        index.busy_timeout(PATIENCE)?;
        index.query_row("PRAGMA schema_version", [], |_| Ok(()))?;
        Ok(index)
    };
    match open("") {
        // What SQLite keeps beside a database in use cannot be made here. Where there is none of it, nobody
        // uses it.
        Err(error) if is_for_want_of_writing(&error) && !wal(path).exists() => Ok(open("?immutable=1")?),
        // It is for the caller to say what is wrong with it.
        Err(error) if is_damage(&error) => Ok(Connection::open_with_flags(path, flags)?),
        other => Ok(other?),
    }
}

/// Whether a database in WAL mode cannot be read because nothing can be made beside it.
fn is_for_want_of_writing(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

fn wal(index: &Path) -> PathBuf {
    let mut name = index.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// Whether the database is broken, rather than out of reach.
fn is_damage(error: &rusqlite::Error) -> bool {
    use ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};
    matches!(error.sqlite_error_code(), None | Some(DatabaseCorrupt | NotADatabase | Unknown))
}

/// What is wrong with the index, in words.
fn faults(index: &Connection, depth: Depth) -> rusqlite::Result<Vec<String>> {
    let mut faults = own_faults(index, depth)?;
    if faults.is_empty() {
        let wrong: i64 = index.query_row(WRONG_COUNTS, [], |row| row.get(0))?;
        if wrong > 0 {
            faults.push(format!("{wrong} series or studies have wrong counts, or instances none of them"));
        }
    }
    Ok(faults)
}

/// What SQLite itself finds wrong with a database.
fn own_faults(database: &Connection, depth: Depth) -> rusqlite::Result<Vec<String>> {
    let look = if depth == Depth::Bytes { "integrity_check" } else { "quick_check" };
    let mut faults: Vec<String> = database
        .prepare(&format!("PRAGMA {look}({MAX_INDEX_FAULTS})"))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    faults.retain(|fault| fault != "ok");
    Ok(faults)
}

/// Series and studies whose counters are not what is in them, and rows whose parents are gone.
const WRONG_COUNTS: &str = "
    SELECT (SELECT COUNT(*)
            FROM series
            WHERE instances <> (SELECT COUNT(*) FROM instance WHERE instance.series = series.id))
        + (SELECT COUNT(*)
            FROM study
            WHERE instances <> (SELECT COALESCE(SUM(s.instances), 0) FROM series AS s WHERE s.study = study.id)
                OR series <> (SELECT COUNT(*) FROM series AS s WHERE s.study = study.id))
        + (SELECT COUNT(*) FROM (SELECT DISTINCT series FROM instance)
            WHERE series NOT IN (SELECT id FROM series))";

/// Whether a row is as it was when it was read.
fn is_still_there(index: &Connection, row: &Row) -> Result<bool, Error> {
    let blob: Option<i64> = index
        .prepare_cached("SELECT blob FROM instance WHERE id = ?1")?
        .query_row([row.id], |row| row.get(0))
        .optional()?;
    Ok(blob == Some(row.blob.0 as i64))
}

/// Whether a file waits for an instance. Looked at before who is at it: it is written by who has it locked.
fn is_empty(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0)
}

/// Whether somebody is still at a file that has no row. If not, it has one by now, or never will.
fn is_being_stored(path: &Path) -> bool {
    let Ok(file) = open(path) else { return false };
    flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}
