//! `dicomet serve`: the archive on the network, in the foreground. Here the command line, the environment and the
//! configuration become settings, and SIGHUP a new table of nodes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::BoolishValueParser;
use dicomet_net::Node;
use dicomet_net::association::Timeouts;
use dicomet_net::listen::Listener;
use dicomet_proto::AeTitle;
use dicomet_server::config::{Called, Config, LogFormat, ServeEntry, Stored, Text};
use dicomet_server::nodes::Strangers;
use dicomet_server::{Nodes, Server, Settings};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::archive_args::{ArchiveArgs, open_archive};
use crate::config::{self, Loaded};
use crate::exit::{CommandError, Exit};

/// Be an archive that others find, get, move and store with
///
/// Runs in the foreground until SIGTERM or Ctrl-C, and then lets running operations end. When it is ready, one line
/// `listening on ADDR:PORT as AET, data in DIR` goes to stderr; then a line per association and operation, without
/// patient data.
///
/// The configuration (TOML) has the table of nodes: who may call from where and do what, and where instances may be
/// moved to. Without a table everybody is let in, and only 127.0.0.1 is listened on. With one, nobody else is.
/// SIGHUP reads it again; associations that are there go on. What stands on the command line wins over DICOMET_...
/// in the environment, and that over the file. docs/operations.md describes the file.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The configuration; else ./dicomet.toml, else that in ~/.config/dicomet, else none
    #[arg(long, env = "DICOMET_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// The folder of the archive; made when it is not there [default: dicomet-data]
    #[arg(long, env = "DICOMET_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:11112]
    #[arg(long, env = "DICOMET_LISTEN", value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,

    /// Our AE title [default: DICOMET]
    #[arg(long, env = "DICOMET_AET", value_name = "AET")]
    aet: Option<AeTitle>,

    /// A node beside those of the configuration: it may do everything, and be moved to; may be given several times
    #[arg(long = "node", value_name = "AET@host:port")]
    nodes: Vec<Node>,

    /// Reject associations that call another AE title than ours
    #[arg(long, env = "DICOMET_CHECK_CALLED", value_parser = BoolishValueParser::new())]
    check_called: bool,

    /// Let everybody in whom the table does not name, to do everything, also from other machines
    #[arg(long, env = "DICOMET_OPEN", value_parser = BoolishValueParser::new())]
    open: bool,

    /// Associations at a time [default: 200]
    #[arg(long, env = "DICOMET_MAX_ASSOCIATIONS", value_name = "N")]
    max_associations: Option<NonZeroU32>,

    /// The largest asynchronous operations window that is granted [default: 1024]
    #[arg(long, env = "DICOMET_MAX_WINDOW", value_name = "N")]
    max_window: Option<NonZeroU16>,

    /// Which SOP classes are stored [default: any]
    #[arg(long, env = "DICOMET_SOP_CLASSES", value_enum)]
    sop_classes: Option<SopClassesArg>,

    /// Seconds that running operations have to end after SIGTERM [default: 10]
    #[arg(long, env = "DICOMET_GRACE", value_name = "SECONDS")]
    grace: Option<u32>,

    /// Seconds to the second try of a storage commitment report; the pause doubles, up to an hour [default: 10]
    #[arg(long, env = "DICOMET_REPORT_PAUSE", value_name = "SECONDS")]
    report_pause: Option<NonZeroU32>,

    /// Tries after which a storage commitment report is given up [default: 32]
    #[arg(long, env = "DICOMET_REPORT_TRIES", value_name = "N")]
    report_tries: Option<NonZeroU32>,

    #[command(flatten)]
    archive: ArchiveArgs,

    #[arg(skip)]
    loaded: Option<Loaded>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum SopClassesArg {
    /// Those of the standard, and private ones
    Any,
    /// Those of the standard; private ones are refused in negotiation
    Standard,
}

impl ServeArgs {
    /// Reads the configuration, and puts over it what the command line and the environment say. Says what to log, and
    /// how.
    pub fn prepare(&mut self) -> Result<(Option<String>, Option<LogFormat>), CommandError> {
        let mut loaded = config::load(self.config.as_deref())?;
        if let Some(loaded) = &mut loaded {
            self.fill(&loaded.config.serve);
        }
        let entry = loaded.as_ref().map(|loaded| &loaded.config.serve);
        let log = entry.and_then(|entry| entry.log.clone());
        let format = entry.and_then(|entry| entry.log_format);
        self.loaded = loaded;
        Ok((log, format))
    }

    /// Takes from the file what was not given.
    fn fill(&mut self, entry: &ServeEntry) {
        self.data = self.data.take().or_else(|| entry.data.clone());
        self.listen = self.listen.or(entry.listen);
        self.aet = self.aet.take().or_else(|| entry.aet.clone().map(|Text(aet)| aet));
        self.check_called |= entry.called == Some(Called::Own);
        self.open |= entry.open == Some(true);
        self.max_associations = self.max_associations.or(entry.max_associations);
        self.max_window = self.max_window.or(entry.max_window);
        let of_entry = |stored| match stored {
            Stored::Any => SopClassesArg::Any,
            Stored::Standard => SopClassesArg::Standard,
        };
        self.sop_classes = self.sop_classes.or(entry.sop_classes.map(of_entry));
        self.grace = self.grace.or(entry.grace);
        self.report_pause = self.report_pause.or(entry.report_pause);
        self.report_tries = self.report_tries.or(entry.report_tries);
        self.archive.fill(entry);
    }

    fn settings(&self, nodes: Nodes) -> Result<Settings, CommandError> {
        let aet = match &self.aet {
            Some(aet) => aet.clone(),
            None => AeTitle::new("DICOMET").map_err(CommandError::usage)?,
        };
        let mut settings = Settings::new(aet);
        let entry = ServeEntry {
            called: self.check_called.then_some(Called::Own),
            max_associations: self.max_associations,
            max_window: self.max_window,
            grace: self.grace,
            sop_classes: self.sop_classes.map(|stored| match stored {
                SopClassesArg::Any => Stored::Any,
                SopClassesArg::Standard => Stored::Standard,
            }),
            report_pause: self.report_pause,
            report_tries: self.report_tries,
            ..ServeEntry::default()
        };
        entry.apply(&mut settings);
        settings.nodes = nodes;
        Ok(settings)
    }
}

/// Who is let in, by what the configuration and the command line say.
struct Doors {
    listen: SocketAddr,
    open: bool,
    more: Vec<Node>,
}

impl Doors {
    /// The table of nodes. Beyond loopback nobody is let in whom it does not name, unless that was asked for.
    fn table(&self, config: &Config) -> Result<Nodes, CommandError> {
        let loopback = self.listen.ip().is_loopback();
        if !loopback && !self.open && config.nodes.is_empty() && self.more.is_empty() {
            return Err(CommandError::usage(format!(
                "{} can be reached from other machines, and there is no table of nodes to say who may call",
                self.listen
            ))
            .hint(
                "put nodes into the configuration (dicomet node add), listen on 127.0.0.1, \
                 or say --open if everybody there may find, get, move and store",
            ));
        }
        let strangers = match config.nodes.is_empty() && loopback || self.open {
            true => Strangers::Admitted,
            false => Strangers::Rejected,
        };
        config.table(&self.more, strangers).map_err(CommandError::usage)
    }
}

pub async fn run(args: ServeArgs) -> Result<ExitCode, CommandError> {
    let listen = args.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 11112)));
    let doors = Doors { listen, open: args.open, more: args.nodes.clone() };
    let no_config = Config::default();
    let nodes = doors.table(args.loaded.as_ref().map_or(&no_config, |loaded| &loaded.config))?;
    let settings = args.settings(nodes)?;
    let data = args.data.clone().unwrap_or_else(|| PathBuf::from("dicomet-data"));
    let archive = open_archive(data.clone(), args.archive.settings()).await?;
    // Caught before anybody can know that we run.
    let mut terminate = caught(SignalKind::terminate(), "SIGTERM")?;
    let hangup = caught(SignalKind::hangup(), "SIGHUP")?;
    let listener = Listener::bind(listen, Timeouts::default()).await.map_err(|error| {
        CommandError::new(format!("cannot listen on {listen}: {error}"))
            .hint("try another port, such as --listen 127.0.0.1:0 for a free one")
    })?;
    eprintln!(
        "listening on {} as {}, data in {}",
        listener.local_address(),
        settings.ae_title,
        data.display()
    );
    let server = Server::new(archive, settings);
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    tokio::select! {
        () = server.serve(listener, shutdown) => {}
        never = reload(&server, &doors, args.loaded, hangup) => match never {},
    }
    Ok(Exit::Done.into())
}

fn caught(kind: SignalKind, name: &str) -> Result<Signal, CommandError> {
    signal(kind).map_err(|error| CommandError::new(format!("cannot catch {name}: {error}")))
}

/// Reads the table of nodes again at each SIGHUP. A file that cannot be used changes nothing.
async fn reload(
    server: &Server,
    doors: &Doors,
    mut loaded: Option<Loaded>,
    mut hangup: Signal,
) -> Infallible {
    loop {
        if hangup.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        let Some(before) = &mut loaded else {
            tracing::warn!("there is no configuration to read again");
            continue;
        };
        let again = config::read(before.file.clone());
        let table = again.and_then(|again| Ok((doors.table(&again.config)?, again)));
        match table {
            Ok((nodes, again)) => {
                tracing::info!(nodes = nodes.iter().count(), "the table of nodes was read again");
                if again.config.serve != before.config.serve {
                    tracing::warn!("what has changed in [serve] holds from the next start");
                }
                server.replace_nodes(nodes);
                before.config.nodes = again.config.nodes;
            }
            Err(error) => {
                // A line in the log, where the error shows the place in the file over several.
                let words = error.text().to_string();
                let words: Vec<&str> = words.split_whitespace().collect();
                tracing::error!(
                    "the configuration cannot be used, the one before goes on: {}",
                    words.join(" ")
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "[[node]]\nname = \"ct\"\naet = \"CT\"\nfrom = [\"192.0.2.0/24\"]\n";

    fn doors(listen: &str, open: bool, more: &[&str]) -> Doors {
        let more = more.iter().map(|node| node.parse().unwrap()).collect();
        Doors { listen: listen.parse().unwrap(), open, more }
    }

    async fn a_stranger_may_call(doors: &Doors, config: &str) -> bool {
        let config = Config::parse(config, "dicomet.toml").unwrap();
        let nodes = doors.table(&config).unwrap();
        nodes.admit(&AeTitle::new("WHO").unwrap(), None, None).await.is_ok()
    }

    #[tokio::test]
    async fn strangers_are_let_in_on_loopback_without_a_table_and_where_it_is_open() {
        let loopback = doors("127.0.0.1:0", false, &["VIEWER@127.0.0.1:104"]);
        assert!(a_stranger_may_call(&loopback, "").await);
        assert!(!a_stranger_may_call(&loopback, TABLE).await);
        let network = doors("0.0.0.0:0", false, &["VIEWER@127.0.0.1:104"]);
        assert!(!a_stranger_may_call(&network, "").await);
        let open = doors("0.0.0.0:0", true, &[]);
        assert!(a_stranger_may_call(&open, TABLE).await);
    }

    #[test]
    fn beyond_loopback_somebody_must_be_named() {
        let error = doors("0.0.0.0:0", false, &[]).table(&Config::default()).unwrap_err();
        assert!(error.to_string().contains("--open"), "{error}");
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        use clap::Parser;
        #[derive(Parser)]
        struct Only {
            #[command(flatten)]
            serve: ServeArgs,
        }
        let mut args =
            Only::parse_from(["serve", "--aet", "OURS", "--sop-classes", "standard", "--grace", "3"]).serve;
        let file = "[serve]\naet = \"FILE\"\ngrace = 99\nmax_associations = 7\nlisten = \"127.0.0.1:1\"\nsop_classes = \"any\"\n";
        args.fill(&Config::parse(file, "dicomet.toml").unwrap().serve);
        let settings = args.settings(Nodes::default()).unwrap();
        assert_eq!(settings.ae_title.as_str(), "OURS");
        assert_eq!(settings.grace.as_secs(), 3);
        assert_eq!(settings.sop_classes, dicomet_server::settings::SopClasses::Standard);
        assert_eq!(settings.max_associations, 7);
        assert_eq!(args.listen, Some("127.0.0.1:1".parse().unwrap()));
    }
}
