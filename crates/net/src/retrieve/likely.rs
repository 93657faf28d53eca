//! What is likely: the transfer syntaxes that instances of a SOP class are stored in, and the SOP classes that a
//! modality makes. Guesses for the order of things; nothing is left out because it is unlikely.

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary;

/// How many transfer syntaxes are met in archives; the rest of the dictionary is rare.
pub(super) const COMMON_SYNTAXES: usize = IMAGE.len();

/// The transfer syntaxes in which instances of a class may be stored, the likely ones first.
pub(super) fn syntaxes_of(class: &Uid, narrowed: Option<&[Uid]>) -> Vec<Uid> {
    if let Some(narrowed) = narrowed {
        return narrowed.to_vec();
    }
    let first: &[&str] = match kind_of(class) {
        Kind::Image => &IMAGE,
        Kind::Video => &VIDEO,
        Kind::Other => return OTHER.iter().map(|uid| Uid::from_static(uid)).collect(),
    };
    let mut syntaxes: Vec<Uid> = first.iter().map(|uid| Uid::from_static(uid)).collect();
    for syntax in dictionary::transfer_syntaxes() {
        if !syntaxes.contains(syntax) && !is_referenced(syntax) {
            syntaxes.push(syntax.clone());
        }
    }
    syntaxes
}

/// What of the pixel data stands elsewhere (JPIP) is no whole instance.
fn is_referenced(syntax: &Uid) -> bool {
    matches!(
        syntax.as_str(),
        "1.2.840.10008.1.2.4.94"
            | "1.2.840.10008.1.2.4.95"
            | "1.2.840.10008.1.2.4.204"
            | "1.2.840.10008.1.2.4.205"
    )
}

enum Kind {
    Image,
    Video,
    Other,
}

/// What a class holds, by its name. An unknown class (a private one) may be an image.
fn kind_of(class: &Uid) -> Kind {
    let Some(name) = dictionary::uid_name(class) else { return Kind::Image };
    const NO_PIXELS: [&str; 14] = [
        " SR",
        "Presentation State",
        "Waveform",
        "Encapsulated",
        "Plan",
        "Structure Set",
        "Record",
        "Key Object",
        "Report",
        "Raw Data",
        "Fiducials",
        "Measurements",
        "Registration",
        "Instruction",
    ];
    if name.contains("Video") {
        Kind::Video
    } else if NO_PIXELS.iter().any(|part| name.contains(part)) && !name.contains("Image") {
        Kind::Other
    } else {
        Kind::Image
    }
}

/// Native first, as most archives hold; then the lossless and lossy compressions by how often they are met.
const IMAGE: [&str; 13] = [
    "1.2.840.10008.1.2.1",    // Explicit VR Little Endian
    "1.2.840.10008.1.2",      // Implicit VR Little Endian
    "1.2.840.10008.1.2.4.70", // JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.90", // JPEG 2000 lossless
    "1.2.840.10008.1.2.4.50", // JPEG Baseline
    "1.2.840.10008.1.2.5",    // RLE Lossless
    "1.2.840.10008.1.2.4.91", // JPEG 2000
    "1.2.840.10008.1.2.4.80", // JPEG-LS lossless
    "1.2.840.10008.1.2.4.57", // JPEG Lossless
    "1.2.840.10008.1.2.4.51", // JPEG Extended
    "1.2.840.10008.1.2.4.81", // JPEG-LS near-lossless
    "1.2.840.10008.1.2.2",    // Explicit VR Big Endian
    "1.2.840.10008.1.2.1.99", // Deflated Explicit VR Little Endian
];

/// MPEG first, then JPEG, then what an image may have.
const VIDEO: [&str; 7] = [
    "1.2.840.10008.1.2.4.102", // MPEG-4 AVC/H.264 High Profile
    "1.2.840.10008.1.2.4.100", // MPEG2 Main Profile / Main Level
    "1.2.840.10008.1.2.4.103", // MPEG-4 AVC/H.264 BD-compatible
    "1.2.840.10008.1.2.4.101", // MPEG2 Main Profile / High Level
    "1.2.840.10008.1.2.4.50",  // JPEG Baseline
    "1.2.840.10008.1.2.1",     // Explicit VR Little Endian
    "1.2.840.10008.1.2",       // Implicit VR Little Endian
];

/// Without pixel data there is nothing to compress but the data set itself.
const OTHER: [&str; 4] =
    ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"];

/// The SOP classes that series of these modalities have for the most part. Secondary captures and presentation
/// states stand in series of any.
pub(super) fn classes_of(modalities: &[String]) -> Vec<Uid> {
    const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";
    let mut classes: Vec<Uid> = Vec::new();
    for modality in modalities {
        let own =
            MODALITIES.iter().find(|(name, _)| name == modality).map_or(&[][..], |(_, classes)| classes);
        for class in own.iter().chain(if own.is_empty() { &[][..] } else { &["7"] }) {
            if let Ok(uid) = Uid::new(format!("{STORAGE}{class}"))
                && !classes.contains(&uid)
            {
                classes.push(uid);
            }
        }
    }
    classes
}

/// Modality (0008,0060), and the ends of the UIDs of its storage classes, the most frequent first.
const MODALITIES: [(&str, &[&str]); 29] = [
    ("CR", &["1"]),
    ("CT", &["2", "2.1", "2.2"]),
    ("DOC", &["104.1", "104.2"]),
    ("DX", &["1.1", "1.1.1"]),
    ("ECG", &["9.1.1", "9.1.2"]),
    ("ES", &["77.1.1", "77.1.1.1"]),
    ("GM", &["77.1.2"]),
    ("IO", &["1.3", "1.3.1"]),
    ("IVOCT", &["14.1", "14.2"]),
    ("KO", &["88.59"]),
    ("MG", &["1.2", "1.2.1", "13.1.3"]),
    ("MR", &["4", "4.1", "4.4", "4.2", "4.3"]),
    ("NM", &["20"]),
    ("OP", &["77.1.5.1", "77.1.5.2"]),
    ("OPT", &["77.1.5.4"]),
    ("OT", &["7.1", "7.2", "7.3", "7.4"]),
    ("PR", &["11.1", "11.2", "11.3"]),
    ("PT", &["128", "130", "128.1"]),
    ("REG", &["66.1", "66.3"]),
    ("RF", &["12.2", "12.2.1"]),
    ("RTDOSE", &["481.2"]),
    ("RTIMAGE", &["481.1"]),
    ("RTPLAN", &["481.5", "481.8"]),
    ("RTSTRUCT", &["481.3"]),
    ("SEG", &["66.4", "66.5"]),
    ("SM", &["77.1.6"]),
    ("SR", &["88.11", "88.22", "88.33", "88.34", "88.67"]),
    ("US", &["6.1", "3.1", "6.2"]),
    ("XA", &["12.1", "12.1.1"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_the_table_is_a_storage_class() {
        let known = dictionary::storage_sop_classes();
        for (modality, _) in MODALITIES {
            let classes = classes_of(&[modality.to_owned()]);
            assert!(!classes.is_empty());
            for class in classes {
                assert!(known.contains(&class), "{modality}: {class}");
            }
        }
        assert_eq!(classes_of(&["XYZ".to_owned()]), []);
    }

    #[test]
    fn native_syntaxes_come_first_and_every_syntax_comes() {
        let image = syntaxes_of(&Uid::from_static("1.2.840.10008.5.1.4.1.1.2"), None);
        assert_eq!(image[0].as_str(), "1.2.840.10008.1.2.1");
        assert_eq!(image[1].as_str(), "1.2.840.10008.1.2");
        let all = dictionary::transfer_syntaxes().iter().filter(|syntax| !is_referenced(syntax)).count();
        assert_eq!(image.len(), all);
        let private = syntaxes_of(&Uid::from_static("1.2.3.4"), None);
        assert_eq!(private, image);
        let report = syntaxes_of(&Uid::from_static("1.2.840.10008.5.1.4.1.1.88.22"), None);
        assert_eq!(report.len(), OTHER.len());
    }
}
