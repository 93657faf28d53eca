//! The three forms of a list, each read as rows of keyword and value.
//!
//! Which of them it is, its first line tells: `{` begins JSON lines, a header of keywords CSV. Of comma, semicolon and
//! tab the one that the header has more of separates. What is neither is never guessed.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
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
            return match (is_keyword(key), first.trim() == key) {
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
    let columns = fields(line, delimiter).map_err(ListError::Header)?;
    if let Some(place) = columns.iter().position(|name| !is_keyword(name)) {
        let name = columns[place].clone();
        if columns.iter().any(|name| is_keyword(name)) {
            return Err(ListError::UnknownColumn { column: place + 1, name });
        }
        let is_uid = name.contains('.') && Uid::new(name.as_str()).is_ok();
        return Err(ListError::NoHeader { first: name, is_single: columns.len() == 1, is_uid });
    }
    if let Some(place) = (1..columns.len()).find(|place| columns[..*place].contains(&columns[*place])) {
        return Err(ListError::RepeatedColumn { column: place + 1, name: columns[place].clone() });
    }
    Ok(Format::Csv { delimiter, columns })
}

/// Keywords alone: a tag of eight digits may be a date or an accession number. A path into sequences is known by its
/// last step; the whole is checked with every line.
fn is_keyword(name: &str) -> bool {
    let is_tag = |step: &str| step.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.rsplit('.').next().is_some_and(|step| !is_tag(step) && dictionary::tag_of(step).is_some())
}

/// The fields of a line of CSV (RFC 4180, but that no field goes over several lines).
fn fields(line: &str, delimiter: u8) -> Result<Vec<String>, String> {
    // Those within quotes are doubled.
    if line.bytes().filter(|byte| *byte == b'"').count() % 2 == 1 {
        return Err("it has a quotation mark without its partner".to_owned());
    }
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(line.as_bytes());
    let record = reader.records().next().and_then(Result::ok).unwrap_or_default();
    Ok(record.iter().map(|field| field.trim().to_owned()).collect())
}

/// The members of a JSON object, each key once; of several, `Map` would keep the last.
fn object(line: &str) -> Result<Map<String, Value>, String> {
    let object: Object = serde_json::from_str(line).map_err(|_| "it is no JSON object".to_owned())?;
    match object.has_repeated {
        true => Err("it has a key twice".to_owned()),
        false => Ok(object.members),
    }
}

#[derive(Default)]
struct Object {
    members: Map<String, Value>,
    has_repeated: bool,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut object = Object::default();
        while let Some((key, value)) = map.next_entry()? {
            object.has_repeated |= object.members.insert(key, value).is_some();
        }
        Ok(object)
    }
}

/// Rows of a list from its beginning.
pub(super) struct Rows {
    format: Format,
    lines: TextLines<BufReader<File>>,
    /// The header is still to come.
    is_before_header: bool,
}

impl Rows {
    pub(super) fn new(format: Format, source: BufReader<File>) -> Rows {
        let is_before_header = matches!(format, Format::Csv { .. });
        Rows { format, lines: TextLines::new(source), is_before_header }
    }

    fn keys(&self, line: &str) -> Result<Map<String, Value>, String> {
        match &self.format {
            Format::Values { key } => Ok(Map::from_iter([(key.clone(), line.trim().into())])),
            Format::JsonLines => object(line),
            Format::Csv { delimiter, columns } => {
                let fields = fields(line, *delimiter)?;
                if fields.len() != columns.len() {
                    return Err(format!(
                        "it has {} fields, and the header has {}",
                        fields.len(),
                        columns.len()
                    ));
                }
                Ok(columns.iter().cloned().zip(fields.into_iter().map(Value::from)).collect())
            }
        }
    }
}

impl Iterator for Rows {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<io::Result<Row>> {
        loop {
            let (number, line) = match self.lines.next()? {
                Ok(line) => line,
                Err(error) => return Some(Err(error)),
            };
            let is_blank = line.as_ref().is_ok_and(|line| line.trim().is_empty());
            // The header is the first line that is not blank.
            if is_blank || std::mem::take(&mut self.is_before_header) {
                continue;
            }
            return Some(Ok(Row { number, keys: line.and_then(|line| self.keys(&line)) }));
        }
    }
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
        Ok(Some((self.number, text(line))))
    }
}

/// A line as text, without its end.
fn text(mut line: Vec<u8>) -> Result<String, String> {
    for end in [b'\n', b'\r'] {
        line.pop_if(|last| *last == end);
    }
    match String::from_utf8(line) {
        Err(_) => Err("it is not UTF-8".to_owned()),
        // Several lines, as old systems end them, or a value that is cut there when it is read.
        Ok(line) if line.contains('\r') => {
            Err("it has a carriage return in it; lines end with LF or CRLF".to_owned())
        }
        Ok(line) => Ok(line),
    }
}

impl<R: BufRead> Iterator for TextLines<R> {
    type Item = io::Result<(u64, Result<String, String>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
