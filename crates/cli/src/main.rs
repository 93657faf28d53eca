//! The binary `dicomet`: reads the command line, sets up the log, runs one command, turns its outcome into an
//! exit status. Results go to stdout; progress, log and errors go to stderr.
//!
//! The modules, in the order to read them:
//!
//! - [`command`]: the subcommands, one a file;
//! - [`config`]: where the configuration is, and peers by name;
//! - [`node_args`], [`query_args`], [`archive_args`]: arguments that several commands share;
//! - [`output`], [`progress`]: what a program or a person sees;
//! - [`exit`]: exit status and error text.

// In a binary every `pub` is unreachable from outside; here it says "used by other modules".
#![allow(unreachable_pub)]
#![cfg_attr(test, allow(clippy::unwrap_used))]
// They panic where stdout and stderr cannot be written; `output::line` and `output::tell` do not.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod archive_args;
mod command;
mod config;
mod exit;
mod interrupts;
mod node_args;
mod output;
mod progress;
mod query_args;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use dicomet_server::config::LogFilter;
use tracing_subscriber::EnvFilter;

use exit::{CommandError, Exit};

/// How long the process waits, once its command has ended, for threads that still read or write: a disk that does not
/// answer must not keep it for ever. What they were at is then as after a crash, which loses nothing.
const LEAVE: Duration = Duration::from_secs(2);

/// Find DICOM studies on any PACS and bring them home, completely; or be an archive
///
/// NODE is AET@host:port, or a name from the configuration. Results go to stdout, progress and log to stderr.
///
/// Exit status: 0 done and complete; 1 failed; 2 wrong usage; 3 done in part.
#[derive(Debug, Parser)]
#[command(name = "dicomet", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: command::Command,

    /// What to log to stderr: error, warn, info, debug, trace, or a filter such as dicomet_net=debug [default: warn;
    /// of serve: info]
    #[arg(long, global = true, value_name = "FILTER", env = "DICOMET_LOG")]
    log: Option<LogFilter>,

    /// How the log is written [default: text]
    #[arg(long, global = true, value_enum, value_name = "FORMAT", env = "DICOMET_LOG_FORMAT")]
    log_format: Option<LogFormat>,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    /// Lines for people
    Text,
    /// Lines of JSON
    Json,
}

fn main() -> ExitCode {
    let mut cli = Cli::parse();
    match start_log(&mut cli) {
        Ok(()) => {}
        Err(error) => {
            error.print();
            return error.exit.into();
        }
    }
    let runtime = match cli.command.runtime().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::tell(format_args!("error: cannot start: {error}"));
            return Exit::Failed.into();
        }
    };
    let code = match runtime.block_on(cli.command.run()) {
        Ok(code) => code,
        Err(error) => {
            error.print();
            error.exit.into()
        }
    };
    runtime.shutdown_timeout(LEAVE);
    code
}

/// What a panic says may quote a data set: the log of a service has where it was, and no more.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        let thread = std::thread::current().name().map(str::to_owned);
        tracing::error!(place, thread, "a fault of ours: panic");
    }));
}

/// The log goes to stderr; in colours only where somebody looks at it. A service tells what it does by itself.
fn start_log(cli: &mut Cli) -> Result<(), CommandError> {
    let (mut default, mut format) = ("warn".to_owned(), cli.log_format.unwrap_or(LogFormat::Text));
    if let command::Command::Serve(args) = &mut cli.command {
        let (of_file, format_of_file) = args.prepare()?;
        default = of_file.unwrap_or_else(|| "info".to_owned());
        format = match (cli.log_format, format_of_file) {
            (Some(format), _) => format,
            (None, Some(dicomet_server::config::LogFormat::Json)) => LogFormat::Json,
            (None, _) => LogFormat::Text,
        };
        args.log_as(match format {
            LogFormat::Text => dicomet_server::config::LogFormat::Text,
            LogFormat::Json => dicomet_server::config::LogFormat::Json,
        });
        log_panics();
    }
    let filter = cli.log.as_ref().map_or(default.as_str(), LogFilter::as_str);
    let filter = EnvFilter::try_new(filter).map_err(CommandError::usage)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // They would be told to stderr, which panics when the log cannot be written there either.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
