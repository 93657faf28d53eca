//! Where an instance goes below the output folder: a template such as `{PatientID}/{StudyDate}/{SOPInstanceUID}.dcm`.
//!
//! What a peer says becomes at most one path component: separators, control characters, names that Windows keeps
//! for devices, `.` and `..` never come through. Pure.

use std::path::{Path, PathBuf};

use dicomet_proto::Uid;
use dicomet_proto::dataset::{Tag, dictionary};

/// Study Instance UID.
pub(super) const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
/// Series Instance UID.
pub(super) const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);
/// SOP Instance UID.
pub(super) const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);

/// The longest name that common file systems take, in bytes.
const MAX_NAME: usize = 255;

/// A template for paths, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// By path component.
    components: Vec<Vec<Piece>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Value(Tag),
}

/// Why a text is no layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A `{` without `}` or the other way round.
    #[error("the layout '{0}' has a brace without its partner")]
    Brace(String),
    /// What stands between the braces is no attribute.
    #[error("the layout names '{0}', which is neither a keyword of the DICOM dictionary nor a tag")]
    Keyword(String),
    /// It begins with `/` or has an empty component, `.` or `..`.
    #[error("the layout '{0}' does not stay below the output folder: no component may be empty, '.' or '..'")]
    Component(String),
}

impl Default for Layout {
    /// `{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm`.
    fn default() -> Layout {
        Layout {
            components: vec![
                vec![Piece::Value(STUDY_INSTANCE_UID)],
                vec![Piece::Value(SERIES_INSTANCE_UID)],
                vec![Piece::Value(SOP_INSTANCE_UID), Piece::Literal(".dcm".to_owned())],
            ],
        }
    }
}

impl std::str::FromStr for Layout {
    type Err = LayoutError;

    fn from_str(template: &str) -> Result<Layout, LayoutError> {
        let components =
            template.split('/').map(|component| pieces(component, template)).collect::<Result<_, _>>()?;
        Ok(Layout { components })
    }
}

fn pieces(component: &str, template: &str) -> Result<Vec<Piece>, LayoutError> {
    if matches!(component, "" | "." | "..") || component.contains('\\') {
        return Err(LayoutError::Component(template.to_owned()));
    }
    let brace = || LayoutError::Brace(template.to_owned());
    let mut pieces = Vec::new();
    let mut rest = component;
    while let Some((literal, after)) = rest.split_once('{') {
        let (keyword, after) = after.split_once('}').ok_or_else(brace)?;
        if literal.contains('}') {
            return Err(brace());
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.to_owned()));
        }
        let tag = dictionary::tag_of(keyword).ok_or_else(|| LayoutError::Keyword(keyword.to_owned()))?;
        pieces.push(Piece::Value(tag));
        rest = after;
    }
    if rest.contains('}') {
        return Err(brace());
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    Ok(pieces)
}

impl Layout {
    /// The attributes it needs beyond the three UIDs, which the inventory knows.
    pub fn further_tags(&self) -> impl Iterator<Item = Tag> + '_ {
        self.tags().filter(|tag| ![STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID].contains(tag))
    }

    /// Whether the path follows from the three UIDs alone.
    pub fn is_by_uids(&self) -> bool {
        self.further_tags().next().is_none() && self.is_unique()
    }

    /// Whether two instances can never meet in one path: it tells their SOP Instance UIDs.
    pub fn is_unique(&self) -> bool {
        self.components.iter().any(|pieces| tells_sop_instance(pieces))
    }

    /// The folder that has the instances of a series and nothing else, where the layout gives it one: it begins with
    /// `{StudyInstanceUID}/{SeriesInstanceUID}/`.
    pub fn series_folder(&self, study: &Uid, series: &Uid) -> Option<PathBuf> {
        let own = [[Piece::Value(STUDY_INSTANCE_UID)], [Piece::Value(SERIES_INSTANCE_UID)]];
        let begins = self.components.iter().zip(&own).all(|(component, own)| component[..] == own[..]);
        (self.components.len() == own.len() + 1 && begins && self.is_unique())
            .then(|| Path::new(study.as_str()).join(series.as_str()))
    }

    fn tags(&self) -> impl Iterator<Item = Tag> + '_ {
        self.components.iter().flatten().filter_map(|piece| match piece {
            Piece::Value(tag) => Some(*tag),
            Piece::Literal(_) => None,
        })
    }

    /// The path components of an instance, clean. A value that is not there is written `unknown`.
    pub fn components(&self, value: impl Fn(Tag) -> Option<String>) -> Vec<String> {
        let component = |pieces: &Vec<Piece>| {
            let text: String = pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Literal(text) => text.clone(),
                    Piece::Value(tag) => value(*tag).unwrap_or_else(|| "unknown".to_owned()),
                })
                .collect();
            clean(&text)
        };
        self.components.iter().map(component).collect()
    }
}

/// Whether the SOP Instance UID can be told from what stands beside it. By `{SOPInstanceUID}{InstanceNumber}`, 1.2 and
/// 34 make the same name as 1.23 and 4.
fn tells_sop_instance(pieces: &[Piece]) -> bool {
    let Some(place) = pieces.iter().position(|piece| *piece == Piece::Value(SOP_INSTANCE_UID)) else {
        return false;
    };
    let (before, after) = (&pieces[..place], &pieces[place + 1..]);
    let is_fixed = |pieces: &[Piece]| pieces.iter().all(|piece| matches!(piece, Piece::Literal(_)));
    let is_no_uid = |c: char| !c.is_ascii_digit() && c != '.';
    match (is_fixed(before), is_fixed(after)) {
        (true, true) => true,
        (true, false) => matches!(after, [Piece::Literal(text), ..] if text.starts_with(is_no_uid)),
        (false, true) => matches!(before, [.., Piece::Literal(text)] if text.ends_with(is_no_uid)),
        (false, false) => false,
    }
}

/// Makes a text one path component on any system.
fn clean(text: &str) -> String {
    let text: String = text.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect();
    // Windows drops spaces and dots at the end; a dot in front hides a file, and `..` is made of them.
    let text = text.trim_matches(|c: char| c == ' ' || c == '.');
    let mut text = if text.is_empty() { "_".to_owned() } else { text.to_owned() };
    let stem = text.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let is_device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || ((stem.starts_with("COM") || stem.starts_with("LPT"))
            && stem.len() == 4
            && stem.ends_with(|c: char| c.is_ascii_digit()));
    if is_device {
        text.insert(0, '_');
    }
    shorten(text)
}

fn is_allowed(c: char) -> bool {
    // The bidirectional controls make a name look like another one.
    let is_bidi = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !is_bidi && !matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
}

/// Cuts a name to [`MAX_NAME`] bytes; what follows a late dot, the extension, stays. A digest of the whole name takes the
/// place of what goes, for that may be all by which two names differ. Room is left for a number.
fn shorten(name: String) -> String {
    const NUMBER: usize = 8;
    if name.len() + NUMBER <= MAX_NAME {
        return name;
    }
    let extension = match name.rfind('.') {
        Some(dot) if name.len() - dot <= 8 => &name[dot..],
        _ => "",
    };
    let whole = blake3::hash(name.as_bytes()).to_hex();
    let digest = &whole[..32];
    let mut end = MAX_NAME - NUMBER - extension.len() - 1 - digest.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{digest}{extension}", &name[..end])
}

/// The name with a number before its extension: for the second instance of a name.
pub(super) fn numbered(name: &str, number: u32) -> String {
    match name.rfind('.') {
        Some(dot) if dot > 0 => format!("{}_{number}{}", &name[..dot], &name[dot..]),
        _ => format!("{name}_{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(template: &str, value: &str) -> String {
        template.parse::<Layout>().unwrap().components(|_| Some(value.to_owned())).join("/")
    }

    #[test]
    fn the_default_layout_is_by_uids() {
        let layout: Layout = "{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm".parse().unwrap();
        assert_eq!(layout, Layout::default());
        assert!(layout.is_by_uids());
        assert!(!"{PatientID}/{SOPInstanceUID}".parse::<Layout>().unwrap().is_by_uids());
    }

    #[test]
    fn a_series_has_a_folder_of_its_own_where_the_layout_begins_with_study_and_series() {
        let folder = |template: &str| {
            let layout: Layout = template.parse().unwrap();
            layout.series_folder(&Uid::from_static("1.2"), &Uid::from_static("1.3"))
        };
        let by_uids = "{StudyInstanceUID}/{SeriesInstanceUID}/";
        assert_eq!(
            folder(&format!("{by_uids}{{InstanceNumber}}-{{SOPInstanceUID}}")),
            Some("1.2/1.3".into())
        );
        for template in [
            "{SOPInstanceUID}",
            "{StudyInstanceUID}/{SOPInstanceUID}",
            "{PatientID}/{StudyInstanceUID}/{SOPInstanceUID}",
            "x{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}",
            "{StudyInstanceUID}/{SeriesInstanceUID}/{InstanceNumber}",
        ] {
            assert_eq!(folder(template), None, "{template}");
        }
    }

    #[test]
    fn nothing_a_peer_says_leaves_its_component() {
        for (value, name) in [
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..", "_"),
            ("", "_"),
            ("a\\b", "a_b"),
            ("C:\\x", "C__x"),
            ("x\u{1b}[2J\r\n", "x_[2J__"),
            ("evil\u{202e}gpj", "evil_gpj"),
            ("NUL", "_NUL"),
            ("com1.txt", "_com1.txt"),
            ("name. ", "name"),
            ("山田^太郎", "山田^太郎"),
        ] {
            assert_eq!(path("{PatientName}", value), name, "{value:?}");
            assert_eq!(path("d/{PatientName}/x", value), format!("d/{name}/x"));
        }
    }

    #[test]
    fn long_names_are_cut_at_a_character_keep_their_extension_and_stay_apart() {
        let name = |end: &str| path("{PatientName}.dcm", &("ä".repeat(300) + end));
        assert!(name("1").len() <= 247 && name("1").ends_with(".dcm"), "{}", name("1"));
        assert!(name("1").starts_with(&"ä".repeat(100)));
        assert_ne!(name("1"), name("2"));
        assert_eq!(path("{PatientName}", &"x".repeat(247)), "x".repeat(247));
    }

    #[test]
    fn a_layout_is_unique_where_the_sop_instance_uid_is_told_from_what_stands_beside_it() {
        for (template, is_unique) in [
            ("{SOPInstanceUID}.dcm", true),
            ("1.{SOPInstanceUID}.1", true),
            ("{PatientID}/{SOPInstanceUID}", true),
            ("{InstanceNumber}-{SOPInstanceUID}.dcm", true),
            ("{SOPInstanceUID}_{InstanceNumber}.dcm", true),
            ("{SOPInstanceUID}{InstanceNumber}.dcm", false),
            ("{InstanceNumber}.{SOPInstanceUID}", false),
            ("{PatientID}-{SOPInstanceUID}-{InstanceNumber}", false),
            ("{SOPInstanceUID}{InstanceNumber}/{SOPInstanceUID}", true),
            ("{PatientID}", false),
        ] {
            assert_eq!(template.parse::<Layout>().unwrap().is_unique(), is_unique, "{template}");
        }
    }

    #[test]
    fn refuses_templates_that_lead_out_or_name_nothing() {
        for (template, what) in [
            ("/abs/{SOPInstanceUID}", "below the output folder"),
            ("../{SOPInstanceUID}", "below the output folder"),
            ("a//b", "below the output folder"),
            ("{PatientsName}", "neither a keyword"),
            ("{PatientID", "brace"),
            ("PatientID}", "brace"),
        ] {
            let error = template.parse::<Layout>().unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn the_second_of_a_name_gets_a_number() {
        assert_eq!(numbered("IM.dcm", 2), "IM_2.dcm");
        assert_eq!(numbered("IM", 3), "IM_3");
    }
}
