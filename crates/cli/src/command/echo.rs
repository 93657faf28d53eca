//! `dicomet echo`.

use std::process::ExitCode;

use crate::exit::CommandError;

/// Ask a peer whether it is there
#[derive(Debug, clap::Args)]
pub struct EchoArgs {}

pub async fn run(args: EchoArgs) -> Result<ExitCode, CommandError> {
    let EchoArgs {} = args;
    Err(CommandError::new("not built yet"))
}
