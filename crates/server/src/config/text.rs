//! Values that stand as text in the file and are checked when they are read, so that an error names their line.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// A value of the configuration that is read from text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<T>(pub T);

impl<'de, T> Deserialize<'de> for Text<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<T>, D::Error> {
        deserializer.deserialize_str(FromText(PhantomData)).map(Text)
    }
}

struct FromText<T>(PhantomData<T>);

impl<T> Visitor<'_> for FromText<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// A number of bytes. As text `500G`, `1.5TB` (powers of 1000) or `200GiB` (of 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// A text is no [`Size`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no size; write 500G, 1.5TB or 200GiB")]
pub struct InvalidSize(String);

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Size, InvalidSize> {
        let invalid = || InvalidSize(text.to_owned());
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let unit = unit.trim().to_ascii_uppercase();
        let base: f64 = if unit.ends_with("IB") { 1024.0 } else { 1000.0 };
        let power = match unit.trim_end_matches('B').trim_end_matches('I') {
            "" => 0,
            "K" => 1,
            "M" => 2,
            "G" => 3,
            "T" => 4,
            "P" => 5,
            _ => return Err(invalid()),
        };
        Ok(Size((number * base.powi(power)) as u64))
    }
}

/// What is logged: a level, or a filter of `tracing-subscriber`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// A text is no [`LogFilter`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no level; write error, warn, info, debug or trace, or a filter such as dicomet_net=debug")]
pub struct InvalidLogFilter(String);

impl LogFilter {
    /// As it stands in the file.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LogFilter {
    type Err = InvalidLogFilter;

    fn from_str(text: &str) -> Result<LogFilter, InvalidLogFilter> {
        let is_a_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
        // To `tracing-subscriber` each word is a name of the code, also `warning`: it would log nothing else.
        let is_name_of_ours = |word: &str| word.starts_with("dicomet");
        let unknown = text
            .split(',')
            .map(str::trim)
            .find(|word| !word.contains(['=', '[']) && !is_a_level(word) && !is_name_of_ours(word));
        match (unknown, EnvFilter::builder().parse(text)) {
            (None, Ok(_)) => Ok(LogFilter(text.to_owned())),
            (word, _) => Err(InvalidLogFilter(word.unwrap_or(text).to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("500G", 500_000_000_000),
            ("1.5TB", 1_500_000_000_000),
            ("2KiB", 2048),
            ("3 mib", 3 << 20),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "G", "-1", "5X", "1.2.3", "nanG"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_log_filter_is_a_level_or_says_of_what() {
        for text in [
            "info",
            "WARN",
            "off",
            "3",
            "dicomet_net=debug",
            "warn,dicomet_server::dicom",
            "info,tokio=debug",
        ] {
            assert!(text.parse::<LogFilter>().is_ok(), "{text}");
        }
        for (text, wrong) in [
            ("warning", "'warning'"),
            ("info,verbose", "'verbose'"),
            ("", "''"),
            ("dicomet_net=loud", "'dicomet_net=loud'"),
            ("a=b=c", "'a=b=c'"),
        ] {
            let error = text.parse::<LogFilter>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{wrong} is no level; write error, warn,")), "{error}");
        }
    }
}
