//! Which lines of a list are done, for a second run to pass over.
//!
//! ```text
//! DIR/.dicomet/lists.jsonl   one JSON object a line that was worked off, by one write, synced
//! ```
//!
//! A line is known by a digest of node, model and keys, so that a list may be edited, sorted or cut: what stands in it
//! is not kept. With it stands what proves it: how many files each series had, and of how many bytes. A second run looks
//! whether they are there still; no file is read. In memory are the digest and the place of its line in the file.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use dicomet_proto::Uid;
use dicomet_proto::query::Query;
use serde::{Deserialize, Serialize};

use crate::Node;
use crate::retrieve::folder::OURS;
use crate::retrieve::inventory::Study;
use crate::retrieve::layout::Layout;

const NAME: &str = "lists.jsonl";

/// A line that finds more studies than this is worked off anew each time.
const MAX_STUDIES: usize = 2_000;

/// Longer than any line that we write: 2,000 studies of hundreds of series.
const MAX_RECORD: u64 = 64 * 1024 * 1024;

/// What a line asks for, of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; 16]);

impl Digest {
    pub(super) fn of(node: &Node, query: &Query) -> Digest {
        let text = format!("{node}\n{:?}\n{:?}\n{}", query.model, query.level, query.keys.to_json());
        let mut digest = [0; 16];
        digest.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
        Digest(digest)
    }

    fn text(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn parse(text: &str) -> Option<Digest> {
        let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
        Some(Digest(number.to_be_bytes()))
    }
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    line: String,
    complete: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    studies: Vec<StudyProof>,
}

/// What of a study was in the folder when its line was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StudyProof {
    study: String,
    series: Vec<SeriesProof>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SeriesProof {
    series: String,
    files: u64,
    bytes: u64,
}

impl StudyProof {
    /// Looks at a study that is complete. None where the layout gives its series no folders of their own, or where
    /// what was wanted of them was not all there is.
    pub(super) fn of(root: &Path, layout: &Layout, study: &Study) -> Option<StudyProof> {
        let series = study.series.iter().map(|series| {
            let (files, bytes) = look(root, layout, &study.uid, &series.uid)?;
            let is_provable = series.is_whole && files >= series.instances.len() as u64;
            is_provable.then(|| SeriesProof { series: series.uid.to_string(), files, bytes })
        });
        Some(StudyProof { study: study.uid.to_string(), series: series.collect::<Option<_>>()? })
    }

    fn holds(&self, root: &Path, layout: &Layout) -> bool {
        let Ok(study) = Uid::new(self.study.as_str()) else { return false };
        !self.series.is_empty()
            && self.series.iter().all(|proof| {
                Uid::new(proof.series.as_str())
                    .ok()
                    .and_then(|series| look(root, layout, &study, &series))
                    .is_some_and(|(files, bytes)| files >= proof.files && bytes >= proof.bytes)
            })
    }
}

/// The files of a series, and their bytes.
fn look(root: &Path, layout: &Layout, study: &Uid, series: &Uid) -> Option<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(root.join(layout.series_folder(study, series)?)).ok()? {
        let metadata = entry.and_then(|entry| entry.metadata()).ok()?;
        if metadata.is_file() {
            (files, bytes) = (files + 1, bytes + metadata.len());
        }
    }
    Some((files, bytes))
}

/// The state of a folder. The folder's lock keeps it ours alone.
#[derive(Debug)]
pub(super) struct State {
    root: PathBuf,
    layout: Layout,
    file: File,
    /// Lines that are complete, with where their last record begins.
    complete: HashMap<Digest, u64>,
    length: u64,
}

impl State {
    /// Opens or begins it. What is no record, as a cut may leave it, is passed over.
    pub(super) fn open(root: &Path, layout: &Layout) -> io::Result<State> {
        let folder = root.join(OURS);
        fs::create_dir_all(&folder)?;
        let file = OpenOptions::new().read(true).append(true).create(true).open(folder.join(NAME))?;
        let mut state = State {
            root: root.to_owned(),
            layout: layout.clone(),
            file,
            complete: HashMap::new(),
            length: 0,
        };
        state.read_all()?;
        Ok(state)
    }

    fn read_all(&mut self) -> io::Result<()> {
        let mut reader = BufReader::new(self.file.try_clone()?);
        reader.seek(SeekFrom::Start(0))?;
        let mut text = Vec::new();
        loop {
            text.clear();
            let read = reader.by_ref().take(MAX_RECORD).read_until(b'\n', &mut text)? as u64;
            if read == 0 {
                return Ok(());
            }
            if let Some((digest, complete)) = head(&text) {
                match complete {
                    true => self.complete.insert(digest, self.length),
                    false => self.complete.remove(&digest),
                };
            }
            self.length += read;
            if !text.ends_with(b"\n") && read < MAX_RECORD {
                // Torn: what follows begins on a line of its own.
                self.file.write_all(b"\n")?;
                self.length += 1;
            }
        }
    }

    /// Whether a line was done, and all that it brought is in the folder still.
    pub(super) fn is_complete(&self, digest: &Digest) -> bool {
        let Some(place) = self.complete.get(digest) else { return false };
        self.record(*place).is_ok_and(|record| {
            !record.studies.is_empty()
                && record.studies.iter().all(|study| study.holds(&self.root, &self.layout))
        })
    }

    fn record(&self, place: u64) -> io::Result<Record> {
        let mut reader = BufReader::new(&self.file);
        reader.seek(SeekFrom::Start(place))?;
        let mut text = Vec::new();
        reader.take(MAX_RECORD).read_until(b'\n', &mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// What proves a study that is complete now.
    pub(super) fn prove(&self, study: &Study) -> Option<StudyProof> {
        StudyProof::of(&self.root, &self.layout, study)
    }

    /// Notes that a line was worked off, with proofs where it is complete, and makes it last.
    pub(super) fn note(&mut self, digest: &Digest, proofs: Option<Vec<StudyProof>>) -> io::Result<()> {
        let proofs = proofs.filter(|proofs| proofs.len() <= MAX_STUDIES);
        let complete = proofs.is_some();
        if !complete && !self.complete.contains_key(digest) {
            // It is not said to be complete, so there is nothing to take back.
            return Ok(());
        }
        let record = Record { line: digest.text(), complete, studies: proofs.unwrap_or_default() };
        let mut text = serde_json::to_vec(&record)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        self.file.sync_data()?;
        match complete {
            true => self.complete.insert(*digest, self.length),
            false => self.complete.remove(digest),
        };
        self.length += text.len() as u64;
        Ok(())
    }
}

/// What of a record is kept in memory; it has an end, or it is none.
fn head(text: &[u8]) -> Option<(Digest, bool)> {
    let record: Record = serde_json::from_slice(text.strip_suffix(b"\n")?).ok()?;
    Some((Digest::parse(&record.line)?, record.complete))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use dicomet_proto::query::{Level, Model};

    use super::*;
    use crate::retrieve::inventory::{Instance, Series};

    fn digest(key: &str) -> Digest {
        let query = Query::new(Model::StudyRoot, Level::Study).key(key).unwrap();
        Digest::of(&"PEER@127.0.0.1:104".parse().unwrap(), &query)
    }

    /// A study of one series with so many instances, in the folder.
    fn study(root: &Path, uid: &str, instances: usize) -> Study {
        let study = Uid::new(uid).unwrap();
        let series = Uid::new(format!("{uid}.1")).unwrap();
        let folder = root.join(study.as_str()).join(series.as_str());
        fs::create_dir_all(&folder).unwrap();
        let instances = (0..instances).map(|number| {
            fs::write(folder.join(format!("{number}.dcm")), [0; 100]).unwrap();
            Instance { uid: Uid::new(format!("{uid}.1.{number}")).unwrap(), sop_class: None }
        });
        let series = Series::named(series, instances.collect());
        Study::named(study, vec![series])
    }

    fn open(root: &Path) -> State {
        State::open(root, &Layout::default()).unwrap()
    }

    #[test]
    fn a_line_that_is_done_is_passed_over_while_its_files_are_there() {
        let root = tempfile::tempdir().unwrap();
        let study = study(root.path(), "1.2", 3);
        let line = digest("AccessionNumber=A1");
        let mut state = open(root.path());
        let proof = state.prove(&study).unwrap();
        state.note(&line, Some(vec![proof])).unwrap();
        assert!(state.is_complete(&line));
        let state = open(root.path());
        assert!(state.is_complete(&line) && !state.is_complete(&digest("AccessionNumber=A2")));

        let file = root.path().join("1.2/1.2.1/0.dcm");
        fs::write(&file, [0; 99]).unwrap();
        assert!(!state.is_complete(&line), "a file is shorter");
        fs::write(&file, [0; 100]).unwrap();
        assert!(state.is_complete(&line));
        fs::remove_file(&file).unwrap();
        assert!(!state.is_complete(&line), "a file is gone");
    }

    #[test]
    fn the_last_word_on_a_line_counts_and_failures_take_no_room() {
        let root = tempfile::tempdir().unwrap();
        let study = study(root.path(), "1.2", 1);
        let (one, two) = (digest("AccessionNumber=A1"), digest("AccessionNumber=A2"));
        let mut state = open(root.path());
        for line in [&one, &two] {
            let proof = state.prove(&study).unwrap();
            state.note(line, Some(vec![proof])).unwrap();
        }
        state.note(&one, None).unwrap();
        let length = state.length;
        state.note(&digest("AccessionNumber=A3"), None).unwrap();
        assert_eq!(state.length, length);
        let state = open(root.path());
        assert!(!state.is_complete(&one) && state.is_complete(&two));
        assert_eq!(state.length, length);
    }

    #[test]
    fn what_a_cut_left_is_passed_over_and_what_follows_is_read() {
        for torn in [&b"{\"line\":\"00"[..], b"\0\0\0", b"{}\n", b"\xff\n"] {
            let root = tempfile::tempdir().unwrap();
            let study = study(root.path(), "1.2", 1);
            let (one, two) = (digest("AccessionNumber=A1"), digest("AccessionNumber=A2"));
            let mut state = open(root.path());
            let proof = vec![state.prove(&study).unwrap()];
            state.note(&one, Some(proof.clone())).unwrap();
            drop(state);
            let path = root.path().join(OURS).join(NAME);
            OpenOptions::new().append(true).open(&path).unwrap().write_all(torn).unwrap();
            open(root.path()).note(&two, Some(proof)).unwrap();
            let state = open(root.path());
            assert!(state.is_complete(&one) && state.is_complete(&two), "{torn:?}");
        }
    }

    #[test]
    fn what_was_narrowed_and_what_has_no_folder_of_its_own_is_not_provable() {
        let root = tempfile::tempdir().unwrap();
        let mut study = study(root.path(), "1.2", 1);
        let state =
            State::open(root.path(), &"{StudyInstanceUID}/{SOPInstanceUID}".parse().unwrap()).unwrap();
        assert_eq!(state.prove(&study), None);
        study.series[0].is_whole = false;
        assert_eq!(open(root.path()).prove(&study), None);
    }

    #[test]
    fn another_node_is_another_question() {
        let query = Query::new(Model::StudyRoot, Level::Study).key("PatientID=1").unwrap();
        let of = |node: &str| Digest::of(&node.parse().unwrap(), &query);
        assert_ne!(of("A@127.0.0.1:104"), of("B@127.0.0.1:104"));
        assert_eq!(Digest::parse(&of("A@127.0.0.1:104").text()), Some(of("A@127.0.0.1:104")));
    }
}
