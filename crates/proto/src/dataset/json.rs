//! The DICOM JSON model, PS3.18 Annex F. The library turns values into JSON and back; here is what it leaves
//! open: nesting, empty values among others (F.2.5), names without an alphabetic group, bytes where numbers
//! should be.

use dicom_core::header::Header;
use dicom_core::value::{C, Value};
use dicom_core::{DataElement, PrimitiveValue};
use dicom_json::DicomJson;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;
use serde_json::{Map, Value as Json, json};

use super::encoding::Encoding;
use super::{DataSetError, Tag, VR, build, value};
use crate::charset::CharacterSets;

/// Items within items that are read; as many as [`super::scan`] takes.
const MAX_DEPTH: usize = super::scan::MAX_DEPTH;

pub(super) fn to_json(object: &InMemDicomObject) -> Json {
    let members = object.iter().map(|element| {
        let Tag(group, number) = element.tag();
        (format!("{group:04X}{number:04X}"), element_to_json(element))
    });
    Json::Object(members.collect())
}

fn element_to_json(element: &InMemElement) -> Json {
    let vr = element.vr();
    let bare = || json!({ "vr": vr.to_string() });
    match element.value() {
        Value::Sequence(sequence) if sequence.items().is_empty() => bare(),
        Value::Sequence(sequence) => {
            json!({ "vr": "SQ", "Value": sequence.items().iter().map(to_json).collect::<Vec<_>>() })
        }
        Value::PixelSequence(_) => bare(),
        // Of a length that its VR does not allow: no number can be given.
        Value::Primitive(PrimitiveValue::U8(_)) if !holds_bytes(vr) => bare(),
        Value::Primitive(_) => match dicom_json::to_value(element) {
            Ok(mut json) => {
                json.get_mut("Value")
                    .and_then(Json::as_array_mut)
                    .into_iter()
                    .flatten()
                    .for_each(empty_to_null);
                json
            }
            Err(_) => bare(),
        },
    }
}

fn holds_bytes(vr: VR) -> bool {
    matches!(vr, VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::UN)
}

fn empty_to_null(value: &mut Json) {
    if value.as_str() == Some("") || value.as_object().is_some_and(Map::is_empty) {
        *value = Json::Null;
    }
}

pub(super) fn from_json(json: &Json) -> Result<InMemDicomObject, DataSetError> {
    object_from_json(json, 0)
}

fn object_from_json(json: &Json, depth: usize) -> Result<InMemDicomObject, DataSetError> {
    let members = json.as_object().ok_or_else(|| malformed("not an object"))?;
    if depth > MAX_DEPTH {
        return Err(malformed("sequences nested too deep"));
    }
    let elements: Result<Vec<_>, _> =
        members.iter().map(|(key, json)| element_from_json(key, json, depth)).collect();
    Ok(InMemDicomObject::from_element_iter(elements?))
}

fn element_from_json(key: &str, json: &Json, depth: usize) -> Result<InMemElement, DataSetError> {
    let is_tag = key.len() == 8 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    let tag = is_tag.then(|| super::dictionary::tag_of(key)).flatten();
    let tag = tag.ok_or_else(|| malformed("a key that is no tag of eight hexadecimal digits"))?;
    let vr = match json.get("vr").map(Json::as_str) {
        Some(vr) => vr
            .and_then(|vr| vr.parse().ok())
            .ok_or_else(|| malformed(&format!("element {tag}: no such VR")))?,
        None => super::dictionary::vr_of(tag),
    };
    if vr == VR::SQ {
        let items = json.get("Value").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let items: Result<C<_>, _> = items
            .iter()
            .map(|item| {
                if item.is_null() {
                    Ok(InMemDicomObject::new_empty())
                } else {
                    object_from_json(item, depth + 1)
                }
            })
            .collect();
        return Ok(build::sequence(tag, items?));
    }
    let mut member = json.clone();
    if vr == VR::PN {
        let names = member.get_mut("Value").and_then(Json::as_array_mut);
        names.into_iter().flatten().for_each(add_alphabetic);
    }
    if let Some(member) = member.as_object_mut() {
        member.insert("vr".to_owned(), Json::from(vr.to_string()));
    }
    // The library reads whole data sets only.
    let object: DicomJson<InMemDicomObject> = serde_json::from_value(json!({ key: member }))
        .map_err(|error| malformed(&format!("element {tag}: {error}")))?;
    let object = object.into_inner();
    let element =
        object.get(tag).ok_or_else(|| malformed(&format!("element {tag} has no value that can be read")))?;
    Ok(as_read(element))
}

/// The library wants an alphabetic group in every name.
fn add_alphabetic(name: &mut Json) {
    if name.is_null() {
        *name = json!({});
    }
    if let Some(groups) = name.as_object_mut() {
        groups.entry("Alphabetic").or_insert_with(|| Json::String(String::new()));
    }
}

/// The element with its value as it would be after reading it from bytes, so that equal data sets are equal.
fn as_read(element: &InMemElement) -> InMemElement {
    let vr = element.vr();
    let value = match element.value().primitive() {
        None | Some(PrimitiveValue::Empty) => PrimitiveValue::Empty,
        Some(PrimitiveValue::U8(bytes)) => {
            value::decode(vr, bytes, Encoding::EXPLICIT_LITTLE, &CharacterSets::default_repertoire())
        }
        Some(other) if value::form(vr) == value::Form::Binary => other.clone(),
        Some(other) => value::parse(vr, &value::text_of(other)).unwrap_or(PrimitiveValue::Empty),
    };
    DataElement::new(element.tag(), vr, value)
}

fn malformed(what: &str) -> DataSetError {
    DataSetError::Malformed(format!("DICOM JSON: {what}"))
}
