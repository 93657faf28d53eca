//! A store over loopback, to an SCP of a few lines that answers as each test says.

use std::path::Path;
use std::sync::{Arc, Mutex};

use dicomet_proto::AeTitle;
use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::Support;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::{CStoreRq, Refusal, Status};
use dicomet_proto::pdu::{
    AssociateRj, AsyncOperationsWindow, ContextResultReason, RejectReason, RejectResult, RoleSelection,
};
use dicomet_testkit::instance::{data_set_of_part10, transfer_syntax};
use dicomet_testkit::study::{Plan, Written};

use super::*;
use crate::association::Timeouts;
use crate::listen::Listener;
use crate::retrieve::associations::Reason;
use crate::service::{self, Request, c_store};

/// What the SCP does with an instance.
enum Reply {
    Say(Result<(), Refusal>),
    /// Says that another instance was stored.
    Other(Uid),
    /// Says nothing until so many wait, then answers them all with success, the last first.
    Gather(usize),
    Abort,
}

const SUCCESS: Reply = Reply::Say(Ok(()));

/// Takes storage in the syntaxes it is told, with a window of 4.
struct Takes(Option<Uid>);

impl Support for Takes {
    fn transfer_syntax(&self, _: &Uid, proposed: &[Uid]) -> Result<Uid, ContextResultReason> {
        let fits = |syntax: &&Uid| self.0.as_ref().is_none_or(|only| only == *syntax);
        proposed.iter().find(fits).cloned().ok_or(ContextResultReason::TransferSyntaxesNotSupported)
    }

    fn roles(&self, asked: &RoleSelection) -> RoleSelection {
        asked.clone()
    }

    fn async_operations_window(&self, asked: AsyncOperationsWindow) -> AsyncOperationsWindow {
        AsyncOperationsWindow { invoked: asked.invoked.min(4), performed: 1 }
    }
}

/// What an SCP has confirmed: UID and data set.
type Stored = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

struct Scp {
    node: Node,
    stored: Stored,
}

impl Scp {
    /// Answers as `reply` says by the number of the association, from 1, and the request.
    async fn start(
        only: Option<Uid>,
        mut reply: impl FnMut(usize, &CStoreRq) -> Reply + Send + 'static,
    ) -> Scp {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Timeouts::default()).await.unwrap();
        let node = format!("SCP@{}", listener.local_address()).parse().unwrap();
        let stored = Stored::default();
        let confirmed = Arc::clone(&stored);
        tokio::spawn(async move {
            for number in 1.. {
                let requested = listener.accept().await.request().await.unwrap();
                let association = requested.accept(&Takes(only.clone())).await.unwrap();
                serve(association, |request| reply(number, request), &confirmed).await;
            }
        });
        Scp { node, stored }
    }

    fn store(&self, files: &Path) -> Store {
        Store::new(self.node.clone(), vec![files.to_owned()])
    }

    fn stored(&self) -> Vec<(String, Vec<u8>)> {
        let mut stored = self.stored.lock().unwrap().clone();
        stored.sort();
        stored
    }
}

async fn serve(
    mut association: crate::Association,
    mut reply: impl FnMut(&CStoreRq) -> Reply,
    stored: &Stored,
) {
    let mut waiting = Vec::new();
    while let Ok(Some(request)) = service::next_request(&mut association).await {
        let Request::Store(context, request) = request else { panic!("no C-STORE: {request:?}") };
        let data = association.receive_data_whole(usize::MAX).await.unwrap().unwrap();
        let uid = request.affected_sop_instance_uid.to_string();
        let outcome = match reply(&request) {
            Reply::Say(outcome) => outcome,
            Reply::Other(affected_sop_instance_uid) => {
                let other = CStoreRq { affected_sop_instance_uid, ..request };
                c_store::scp::answer(&mut association, &context, &other, Ok(())).await.unwrap();
                continue;
            }
            Reply::Gather(enough) => {
                waiting.push((context, request));
                stored.lock().unwrap().push((uid, data));
                if waiting.len() == enough {
                    for (context, request) in waiting.drain(..).rev() {
                        c_store::scp::answer(&mut association, &context, &request, Ok(())).await.unwrap();
                    }
                }
                continue;
            }
            Reply::Abort => return association.abort().await,
        };
        if outcome.is_ok() {
            stored.lock().unwrap().push((uid, data));
        }
        c_store::scp::answer(&mut association, &context, &request, outcome).await.unwrap();
    }
}

fn write(folder: &Path, instances: usize) -> Vec<Written> {
    Plan { instances, ..Plan::default() }.write_to(folder).unwrap()
}

/// UID and data set of each file.
fn originals(written: &[Written]) -> Vec<(String, Vec<u8>)> {
    let of_file = |file: &Written| {
        let bytes = std::fs::read(&file.path).unwrap();
        (file.sop_instance_uid.clone(), data_set_of_part10(&bytes).to_vec())
    };
    let mut originals: Vec<_> = written.iter().map(of_file).collect();
    originals.sort();
    originals
}

#[tokio::test]
async fn instances_go_byte_for_byte_as_many_at_a_time_as_the_window_allows() {
    let folder = tempfile::tempdir().unwrap();
    let written = write(folder.path(), 8);
    // An SCP that waits for four before it answers would wait for ever for a smaller window.
    let scp = Scp::start(None, |_, _| Reply::Gather(4)).await;
    let mut sent = 0;
    let report = scp
        .store(folder.path())
        .run(|event| sent += u64::from(matches!(event, Event::Sent(_))))
        .await
        .unwrap();
    assert!(report.complete);
    assert_eq!((report.files, report.sent, sent, report.associations), (8, 8, 8, 1));
    assert_eq!(scp.stored(), originals(&written));
    let bytes: usize = originals(&written).iter().map(|(_, data)| data.len()).sum();
    assert_eq!(report.bytes, bytes as u64);
}

#[tokio::test]
async fn a_peer_that_serves_one_association_at_a_time_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let written = write(folder.path(), 40);
    // The next association is not answered before this one has ended.
    let scp = Scp::start(None, |_, _| SUCCESS).await;
    let options = Options { associations: Some(3), ..Options::default() };
    let report = scp.store(folder.path()).options(options).run(|_| ()).await.unwrap();
    assert_eq!((report.sent, report.complete), (40, true));
    assert_eq!(scp.stored(), originals(&written));
}

#[tokio::test]
async fn what_a_peer_rejects_is_sent_over_the_associations_that_it_gave() {
    let folder = tempfile::tempdir().unwrap();
    let written = write(folder.path(), 12);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Timeouts::default()).await.unwrap();
    let node = format!("SCP@{}", listener.local_address()).parse().unwrap();
    let stored = Stored::default();
    let confirmed = Arc::clone(&stored);
    tokio::spawn(async move {
        let mut serving = Vec::new();
        for number in 1.. {
            let requested = listener.accept().await.request().await.unwrap();
            if number > 2 {
                let (result, reason) = (RejectResult::Transient, RejectReason::LocalLimitExceeded);
                requested.reject(AssociateRj { result, reason }).await;
                // The two begin when the third is told no.
                for association in serving.drain(..) {
                    let confirmed = Arc::clone(&confirmed);
                    tokio::spawn(async move { serve(association, |_| SUCCESS, &confirmed).await });
                }
            } else {
                serving.push(requested.accept(&Takes(None)).await.unwrap());
            }
        }
    });
    let options = Options { associations: Some(3), ..Options::default() };
    let store = Store::new(node, vec![folder.path().to_owned()]).options(options);
    let mut reasons = Vec::new();
    let report = store
        .run(|event| {
            if let Event::SideBySide { associations, reason } = event {
                reasons.push((*associations, reason.clone()));
            }
        })
        .await
        .unwrap();
    assert_eq!((report.sent, report.associations, report.complete), (12, 2, true));
    assert_eq!(reasons[0], (3, Reason::Asked));
    let mut stored = stored.lock().unwrap().clone();
    stored.sort();
    assert_eq!(stored, originals(&written));
}

#[tokio::test]
async fn what_is_under_way_when_the_association_is_cut_goes_over_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let written = write(folder.path(), 10);
    let mut seen = 0;
    let scp = Scp::start(None, move |association, _| {
        seen += 1;
        if association == 1 && seen == 6 { Reply::Abort } else { SUCCESS }
    })
    .await;
    let report = scp.store(folder.path()).run(|_| ()).await.unwrap();
    assert!(report.complete, "{report:?}");
    assert_eq!((report.sent, report.associations), (10, 2));
    let mut stored = scp.stored();
    stored.dedup();
    assert_eq!(stored, originals(&written));
}

#[tokio::test]
async fn an_instance_that_the_peer_falls_over_each_time_takes_no_other_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let written = write(folder.path(), 10);
    let fatal = written[4].sop_instance_uid.clone();
    let scp = Scp::start(None, move |_, request| {
        if request.affected_sop_instance_uid.as_str() == fatal { Reply::Abort } else { SUCCESS }
    })
    .await;
    let report = scp.store(folder.path()).run(|_| ()).await.unwrap();
    assert_eq!((report.sent, report.failed, report.unknown, report.complete), (9, 0, 1, false));
    assert_eq!(report.unknowns[0].path, written[4].path);
    let reason = &report.unknowns[0].reason;
    assert!(reason.starts_with("all of it was sent, and no answer came"), "{reason}");
}

#[tokio::test]
async fn what_is_cut_before_its_last_byte_has_failed() {
    use dicomet_testkit::peer::{Peer, listen, pdu_type};
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { instances: 1, size_bytes: 32 << 20, ..Plan::default() };
    plan.write_to(folder.path()).unwrap();
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        loop {
            let mut peer = Peer::accept(&listener).await;
            peer.accept_association().await;
            peer.expect(pdu_type::P_DATA).await;
            peer.close().await;
        }
    });
    let node = format!("SCP@127.0.0.1:{port}").parse().unwrap();
    let report = Store::new(node, vec![folder.path().to_owned()]).run(|_| ()).await.unwrap();
    assert_eq!((report.failed, report.unknown, report.files), (1, 0, 1));
    assert!(report.failures[0].reason.contains("twice cut"), "{:?}", report.failures);
}

#[tokio::test]
async fn an_answer_of_another_instance_confirms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let written = write(folder.path(), 2);
    let first = written[0].sop_instance_uid.clone();
    let scp = Scp::start(None, move |_, request| {
        if request.affected_sop_instance_uid.as_str() == first {
            Reply::Other(Uid::from_static("2.999.666"))
        } else {
            SUCCESS
        }
    })
    .await;
    let report = scp.store(folder.path()).run(|_| ()).await.unwrap();
    assert_eq!((report.sent, report.failed, report.unknown, report.complete), (1, 0, 1, false));
    assert_eq!(report.unknowns[0].path, written[0].path);
    assert!(report.unknowns[0].reason.contains("2.999.666"), "{:?}", report.unknowns);
}

#[tokio::test]
async fn each_answer_is_told_as_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 4);
    let mut answers = vec![
        Ok(()),
        Err(Refusal::new(Status::WARNING, "ID coerced")),
        Err(Refusal::new(Status::DUPLICATE_SOP_INSTANCE, "")),
        Err(Refusal::new(Status::OUT_OF_RESOURCES, "disk full")),
    ]
    .into_iter();
    let scp = Scp::start(None, move |_, _| Reply::Say(answers.next().unwrap())).await;
    let report = scp.store(folder.path()).run(|_| ()).await.unwrap();
    assert_eq!((report.sent, report.warnings, report.already, report.failed), (2, 1, 1, 1));
    assert!(report.notes[0].reason.contains("ID coerced"));
    let reason = &report.failures[0].reason;
    assert!(reason.contains("0xA700") && reason.contains("disk full"), "{reason}");
}

#[tokio::test]
async fn what_no_context_was_accepted_for_is_named_and_plain_ones_go_in_the_encoding_that_was() {
    let folder = tempfile::tempdir().unwrap();
    let syntaxes = [transfer_syntax::EXPLICIT_VR_LITTLE_ENDIAN, "1.2.840.10008.1.2.4.90"];
    let plan =
        Plan { instances: 2, transfer_syntaxes: syntaxes.map(str::to_owned).to_vec(), ..Plan::default() };
    plan.write_to(folder.path()).unwrap();
    let scp = Scp::start(Some(uids::IMPLICIT_VR_LITTLE_ENDIAN), |_, _| SUCCESS).await;
    let report = scp.store(folder.path()).run(|_| ()).await.unwrap();
    assert_eq!((report.sent, report.failed), (1, 1));
    let reason = &report.failures[0].reason;
    assert!(reason.contains("CT Image Storage") && reason.contains("1.2.840.10008.1.2.4.90"), "{reason}");
    // SOP Class UID, an element early in the data set, without its VR.
    let stored = scp.stored();
    assert!(stored[0].1.windows(8).any(|bytes| bytes == b"\x08\0\x16\0\x1a\0\0\0"));
}

#[tokio::test]
async fn a_stop_lets_what_is_under_way_be_answered_and_leaves_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 20);
    let (stop, stopped) = watch::channel(Stop::No);
    let mut seen = 0;
    let scp = Scp::start(None, move |_, _| {
        seen += 1;
        if seen == 3 {
            stop.send_replace(Stop::Cancel);
        }
        SUCCESS
    })
    .await;
    let report = scp.store(folder.path()).stop_by(stopped).run(|_| ()).await.unwrap();
    assert!(report.cancelled && !report.complete);
    assert_eq!(report.failed, 0);
    assert_eq!(report.sent, scp.stored().len() as u64);
    assert_eq!(report.sent + report.unsent, 20);
    assert!((3..20).contains(&report.sent));
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_an_error_and_nothing_to_send_asks_for_no_peer() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = Node {
        ae_title: AeTitle::new("NOBODY").unwrap(),
        host: "127.0.0.1".to_owned(),
        port: dicomet_testkit::peer::free_port(),
    };
    std::fs::write(folder.path().join("notes.txt"), "no DICOM").unwrap();
    let store = || Store::new(nobody.clone(), vec![folder.path().to_owned()]);
    let report = store().run(|_| ()).await.unwrap();
    assert_eq!((report.files, report.skipped, report.complete), (0, 1, false));
    write(folder.path(), 1);
    assert!(matches!(store().run(|_| ()).await, Err(Error::Connect { .. })));
}
