//! The answers are right: hundreds of generated queries over pydicom's test files, put to the archive over the
//! network, and the set of answers held against a plain look at every header, one after the other.
//!
//! The queries are always the same ones. `DICOMET_MATCHING_FILES` names further folders of DICOM files to put in,
//! `DICOMET_MATCHING_QUERIES` how many queries to make.
//!
//! `cargo test --test matching -- --ignored --nocapture` puts the same queries to Orthanc and dcmqrscp and lists where
//! they differ; docs/matching.md explains the differences.

#![allow(clippy::unwrap_used)]

mod questions;
mod reference;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dicomet_interop::asker::{Answers, Asker};
use dicomet_interop::dcmtk::Dcmqrscp;
use dicomet_interop::dicomet::{AE_TITLE, Serve, dicomet};
use dicomet_interop::files::dicom_files;
use dicomet_interop::orthanc::Orthanc;
use dicomet_interop::pynetdicom::pydicom_test_files;
use dicomet_proto::dataset::DataSet;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::query::{Model, Query};
use tempfile::TempDir;

use questions::{Generator, Kind};
use reference::Reference;

/// Answers by the unique key of the level: patients without an ID have the same.
type Counts = BTreeMap<String, usize>;

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

/// Not a test of ours: a list of where others answer otherwise.
#[test]
#[ignore = "lists differences of other archives"]
fn differences_of_orthanc_and_dcmqrscp() {
    let (files, paths) = distinct_instances();
    let orthanc = Orthanc::start();
    let taken: Vec<PathBuf> = paths.into_iter().filter(|path| orthanc.upload(path) == 200).collect();
    // Both get the same files: those that both take.
    let both = tempfile::tempdir().unwrap();
    for path in &taken {
        std::fs::copy(path, both.path().join(path.file_name().unwrap())).unwrap();
    }
    drop(files);
    let dcmqrscp = Dcmqrscp::with_files(both.path());
    let reference = Reference::of_files(&taken);
    for (name, title, port) in
        [("Orthanc", Orthanc::AE_TITLE, orthanc.port()), ("dcmqrscp", Dcmqrscp::AE_TITLE, dcmqrscp.port())]
    {
        list_differences(name, title, port, &reference);
    }
}

fn list_differences(name: &str, title: &str, port: u16, reference: &Reference) {
    let mut of_kinds: BTreeMap<Kind, (usize, Vec<String>)> = BTreeMap::new();
    for (kind, query) in Generator::new(reference).take(wanted()) {
        // An association each: some end it when they cannot read an identifier.
        let (mut asker, _) = Asker::open(title, port, query.find_sop_class().as_str());
        let (answers, status) = counts(asker.ask(&encoded(&query)), &query);
        let expected = reference.matches(&query);
        let (asked, differences) = of_kinds.entry(kind).or_default();
        *asked += 1;
        if status != 0 || !expected.agrees_with(&answers) {
            differences.push(format!("{} -> {status:04X}, {}", shown(&query), expected.difference(&answers)));
        }
    }
    println!("\n{name}");
    for (kind, (asked, differences)) in of_kinds {
        println!("{kind:?}: {asked} asked, {} otherwise", differences.len());
        for difference in differences.iter().take(6) {
            println!("    {difference}");
        }
    }
}

fn wanted() -> usize {
    std::env::var("DICOMET_MATCHING_QUERIES").ok().and_then(|text| text.parse().ok()).unwrap_or(600)
}

/// The files in a folder of their own, one for each SOP Instance UID, and their paths in it.
fn distinct_instances() -> (TempDir, Vec<PathBuf>) {
    let mut sources = dicom_files(&pydicom_test_files());
    for folder in std::env::var("DICOMET_MATCHING_FILES").iter().flat_map(|list| list.split(':')) {
        sources.extend(dicom_files(Path::new(folder)));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut seen = std::collections::HashSet::new();
    let mut paths = Vec::new();
    for source in sources {
        let Some(header) = reference::header(&source) else { continue };
        let Some(uid) = header.uid(reference::SOP_INSTANCE_UID) else { continue };
        if seen.insert(uid) {
            let path = folder.path().join(format!("{:05}.dcm", paths.len()));
            std::fs::copy(&source, &path).unwrap();
            paths.push(path);
        }
    }
    (folder, paths)
}

fn encoded(query: &Query) -> Vec<u8> {
    query.identifier().encode(&uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap()
}

fn counts(answers: Answers, query: &Query) -> (Counts, u16) {
    let mut counts = Counts::new();
    for bytes in &answers.identifiers {
        let identifier = DataSet::parse(bytes, &uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        *counts.entry(identifier.text(query.level.unique_key()).unwrap_or_default()).or_default() += 1;
    }
    (counts, answers.status)
}

fn shown(query: &Query) -> String {
    let model = if query.model == Model::PatientRoot { "patient root" } else { "study root" };
    let keys: Vec<String> = query
        .keys
        .tags()
        .map(|tag| {
            let name = dicomet_proto::dataset::dictionary::keyword_of(tag).unwrap_or("?");
            format!("{name}={}", query.keys.text(tag).unwrap_or_default())
        })
        .collect();
    format!("{model}, {}: {}", query.level, keys.join(", "))
}
