//! Results on stdout: tables for people, JSON and CSV for programs.
//!
//! What a peer says may hold escape sequences. In tables and CSV they are shown, not obeyed; in JSON they are what
//! they are, escaped by its own rules.

mod table;

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use dicomet_proto::dataset::{DataSet, Tag, dictionary};

use crate::exit::CommandError;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table, when all answers are in, or the first 1000; those behind them as they come
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

/// Where a value stands: the element, or the sequences to go through first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<Tag>);

impl From<Tag> for Path {
    fn from(tag: Tag) -> Path {
        Path(vec![tag])
    }
}

impl Path {
    /// An element in the items of a sequence.
    pub fn within(sequence: Tag, tag: Tag) -> Path {
        Path(vec![sequence, tag])
    }

    /// The elements of a query's keys, each sequence that has keys of its own taken apart.
    pub fn of_keys(keys: &DataSet) -> Vec<Path> {
        let mut paths = Vec::new();
        for tag in keys.tags() {
            let item = keys.items(tag).and_then(|items| items.into_iter().next()).unwrap_or_default();
            match Path::of_keys(&item) {
                within if within.is_empty() => paths.push(Path(vec![tag])),
                within => {
                    paths.extend(within.into_iter().map(|path| Path([vec![tag], path.0].concat())));
                }
            }
        }
        paths
    }

    /// As a key is written: keywords with dots between.
    fn name(&self) -> String {
        self.0.iter().map(|tag| name_of(*tag)).collect::<Vec<_>>().join(".")
    }

    /// For people: of a step its own name alone, with the sequence only where that would not say enough, as for
    /// codes.
    fn short_name(&self) -> String {
        let last_two = &self.0[self.0.len().saturating_sub(2)..];
        match last_two {
            [SCHEDULED_PROCEDURE_STEP_SEQUENCE, tag] => name_of(*tag),
            tags => tags.iter().map(|tag| name_of(*tag)).collect::<Vec<_>>().join("."),
        }
    }

    /// The values there, those of several items joined by a backslash.
    fn text(&self, result: &DataSet) -> String {
        let Some((tag, sequences)) = self.0.split_last() else { return String::new() };
        let mut items = vec![result.clone()];
        for sequence in sequences {
            items = items.iter().flat_map(|item| item.items(*sequence).unwrap_or_default()).collect();
        }
        let texts = items.iter().map(|item| text_of(item, *tag)).filter(|text| !text.is_empty());
        texts.collect::<Vec<_>>().join("\\")
    }
}

const SCHEDULED_PROCEDURE_STEP_SEQUENCE: Tag = Tag(0x0040, 0x0100);

/// A value as text; of a sequence of codes what they mean, of another how many items there are.
fn text_of(data_set: &DataSet, tag: Tag) -> String {
    const CODE_VALUE: Tag = Tag(0x0008, 0x0100);
    const CODE_MEANING: Tag = Tag(0x0008, 0x0104);
    let Some(items) = data_set.items(tag).filter(|items| !items.is_empty()) else {
        return data_set.text(tag).unwrap_or_default();
    };
    let codes: Option<Vec<String>> =
        items.iter().map(|item| item.text(CODE_MEANING).or_else(|| item.text(CODE_VALUE))).collect();
    codes.map_or_else(|| count(items.len() as u64, "item", "items"), |codes| codes.join("\\"))
}

/// Writes results one by one.
pub struct Writer<W: Write> {
    out: W,
    format: Format,
    columns: Vec<Path>,
    table: table::Rows,
    written: usize,
}

impl<W: Write> Writer<W> {
    /// Begins; `columns` are those of a table or of CSV.
    pub fn new(mut out: W, format: Format, columns: Vec<Path>) -> io::Result<Writer<W>> {
        if format == Format::Csv {
            write_csv(&mut out, columns.iter().map(Path::name))?;
        }
        let table = table::Rows::new(columns.iter().map(Path::short_name).collect());
        Ok(Writer { out, format, columns, table, written: 0 })
    }

    /// Writes one result, or keeps it with the first of a table.
    pub fn write(&mut self, result: &DataSet) -> io::Result<()> {
        let texts = || self.columns.iter().map(|column| visible(&column.text(result)));
        match self.format {
            Format::Table => {
                let row = texts().collect();
                self.table.add(row, &mut self.out)?;
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
            Format::Table => self.table.write(&mut self.out)?,
            Format::Jsonl | Format::Csv => {}
        }
        self.out.flush()
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

/// A text in which nothing moves a terminal's cursor, ends a line or turns its direction: such characters are written out.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let ends_line = matches!(c, '\u{2028}' | '\u{2029}');
        if c.is_control() || turns || ends_line {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A table for people, without lines around it.
pub fn plain_table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header).add_rows(rows);
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Writes a line of results to stdout.
pub fn line(line: impl std::fmt::Display) -> Result<(), CommandError> {
    writeln!(io::stdout().lock(), "{line}").map_err(|error| CommandError::unwritten(&error))
}

/// Writes a line to stderr. Where that cannot be written, on a full disk or to a pipe that nobody reads any more, the
/// line is lost, and what is being done goes on.
pub fn tell(line: impl std::fmt::Display) {
    // In one piece, so that it stays whole beside what others write there.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// As [`tell`], on the terminal's line that was written so before.
pub fn tell_in_place(line: &str) {
    let _ = write!(io::stderr().lock(), "\r\x1b[K{line}");
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
    use dicomet_proto::query::{Level, Model, Query};

    use super::*;

    const NAME: Tag = Tag(0x0010, 0x0010);
    const ID: Tag = Tag(0x0010, 0x0020);
    const DATE: Tag = Tag(0x0008, 0x0020);

    fn written(format: Format, names: &[&str]) -> String {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, format, [NAME, ID, DATE].map(Path::from).to_vec()).unwrap();
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
        assert_eq!(visible("a\u{61c}b\u{2028}c\u{2029}d"), "a\\u{61c}b\\u{2028}c\\u{2029}d");
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
    fn what_stands_in_sequences_has_columns_of_its_own() {
        let keys = Query::new(Model::Worklist, Level::Study)
            .key("PatientID")
            .and_then(|query| query.key("RequestedProcedureCodeSequence"))
            .and_then(|query| query.key("ScheduledProcedureStepSequence.Modality"))
            .and_then(|query| {
                query.key("ScheduledProcedureStepSequence.ScheduledProtocolCodeSequence.CodeValue")
            })
            .unwrap()
            .keys;
        let item = DataSet::from_json(&serde_json::json!({
            "00100020": {"vr": "LO", "Value": ["PAT004"]},
            "00321064": {"vr": "SQ", "Value": [{"00080104": {"vr": "LO", "Value": ["CT thorax"]}}]},
            "00400100": {"vr": "SQ", "Value": [{
                "00080060": {"vr": "CS", "Value": ["CT"]},
                "00400008": {"vr": "SQ", "Value": [
                    {"00080100": {"vr": "SH", "Value": ["C1"]}}, {"00080100": {"vr": "SH", "Value": ["C2"]}}
                ]}
            }]}
        }))
        .unwrap();
        let written = |format| {
            let mut out = Vec::new();
            let mut writer = Writer::new(&mut out, format, Path::of_keys(&keys)).unwrap();
            writer.write(&item).unwrap();
            writer.finish().unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            written(Format::Csv),
            "PatientID,RequestedProcedureCodeSequence,ScheduledProcedureStepSequence.Modality,\
             ScheduledProcedureStepSequence.ScheduledProtocolCodeSequence.CodeValue\nPAT004,CT thorax,CT,C1\\C2\n"
        );
        let header = written(Format::Table);
        assert!(header.contains(" Modality ") && header.contains("ScheduledProtocolCodeSequence.CodeValue"));
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
