//! A table that is written while its rows come: its columns are those in which something stands in the first rows, and as
//! wide as these need. No more than the first rows are held, however many come.

use std::io::{self, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};

/// Rows that are held before the first is written: more than a person reads, so that most tables are made of all rows.
const MAX_HELD: usize = 1000;

/// The same in bytes of text.
const MAX_HELD_BYTES: usize = 1024 * 1024;

/// Characters of a value that are shown: nobody reads a longer line, and tables count their width in 16 bits.
const MAX_SHOWN: usize = 1000;

/// Columns of padding beside what stands in a cell.
const PADDING: u16 = 2;

/// A table that is written while its rows come.
pub(super) struct Rows {
    headers: Vec<String>,
    held: Vec<Vec<String>>,
    held_bytes: usize,
    /// The columns that have a header by now, with their width.
    shown: Vec<(usize, u16)>,
}

impl Rows {
    /// Begins, with the headers of all columns.
    pub(super) fn new(headers: Vec<String>) -> Rows {
        Rows { headers, held: Vec::new(), held_bytes: 0, shown: Vec::new() }
    }

    /// Adds a row: one text a column.
    pub(super) fn add(&mut self, mut row: Vec<String>, out: &mut impl Write) -> io::Result<()> {
        row.iter_mut().for_each(shorten);
        self.held_bytes += row.iter().map(String::len).sum::<usize>();
        self.held.push(row);
        let is_begun = !self.shown.is_empty();
        if is_begun || self.held.len() == MAX_HELD || self.held_bytes > MAX_HELD_BYTES {
            self.write(out)?;
        }
        Ok(())
    }

    /// Writes the rows that are held, behind a header where a column has none yet.
    pub(super) fn write(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let is_shown = |column: &usize| self.shown.iter().any(|(shown, _)| shown == column);
        let is_used = |column: &usize| self.held.iter().any(|row| !row[*column].is_empty());
        let columns: Vec<usize> =
            (0..self.headers.len()).filter(|column| is_shown(column) || is_used(column)).collect();
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        let has_news = columns.len() > self.shown.len();
        if has_news {
            table.set_header(columns.iter().map(|&column| self.headers[column].as_str()));
        }
        for row in self.held.drain(..) {
            table.add_row(columns.iter().map(|&column| row[column].as_str()));
        }
        self.held_bytes = 0;
        for (column, shown) in table.column_iter_mut().zip(&columns) {
            if let Some((_, width)) = self.shown.iter().find(|(column, _)| column == shown) {
                let width = Width::Fixed(width.saturating_add(PADDING));
                column.set_constraint(ColumnConstraint::LowerBoundary(width));
            }
        }
        if has_news {
            let widths = table.column_max_content_widths();
            let before = std::mem::take(&mut self.shown);
            // A column stays as wide as the rows above have made it.
            let width_before =
                |column| before.iter().find(|(shown, _)| *shown == column).map_or(0, |(_, width)| *width);
            self.shown = columns
                .into_iter()
                .zip(widths)
                .map(|(column, width)| (column, width.max(width_before(column))))
                .collect();
        }
        writeln!(out, "{table}")?;
        out.flush()
    }
}

/// Cuts a text that is longer than is shown, and says so.
fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(MAX_SHOWN) {
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(texts: [&str; 3]) -> Vec<String> {
        texts.map(str::to_owned).to_vec()
    }

    fn rows() -> Rows {
        Rows::new(row(["Name", "ID", "Date"]))
    }

    #[test]
    fn no_more_than_the_first_rows_are_held_and_those_behind_them_stand_under_the_same_columns() {
        let (mut rows, mut out) = (rows(), Vec::new());
        for number in 0..MAX_HELD - 1 {
            rows.add(row(["A name of some length", "", &number.to_string()]), &mut out).unwrap();
        }
        assert!(out.is_empty());
        for _ in 0..2 {
            rows.add(row(["B", "", "x"]), &mut out).unwrap();
            assert!(rows.held.is_empty());
        }
        rows.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + MAX_HELD + 1);
        assert!(lines[0].contains("Date") && !lines[0].contains("ID"));
        assert_eq!(lines[0].find("Date"), lines[MAX_HELD + 1].find('x'));
    }

    #[test]
    fn a_column_in_which_something_stands_late_gets_its_header_then() {
        let (mut rows, mut out) = (rows(), Vec::new());
        for _ in 0..MAX_HELD {
            rows.add(row(["A name of some length", "", "1"]), &mut out).unwrap();
        }
        rows.add(row(["B", "PAT004", "2"]), &mut out).unwrap();
        rows.add(row(["C", "", "3"]), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let late: Vec<&str> = text.lines().skip(1 + MAX_HELD).collect();
        assert_eq!(late.len(), 3);
        assert!(late[0].contains("ID") && late[1].contains("PAT004"));
        assert_eq!(late[0].find("Date"), late[2].find('3'));
    }

    #[test]
    fn long_values_are_cut_and_not_held_by_the_thousand() {
        let (mut rows, mut out) = (rows(), Vec::new());
        let long = "ü".repeat(100_000);
        for _ in 0..MAX_HELD {
            rows.add(row([&long, &long, &long]), &mut out).unwrap();
            assert!(rows.held_bytes <= MAX_HELD_BYTES);
        }
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().next().unwrap().chars().count() < 4 * MAX_SHOWN);
        assert!(text.contains("ü…"));
    }
}
