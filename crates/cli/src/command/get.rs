//! `dicomet get`.

use std::process::ExitCode;

use crate::exit::CommandError;

/// Bring studies home, completely
#[derive(Debug, clap::Args)]
pub struct GetArgs {}

pub async fn run(args: GetArgs) -> Result<ExitCode, CommandError> {
    let GetArgs {} = args;
    Err(CommandError::new("not built yet"))
}
