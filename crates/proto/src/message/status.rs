//! DIMSE statuses: PS3.7 Annex C, with the meanings that PS3.4 gives them for each service.

use std::fmt;

use crate::dataset::Tag;

/// The most characters of an Error Comment, which is of VR LO.
const MAX_COMMENT: usize = 64;

/// A DIMSE status code (0000,0900).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(u16);

/// The five kinds of status, PS3.7 Annex C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusKind {
    /// Done as asked.
    Success,
    /// More responses follow.
    Pending,
    /// Ended by C-CANCEL.
    Cancel,
    /// Done, with a reservation.
    Warning,
    /// Not done.
    Failure,
}

impl Status {
    /// Done.
    pub const SUCCESS: Status = Status(0x0000);
    /// Ended by C-CANCEL.
    pub const CANCEL: Status = Status(0xFE00);
    /// A match, or sub-operations going on.
    pub const PENDING: Status = Status(0xFF00);
    /// A match, but some optional keys were not supported (C-FIND).
    pub const PENDING_UNSUPPORTED_KEYS: Status = Status(0xFF01);
    /// Processing failure, PS3.7 C.5.
    pub const PROCESSING_FAILURE: Status = Status(0x0110);
    /// Duplicate SOP instance: one with this UID is there.
    pub const DUPLICATE_SOP_INSTANCE: Status = Status(0x0111);
    /// No such SOP instance.
    pub const NO_SUCH_SOP_INSTANCE: Status = Status(0x0112);
    /// No such event type.
    pub const NO_SUCH_EVENT: Status = Status(0x0113);
    /// Invalid argument value.
    pub const INVALID_ARGUMENT_VALUE: Status = Status(0x0115);
    /// Invalid SOP instance: the UID breaks the UID rules.
    pub const INVALID_SOP_INSTANCE: Status = Status(0x0117);
    /// No such SOP class.
    pub const NO_SUCH_SOP_CLASS: Status = Status(0x0118);
    /// Class-instance conflict: the instance is not of this class.
    pub const CLASS_INSTANCE_CONFLICT: Status = Status(0x0119);
    /// SOP class not supported.
    pub const SOP_CLASS_NOT_SUPPORTED: Status = Status(0x0122);
    /// No such action type.
    pub const NO_SUCH_ACTION: Status = Status(0x0123);
    /// Not authorized.
    pub const NOT_AUTHORIZED: Status = Status(0x0124);
    /// Duplicate transaction UID: as a Failure Reason (0008,1197) of Storage Commitment, PS3.3 C.14.1.1.
    pub const DUPLICATE_TRANSACTION_UID: Status = Status(0x0131);
    /// Duplicate invocation: the Message ID is in use.
    pub const DUPLICATE_INVOCATION: Status = Status(0x0210);
    /// Unrecognized operation.
    pub const UNRECOGNIZED_OPERATION: Status = Status(0x0211);
    /// Mistyped argument.
    pub const MISTYPED_ARGUMENT: Status = Status(0x0212);
    /// Resource limitation.
    pub const RESOURCE_LIMITATION: Status = Status(0x0213);
    /// Refused: out of resources (C-STORE, C-FIND).
    pub const OUT_OF_RESOURCES: Status = Status(0xA700);
    /// Refused: unable to calculate the number of matches (C-GET, C-MOVE).
    pub const UNABLE_TO_COUNT_MATCHES: Status = Status(0xA701);
    /// Refused: unable to perform sub-operations (C-GET, C-MOVE).
    pub const UNABLE_TO_PERFORM_SUB_OPERATIONS: Status = Status(0xA702);
    /// Refused: move destination unknown (C-MOVE).
    pub const MOVE_DESTINATION_UNKNOWN: Status = Status(0xA801);
    /// Data set or identifier does not match the SOP class.
    pub const DATA_SET_DOES_NOT_MATCH_SOP_CLASS: Status = Status(0xA900);
    /// Sub-operations complete, one or more failures or warnings (C-GET, C-MOVE); coercion (C-STORE).
    pub const WARNING: Status = Status(0xB000);
    /// Cannot understand (C-STORE), unable to process (C-FIND, C-GET, C-MOVE).
    pub const UNABLE_TO_PROCESS: Status = Status(0xC000);

    /// The status of a code from the wire, or of one of our own in a range such as Cxxx.
    pub const fn new(code: u16) -> Status {
        Status(code)
    }

    /// The code as on the wire.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// The code as the log has it, and PS3.7 Annex C: four hexadecimal digits.
    pub fn digits(self) -> String {
        format!("{:04X}", self.0)
    }

    /// The kind by PS3.7 Annex C. A code of no class there is a failure, so that an unknown status never
    /// passes for success and never keeps a requestor waiting.
    pub const fn kind(self) -> StatusKind {
        match self.0 {
            0x0000 => StatusKind::Success,
            0xFF00 | 0xFF01 => StatusKind::Pending,
            0xFE00 => StatusKind::Cancel,
            0x0001 | 0x0107 | 0x0116 | 0xB000..=0xBFFF => StatusKind::Warning,
            _ => StatusKind::Failure,
        }
    }

    /// Whether more responses follow.
    pub const fn is_pending(self) -> bool {
        matches!(self.kind(), StatusKind::Pending)
    }

    /// What the code means, in words for a person.
    pub const fn meaning(self) -> &'static str {
        match self.0 {
            0x0000 => "success",
            0xFF00 => "pending",
            0xFF01 => "pending, some optional keys are not supported",
            0xFE00 => "cancelled",
            0x0105 => "no such attribute",
            0x0106 => "invalid attribute value",
            0x0107 => "attribute list error",
            0x0110 => "processing failure",
            0x0111 => "duplicate SOP instance",
            0x0112 => "no such SOP instance",
            0x0113 => "no such event type",
            0x0114 => "no such argument",
            0x0115 => "invalid argument value",
            0x0117 => "invalid SOP instance UID",
            0x0118 => "no such SOP class",
            0x0119 => "class-instance conflict",
            0x0122 => "SOP class not supported",
            0x0123 => "no such action type",
            0x0124 => "not authorized",
            0x0131 => "duplicate transaction UID",
            0x0210 => "duplicate invocation",
            0x0211 => "unrecognized operation",
            0x0212 => "mistyped argument",
            0x0213 => "resource limitation",
            0xA701 => "out of resources, unable to calculate the number of matches",
            0xA702 => "out of resources, unable to perform sub-operations",
            0xA700..=0xA7FF => "out of resources",
            0xA801 => "move destination unknown",
            0xA900..=0xA9FF => "identifier or data set does not match the SOP class",
            0xB000 => "warning: sub-operations with failures or warnings, or coerced elements",
            0xB006 => "warning: elements discarded",
            0xB007 => "warning: data set does not match the SOP class",
            0xC000..=0xCFFF => "unable to process",
            _ => match self.kind() {
                StatusKind::Warning => "warning",
                _ => "failure",
            },
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04X} ({})", self.0, self.meaning())
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Status({:04X})", self.0)
    }
}

/// An answer that says no: a status, the words for a person and the elements it is about.
///
/// A refusal is an answer, not an error of the transport: the association goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A warning or failure status.
    pub status: Status,
    /// Error Comment (0000,0902): at most 64 characters of ASCII, never a value of the data set.
    comment: String,
    /// What the comment was made of.
    reason: String,
    /// Offending Element (0000,0901).
    pub offending_elements: Vec<Tag>,
}

impl Refusal {
    /// Makes a refusal; of more than 64 characters the comment has the first clauses or words, since VR LO holds no
    /// more, and what is not printable ASCII becomes `?`.
    pub fn new(status: Status, reason: &str) -> Refusal {
        let printable = |c| if matches!(c, ' '..='~') && c != '\\' { c } else { '?' };
        let reason: String = reason.chars().map(printable).collect();
        let comment = beginning(&reason).to_owned();
        Refusal { status, comment, reason, offending_elements: Vec::new() }
    }

    /// Names an element that the refusal is about.
    #[must_use]
    pub fn offending(mut self, element: Tag) -> Refusal {
        self.offending_elements.push(element);
        self
    }

    /// The words for a person, at most 64 characters.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// The words as they were before they were cut, for a log.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// What an Error Comment has of a sentence in ASCII: all of it, or its clauses as far as they fit, or its words where
/// the first clause is short.
fn beginning(sentence: &str) -> &str {
    let Some(fitting) = sentence.get(..MAX_COMMENT + 1) else { return sentence };
    let clause = fitting.rfind(", ").filter(|at| *at > MAX_COMMENT / 2);
    let end = clause.or_else(|| fitting.rfind(' ')).unwrap_or(MAX_COMMENT);
    fitting[..end].trim_end_matches([',', ':', ';', ' '])
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if self.comment.is_empty() { Ok(()) } else { write!(f, ": {}", self.comment) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_kind_and_unknown_ones_are_failures() {
        for (code, kind) in [
            (0x0000, StatusKind::Success),
            (0xFF00, StatusKind::Pending),
            (0xFF01, StatusKind::Pending),
            (0xFE00, StatusKind::Cancel),
            (0x0001, StatusKind::Warning),
            (0x0107, StatusKind::Warning),
            (0x0116, StatusKind::Warning),
            (0xB000, StatusKind::Warning),
            (0xBFFF, StatusKind::Warning),
            (0xA700, StatusKind::Failure),
            (0xC123, StatusKind::Failure),
            (0xFF02, StatusKind::Failure),
            (0xFFFF, StatusKind::Failure),
            (0x1234, StatusKind::Failure),
        ] {
            assert_eq!(Status::new(code).kind(), kind, "{code:04X}");
        }
    }

    #[test]
    fn a_comment_fits_its_value_representation() {
        let refusal = Refusal::new(Status::UNABLE_TO_PROCESS, &format!("a\\b\n{}", "x".repeat(100)));
        assert_eq!(refusal.comment().len(), 64);
        assert!(refusal.comment().starts_with("a?b?x"));
        assert_eq!(refusal.reason().len(), 104);
    }

    #[test]
    fn a_comment_that_is_too_long_ends_at_a_clause_or_a_word() {
        let comment = |reason: &str| Refusal::new(Status::UNABLE_TO_PROCESS, reason).comment().to_owned();
        for (reason, expected) in [
            (
                "no value representation where one must be, at element (0008,0016), byte 128",
                "no value representation where one must be",
            ),
            (
                "elements out of order, at element (0010,0020), in something that goes on and on",
                "elements out of order, at element (0010,0020)",
            ),
            (
                "one, then a clause that has more words in it than there is room for in a comment",
                "one, then a clause that has more words in it than there is room",
            ),
        ] {
            assert_eq!(comment(reason), expected);
        }
        let (whole, longer) = ("x".repeat(60) + " yyy", "x".repeat(60) + " yyyy");
        assert_eq!(comment(&whole), whole);
        assert_eq!(comment(&longer), "x".repeat(60));
    }
}
