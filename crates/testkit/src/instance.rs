//! One DICOM instance, built from header values, a transfer syntax and pixel bytes, always the same for the
//! same input.
//!
//! The header is encoded by `dicom-object`; Pixel Data (7FE0,0010) is written after it piece by piece, so that
//! an instance of several gigabytes needs no memory. Nothing here uses the encoders of `dicomet-proto`.

use std::io::{self, Write};

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use dicom_transfer_syntax_registry::entries;

/// Transfer syntaxes by name, as UIDs.
pub mod transfer_syntax {
    /// Implicit VR Little Endian.
    pub const IMPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
    /// Explicit VR Little Endian.
    pub const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
    /// Deflated Explicit VR Little Endian.
    pub const DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1.99";
    /// Explicit VR Big Endian (retired).
    pub const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
    /// JPEG Baseline (Process 1).
    pub const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";
    /// JPEG Lossless, first-order prediction.
    pub const JPEG_LOSSLESS_SV1: &str = "1.2.840.10008.1.2.4.70";
    /// JPEG 2000, lossless only.
    pub const JPEG_2000_LOSSLESS: &str = "1.2.840.10008.1.2.4.90";
    /// RLE Lossless.
    pub const RLE_LOSSLESS: &str = "1.2.840.10008.1.2.5";
}

/// What stands in Pixel Data (7FE0,0010).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pixels {
    /// No such element.
    None,
    /// Native pixels: this many bytes (made even), each MiB different from the others and mostly zero.
    Native(u64),
    /// Encapsulated: an empty basic offset table, then these fragments. Placeholders, no decoder can read them.
    Encapsulated(Vec<Vec<u8>>),
}

/// An instance to be written.
#[derive(Debug, Clone)]
pub struct Instance {
    header: InMemDicomObject,
    transfer_syntax: String,
    pixels: Pixels,
}

impl Instance {
    /// Begins an instance in Explicit VR Little Endian, without pixels.
    pub fn new(sop_class_uid: &str, sop_instance_uid: &str) -> Instance {
        let instance = Instance {
            header: InMemDicomObject::new_empty(),
            transfer_syntax: transfer_syntax::EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
            pixels: Pixels::None,
        };
        instance.with(tags::SOP_CLASS_UID, sop_class_uid).with(tags::SOP_INSTANCE_UID, sop_instance_uid)
    }

    /// Sets a value as text; several values are separated by `\`. The VR is the dictionary's. Text is encoded
    /// in the (first) Specific Character Set that the header names.
    pub fn with(mut self, tag: Tag, value: &str) -> Instance {
        let vr = StandardDataDictionary.by_tag(tag).map_or(VR::UN, |entry| entry.vr().relaxed());
        let value = match vr {
            VR::US => PrimitiveValue::from(value.parse::<u16>().expect("a value of VR US is a number")),
            _ => PrimitiveValue::Strs(value.split('\\').map(str::to_owned).collect()),
        };
        self.header.put(DataElement::new(tag, vr, value));
        self
    }

    /// Sets a value as the bytes that shall stand in the data set, for instance text with ISO 2022 escapes.
    /// An odd value is padded with a space.
    pub fn with_bytes(mut self, tag: Tag, vr: VR, bytes: &[u8]) -> Instance {
        let mut bytes = bytes.to_vec();
        if bytes.len() % 2 == 1 {
            bytes.push(b' ');
        }
        self.header.put(DataElement::new(tag, vr, PrimitiveValue::U8(bytes.into())));
        self
    }

    /// Sets the patient: ID and name, in this character set (the defined term, or nothing for ASCII).
    pub fn patient(self, id: &str, name: &str, character_set: &str) -> Instance {
        let instance = match character_set {
            "" => self,
            term => self.with(tags::SPECIFIC_CHARACTER_SET, term),
        };
        instance.with(tags::PATIENT_ID, id).with(tags::PATIENT_NAME, name)
    }

    /// Sets the study and series it belongs to.
    pub fn in_series(self, study_instance_uid: &str, series_instance_uid: &str) -> Instance {
        self.with(tags::STUDY_INSTANCE_UID, study_instance_uid)
            .with(tags::SERIES_INSTANCE_UID, series_instance_uid)
    }

    /// Sets the transfer syntax, by UID.
    pub fn transfer_syntax(mut self, uid: &str) -> Instance {
        self.transfer_syntax = uid.to_owned();
        self
    }

    /// Sets the pixels.
    pub fn pixels(mut self, pixels: Pixels) -> Instance {
        self.pixels = pixels;
        self
    }

    /// The value of an attribute as text, without padding; empty when it is not there.
    pub fn text(&self, tag: Tag) -> String {
        let element = self.header.get(tag);
        element.and_then(|element| element.to_str().ok()).map(|text| text.into_owned()).unwrap_or_default()
    }

    /// The data set in its transfer syntax.
    pub fn data_set(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_data_set(&mut bytes).expect("writing into memory does not fail");
        bytes
    }

    /// The Part 10 file: preamble, file meta information, data set.
    pub fn part10(&self) -> Vec<u8> {
        let mut bytes = self.part10_head();
        self.write_data_set(&mut bytes).expect("writing into memory does not fail");
        bytes
    }

    /// Writes the Part 10 file, holding no more than a MiB of pixels in memory.
    ///
    /// # Errors
    /// What `to` says.
    pub fn write_part10(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.part10_head())?;
        self.write_data_set(to)
    }

    fn part10_head(&self) -> Vec<u8> {
        part10_head(
            &self.text(tags::SOP_CLASS_UID),
            &self.text(tags::SOP_INSTANCE_UID),
            &self.transfer_syntax,
        )
    }

    /// Writes the data set, holding no more than a MiB of pixels in memory. (Deflated ones are made in memory.)
    ///
    /// # Errors
    /// What `to` says.
    pub fn write_data_set(&self, to: &mut impl Write) -> io::Result<()> {
        use transfer_syntax::*;
        let syntax = match self.transfer_syntax.as_str() {
            IMPLICIT_VR_LITTLE_ENDIAN => entries::IMPLICIT_VR_LITTLE_ENDIAN.erased(),
            EXPLICIT_VR_BIG_ENDIAN => entries::EXPLICIT_VR_BIG_ENDIAN.erased(),
            _ => entries::EXPLICIT_VR_LITTLE_ENDIAN.erased(),
        };
        let mut header = Vec::new();
        self.header.write_dataset_with_ts(&mut header, &syntax).map_err(io::Error::other)?;
        if self.transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN {
            self.write_pixels(&mut header)?;
            let mut deflater = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            deflater.write_all(&header)?;
            let mut deflated = deflater.finish()?;
            deflated.resize(deflated.len().next_multiple_of(2), 0);
            return to.write_all(&deflated);
        }
        to.write_all(&header)?;
        self.write_pixels(to)
    }

    fn write_pixels(&self, to: &mut impl Write) -> io::Result<()> {
        match &self.pixels {
            Pixels::None => Ok(()),
            Pixels::Native(length) => {
                let length = length.next_multiple_of(2);
                let value_length = u32::try_from(length).expect("native pixels have less than 4 GiB");
                assert_ne!(value_length, u32::MAX, "that is the undefined length");
                to.write_all(&self.pixel_data_head("OW", value_length))?;
                write_native(to, length)
            }
            Pixels::Encapsulated(fragments) => {
                to.write_all(&self.pixel_data_head("OB", u32::MAX))?;
                write_item(to, &[])?;
                for fragment in fragments {
                    write_item(to, fragment)?;
                }
                to.write_all(&[0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0])
            }
        }
    }

    /// Tag, VR and value length of Pixel Data (PS3.5 7.1.2, 7.1.3).
    fn pixel_data_head(&self, vr: &str, length: u32) -> Vec<u8> {
        let mut head = Vec::with_capacity(12);
        match self.transfer_syntax.as_str() {
            transfer_syntax::IMPLICIT_VR_LITTLE_ENDIAN => {
                head.extend_from_slice(&[0xE0, 0x7F, 0x10, 0x00]);
                head.extend_from_slice(&length.to_le_bytes());
            }
            transfer_syntax::EXPLICIT_VR_BIG_ENDIAN => {
                head.extend_from_slice(&[0x7F, 0xE0, 0x00, 0x10]);
                head.extend_from_slice(vr.as_bytes());
                head.extend_from_slice(&[0, 0]);
                head.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                head.extend_from_slice(&[0xE0, 0x7F, 0x10, 0x00]);
                head.extend_from_slice(vr.as_bytes());
                head.extend_from_slice(&[0, 0]);
                head.extend_from_slice(&length.to_le_bytes());
            }
        }
        head
    }
}

/// Preamble, `DICM` and file meta information.
pub(crate) fn part10_head(sop_class_uid: &str, sop_instance_uid: &str, transfer_syntax: &str) -> Vec<u8> {
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(sop_class_uid)
        .media_storage_sop_instance_uid(sop_instance_uid)
        .transfer_syntax(transfer_syntax)
        .implementation_class_uid("1.2.3.4.5")
        .implementation_version_name("TESTKIT")
        .build()
        .expect("a transfer syntax is set");
    let mut bytes = vec![0; 128];
    bytes.extend_from_slice(b"DICM");
    meta.write(&mut bytes).expect("writing into memory does not fail");
    bytes
}

/// Each MiB begins with its number, so that a lost or doubled one shows; a ramp follows, the rest is zero.
fn write_native(to: &mut impl Write, length: u64) -> io::Result<()> {
    const BLOCK: u64 = 1 << 20;
    let mut block = vec![0_u8; usize::try_from(BLOCK.min(length)).expect("at most a MiB")];
    for (index, byte) in block.iter_mut().enumerate().take(4096).skip(8) {
        *byte = u8::try_from(index % 251).expect("below 256");
    }
    let mut written = 0;
    while written < length {
        let piece = usize::try_from(BLOCK.min(length - written)).expect("at most a MiB");
        let number = (written / BLOCK).to_le_bytes();
        let head = number.len().min(piece);
        block[..head].copy_from_slice(&number[..head]);
        to.write_all(&block[..piece])?;
        written += BLOCK;
    }
    Ok(())
}

/// One item of encapsulated Pixel Data (PS3.5 A.4), padded to an even length.
fn write_item(to: &mut impl Write, fragment: &[u8]) -> io::Result<()> {
    let padded = fragment.len().next_multiple_of(2);
    let length = u32::try_from(padded).expect("a fragment has less than 4 GiB");
    to.write_all(&[0xFE, 0xFF, 0x00, 0xE0])?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(fragment)?;
    to.write_all(&vec![0; padded - fragment.len()])
}

/// The data set of a Part 10 file: what comes after preamble and file meta information.
///
/// # Panics
/// When the file has no `DICM` or no group length (0002,0000).
pub fn data_set_of_part10(file: &[u8]) -> &[u8] {
    assert_eq!(&file[128..132], b"DICM", "this is no Part 10 file");
    assert_eq!(&file[132..140], b"\x02\0\0\0UL\x04\0", "file meta information begins with its length");
    let length = u32::from_le_bytes(file[140..144].try_into().expect("four bytes"));
    &file[144 + length as usize..]
}

#[cfg(test)]
mod tests {
    use super::transfer_syntax::*;
    use super::*;

    fn slice() -> Instance {
        Instance::new("1.2.840.10008.5.1.4.1.1.2", "2.999.1.1")
            .patient("PAT004", "Bowen^William^^Dr", "")
            .in_series("2.999.1", "2.999.1.0")
            .with(tags::ROWS, "8")
    }

    #[test]
    fn a_file_is_read_back_by_dicom_object_in_each_native_syntax() {
        for syntax in [
            IMPLICIT_VR_LITTLE_ENDIAN,
            EXPLICIT_VR_LITTLE_ENDIAN,
            DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
            EXPLICIT_VR_BIG_ENDIAN,
        ] {
            let file = slice().transfer_syntax(syntax).pixels(Pixels::Native(128)).part10();
            let object = dicom_object::from_reader(&file[..]).expect(syntax);
            assert_eq!(object.meta().transfer_syntax(), syntax);
            assert_eq!(object.element(tags::PATIENT_NAME).unwrap().to_str().unwrap(), "Bowen^William^^Dr");
            assert_eq!(object.element(tags::ROWS).unwrap().to_int::<u16>().unwrap(), 8);
            assert_eq!(object.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap().len(), 128);
        }
    }

    #[test]
    fn encapsulated_fragments_are_read_back() {
        let pixels = Pixels::Encapsulated(vec![vec![1, 2, 3], vec![4; 10]]);
        let file = slice().transfer_syntax(JPEG_BASELINE).pixels(pixels).part10();
        let object = dicom_object::from_reader(&file[..]).unwrap();
        let fragments = object.element(tags::PIXEL_DATA).unwrap().fragments().unwrap();
        assert_eq!(fragments, [vec![1, 2, 3, 0], vec![4; 10]]);
    }

    #[test]
    fn text_is_encoded_in_the_character_set_that_the_header_names() {
        let latin = slice().patient("1", "Müller^Jörg", "ISO_IR 100").data_set();
        assert!(latin.windows(11).any(|bytes| bytes == b"M\xFCller^J\xF6rg"));
        let japanese = slice()
            .with(tags::SPECIFIC_CHARACTER_SET, "\\ISO 2022 IR 87")
            .with_bytes(tags::PATIENT_NAME, VR::PN, b"Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B")
            .data_set();
        assert!(japanese.windows(10).any(|bytes| bytes == b"\x1B$B;3ED\x1B(B"));
    }

    #[test]
    fn the_same_instance_is_always_the_same_bytes() {
        assert_eq!(
            slice().pixels(Pixels::Native(3_000_000)).part10(),
            slice().pixels(Pixels::Native(3_000_000)).part10()
        );
    }

    #[test]
    fn the_data_set_of_a_file_is_found_behind_its_meta_information() {
        let instance = slice().pixels(Pixels::Native(10));
        assert_eq!(data_set_of_part10(&instance.part10()), instance.data_set());
    }
}
