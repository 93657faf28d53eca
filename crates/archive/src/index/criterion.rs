//! What a key asks of a value: PS3.4 C.2.2.2, without SQL and without data sets.
//!
//! [`condition`](super::condition) writes a criterion as SQL, [`header`](super::header) applies it to values
//! that have no column; both come from here, so that they cannot disagree.

use dicomet_proto::dataset::VR;

use super::normalise::{date, person_name, search_form, time, trim};

/// The most characters of a wildcard pattern. The longest value it could match, a PN or LO of several values,
/// is shorter, and matching takes time proportional to the product of both.
const MAX_PATTERN_CHARS: usize = 1024;

/// What is asked of a value in its search form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Criterion {
    /// Anything, an absent value too: universal matching.
    Universal,
    /// One of these: single value and list of UID matching.
    OneOf(Vec<String>),
    /// A pattern with `*` and `?`: wildcard matching.
    Pattern(String),
    /// From, to, both included: range matching. An absent value is in no range.
    Range(String, String),
    /// Any of several; a key with several values.
    Any(Vec<Criterion>),
}

impl Criterion {
    /// What a key of this VR and these values asks.
    pub(crate) fn of(vr: VR, values: &[String]) -> Criterion {
        let mut equal = Vec::new();
        let mut others = Vec::new();
        for value in values {
            match Criterion::of_value(vr, value) {
                Criterion::Universal => return Criterion::Universal,
                Criterion::OneOf(values) => equal.extend(values),
                other => others.push(other),
            }
        }
        if values.is_empty() {
            return Criterion::Universal;
        }
        if others.is_empty() {
            return Criterion::OneOf(equal);
        }
        if !equal.is_empty() {
            others.push(Criterion::OneOf(equal));
        }
        if others.len() == 1 { others.remove(0) } else { Criterion::Any(others) }
    }

    fn of_value(vr: VR, value: &str) -> Criterion {
        let value = trim(value);
        if value.is_empty() || value.bytes().all(|byte| byte == b'*') {
            return Criterion::Universal;
        }
        if matches!(vr, VR::DA | VR::TM) && value.contains('-') {
            return range(vr, value).unwrap_or(Criterion::OneOf(Vec::new()));
        }
        if has_wildcards(vr) && value.contains(['*', '?']) {
            return pattern(vr, value).map_or(Criterion::OneOf(Vec::new()), Criterion::Pattern);
        }
        let form = search_form(vr, value);
        // No date, no time: there is no value that it could equal.
        Criterion::OneOf(if form.is_empty() { Vec::new() } else { vec![form] })
    }

    /// Whether a value, in its search form and empty when absent, is what was asked for.
    pub(crate) fn matches(&self, value: &str) -> bool {
        match self {
            Criterion::Universal => true,
            Criterion::OneOf(values) => values.iter().any(|wanted| wanted == value),
            Criterion::Pattern(pattern) => matches_pattern(pattern, value),
            Criterion::Range(from, to) => !value.is_empty() && value >= from.as_str() && value <= to.as_str(),
            Criterion::Any(criteria) => criteria.iter().any(|criterion| criterion.matches(value)),
        }
    }

    /// The criteria, or the one that this is.
    pub(crate) fn alternatives(&self) -> &[Criterion] {
        match self {
            Criterion::Any(criteria) => criteria,
            other => std::slice::from_ref(other),
        }
    }
}

/// PS3.4 C.2.2.2.4 excludes the VRs of numbers, dates and UIDs; in those `*` and `?` stand for themselves.
fn has_wildcards(vr: VR) -> bool {
    matches!(
        vr,
        VR::AE | VR::CS | VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UN | VR::UR | VR::UT
    )
}

fn pattern(vr: VR, value: &str) -> Option<String> {
    let value = if vr == VR::PN { person_name(value) } else { value.to_owned() };
    if value.chars().count() > MAX_PATTERN_CHARS {
        return None;
    }
    let mut pattern = String::with_capacity(value.len());
    for c in value.chars() {
        if c != '*' || !pattern.ends_with('*') {
            pattern.push(c);
        }
    }
    Some(pattern)
}

/// `a-b`, `a-`, `-b` of dates or times (PS3.4 C.2.2.2.5). `None` when an end is no date or time.
fn range(vr: VR, value: &str) -> Option<Criterion> {
    let (from, to) = value.split_once('-')?;
    let (from, to) = (from.trim(), to.trim());
    if from.is_empty() && to.is_empty() {
        return Some(Criterion::Universal);
    }
    let first = |text: &str| match vr {
        _ if text.is_empty() => Some("0".to_owned()),
        VR::TM => time(text).map(|time| time.from),
        _ => date(text),
    };
    let last = |text: &str| match vr {
        _ if text.is_empty() => Some("99999999".to_owned()),
        VR::TM => time(text).map(|time| time.to),
        _ => date(text),
    };
    Some(Criterion::Range(first(from)?, last(to)?))
}

/// Whether the value fits the pattern, in time proportional to the product of their lengths.
fn matches_pattern(pattern: &str, value: &str) -> bool {
    let (pattern, value): (Vec<char>, Vec<char>) = (pattern.chars().collect(), value.chars().collect());
    let (mut p, mut v) = (0, 0);
    // Where to go on when the attempt since the last `*` fails: it then takes one character more.
    let mut retry: Option<(usize, usize)> = None;
    while v < value.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, v));
                p += 1;
            }
            Some(&c) if c == '?' || c == value[v] => {
                p += 1;
                v += 1;
            }
            _ => match retry {
                Some((after_star, taken)) => {
                    p = after_star;
                    v = taken + 1;
                    retry = Some((after_star, taken + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn criterion(vr: VR, values: &[&str]) -> Criterion {
        Criterion::of(vr, &values.iter().map(|&value| value.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn an_empty_value_and_stars_alone_match_everything() {
        for values in [&[][..], &[""], &["*"], &["**"], &["CT", "*"]] {
            assert_eq!(criterion(VR::CS, values), Criterion::Universal, "{values:?}");
        }
    }

    #[test]
    fn wildcards_are_only_those_of_the_standard() {
        let wanted = criterion(VR::LO, &["a[0-9]%_*?"]);
        assert!(wanted.matches("a[0-9]%_x"));
        assert!(!wanted.matches("a5%_x"));
        assert!(!wanted.matches("a[0-9]%_"));
        assert!(!criterion(VR::UI, &["1.2.*"]).matches("1.2.3"));
        assert!(criterion(VR::PN, &["MÜL*^j?rgen"]).matches("muller^jurgen"));
    }

    #[test]
    fn ranges_include_their_ends_and_no_absent_value() {
        let month = criterion(VR::DA, &["20200301-20200331"]);
        assert!(month.matches("20200301") && month.matches("20200331"));
        assert!(!month.matches("20200401") && !month.matches(""));
        assert!(criterion(VR::DA, &["-20200301"]).matches("19990101"));
        assert!(!criterion(VR::DA, &["-20200301"]).matches(""));
        assert!(criterion(VR::TM, &["10-1015"]).matches("101559.999999"));
        assert!(!criterion(VR::TM, &["10-1015"]).matches("101600.000000"));
        assert_eq!(criterion(VR::DA, &["yesterday-"]), Criterion::OneOf(Vec::new()));
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_exponential_time() {
        let wanted = criterion(VR::LO, &[&"*a".repeat(500)]);
        assert!(!wanted.matches(&format!("{}b", "a".repeat(5000))));
    }
}
