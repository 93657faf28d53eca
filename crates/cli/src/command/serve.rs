//! `dicomet serve`: the archive on the network, in the foreground. Here the command line, the environment and the
//! configuration become settings, and SIGHUP a new table of nodes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::{Path, PathBuf};
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
use tokio::sync::oneshot;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::archive_args::{ArchiveArgs, DEFAULT_DATA, open_archive};
use crate::config::{self, Loaded};
use crate::exit::{CommandError, Exit};
use crate::node_args::DEFAULT_AET;
use crate::output;

/// Be an archive that others find, get, move and store with
///
/// Runs in the foreground until SIGTERM or Ctrl-C, and then lets running operations end; asked again, it cuts them off.
/// When it is ready, one line
/// `listening on ADDR:PORT as AET, data in DIR` goes to stderr; then a line per association and operation, without
/// patient data.
///
/// The configuration (TOML) has the table of nodes: who may call from where and do what, and where instances may be
/// moved to. Without a table everybody is let in, and only 127.0.0.1 is listened on. With one, nobody else is.
/// SIGHUP reads it again; associations that are there go on. What stands on the command line wins over DICOMET_...
/// in the environment, and that over the file. docs/operations.md describes the file.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The configuration; else ./dicomet.toml, else that in ~/.config/dicomet, else that in /etc/dicomet, else none
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
    #[arg(long, env = "DICOMET_CHECK_CALLED", value_name = "true|false", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = BoolishValueParser::new())]
    check_called: Option<bool>,

    /// Let everybody in whom the table does not name, to do everything, also from other machines
    #[arg(long, env = "DICOMET_OPEN", value_name = "true|false", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = BoolishValueParser::new())]
    open: Option<bool>,

    /// Associations at a time [default: 200]
    #[arg(long, env = "DICOMET_MAX_ASSOCIATIONS", value_name = "N")]
    max_associations: Option<NonZeroU32>,

    /// Associations at a time of one host [default: three quarters of all]
    #[arg(long, env = "DICOMET_MAX_ASSOCIATIONS_PER_HOST", value_name = "N")]
    max_associations_per_host: Option<NonZeroU32>,

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

    #[arg(skip)]
    logs_json: bool,
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
        let log = entry.and_then(|entry| entry.log.as_ref()).map(|Text(filter)| filter.as_str().to_owned());
        let format = entry.and_then(|entry| entry.log_format);
        self.loaded = loaded;
        Ok((log, format))
    }

    /// Says how the log is written.
    pub fn log_as(&mut self, format: LogFormat) {
        self.logs_json = format == LogFormat::Json;
    }

    /// Takes from the file what was not given.
    fn fill(&mut self, entry: &ServeEntry) {
        self.data = self.data.take().or_else(|| entry.data.clone());
        self.listen = self.listen.or(entry.listen);
        self.aet = self.aet.take().or_else(|| entry.aet.clone().map(|Text(aet)| aet));
        self.check_called = self.check_called.or(entry.called.map(|called| called == Called::Own));
        self.open = self.open.or(entry.open);
        self.max_associations = self.max_associations.or(entry.max_associations);
        self.max_associations_per_host = self.max_associations_per_host.or(entry.max_associations_per_host);
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
            None => AeTitle::new(DEFAULT_AET).map_err(CommandError::usage)?,
        };
        let mut settings = Settings::new(aet);
        let entry = ServeEntry {
            called: self.check_called.map(|own| if own { Called::Own } else { Called::Any }),
            max_associations: self.max_associations,
            max_associations_per_host: self.max_associations_per_host,
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
    /// Whether everybody on this machine is let in, for nobody is named.
    fn is_without_a_table(&self, config: &Config) -> bool {
        config.nodes.is_empty() && self.listen.ip().is_loopback()
    }

    /// The table of nodes. Beyond loopback nobody is let in whom it does not name, unless that was asked for.
    fn table(&self, config: &Config) -> Result<Nodes, CommandError> {
        let is_beyond_loopback = !self.listen.ip().is_loopback();
        if is_beyond_loopback && !self.open && config.nodes.is_empty() && self.more.is_empty() {
            return Err(CommandError::usage(format!(
                "{} can be reached from other machines, and there is no table of nodes to say who may call",
                self.listen
            ))
            .hint(
                "put nodes into the configuration (dicomet node add), listen on 127.0.0.1, \
                 or say --open if everybody there may find, get, move and store",
            ));
        }
        let strangers = match self.open || self.is_without_a_table(config) {
            true => Strangers::Admitted,
            false => Strangers::Rejected,
        };
        config.table(&self.more, strangers).map_err(CommandError::usage)
    }
}

pub async fn run(args: ServeArgs) -> Result<ExitCode, CommandError> {
    // Before anything takes its time: a signal that nobody has asked for ends the process.
    let Signals { mut stop, hangup } = Signals::catch()?;
    let listen = args.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 11112)));
    let doors = Doors { listen, open: args.open == Some(true), more: args.nodes.clone() };
    let no_config = Config::default();
    let nodes = doors.table(args.loaded.as_ref().map_or(&no_config, |loaded| &loaded.config))?;
    let settings = args.settings(nodes)?;
    let data = args.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
    let archive = tokio::select! {
        opened = open_archive(data.clone(), args.archive.settings()) => opened?,
        // What opening does can be cut off anywhere, as by a crash.
        () = stop.asked() => return Ok(Exit::Done.into()),
    };
    let listener = Listener::bind(listen, Timeouts::default()).await.map_err(|error| {
        CommandError::new(format!("cannot listen on {listen}: {error}"))
            .hint("try another port, such as --listen 127.0.0.1:0 for a free one")
    })?;
    tell_ready(&args, &listener, &settings, &data);
    let server = Server::new(archive, settings);
    // The second time, nobody wants to wait.
    let (first, asked_first) = oneshot::channel();
    let (second, asked_again) = oneshot::channel();
    let asked = async {
        stop.asked().await;
        let _ = first.send(());
        stop.asked().await;
        let _ = second.send(());
        std::future::pending().await
    };
    let (shutdown, at_once) = (async { drop(asked_first.await) }, async { drop(asked_again.await) });
    tokio::select! {
        () = server.serve_until(listener, shutdown, at_once) => {}
        never = asked => match never {},
        never = reload(&server, &doors, args.loaded, hangup) => match never {},
    }
    Ok(Exit::Done.into())
}

/// The one line that says that it is ready; it is there whatever is logged, in the form of the log.
fn tell_ready(args: &ServeArgs, listener: &Listener, settings: &Settings, data: &Path) {
    let (address, aet) = (listener.local_address(), &settings.ae_title);
    let line = format!("listening on {address} as {aet}, data in {}", data.display());
    if !args.logs_json {
        output::tell(line);
        return;
    }
    let mut timestamp = String::new();
    // Writing into memory does not fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let fields = serde_json::json!({ "message": line });
    let line =
        serde_json::json!({ "timestamp": timestamp, "level": "INFO", "fields": fields, "target": "dicomet" });
    output::tell(line);
}

/// The signals of a service.
struct Signals {
    stop: Stop,
    hangup: Signal,
}

/// SIGTERM and Ctrl-C.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn catch() -> Result<Signals, CommandError> {
        let (terminate, interrupt) = (caught(SignalKind::terminate())?, caught(SignalKind::interrupt())?);
        Ok(Signals { stop: Stop { terminate, interrupt }, hangup: caught(SignalKind::hangup())? })
    }
}

impl Stop {
    /// Waits until somebody wants it to stop, once more.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn caught(kind: SignalKind) -> Result<Signal, CommandError> {
    signal(kind).map_err(|error| CommandError::new(format!("cannot catch signals: {error}")))
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
            tracing::warn!("there is no configuration to read again: there was none at the start");
            continue;
        };
        let again = config::read(before.file.clone());
        let table = again.and_then(|again| Ok((doors.table(&again.config)?, again)));
        match table {
            Ok((nodes, again)) => {
                tracing::info!(nodes = nodes.iter().count(), "the table of nodes was read again");
                if doors.is_without_a_table(&again.config) && !doors.open {
                    tracing::warn!(
                        "the table of nodes is empty: everybody on this machine is let in, with all rights"
                    );
                }
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

    /// What the command line (or, alike, the environment) and then a file make of the settings.
    fn filled(words: &[&str], file: &str) -> ServeArgs {
        use clap::Parser;
        #[derive(Parser)]
        struct Only {
            #[command(flatten)]
            serve: ServeArgs,
        }
        let mut args = Only::parse_from([&["serve"], words].concat()).serve;
        args.fill(&Config::parse(file, "dicomet.toml").unwrap().serve);
        args
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let file = "[serve]\naet = \"FILE\"\ngrace = 99\nmax_associations = 8\nlisten = \"127.0.0.1:1\"\nsop_classes = \"any\"\n";
        let args = filled(&["--aet", "OURS", "--sop-classes", "standard", "--grace", "3"], file);
        let settings = args.settings(Nodes::default()).unwrap();
        assert_eq!(settings.ae_title.as_str(), "OURS");
        assert_eq!(settings.grace.as_secs(), 3);
        assert_eq!(settings.sop_classes, dicomet_server::settings::SopClasses::Standard);
        assert_eq!((settings.max_associations, settings.max_associations_per_host()), (8, 6));
        assert_eq!(args.listen, Some("127.0.0.1:1".parse().unwrap()));
    }

    #[test]
    fn what_the_file_allows_can_be_forbidden_again() {
        use dicomet_archive::Absent;
        use dicomet_server::settings::CalledAeTitles;
        let said = |args: &ServeArgs| {
            let settings = args.settings(Nodes::default()).unwrap();
            (args.open == Some(true), settings.called, args.archive.settings().absent)
        };
        let yes = "[serve]\nopen = true\ncalled = \"own\"\nexisting = true\n";
        let no = "[serve]\nopen = false\ncalled = \"any\"\nexisting = false\n";
        let all = (true, CalledAeTitles::Own, Absent::Refuse);
        let none = (false, CalledAeTitles::Any, Absent::Create);
        assert_eq!(said(&filled(&[], yes)), all);
        assert_eq!(said(&filled(&["--open=false", "--check-called=no", "--existing=0"], yes)), none);
        assert_eq!(said(&filled(&[], no)), none);
        assert_eq!(said(&filled(&["--open", "--check-called", "--existing=true"], no)), all);
        assert_eq!(said(&filled(&[], "")), none);
    }
}
