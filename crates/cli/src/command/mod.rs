//! The subcommands, one a file: each has its arguments, whose doc comment is the manual page, and `run`.

mod check;
mod check_output;
mod delete;
mod demo;
mod echo;
mod find;
mod get;
pub mod get_from;
mod import;
mod move_;
mod node;
mod serve;
mod store;
mod worklist;

use std::process::ExitCode;

use tokio::runtime;

use crate::exit::CommandError;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Demo(demo::DemoArgs),
    Echo(echo::EchoArgs),
    Find(find::FindArgs),
    Get(Box<get::GetArgs>),
    Store(store::StoreArgs),
    Move(move_::MoveArgs),
    Serve(Box<serve::ServeArgs>),
    Node(node::NodeArgs),
    Import(import::ImportArgs),
    Check(check::CheckArgs),
    Delete(delete::DeleteArgs),
    Worklist(Box<worklist::WorklistArgs>),
}

impl Command {
    /// The threads it runs on. An archive serves many at a time on all cores. Who brings something home waits for
    /// one peer: on one thread no instance costs the waking of another, which for small ones is most of the time.
    pub fn runtime(&self) -> runtime::Builder {
        match self {
            Command::Demo(_) | Command::Serve(_) => runtime::Builder::new_multi_thread(),
            _ => runtime::Builder::new_current_thread(),
        }
    }

    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, CommandError> {
        match self {
            Command::Demo(args) => demo::run(args).await,
            Command::Echo(args) => echo::run(args).await,
            Command::Find(args) => find::run(args).await,
            Command::Get(args) => get::run(*args).await,
            Command::Store(args) => store::run(args).await,
            Command::Move(args) => move_::run(args).await,
            Command::Serve(args) => serve::run(*args).await,
            Command::Node(args) => node::run(args).await,
            Command::Import(args) => import::run(args).await,
            Command::Check(args) => check::run(args).await,
            Command::Delete(args) => delete::run(args).await,
            Command::Worklist(args) => worklist::run(*args).await,
        }
    }
}
