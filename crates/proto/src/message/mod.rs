//! DIMSE messages, PS3.7 sections 9.3 and 10.3: one service a file, request and response in it.
//!
//! A command is small and is held whole; the data set that may follow it is not here: it passes by in pieces.

mod argument;
pub mod c_cancel;
pub mod c_echo;
pub mod c_find;
pub mod c_get;
pub mod c_move;
pub mod c_store;
pub mod command_set;
pub mod n_action;
pub mod n_event_report;
pub mod status;
pub mod sub_operations;

pub use c_cancel::CCancelRq;
pub use c_echo::{CEchoRq, CEchoRsp};
pub use c_find::{CFindRq, CFindRsp};
pub use c_get::{CGetRq, CGetRsp};
pub use c_move::{CMoveRq, CMoveRsp};
pub use c_store::{CStoreRq, CStoreRsp};
pub use n_action::{NActionRq, NActionRsp};
pub use n_event_report::{NEventReportRq, NEventReportRsp};
pub use status::{Refusal, Status, StatusKind};
pub use sub_operations::{Counters, SubOperations};

use crate::message::command_set::{CommandError, CommandSet, RESPONSE, UnknownCommand};

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

/// A command of any service known here, in either direction.
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
    /// N-EVENT-REPORT-RQ.
    NEventReportRq(NEventReportRq),
    /// N-EVENT-REPORT-RSP.
    NEventReportRsp(NEventReportRsp),
    /// N-ACTION-RQ.
    NActionRq(NActionRq),
    /// N-ACTION-RSP.
    NActionRsp(NActionRsp),
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
        let set = CommandSet::parse(bytes)?;
        set.check_not_repeated()?;
        Ok(match set.command_field() {
            CEchoRq::COMMAND_FIELD => Command::CEchoRq(CEchoRq::from_command_set(&set)?),
            CEchoRsp::COMMAND_FIELD => Command::CEchoRsp(CEchoRsp::from_command_set(&set)?),
            CStoreRq::COMMAND_FIELD => Command::CStoreRq(CStoreRq::from_command_set(&set)?),
            CStoreRsp::COMMAND_FIELD => Command::CStoreRsp(CStoreRsp::from_command_set(&set)?),
            CFindRq::COMMAND_FIELD => Command::CFindRq(CFindRq::from_command_set(&set)?),
            CFindRsp::COMMAND_FIELD => Command::CFindRsp(CFindRsp::from_command_set(&set)?),
            CGetRq::COMMAND_FIELD => Command::CGetRq(CGetRq::from_command_set(&set)?),
            CGetRsp::COMMAND_FIELD => Command::CGetRsp(CGetRsp::from_command_set(&set)?),
            CMoveRq::COMMAND_FIELD => Command::CMoveRq(CMoveRq::from_command_set(&set)?),
            CMoveRsp::COMMAND_FIELD => Command::CMoveRsp(CMoveRsp::from_command_set(&set)?),
            CCancelRq::COMMAND_FIELD => Command::CCancelRq(CCancelRq::from_command_set(&set)?),
            NEventReportRq::COMMAND_FIELD => Command::NEventReportRq(NEventReportRq::from_command_set(&set)?),
            NEventReportRsp::COMMAND_FIELD => {
                Command::NEventReportRsp(NEventReportRsp::from_command_set(&set)?)
            }
            NActionRq::COMMAND_FIELD => Command::NActionRq(NActionRq::from_command_set(&set)?),
            NActionRsp::COMMAND_FIELD => Command::NActionRsp(NActionRsp::from_command_set(&set)?),
            _ => Command::Unknown(UnknownCommand::from_command_set(&set)),
        })
    }

    /// Writes the command set, Command Group Length first.
    pub fn encode(&self) -> Vec<u8> {
        let set = match self {
            Command::CEchoRq(command) => command.to_command_set(),
            Command::CEchoRsp(command) => command.to_command_set(),
            Command::CStoreRq(command) => command.to_command_set(),
            Command::CStoreRsp(command) => command.to_command_set(),
            Command::CFindRq(command) => command.to_command_set(),
            Command::CFindRsp(command) => command.to_command_set(),
            Command::CGetRq(command) => command.to_command_set(),
            Command::CGetRsp(command) => command.to_command_set(),
            Command::CMoveRq(command) => command.to_command_set(),
            Command::CMoveRsp(command) => command.to_command_set(),
            Command::CCancelRq(command) => command.to_command_set(),
            Command::NEventReportRq(command) => command.to_command_set(),
            Command::NEventReportRsp(command) => command.to_command_set(),
            Command::NActionRq(command) => command.to_command_set(),
            Command::NActionRsp(command) => command.to_command_set(),
            Command::Unknown(command) => command.to_command_set(),
        };
        set.to_bytes()
    }

    /// Whether a data set follows.
    pub fn data_set_type(&self) -> DataSetType {
        match self {
            Command::CStoreRq(_) | Command::CFindRq(_) | Command::CGetRq(_) | Command::CMoveRq(_) => {
                DataSetType::Present
            }
            Command::CEchoRq(_) | Command::CEchoRsp(_) | Command::CStoreRsp(_) | Command::CCancelRq(_) => {
                DataSetType::Null
            }
            Command::CFindRsp(command) => command.identifier,
            Command::CGetRsp(command) => command.identifier,
            Command::CMoveRsp(command) => command.identifier,
            Command::NEventReportRq(command) => command.event_information,
            Command::NEventReportRsp(command) => command.event_reply,
            Command::NActionRq(command) => command.action_information,
            Command::NActionRsp(command) => command.action_reply,
            Command::Unknown(command) => command.data_set_type,
        }
    }

    /// The Message ID of a request; `None` of a response, and of a C-CANCEL-RQ, which has none of its own.
    pub fn request_id(&self) -> Option<MessageId> {
        match self {
            Command::CEchoRq(command) => Some(command.message_id),
            Command::CStoreRq(command) => Some(command.message_id),
            Command::CFindRq(command) => Some(command.message_id),
            Command::CGetRq(command) => Some(command.message_id),
            Command::CMoveRq(command) => Some(command.message_id),
            Command::NEventReportRq(command) => Some(command.message_id),
            Command::NActionRq(command) => Some(command.message_id),
            Command::Unknown(command) => command.message_id.filter(|_| command.command_field & RESPONSE == 0),
            Command::CEchoRsp(_)
            | Command::CStoreRsp(_)
            | Command::CFindRsp(_)
            | Command::CGetRsp(_)
            | Command::CMoveRsp(_)
            | Command::CCancelRq(_)
            | Command::NEventReportRsp(_)
            | Command::NActionRsp(_) => None,
        }
    }

    /// The shortest response that says no to a request: for one that could not be read
    /// ([`CommandError::MistypedArgument`]) or is of no service known here ([`Command::Unknown`]).
    pub fn refusal(command_field: u16, message_id: MessageId, status: Status) -> Command {
        Command::Unknown(UnknownCommand {
            command_field: command_field | RESPONSE,
            message_id: Some(message_id),
            data_set_type: DataSetType::Null,
            status: Some(status),
        })
    }
}

#[cfg(test)]
mod tests;
