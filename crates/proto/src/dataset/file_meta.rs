//! File meta information, PS3.10 section 7.1: what stands before the data set in a file.
//!
//! ```text
//! bytes   0-127  preamble, zeros          132-143  (0002,0000) File Meta Information Group Length
//! bytes 128-131  "DICM"                   then     (0002,0001) ... in Explicit VR Little Endian, then the data set
//! ```
//!
//! Written exactly so. Read with tolerance for what is met: no preamble, a wrong or missing group length (the
//! group ends where another begins), implicit VR.

use std::io::{self, Read};

use super::VR;
use super::encoding::has_long_length;
use crate::{AeTitle, Uid};

/// The longest file meta information that is read, preamble included. Real ones have 300 to 600 bytes; private
/// information (0002,0102) may make them longer.
const MAX_LENGTH: usize = 256 * 1024;

const PREAMBLE: usize = 128;
const MAGIC: &[u8; 4] = b"DICM";

const VERSION: u16 = 0x0001;
const MEDIA_STORAGE_SOP_CLASS_UID: u16 = 0x0002;
const MEDIA_STORAGE_SOP_INSTANCE_UID: u16 = 0x0003;
const TRANSFER_SYNTAX_UID: u16 = 0x0010;
const IMPLEMENTATION_CLASS_UID: u16 = 0x0012;
const IMPLEMENTATION_VERSION_NAME: u16 = 0x0013;
const SOURCE_AE_TITLE: u16 = 0x0016;
const PRIVATE_INFORMATION_CREATOR_UID: u16 = 0x0100;
const PRIVATE_INFORMATION: u16 = 0x0102;

/// File meta information. What a file lacks is `None`; of the transfer syntax there is no doing without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMeta {
    /// Media Storage SOP Class UID (0002,0002).
    pub media_storage_sop_class_uid: Option<Uid>,
    /// Media Storage SOP Instance UID (0002,0003).
    pub media_storage_sop_instance_uid: Option<Uid>,
    /// Transfer Syntax UID (0002,0010) of the data set.
    pub transfer_syntax: Uid,
    /// Implementation Class UID (0002,0012) of what wrote the file.
    pub implementation_class_uid: Option<Uid>,
    /// Implementation Version Name (0002,0013), at most 16 characters.
    pub implementation_version_name: Option<String>,
    /// Source Application Entity Title (0002,0016): who wrote, or sent, the instance.
    pub source_ae_title: Option<AeTitle>,
    /// Private Information Creator UID (0002,0100) and Private Information (0002,0102).
    pub private_information: Option<PrivateInformation>,
}

/// What a program notes in a file for itself. It is written last: its value ends where the data set begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateInformation {
    /// Who says what the value means.
    pub creator: Uid,
    /// At most 65,534 bytes are written, an even number of them.
    pub value: Vec<u8>,
}

/// Why a file is not read as a DICOM file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileMetaError {
    /// It begins neither with a preamble and `DICM` nor with group 0002.
    #[error("not a DICOM file: no file meta information")]
    NotDicom,
    /// It begins like one and then breaks the rules.
    #[error("broken file meta information: {0}")]
    Malformed(&'static str),
    /// Reading failed.
    #[error("cannot read the file: {0}")]
    Io(#[from] io::Error),
}

impl FileMeta {
    /// The meta information of an instance in a transfer syntax; the rest is to be filled in.
    pub fn new(sop_class: Uid, sop_instance: Uid, transfer_syntax: Uid) -> FileMeta {
        FileMeta {
            media_storage_sop_class_uid: Some(sop_class),
            media_storage_sop_instance_uid: Some(sop_instance),
            transfer_syntax,
            implementation_class_uid: None,
            implementation_version_name: None,
            source_ae_title: None,
            private_information: None,
        }
    }

    /// Reads the meta information from the front of a file, and says at which offset from there the data set
    /// begins. The reader then stands anywhere behind that: seek before reading on.
    ///
    /// # Errors
    /// [`FileMetaError`].
    pub fn read(reader: &mut impl Read) -> Result<(FileMeta, u64), FileMetaError> {
        // One read takes all of it nearly always.
        const FIRST: usize = 4096;
        let mut bytes = Vec::new();
        let mut wanted = FIRST;
        loop {
            let missing = (wanted - bytes.len()) as u64;
            let read = reader.by_ref().take(missing).read_to_end(&mut bytes)?;
            let ended = (read as u64) < missing;
            match parse(&bytes, ended)? {
                Some((meta, offset)) => return Ok((meta, offset as u64)),
                None if wanted >= MAX_LENGTH => return Err(FileMetaError::Malformed("too long")),
                None => wanted *= 8,
            }
        }
    }

    /// Writes preamble, `DICM` and group 0002, its group length right.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut group = Vec::new();
        // Version 1: bit 0 of the second byte (PS3.10 Table 7.1-1).
        put(&mut group, VERSION, VR::OB, &[0, 1]);
        put_text(&mut group, MEDIA_STORAGE_SOP_CLASS_UID, VR::UI, self.media_storage_sop_class_uid.as_ref());
        put_text(
            &mut group,
            MEDIA_STORAGE_SOP_INSTANCE_UID,
            VR::UI,
            self.media_storage_sop_instance_uid.as_ref(),
        );
        put_text(&mut group, TRANSFER_SYNTAX_UID, VR::UI, Some(&self.transfer_syntax));
        put_text(&mut group, IMPLEMENTATION_CLASS_UID, VR::UI, self.implementation_class_uid.as_ref());
        put_text(&mut group, IMPLEMENTATION_VERSION_NAME, VR::SH, self.implementation_version_name.as_ref());
        let source = self.source_ae_title.as_ref().map(AeTitle::as_str);
        put_text(&mut group, SOURCE_AE_TITLE, VR::AE, source);
        if let Some(private) = &self.private_information {
            put_text(&mut group, PRIVATE_INFORMATION_CREATOR_UID, VR::UI, Some(&private.creator));
            put(&mut group, PRIVATE_INFORMATION, VR::OB, &private.value);
        }

        let mut bytes = vec![0; PREAMBLE];
        bytes.extend_from_slice(MAGIC);
        // Nine elements of known kinds: some hundred bytes, and 64 KiB at most for the last.
        let length = u32::try_from(group.len()).unwrap_or(u32::MAX);
        put(&mut bytes, 0x0000, VR::UL, &length.to_le_bytes());
        bytes.append(&mut group);
        bytes
    }
}

fn put_text(bytes: &mut Vec<u8>, element: u16, vr: VR, text: Option<impl AsRef<str>>) {
    let Some(text) = text else { return };
    let mut value = text.as_ref().as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(if vr == VR::UI { 0 } else { b' ' });
    }
    put(bytes, element, vr, &value);
}

fn put(bytes: &mut Vec<u8>, element: u16, vr: VR, value: &[u8]) {
    // UIDs, titles and the like: none is longer than 16 bits can say.
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&[0x02, 0x00]);
    bytes.extend_from_slice(&element.to_le_bytes());
    bytes.extend_from_slice(&vr.to_bytes());
    if has_long_length(vr) {
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&u32::from(length).to_le_bytes());
    } else {
        bytes.extend_from_slice(&length.to_le_bytes());
    }
    bytes.extend_from_slice(value);
}

/// Reads the meta information; `None` when more bytes are needed, which there are none of once `ended`.
fn parse(bytes: &[u8], ended: bool) -> Result<Option<(FileMeta, usize)>, FileMetaError> {
    let start = if bytes.get(PREAMBLE..PREAMBLE + 4) == Some(MAGIC) {
        PREAMBLE + 4
    } else if bytes.starts_with(MAGIC) {
        4
    } else if bytes.starts_with(&[0x02, 0x00]) && bytes.get(3) == Some(&0) {
        0
    } else {
        return Err(FileMetaError::NotDicom);
    };
    let mut found = Found::default();
    let mut at = start;
    loop {
        match bytes.get(at..).and_then(split_element) {
            Some(Split::Element { element, value, length }) => {
                found.take(element, value);
                at += length;
            }
            Some(Split::OtherGroup) => break,
            // The data set may be empty, and the meta information all there is.
            None if ended && at == bytes.len() => break,
            None if ended => return Err(FileMetaError::Malformed("cut short")),
            None => return Ok(None),
        }
    }
    let transfer_syntax =
        found.transfer_syntax.ok_or(FileMetaError::Malformed("no Transfer Syntax UID (0002,0010)"))?;
    let meta = FileMeta {
        media_storage_sop_class_uid: found.sop_class,
        media_storage_sop_instance_uid: found.sop_instance,
        transfer_syntax,
        implementation_class_uid: found.implementation_class,
        implementation_version_name: found.implementation_version,
        source_ae_title: found.source,
        private_information: found
            .private_creator
            .zip(found.private_value)
            .map(|(creator, value)| PrivateInformation { creator, value }),
    };
    Ok(Some((meta, at)))
}

#[derive(Default)]
struct Found {
    sop_class: Option<Uid>,
    sop_instance: Option<Uid>,
    transfer_syntax: Option<Uid>,
    implementation_class: Option<Uid>,
    implementation_version: Option<String>,
    source: Option<AeTitle>,
    private_creator: Option<Uid>,
    private_value: Option<Vec<u8>>,
}

impl Found {
    fn take(&mut self, element: u16, value: &[u8]) {
        let uid = || Uid::from_bytes(value).ok();
        match element {
            MEDIA_STORAGE_SOP_CLASS_UID => self.sop_class = uid(),
            MEDIA_STORAGE_SOP_INSTANCE_UID => self.sop_instance = uid(),
            TRANSFER_SYNTAX_UID => self.transfer_syntax = uid(),
            IMPLEMENTATION_CLASS_UID => self.implementation_class = uid(),
            IMPLEMENTATION_VERSION_NAME => {
                let text = String::from_utf8_lossy(value).trim_matches([' ', '\0']).to_owned();
                self.implementation_version = (!text.is_empty()).then_some(text);
            }
            SOURCE_AE_TITLE => self.source = AeTitle::from_bytes(value).ok(),
            PRIVATE_INFORMATION_CREATOR_UID => self.private_creator = uid(),
            PRIVATE_INFORMATION => self.private_value = Some(value.to_vec()),
            _ => {}
        }
    }
}

enum Split<'a> {
    Element { element: u16, value: &'a [u8], length: usize },
    OtherGroup,
}

/// Splits an element of group 0002 off, in explicit VR or, where there is none, implicit; `None` when it is not
/// all there.
fn split_element(bytes: &[u8]) -> Option<Split<'_>> {
    let (group, rest) = bytes.split_at_checked(2)?;
    if group != [0x02, 0x00] {
        return Some(Split::OtherGroup);
    }
    let [e0, e1, b4, b5, b6, b7, ..] = rest else { return None };
    let four = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (header, value_length) = match VR::from_binary([*b4, *b5]) {
        Some(vr) if has_long_length(vr) => (12, four(8)?),
        Some(_) => (8, u32::from(u16::from_le_bytes([*b6, *b7]))),
        None => (8, four(4)?),
    };
    let length = usize::try_from(value_length).ok()?.checked_add(header)?;
    let value = bytes.get(header..length)?;
    Some(Split::Element { element: u16::from_le_bytes([*e0, *e1]), value, length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::dictionary::uids;

    fn meta() -> FileMeta {
        FileMeta {
            implementation_class_uid: Some(Uid::from_static("1.2.3")),
            implementation_version_name: Some("VERSION_1".to_owned()),
            source_ae_title: Some(AeTitle::new("SENDER").unwrap()),
            ..FileMeta::new(
                uids::CT_IMAGE_STORAGE,
                Uid::from_static("1.2.3.4"),
                uids::EXPLICIT_VR_LITTLE_ENDIAN,
            )
        }
    }

    fn with_data_set(mut file: Vec<u8>) -> Vec<u8> {
        file.extend_from_slice(b"\x08\0\x05\0CS\0\0");
        file
    }

    #[test]
    fn the_bytes_are_those_of_the_standard() {
        let bytes = meta().to_bytes();
        let expected: Vec<u8> = [
            &[0; 128][..],
            b"DICM\x02\0\0\0UL\x04\0\x8a\0\0\0",
            b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01",
            b"\x02\0\x02\0UI\x1a\x001.2.840.10008.5.1.4.1.1.2\0",
            b"\x02\0\x03\0UI\x08\x001.2.3.4\0",
            b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0",
            b"\x02\0\x12\0UI\x06\x001.2.3\0",
            b"\x02\0\x13\0SH\x0a\0VERSION_1 ",
            b"\x02\0\x16\0AE\x06\0SENDER",
        ]
        .concat();
        assert_eq!(bytes.len() - 144, 0x8a);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn what_was_written_is_read_and_the_data_set_found() {
        let file = with_data_set(meta().to_bytes());
        let (read, offset) = FileMeta::read(&mut &file[..]).unwrap();
        assert_eq!(read, meta());
        assert_eq!(file[offset as usize..], *b"\x08\0\x05\0CS\0\0");
    }

    #[test]
    fn private_information_ends_where_the_data_set_begins() {
        let private = PrivateInformation { creator: Uid::from_static("1.2.5"), value: vec![7; 40] };
        let noted = FileMeta { private_information: Some(private), ..meta() };
        let file = with_data_set(noted.to_bytes());
        let (read, offset) = FileMeta::read(&mut &file[..]).unwrap();
        assert_eq!(read, noted);
        assert_eq!(file[offset as usize - 40..offset as usize], [7; 40]);
    }

    #[test]
    fn a_missing_preamble_a_wrong_group_length_and_no_data_set_are_forgiven() {
        let file = with_data_set(meta().to_bytes());
        let mut wrong = file.clone();
        wrong[140..144].fill(0xFF);
        let without: Vec<u8> = [&file[..132], &file[144..]].concat();
        for (file, offset) in [
            (wrong, file.len() - 8),
            (without, file.len() - 20),
            (file[128..].to_vec(), file.len() - 136),
            (file[132..].to_vec(), file.len() - 140),
            (meta().to_bytes(), file.len() - 8),
        ] {
            let (read, at) = FileMeta::read(&mut &file[..]).unwrap();
            assert_eq!((read, at as usize), (meta(), offset));
        }
    }

    #[test]
    fn what_is_no_dicom_file_and_what_is_cut_short_is_an_error() {
        for bytes in [&b""[..], b"DIC", b"PK\x03\x04 a zip archive", &[0; 200]] {
            assert!(matches!(FileMeta::read(&mut &bytes[..]), Err(FileMetaError::NotDicom)));
        }
        let file = meta().to_bytes();
        for end in 132..file.len() {
            let result = FileMeta::read(&mut &file[..end]);
            assert!(matches!(result, Err(FileMetaError::Malformed(_)) | Ok(_)), "{end}");
        }
        let mut endless = file[..132].to_vec();
        endless.extend_from_slice(b"\x02\0\x02\x01OB\0\0\xff\xff\xff\xff");
        endless.resize(1024 * 1024, 0);
        assert!(matches!(FileMeta::read(&mut &endless[..]), Err(FileMetaError::Malformed("too long"))));
    }
}
