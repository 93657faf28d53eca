//! Whether the archive answers for an instance: in the index, of the class that was named, and its file what was stored,
//! byte for byte. For who asks may delete its own copy then. It is read for that, unless it was within a day.

use dicomet_proto::commitment::Reference;
use dicomet_proto::message::Status;
use rusqlite::OptionalExtension;

use crate::plan::{Location, location};
use crate::{Archive, Error, Stop};

impl Archive {
    /// Answers for an instance, or says with a Failure Reason why not: 0112 no such instance, 0119 of another class,
    /// 0110 damaged, or not to be read.
    ///
    /// # Errors
    /// [`Error::Stopped`], [`Error::Unsettled`], or a fault of the index or of the system, which says nothing about the instance.
    pub(super) fn judge(&self, reference: &Reference, stop: &Stop) -> Result<Result<(), Status>, Error> {
        if !self.shared.writer.settle_if_due() {
            return Err(Error::Unsettled);
        }
        let Some((sop_class, location)) = self.locate(reference)? else {
            return Ok(Err(Status::NO_SUCH_SOP_INSTANCE));
        };
        if sop_class != reference.sop_class.as_str() {
            return Ok(Err(Status::CLASS_INSTANCE_CONFLICT));
        }
        let proved = self.prove(location, stop);
        if !matches!(proved, Err(Error::Damaged(_))) {
            return judged(location, proved);
        }
        // It may have been replaced between the two looks.
        match self.locate(reference)? {
            Some((_, now)) if now.blob != location.blob => judged(now, self.prove(now, stop)),
            _ => judged(location, proved),
        }
    }

    fn prove(&self, location: Location, stop: &Stop) -> Result<(), Error> {
        self.open_at(location)?.prove(stop).map(drop)
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

fn judged(location: Location, proved: Result<(), Error>) -> Result<Result<(), Status>, Error> {
    match proved {
        Ok(()) => Ok(Ok(())),
        Err(error @ (Error::Damaged(_) | Error::Io { .. })) => {
            tracing::error!(blob = location.blob.0, %error, "the archive does not answer for an instance");
            Ok(Err(Status::PROCESSING_FAILURE))
        }
        Err(error) => Err(error),
    }
}
