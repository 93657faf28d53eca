//! The answers to one C-FIND, as they come, and whether they are all there are: many peers end a query at a number of
//! answers, and say so by a status that is no success.

use std::fmt;

use dicomet_proto::dataset::DataSet;
use dicomet_proto::message::{Status, StatusKind};
use dicomet_proto::query::Query;

use super::super::RetrieveError;
use crate::Association;
use crate::service::c_find::scu::Find;

/// The most answers to one query that are taken: more than the studies of any archive, and few enough to be held. A peer
/// that goes on is told to stop.
pub const MAX_ANSWERS: usize = 1_000_000;

/// Why the answers to a query may not be all there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// The peer gave some and ended with a status that says that there are more, or that it failed.
    ByPeer {
        /// How many it gave.
        answers: usize,
        /// The status.
        status: Status,
        /// Its Error Comment.
        comment: Option<String>,
    },
    /// As many as the peer has been seen to give at the most.
    AtItsMost {
        /// How many that is.
        answers: usize,
    },
    /// We ended it.
    ByUs {
        /// How many we took.
        answers: usize,
    },
}

impl Cut {
    /// Whether the peer has come to a limit of its own, rather than failed.
    pub(super) fn is_limit(&self) -> bool {
        match self {
            Cut::ByPeer { answers, status, .. } => {
                *answers > 0 && (is_limit(*status) || status.kind() == StatusKind::Cancel)
            }
            Cut::AtItsMost { .. } | Cut::ByUs { .. } => false,
        }
    }

    /// Whether it was told, or done by us, and not only guessed from the number.
    pub(super) fn is_sure(&self) -> bool {
        !matches!(self, Cut::AtItsMost { .. })
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cut::ByPeer { answers, status, comment } => {
                let comment = comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
                write!(f, "the peer ended the query after {answers} answers with {status}{comment}")
            }
            Cut::AtItsMost { answers } => write!(f, "the peer gives no more than {answers} answers"),
            Cut::ByUs { answers } => write!(f, "the query was ended after {answers} answers"),
        }
    }
}

/// Asks, and hands on each answer, `limit` at the most. Answers whether there may be more.
///
/// # Errors
/// [`RetrieveError::Association`], or [`RetrieveError::Find`] when the peer answers nothing but a failure.
pub(in crate::retrieve) async fn answers(
    association: &mut Association,
    query: &Query,
    limit: usize,
    mut take: impl FnMut(&DataSet),
) -> Result<Option<Cut>, RetrieveError> {
    let mut find = Find::start(association, query).await?;
    let mut answers = 0;
    let mut is_over = false;
    while let Some(identifier) = find.next().await? {
        if answers == limit {
            find.cancel().await?;
            is_over = true;
            break;
        }
        take(&identifier);
        answers += 1;
    }
    let end = find.finish().await?;
    if is_over {
        return Ok(Some(Cut::ByUs { answers }));
    }
    let (status, comment) = (end.status, end.error_comment);
    match status.kind() {
        StatusKind::Success | StatusKind::Pending => Ok(None),
        StatusKind::Warning if !is_limit(status) => Ok(None),
        StatusKind::Warning => Ok(Some(Cut::ByPeer { answers, status, comment })),
        // Orthanc ends a query that reaches its LimitFindResults as if it had been cancelled.
        _ if answers > 0 => Ok(Some(Cut::ByPeer { answers, status, comment })),
        _ => Err(RetrieveError::Find { level: query.level, status, comment }),
    }
}

/// Whether a warning says that there are more answers: B001 does (PS3.4 C.4.1.1.4), and others of its range are used alike.
pub fn is_limit(status: Status) -> bool {
    (0xB000..=0xBFFF).contains(&status.code())
}
