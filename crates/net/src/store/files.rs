//! What a file is to a storage SCU: a DICOM file (PS3.10 7.1) with the SOP class, SOP instance and transfer syntax
//! that a C-STORE must name, or why it is none.
//!
//! The front of a file is read, and where its elements end. The command names what the data set says of itself; the file meta
//! information tells the transfer syntax, and a DICOMDIR. Where the two disagree, that is told.

use std::fs::File;
use std::io::{self, Chain, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::{is_deflated, uid_name, uids};
use dicomet_proto::dataset::scan::{self, Peek};
use dicomet_proto::dataset::{FileMeta, FileMetaError, Tag, VR};
use rustix::fs::{Mode, OFlags};

use super::walk::Place;
use crate::association::ReaderSource;

const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);

/// Media Storage Directory Storage: a DICOMDIR.
const DICOMDIR: Uid = Uid::from_static("1.2.840.10008.1.3.10");

/// Bytes that are read at first: the file meta information and the beginning of the data set, nearly always.
const FRONT: u64 = 4096;

/// Bytes of the data set in which its SOP instance must come.
const MAX_PEEK: u64 = 64 * 1024;

/// An instance in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInstance {
    /// Where.
    pub path: PathBuf,
    /// SOP Class UID.
    pub sop_class: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// The transfer syntax of the data set.
    pub transfer_syntax: Uid,
    /// Where in the file the data set begins.
    pub offset: u64,
    /// Bytes of the data set.
    pub length: u64,
    /// In what the file meta information and the data set disagree, if they do.
    pub note: Option<String>,
}

/// A file that is not to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It is no instance, and nobody said that it were.
    Skipped(String),
    /// It should be one, and cannot be stored.
    Failed(String),
}

/// Reads the front of a file.
///
/// # Errors
/// [`Unfit`] with the reason.
pub fn look(place: &Place) -> Result<FileInstance, Unfit> {
    let mut file = open_regular(&place.path, place.is_named).map_err(|error| unreadable(&error))?;
    let file_length = file.metadata().map_err(|error| unreadable(&error))?.len();
    let mut front = Vec::new();
    file.by_ref().take(FRONT).read_to_end(&mut front).map_err(|error| unreadable(&error))?;
    let (meta, offset) = match FileMeta::read(&mut front.as_slice().chain(&mut file)) {
        Ok(read) => read,
        Err(FileMetaError::NotDicom) => return Err(no_meta(&front, place.is_named)),
        Err(FileMetaError::Io(error)) => return Err(unreadable(&error)),
        Err(error) => return Err(Unfit::Failed(error.to_string())),
    };
    if meta.media_storage_sop_class_uid.as_ref() == Some(&DICOMDIR) {
        return Err(Unfit::Skipped("a DICOMDIR, which is no instance".to_owned()));
    }
    let length = file_length.saturating_sub(offset);
    if length == 0 {
        return Err(Unfit::Failed("there is no data set behind the file meta information".to_owned()));
    }
    let known = front.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
    let (sop_class, sop_instance) = peek(&mut file, offset, known, &meta.transfer_syntax)?;
    check_end(&mut file, offset, length, &meta.transfer_syntax)?;
    let note = disagreement(&meta, sop_class.as_ref(), sop_instance.as_ref());
    let sop_class = sop_class.or(meta.media_storage_sop_class_uid);
    let sop_instance = sop_instance.or(meta.media_storage_sop_instance_uid);
    let (Some(sop_class), Some(sop_instance)) = (sop_class, sop_instance) else {
        return Err(Unfit::Failed("it does not say its SOP Class and SOP Instance UID".to_owned()));
    };
    let path = place.path.clone();
    Ok(FileInstance {
        path,
        sop_class,
        sop_instance,
        transfer_syntax: meta.transfer_syntax,
        offset,
        length,
        note,
    })
}

impl FileInstance {
    /// Opens the data set in the file, as it is. A deflated one of odd length, which a file may have, gets the zero
    /// that makes it even (PS3.5 A.5): some receivers abort at a fragment of odd length.
    ///
    /// # Errors
    /// As [`FileInstance::open`].
    pub(super) fn source(&self) -> io::Result<ReaderSource<Chain<File, &'static [u8]>>> {
        let padding = if self.length % 2 == 1 { &[0][..] } else { &[] };
        let length = self.length + padding.len() as u64;
        Ok(ReaderSource::new(self.open()?.chain(padding), length))
    }

    /// Opens the file again, at its data set.
    ///
    /// # Errors
    /// Whatever the system says, and when the file is not as long as it was.
    pub(super) fn open(&self) -> io::Result<File> {
        // The link was followed, or not, when the file was looked at.
        let mut file = open_regular(&self.path, true)?;
        if file.metadata()?.len() != self.offset + self.length {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file has changed since it was read"));
        }
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file)
    }
}

/// Opens a regular file, without waiting: a FIFO would hold us for ever.
fn open_regular(path: &Path, follows_link: bool) -> io::Result<File> {
    let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !follows_link);
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// SOP class and instance as the data set says them; `None` for what it does not say, or not where we can read.
fn peek(
    file: &mut File,
    offset: u64,
    known: &[u8],
    transfer_syntax: &Uid,
) -> Result<(Option<Uid>, Option<Uid>), Unfit> {
    if *transfer_syntax == uids::IMPLICIT_VR_LITTLE_ENDIAN && looks_explicit(known) {
        return Err(not_in(transfer_syntax, &"it is in Explicit VR"));
    }
    let Ok(mut peek) = Peek::new(transfer_syntax, &[SOP_CLASS_UID, SOP_INSTANCE_UID]) else {
        return Ok((None, None));
    };
    peek.push(known).map_err(|error| not_in(transfer_syntax, &error))?;
    if !peek.is_done() {
        let next = offset + known.len() as u64;
        file.seek(SeekFrom::Start(next)).map_err(|error| unreadable(&error))?;
        let mut more = Vec::new();
        file.take(MAX_PEEK).read_to_end(&mut more).map_err(|error| unreadable(&error))?;
        peek.push(&more).map_err(|error| not_in(transfer_syntax, &error))?;
    }
    Ok((peek.uid(SOP_CLASS_UID), peek.uid(SOP_INSTANCE_UID)))
}

/// Finds out that a file was cut short. A peer would store what is left, or end the association over it.
fn check_end(file: &mut File, offset: u64, length: u64, transfer_syntax: &Uid) -> Result<(), Unfit> {
    file.seek(SeekFrom::Start(offset)).map_err(|error| unreadable(&error))?;
    if let Some(error) = scan::missing_end(file, transfer_syntax) {
        return Err(Unfit::Failed(format!("the file was cut short: {error}")));
    }
    if length % 2 == 1 && !is_deflated(transfer_syntax) {
        let words = "the data set has an odd number of bytes, as none can have (PS3.5 7.1)";
        return Err(Unfit::Failed(words.to_owned()));
    }
    Ok(())
}

/// Whether a data set begins with an element in group 0008 that has a VR.
fn looks_explicit(data_set: &[u8]) -> bool {
    matches!(data_set, [0x08, 0x00, _, _, v, r, ..] if VR::from_binary([*v, *r]).is_some())
}

fn disagreement(meta: &FileMeta, sop_class: Option<&Uid>, sop_instance: Option<&Uid>) -> Option<String> {
    let pairs = [
        ("SOP class", meta.media_storage_sop_class_uid.as_ref(), sop_class),
        ("SOP instance", meta.media_storage_sop_instance_uid.as_ref(), sop_instance),
    ];
    let differing = pairs.iter().find_map(|(what, of_meta, of_data_set)| {
        let (of_meta, of_data_set) = ((*of_meta)?, (*of_data_set)?);
        (of_meta != of_data_set).then_some((what, of_meta, of_data_set))
    });
    let (what, of_meta, of_data_set) = differing?;
    Some(format!(
        "the file meta information names {what} {of_meta}, the data set {of_data_set}: stored as the data set says"
    ))
}

/// The word on a file without file meta information.
fn no_meta(front: &[u8], is_named: bool) -> Unfit {
    let looks_implicit = matches!(front, [0x08, 0x00, _, 0x00, _, 0x00, 0x00, 0x00, ..]);
    if looks_explicit(front) || looks_implicit {
        return Unfit::Failed(
            "a data set without file meta information (PS3.10 7.1): its transfer syntax is not known"
                .to_owned(),
        );
    }
    let words = if front.is_empty() { "an empty file" } else { "not a DICOM file" }.to_owned();
    if is_named { Unfit::Failed(words) } else { Unfit::Skipped(words) }
}

fn not_in(transfer_syntax: &Uid, error: &dyn std::fmt::Display) -> Unfit {
    let name = uid_name(transfer_syntax).unwrap_or(transfer_syntax.as_str());
    Unfit::Failed(format!("the data set is not in {name}, as the file meta information says: {error}"))
}

fn unreadable(error: &io::Error) -> Unfit {
    Unfit::Failed(format!("the file cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use dicomet_testkit::instance::{Instance, Pixels};
    use rustix::fs::CWD;

    use super::*;
    use crate::association::Source;

    const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

    fn slice() -> Instance {
        Instance::new(CT, "1.2.3.4").in_series("1.2", "1.2.3")
    }

    fn look_at(bytes: &[u8], is_named: bool) -> Result<FileInstance, Unfit> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        look(&Place { path, is_named })
    }

    fn failure(bytes: &[u8]) -> String {
        match look_at(bytes, false) {
            Err(Unfit::Failed(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_dicom_file_tells_what_a_store_must_name() {
        let file = slice().part10();
        let found = look_at(&file, false).unwrap();
        assert_eq!((found.sop_class.as_str(), found.sop_instance.as_str()), (CT, "1.2.3.4"));
        assert_eq!(found.transfer_syntax, uids::EXPLICIT_VR_LITTLE_ENDIAN);
        assert_eq!(file[found.offset as usize..], slice().data_set());
        assert_eq!(found.length, slice().data_set().len() as u64);
        assert_eq!(found.note, None);
    }

    #[test]
    fn where_meta_information_and_data_set_disagree_the_data_set_holds_and_it_is_told() {
        let mut file = slice().part10();
        let length = file.len() - slice().data_set().len();
        file.splice(length.., Instance::new(CT, "1.2.3.5").data_set());
        let found = look_at(&file, false).unwrap();
        assert_eq!(found.sop_instance.as_str(), "1.2.3.5");
        let note = found.note.unwrap();
        assert!(note.contains("SOP instance 1.2.3.4, the data set 1.2.3.5"), "{note}");
    }

    #[test]
    fn a_data_set_in_another_transfer_syntax_than_the_file_says_is_not_sent_as_what_it_is_not() {
        for (said, is) in [
            (uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN),
            (uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN),
        ] {
            let claimed = slice().transfer_syntax(said.as_str());
            let mut file = claimed.part10();
            let length = file.len() - claimed.data_set().len();
            file.splice(length.., slice().transfer_syntax(is.as_str()).data_set());
            let reason = failure(&file);
            assert!(reason.contains("as the file meta information says"), "{reason}");
        }
    }

    #[test]
    fn a_data_set_without_meta_information_and_meta_information_without_a_data_set_are_told_as_such() {
        assert!(failure(&slice().data_set()).contains("without file meta information"));
        let implicit = slice().transfer_syntax(uids::IMPLICIT_VR_LITTLE_ENDIAN.as_str()).data_set();
        assert!(failure(&implicit).contains("without file meta information"));
        let file = slice().part10();
        let meta = &file[..file.len() - slice().data_set().len()];
        assert!(failure(meta).contains("no data set"));
        assert!(failure(&meta[..meta.len() - 3]).contains("broken file meta information"));
    }

    #[test]
    fn a_file_that_was_cut_short_is_not_sent() {
        let file = slice().pixels(Pixels::Native(1000)).part10();
        for missing in [1, 2, 998, 1100] {
            let reason = failure(&file[..file.len() - missing]);
            assert!(reason.contains("cut short") || reason.contains("odd number"), "{missing}: {reason}");
        }
    }

    #[test]
    fn a_deflated_data_set_of_odd_length_gets_its_padding() {
        let deflated = slice().transfer_syntax(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.as_str());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [deflated.part10(), vec![0]].concat()).unwrap();
        let found = look(&Place { path, is_named: true }).unwrap();
        assert_eq!(found.length % 2, 1);
        let mut source = found.source().unwrap();
        let mut sent = vec![7; found.length as usize + 1];
        let mut at = 0;
        while source.remaining() > 0 {
            at += source.read(&mut sent[at..]).unwrap();
        }
        assert_eq!(sent, [deflated.data_set(), vec![0, 0]].concat());
    }

    #[test]
    fn a_file_of_another_kind_is_passed_over_in_a_folder_and_a_failure_when_it_was_named() {
        let text = b"A text that somebody left in the folder of a study.";
        assert_eq!(look_at(text, false), Err(Unfit::Skipped("not a DICOM file".to_owned())));
        assert_eq!(look_at(text, true), Err(Unfit::Failed("not a DICOM file".to_owned())));
        assert_eq!(look_at(b"", false), Err(Unfit::Skipped("an empty file".to_owned())));
    }

    #[test]
    fn a_dicomdir_is_passed_over_with_a_word() {
        let file = Instance::new(DICOMDIR.as_str(), "1.2.3.4").part10();
        match look_at(&file, true) {
            Err(Unfit::Skipped(reason)) => assert!(reason.contains("DICOMDIR")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_fifo_holds_nobody_and_a_link_in_a_folder_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert!(matches!(look(&Place { path: fifo.clone(), is_named: true }), Err(Unfit::Failed(_))));
        let link = folder.path().join("link");
        std::fs::write(folder.path().join("file"), slice().part10()).unwrap();
        std::os::unix::fs::symlink(folder.path().join("file"), &link).unwrap();
        assert!(matches!(look(&Place { path: link.clone(), is_named: false }), Err(Unfit::Failed(_))));
        assert!(look(&Place { path: link, is_named: true }).is_ok());
    }

    #[test]
    fn a_file_that_changes_after_the_look_is_not_sent_as_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, slice().part10()).unwrap();
        let found = look(&Place { path: path.clone(), is_named: true }).unwrap();
        assert!(found.open().is_ok());
        std::fs::write(&path, &slice().part10()[..300]).unwrap();
        assert!(found.open().unwrap_err().to_string().contains("has changed"));
    }
}
