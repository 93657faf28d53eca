//! PixelMed's ways with an archive, acted by pynetdicom: PixelMed itself is in no registry that a test could install
//! it from.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use dicomet_interop::dicomet::{Serve, import};
use dicomet_interop::process::run;
use dicomet_interop::pynetdicom::script;
use tempfile::tempdir;

#[test]
fn what_pixelmed_does_is_served() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/samples");
    let data = tempdir().unwrap();
    import(data.path(), &samples.join("generated/bowen-ct"));
    let archive = Serve::start(data.path());
    run(script("pixelmed_ways.py")
        .args([&archive.port().to_string(), "Bowen*"])
        .arg(samples.join("real/CT_small.dcm"))
        .arg(samples.join("real/examples_jpeg2k.dcm")))
    .expect_success();
}
