-- Requests for storage commitment (PS3.4 Annex J), one a row: those whose report is due, and the Transaction UIDs of
-- those that are settled, so that none is used twice.

CREATE TABLE commitment (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Who asked, and by which AE title it called us.
    calling_ae_title TEXT NOT NULL,
    called_ae_title TEXT NOT NULL,
    transaction_uid TEXT NOT NULL,
    -- The Transaction UID was in use when this came.
    is_duplicate INTEGER NOT NULL,
    -- How often the report could not be delivered.
    tries INTEGER NOT NULL DEFAULT 0,
    -- The Action Information in Explicit VR Little Endian; NULL once it is settled.
    request BLOB
);

CREATE INDEX commitment_by_transaction ON commitment (transaction_uid, calling_ae_title);

-- Those that are due, and how much of them there is.
CREATE INDEX commitment_due ON commitment (id, length(request)) WHERE request IS NOT NULL;
