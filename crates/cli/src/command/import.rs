//! `dicomet import`.

use std::process::ExitCode;

use crate::exit::CommandError;

/// Bring files into an archive without a network
#[derive(Debug, clap::Args)]
pub struct ImportArgs {}

pub async fn run(args: ImportArgs) -> Result<ExitCode, CommandError> {
    let ImportArgs {} = args;
    Err(CommandError::new("not built yet"))
}
