-- Parts of person names, for patterns that begin with a wildcard. Each different name stands once in name_text, and
-- its groups of three characters in name_part, which has neither positions nor the text: what it finds is held
-- against the pattern itself.
--
-- Names go into name_part a thousand at a time, which costs a store next to nothing; the last ones, behind a
-- multiple of 1024, are looked through one by one. See index/name_parts.rs.

CREATE TABLE name_text (
    -- Never used again: name_part goes by it.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
);

CREATE VIRTUAL TABLE name_part USING fts5 (
    name,
    content = '',
    contentless_delete = 1,
    detail = none,
    tokenize = 'trigram case_sensitive 1'
);

CREATE TRIGGER name_parts_due AFTER INSERT ON name_text
WHEN NEW.id % 1024 = 0
BEGIN
    INSERT INTO name_part (rowid, name)
    SELECT id, name
    FROM name_text
    WHERE id > NEW.id - 1024 AND id <= NEW.id;
END;

CREATE TRIGGER name_is_new AFTER INSERT ON person_name
WHEN NOT EXISTS (SELECT 1 FROM name_text WHERE name = NEW.name)
BEGIN
    INSERT INTO name_text (name) VALUES (NEW.name);
END;

CREATE TRIGGER name_is_nobodys AFTER DELETE ON person_name
WHEN NOT EXISTS (SELECT 1 FROM person_name WHERE attribute IN (1, 2, 3) AND name = OLD.name)
BEGIN
    DELETE FROM name_part WHERE rowid = (SELECT id FROM name_text WHERE name = OLD.name);
    DELETE FROM name_text WHERE name = OLD.name;
END;

INSERT INTO name_text (name)
SELECT DISTINCT name
FROM person_name;
