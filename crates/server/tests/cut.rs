//! A retrieve whose connection is cut at every byte, in either direction: what has its name is whole, and the next run
//! completes the study without fetching again what was.
//!
//! A reset and a C-FIND are cut at every few bytes only, to save time; `DICOMET_CUT_STEP=1` cuts them at each as well.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use dicomet_archive::Archive;
use dicomet_net::association::Timeouts;
use dicomet_net::listen::Listener;
use dicomet_net::retrieve::{Event, Options, Report, Retrieve, RetrieveError, Stop};
use dicomet_proto::AeTitle;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::query::{Level, Model, Query};
use dicomet_server::{Server, Settings};
use dicomet_testkit::instance::{Instance, data_set_of_part10};
use dicomet_testkit::line::{Cut, End, Line, Way};
use tokio::sync::watch;
use tokio::task::JoinSet;

const INSTANCES: u64 = 3;
/// Cuts that are tried at a time: most of a run is waiting.
const AT_A_TIME: u64 = 32;
/// The association that finds, and the one that gets.
const FINDING: usize = 0;
const GETTING: usize = 1;

/// Data sets by the names of their files.
type Files = BTreeMap<String, Vec<u8>>;

/// An archive of one study, for as long as the test runs.
async fn serve(folder: &Path) -> (SocketAddr, Files) {
    let archive = Archive::open(&folder.join("data"), dicomet_archive::Settings::default()).unwrap();
    let mut originals = Files::new();
    for number in 1..=INSTANCES {
        let instance = Instance::new(uids::CT_IMAGE_STORAGE.as_str(), &format!("2.999.1.1.{number}"))
            .patient("P1", "Bowen^William", "")
            .in_series("2.999.1", "2.999.1.1");
        let file = folder.join("one.dcm");
        std::fs::write(&file, instance.part10()).unwrap();
        archive.import(&file).unwrap();
        originals.insert(format!("2.999.1.1.{number}.dcm"), instance.data_set());
    }
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), Timeouts::default()).await.unwrap();
    let address = listener.local_address();
    let settings = Settings::new(AeTitle::new("ARCHIVE").unwrap());
    tokio::spawn(async move { Server::new(archive, settings).serve(listener, std::future::pending()).await });
    (address, originals)
}

/// All that has a name below a folder.
fn named(folder: &Path) -> Files {
    let series = folder.join("2.999.1/2.999.1.1");
    let entries = std::fs::read_dir(series).into_iter().flatten().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, data_set_of_part10(&std::fs::read(path).unwrap()).to_vec())
    };
    entries.map(read).collect()
}

fn retrieve(address: SocketAddr, folder: &Path) -> Retrieve {
    let node = format!("ARCHIVE@{address}").parse().unwrap();
    let query = Query::new(Model::StudyRoot, Level::Study).key("StudyInstanceUID=2.999.1").unwrap();
    // One transfer syntax, so that there are fewer bytes to cut at.
    let transfer_syntaxes = Some(vec![uids::EXPLICIT_VR_LITTLE_ENDIAN]);
    Retrieve::new(node, query, folder).options(Options { transfer_syntaxes, ..Options::default() })
}

/// Runs a retrieve to its end; how many sub-operations the archive counts as completed.
async fn run(retrieve: Retrieve) -> (Result<Report, RetrieveError>, u64) {
    let (mut completed, mut last) = (0, 0);
    let running = retrieve.run(|event| match event {
        Event::Counters(counters) => last = counters.completed.unwrap_or(0).into(),
        Event::Ended { .. } => completed += std::mem::take(&mut last),
        _ => {}
    });
    let report = tokio::time::timeout(Duration::from_secs(60), running).await.expect("it ends");
    (report, completed)
}

/// A run that is cut, and one that is not. Answers whether the first was cut at all.
async fn cut_and_run_again(archive: SocketAddr, cut: Cut, originals: &Files) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let line = Line { cut: Some(cut.clone()), ..Line::default() };
    let proxy = line.open(([127, 0, 0, 1], 0).into(), archive).await.unwrap();
    let (stop, stopped) = watch::channel(Stop::No);
    let first = run(retrieve(proxy.address(), folder.path()).stop_by(stopped));
    // The run ends with the cut, as if the process had.
    let after_the_cut = async {
        proxy.cut().await;
        let _ = stop.send(Stop::Abort);
        std::future::pending().await
    };
    let (report, _) = tokio::select! {
        first = first => first,
        never = after_the_cut => never,
    };
    if proxy.cuts() == 0 {
        assert!(report.unwrap().complete, "{cut:?}");
        return false;
    }
    let came = named(folder.path());
    for (name, bytes) in &came {
        assert!(originals[name] == *bytes, "{cut:?}: {name} is not whole");
    }
    let (came, all) = (came.len() as u64, originals.len() as u64);

    let (report, completed) = run(retrieve(archive, folder.path())).await;
    let report = report.unwrap();
    assert!(report.complete, "{cut:?}: {report:?}");
    assert_eq!((report.present, report.retrieved), (came, all - came), "{cut:?}");
    assert_eq!(completed, all - came, "{cut:?}: nothing whole is sent twice");
    assert!(named(folder.path()) == *originals, "{cut:?}");
    assert_eq!(std::fs::read_dir(folder.path().join(".dicomet/parts")).unwrap().count(), 0, "{cut:?}");
    true
}

/// Cuts an association at every so many bytes there are, and answers how many cuts that made.
async fn cut_everywhere(connection: usize, way: Way, end: End, step: u64) -> u64 {
    let step = std::env::var("DICOMET_CUT_STEP").map_or(step, |step| step.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (archive, originals) = serve(folder.path()).await;
    let mut cuts = 0;
    for first in (0..).step_by(AT_A_TIME as usize) {
        let mut running = JoinSet::new();
        for after_bytes in (first..first + AT_A_TIME).map(|number| number * step) {
            let cut = Cut { after_bytes, way, end, connections: connection..connection + 1 };
            let originals = originals.clone();
            running.spawn(async move { cut_and_run_again(archive, cut, &originals).await });
        }
        let cut = running.join_all().await.into_iter().filter(|cut| *cut).count() as u64;
        cuts += cut;
        if cut < AT_A_TIME {
            break;
        }
    }
    println!("{cuts} cuts {way:?} by {end:?}, {step} bytes apart");
    cuts * step
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_that_is_cut_at_any_byte_of_what_comes_is_completed_by_the_next_run() {
    assert!(cut_everywhere(GETTING, Way::ToRequestor, End::Fin, 1).await > 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_that_is_cut_at_any_byte_of_what_is_asked_and_answered_is_completed_by_the_next_run() {
    assert!(cut_everywhere(GETTING, Way::ToAcceptor, End::Fin, 1).await > 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_that_is_reset_is_completed_by_the_next_run() {
    assert!(cut_everywhere(GETTING, Way::ToRequestor, End::Rst, 7).await > 1000);
    assert!(cut_everywhere(GETTING, Way::ToAcceptor, End::Rst, 7).await > 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_find_that_is_cut_leaves_nothing_that_keeps_the_next_run_from_completing() {
    assert!(cut_everywhere(FINDING, Way::ToRequestor, End::Fin, 7).await > 500);
    assert!(cut_everywhere(FINDING, Way::ToAcceptor, End::Fin, 7).await > 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_kept_from_coming_comes_in_the_same_run_on_another_association() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, originals) = serve(folder.path()).await;
    let mut running = JoinSet::new();
    for after_bytes in (0..900).step_by(31) {
        let originals = originals.clone();
        running.spawn(async move {
            let cut =
                Cut { after_bytes, way: Way::ToRequestor, end: End::Fin, connections: GETTING..GETTING + 1 };
            let line = Line { cut: Some(cut), ..Line::default() };
            let proxy = line.open(([127, 0, 0, 1], 0).into(), archive).await.unwrap();
            let folder = tempfile::tempdir().unwrap();
            let report = run(retrieve(proxy.address(), folder.path())).await.0.unwrap();
            assert!(report.complete && report.retrieved == INSTANCES, "{after_bytes}: {report:?}");
            assert!(named(folder.path()) == originals, "{after_bytes}");
            proxy.cuts()
        });
    }
    assert!(running.join_all().await.into_iter().all(|cuts| cuts == 1));
}
