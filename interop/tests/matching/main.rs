//! The answers are right: hundreds of generated queries over pydicom's test files, put to the archive over the
//! network, and the set of answers held against a plain look at every header, one after the other.
//!
//! The queries are always the same ones. `DICOMET_MATCHING_FILES` names further folders of DICOM files to put in,
//! `DICOMET_MATCHING_QUERIES` how many queries to make.

#![allow(clippy::unwrap_used)]

mod asking;
mod questions;
mod reference;

use std::collections::BTreeMap;
use std::path::PathBuf;

use dicomet_interop::asker::Asker;
use dicomet_interop::dicomet::{AE_TITLE, Serve, dicomet};

use asking::{Counts, counts, distinct_instances, encoded, shown, wanted};
use questions::Generator;
use reference::Reference;

#[test]
fn generated_queries_are_answered_as_a_plain_look_at_every_header_would() {
    let (files, paths) = distinct_instances();
    let data = tempfile::tempdir().unwrap();
    let mut arguments = vec!["import", files.path().to_str().unwrap(), "--data"];
    arguments.push(data.path().to_str().unwrap());
    let imported = dicomet(arguments);
    let is_refused = |path: &PathBuf| {
        let named = format!("not stored: {}:", path.display());
        imported.stderr.lines().any(|line| line.starts_with(&named))
    };
    let stored: Vec<PathBuf> = paths.into_iter().filter(|path| !is_refused(path)).collect();
    let reference = Reference::of_files(&stored);
    assert!(reference.studies() >= 20, "only {} studies", reference.studies());

    let archive = Serve::start(data.path());
    let mut askers = BTreeMap::new();
    let (mut asked, mut with_answers, mut undecided) = (0, 0, 0);
    let mut wrong = Vec::new();
    for (kind, query) in Generator::new(&reference).take(wanted()) {
        let asker = askers
            .entry(query.find_sop_class().to_string())
            .or_insert_with_key(|sop_class| Asker::open(AE_TITLE, archive.port(), sop_class).0);
        let (answers, status) = counts(asker.ask(&encoded(&query)), &query);
        let expected = reference.matches(&query);
        asked += 1;
        with_answers += usize::from(!answers.is_empty());
        undecided += expected.undecided();
        if status != 0 || !expected.agrees_with(&answers) {
            wrong.push(format!(
                "{kind:?} {}: {status:04X}\n  {}",
                shown(&query),
                expected.difference(&answers)
            ));
        }
    }
    println!(
        "{asked} queries, {with_answers} with answers, {undecided} matches that depend on which instance was first"
    );
    assert!(wrong.is_empty(), "{} of {asked} queries:\n{}", wrong.len(), wrong.join("\n"));
    assert!(with_answers * 2 > asked, "most queries have to match something");
}
