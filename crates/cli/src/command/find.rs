//! `dicomet find`.

use std::process::ExitCode;

use crate::exit::CommandError;

/// Find studies on a peer
#[derive(Debug, clap::Args)]
pub struct FindArgs {}

pub async fn run(args: FindArgs) -> Result<ExitCode, CommandError> {
    let FindArgs {} = args;
    Err(CommandError::new("not built yet"))
}
