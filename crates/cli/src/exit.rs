//! How a command ends: the exit status of the process, and errors that say what to try next.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::output;

/// The exit status of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, and complete.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// Done in part: the report says what is missing and why.
    Partial = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command failed, for a person: what happened, and what to try next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    /// The exit status.
    pub exit: Exit,
    message: String,
    hint: Option<String>,
}

impl CommandError {
    /// A failure.
    pub fn new(message: impl fmt::Display) -> CommandError {
        CommandError { exit: Exit::Failed, message: message.to_string(), hint: None }
    }

    /// Wrong usage.
    pub fn usage(message: impl fmt::Display) -> CommandError {
        CommandError { exit: Exit::Usage, ..CommandError::new(message) }
    }

    /// Says what to try next.
    #[must_use]
    pub fn hint(self, hint: impl fmt::Display) -> CommandError {
        CommandError { hint: Some(hint.to_string()), ..self }
    }

    /// The results cannot be written. Where they went to a pipe that was closed, as by `head`, nobody wants to know.
    pub fn unwritten(error: &io::Error) -> CommandError {
        match error.kind() {
            io::ErrorKind::BrokenPipe => CommandError::new(""),
            _ => CommandError::new(format!("cannot write the results: {error}")),
        }
    }

    /// Writes it to stderr.
    pub fn print(&self) {
        if !self.message.is_empty() {
            output::tell(self);
        }
    }
}

impl CommandError {
    /// What happened and what to try, for where `error: ` is put before it anyway.
    pub fn text(&self) -> String {
        let hint = self.hint.iter().map(|hint| format!("\nhint: {hint}"));
        std::iter::once(self.message.clone()).chain(hint).collect()
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_to_try_next() {
        let error = CommandError::usage("there is no '@'").hint("write AET@host:port");
        assert_eq!(error.exit, Exit::Usage);
        assert_eq!(error.to_string(), "error: there is no '@'\nhint: write AET@host:port");
    }
}
