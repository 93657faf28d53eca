//! Values in the form in which the index compares them; the forms are those of [`dicomet_proto::query`], so that
//! an index and a plain look at the data set never disagree.
//!
//! Dates become `YYYYMMDD`, times `HHMMSS.FFFFFF`, integers their decimal digits; everything else loses its
//! padding only. What is no value of its VR becomes empty: it is stored and returned as it came, and nothing but
//! universal matching finds it. Names are a matter of their own, see `person_name`.

use dicomet_proto::dataset::VR;
use dicomet_proto::query::range;

/// The form of a single value in which it is compared.
pub(crate) fn search_form(vr: VR, value: &str) -> String {
    match vr {
        VR::DA | VR::TM | VR::DT => range::normalise(vr, value).unwrap_or_default(),
        VR::IS => {
            let value = trim(value);
            value.parse::<i64>().map_or_else(|_| value.to_owned(), |number| number.to_string())
        }
        _ => trim(value).to_owned(),
    }
}

/// A value without padding.
pub(crate) fn trim(value: &str) -> &str {
    value.trim_matches([' ', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_compared_by_value_and_nonsense_as_text() {
        assert_eq!(search_form(VR::IS, " 007"), "7");
        assert_eq!(search_form(VR::IS, "99999999999999999999"), "99999999999999999999");
    }

    #[test]
    fn dates_and_times_have_one_form_and_nonsense_has_none() {
        assert_eq!(search_form(VR::DA, "2020.03.01"), "20200301");
        assert_eq!(search_form(VR::TM, "10:15:30"), "101530.000000");
        assert_eq!(search_form(VR::DA, "99999999"), "");
    }
}
