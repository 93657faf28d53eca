//! Sub-operation counters of C-GET and C-MOVE: PS3.4 C.4.2.1.6 to C.4.2.1.9, PS3.7 9.1.3.1.

use super::status::Status;

/// The counters as they stand in a response: (0000,1020) to (0000,1023), each absent or 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Number of Remaining Sub-operations (0000,1020).
    pub remaining: Option<u16>,
    /// Number of Completed Sub-operations (0000,1021).
    pub completed: Option<u16>,
    /// Number of Failed Sub-operations (0000,1022).
    pub failed: Option<u16>,
    /// Number of Warning Sub-operations (0000,1023).
    pub warning: Option<u16>,
}

/// The count of sub-operations that the performing side keeps, not limited to 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubOperations {
    /// Not yet performed.
    pub remaining: u64,
    /// Ended with success.
    pub completed: u64,
    /// Ended with a failure, or could not be begun.
    pub failed: u64,
    /// Ended with a warning.
    pub warning: u64,
}

impl SubOperations {
    /// As many as there are to do, none done.
    pub fn new(total: u64) -> SubOperations {
        SubOperations { remaining: total, ..SubOperations::default() }
    }

    /// All of them, whatever their state.
    pub fn total(&self) -> u64 {
        self.remaining + self.completed + self.failed + self.warning
    }

    /// The counters of a Pending response, or of a Cancel: all four.
    pub fn pending_counters(&self) -> Counters {
        Counters { remaining: Some(saturated(self.remaining)), ..self.final_counters() }
    }

    /// The counters of a final Success, Warning or Failure: Remaining shall not be there (PS3.4 C.4.2.1.6).
    pub fn final_counters(&self) -> Counters {
        Counters {
            remaining: None,
            completed: Some(saturated(self.completed)),
            failed: Some(saturated(self.failed)),
            warning: Some(saturated(self.warning)),
        }
    }

    /// The final status when nothing remains (PS3.4 C.4.2.3.1, C.4.3.3.1): success when all completed, failure
    /// when all failed, otherwise warning. With nothing to do: success.
    pub fn final_status(&self) -> Status {
        if self.failed == 0 && self.warning == 0 {
            Status::SUCCESS
        } else if self.completed == 0 && self.warning == 0 {
            Status::UNABLE_TO_PERFORM_SUB_OPERATIONS
        } else {
            Status::WARNING
        }
    }
}

/// A counter on the wire is US. Beyond 65,535 it stays there: it says "at least so many", and comes down to
/// the true number as soon as that fits.
fn saturated(count: u64) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_final_status_follows_the_counts() {
        let status = |completed, failed, warning| {
            SubOperations { remaining: 0, completed, failed, warning }.final_status()
        };
        assert_eq!(status(0, 0, 0), Status::SUCCESS);
        assert_eq!(status(5, 0, 0), Status::SUCCESS);
        assert_eq!(status(4, 1, 0), Status::WARNING);
        assert_eq!(status(4, 0, 1), Status::WARNING);
        assert_eq!(status(0, 4, 1), Status::WARNING);
        assert_eq!(status(0, 5, 0), Status::UNABLE_TO_PERFORM_SUB_OPERATIONS);
    }

    #[test]
    fn seventy_thousand_sub_operations_saturate_and_never_wrap() {
        let mut sub_operations = SubOperations::new(70_000);
        assert_eq!(sub_operations.pending_counters().remaining, Some(65_535));
        sub_operations.remaining = 1;
        sub_operations.completed = 69_999;
        assert_eq!(sub_operations.pending_counters().remaining, Some(1));
        assert_eq!(sub_operations.pending_counters().completed, Some(65_535));
        assert_eq!(sub_operations.final_counters().remaining, None);
    }
}
