//! The journal of an output folder: what is expected in it, and what has come. A page a study, so that a folder of any
//! size costs no more than the study at hand.
//!
//! ```text
//! DIR/.dicomet/studies/<Study Instance UID>      see `page` for what is in it
//! ```
//!
//! The journal proves nothing: what is here is looked at in the folder itself, and the journal may be deleted. It tells
//! what looking cannot: which instances a study has when no peer is there to be asked, and how long a file was when
//! it got its name. A journal that cannot be written is no reason to lose an instance, and is told once.

mod page;

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use dicomet_proto::Uid;

use super::inventory::Study;

pub(super) use page::{Here, More, Page};

/// Pages that are open at a time: more than studies come side by side.
const OPEN_PAGES: usize = 32;

/// What is noted of a study.
#[derive(Debug)]
pub(super) struct Noted {
    /// The instances that came.
    pub(super) here: Here,
    /// The series that are or were expected.
    pub(super) series: Vec<Uid>,
}

/// The journal, open for writing. The folder's lock keeps it ours alone.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    /// The pages last written to, the latest at the end.
    open: Mutex<VecDeque<(Uid, File)>>,
    has_warned: AtomicBool,
}

impl Journal {
    /// Opens or begins the journal in a folder for what is ours.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(ours: &Path) -> io::Result<Journal> {
        let folder = ours.join("studies");
        fs::create_dir_all(&folder)?;
        Ok(Journal { folder, open: Mutex::default(), has_warned: AtomicBool::new(false) })
    }

    /// Notes what is expected of a study, and answers what is noted of it.
    pub(super) fn expect(&self, study: &Study) -> Noted {
        let path = self.folder.join(study.uid.as_str());
        // What comes meanwhile is noted in the new page.
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let page = read(&path).unwrap_or_else(|error| {
            self.warn("read", &error);
            Page::default()
        });
        let (expected, more) = page.expectation(study);
        let is_news = !page.expects(&expected, more);
        let series = expected.iter().map(|series| series.uid.clone()).collect();
        if is_news || page.is_wordy() {
            open.retain(|(of, _)| *of != study.uid);
            if let Err(error) = replace(&path, |file| page::write(file, &expected, more, &page.here)) {
                self.warn("written", &error);
            }
        }
        Noted { here: page.here, series }
    }

    /// Notes that an instance stands under its name, and how long its file is.
    pub(super) fn note(&self, study: &Uid, instance: &Uid, bytes: u64) {
        if let Err(error) = self.append(study, &page::line_for(instance, bytes)) {
            // What was written of the line has no end; the next one begins on a line of its own.
            self.close(study);
            self.warn("written", &error);
        }
    }

    fn append(&self, study: &Uid, line: &str) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let place = open.iter().position(|(of, _)| of == study);
        let (study, mut file) = match place.and_then(|place| open.remove(place)) {
            Some(page) => page,
            None => (study.clone(), page_to_append(&self.folder.join(study.as_str()))?),
        };
        if open.len() == OPEN_PAGES {
            open.pop_front();
        }
        file.write_all(line.as_bytes())?;
        open.push_back((study, file));
        Ok(())
    }

    fn close(&self, study: &Uid) {
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        open.retain(|(of, _)| of != study);
    }

    fn warn(&self, what: &str, error: &io::Error) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!("the journal of the output folder cannot be {what}: {error}");
        }
    }
}

/// The studies that have a page, in no order; none where there is no journal.
pub(super) fn studies(ours: &Path) -> io::Result<Vec<Uid>> {
    let entries = match fs::read_dir(ours.join("studies")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut studies = Vec::new();
    for entry in entries {
        // Any other name is a page that was being replaced.
        studies.extend(entry?.file_name().to_str().and_then(|name| Uid::new(name).ok()));
    }
    Ok(studies)
}

/// The page of a study, empty where there is none.
pub(super) fn page_of(ours: &Path, study: &Uid) -> io::Result<Page> {
    read(&ours.join("studies").join(study.as_str()))
}

fn read(path: &Path) -> io::Result<Page> {
    match File::open(path) {
        Ok(file) => Page::read(io::BufReader::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Page::default()),
        Err(error) => Err(error),
    }
}

/// Puts another page in the place of one, by one rename.
fn replace(path: &Path, write: impl FnOnce(&mut io::BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let new = path.with_added_extension("new");
    let written = File::create(&new).map(io::BufWriter::new).and_then(|mut file| {
        write(&mut file)?;
        file.flush()
    });
    written.and_then(|()| fs::rename(&new, path)).inspect_err(|_| drop(fs::remove_file(&new)))
}

/// Opens a page to append to it. A last line that has no end gets one.
fn page_to_append(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    if file.metadata()?.len() == 0 {
        file.write_all(page::FORMAT.as_bytes())?;
        return Ok(file);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last != *b"\n" {
        // Makes a number that was cut no number.
        file.write_all(b"?\n")?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
