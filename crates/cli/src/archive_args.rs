//! How an archive takes instances, for the commands that put some into it; and opening it with a hint when it
//! cannot be.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use dicomet_archive::{Absent, Archive, Duplicates, Error, Settings};

use crate::exit::CommandError;

#[derive(Debug, Args)]
pub struct ArchiveArgs {
    /// What happens to an instance whose SOP Instance UID is there with other bytes
    #[arg(long, value_enum, default_value_t = DuplicateArg::Refuse)]
    duplicate: DuplicateArg,

    /// The most bytes of instances, such as 500G or 1.5TiB; what does not fit is refused, nothing is removed
    #[arg(long, value_name = "SIZE", value_parser = size)]
    quota: Option<u64>,

    /// Fail where there is no archive yet, as on a disk that is not mounted
    #[arg(long)]
    existing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DuplicateArg {
    /// The first stays, the second is refused
    Refuse,
    /// The second takes its place, once it is durable
    Replace,
}

impl ArchiveArgs {
    /// As settings of the archive.
    pub fn settings(&self) -> Settings {
        Settings {
            duplicates: match self.duplicate {
                DuplicateArg::Refuse => Duplicates::Refuse,
                DuplicateArg::Replace => Duplicates::Replace,
            },
            quota: self.quota,
            absent: if self.existing { Absent::Refuse } else { Absent::Create },
            ..Settings::default()
        }
    }
}

/// A number of bytes: K, M, G, T with powers of 1000, KiB and so on with those of 1024.
fn size(text: &str) -> Result<u64, String> {
    let usage = || format!("'{text}' is no size; write 500G, 1.5TB or 200GiB");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| usage())?;
    let unit = unit.trim().to_ascii_uppercase();
    let base: f64 = if unit.ends_with("IB") { 1024.0 } else { 1000.0 };
    let power = match unit.trim_end_matches('B').trim_end_matches('I') {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        _ => return Err(usage()),
    };
    Ok((number * base.powi(power)) as u64)
}

/// Opens the archive in a folder, or makes one there.
pub async fn open_archive(folder: PathBuf, settings: Settings) -> Result<Archive, CommandError> {
    let shown = folder.clone();
    let opened = tokio::task::spawn_blocking(move || Archive::open(&folder, settings)).await;
    match opened {
        Ok(opened) => opened.map_err(|error| explain(&shown, &error)),
        Err(error) => {
            Err(CommandError::new(format!("cannot open the archive in {}: {error}", shown.display())))
        }
    }
}

/// Why an archive cannot be opened, and what to try.
pub fn explain(folder: &Path, error: &Error) -> CommandError {
    let failure = CommandError::new(format!("cannot open the archive in {}: {error}", folder.display()));
    match error {
        Error::InUse(_) => failure.hint("stop the other dicomet that has it open first"),
        Error::NotAnArchive(_) => failure.hint("give an empty or new folder with --data"),
        Error::NoArchive(_) => failure.hint("is the disk mounted? is it another folder?"),
        Error::NotWritable { .. } => failure.hint("is the disk mounted read-only? whose folder is it?"),
        Error::IndexLost(_) => failure.hint(format!(
            "dicomet check --repair --data {} builds the index from the instances",
            folder.display()
        )),
        Error::NewerSchema { .. } => failure.hint("use the version of dicomet that wrote it, or a later one"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("500G", 500_000_000_000),
            ("1.5TB", 1_500_000_000_000),
            ("2KiB", 2048),
            ("3 mib", 3 << 20),
            ("7B", 7),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "-1", "5X", "1.2.3", "nanG"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
