//! Presentation context items, PS3.8 9.3.2.2 and 9.3.3.2.

use crate::Uid;

/// Presentation context ID: odd, 1 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextId(u8);

impl ContextId {
    /// The ID of a number from the wire; `None` when it is even.
    pub const fn new(id: u8) -> Option<ContextId> {
        if id % 2 == 1 { Some(ContextId(id)) } else { None }
    }

    /// The ID of the context at a place in a list: 1, 3, 5 …; `None` beyond the 128th.
    pub fn of_index(index: usize) -> Option<ContextId> {
        u8::try_from(index).ok().filter(|index| *index < 128).map(|index| ContextId(2 * index + 1))
    }

    /// The number on the wire.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A presentation context as proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedContext {
    /// Presentation context ID as it came; it may be even or repeated until negotiation has looked.
    pub id: u8,
    /// Abstract syntax name.
    pub abstract_syntax: Uid,
    /// Transfer syntax names, in the requestor's order.
    pub transfer_syntaxes: Vec<Uid>,
}

/// A presentation context as answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextResult {
    /// Presentation context ID as it came.
    pub id: u8,
    /// Result/Reason, PS3.8 Table 9-18.
    pub result: ContextResultReason,
    /// The transfer syntax; significant only with acceptance.
    pub transfer_syntax: Option<Uid>,
}

/// Result/Reason of PS3.8 Table 9-18.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextResultReason {
    /// 0.
    Acceptance,
    /// 1.
    UserRejection,
    /// 2.
    NoReason,
    /// 3.
    AbstractSyntaxNotSupported,
    /// 4.
    TransferSyntaxesNotSupported,
    /// A value of no meaning there: not accepted.
    Other(u8),
}
