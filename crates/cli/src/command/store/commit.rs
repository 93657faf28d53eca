//! `dicomet store --commit`: asks the peer to answer for what was sent, file by file.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use dicomet_net::commit::{Commit, CommitError, Options, Outcome};
use dicomet_net::retrieve::Stop;
use dicomet_net::store::{Event, Remark};
use dicomet_proto::commitment::Reference;
use tokio::sync::watch;

use crate::node_args::NodeArgs;
use crate::output;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Storage commitment")]
pub struct CommitArgs {
    /// After sending, ask the peer to answer for the instances, and say what it answers for and what not
    #[arg(long)]
    pub commit: bool,

    /// Seconds to wait for the peer's report
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "commit")]
    commit_wait: u64,

    /// Where to listen for a report on an association of the peer's own; it must know our AE title with this address
    /// and port
    #[arg(long, value_name = "ADDR:PORT", requires = "commit")]
    receive: Option<SocketAddr>,
}

/// What was sent, by instance; the same instance may be in several files.
#[derive(Debug, Default)]
pub struct SentFiles(HashMap<Reference, Vec<PathBuf>>);

/// What the peer answers for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Files whose instance is committed.
    pub files: u64,
    /// Files whose instance is not, with the reason.
    pub failures: Vec<Remark>,
    /// Why the asking ended early, or was not possible.
    pub error: Option<String>,
}

impl SentFiles {
    /// Notes what the peer has confirmed.
    pub fn note(&mut self, event: &Event) {
        if let Event::Sent(sent) = event {
            let (sop_class, sop_instance) = (sent.sop_class.clone(), sent.sop_instance.clone());
            self.0.entry(Reference { sop_class, sop_instance }).or_default().push(sent.path.clone());
        }
    }

    /// How many instances these are, in words.
    pub fn count(&self) -> String {
        output::count(self.0.len() as u64, "instance", "instances")
    }

    /// Asks the peer to answer for it, and waits for what it says.
    pub async fn commit(
        self,
        node: &NodeArgs,
        args: &CommitArgs,
        stop: watch::Receiver<Stop>,
    ) -> Result<Committed, CommitError> {
        if self.0.is_empty() {
            return Ok(Committed::default());
        }
        let patience = Duration::from_secs(args.commit_wait);
        let options = Options { caller: node.caller(), patience, receive: args.receive };
        let mut references: Vec<Reference> = self.0.keys().cloned().collect();
        references.sort_by(|a, b| a.sop_instance.cmp(&b.sop_instance));
        let asking = Commit::new(node.node.clone(), references, options).stop_by(stop.clone());
        let outcome = asking.run().await?;
        let is_stopped = *stop.borrow() != Stop::No;
        Ok(self.judge(outcome, args, is_stopped))
    }

    fn judge(mut self, outcome: Outcome, args: &CommitArgs, is_stopped: bool) -> Committed {
        let mut committed = Committed::default();
        for reference in outcome.committed {
            committed.files += self.0.remove(&reference).map_or(0, |paths| paths.len() as u64);
        }
        let failed = outcome.failed.into_iter();
        let failed = failed.map(|(reference, reason)| (reference, format!("the peer answered {reason}")));
        let left_out = outcome.left_out.into_iter();
        let left_out = left_out.map(|reference| (reference, LEFT_OUT.to_owned()));
        let left_out_count = left_out.len();
        let unreported = outcome.unreported.into_iter();
        let unreported = unreported.map(|reference| (reference, "the peer did not report it".to_owned()));
        let has_unreported = unreported.len() > 0;
        for (reference, reason) in failed.chain(left_out).chain(unreported) {
            let paths = self.0.remove(&reference).unwrap_or_default();
            committed.failures.extend(paths.into_iter().map(|path| Remark { path, reason: reason.clone() }));
        }
        let unheard = match outcome.error {
            Some(error) => Some(format!("storage commitment: {error}")),
            None if has_unreported && is_stopped => Some("ended before the peer reported".to_owned()),
            None if has_unreported => Some(no_report(args)),
            None => None,
        };
        let incomplete = (left_out_count > 0).then(|| incomplete_report(left_out_count));
        let said: Vec<String> = incomplete.into_iter().chain(unheard).collect();
        committed.error = (!said.is_empty()).then(|| said.join("; "));
        committed
    }
}

/// Why an instance of which the report says nothing is not committed.
const LEFT_OUT: &str = "the peer's report leaves it out, or has it under another SOP class";

/// What came of instances that are in neither list.
fn incomplete_report(left_out: usize) -> String {
    let instances = output::count(left_out as u64, "instance", "instances");
    format!("the peer's report came and leaves out {instances}; whether it has them, dicomet find shows")
}

/// What to try when nothing came.
fn no_report(args: &CommitArgs) -> String {
    let seconds = args.commit_wait;
    match args.receive {
        None => format!(
            "no report within {seconds} s on the association that asked; a peer that reports on one of its own needs \
             --receive, and our AE title with that address and port in its configuration"
        ),
        Some(address) => format!(
            "no report within {seconds} s; does the peer know our AE title with this address and the port {}?",
            address.port()
        ),
    }
}

#[cfg(test)]
mod tests {
    use dicomet_proto::Uid;
    use dicomet_proto::dataset::dictionary::uids;
    use dicomet_proto::message::Status;

    use super::*;

    fn reference(instance: &'static str) -> Reference {
        Reference { sop_class: uids::CT_IMAGE_STORAGE, sop_instance: Uid::from_static(instance) }
    }

    #[test]
    fn each_file_of_an_instance_is_told() {
        let files = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let sent = SentFiles(HashMap::from([
            (reference("2.999.1"), files(&["a", "b"])),
            (reference("2.999.2"), files(&["c"])),
            (reference("2.999.3"), files(&["d"])),
        ]));
        let outcome = Outcome {
            left_out: Vec::new(),
            committed: vec![reference("2.999.1")],
            failed: vec![(reference("2.999.2"), Status::NO_SUCH_SOP_INSTANCE)],
            unreported: vec![reference("2.999.3")],
            error: None,
        };
        let args = CommitArgs { commit: true, commit_wait: 7, receive: None };
        let committed = sent.judge(outcome, &args, false);
        assert_eq!(committed.files, 2);
        let reasons: Vec<_> = committed.failures.iter().map(|failure| failure.reason.as_str()).collect();
        assert_eq!(
            reasons,
            ["the peer answered 0x0112 (no such SOP instance)", "the peer did not report it"]
        );
        assert!(committed.error.is_some_and(|error| error.contains("7 s") && error.contains("--receive")));
    }

    #[test]
    fn a_report_that_leaves_instances_out_has_come_in_time() {
        let judged = |unreported: Vec<Reference>| {
            let files = |name: &str| vec![PathBuf::from(name)];
            let sent = [(reference("2.999.1"), files("a")), (reference("2.999.2"), files("b"))];
            let outcome = Outcome { left_out: vec![reference("2.999.1")], unreported, ..Outcome::default() };
            let args = CommitArgs { commit: true, commit_wait: 3, receive: None };
            SentFiles(HashMap::from(sent)).judge(outcome, &args, false)
        };
        let committed = judged(Vec::new());
        assert_eq!(committed.failures, [Remark { path: PathBuf::from("a"), reason: LEFT_OUT.to_owned() }]);
        let error = committed.error.unwrap();
        assert!(error.contains("leaves out 1 instance") && !error.contains("3 s"), "{error}");
        let error = judged(vec![reference("2.999.2")]).error.unwrap();
        assert!(error.contains("leaves out 1 instance") && error.contains("no report within 3 s"), "{error}");
    }
}
