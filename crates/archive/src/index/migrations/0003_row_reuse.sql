-- How often a row number has become free that the next new row gets: SQLite gives out the highest and one. A search
-- that has noted row numbers holds what they are now against its keys again when this has changed; see find/mod.rs.

CREATE TABLE row_reuse (
    times INTEGER NOT NULL
);

INSERT INTO row_reuse (times) VALUES (0);

CREATE TRIGGER patient_number_is_free AFTER DELETE ON patient
WHEN NOT EXISTS (SELECT 1 FROM patient WHERE id > OLD.id)
BEGIN
    UPDATE row_reuse SET times = times + 1;
END;

CREATE TRIGGER study_number_is_free AFTER DELETE ON study
WHEN NOT EXISTS (SELECT 1 FROM study WHERE id > OLD.id)
BEGIN
    UPDATE row_reuse SET times = times + 1;
END;

CREATE TRIGGER series_number_is_free AFTER DELETE ON series
WHEN NOT EXISTS (SELECT 1 FROM series WHERE id > OLD.id)
BEGIN
    UPDATE row_reuse SET times = times + 1;
END;

CREATE TRIGGER instance_number_is_free AFTER DELETE ON instance
WHEN NOT EXISTS (SELECT 1 FROM instance WHERE id > OLD.id)
BEGIN
    UPDATE row_reuse SET times = times + 1;
END;
