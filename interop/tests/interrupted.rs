//! Retrieves that are cut in the middle: what has arrived is whole and stays, the exit status says that
//! something is missing, and the next run brings the rest.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dicomet_interop::dcmtk::Dcmqrscp;
use dicomet_interop::dicomet::{Serve, get, import};
use dicomet_interop::files::{Part10, assert_identical, files, instances};
use dicomet_interop::orthanc::Orthanc;
use dicomet_interop::process::until;
use dicomet_interop::proxy::{Proxy, Then};
use dicomet_testkit::study::Plan;
use tempfile::tempdir;

const STUDY: &str = "StudyInstanceUID=2.999.1.1";
/// Some eight of the twenty slices pass before it is reached.
const IN_THE_MIDDLE: u64 = 1_100_000;

fn slices() -> Plan {
    Plan { instances: 20, size_bytes: 132 * 1024, ..Plan::default() }
}

/// The instances that bear their names; unfinished ones have others.
fn named_instances(folder: &Path) -> BTreeMap<String, Part10> {
    let is_named = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "dcm");
    files(folder).into_iter().filter(is_named).flat_map(|file| instances(&file)).collect()
}

/// All that bears an instance's name is an instance, and there are `at_least` so many and not all.
#[track_caller]
fn assert_only_whole_instances(folder: &Path, originals: &Path, at_least: usize) -> usize {
    let (arrived, originals) = (named_instances(folder), instances(originals));
    assert!(arrived.len() >= at_least, "what had arrived is kept");
    assert!(arrived.len() < originals.len(), "the transfer was not cut");
    for (uid, instance) in &arrived {
        assert!(originals[uid] == *instance, "{uid} is damaged");
    }
    arrived.len()
}

/// Which file each instance is, and when it was put there.
fn stamps(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let is_named = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "dcm");
    let stamp = |file: PathBuf| {
        let metadata = std::fs::metadata(&file).unwrap();
        (file, (metadata.ino(), metadata.modified().unwrap()))
    };
    files(folder).into_iter().filter(is_named).map(stamp).collect()
}

/// What was there is the same file still.
#[track_caller]
fn assert_kept(before: &BTreeMap<PathBuf, (u64, SystemTime)>, folder: &Path) {
    let after = stamps(folder);
    assert!(before.iter().all(|(file, stamp)| after.get(file) == Some(stamp)), "something came again");
}

#[test]
fn a_connection_that_is_cut_leaves_whole_files_and_the_next_run_completes_the_study() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    let orthanc = Orthanc::with_files(originals.path());
    let proxy = Proxy::before(orthanc.port(), IN_THE_MIDDLE, Then::CloseThisAndAllLater);

    let (ended, _) = get(&format!("ORTHANC@127.0.0.1:{}", proxy.port()), &[STUDY], ours.path());
    ended.expect_code(3);
    let arrived = assert_only_whole_instances(ours.path(), originals.path(), 1) as u64;

    let (ended, report) = get(&orthanc.node(), &[STUDY], ours.path());
    ended.expect_success();
    assert_eq!((report.count("present"), report.count("retrieved")), (arrived, 20 - arrived));
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

#[test]
fn a_peer_that_is_killed_in_the_middle_is_asked_again_when_it_is_back() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    let qrscp = Dcmqrscp::with_files(originals.path());
    let proxy = Proxy::before(qrscp.port(), IN_THE_MIDDLE, Then::Hold);

    let node = format!("{}@127.0.0.1:{}", Dcmqrscp::AE_TITLE, proxy.port());
    let folder = ours.path().to_owned();
    let retrieve = std::thread::spawn(move || get(&node, &[STUDY], &folder));
    proxy.wait_until_reached();
    let qrscp = qrscp.kill_and_start_again();

    let (ended, _) = retrieve.join().unwrap();
    ended.expect_code(3);
    assert_only_whole_instances(ours.path(), originals.path(), 1);

    let (ended, report) = get(&qrscp.node(), &[STUDY], ours.path());
    ended.expect_success();
    assert!(report.is_complete() && report.count("present") > 0);
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

#[test]
fn a_get_that_is_killed_itself_leaves_whole_files_and_the_next_run_completes_the_study() {
    let (originals, data, ours) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());
    let proxy = Proxy::before(archive.port(), IN_THE_MIDDLE, Then::Hold);

    let mut command =
        dicomet_interop::dicomet::command(["get", &format!("DICOMET@127.0.0.1:{}", proxy.port())]);
    command.args([STUDY, "--output"]).arg(ours.path());
    let retrieve = dicomet_interop::process::Process::start(&mut command);
    proxy.wait_until_reached();
    until("instances have arrived", || (!named_instances(ours.path()).is_empty()).then_some(()));
    retrieve.kill();
    let arrived = assert_only_whole_instances(ours.path(), originals.path(), 1) as u64;
    let before = stamps(ours.path());

    let (ended, report) = get(&archive.node(), &[STUDY], ours.path());
    ended.expect_success();
    assert_eq!((report.count("present"), report.count("retrieved")), (arrived, 20 - arrived));
    assert_kept(&before, ours.path());
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

#[test]
fn a_get_from_dcmqrscp_that_is_killed_after_some_instances_fetches_none_of_them_again() {
    let originals = tempdir().unwrap();
    slices().write_to(originals.path()).unwrap();
    let qrscp = Dcmqrscp::with_files(originals.path());
    let ours = tempdir().unwrap();
    for kill_after in [1, 4, 9] {
        let before = stamps(ours.path());
        let mut command = dicomet_interop::dicomet::command(["get", &qrscp.node(), STUDY, "-v"]);
        // So slowly that it goes on when it is killed.
        command.args(["--rate-limit", "1M", "--output"]).arg(ours.path());
        let retrieve = dicomet_interop::process::Process::start(&mut command);
        let arrived = || retrieve.stderr().lines().filter(|line| line.contains(".dcm  ")).count();
        until("instances have arrived", || (arrived() >= kill_after).then_some(()));
        retrieve.kill();
        assert_only_whole_instances(ours.path(), originals.path(), before.len() + kill_after);
        assert_kept(&before, ours.path());
    }
    let before = stamps(ours.path());
    let (ended, report) = get(&qrscp.node(), &[STUDY], ours.path());
    ended.expect_success();
    let present = before.len() as u64;
    assert_eq!((report.count("present"), report.count("retrieved")), (present, 20 - present));
    assert_kept(&before, ours.path());
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

/// Where it is cut: while the association is being opened, in the answers of the C-FIND, in commands and in data sets.
const CUTS: [u64; 12] =
    [20, 250, 700, 2_500, 4_100, 20_000, 33_333, 65_536, 100_001, 131_072, 180_180, 239_999];

#[test]
fn a_connection_to_dcmqrscp_or_orthanc_that_is_cut_anywhere_is_made_good_by_the_next_run() {
    let originals = tempdir().unwrap();
    let plan = Plan { series: 2, instances: 8, size_bytes: 16 * 1024, ..Plan::default() };
    plan.write_to(originals.path()).unwrap();
    let all = instances(originals.path());
    let (qrscp, orthanc) = (Dcmqrscp::with_files(originals.path()), Orthanc::with_files(originals.path()));
    let (mut with_some, mut cuts) = (0, 0);
    for (port, node, aet) in
        [(qrscp.port(), qrscp.node(), Dcmqrscp::AE_TITLE), (orthanc.port(), orthanc.node(), "ORTHANC")]
    {
        for bytes in CUTS {
            let ours = tempdir().unwrap();
            let proxy = Proxy::before(port, bytes, Then::CloseThisAndAllLater);
            let through = format!("{aet}@127.0.0.1:{}", proxy.port());
            let (ended, _) = get(&through, &[STUDY], ours.path());
            let here = named_instances(ours.path());
            assert!(here.iter().all(|(uid, instance)| all[uid] == *instance), "{aet} at {bytes}");
            let expected = match here.len() {
                0 => 1,
                some if some < all.len() => 3,
                // The last response was cut.
                _ => ended.code(),
            };
            assert_eq!(ended.code(), expected, "{aet} at {bytes}: {}", ended.stderr);
            assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
            with_some += usize::from(!here.is_empty());
            cuts += usize::from(here.len() < all.len());
            let before = stamps(ours.path());

            let (ended, report) = get(&node, &[STUDY], ours.path());
            ended.expect_success();
            let present = before.len() as u64;
            let expected = (present, all.len() as u64 - present);
            assert_eq!((report.count("present"), report.count("retrieved")), expected, "{aet} at {bytes}");
            assert_kept(&before, ours.path());
            assert_identical(&instances(ours.path()), &all);
        }
    }
    assert!(with_some >= 10 && cuts >= 18, "{cuts} were cut, {with_some} with something here");
}

#[test]
fn a_disk_that_is_full_and_then_freed_has_the_whole_study_of_dcmqrscp_in_the_end() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    let qrscp = Dcmqrscp::with_files(originals.path());
    let (disk, copy) = (ours.path().join("disk"), ours.path().join("copy"));
    std::fs::create_dir(&disk).unwrap();
    // A disk of 4 MB that only the script sees, and room on it for some of the slices at first.
    let script = r#"
        mount -t tmpfs -o size=4m none "$0" || exit 99
        head -c 3000000 /dev/zero >"$0/ballast"
        "$@"; echo "first ended with $?" >&2
        find "$0/out" -name '*.dcm' -printf '%f %i %T@
' | sort >"$0/first"
        rm "$0/ballast"
        "$@"; echo "second ended with $?" >&2
        find "$0/out" -name '*.dcm' -printf '%f %i %T@
' | sort >"$0/second"
        cp -r "$0" "$COPY""#;
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(&disk).env("COPY", &copy);
    command.env("DICOMET_KNOWN", "none").env("NO_COLOR", "1").arg(dicomet_interop::dicomet::binary());
    command.args(["get", &qrscp.node(), STUDY, "--format", "json", "--progress", "never", "--output"]);
    command.arg(disk.join("out"));
    let ended = dicomet_interop::process::run(&mut command);
    if !copy.exists() && !ended.stderr.contains("ended with") {
        println!("not tried: this system lets nobody mount a disk of his own");
        return;
    }
    assert!(ended.stderr.contains("first ended with 3"), "{}", ended.stderr);
    assert!(ended.stderr.contains("second ended with 0"), "{}", ended.stderr);
    assert!(ended.stderr.contains("No space left on device"), "{}", ended.stderr);
    let listed = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(copy.join(name)).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    let (first, second) = (listed("first"), listed("second"));
    assert!(!first.is_empty() && first.len() < 20, "{first:?}");
    assert!(first.iter().all(|line| second.contains(line)), "what was whole is the same file");
    assert_identical(&instances(&copy.join("out")), &instances(originals.path()));
}

#[test]
fn an_interrupted_get_cancels_keeps_what_came_and_says_that_it_is_not_complete() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    let orthanc = Orthanc::with_files(originals.path());
    let proxy = Proxy::before(orthanc.port(), IN_THE_MIDDLE, Then::Trickle);

    let mut command =
        dicomet_interop::dicomet::command(["get", &format!("ORTHANC@127.0.0.1:{}", proxy.port())]);
    command.args([STUDY, "--output"]).arg(ours.path());
    let retrieve = dicomet_interop::process::Process::start(&mut command);
    proxy.wait_until_reached();
    until("instances have arrived", || (!named_instances(ours.path()).is_empty()).then_some(()));
    retrieve.interrupt().expect_code(3);
    assert_only_whole_instances(ours.path(), originals.path(), 1);
}
