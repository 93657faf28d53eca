//! `dicomet serve` asked for instances in every information model and by every service, by DCMTK and pynetdicom; and
//! a C-MOVE over several associations, to destinations that take them, or one of them.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use dicomet_interop::dcmtk::{Storescp, tool};
use dicomet_interop::dicomet::{Serve, get, import};
use dicomet_interop::files::{assert_identical, instances};
use dicomet_interop::orthanc::Orthanc;
use dicomet_interop::process::run;
use dicomet_interop::pynetdicom::script;
use dicomet_testkit::study::Plan;
use tempfile::{TempDir, tempdir};

fn written() -> TempDir {
    let originals = tempdir().unwrap();
    let plan = Plan { series: 2, instances: 12, size_bytes: 20_000, ..Plan::default() };
    plan.write_to(originals.path()).unwrap();
    originals
}

/// The archive with these files, that knows a node which may have so many associations.
fn archive(originals: &Path, node: &str, associations: u16) -> (Serve, TempDir) {
    let data = tempdir().unwrap();
    import(data.path(), originals);
    let (ae_title, port) = node.split_once("@127.0.0.1:").unwrap();
    let config = data.path().join("dicomet.toml");
    let table = format!(
        "[serve]\nopen = true\n\n[[node]]\nname = \"to\"\naet = \"{ae_title}\"\nhost = \"127.0.0.1\"\nport = {port}\n\
         associations = {associations}\n"
    );
    fs::write(&config, table).unwrap();
    (Serve::start_with(data.path(), &["--config", config.to_str().unwrap()]), data)
}

/// Has DCMTK's `getscu` or `movescu` ask for the one study, or its patient, in a model.
fn ask(program: &str, archive: &Serve, model: &str, keys: &[&str], more: &[&str]) {
    let port = archive.port().to_string();
    let mut command = tool(program);
    command.args(["-aec", "DICOMET", model]).args(more);
    for key in keys {
        command.args(["-k", key]);
    }
    run(command.args(["127.0.0.1", &port])).expect_success();
}

const PATIENT: [&str; 2] = ["QueryRetrieveLevel=PATIENT", "PatientID=PAT004"];
const STUDY: [&str; 2] = ["QueryRetrieveLevel=STUDY", "StudyInstanceUID=2.999.1.1"];
const STUDY_OF_PATIENT: [&str; 3] =
    ["QueryRetrieveLevel=STUDY", "PatientID=PAT004", "StudyInstanceUID=2.999.1.1"];

#[test]
fn getscu_gets_the_same_in_every_model() {
    let originals = written();
    let (archive, _data) = archive(originals.path(), "NOBODY@127.0.0.1:104", 1);
    let asked: [(&str, &[&str]); 5] = [
        ("-P", &PATIENT),
        ("-P", &STUDY_OF_PATIENT),
        ("-S", &STUDY),
        ("-O", &PATIENT),
        ("-O", &STUDY_OF_PATIENT),
    ];
    for (model, keys) in asked {
        let received = tempdir().unwrap();
        ask("getscu", &archive, model, keys, &["+B", "-od", received.path().to_str().unwrap()]);
        assert_identical(&instances(received.path()), &instances(originals.path()));
    }
}

#[test]
fn movescu_moves_the_same_in_every_model_over_as_many_associations_as_the_node_says() {
    let originals = written();
    let asked: [(&str, &[&str]); 3] = [("-P", &PATIENT), ("-S", &STUDY), ("-O", &STUDY_OF_PATIENT)];
    for (model, keys) in asked {
        let storescp = Storescp::start_with(&["--fork"]);
        let (archive, _data) = archive(originals.path(), &storescp.node(), 4);
        ask("movescu", &archive, model, keys, &["-aem", "STORESCP"]);
        assert_identical(&instances(storescp.folder()), &instances(originals.path()));
        let log = archive.terminate().stderr;
        assert!(log.contains("associations=4"), "{log}");
    }
}

#[test]
fn a_storescp_that_takes_one_association_at_a_time_gets_everything_all_the_same() {
    let originals = written();
    let storescp = Storescp::start();
    let (archive, _data) = archive(originals.path(), &storescp.node(), 4);
    ask("movescu", &archive, "-S", &STUDY, &["-aem", "STORESCP"]);
    assert_identical(&instances(storescp.folder()), &instances(originals.path()));
}

#[test]
fn orthanc_receives_over_several_associations() {
    let originals = written();
    let orthanc = Orthanc::start();
    let (archive, _data) = archive(originals.path(), &orthanc.node(), 3);
    ask("movescu", &archive, "-S", &STUDY, &["-aem", "ORTHANC"]);
    let back = tempdir().unwrap();
    get(&orthanc.node(), &[STUDY[1]], back.path()).0.expect_success();
    assert_identical(&instances(back.path()), &instances(originals.path()));
    let log = archive.terminate().stderr;
    assert!(log.contains("associations=3"), "{log}");
}

#[test]
fn pynetdicom_moves_instances_and_frames_by_their_uid() {
    let originals = tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/transcode");
    for name in ["MR_small.dcm", "SC_rgb_rle_2frame.dcm"] {
        fs::copy(from.join(name), originals.path().join(name)).unwrap();
    }
    let storescp = Storescp::start();
    let (archive, _data) = archive(originals.path(), &storescp.node(), 1);
    let port = archive.port().to_string();
    let mut moving = script("composite_move.py");
    run(moving.args([&port, "STORESCP"]).args([originals.path(), storescp.folder()])).expect_success();
}
