//! The three forms of a list, each read as rows of keyword and value.
//!
//! Which of them it is, its first line tells: `{` begins JSON lines, a header of keywords CSV. Of comma, semicolon and
//! tab the one that the header has more of separates. What is neither is never guessed.

use std::io::{self, BufRead, BufReader, Read};
use std::fs::File;

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary;
use serde_json::{Map, Value};

use super::ListError;

/// Longer than any line that names studies.
const MAX_LINE: u64 = 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];

/// How the lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    /// Comma-separated values, or values separated by this, with these columns.
    Csv { delimiter: u8, columns: Vec<String> },
    /// A JSON object a line.
    JsonLines,
    /// A value of this key a line.
    Values { key: String },
}

/// A line: its number, and its keys or what is wrong with it.
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) keys: Result<Map<String, Value>, String>,
}

impl Format {
    /// By the first line that is not empty.
    pub(super) fn of(source: &mut impl BufRead, key: Option<&str>) -> Result<Format, ListError> {
        let mut lines = TextLines::new(source);
        let first = loop {
            match lines.next().transpose()? {
                None => return Err(ListError::Empty),
                Some((_, line)) => {
                    let line = line.map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))?;
                    if !line.trim().is_empty() {
                        break line;
                    }
                }
            }
        };
        if let Some(key) = key {
            let known = dictionary::tag_of(key).is_some();
            return match (known, first.trim() == key) {
                (false, _) => Err(ListError::UnknownColumn { column: 1, name: key.to_owned() }),
                (true, true) => Err(ListError::HeaderIsNoValue(key.to_owned())),
                (true, false) => Ok(Format::Values { key: key.to_owned() }),
            };
        }
        if first.trim_start().starts_with('{') {
            return Ok(Format::JsonLines);
        }
        header(&first)
    }
}

fn header(line: &str) -> Result<Format, ListError> {
    let times = |delimiter: &u8| line.bytes().filter(|byte| byte == delimiter).count();
    // Of several that are there equally often the last counts, so the comma does when there is none at all.
    let delimiter = [b'\t', b';', b','].into_iter().max_by_key(times).unwrap_or(b',');
    let mut reader = csv_reader(delimiter, line.as_bytes());
    let columns: Vec<String> = reader
        .records()
        .next()
        .and_then(Result::ok)
        .map(|record| record.iter().map(|field| field.trim().to_owned()).collect())
        .unwrap_or_default();
    // A path into sequences is known by its last step; the whole is checked with every line.
    let is_known =
        |name: &&String| dictionary::tag_of(name.rsplit('.').next().unwrap_or_default()).is_some();
    if let Some(unknown) = columns.iter().find(|name| !is_known(name)) {
        if columns.iter().any(|name| is_known(&name)) {
            let column = columns.iter().position(|name| name == unknown).unwrap_or_default() + 1;
            return Err(ListError::UnknownColumn { column, name: unknown.clone() });
        }
        let is_uid = unknown.contains('.') && Uid::new(unknown.as_str()).is_ok();
        return Err(ListError::NoHeader { first: unknown.clone(), is_single: columns.len() == 1, is_uid });
    }
    Ok(Format::Csv { delimiter, columns })
}

fn csv_reader<R: Read>(delimiter: u8, source: R) -> csv::Reader<R> {
    csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(source)
}

/// Rows of a list from its beginning.
pub(super) enum Rows {
    Csv { columns: Vec<String>, records: Box<csv::ByteRecordsIntoIter<BufReader<File>>>, is_header: bool },
    Lines { key: Option<String>, lines: TextLines<BufReader<File>> },
}

impl Rows {
    pub(super) fn new(format: Format, mut source: BufReader<File>) -> io::Result<Rows> {
        Ok(match format {
            Format::Csv { delimiter, columns } => {
                skip_byte_order_mark(&mut source)?;
                let records = Box::new(csv_reader(delimiter, source).into_byte_records());
                Rows::Csv { columns, records, is_header: true }
            }
            Format::JsonLines => Rows::Lines { key: None, lines: TextLines::new(source) },
            Format::Values { key } => Rows::Lines { key: Some(key), lines: TextLines::new(source) },
        })
    }
}

impl Iterator for Rows {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<io::Result<Row>> {
        match self {
            Rows::Csv { columns, records, is_header } => {
                if std::mem::take(is_header) {
                    records.next()?.ok()?;
                }
                let record = match records.next()? {
                    Ok(record) => record,
                    Err(error) => return Some(Err(error.into())),
                };
                let number = record.position().map_or(0, csv::Position::line);
                Some(Ok(Row { number, keys: fields(columns, &record) }))
            }
            Rows::Lines { key, lines } => loop {
                let (number, line) = match lines.next()? {
                    Ok(line) => line,
                    Err(error) => return Some(Err(error)),
                };
                if line.as_ref().is_ok_and(|line| line.trim().is_empty()) {
                    continue;
                }
                let keys = line.and_then(|line| match key {
                    Some(key) => Ok(Map::from_iter([(key.clone(), line.trim().into())])),
                    None => serde_json::from_str(&line).map_err(|_| "it is no JSON object".to_owned()),
                });
                return Some(Ok(Row { number, keys }));
            },
        }
    }
}

fn fields(columns: &[String], record: &csv::ByteRecord) -> Result<Map<String, Value>, String> {
    if record.len() != columns.len() {
        return Err(format!("it has {} fields, and the header has {}", record.len(), columns.len()));
    }
    let text = |field| std::str::from_utf8(field).map_err(|_| "it is not UTF-8".to_owned());
    columns
        .iter()
        .zip(record)
        .map(|(column, field)| Ok((column.clone(), Value::from(text(field)?.trim()))))
        .collect()
}

fn skip_byte_order_mark(source: &mut impl BufRead) -> io::Result<()> {
    if source.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        source.consume(BYTE_ORDER_MARK.len());
    }
    Ok(())
}

/// Lines of text with their numbers; one that is not UTF-8, or too long, says so.
pub(super) struct TextLines<R> {
    source: R,
    number: u64,
}

impl<R: BufRead> TextLines<R> {
    fn new(source: R) -> TextLines<R> {
        TextLines { source, number: 0 }
    }

    fn read(&mut self) -> io::Result<Option<(u64, Result<String, String>)>> {
        if self.number == 0 {
            skip_byte_order_mark(&mut self.source)?;
        }
        let mut line = Vec::new();
        if self.source.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.len() as u64 == MAX_LINE && !line.ends_with(b"\n") {
            self.source.skip_until(b'\n')?;
            return Ok(Some((self.number, Err("it is longer than 1 MiB".to_owned()))));
        }
        Ok(Some((self.number, String::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned()))))
    }
}

impl<R: BufRead> Iterator for TextLines<R> {
    type Item = io::Result<(u64, Result<String, String>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
