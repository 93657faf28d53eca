//! Files that are imported, and those that are not.

use std::fs;
use std::path::Path;

use dicomet_archive::{Archive, Outcome};
use dicomet_proto::query::Level;
use dicomet_testkit::instance::{Pixels, data_set_of_part10, transfer_syntax};

use crate::samples::*;

fn refused(archive: &Archive, path: &Path) -> String {
    archive.import(path).unwrap_err().refusal().comment().to_owned()
}

#[test]
fn a_dicom_file_keeps_its_data_set_and_loses_its_preamble() {
    let (folder, archive) = archive();
    let instance = slice("2.999.1.1.1");
    let mut file = instance.part10();
    file[..4].copy_from_slice(b"MZ\x90\0");
    let path = folder.path().join("in.dcm");
    fs::write(&path, &file).unwrap();
    assert_eq!(archive.import(&path).unwrap().outcome, Outcome::New);
    let blob = fs::read(folder.path().join("data/blobs/000000/000/000000000000.dcm")).unwrap();
    assert_eq!(blob[..128], [0; 128]);
    assert_eq!(data_set_of_part10(&blob), instance.data_set());
}

#[test]
fn every_transfer_syntax_is_imported_byte_for_byte() {
    let (folder, archive) = archive();
    let syntaxes = [
        transfer_syntax::IMPLICIT_VR_LITTLE_ENDIAN,
        transfer_syntax::EXPLICIT_VR_BIG_ENDIAN,
        transfer_syntax::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        transfer_syntax::JPEG_BASELINE,
    ];
    for (number, syntax) in syntaxes.into_iter().enumerate() {
        let mut instance = slice(&format!("2.999.1.1.{number}")).transfer_syntax(syntax);
        if syntax == transfer_syntax::JPEG_BASELINE {
            instance = instance.pixels(Pixels::Encapsulated(vec![vec![0xFF; 100]]));
        }
        let path = folder.path().join("in.dcm");
        fs::write(&path, instance.part10()).unwrap();
        archive.import(&path).unwrap();
        let blob =
            fs::read(folder.path().join(format!("data/blobs/000000/000/00000000000{number}.dcm"))).unwrap();
        assert_eq!(data_set_of_part10(&blob), instance.data_set(), "{syntax}");
    }
    assert_eq!(answers(&archive, &query(Level::Study, &[(tags::PATIENT_NAME, "bowen*")])).len(), 1);
}

#[test]
fn the_data_set_says_what_instance_a_file_has_not_its_file_meta_information() {
    let (folder, archive) = archive();
    let (other, instance) = (slice("2.999.9.9.9"), slice("2.999.1.1.1"));
    let mut file = other.part10();
    file.truncate(file.len() - other.data_set().len());
    file.extend(instance.data_set());
    let path = folder.path().join("in.dcm");
    fs::write(&path, &file).unwrap();
    assert_eq!(archive.import(&path).unwrap().sop_instance.as_str(), "2.999.1.1.1");
    let blob = fs::read(folder.path().join("data/blobs/000000/000/000000000000.dcm")).unwrap();
    assert!(!blob.windows(11).any(|window| window == b"2.999.9.9.9"));
}

#[test]
fn a_data_set_without_file_meta_information_is_recognised() {
    let (folder, archive) = archive();
    let path = folder.path().join("bare");
    for (number, syntax) in
        [(1, transfer_syntax::EXPLICIT_VR_LITTLE_ENDIAN), (2, transfer_syntax::IMPLICIT_VR_LITTLE_ENDIAN)]
    {
        let mut instance = slice(&format!("2.999.1.1.{number}")).transfer_syntax(syntax);
        if syntax == transfer_syntax::JPEG_BASELINE {
            instance = instance.pixels(Pixels::Encapsulated(vec![vec![0xFF; 100]]));
        }
        fs::write(&path, instance.data_set()).unwrap();
        assert_eq!(
            archive.import(&path).unwrap().sop_instance.to_string(),
            instance.text(tags::SOP_INSTANCE_UID)
        );
    }
}

#[test]
fn what_is_no_dicom_file_is_refused_in_words() {
    let (folder, archive) = archive();
    let path = folder.path().join("file");
    for bytes in [&b""[..], b"x", b"GIF89a..............", b"<html></html>", &[0; 200]] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(refused(&archive, &path), "not a DICOM file", "{bytes:?}");
    }
    fs::write(&path, &slice("2.999.1.1.1").part10()[..140]).unwrap();
    assert_ne!(refused(&archive, &path), "");
}

#[test]
fn links_pipes_and_folders_are_not_read() {
    let (folder, archive) = archive();
    let target = folder.path().join("in.dcm");
    fs::write(&target, slice("2.999.1.1.1").part10()).unwrap();
    let link = folder.path().join("link.dcm");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert_eq!(refused(&archive, &link), "a symbolic link is not followed");
    let pipe = folder.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert_eq!(refused(&archive, &pipe), "not a regular file");
    assert_eq!(refused(&archive, folder.path()), "not a regular file");
}
