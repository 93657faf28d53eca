//! `dicomet serve` where the disk is full, a limit is reached, or the folder is not as it should be: the right
//! status or a clear word, everything as it was, and no restart when there is room again.

#![allow(clippy::unwrap_used)]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use dicomet_proto::message::Status;

use support::{Requestor, Serve, assert_sound, binary, serve_arguments, store};

fn serve(data: &Path, options: &[&str]) -> Output {
    Command::new(binary()).args(serve_arguments(data)).args(options).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_beyond_a_limit_of_the_system_are_out_of_resources_until_it_is_raised() {
    let folder = tempfile::tempdir().unwrap();
    // Without the trap the first write beyond the limit would end the process.
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"trap '' XFSZ; exec "$@""#, "sh"])
        .arg(binary())
        .args(serve_arguments(folder.path()));
    let serve = Serve::start_by(&mut command);
    let limit = |bytes: &str| {
        let limit = format!("--fsize={bytes}");
        let status = Command::new("prlimit").args(["--pid", &serve.id().to_string(), &limit]).status();
        assert!(status.unwrap().success());
    };
    let mut requestor = Requestor::associate(&serve.node).await.unwrap();
    assert_eq!(store(&mut requestor, 1, 300_000).await, Status::SUCCESS);
    // Too little for an instance, enough for the index.
    limit("1000000:unlimited");
    assert_eq!(store(&mut requestor, 2, 3_000_000).await, Status::OUT_OF_RESOURCES);
    assert_eq!(store(&mut requestor, 3, 300_000).await, Status::SUCCESS);
    assert_sound(folder.path(), 2);
    // Too little for the index too.
    limit("20000:unlimited");
    for number in 4..8 {
        assert_eq!(store(&mut requestor, number, 1_000).await, Status::OUT_OF_RESOURCES);
    }
    assert_eq!(store(&mut requestor, 2, 3_000_000).await, Status::OUT_OF_RESOURCES);
    assert_eq!(store(&mut requestor, 1, 300_000).await, Status::SUCCESS, "it is there, and needs no room");
    assert_sound(folder.path(), 2);
    limit("unlimited:unlimited");
    for number in 2..8 {
        assert_eq!(
            store(&mut requestor, number, 3_000_000).await.code(),
            if number == 3 { 0xC001 } else { 0 }
        );
    }
    assert_sound(folder.path(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_out_of_resources_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    // A disk of 8 MB that only the server sees.
    let script =
        r#"mount -t tmpfs -o size=8m none "$0" && head -c 4000000 /dev/zero >"$0/ballast" && exec "$@""#;
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(folder.path());
        command
    };
    if !unshare().arg("true").status().is_ok_and(|status| status.success()) {
        println!("not tried: this system lets nobody mount a disk of his own");
        return;
    }
    let data = folder.path().join("data");
    let serve = Serve::start_by(unshare().arg(binary()).args(serve_arguments(&data)));
    let inside = |program: &OsStr, arguments: &[&OsStr]| {
        let mut command = Command::new("nsenter");
        command.args(["--target", &serve.id().to_string(), "--user", "--mount", "--preserve-credentials"]);
        command.arg(program).args(arguments).output().unwrap()
    };
    let assert_sound = |instances: u64| {
        let checked = inside(&binary(), &["check".as_ref(), "--data".as_ref(), data.as_ref()]);
        let told = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(checked.status.success(), "{told}");
        assert!(told.starts_with(&format!("{instances} instances, ")), "{told}");
        assert!(told.contains(&format!(", {instances} files: nothing is wrong")), "{told}");
    };
    let mut requestor = Requestor::associate(&serve.node).await.unwrap();
    let mut stored = 0;
    // Large ones until they do not fit, then ever smaller ones, until the index has no room.
    for bytes in [300_000, 30_000, 3_000, 300] {
        loop {
            match store(&mut requestor, stored, bytes).await {
                Status::SUCCESS => stored += 1,
                refused => break assert_eq!(refused, Status::OUT_OF_RESOURCES),
            }
        }
    }
    assert!(stored > 5, "{stored}");
    assert_sound(stored);
    assert!(inside("rm".as_ref(), &[folder.path().join("ballast").as_ref()]).status.success());
    for _ in 0..5 {
        assert_eq!(store(&mut requestor, stored, 300_000).await, Status::SUCCESS);
        stored += 1;
    }
    assert_sound(stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_quota_a_store_is_out_of_resources_and_what_is_removed_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &["--quota", "500kB"]);
    let mut requestor = Requestor::associate(&serve.node).await.unwrap();
    assert_eq!(store(&mut requestor, 1, 300_000).await, Status::SUCCESS);
    assert_eq!(store(&mut requestor, 2, 300_000).await, Status::OUT_OF_RESOURCES);
    assert_sound(folder.path(), 1);
    let delete = ["delete", "SOPInstanceUID=2.999.1.1.1", "--yes", "--data"];
    let removed = Command::new(binary()).args(delete).arg(folder.path()).output().unwrap();
    assert!(removed.status.success(), "{removed:?}");
    assert_eq!(store(&mut requestor, 2, 300_000).await, Status::SUCCESS);
    assert_sound(folder.path(), 1);
}

#[test]
fn a_second_serve_on_one_folder_says_that_it_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Serve::start(folder.path(), &[]);
    let second = serve(folder.path(), &[]);
    let told = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{told}");
    assert!(told.contains("in use by another process") && told.contains("hint: stop"), "{told}");
}

#[test]
fn a_folder_without_the_marker_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let absent = serve(folder.path(), &["--existing"]);
    let told = String::from_utf8_lossy(&absent.stderr);
    assert_eq!(absent.status.code(), Some(1));
    assert!(told.contains("there is no archive") && told.contains("mounted"), "{told}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::write(folder.path().join("holiday.jpg"), b"x").unwrap();
    let other = serve(folder.path(), &[]);
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("not an archive"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_that_cannot_be_written_is_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    drop(Serve::start(&data, &[]));
    let mut command = Command::new(folder.path().join("dicomet"));
    fs::hard_link(binary(), folder.path().join("dicomet"))
        .or_else(|_| fs::copy(binary(), folder.path().join("dicomet")).map(drop))
        .unwrap();
    set_mode(folder.path(), 0o755);
    set_mode(&data.join("dicomet-archive"), 0o444);
    if fs::metadata(&data).unwrap().uid() == 0 {
        // Nobody: root may write everywhere.
        command.uid(65534).gid(65534);
    }
    let refused = command.args(serve_arguments(&data)).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("cannot be written") && told.contains("read-only"), "{told}");
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
