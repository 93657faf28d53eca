//! `dicomet serve`: the archive on the network, in the foreground.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use dicomet_net::Node;
use dicomet_net::association::Timeouts;
use dicomet_net::listen::Listener;
use dicomet_proto::AeTitle;
use dicomet_server::settings::CalledAeTitles;
use dicomet_server::{Nodes, Server, Settings};
use tokio::signal::unix::{SignalKind, signal};

use crate::archive_args::{ArchiveArgs, open_archive};
use crate::exit::{CommandError, Exit};

/// Be an archive that others find, get, move and store with
///
/// Runs in the foreground until SIGTERM or Ctrl-C, and then lets running operations end. When it is ready, one line
/// `listening on ADDR:PORT as AET, data in DIR` goes to stderr. `--log info` shows a line per association and
/// operation.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The folder of the archive; made when it is not there
    #[arg(long, value_name = "DIR", default_value = "dicomet-data")]
    data: PathBuf,

    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:11112")]
    listen: SocketAddr,

    /// Our AE title
    #[arg(long, value_name = "AET", default_value = "DICOMET")]
    aet: AeTitle,

    /// A node that instances may be moved to (C-MOVE), as AET@host:port; may be given several times
    #[arg(long = "node", value_name = "AET@host:port")]
    nodes: Vec<Node>,

    /// Reject associations that call another AE title than ours
    #[arg(long)]
    check_called: bool,

    #[command(flatten)]
    archive: ArchiveArgs,

    /// Let everybody who can reach a non-loopback address find, get and store
    #[arg(long)]
    open: bool,
}

pub async fn run(args: ServeArgs) -> Result<ExitCode, CommandError> {
    if !args.listen.ip().is_loopback() && !args.open {
        return Err(CommandError::usage(format!(
            "{} can be reached from other machines, and everybody there could find, get and store",
            args.listen
        ))
        .hint("listen on 127.0.0.1, or say --open if that is what you want"));
    }
    let nodes = Nodes::new(args.nodes.iter().cloned()).map_err(CommandError::usage)?;
    let archive = open_archive(args.data.clone(), args.archive.settings()).await?;
    // Caught before anybody can know that we run.
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|error| CommandError::new(format!("cannot catch SIGTERM: {error}")))?;
    let listener = Listener::bind(args.listen, Timeouts::default()).await.map_err(|error| {
        CommandError::new(format!("cannot listen on {}: {error}", args.listen))
            .hint("try another port, such as --listen 127.0.0.1:0 for a free one")
    })?;
    let mut settings = Settings::new(args.aet.clone());
    settings.nodes = nodes;
    if args.check_called {
        settings.called = CalledAeTitles::Own;
    }
    eprintln!("listening on {} as {}, data in {}", listener.local_address(), args.aet, args.data.display());
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    Server::new(archive, settings).serve(listener, shutdown).await;
    Ok(Exit::Done.into())
}
