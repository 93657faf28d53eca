//! Whether the archive answers for an instance: in the index, of the class that was named, and its file there in its
//! whole length. The digest is not looked at: `check` does that, and a request may name terabytes.

use dicomet_proto::commitment::Reference;
use dicomet_proto::message::Status;
use rusqlite::OptionalExtension;

use crate::plan::{Location, location};
use crate::{Archive, Error};

impl Archive {
    /// Answers for an instance, or says with a Failure Reason why not: 0112 no such instance, 0119 of another class,
    /// 0110 damaged.
    ///
    /// # Errors
    /// A fault of the index or of the system, which says nothing about the instance.
    pub(super) fn judge(&self, reference: &Reference) -> Result<Result<(), Status>, Error> {
        let Some((sop_class, location)) = self.locate(reference)? else {
            return Ok(Err(Status::NO_SUCH_SOP_INSTANCE));
        };
        if sop_class != reference.sop_class.as_str() {
            return Ok(Err(Status::CLASS_INSTANCE_CONFLICT));
        }
        match self.is_there(location) {
            Ok(()) => Ok(Ok(())),
            // It may have been replaced between the two looks.
            Err(Error::Damaged(_)) => match self.locate(reference)? {
                Some((_, now)) if now.blob != location.blob => judged(self.is_there(now)),
                _ => Ok(Err(Status::PROCESSING_FAILURE)),
            },
            Err(error) => Err(error),
        }
    }

    fn locate(&self, reference: &Reference) -> Result<Option<(String, Location)>, Error> {
        self.shared.readers.with(|index| {
            let mut statement = index.prepare_cached(
                "SELECT sop_class_uid, blob, data_set_offset, data_set_length, data_set_digest
                 FROM instance
                 WHERE sop_instance_uid = ?1",
            )?;
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, location(row, 1)?));
            Ok(statement.query_row([reference.sop_instance.as_str()], row).optional()?)
        })
    }
}

fn judged(looked: Result<(), Error>) -> Result<Result<(), Status>, Error> {
    match looked {
        Ok(()) => Ok(Ok(())),
        Err(Error::Damaged(_)) => Ok(Err(Status::PROCESSING_FAILURE)),
        Err(error) => Err(error),
    }
}
