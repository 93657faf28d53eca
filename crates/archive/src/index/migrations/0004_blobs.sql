-- The highest blob that was ever doomed: its number is not used again, though neither a row nor a file has it any more. An
-- index that is restored from before must not take another's file for that instance's.

CREATE TABLE highest_doomed (
    blob INTEGER NOT NULL
);

INSERT INTO highest_doomed (blob) SELECT COALESCE(MAX(blob), -1) FROM doomed_blob;

-- Blobs of instances that replaced others and have the row numbers of those: among rows in the order of their numbers,
-- they are not where their time of arrival would have them.

CREATE TABLE moved_blob (
    blob INTEGER PRIMARY KEY
);
