//! A reader that cannot leave its item: every length is held against what contains it.

use super::error::{DecodeError, Item, Rule};
use crate::Uid;

/// The content of one PDU, item or sub-item, read from the front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    item: Item,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of the content of `item`.
    pub(crate) fn new(item: Item, content: &'a [u8]) -> Reader<'a> {
        Reader { item, rest: content }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(self.error(Rule::TooShort))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(self.error(Rule::TooShort))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A field that its length (16 bits) precedes.
    pub(crate) fn field(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// A UID that its length precedes; `None` when it is none by PS3.5 9.1.
    pub(crate) fn uid_field(&mut self) -> Result<Option<Uid>, DecodeError> {
        Ok(Uid::from_bytes(self.field()?).ok())
    }

    /// The next item within this one, with its type; `None` at the end. `name` says what an item type is here.
    pub(crate) fn item(&mut self, name: fn(u8) -> Item) -> Result<Option<(u8, Reader<'a>)>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        // Item type, a reserved byte that is never tested, item length.
        let ([item_type, _, high, low], rest) =
            self.rest.split_first_chunk::<4>().ok_or(self.error(Rule::Trailing))?;
        let item = name(*item_type);
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (content, rest) =
            rest.split_at_checked(length).ok_or(DecodeError { item, rule: Rule::BeyondParent })?;
        self.rest = rest;
        Ok(Some((*item_type, Reader::new(item, content))))
    }

    /// An error in this item.
    pub(crate) fn error(&self, rule: Rule) -> DecodeError {
        DecodeError { item: self.item, rule }
    }
}
