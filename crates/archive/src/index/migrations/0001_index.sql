-- The index of an archive: what C-FIND matches and returns, and where each instance lies.
--
-- Text columns hold values as received (decoded, padding removed), '' where there is none. A column ..._search
-- holds the same value in the form in which it is compared; see index/normalise.rs.
-- Counters and value lists are kept at write, so that an answer never has to count.

CREATE TABLE patient (
    id INTEGER PRIMARY KEY,
    patient_id TEXT NOT NULL,
    issuer_of_patient_id TEXT NOT NULL,
    -- A patient without a Patient ID is nobody else's patient: it is told apart by its study.
    lone_study TEXT NOT NULL DEFAULT '',
    patient_name TEXT NOT NULL,
    patient_birth_date TEXT NOT NULL,
    patient_birth_date_search TEXT NOT NULL,
    patient_sex TEXT NOT NULL,
    UNIQUE (patient_id, issuer_of_patient_id, lone_study)
);

CREATE TABLE study (
    id INTEGER PRIMARY KEY,
    patient INTEGER NOT NULL REFERENCES patient (id),
    study_instance_uid TEXT NOT NULL,
    -- Bits: 1, the same UID is in use under another patient; 2, instances disagree about the patient.
    conflict INTEGER NOT NULL DEFAULT 0,
    series INTEGER NOT NULL DEFAULT 0,
    instances INTEGER NOT NULL DEFAULT 0,
    -- Patient attributes as this study has them.
    patient_id TEXT NOT NULL,
    issuer_of_patient_id TEXT NOT NULL,
    patient_name TEXT NOT NULL,
    patient_birth_date TEXT NOT NULL,
    patient_birth_date_search TEXT NOT NULL,
    patient_sex TEXT NOT NULL,
    study_date TEXT NOT NULL,
    study_date_search TEXT NOT NULL,
    study_time TEXT NOT NULL,
    study_time_search TEXT NOT NULL,
    accession_number TEXT NOT NULL,
    study_id TEXT NOT NULL,
    study_description TEXT NOT NULL,
    referring_physician_name TEXT NOT NULL,
    -- The values of study_modality and study_sop_class, joined by a backslash.
    modalities TEXT NOT NULL DEFAULT '',
    sop_classes TEXT NOT NULL DEFAULT '',
    UNIQUE (study_instance_uid, patient)
);

CREATE INDEX study_by_patient ON study (patient);
CREATE INDEX study_by_patient_id ON study (patient_id);
CREATE INDEX study_by_accession_number ON study (accession_number);
CREATE INDEX study_by_date ON study (study_date_search);
CREATE INDEX study_by_birth_date ON study (patient_birth_date_search);
CREATE INDEX study_by_study_id ON study (study_id);

CREATE TABLE study_modality (
    study INTEGER NOT NULL REFERENCES study (id),
    modality TEXT NOT NULL,
    PRIMARY KEY (study, modality)
) WITHOUT ROWID;

CREATE INDEX study_by_modality ON study_modality (modality, study);

CREATE TABLE study_sop_class (
    study INTEGER NOT NULL REFERENCES study (id),
    sop_class TEXT NOT NULL,
    PRIMARY KEY (study, sop_class)
) WITHOUT ROWID;

CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    study INTEGER NOT NULL REFERENCES study (id),
    series_instance_uid TEXT NOT NULL,
    -- Bits: 1, the same UID is in use in another study.
    conflict INTEGER NOT NULL DEFAULT 0,
    instances INTEGER NOT NULL DEFAULT 0,
    modality TEXT NOT NULL,
    series_number TEXT NOT NULL,
    series_number_search TEXT NOT NULL,
    series_description TEXT NOT NULL,
    series_date TEXT NOT NULL,
    series_date_search TEXT NOT NULL,
    series_time TEXT NOT NULL,
    series_time_search TEXT NOT NULL,
    body_part_examined TEXT NOT NULL,
    protocol_name TEXT NOT NULL,
    station_name TEXT NOT NULL,
    institution_name TEXT NOT NULL,
    UNIQUE (study, series_instance_uid)
);

CREATE INDEX series_by_uid ON series (series_instance_uid);

CREATE TABLE instance (
    id INTEGER PRIMARY KEY,
    series INTEGER NOT NULL REFERENCES series (id),
    sop_instance_uid TEXT NOT NULL UNIQUE,
    sop_class_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL,
    instance_number TEXT NOT NULL,
    instance_number_search TEXT NOT NULL,
    blob INTEGER NOT NULL,
    -- Of the data set within the file, and of its bytes as they came.
    data_set_offset INTEGER NOT NULL,
    data_set_length INTEGER NOT NULL,
    data_set_digest BLOB NOT NULL,
    -- Seconds since 1970, for people; nothing is ordered by it.
    received_at INTEGER NOT NULL,
    calling_ae_title TEXT NOT NULL
);

CREATE INDEX instance_by_series ON instance (series);

-- Person names in the form in which they are compared: one row a component group of a value.
CREATE TABLE person_name (
    -- Whose name in which table; the numbers are in index/attributes.rs.
    attribute INTEGER NOT NULL,
    name TEXT NOT NULL,
    owner INTEGER NOT NULL,
    -- 0 alphabetic, 1 ideographic, 2 phonetic.
    component_group INTEGER NOT NULL,
    PRIMARY KEY (attribute, name, owner, component_group)
) WITHOUT ROWID;

CREATE INDEX person_name_by_owner ON person_name (attribute, owner);

-- What else the headers say, for attributes without a column; the form is in index/header.rs.
CREATE TABLE patient_header (
    patient INTEGER PRIMARY KEY REFERENCES patient (id),
    header BLOB NOT NULL
);

CREATE TABLE study_header (
    study INTEGER PRIMARY KEY REFERENCES study (id),
    header BLOB NOT NULL
);

CREATE TABLE series_header (
    series INTEGER PRIMARY KEY REFERENCES series (id),
    header BLOB NOT NULL,
    -- The instance attributes of the first instance: the others keep only how they differ.
    common BLOB NOT NULL
);

CREATE TABLE instance_header (
    instance INTEGER PRIMARY KEY REFERENCES instance (id),
    difference BLOB NOT NULL
);

-- Blobs that no instance needs any more, to be taken away once this is durable.
CREATE TABLE doomed_blob (
    blob INTEGER PRIMARY KEY
);
