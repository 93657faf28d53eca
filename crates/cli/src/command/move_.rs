//! `dicomet move`.

use std::io::IsTerminal;
use std::net::{IpAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use dicomet_net::retrieve::{MoveEvent, MoveReport, Moving, RetrieveError, Stop, moving};
use dicomet_net::{Error, Node};
use dicomet_proto::AeTitle;
use dicomet_proto::message::{Counters, Status};
use tokio::sync::watch;

use crate::exit::{CommandError, Exit};
use crate::interrupts::interrupts;
use crate::node_args::NodeArgs;
use crate::output::{self, ReportFormat};
use crate::query_args::WantedArgs;

/// Have the peer send studies to a third party (C-MOVE)
///
/// The peer looks the AE title up in its own table of nodes, so it must know the third party by address and port.
/// Which studies match, and how many instances that is, is asked for first (C-FIND), unless the keys are
/// StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID and nothing else. Keys below the study level narrow what
/// is sent.
///
/// What arrives, only the third party knows: the report has what the peer counts, held against what C-FIND counted.
///
/// Exit status: 0 the peer says that all was sent; 1 nothing was sent; 2 wrong usage; 3 done in part, or the peer counted
/// nothing and it is not known what arrived.
///
/// Examples:
///
///   dicomet move ORTHANC@127.0.0.1:4242 --to VIEWER 'PatientName=Bowen*'
///
///   dicomet move ORTHANC@127.0.0.1:4242 --to ARCHIVE StudyInstanceUID=1.2.3 --format json
#[derive(Debug, clap::Args)]
pub struct MoveArgs {
    #[command(flatten)]
    node: NodeArgs,

    #[command(flatten)]
    wanted: WantedArgs,

    /// The AE title of the third party, as the peer knows it
    #[arg(long, value_name = "AET")]
    to: AeTitle,

    /// Seconds that the peer may take between two responses: many send none before all has gone
    #[arg(long, default_value_t = moving::PATIENCE.as_secs(), value_name = "SECONDS", help_heading = "Timeouts")]
    response_timeout: u64,

    /// How the report is written: text, or one line of JSON
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,

    /// Show nothing while it runs
    #[arg(long, short)]
    quiet: bool,
}

pub async fn run(args: MoveArgs) -> Result<ExitCode, CommandError> {
    let query = args.wanted.named()?;
    let (stop, stopped) = watch::channel(Stop::No);
    let words = ["cancelling; what was sent stays where it is (Ctrl-C again aborts)", "aborting"];
    let interrupts = tokio::spawn(interrupts(stop, words));
    let moving = Moving::new(args.node.node.clone(), query, args.to.clone())
        .caller(args.node.caller())
        .patience(Duration::from_secs(args.response_timeout))
        .stop_by(stopped);
    let mut shown = Shown::new(args.quiet);
    let outcome = moving.run(|event| shown.event(event)).await;
    shown.clear();
    interrupts.abort();
    let report = outcome.map_err(|error| match error {
        RetrieveError::Association(error @ Error::NoPresentationContext { .. }) => {
            CommandError::new(format!("{}: {error}", args.node.node))
                .hint("the peer does not offer C-MOVE, or not to this AE title; dicomet get may work")
        }
        error => args.node.explain_retrieve(&error),
    })?;
    tell(&args, &report)
}

fn tell(args: &MoveArgs, report: &MoveReport) -> Result<ExitCode, CommandError> {
    let details = details(report);
    match args.format {
        ReportFormat::Json => {
            details.iter().for_each(output::tell);
            output::line(serde_json::to_string(report).map_err(CommandError::new)?)?;
        }
        ReportFormat::Text => {
            details.iter().try_for_each(output::line)?;
            output::line(summary(&args.to, report))?;
        }
    }
    end(&args.node, &args.to, report)
}

/// How the command ends by its report.
fn end(node: &NodeArgs, to: &AeTitle, report: &MoveReport) -> Result<ExitCode, CommandError> {
    let sent = report.completed + report.warning;
    if let Some(error) = &report.error {
        return Err(in_part(node.explain(error), sent + report.uncounted));
    }
    if report.status == Some(Status::MOVE_DESTINATION_UNKNOWN) {
        let failure = CommandError::new(format!("{} does not know the move destination {to}", node.node));
        return Err(in_part(failure.hint(who_to_tell(node, to)), sent + report.uncounted));
    }
    if report.uncounted > 0 {
        return Err(in_part(uncounted(node, to, report.uncounted), report.uncounted));
    }
    if sent + report.failed + report.remaining == 0 && report.notes.is_empty() && !report.cancelled {
        return Err(CommandError::new(format!("nothing on {} matches", node.node)).hint(
            "dicomet find with the same keys shows what the peer answers; names often need a * at the end",
        ));
    }
    let exit = match (report.complete, sent) {
        (true, _) => Exit::Done,
        (false, 0) => Exit::Failed,
        (false, _) => Exit::Partial,
    };
    Ok(exit.into())
}

/// The peer ended requests without counters, which it may leave out.
fn uncounted(node: &NodeArgs, to: &AeTitle, requests: u64) -> CommandError {
    let requests = output::count(requests, "request", "requests");
    CommandError::new(format!(
        "{} counted nothing in {requests}: what arrived at {to} is not known",
        node.node
    ))
    .hint(format!(
        "ask {to} what it has, by dicomet find with the same keys; what is missing can be moved again"
    ))
}

/// A failure before which something was sent, or may have been.
fn in_part(mut failure: CommandError, sent: u64) -> CommandError {
    if sent > 0 {
        failure.exit = Exit::Partial;
    }
    failure
}

/// What did not go, and why.
fn details(report: &MoveReport) -> Vec<String> {
    let failed = report.failed_instances.iter().map(|instance| format!("failed {instance}"));
    let mut lines: Vec<String> = failed.collect();
    lines.extend(report.notes.iter().map(|note| format!("note: {}", output::visible(note))));
    lines
}

/// The report in one line for a person.
fn summary(to: &AeTitle, report: &MoveReport) -> String {
    let mut parts = vec![output::count(report.studies, "study", "studies")];
    if let Some(expected) = report.expected {
        parts.push(output::count(expected, "instance", "instances"));
    }
    let as_counted = if report.uncounted > 0 { "counted as sent" } else { "sent" };
    let mut sent = vec![format!("{} {as_counted} to {to}", report.completed + report.warning)];
    for (count, what) in [
        (report.warning, "of them with a warning"),
        (report.failed, "failed"),
        (report.remaining, "not sent"),
    ] {
        if count > 0 {
            sent.push(format!("{count} {what}"));
        }
    }
    if report.uncounted > 0 {
        let requests = output::count(report.uncounted, "request", "requests");
        sent.push(format!("{requests} in which the peer counted nothing"));
    }
    let is_known = report.failed + report.remaining > 0 || report.uncounted == 0;
    let end = match (report.complete, report.cancelled) {
        (true, _) => "complete, as the peer counts",
        (false, true) => "cancelled, not complete",
        (false, false) if is_known => "not complete",
        (false, false) => "not known whether complete",
    };
    format!("{}: {}; {:.2} s; {end}", parts.join(", "), sent.join(", "), report.seconds.as_secs_f64())
}

/// What the administrator of the peer must add, in the words of some peers.
fn who_to_tell(node: &NodeArgs, to: &AeTitle) -> String {
    let is_us = to == node.aet();
    let host =
        own_address(&node.node).filter(|_| is_us).map_or_else(|| "HOST".to_owned(), |ip| ip.to_string());
    let whose = if is_us { "this machine's address and the port" } else { "the address and port" };
    format!(
        "its administrator must add the AE title {to} with {whose} where it listens:\n\
         Orthanc, in DicomModalities:  \"{}\": [\"{to}\", \"{host}\", PORT]\n\
         dcmqrscp, in HostTable:       {} = ({to}, {host}, PORT)\n\
         dicomet serve:                --node {to}@{host}:PORT",
        to.as_str().to_lowercase(),
        to.as_str().to_lowercase().replace(' ', "_"),
    )
}

/// Our address as the peer sees it, if nothing translates it on the way. Sends nothing.
fn own_address(node: &Node) -> Option<IpAddr> {
    let any = if node.host.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect((node.host.as_str(), node.port)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Between two looks on a terminal.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(100);

/// The peer's counters on stderr as they come.
struct Shown {
    is_quiet: bool,
    is_terminal: bool,
    at: Instant,
    expected: Option<u64>,
}

impl Shown {
    fn new(is_quiet: bool) -> Shown {
        Shown { is_quiet, is_terminal: std::io::stderr().is_terminal(), at: Instant::now(), expected: None }
    }

    fn event(&mut self, event: &MoveEvent) {
        match event {
            MoveEvent::Planned { expected, .. } => self.expected = *expected,
            MoveEvent::Counters(counters) => {
                let interval = if self.is_terminal { TERMINAL_INTERVAL } else { LINE_INTERVAL };
                if !self.is_quiet && self.at.elapsed() >= interval {
                    self.at = Instant::now();
                    self.show(&line(counters, self.expected));
                }
            }
            MoveEvent::Ended { .. } => {}
        }
    }

    fn show(&self, line: &str) {
        if self.is_terminal {
            output::tell_in_place(line);
        } else {
            output::tell(line);
        }
    }

    /// Leaves nothing on a terminal.
    fn clear(&self) {
        if self.is_terminal && !self.is_quiet {
            output::tell_in_place("");
        }
    }
}

fn line(counters: &Counters, expected: Option<u64>) -> String {
    let number = |count: Option<u16>| u64::from(count.unwrap_or(0));
    let sent = number(counters.completed) + number(counters.warning);
    let of = expected.map_or_else(String::new, |expected| format!("/{expected}"));
    let mut line = format!("{sent}{of} instances sent");
    for (count, what) in [(counters.failed, "failed"), (counters.remaining, "remaining of this request")] {
        if number(count) > 0 {
            line.push_str(&format!(", {} {what}", number(count)));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node_args::CallArgs;

    #[test]
    fn the_summary_says_complete_only_as_the_peer_counts() {
        let to = AeTitle::new("VIEWER").unwrap();
        let report = MoveReport {
            studies: 1,
            expected: Some(8),
            completed: 6,
            warning: 1,
            failed: 1,
            seconds: Duration::from_millis(1500),
            ..MoveReport::default()
        };
        assert_eq!(
            summary(&to, &report),
            "1 study, 8 instances: 7 sent to VIEWER, 1 of them with a warning, 1 failed; 1.50 s; not complete"
        );
        let report = MoveReport { completed: 8, complete: true, warning: 0, failed: 0, ..report };
        assert!(summary(&to, &report).ends_with("; complete, as the peer counts"));
    }

    #[test]
    fn what_the_peer_did_not_count_is_told_as_not_known() {
        let call = CallArgs { aet: None, connect_timeout: 1, association_timeout: 1, timeout: 1 };
        let node = NodeArgs::new("PEER@127.0.0.1:104".parse().unwrap(), call).unwrap();
        let to = AeTitle::new("VIEWER").unwrap();
        let note = "study 1.2: the peer calls it success and counts nothing".to_owned();
        for expected in [None, Some(2)] {
            let report = MoveReport {
                studies: 1,
                expected,
                uncounted: 1,
                notes: vec![note.clone()],
                ..MoveReport::default()
            };
            let error = end(&node, &to, &report).unwrap_err();
            assert_eq!(error.exit, Exit::Partial);
            let text = error.text();
            assert!(
                text.contains("counted nothing in 1 request: what arrived at VIEWER is not known"),
                "{text}"
            );
            assert!(text.contains("hint: "), "{text}");
            let summary = summary(&to, &report);
            assert!(
                summary.ends_with(
                    ": 0 counted as sent to VIEWER, 1 request in which the peer counted nothing; \
                     0.00 s; not known whether complete"
                ),
                "{summary}"
            );
        }
        let nothing = MoveReport { studies: 1, ..MoveReport::default() };
        let error = end(&node, &to, &nothing).unwrap_err();
        assert_eq!(error.exit, Exit::Failed);
        assert!(error.text().contains("nothing on PEER@127.0.0.1:104 matches"));
    }

    #[test]
    fn counters_are_shown_against_what_was_found() {
        let counters = Counters { remaining: Some(3), completed: Some(4), failed: Some(1), warning: Some(0) };
        assert_eq!(line(&counters, Some(8)), "4/8 instances sent, 1 failed, 3 remaining of this request");
        assert_eq!(line(&Counters::default(), None), "0 instances sent");
    }
}
