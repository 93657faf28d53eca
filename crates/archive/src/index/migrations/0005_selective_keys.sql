-- Keys of PS3.4 C.6 that select few studies or patients, and went through a whole table. Neither has a row for an
-- instance, so that a store pays for a new patient and a new SOP class in a study alone.

-- Patient's Birth Date at PATIENT level; at the others it is that of the study.
CREATE INDEX patient_by_birth_date ON patient (patient_birth_date_search);

-- SOP Classes in Study, as there is one for Modalities in Study.
CREATE INDEX study_by_sop_class ON study_sop_class (sop_class, study);
