//! Retrieve by SOP Instance UID, of frames, without bulk data, and of compressed instances by those who take
//! uncompressed ones alone: pynetdicom and DCMTK.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use dicomet_interop::dcmtk::getscu;
use dicomet_interop::dicomet::{Serve, find, import, text};
use dicomet_interop::files::instances;
use dicomet_interop::process::run;
use dicomet_interop::pynetdicom::{pydicom_test_files, script};
use tempfile::{TempDir, tempdir};

/// The images of `testdata/transcode` that can be decoded, no two of them the same instance, and a dose.
fn images() -> TempDir {
    let folder = tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/transcode");
    for name in [
        "MR_small.dcm",
        "SC_rgb_rle_2frame.dcm",
        "SC_rgb_gdcm_KY.dcm",
        "SC_rgb_dcmtk_eb_cr.dcm",
        "image_dfl.dcm",
    ] {
        fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    fs::copy(pydicom_test_files().join("rtdose.dcm"), folder.path().join("rtdose.dcm")).unwrap();
    folder
}

#[test]
fn pynetdicom_gets_instances_and_frames_by_their_uid_and_without_bulk_data() {
    let (data, images) = (tempdir().unwrap(), images());
    import(data.path(), images.path());
    let archive = Serve::start(data.path());
    run(script("composite.py").arg(archive.port().to_string()).arg(images.path())).expect_success();
}

#[test]
fn getscu_receives_uncompressed_what_is_stored_compressed() {
    let (data, images, received) = (tempdir().unwrap(), images(), tempdir().unwrap());
    import(data.path(), images.path());
    let archive = Serve::start(data.path());
    for study in find(&archive.node(), &["StudyInstanceUID"]) {
        getscu("DICOMET", archive.port(), &text(&study, "0020000D"), received.path()).expect_success();
    }
    let (stored, received) = (instances(images.path()), instances(received.path()));
    // By number: the file meta information of the dose names another instance than its data set.
    assert_eq!(received.len(), stored.len());
    for instance in received.values() {
        assert_eq!(instance.transfer_syntax_uid, "1.2.840.10008.1.2.1");
    }
}
