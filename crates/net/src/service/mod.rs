//! The DIMSE services, each with its SCU and SCP, and the next request as a typed value.

pub mod c_echo;
pub mod c_find;
pub mod c_get;
pub mod c_store;
pub mod sub_operations;

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::{DataSet, DataSetError};
use dicomet_proto::message::{CEchoRq, CFindRq, CGetRq, CMoveRq, CStoreRq};

use crate::{Association, Error};

/// The largest identifier that is read, in bytes: a list of 10,000 UIDs has 650,000.
pub const MAX_IDENTIFIER_LENGTH: usize = 4 * 1024 * 1024;

/// A request of the peer, with what is needed to answer it.
#[derive(Debug)]
pub enum Request {
    /// C-ECHO-RQ.
    Echo(Context, CEchoRq),
    /// C-STORE-RQ; its data set is to be taken with [`Association::receive_data`].
    Store(Context, CStoreRq),
    /// C-FIND-RQ with its identifier.
    Find(Context, CFindRq, Result<DataSet, DataSetError>),
    /// C-GET-RQ with its identifier.
    Get(Context, CGetRq, Result<DataSet, DataSetError>),
    /// C-MOVE-RQ with its identifier.
    Move(Context, CMoveRq, Result<DataSet, DataSetError>),
}

/// Waits for the next request; `None` when the peer wants to release.
///
/// What is no request is dealt with here: a C-CANCEL of a finished operation is ignored, an unknown command
/// answered with 0211, a mistyped one with 0212, a SOP class that is not the context's with 0122, a response
/// that nobody waits for dropped.
///
/// # Errors
/// [`Error`]; the association is then at its end.
pub async fn next_request(association: &mut Association) -> Result<Option<Request>, Error> {
    let _ = association;
    todo!()
}
