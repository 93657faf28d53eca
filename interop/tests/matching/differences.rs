//! Puts the generated queries to Orthanc and dcmqrscp, and lists where they answer otherwise than a plain look at every
//! header would; docs/matching.md explains the differences. No test: what others answer is theirs.

#![allow(clippy::unwrap_used)]

mod asking;
mod questions;
mod reference;

use std::collections::BTreeMap;
use std::path::PathBuf;

use dicomet_interop::asker::Asker;
use dicomet_interop::dcmtk::Dcmqrscp;
use dicomet_interop::orthanc::Orthanc;

use asking::{Counts, counts, distinct_instances, encoded, shown, wanted};
use questions::{Generator, Kind};
use reference::Reference;

fn main() {
    let (_files, paths) = distinct_instances();
    let orthanc = Orthanc::start();
    let taken: Vec<PathBuf> = paths.into_iter().filter(|path| orthanc.upload(path) == 200).collect();
    // Both get the same files: those that both take.
    let both = tempfile::tempdir().unwrap();
    for path in &taken {
        std::fs::copy(path, both.path().join(path.file_name().unwrap())).unwrap();
    }
    let dcmqrscp = Dcmqrscp::with_files(both.path());
    let reference = Reference::of_files(&taken);
    println!("{} studies in the files that both take", reference.studies());
    for (name, title, port) in
        [("Orthanc", Orthanc::AE_TITLE, orthanc.port()), ("dcmqrscp", Dcmqrscp::AE_TITLE, dcmqrscp.port())]
    {
        list_differences(name, title, port, &reference);
    }
}

fn list_differences(name: &str, title: &str, port: u16, reference: &Reference) {
    let mut of_kinds: BTreeMap<Kind, (usize, Vec<String>)> = BTreeMap::new();
    let mut undecided = 0;
    for (kind, query) in Generator::new(reference).take(wanted()) {
        // An association each: some end it when they cannot read an identifier.
        let (mut asker, _) = Asker::open(title, port, query.find_sop_class().as_str());
        let (answers, status) = counts(asker.ask(&encoded(&query)), &query);
        let expected = reference.matches(&query);
        undecided += expected.undecided();
        let (asked, differences) = of_kinds.entry(kind).or_default();
        *asked += 1;
        if status != 0 || !expected.agrees_with(&answers) {
            differences.push(format!("{} -> {status:04X}, {}", shown(&query), expected.difference(&answers)));
        }
    }
    println!("\n{name} ({undecided} matches depend on which instance was first)");
    for (kind, (asked, differences)) in of_kinds {
        println!("{kind:?}: {asked} asked, {} otherwise", differences.len());
        for difference in differences.iter().take(6) {
            println!("    {difference}");
        }
    }
}
