//! How an archive takes instances, for the commands that put some into it; and opening it with a hint when it
//! cannot be.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use dicomet_archive::{Absent, Archive, Duplicates, Error, Settings};
use dicomet_server::config::{Duplicate, ServeEntry, Size, Text};

use crate::exit::CommandError;

/// The folder of the archive where nothing says another.
pub const DEFAULT_DATA: &str = "dicomet-data";

#[derive(Debug, Args)]
pub struct ArchiveArgs {
    /// What happens to an instance whose SOP Instance UID is there with other bytes [default: refuse]
    #[arg(long, env = "DICOMET_DUPLICATE", value_enum)]
    duplicate: Option<DuplicateArg>,

    /// The most bytes of instances, such as 500G or 1.5TiB; what does not fit is refused, nothing is removed
    #[arg(long, env = "DICOMET_QUOTA", value_name = "SIZE")]
    quota: Option<Size>,

    /// Fail where there is no archive yet, as on a disk that is not mounted
    #[arg(long, env = "DICOMET_EXISTING", value_name = "true|false", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = BoolishValueParser::new())]
    existing: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DuplicateArg {
    /// The first stays, the second is refused
    Refuse,
    /// The second takes its place, once it is durable
    Replace,
}

impl ArchiveArgs {
    /// Takes from the configuration what was not given.
    pub fn fill(&mut self, entry: &ServeEntry) {
        let of_entry = |duplicate| match duplicate {
            Duplicate::Refuse => DuplicateArg::Refuse,
            Duplicate::Replace => DuplicateArg::Replace,
        };
        self.duplicate = self.duplicate.or(entry.duplicate.map(of_entry));
        self.quota = self.quota.or(entry.quota.as_ref().map(|Text(size)| *size));
        self.existing = self.existing.or(entry.existing);
    }

    /// As settings of the archive.
    pub fn settings(&self) -> Settings {
        Settings {
            duplicates: match self.duplicate {
                None | Some(DuplicateArg::Refuse) => Duplicates::Refuse,
                Some(DuplicateArg::Replace) => Duplicates::Replace,
            },
            quota: self.quota.map(|Size(bytes)| bytes),
            absent: if self.existing == Some(true) { Absent::Refuse } else { Absent::Create },
            ..Settings::default()
        }
    }
}

/// Opens the archive in a folder, or makes one there.
pub async fn open_archive(folder: PathBuf, settings: Settings) -> Result<Archive, CommandError> {
    let shown = folder.clone();
    let opened = tokio::task::spawn_blocking(move || Archive::open(&folder, settings)).await;
    match opened {
        Ok(opened) => opened.map_err(|error| explain(&shown, &error)),
        Err(_) => Err(CommandError::new(format!(
            "opening the archive in {} ended by a fault of ours",
            shown.display()
        ))),
    }
}

/// Why an archive cannot be opened, and what to try.
pub fn explain(folder: &Path, error: &Error) -> CommandError {
    let failure = CommandError::new(format!("cannot open the archive in {}: {error}", folder.display()));
    match error {
        Error::InUse(_) => failure.hint("stop the other dicomet that has it open first"),
        Error::NotAnArchive(_) => failure.hint("give an empty or new folder with --data"),
        Error::NoArchive(_) => failure.hint("is the disk mounted? is it another folder?"),
        error if is_for_want_of_rights(error) => {
            failure.hint("it cannot be written to: is the disk mounted read-only? whose folder is it?")
        }
        Error::IndexLost(_) => failure.hint(format!(
            "dicomet check --repair --data {} builds the index from the instances",
            folder.display()
        )),
        Error::IndexBehind => failure.hint(format!(
            "dicomet check --repair --data {} puts in what it lacks; if a newer copy of the index is at hand, put that in its \
             place first",
            folder.display()
        )),
        Error::NoRoom { .. } => failure.hint(format!(
            "make a few MiB of room on its disk by hand; then dicomet delete --data {} can make more",
            folder.display()
        )),
        Error::NewerSchema { .. } => failure.hint("use the version of dicomet that wrote it, or a later one"),
        Error::Index(_) => failure.hint(format!(
            "dicomet check --data {0} says what is wrong; with --repair it builds a broken index anew",
            folder.display()
        )),
        Error::BesideIndex { file, .. } => failure.hint(to_set_aside(file)),
        Error::Busy { database } => failure.hint(to_wait_for(database)),
        _ => failure,
    }
}

/// Whether nothing may be written there: even who only reads a database makes files beside it.
pub fn is_for_want_of_rights(error: &Error) -> bool {
    match error {
        Error::NotWritable { .. } => true,
        Error::NoRoom { source, .. } => source.kind() == ErrorKind::ReadOnlyFilesystem,
        _ => false,
    }
}

/// What to do about a database that another process is writing to.
pub fn to_wait_for(database: &str) -> String {
    format!(
        "wait until it has ended, and try again: it is dicomet delete, dicomet worklist add or remove, or whatever else has \
         {database} open (fuser -v tells); nothing is wrong with it"
    )
}

/// What to do about a database that nothing can be built from.
pub fn to_set_aside(file: &Path) -> String {
    let is_of_worklist = file.file_name().is_some_and(|name| name == "worklist.sqlite");
    let lost = match is_of_worklist {
        true => "the items of the worklist are lost then, and can be added again",
        false => "who waits for a storage commitment report has to ask again then",
    };
    let file = file.display();
    format!(
        "if it is broken, stop what uses it, and restore it or move it elsewhere, with {file}-wal and -shm if they are \
         there, and start again: {lost}; the instances are not concerned"
    )
}
