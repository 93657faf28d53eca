//! DIMSE-C messages, PS3.7 section 9.3: one service a file, request and response in it.
//!
//! A command is small and is held whole; the data set that may follow it is not here: it passes by in pieces.

pub mod c_cancel;
pub mod c_echo;
pub mod c_find;
pub mod c_get;
pub mod c_move;
pub mod c_store;
pub mod command_set;
pub mod status;
pub mod sub_operations;

pub use c_cancel::CCancelRq;
pub use c_echo::{CEchoRq, CEchoRsp};
pub use c_find::{CFindRq, CFindRsp};
pub use c_get::{CGetRq, CGetRsp};
pub use c_move::{CMoveRq, CMoveRsp};
pub use c_store::{CStoreRq, CStoreRsp};
pub use status::{Refusal, Status, StatusKind};
pub use sub_operations::{Counters, SubOperations};

use crate::message::command_set::{CommandError, UnknownCommand};

/// Message ID (0000,0110) and Message ID Being Responded To (0000,0120).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub u16);

/// Priority (0000,0700).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Priority {
    /// 0000H.
    #[default]
    Medium,
    /// 0001H.
    High,
    /// 0002H.
    Low,
}

/// Command Data Set Type (0000,0800): whether a data set follows the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataSetType {
    /// 0101H: none follows.
    Null,
    /// Anything else: one follows.
    Present,
}

/// A command of any DIMSE-C service, in either direction.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// C-ECHO-RQ.
    CEchoRq(CEchoRq),
    /// C-ECHO-RSP.
    CEchoRsp(CEchoRsp),
    /// C-STORE-RQ.
    CStoreRq(CStoreRq),
    /// C-STORE-RSP.
    CStoreRsp(CStoreRsp),
    /// C-FIND-RQ.
    CFindRq(CFindRq),
    /// C-FIND-RSP.
    CFindRsp(CFindRsp),
    /// C-GET-RQ.
    CGetRq(CGetRq),
    /// C-GET-RSP.
    CGetRsp(CGetRsp),
    /// C-MOVE-RQ.
    CMoveRq(CMoveRq),
    /// C-MOVE-RSP.
    CMoveRsp(CMoveRsp),
    /// C-CANCEL-RQ, of whichever service.
    CCancelRq(CCancelRq),
    /// A command that is well formed but of no service known here; answered with 0211.
    Unknown(UnknownCommand),
}

impl Command {
    /// Reads a command set (Implicit VR Little Endian, group 0000).
    ///
    /// # Errors
    /// [`CommandError`] tells a set that cannot be read at all (the association is to be aborted) from one
    /// that can be answered with 0212.
    pub fn decode(bytes: &[u8]) -> Result<Command, CommandError> {
        let _ = bytes;
        todo!()
    }

    /// Writes the command set, Command Group Length first.
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }

    /// Whether a data set follows.
    pub fn data_set_type(&self) -> DataSetType {
        todo!()
    }
}
