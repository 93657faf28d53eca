-- The items of the modality worklist (PS3.4 K.6), one a row.
--
-- The columns narrow a search; what an item says is in `item`, and that is what is matched and returned. Columns
-- ..._search hold dates and times in the form in which they are compared, the others the value without padding,
-- '' where there is none.

CREATE TABLE worklist_item (
    id INTEGER PRIMARY KEY,
    study_instance_uid TEXT NOT NULL,
    scheduled_procedure_step_id TEXT NOT NULL,
    patient_id TEXT NOT NULL,
    accession_number TEXT NOT NULL,
    requested_procedure_id TEXT NOT NULL,
    modality TEXT NOT NULL,
    start_date_search TEXT NOT NULL,
    start_time_search TEXT NOT NULL,
    -- Explicit VR Little Endian.
    item BLOB NOT NULL,
    -- The same step put in again takes the place of what was there.
    UNIQUE (study_instance_uid, scheduled_procedure_step_id)
);

CREATE INDEX worklist_item_by_patient_id ON worklist_item (patient_id);
CREATE INDEX worklist_item_by_accession_number ON worklist_item (accession_number);
CREATE INDEX worklist_item_by_requested_procedure_id ON worklist_item (requested_procedure_id);
CREATE INDEX worklist_item_by_start ON worklist_item (start_date_search, start_time_search);

-- A step may be scheduled for any of several stations.
CREATE TABLE worklist_station (
    ae_title TEXT NOT NULL,
    item INTEGER NOT NULL REFERENCES worklist_item (id) ON DELETE CASCADE,
    PRIMARY KEY (ae_title, item)
) WITHOUT ROWID;

CREATE INDEX worklist_station_by_item ON worklist_station (item);
