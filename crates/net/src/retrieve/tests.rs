//! The engine against a peer on a socket of this machine, which holds a few instances and has the habits that a
//! test gives it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::{
    CFindRq, CGetRq, CGetRsp, CStoreRq, Command, Counters, DataSetType, MessageId, Priority, Refusal,
};
use dicomet_proto::pdu::{AssociateRj, RejectReason, RejectResult};

use super::layout::{SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID};
use super::*;
use crate::Association;
use crate::association::{Data, Received};
use crate::listen::Listener;
use crate::service::{self, Request, c_find};
use crate::testing::Everything;

const LEVEL: Tag = Tag(0x0008, 0x0052);
const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
const MODALITY: Tag = Tag(0x0008, 0x0060);
const SOP_CLASSES_IN_STUDY: Tag = Tag(0x0008, 0x0062);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const FAILED_LIST: Tag = Tag(0x0008, 0x0058);

/// An instance that the peer holds.
#[derive(Debug, Clone)]
struct Held {
    study: Uid,
    series: Uid,
    instance: Uid,
    class: Uid,
    modality: &'static str,
    /// The transfer syntax it is stored in, when it cannot be sent in another.
    only_in: Option<Uid>,
}

impl Held {
    fn header(&self) -> DataSet {
        let mut header = DataSet::new();
        header.set_uid(SOP_CLASS_UID, &self.class);
        header.set_uid(SOP_INSTANCE_UID, &self.instance);
        header.set_text(MODALITY, self.modality);
        header.set_text(PATIENT_ID, "PAT004");
        header.set_uid(STUDY_INSTANCE_UID, &self.study);
        header.set_uid(SERIES_INSTANCE_UID, &self.series);
        header
    }

    fn data_set(&self, transfer_syntax: &Uid) -> Vec<u8> {
        self.header().encode(transfer_syntax).unwrap()
    }
}

/// What the peer does that others do not.
#[derive(Debug, Default)]
struct Habits {
    /// Answers no C-FIND at IMAGE level.
    no_image_level: bool,
    /// Tells SOP Classes in Study.
    tells_classes: bool,
    /// Falls silent and closes after so many instances on an association; so many times.
    closes_after: Option<usize>,
    closings_left: AtomicUsize,
    /// Sends nothing more after so many instances, until it is told to cancel.
    waits_for_cancel_after: Option<usize>,
    /// Begins another instance after so many, and falls silent for good; cancelling does not help.
    hangs_after: Option<usize>,
    /// Cannot send this one.
    cannot_send: Option<Uid>,
    /// Sends this one besides, whatever was asked for.
    sends_besides: Option<Held>,
    /// Rejects associations beyond so many at a time: local limit exceeded.
    most_associations: Option<usize>,
    /// Fails whole requests of more than one instance with Cxxx, as some do when one of them is bad.
    all_or_nothing: Option<Uid>,
}

struct Peer {
    held: Vec<Held>,
    habits: Habits,
    associations: AtomicUsize,
    /// Associations now.
    open: AtomicUsize,
    /// SOP Instance UIDs sent, in order.
    sent: Mutex<Vec<Uid>>,
}

impl Peer {
    /// Two studies: one with a CT series of three and an MR series of two, one with a CT series of one.
    fn new(habits: Habits) -> Arc<Peer> {
        Peer::with(habits, |_| {})
    }

    /// The same, but for what a test changes.
    fn with(habits: Habits, change: impl FnOnce(&mut Vec<Held>)) -> Arc<Peer> {
        let held = |study: &str, series: u32, number: u32, class: Uid, modality| Held {
            study: Uid::new(study).unwrap(),
            series: Uid::new(format!("{study}.{series}")).unwrap(),
            instance: Uid::new(format!("{study}.{series}.{number}")).unwrap(),
            class,
            modality,
            only_in: None,
        };
        let mut all = Vec::new();
        for number in 1..=3 {
            all.push(held("1.2.1", 1, number, uids::CT_IMAGE_STORAGE, "CT"));
        }
        for number in 1..=2 {
            all.push(held("1.2.1", 2, number, uids::MR_IMAGE_STORAGE, "MR"));
        }
        all.push(held("1.2.2", 1, 1, uids::CT_IMAGE_STORAGE, "CT"));
        change(&mut all);
        Arc::new(Peer {
            held: all,
            habits,
            associations: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            sent: Mutex::default(),
        })
    }

    /// Serves on a free port, for as long as the test runs.
    async fn serve(self: &Arc<Peer>) -> Node {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Timeouts::default()).await.unwrap();
        let port = listener.local_address().port();
        let peer = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                let incoming = listener.accept().await;
                tokio::spawn(Arc::clone(&peer).associate(incoming));
            }
        });
        format!("PEER@127.0.0.1:{port}").parse().unwrap()
    }

    async fn associate(self: Arc<Peer>, incoming: crate::accept::Incoming) {
        let Ok(requested) = incoming.request().await else { return };
        let open = self.open.fetch_add(1, Ordering::SeqCst);
        if self.habits.most_associations.is_some_and(|most| open >= most) {
            self.open.fetch_sub(1, Ordering::SeqCst);
            let (result, reason) = (RejectResult::Transient, RejectReason::LocalLimitExceeded);
            return requested.reject(AssociateRj { result, reason }).await;
        }
        let Ok(association) = requested.accept(&Everything).await else { return };
        self.associations.fetch_add(1, Ordering::Relaxed);
        self.serve_association(association).await;
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    async fn serve_association(&self, mut association: Association) {
        while let Ok(Some(request)) = service::next_request(&mut association).await {
            match request {
                Request::Find(context, rq, identifier) => {
                    self.find(&mut association, &context, &rq, &identifier.unwrap()).await;
                }
                Request::Get(context, rq, identifier) => {
                    if !self.get(&mut association, &context, &rq, &identifier.unwrap()).await {
                        return association.abort().await;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        let _ = association.respond_release().await;
    }

    async fn find(&self, association: &mut Association, context: &Context, rq: &CFindRq, keys: &DataSet) {
        let level = keys.text(LEVEL).unwrap();
        let mut answer = c_find::scp::Answer::new(association, context, rq);
        if level == "IMAGE" && self.habits.no_image_level {
            let refusal = Refusal::new(Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS, "no such level");
            return answer.finish(Err(refusal)).await.unwrap();
        }
        let mut matches: BTreeMap<Uid, DataSet> = BTreeMap::new();
        for held in self.held.iter().filter(|held| fits(held, keys)) {
            let key = match level.as_str() {
                "STUDY" => &held.study,
                "SERIES" => &held.series,
                _ => &held.instance,
            };
            let mut header = held.header();
            header.set_text(LEVEL, &level);
            let mut classes =
                matches.get(key).map(|known| known.uids(SOP_CLASSES_IN_STUDY)).unwrap_or_default();
            if !classes.contains(&held.class) {
                classes.push(held.class.clone());
            }
            if self.habits.tells_classes {
                header.set_uids(SOP_CLASSES_IN_STUDY, &classes);
            }
            if !keys.contains(SOP_CLASS_UID) {
                header.remove(SOP_CLASS_UID);
            }
            matches.insert(key.clone(), header);
        }
        for found in matches.values() {
            answer.pending(found, Status::PENDING).await.unwrap();
        }
        answer.finish(Ok(())).await.unwrap();
    }

    /// Answers whether the association is to go on.
    async fn get(
        &self,
        association: &mut Association,
        context: &Context,
        rq: &CGetRq,
        keys: &DataSet,
    ) -> bool {
        let mut wanted: Vec<Held> = self.held.iter().filter(|held| fits(held, keys)).cloned().collect();
        let spoiled = |bad: &Uid| wanted.len() > 1 && wanted.iter().any(|held| held.instance == *bad);
        if self.habits.all_or_nothing.as_ref().is_some_and(spoiled) {
            self.end(association, context, rq, Status::UNABLE_TO_PROCESS, &[]).await;
            return true;
        }
        wanted.extend(self.habits.sends_besides.clone());
        let mut failed = Vec::new();
        for (count, held) in wanted.iter().enumerate() {
            if self.habits.closes_after == Some(count)
                && self.habits.closings_left.load(Ordering::Relaxed) > 0
            {
                self.habits.closings_left.fetch_sub(1, Ordering::Relaxed);
                return false;
            }
            if self.habits.hangs_after == Some(count) {
                self.hang(association, held).await;
            }
            if self.habits.waits_for_cancel_after == Some(count) {
                let received = association.receive().await.unwrap();
                assert!(
                    matches!(received, Received::Message(m) if matches!(m.command, Command::CCancelRq(_)))
                );
                self.end(association, context, rq, Status::CANCEL, &failed).await;
                return true;
            }
            if !self.store(association, held).await {
                failed.push(held.instance.clone());
            }
        }
        let status = if failed.is_empty() { Status::SUCCESS } else { Status::WARNING };
        self.end(association, context, rq, status, &failed).await;
        true
    }

    /// Begins to send an instance whose data set never comes.
    async fn hang(&self, association: &mut Association, held: &Held) {
        let context = association.negotiated().contexts.iter().find(|one| one.abstract_syntax == held.class);
        let context = context.cloned().unwrap();
        let store = Command::CStoreRq(CStoreRq {
            message_id: MessageId(1),
            affected_sop_class_uid: held.class.clone(),
            affected_sop_instance_uid: held.instance.clone(),
            priority: Priority::Medium,
            move_originator: None,
        });
        association.send(context.id, &store, Data::None).await.unwrap();
        association.flush().await.unwrap();
        std::future::pending().await
    }

    async fn store(&self, association: &mut Association, held: &Held) -> bool {
        let context = association
            .negotiated()
            .contexts
            .iter()
            .find(|context| context.abstract_syntax == held.class && context.requestor_is_scp)
            .cloned();
        let Some(context) = context.filter(|_| self.habits.cannot_send.as_ref() != Some(&held.instance))
        else {
            return false;
        };
        if held.only_in.as_ref().is_some_and(|only| *only != context.transfer_syntax) {
            return false;
        }
        let store = Command::CStoreRq(CStoreRq {
            message_id: MessageId(1),
            affected_sop_class_uid: held.class.clone(),
            affected_sop_instance_uid: held.instance.clone(),
            priority: Priority::Medium,
            move_originator: None,
        });
        let data = held.data_set(&context.transfer_syntax);
        association.send(context.id, &store, Data::Bytes(&data)).await.unwrap();
        self.sent.lock().unwrap().push(held.instance.clone());
        match association.receive().await {
            Ok(Received::Message(message)) => match message.command {
                Command::CStoreRsp(response) => response.status == Status::SUCCESS,
                other => panic!("{other:?}"),
            },
            _ => false,
        }
    }

    async fn end(
        &self,
        association: &mut Association,
        context: &Context,
        rq: &CGetRq,
        status: Status,
        failed: &[Uid],
    ) {
        let mut identifier = DataSet::new();
        identifier.set_uids(FAILED_LIST, failed);
        let data = identifier.encode(&context.transfer_syntax).unwrap();
        let response = Command::CGetRsp(CGetRsp {
            message_id: rq.message_id,
            affected_sop_class_uid: None,
            status,
            counters: Counters::default(),
            identifier: if failed.is_empty() { DataSetType::Null } else { DataSetType::Present },
            error_comment: None,
            offending_elements: Vec::new(),
        });
        let data = if failed.is_empty() { Data::None } else { Data::Bytes(&data) };
        let _ = association.send(context.id, &response, data).await;
        let _ = association.flush().await;
    }
}

/// Matching of UIDs and modality.
fn fits(held: &Held, keys: &DataSet) -> bool {
    let header = held.header();
    [STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID, MODALITY].iter().all(|tag| {
        let wanted = keys.texts(*tag);
        wanted.is_empty() || wanted.contains(&header.text(*tag).unwrap())
    })
}

fn query(keys: &[&str]) -> Query {
    keys.iter().fold(Query::new(Model::StudyRoot, Level::Study), |query, key| query.key(key).unwrap())
}

/// Gets into a folder, by a request for all of it or for less.
async fn get(node: &Node, keys: &[&str], folder: &std::path::Path) -> Report {
    Retrieve::new(node.clone(), query(keys), folder).run(|_| {}).await.unwrap()
}

fn file(folder: &std::path::Path, held: &Held) -> PathBuf {
    folder.join(format!("{}/{}/{}.dcm", held.study, held.series, held.instance))
}

fn files(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let visible = entries.filter(|path| !path.ends_with(journal::FOLDER));
    visible.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn every_instance_arrives_byte_for_byte_and_a_second_run_asks_for_nothing() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert!(report.complete, "{report:?}");
    assert_eq!((report.studies, report.expected, report.retrieved, report.present), (2, 6, 6, 0));
    assert_eq!(report.associations, 1);
    for held in &peer.held {
        let bytes = std::fs::read(file(folder.path(), held)).unwrap();
        let data_set = held.data_set(&uids::EXPLICIT_VR_LITTLE_ENDIAN);
        assert_eq!(&bytes[..132], [&[0; 128][..], b"DICM"].concat());
        assert!(bytes.ends_with(&data_set));
    }
    assert_eq!(files(folder.path()), 6, "nothing else is left in the folder");

    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert!(report.complete);
    assert_eq!((report.retrieved, report.present, report.associations), (0, 6, 0));
}

#[tokio::test]
async fn what_is_cut_or_missing_in_the_folder_is_asked_for_again_and_nothing_else() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    get(&node, &["PatientID=PAT004"], folder.path()).await;
    peer.sent.lock().unwrap().clear();
    std::fs::remove_file(file(folder.path(), &peer.held[5])).unwrap();
    let cut = file(folder.path(), &peer.held[0]);
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 3]).unwrap();

    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.retrieved, report.present, report.complete), (2, 4, true));
    let mut sent = peer.sent.lock().unwrap().clone();
    sent.sort();
    assert_eq!(sent, [peer.held[0].instance.clone(), peer.held[5].instance.clone()]);
    assert_eq!(std::fs::read(&cut).unwrap(), bytes);
}

#[tokio::test]
async fn a_file_that_lost_whole_elements_at_its_end_is_asked_for_again() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    get(&node, &["PatientID=PAT004"], folder.path()).await;
    let held = &peer.held[0];
    let path = file(folder.path(), held);
    let bytes = std::fs::read(&path).unwrap();
    // The last element is Series Instance UID: 8 bytes of head and an even number of characters.
    let last = 8 + held.series.as_str().len().next_multiple_of(2);
    std::fs::write(&path, &bytes[..bytes.len() - last]).unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.retrieved, report.present, report.complete), (1, 5, true));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn an_association_that_ends_early_is_taken_up_where_it_ended() {
    let habits = Habits { closes_after: Some(1), closings_left: AtomicUsize::new(2), ..Habits::default() };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let mut lost = 0;
    let retrieve = Retrieve::new(node, query(&["StudyInstanceUID=1.2.1"]), folder.path());
    let report =
        retrieve.run(|event| lost += usize::from(matches!(event, Event::Lost { .. }))).await.unwrap();
    assert!(report.complete, "{report:?}");
    assert_eq!(lost, 2);
    let mut sent = peer.sent.lock().unwrap().clone();
    assert_eq!(sent.len(), 5);
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 5, "no instance comes twice");
}

#[tokio::test]
async fn a_peer_that_never_gets_far_is_given_up_and_what_came_is_kept() {
    let habits = Habits { closes_after: Some(0), closings_left: AtomicUsize::new(100), ..Habits::default() };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let retrieve = Retrieve::new(node, query(&["StudyInstanceUID=1.2.1"]), folder.path());
    let error = retrieve.run(|_| {}).await.unwrap_err();
    assert!(matches!(error, RetrieveError::Association(Error::Aborted(_))), "{error}");
    assert_eq!(files(folder.path()), 0);
}

#[tokio::test]
async fn one_bad_instance_does_not_take_the_others_with_it() {
    let bad = Uid::from_static("1.2.1.1.2");
    let habits = Habits {
        all_or_nothing: Some(bad.clone()),
        cannot_send: Some(bad.clone()),
        tells_classes: true,
        ..Habits::default()
    };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.retrieved, report.failed, report.missing, report.complete), (5, 1, 0, false));
    assert_eq!(report.failures.len(), 1);
    assert_eq!(report.failures[0].sop_instance, bad);
    assert!(report.failures[0].reason.contains("0xB000"), "{}", report.failures[0].reason);
}

const JPEG_BASELINE: Uid = Uid::from_static("1.2.840.10008.1.2.4.50");

#[tokio::test]
async fn what_a_peer_cannot_send_in_its_first_context_comes_when_its_own_syntax_is_offered_alone() {
    // The peer sends all instances of a class in the first context of that class, as dcmqrscp does.
    let peer = Peer::with(Habits { tells_classes: true, ..Habits::default() }, |held| {
        held[0].only_in = Some(JPEG_BASELINE);
        held[3].only_in = Some(Uid::from_static("1.2.840.10008.1.2.5"));
    });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.retrieved, report.complete), (6, true), "{report:?}");
    let meta = std::fs::read(file(folder.path(), &peer.held[0])).unwrap();
    assert!(meta.windows(22).any(|bytes| bytes == JPEG_BASELINE.as_str().as_bytes()));
    assert_eq!(peer.sent.lock().unwrap().len(), 6, "no instance comes twice");
}

#[tokio::test]
async fn what_comes_in_no_syntax_is_given_up_after_each_accepted_one() {
    let bad = Uid::from_static("1.2.1.1.2");
    let habits = Habits { cannot_send: Some(bad.clone()), tells_classes: true, ..Habits::default() };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        transfer_syntaxes: Some(vec![uids::EXPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE]),
        ..Options::default()
    };
    let retrieve = Retrieve::new(node, query(&["StudyInstanceUID=1.2.1"]), folder.path()).options(options);
    let report = retrieve.run(|_| {}).await.unwrap();
    assert_eq!((report.retrieved, report.failed, report.complete), (4, 1, false));
    // Together, each syntax alone, by series, one by one.
    assert_eq!(report.associations, 1 + 2 + 1 + 1);
}

#[tokio::test]
async fn an_instance_of_another_study_is_not_taken() {
    let foreign = Held {
        study: Uid::from_static("1.2.9"),
        series: Uid::from_static("1.2.9.1"),
        instance: Uid::from_static("1.2.9.1.1"),
        class: uids::CT_IMAGE_STORAGE,
        modality: "CT",
        only_in: None,
    };
    let peer = Peer::new(Habits { sends_besides: Some(foreign), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let mut refused = Vec::new();
    let retrieve = Retrieve::new(node, query(&["StudyInstanceUID=1.2.2"]), folder.path());
    let report = retrieve
        .run(|event| {
            if let Event::Refused { reason, .. } = event {
                refused.push(reason.clone());
            }
        })
        .await
        .unwrap();
    assert!(report.complete);
    assert_eq!(files(folder.path()), 1);
    assert!(refused[0].contains("0x0124"), "{refused:?}");
}

#[tokio::test]
async fn an_instance_that_came_late_to_the_study_is_kept_and_not_counted() {
    let late = Held {
        study: Uid::from_static("1.2.2"),
        series: Uid::from_static("1.2.2.1"),
        instance: Uid::from_static("1.2.2.1.99"),
        class: uids::CT_IMAGE_STORAGE,
        modality: "CT",
        only_in: None,
    };
    let peer = Peer::new(Habits { sends_besides: Some(late.clone()), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["StudyInstanceUID=1.2.2"], folder.path()).await;
    assert_eq!((report.expected, report.retrieved, report.unnamed, report.complete), (1, 1, 1, true));
    assert!(file(folder.path(), &late).exists());
}

#[tokio::test]
async fn without_image_level_everything_comes_and_nothing_is_called_complete() {
    let peer = Peer::new(Habits { no_image_level: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!(files(folder.path()), 6);
    assert!(!report.complete);
    assert!(report.notes[0].contains("neither names nor counts"), "{:?}", report.notes);
}

#[tokio::test]
async fn keys_below_the_study_narrow_what_is_fetched() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    for (keys, expected) in [
        (&["StudyInstanceUID=1.2.1", "Modality=MR"][..], 2),
        (&["StudyInstanceUID=1.2.1", "SeriesInstanceUID=1.2.1.1"], 3),
        (&["StudyInstanceUID=1.2.1", "SOPInstanceUID=1.2.1.1.2"], 1),
        (&["Modality=CT"], 4),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let report = get(&node, keys, folder.path()).await;
        assert_eq!(
            (report.expected, report.retrieved, report.complete),
            (expected, expected, true),
            "{keys:?}"
        );
        assert_eq!(files(folder.path()) as u64, expected);
    }
}

#[tokio::test]
async fn several_associations_share_the_work() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let options = Options { associations: 3, ..Options::default() };
    let retrieve = Retrieve::new(node, query(&["PatientID=PAT004"]), folder.path()).options(options);
    let report = retrieve.run(|_| {}).await.unwrap();
    assert_eq!((report.retrieved, report.complete, report.associations), (6, true, 3));
    assert_eq!(peer.sent.lock().unwrap().len(), 6, "no instance comes twice");
}

#[tokio::test]
async fn a_peer_that_rejects_further_associations_gives_all_on_the_first() {
    let habits = Habits { most_associations: Some(1), tells_classes: true, ..Habits::default() };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let options = Options { associations: 4, ..Options::default() };
    let retrieve = Retrieve::new(node, query(&["PatientID=PAT004"]), folder.path()).options(options);
    let report = retrieve.run(|_| {}).await.unwrap();
    assert_eq!((report.retrieved, report.complete), (6, true), "{report:?}");
    assert_eq!(peer.sent.lock().unwrap().len(), 6, "no instance comes twice");
}

#[tokio::test]
async fn cancelling_keeps_what_has_arrived() {
    let peer = Peer::new(Habits { waits_for_cancel_after: Some(3), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let (stop, stopped) = watch::channel(Stop::No);
    let retrieve = Retrieve::new(node, query(&["StudyInstanceUID=1.2.1"]), folder.path()).stop_by(stopped);
    let mut arrived = 0;
    let report = retrieve
        .run(|event| {
            arrived += usize::from(matches!(event, Event::Arrived(_)));
            if arrived == 3 {
                stop.send_replace(Stop::Cancel);
            }
        })
        .await
        .unwrap();
    assert!(report.cancelled && !report.complete);
    assert_eq!((report.retrieved, report.missing, files(folder.path())), (3, 2, 3));
    assert_eq!(report.failures[0].reason, "cancelled before it came");
}

#[tokio::test]
async fn aborting_does_not_wait_for_a_peer_that_has_fallen_silent() {
    let peer = Peer::new(Habits { hangs_after: Some(2), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let (stop, stopped) = watch::channel(Stop::No);
    let retrieve = Retrieve::new(node, query(&["StudyInstanceUID=1.2.1"]), folder.path()).stop_by(stopped);
    let mut arrived = 0;
    let run = retrieve.run(|event| {
        arrived += usize::from(matches!(event, Event::Arrived(_)));
        if arrived == 2 {
            arrived += 1;
            let stop = stop.clone();
            stop.send_replace(Stop::Cancel);
            tokio::spawn(async move { stop.send_replace(Stop::Abort) });
        }
    });
    let report = tokio::time::timeout(std::time::Duration::from_secs(20), run).await.unwrap().unwrap();
    assert!(report.cancelled && !report.complete);
    assert_eq!((report.retrieved, files(folder.path())), (2, 2));
}

#[tokio::test]
async fn a_layout_by_other_attributes_is_filled_in_and_resumed() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let options = Options { layout: "{PatientID}/{Modality}.dcm".parse().unwrap(), ..Options::default() };
    for present in [0, 6] {
        let retrieve = Retrieve::new(node.clone(), query(&["PatientID=PAT004"]), folder.path());
        let report = retrieve.options(options.clone()).run(|_| {}).await.unwrap();
        assert_eq!((report.present, report.complete), (present, true), "{report:?}");
    }
    for name in ["CT.dcm", "CT_2.dcm", "CT_3.dcm", "CT_4.dcm", "MR.dcm", "MR_2.dcm"] {
        assert!(folder.path().join("PAT004").join(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told_before_the_peer_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let node: Node = "PEER@127.0.0.1:1".parse().unwrap();
    let error = Retrieve::new(node, query(&["PatientID=*"]), file.join("out")).run(|_| {}).await.unwrap_err();
    assert!(matches!(error, RetrieveError::Folder(FolderError::Unwritable { .. })), "{error}");
}

#[tokio::test]
async fn two_retrieves_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Folder::open(folder.path(), Layout::default()).unwrap();
    let error = Folder::open(folder.path(), Layout::default()).unwrap_err();
    assert!(matches!(error, FolderError::InUse { .. }));
}
