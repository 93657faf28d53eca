//! What an output folder lacks, by its journal alone: no peer is asked, and nothing is changed.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use dicomet_proto::Uid;
use serde::Serialize;

use super::OURS;
use super::present::{is_whole, list};
use crate::retrieve::inventory::Series;
use crate::retrieve::journal::{self, More, Page};

/// Why an output folder cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It has no journal, so that nobody knows what is expected in it.
    #[error("{path} has no journal: nothing was retrieved into it")]
    NoJournal {
        /// The folder.
        path: String,
    },
    /// Its journal cannot be read.
    #[error("cannot read the journal of {path}: {source}")]
    Unreadable {
        /// The folder.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

/// What an output folder has of what retrieves into it expected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Stock {
    /// Studies that were expected.
    pub studies: u64,
    /// Of them, those that lack something, or may.
    pub incomplete_studies: u64,
    /// Instances that were expected: those that a peer named, and those that it counted besides.
    pub expected: u64,
    /// Of them, those that are here, whole.
    pub here: u64,
    /// Those that were named and are not here.
    pub missing: u64,
    /// Those that were named and are here, but not all of each.
    pub cut: u64,
}

/// An expected instance that is not here, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// Study Instance UID.
    pub study: Uid,
    /// Series Instance UID.
    pub series: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// The file that is cut; `None` where there is none.
    pub cut: Option<PathBuf>,
}

/// Looks whether what earlier retrieves expected in an output folder is there, whole, and names what is not.
///
/// # Errors
/// [`CheckError`].
pub fn check(root: &Path, mut tell: impl FnMut(&Lack)) -> Result<Stock, CheckError> {
    let path = || root.display().to_string();
    let unreadable = |source: io::Error| CheckError::Unreadable { path: path(), source };
    let ours = root.join(OURS);
    if !ours.is_dir() {
        return Err(CheckError::NoJournal { path: path() });
    }
    let mut studies = journal::studies(&ours).map_err(unreadable)?;
    studies.sort();
    let mut files = Files { root, listed: None };
    let mut stock = Stock::default();
    for study in studies {
        let page = journal::page_of(&ours, &study).map_err(unreadable)?;
        stock.add(&study, &page, &mut files, &mut tell);
    }
    Ok(stock)
}

/// Whether retrieves into this folder have expected anything.
pub fn has_journal(root: &Path) -> bool {
    journal::studies(&root.join(OURS)).is_ok_and(|studies| !studies.is_empty())
}

impl Stock {
    /// Whether nothing is known to be lacking.
    pub fn is_complete(&self) -> bool {
        self.incomplete_studies == 0
    }

    fn add(&mut self, study: &Uid, page: &Page, files: &mut Files<'_>, tell: &mut impl FnMut(&Lack)) {
        let Some(series) = &page.expected else { return };
        self.studies += 1;
        let (mut named, mut lacking) = (0, 0);
        for (series, instance) in
            series.iter().flat_map(|series| series.instances.iter().map(|one| (&series.uid, &one.uid)))
        {
            named += 1;
            let path = files.find(study, series, instance);
            let length = page.here.get(instance).copied();
            if path.as_ref().is_some_and(|path| is_whole(path, instance, length)) {
                self.here += 1;
                continue;
            }
            lacking += 1;
            match path {
                Some(_) => self.cut += 1,
                None => self.missing += 1,
            }
            let (study, series, sop_instance) = (study.clone(), series.clone(), instance.clone());
            tell(&Lack { study, series, sop_instance, cut: path });
        }
        // What came unnamed stands for what was counted, as far as it goes.
        let unnamed = match page.more {
            More::None => 0,
            _ => unnamed(page, series, files),
        };
        let (more, is_known) = match page.more {
            More::None => (0, true),
            More::Counted(more) => (more, unnamed >= more),
            More::Unknown => (unnamed, false),
        };
        self.expected += named + more;
        self.here += unnamed.min(more);
        self.incomplete_studies += u64::from(lacking > 0 || !is_known);
    }
}

/// How many instances are here that were not named.
fn unnamed(page: &Page, series: &[Series], files: &mut Files<'_>) -> u64 {
    let named: HashSet<&Uid> =
        series.iter().flat_map(|series| series.instances.iter().map(|instance| &instance.uid)).collect();
    let others = page.here.iter().filter(|(uid, _)| !named.contains(uid));
    others
        .filter(|(uid, length)| files.list(uid).is_some_and(|path| is_whole(&path, uid, Some(**length))))
        .count() as u64
}

/// The files of the folder, by where the default layout has them, or else by what is in them.
struct Files<'a> {
    root: &'a Path,
    listed: Option<HashMap<Uid, PathBuf>>,
}

impl Files<'_> {
    fn find(&mut self, study: &Uid, series: &Uid, instance: &Uid) -> Option<PathBuf> {
        let by_uids = self.root.join(study.as_str()).join(series.as_str()).join(format!("{instance}.dcm"));
        if by_uids.is_file() {
            return Some(by_uids);
        }
        self.list(instance)
    }

    fn list(&mut self, instance: &Uid) -> Option<PathBuf> {
        self.listed.get_or_insert_with(|| list(self.root)).get(instance).cloned()
    }
}
