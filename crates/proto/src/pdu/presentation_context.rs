//! Presentation context items, PS3.8 9.3.2.2 and 9.3.3.2.

use bytes::{BufMut, BytesMut};

use super::read::Reader;
use super::{DecodeError, Item, Rule, write};
use crate::Uid;

/// The most presentation contexts in one association: there are so many odd IDs in a byte.
pub const MAX_CONTEXTS: usize = 128;

/// Sub-item types.
const ABSTRACT_SYNTAX: u8 = 0x30;
const TRANSFER_SYNTAX: u8 = 0x40;

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
        u8::try_from(index).ok().filter(|_| index < MAX_CONTEXTS).map(|index| ContextId(2 * index + 1))
    }

    /// The number on the wire.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The place in the list: 0 for 1, 1 for 3, 2 for 5 …; below 128.
    pub fn index(self) -> usize {
        usize::from(self.0 / 2)
    }
}

/// A presentation context as proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedContext {
    /// Presentation context ID as it came; it may be even or repeated until negotiation has looked.
    pub id: u8,
    /// Abstract syntax name; `None` when there is none or it is no UID, which is answered for this context.
    pub abstract_syntax: Option<Uid>,
    /// Transfer syntax names, in the requestor's order; without those that are no UIDs.
    pub transfer_syntaxes: Vec<Uid>,
}

impl ProposedContext {
    pub(super) const ITEM_TYPE: u8 = 0x20;

    /// Reads the content of the item.
    pub(super) fn decode(mut reader: Reader<'_>) -> Result<ProposedContext, DecodeError> {
        let [id, _, _, _] = reader.array()?;
        let mut abstract_syntaxes = 0;
        let mut context = ProposedContext { id, abstract_syntax: None, transfer_syntaxes: Vec::new() };
        while let Some((item_type, mut item)) = reader.item(name)? {
            match item_type {
                ABSTRACT_SYNTAX | TRANSFER_SYNTAX if item.is_empty() => {
                    return Err(item.error(Rule::TooShort));
                }
                ABSTRACT_SYNTAX if abstract_syntaxes > 0 => return Err(item.error(Rule::Repeated)),
                ABSTRACT_SYNTAX => {
                    abstract_syntaxes += 1;
                    context.abstract_syntax = Uid::from_bytes(item.rest()).ok();
                }
                TRANSFER_SYNTAX => context.transfer_syntaxes.extend(Uid::from_bytes(item.rest())),
                _ => {}
            }
        }
        Ok(context)
    }

    /// What PS3.8 9.3.2.2 requires in a context and it does not have, or not as a UID.
    pub(super) fn lacking(&self) -> Option<Item> {
        match (&self.abstract_syntax, &self.transfer_syntaxes[..]) {
            (None, _) => Some(Item::AbstractSyntax),
            (_, []) => Some(Item::TransferSyntax),
            _ => None,
        }
    }

    /// Writes the item.
    pub(super) fn encode(&self, output: &mut BytesMut) {
        write::item(output, ProposedContext::ITEM_TYPE, |output| {
            output.put_slice(&[self.id, 0, 0, 0]);
            if self.abstract_syntax.is_some() {
                write::uid_item(output, ABSTRACT_SYNTAX, self.abstract_syntax.as_ref());
            }
            for transfer_syntax in &self.transfer_syntaxes {
                write::uid_item(output, TRANSFER_SYNTAX, Some(transfer_syntax));
            }
        });
    }
}

/// A presentation context as answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextResult {
    /// Presentation context ID as it came.
    pub id: u8,
    /// Result/Reason, PS3.8 Table 9-18.
    pub result: ContextResultReason,
    /// The transfer syntax; significant only with acceptance. `None` when there is none or it is no UID.
    pub transfer_syntax: Option<Uid>,
}

impl ContextResult {
    pub(super) const ITEM_TYPE: u8 = 0x21;

    /// Reads the content of the item.
    pub(super) fn decode(mut reader: Reader<'_>) -> Result<ContextResult, DecodeError> {
        let [id, _, result, _] = reader.array()?;
        let result = ContextResultReason::from_byte(result);
        let mut transfer_syntaxes = 0;
        let mut context = ContextResult { id, result, transfer_syntax: None };
        while let Some((item_type, mut item)) = reader.item(name)? {
            match item_type {
                // Two answers to one question; where it is refused the sub-item is not tested (9.3.3.2).
                TRANSFER_SYNTAX if transfer_syntaxes > 0 && result == ContextResultReason::Acceptance => {
                    return Err(item.error(Rule::Repeated));
                }
                TRANSFER_SYNTAX if transfer_syntaxes == 0 => {
                    transfer_syntaxes += 1;
                    context.transfer_syntax = Uid::from_bytes(item.rest()).ok();
                }
                _ => {}
            }
        }
        Ok(context)
    }

    /// Writes the item.
    pub(super) fn encode(&self, output: &mut BytesMut) {
        write::item(output, ContextResult::ITEM_TYPE, |output| {
            output.put_slice(&[self.id, 0, self.result.to_byte(), 0]);
            write::uid_item(output, TRANSFER_SYNTAX, self.transfer_syntax.as_ref());
        });
    }
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

impl ContextResultReason {
    /// The result of byte 7.
    pub const fn from_byte(result: u8) -> ContextResultReason {
        match result {
            0 => ContextResultReason::Acceptance,
            1 => ContextResultReason::UserRejection,
            2 => ContextResultReason::NoReason,
            3 => ContextResultReason::AbstractSyntaxNotSupported,
            4 => ContextResultReason::TransferSyntaxesNotSupported,
            other => ContextResultReason::Other(other),
        }
    }

    /// The number in byte 7.
    pub const fn to_byte(self) -> u8 {
        match self {
            ContextResultReason::Acceptance => 0,
            ContextResultReason::UserRejection => 1,
            ContextResultReason::NoReason => 2,
            ContextResultReason::AbstractSyntaxNotSupported => 3,
            ContextResultReason::TransferSyntaxesNotSupported => 4,
            ContextResultReason::Other(result) => result,
        }
    }
}

impl std::fmt::Display for ContextResultReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ContextResultReason::Acceptance => "accepted",
            ContextResultReason::UserRejection => "rejected by the user",
            ContextResultReason::NoReason => "rejected without a reason",
            ContextResultReason::AbstractSyntaxNotSupported => "abstract syntax not supported",
            ContextResultReason::TransferSyntaxesNotSupported => "transfer syntaxes not supported",
            ContextResultReason::Other(result) => return write!(f, "rejected with result {result}"),
        })
    }
}

fn name(item_type: u8) -> Item {
    match item_type {
        ABSTRACT_SYNTAX => Item::AbstractSyntax,
        TRANSFER_SYNTAX => Item::TransferSyntax,
        _ => Item::Unknown,
    }
}
