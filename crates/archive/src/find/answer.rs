//! A row as the identifier of a C-FIND response (PS3.4 C.4.1.1.3.2): from its columns, and from the header for what has none.

use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::query::{Attribute, MatchingKey};
use rusqlite::Row;

use super::headers::Headers;
use crate::Error;
use crate::index::attributes::{Kind, tags};
use crate::index::condition::{Returned, Selection};
use crate::index::header::Read;

/// A match, and whether something of it could not be read from its file.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) identifier: DataSet,
    pub(super) is_partial: bool,
}

/// The answer of a row, unless a filter holds it back.
pub(super) fn answer(
    row: &Row<'_>,
    selection: &Selection,
    headers: &mut Headers<'_>,
) -> Result<Option<Answer>, Error> {
    let Read { data_set: header, in_file: unread } = if selection.needed.is_empty() {
        Read::default()
    } else {
        headers.read(row.get(0)?, &selection.needed)?
    };
    // A key that this match cannot be held against holds it not back, and is said.
    let is_unread = |key: &MatchingKey| unread.iter().any(|tag| key.attribute.may_need(*tag));
    if !selection.filters.iter().all(|filter| is_unread(filter) || filter.matches(&header)) {
        return Ok(None);
    }
    let mut answer = DataSet::new();
    answer.set_text(tags::QUERY_RETRIEVE_LEVEL, selection.level.as_str());
    let mut column = 0;
    for returned in &selection.returned {
        match returned {
            Returned::Column(tag, attribute) => {
                column += 1;
                if attribute.kind == Kind::Count {
                    answer.set_integer(*tag, row.get(column)?);
                } else {
                    set_text_or_empty(&mut answer, *tag, row.get_ref(column)?.as_str().unwrap_or_default());
                }
            }
            Returned::Header(attribute, wanted) => {
                attribute.answer(&header, &mut answer);
                if let Some(items) = answer.items(attribute.tag).filter(|_| !wanted.is_empty()) {
                    let items = items.iter().map(|item| only(item, wanted)).collect();
                    answer.set_items(attribute.tag, items);
                }
            }
            Returned::Constant(tag, text) => answer.set_text(*tag, text),
            Returned::Empty(attribute) => attribute.answer(&DataSet::new(), &mut answer),
        }
    }
    Ok(Some(Answer { identifier: answer, is_partial: !unread.is_empty() }))
}

fn set_text_or_empty(answer: &mut DataSet, tag: Tag, text: &str) {
    if text.is_empty() {
        answer.set_empty(tag);
    } else {
        answer.set_text(tag, text);
    }
}

/// An item with the requested attributes, those that it lacks empty (PS3.4 C.2.2.2.6).
fn only(item: &DataSet, wanted: &[Attribute]) -> DataSet {
    let mut answer = DataSet::new();
    for attribute in wanted {
        attribute.answer(item, &mut answer);
    }
    answer
}
