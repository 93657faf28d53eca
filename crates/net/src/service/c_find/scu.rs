//! C-FIND as SCU: PS3.4 C.4.1, PS3.7 9.1.2.

use dicomet_proto::dataset::DataSet;
use dicomet_proto::message::Status;
use dicomet_proto::query::Query;

use crate::{Association, Error};

/// A C-FIND that goes on: take the matches one by one.
#[allow(dead_code)]
pub struct Find<'a> {
    association: &'a mut Association,
}

/// How a C-FIND ended.
#[derive(Debug, Clone, PartialEq)]
#[allow(dead_code)]
pub struct FindEnd {
    /// The final status.
    pub status: Status,
    /// Error Comment (0000,0902).
    pub error_comment: Option<String>,
    /// Whether any match came with 0xFF01: some optional keys were not supported.
    pub unsupported_keys: bool,
}

impl<'a> Find<'a> {
    /// Sends the C-FIND-RQ, on the context of the query's model.
    ///
    /// # Errors
    /// [`Error::NoPresentationContext`] when the peer did not accept the model.
    pub async fn start(association: &'a mut Association, query: &Query) -> Result<Find<'a>, Error> {
        let _ = (association, query);
        todo!()
    }

    /// The next match; `None` when the peer has sent its final response.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn next(&mut self) -> Result<Option<DataSet>, Error> {
        let _ = &self.association;
        todo!()
    }

    /// Sends C-CANCEL-RQ; the matches that still come are to be taken with [`Find::next`], or passed over by
    /// [`Find::finish`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cancel(&mut self) -> Result<(), Error> {
        todo!()
    }

    /// Passes over what still comes and tells how it ended.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn finish(self) -> Result<FindEnd, Error> {
        todo!()
    }
}
