//! Decimal strings (PS3.5 6.2), as attributes that count by frames have them.

use std::collections::BTreeMap;

use dicomet_proto::dataset::Tag;

/// The numbers of an attribute; `None` when it is not there, or one of them is no number.
pub(super) fn decimals(values: &BTreeMap<Tag, Vec<u8>>, tag: Tag) -> Option<Vec<f64>> {
    let text = String::from_utf8_lossy(values.get(&tag)?);
    let number = |text: &str| text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    text.trim_matches([' ', '\0']).split('\\').map(number).collect()
}

/// What a sum has behind ten digits is taken for its error.
pub(super) fn rounded(number: f64) -> f64 {
    format!("{number:.9e}").parse().unwrap_or(number)
}

/// Numbers as decimal strings of at most 16 characters.
pub(super) fn decimal_strings(numbers: &[f64]) -> Vec<u8> {
    let text = |number: &f64| {
        let shortest = [*number, rounded(*number)].map(|number| number.to_string());
        let fitting = shortest.into_iter().find(|text| text.len() <= 16);
        fitting.unwrap_or_else(|| format!("{number:.8e}"))
    };
    numbers.iter().map(text).collect::<Vec<_>>().join("\\").into_bytes()
}
