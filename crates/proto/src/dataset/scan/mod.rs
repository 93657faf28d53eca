//! A walk over an encoded data set that trusts nothing: PS3.5 section 7 and Annex A.
//!
//! ```text
//! bytes as they come -> [inflate] -> Scanner: headers, nesting, limits -> Sink: what to do with elements
//!                                                                         Peek      a few values, early
//!                                                                         Walk      a header, the rest checked
//!                                                                         Picker    a few elements, whole
//!                                                                         Builder   all of it, in memory
//! ```
//!
//! Bytes are pushed in pieces of any size. There is no recursion; a length is compared with what encloses it
//! before it is believed; what nobody asked for is passed over without being held. Nothing here guesses: bytes
//! that do not fit the transfer syntax are an error, named by tag and offset, never by value.

mod header;
mod inflate;
mod peek;
mod pick;
mod scanner;
mod walk;

use std::io;

use super::encoding::Encoding;
use super::{Tag, VR};
use crate::Uid;

pub use self::peek::{Peek, Peeked};
pub use self::pick::pick;
pub(crate) use self::scanner::Scanner;
pub use self::walk::{Header, Walk, missing_end, walk, walk_seekable};

/// Sequences within sequences. Real data sets have up to about ten (structured reports); what reads them
/// elsewhere recurses, and 64 is safe for any stack.
pub const MAX_DEPTH: usize = 64;

/// Elements, items and fragments of a data set. An enhanced multi-frame object of 20,000 frames with 100
/// elements each has 2 million; 8 million cost a good quarter of a second.
pub const MAX_ELEMENTS: u64 = 8 * 1024 * 1024;

/// Why bytes are no data set of their transfer syntax, or one that is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The transfer syntax has no data elements.
    #[error("transfer syntax {0} is not one of data sets")]
    TransferSyntax(Uid),
    /// A rule of PS3.5 is broken at an element.
    #[error("{rule}, at element {tag}, byte {offset}")]
    Structure {
        /// The element.
        tag: Tag,
        /// Where its header begins, in bytes of the (inflated) data set.
        offset: u64,
        /// What is wrong.
        rule: &'static str,
    },
    /// The bytes end where the data set cannot end.
    #[error("the data set ends {0}")]
    Truncated(&'static str),
    /// A limit is passed.
    #[error("the data set has {0}")]
    Limit(&'static str),
    /// A deflated data set cannot be inflated, or has bytes after its end.
    #[error("deflated data set: {0}")]
    Deflate(&'static str),
    /// Reading failed.
    #[error("cannot read the data set: {0}")]
    Io(#[from] io::Error),
}

/// A data element or fragment with a value, as its header says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element {
    pub(crate) tag: Tag,
    pub(crate) vr: VR,
    pub(crate) length: u32,
    /// How many sequences it stands in.
    pub(crate) depth: usize,
    pub(crate) encoding: Encoding,
}

/// What a sink wants of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// To have it passed over.
    Nothing,
    /// To be given it, whole. The sink has looked at the length.
    Value,
    /// To hear no more of this data set.
    Stop,
}

/// Takes what a scanner finds, in order.
pub(crate) trait Sink {
    /// An element with a value, or a fragment (its tag is that of an item).
    fn element(&mut self, element: &Element) -> Result<Want, ScanError>;

    /// The value that was wanted.
    fn value(&mut self, element: &Element, value: &[u8]) -> Result<(), ScanError>;

    /// A sequence of items, or of fragments.
    fn begin_sequence(&mut self, element: &Element, fragments: bool) -> Result<(), ScanError>;

    /// An item of the innermost sequence.
    fn begin_item(&mut self) -> Result<(), ScanError>;

    /// The innermost item ends.
    fn end_item(&mut self);

    /// The innermost sequence ends.
    fn end_sequence(&mut self);
}

#[cfg(test)]
mod tests;
