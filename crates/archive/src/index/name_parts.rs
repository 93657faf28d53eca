//! Names that contain something, found without going through all of them.
//!
//! A pattern such as `*nov*` has no beginning that an index of names could serve. Any part of it without wildcards
//! and of at least three characters gives groups of three that a matching name has to have: `name_part` has the names
//! of each group (migrations/0002_names.sql). Groups side by side are enough: one that shares two characters with another
//! leaves out few names more, and going through its names costs as much. The names found are candidates; the pattern, as
//! GLOB, decides.

use dicomet_proto::query::Pattern;
use dicomet_proto::query::pattern::Piece;

/// Groups of more than this make the search no narrower.
const MAX_GROUPS: usize = 32;
const GROUP: usize = 3;

/// That a row of `person_name` is of a name that matches. Parameters: the groups, the pattern for GLOB, and again.
pub(super) const CONDITION: &str = "name IN (
    SELECT name FROM name_text WHERE id IN (SELECT rowid FROM name_part WHERE name_part MATCH ?) AND name GLOB ?
    UNION ALL
    SELECT name FROM name_text WHERE id > (SELECT MAX(id) FROM name_text) / 1024 * 1024 AND name GLOB ?)";

/// The groups that a name which matches has to have, as FTS5 asks for them; nothing when the names are better sought
/// by their beginning, or the pattern has no part that is long enough.
pub(super) fn groups_of(pattern: &Pattern) -> Option<String> {
    if pattern.literal().is_some() || pattern.prefix().chars().count() >= GROUP {
        return None;
    }
    let groups: Vec<String> = groups(pattern).take(MAX_GROUPS).collect();
    (!groups.is_empty()).then(|| groups.join(" AND "))
}

/// Each as a string of FTS5: one beside the other, and what is left with the end of the last.
fn groups(pattern: &Pattern) -> impl Iterator<Item = String> + '_ {
    pattern.pieces().iter().flat_map(|piece| {
        let characters: Vec<char> = match piece {
            Piece::Literal(text) => text.chars().collect(),
            Piece::Any | Piece::One => Vec::new(),
        };
        let quoted =
            |group: &[char]| format!("\"{}\"", group.iter().collect::<String>().replace('"', "\"\""));
        // A string of FTS5 ends at a NUL.
        let (beside, last) = (characters.chunks_exact(GROUP), characters.windows(GROUP).next_back());
        let last = last.filter(|_| !beside.remainder().is_empty());
        let groups = beside.chain(last).filter(|group| !group.contains(&'\0'));
        groups.map(quoted).collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, params_from_iter};

    use super::*;
    use crate::Settings;
    use crate::index::schema::open_for_writing;

    fn asked(pattern: &str) -> Option<String> {
        groups_of(&Pattern::new(pattern))
    }

    #[test]
    fn a_pattern_is_sought_by_the_groups_of_three_in_its_literal_parts() {
        assert_eq!(asked("*nova*k?y^an*").as_deref(), Some(r#""nov" AND "ova" AND "y^a" AND "^an""#));
        assert_eq!(asked("*novako*").as_deref(), Some(r#""nov" AND "ako""#));
        assert_eq!(asked("*novakov*").as_deref(), Some(r#""nov" AND "ako" AND "kov""#));
        assert_eq!(asked(r#"*"a"*"#).as_deref(), Some(r#""""a""""#));
        assert_eq!(asked("*nov\0ova*").as_deref(), Some(r#""nov" AND "ova""#));
    }

    #[test]
    fn a_known_beginning_or_short_parts_are_left_to_others() {
        for pattern in ["nov*ak^*", "novak", "*no*"] {
            assert_eq!(asked(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn what_is_found_is_what_a_look_at_every_name_finds_also_after_some_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let index = open_for_writing(&folder.path().join("index.sqlite"), &Settings::default()).unwrap();
        index
            .execute_batch(
                "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 5000)
                 INSERT INTO person_name (attribute, name, owner, component_group)
                 SELECT 1 + n % 2, 'novák' || n / 2 || '^ána' || n % 7, n, 0 FROM number",
            )
            .unwrap();
        compare(&index);
        index.execute_batch("DELETE FROM person_name WHERE owner % 3 <> 0 OR owner > 4000").unwrap();
        compare(&index);
        index.execute_batch("INSERT INTO person_name VALUES (3, 'xnovák77', 1, 0)").unwrap();
        compare(&index);
    }

    fn compare(index: &Connection) {
        let all = names(index, "1", &[]);
        for pattern in ["*ák77*", "*0^ána?", "*ák1?3^*", "?ová*44^ána*", "*2499*", "*nobody*"] {
            let (glob, pattern) = (pattern.to_owned(), Pattern::new(pattern));
            let parameters = [groups_of(&pattern).unwrap(), glob.clone(), glob];
            let found = names(index, CONDITION, &parameters);
            let expected: Vec<_> = all.iter().filter(|name| pattern.matches(name)).cloned().collect();
            assert_eq!(found, expected, "{pattern:?}");
        }
    }

    fn names(index: &Connection, condition: &str, parameters: &[String]) -> Vec<String> {
        let sql = format!("SELECT name FROM person_name WHERE {condition} ORDER BY attribute, name, owner");
        let mut statement = index.prepare(&sql).unwrap();
        let rows = statement.query_map(params_from_iter(parameters), |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }
}
