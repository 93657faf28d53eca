//! Values in the form in which they are compared, one form for what is stored and for what is asked.
//!
//! Person names lose case and accents (PS3.4 C.2.2.2.1 allows that for PN alone); dates become `YYYYMMDD`, times
//! `HHMMSS.FFFFFF`, integers their decimal digits; everything else loses its padding only. What is no value of
//! its VR becomes empty: it is stored and returned as it came, and nothing but universal matching finds it.

use dicomet_proto::dataset::VR;
use unicode_normalization::UnicodeNormalization;

/// The form of a single value in which it is compared.
pub(crate) fn search_form(vr: VR, value: &str) -> String {
    match vr {
        VR::DA => date(value).unwrap_or_default(),
        VR::TM => time(value).map(|time| time.from).unwrap_or_default(),
        VR::IS | VR::US | VR::UL | VR::SS | VR::SL | VR::UV | VR::SV => {
            let value = value.trim();
            value.parse::<i64>().map_or_else(|_| value.to_owned(), |number| number.to_string())
        }
        VR::PN => person_name(value),
        _ => trim(value).to_owned(),
    }
}

/// A value without padding: spaces on both sides, NULs at the end.
pub(crate) fn trim(value: &str) -> &str {
    value.trim_end_matches(['\0', ' ']).trim_start_matches(' ')
}

/// A date, `YYYYMMDD` or the older `YYYY.MM.DD`, as eight digits; `None` for what is no date.
pub(crate) fn date(value: &str) -> Option<String> {
    let value = value.trim();
    let digits: String = match value.len() {
        8 => value.to_owned(),
        10 if value.is_ascii() && &value[4..5] == "." && &value[7..8] == "." => value.replace('.', ""),
        _ => return None,
    };
    if digits.len() != 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let month: u8 = digits[4..6].parse().ok()?;
    let day: u8 = digits[6..8].parse().ok()?;
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(digits)
}

/// A time as the interval of times that it stands for: `1015` is every time from 10:15:00 to 10:15:59.999999.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Time {
    /// The first, `HHMMSS.FFFFFF`; what is compared for equality.
    pub(crate) from: String,
    /// The last.
    pub(crate) to: String,
}

/// A time, `HH[MM[SS[.F{1,6}]]]`, colons of the older form left out; `None` for what is no time.
pub(crate) fn time(value: &str) -> Option<Time> {
    let value = value.trim().replace(':', "");
    let (whole, fraction) = value.split_once('.').map_or((value.as_str(), None), |(a, b)| (a, Some(b)));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(whole.len(), 2 | 4 | 6) || !digits(whole) {
        return None;
    }
    if fraction.is_some_and(|f| whole.len() != 6 || f.is_empty() || f.len() > 6 || !digits(f)) {
        return None;
    }
    // 60 is a leap second.
    for (part, limit) in whole.as_bytes().chunks(2).zip([23, 59, 60]) {
        if (part[0] - b'0') * 10 + (part[1] - b'0') > limit {
            return None;
        }
    }
    let given = match fraction {
        Some(fraction) => format!("{whole}.{fraction}"),
        None if whole.len() == 6 => format!("{whole}."),
        None => whole.to_owned(),
    };
    let from = format!("{given}{}", &"000000.000000"[given.len()..]);
    let to = format!("{given}{}", &"235959.999999"[given.len()..]);
    Some(Time { from, to })
}

/// The component groups of a person name, alphabetic, ideographic, phonetic (PS3.5 6.2.1), each in the form in
/// which it is compared; empty where there is none.
pub(crate) fn component_groups(name: &str) -> [String; 3] {
    let mut groups = name.splitn(3, '=');
    std::array::from_fn(|_| groups.next().map(person_name).unwrap_or_default())
}

/// One component group without case, accents, padding and empty components at its end.
pub(crate) fn person_name(group: &str) -> String {
    // Only the marks of European scripts are accents: those of Japanese kana tell syllables apart.
    let folded: String = group
        .nfkd()
        .filter(|c| !matches!(c, '\u{300}'..='\u{36f}'))
        .flat_map(char::to_lowercase)
        .nfc()
        .collect();
    let components: Vec<&str> = folded.split('^').map(|component| trim(component.trim())).collect();
    components.join("^").trim_end_matches('^').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_case_accents_and_empty_ends() {
        assert_eq!(person_name("MÜLLER^Jürgen^^Dr^"), "muller^jurgen^^dr");
        assert_eq!(person_name(" Bowen ^William "), "bowen^william");
        assert_eq!(person_name("Ångström*"), "angstrom*");
        assert_eq!(person_name("ﾔﾏﾀﾞ^ﾀﾛｳ"), "ヤマダ^タロウ");
        assert_ne!(person_name("か"), person_name("が"));
        assert_eq!(person_name("김희중"), "김희중");
        assert_eq!(component_groups("Yamada^Tarou=山田^太郎"), ["yamada^tarou", "山田^太郎", ""]);
    }

    #[test]
    fn dates_and_times_have_one_form_and_nonsense_has_none() {
        assert_eq!(date("2020.03.01").as_deref(), Some("20200301"));
        assert_eq!(date("20200301 ").as_deref(), Some("20200301"));
        for nonsense in ["99999999", "2020", "20201301", "2020030a", "２０２０", "äöü.äö.ü"] {
            assert_eq!(date(nonsense), None, "{nonsense}");
        }
        let time_of = |value| time(value).map(|time| (time.from, time.to));
        assert_eq!(time_of("10"), Some(("100000.000000".into(), "105959.999999".into())));
        assert_eq!(time_of("10:15:30"), Some(("101530.000000".into(), "101530.999999".into())));
        assert_eq!(time_of("101530.5"), Some(("101530.500000".into(), "101530.599999".into())));
        for nonsense in ["1", "25", "1061", "10.5", "101530.", "101530.1234567", "ab"] {
            assert_eq!(time(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn integers_are_compared_by_value() {
        assert_eq!(search_form(VR::IS, " 007"), "7");
        assert_eq!(search_form(VR::IS, "99999999999999999999"), "99999999999999999999");
    }
}
