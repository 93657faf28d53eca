//! The binary `dicomet`: reads the command line, sets up the log, runs one command, turns its outcome into an
//! exit status. Results go to stdout; progress, log and errors go to stderr.
//!
//! The modules, in the order to read them:
//!
//! - [`command`]: the subcommands, one a file;
//! - [`node_args`], [`query_args`], [`archive_args`]: arguments that several commands share;
//! - [`output`], [`progress`]: what a program or a person sees;
//! - [`exit`]: exit status and error text.

// In a binary every `pub` is unreachable from outside; here it says "used by other modules".
#![allow(unreachable_pub)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod archive_args;
mod command;
mod exit;
mod interrupts;
mod node_args;
mod output;
mod progress;
mod query_args;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use exit::Exit;

/// Find DICOM studies on any PACS and bring them home, completely; or be an archive
///
/// NODE is AET@host:port. Results go to stdout, progress and log to stderr.
///
/// Exit status: 0 done and complete; 1 failed; 2 wrong usage; 3 done in part.
#[derive(Debug, Parser)]
#[command(name = "dicomet", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: command::Command,

    /// What to log to stderr: error, warn, info, debug, trace, or a filter such as dicomet_net=debug
    #[arg(long, global = true, value_name = "FILTER", env = "DICOMET_LOG", default_value = "warn")]
    log: String,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = match EnvFilter::try_new(&cli.log) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("error: '{}' is no log filter: {error}", cli.log);
            eprintln!("hint: try --log debug");
            return Exit::Usage.into();
        }
    };
    let is_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal)
        .with_writer(std::io::stderr)
        .init();
    let runtime = match cli.command.runtime().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return Exit::Failed.into();
        }
    };
    match runtime.block_on(cli.command.run()) {
        Ok(code) => code,
        Err(error) => {
            error.print();
            error.exit.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
