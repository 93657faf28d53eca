//! A list of queries: CSV with a header of DICOM keywords, JSON lines of keyword and value, or values of one key.
//!
//! The source is read once, into a temporary file without a name, so that standard input will do and a list that is
//! edited meanwhile changes nothing. All lines are checked before the first is worked off, and then read again one by
//! one: what is held in memory is a line.

mod rows;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use dicomet_proto::query::Query;
use serde_json::{Map, Value};

use rows::{Format, Row, Rows};

/// Bad lines that are told; more than these are counted.
pub const MAX_BAD_LINES: usize = 20;

/// A list of queries, checked.
#[derive(Debug)]
pub struct List {
    file: File,
    format: Format,
    base: Query,
    lines: u64,
}

/// A line of a list, as a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: u64,
    /// The keys as they were written.
    pub keys: Map<String, Value>,
    /// What to ask for.
    pub query: Query,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number in the file, from 1.
    pub number: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It cannot be read, or not be kept for the time.
    #[error("the list cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// There is no line in it.
    #[error("the list is empty")]
    Empty,
    /// No DICOM keyword in its first line.
    #[error("the first line of the list is no header: '{first}' is no keyword of the DICOM dictionary")]
    NoHeader {
        /// What stands there first.
        first: String,
        /// Whether the line has one value only.
        is_single: bool,
        /// Whether it looks like a UID.
        is_uid: bool,
    },
    /// A column that is not known, among others that are.
    #[error("column {column} of the list, '{name}', is no keyword of the DICOM dictionary")]
    UnknownColumn {
        /// From 1.
        column: usize,
        /// What stands there.
        name: String,
    },
    /// The first line, which is to be the header, cannot be read as one.
    #[error("the first line of the list is no header: {0}")]
    Header(String),
    /// A column stands there twice, so that one of two values would not be asked for.
    #[error("column {column} of the list, '{name}', stands there twice")]
    RepeatedColumn {
        /// From 1.
        column: usize,
        /// What stands there.
        name: String,
    },
    /// A list of values of one key begins with the name of that key.
    #[error("the first line of the list is '{0}': that is a header, not a value")]
    HeaderIsNoValue(String),
    /// Lines that are no queries.
    #[error("{} of the list cannot be used", count(.bad.len() as u64 + .more))]
    BadLines {
        /// The first of them, at most [`MAX_BAD_LINES`].
        bad: Vec<BadLine>,
        /// How many more there are.
        more: u64,
    },
}

fn count(lines: u64) -> String {
    if lines == 1 { "1 line".to_owned() } else { format!("{lines} lines") }
}

impl List {
    /// Reads and checks a list. Each line's keys are added to those of `base`, which gives the model and the level;
    /// with `key`, each line is a value of that key and there is no header.
    ///
    /// # Errors
    /// [`ListError`]; all bad lines at once.
    pub fn read(mut source: impl Read, base: Query, key: Option<&str>) -> Result<List, ListError> {
        let mut file = tempfile::tempfile()?;
        io::copy(&mut source, &mut file)?;
        file.seek(SeekFrom::Start(0))?;
        let format = Format::of(&mut BufReader::new(&file), key)?;
        let mut list = List { file, format, base, lines: 0 };
        let (mut bad, mut more, mut good) = (Vec::new(), 0, 0);
        for line in list.lines()? {
            match line? {
                Ok(_) => good += 1,
                Err(line) if bad.len() < MAX_BAD_LINES => bad.push(line),
                Err(_) => more += 1,
            }
        }
        match (bad.is_empty(), good) {
            (false, _) => return Err(ListError::BadLines { bad, more }),
            (true, 0) => return Err(ListError::Empty),
            (true, good) => list.lines = good,
        }
        Ok(list)
    }

    /// What every line has: model, level, and keys that hold for all.
    pub fn base(&self) -> &Query {
        &self.base
    }

    /// How many queries there are.
    pub fn len(&self) -> u64 {
        self.lines
    }

    /// Whether there is none; [`List::read`] gives no such list.
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// The lines from the first on. One reader at a time: they share the place in the file.
    ///
    /// # Errors
    /// What the system says.
    pub fn lines(&self) -> io::Result<Lines> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Lines { rows: Rows::new(self.format.clone(), BufReader::new(file)), base: self.base.clone() })
    }
}

/// Reads lines one by one.
pub struct Lines {
    rows: Rows,
    base: Query,
}

impl Iterator for Lines {
    type Item = io::Result<Result<Line, BadLine>>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = match self.rows.next()? {
            Ok(row) => row,
            Err(error) => return Some(Err(error)),
        };
        let Row { number, keys } = row;
        Some(Ok(keys.and_then(|keys| self.line(number, keys)).map_err(|reason| BadLine { number, reason })))
    }
}

impl Lines {
    fn line(&self, number: u64, keys: Map<String, Value>) -> Result<Line, String> {
        let mut query = self.base.clone();
        let mut has_value = false;
        for (keyword, value) in &keys {
            let text = text_of(value).map_err(|reason| format!("{keyword} {reason}"))?;
            // An empty field asks for nothing: what is not known of a study does not narrow it.
            if text.is_empty() {
                continue;
            }
            has_value = true;
            query = query.key(&format!("{keyword}={text}")).map_err(|error| error.to_string())?;
        }
        match has_value {
            true => Ok(Line { number, keys, query }),
            false => Err("no key has a value, so everything on the peer would match".to_owned()),
        }
    }
}

/// A value as a person writes it; several are joined as DICOM joins them.
fn text_of(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) if number.is_f64() => {
            // How it was written nobody knows any more: 1.20 is 1.2, and of 20 digits some are gone.
            Err("is a number with a fraction, or a long one: write it as a text, in quotation marks"
                .to_owned())
        }
        Value::Number(number) => Ok(number.to_string()),
        Value::Null => Ok(String::new()),
        Value::Array(values) if values.iter().all(|value| !value.is_array()) => {
            values.iter().map(text_of).collect::<Result<Vec<_>, _>>().map(|values| values.join("\\"))
        }
        _ => Err("is neither a text nor a number nor a list of these".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
