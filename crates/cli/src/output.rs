//! Results on stdout: tables for people, JSON and CSV for programs.
//!
//! What a peer says may hold escape sequences. In tables and CSV they are shown, not obeyed; in JSON they are what
//! they are, escaped by its own rules.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use dicomet_proto::dataset::{DataSet, Tag, dictionary};

use crate::exit::CommandError;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table, when all answers are in
    Table,
    /// One array in the DICOM JSON model (PS3.18 Annex F)
    Json,
    /// The DICOM JSON model, one object a line, as the answers come
    Jsonl,
    /// Comma-separated values with a header, as the answers come
    Csv,
}

/// How the report at the end of a transfer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Lines for a person
    Text,
    /// One line of JSON; what it does not hold goes to stderr
    Json,
}

/// Writes results one by one.
pub struct Writer<W: Write> {
    out: W,
    format: Format,
    columns: Vec<Tag>,
    rows: Vec<Vec<String>>,
    written: usize,
}

impl<W: Write> Writer<W> {
    /// Begins; `columns` are those of a table or of CSV.
    pub fn new(mut out: W, format: Format, columns: Vec<Tag>) -> io::Result<Writer<W>> {
        if format == Format::Csv {
            write_csv(&mut out, columns.iter().map(|tag| name_of(*tag)))?;
        }
        Ok(Writer { out, format, columns, rows: Vec::new(), written: 0 })
    }

    /// Writes one result, or keeps it for the table.
    pub fn write(&mut self, result: &DataSet) -> io::Result<()> {
        let texts = || self.columns.iter().map(|tag| visible(&result.text(*tag).unwrap_or_default()));
        match self.format {
            Format::Table => {
                let row = texts().collect();
                self.rows.push(row);
            }
            Format::Csv => {
                let row: Vec<String> = texts().collect();
                write_csv(&mut self.out, row)?;
                self.out.flush()?;
            }
            Format::Jsonl => {
                writeln!(self.out, "{}", result.to_json())?;
                self.out.flush()?;
            }
            Format::Json => {
                self.out.write_all(if self.written == 0 { b"[" } else { b",\n " })?;
                write!(self.out, "{}", result.to_json())?;
            }
        }
        self.written += 1;
        Ok(())
    }

    /// Writes what is left to write.
    pub fn finish(mut self) -> io::Result<()> {
        match self.format {
            Format::Json if self.written == 0 => writeln!(self.out, "[]")?,
            Format::Json => writeln!(self.out, "]")?,
            Format::Table if self.written > 0 => writeln!(self.out, "{}", self.table())?,
            _ => {}
        }
        self.out.flush()
    }

    /// The table, without the columns in which nothing stands.
    fn table(&self) -> Table {
        let used: Vec<usize> = (0..self.columns.len())
            .filter(|&column| self.rows.iter().any(|row| !row[column].is_empty()))
            .collect();
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(used.iter().map(|&column| name_of(self.columns[column])));
        for row in &self.rows {
            table.add_row(used.iter().map(|&column| row[column].as_str()));
        }
        table
    }
}

fn write_csv(out: &mut impl Write, row: impl IntoIterator<Item = String>) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(row)?;
    let bytes = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    out.write_all(&bytes)
}

/// The keyword of a tag, or the tag.
pub fn name_of(tag: Tag) -> String {
    dictionary::keyword_of(tag).map_or_else(|| format!("{:04X},{:04X}", tag.0, tag.1), str::to_owned)
}

/// A text in which nothing moves a terminal's cursor or turns its direction: such characters are written out.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Writes a line of results to stdout.
pub fn line(line: impl std::fmt::Display) -> Result<(), CommandError> {
    writeln!(io::stdout().lock(), "{line}").map_err(|error| CommandError::unwritten(&error))
}

/// A number with what it counts.
pub fn count(number: u64, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// A number of bytes as a person reads it.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{count} B")
    } else if value < 10.0 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Tag = Tag(0x0010, 0x0010);
    const ID: Tag = Tag(0x0010, 0x0020);
    const DATE: Tag = Tag(0x0008, 0x0020);

    fn written(format: Format, names: &[&str]) -> String {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, format, vec![NAME, ID, DATE]).unwrap();
        for name in names {
            let mut result = DataSet::new();
            result.set_text(NAME, name);
            result.set_text(ID, "PAT004");
            writer.write(&result).unwrap();
        }
        writer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table_has_the_columns_in_which_something_stands() {
        let table = written(Format::Table, &["Bowen^William^^Dr", "山田^太郎"]);
        assert!(
            table.contains("PatientName") && table.contains("Bowen^William^^Dr") && table.contains("山田")
        );
        assert!(!table.contains("StudyDate"));
    }

    #[test]
    fn escape_sequences_are_shown_and_not_obeyed() {
        assert!(written(Format::Table, &["a\u{1b}[2Jb"]).contains("a\\u{1b}[2Jb"));
        assert!(written(Format::Csv, &["a\u{202e}b"]).contains("a\\u{202e}b"));
        assert_eq!(visible("Müller^山田"), "Müller^山田");
    }

    #[test]
    fn csv_has_a_header_and_quotes_where_needed() {
        assert_eq!(
            written(Format::Csv, &["Bowen, \"Bill\""]),
            "PatientName,PatientID,StudyDate\n\"Bowen, \"\"Bill\"\"\",PAT004,\n"
        );
    }

    #[test]
    fn json_is_an_array_and_jsonl_an_object_a_line() {
        let json: serde_json::Value = serde_json::from_str(&written(Format::Json, &["A", "B"])).unwrap();
        assert_eq!(json.as_array().unwrap().len(), 2);
        assert_eq!(json[0]["00100020"]["Value"][0], "PAT004");
        assert_eq!(written(Format::Json, &[]), "[]\n");
        assert_eq!(written(Format::Jsonl, &["A", "B"]).lines().count(), 2);
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.0 kB");
        assert_eq!(bytes(262_500_000), "262 MB");
        assert_eq!(bytes(999_600), "1.0 MB");
    }
}
