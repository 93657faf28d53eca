//! `dicomet demo`.

use std::process::ExitCode;

use crate::exit::CommandError;

/// Show the main job with nothing to set up
#[derive(Debug, clap::Args)]
pub struct DemoArgs {}

pub async fn run(args: DemoArgs) -> Result<ExitCode, CommandError> {
    let DemoArgs {} = args;
    Err(CommandError::new("not built yet"))
}
