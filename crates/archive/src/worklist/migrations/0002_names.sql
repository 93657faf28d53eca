-- Names in the form in which they are compared, one row a component group: see worklist/names.rs.
CREATE TABLE worklist_name (
    -- Whose name; the numbers are in worklist/names.rs.
    attribute INTEGER NOT NULL,
    name TEXT NOT NULL,
    item INTEGER NOT NULL REFERENCES worklist_item (id) ON DELETE CASCADE,
    PRIMARY KEY (attribute, name, item)
) WITHOUT ROWID;

CREATE INDEX worklist_name_by_item ON worklist_name (item);

-- Items from before this table get their names when the worklist is opened.
ALTER TABLE worklist_item ADD COLUMN has_names INTEGER NOT NULL DEFAULT 0;

CREATE INDEX worklist_item_without_names ON worklist_item (id) WHERE has_names = 0;
