//! `dicomet serve`.

use std::process::ExitCode;

use crate::exit::CommandError;

/// Be an archive that others find, get and store with
#[derive(Debug, clap::Args)]
pub struct ServeArgs {}

pub async fn run(args: ServeArgs) -> Result<ExitCode, CommandError> {
    let ServeArgs {} = args;
    Err(CommandError::new("not built yet"))
}
