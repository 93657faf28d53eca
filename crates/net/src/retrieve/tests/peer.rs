//! A peer on a socket of this machine, which holds a few instances and has the habits that a test gives it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dicomet_proto::association::negotiation::{Context, Willing, first_proposed};
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::{
    CFindRq, CGetRq, CGetRsp, CStoreRq, Command, Counters, DataSetType, MessageId, Priority, Refusal,
};
use dicomet_proto::pdu::{AssociateRj, ContextResultReason, RejectReason, RejectResult};

use super::super::layout::{SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID};
use super::super::*;
use crate::Association;
use crate::association::{Data, Received};
use crate::listen::Listener;
use crate::service::{self, Request, c_find};

const LEVEL: Tag = Tag(0x0008, 0x0052);
const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
const MODALITY: Tag = Tag(0x0008, 0x0060);
const SOP_CLASSES_IN_STUDY: Tag = Tag(0x0008, 0x0062);
const STUDY_DATE: Tag = Tag(0x0008, 0x0020);
const STUDY_COUNT: Tag = Tag(0x0020, 0x1208);
const SERIES_COUNT: Tag = Tag(0x0020, 0x1209);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const FAILED_LIST: Tag = Tag(0x0008, 0x0058);

/// An instance that the peer holds.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) study: Uid,
    pub(super) series: Uid,
    pub(super) instance: Uid,
    pub(super) class: Uid,
    pub(super) modality: &'static str,
    /// The transfer syntax it is stored in, when it cannot be sent in another.
    pub(super) only_in: Option<Uid>,
}

impl Held {
    /// A CT instance; its series and itself are numbered below its study.
    pub(super) fn ct(study: &str, series: usize, number: usize) -> Held {
        Held {
            study: Uid::new(study).unwrap(),
            series: Uid::new(format!("{study}.{series}")).unwrap(),
            instance: Uid::new(format!("{study}.{series}.{number}")).unwrap(),
            class: uids::CT_IMAGE_STORAGE,
            modality: "CT",
            only_in: None,
        }
    }

    /// Studies 1.2.N of one CT series with so many instances.
    pub(super) fn studies(numbers: RangeInclusive<usize>, instances: usize) -> Vec<Held> {
        let of_study =
            |study| (1..=instances).map(move |number| Held::ct(&format!("1.2.{study}"), 1, number));
        numbers.flat_map(of_study).collect()
    }

    pub(super) fn header(&self) -> DataSet {
        let mut header = DataSet::new();
        header.set_uid(SOP_CLASS_UID, &self.class);
        header.set_uid(SOP_INSTANCE_UID, &self.instance);
        header.set_text(MODALITY, self.modality);
        header.set_text(PATIENT_ID, "PAT004");
        header.set_text(STUDY_DATE, &self.study_date());
        header.set_uid(STUDY_INSTANCE_UID, &self.study);
        header.set_uid(SERIES_INSTANCE_UID, &self.series);
        header
    }

    /// One day of 2020 a study, by the last number of its UID.
    fn study_date(&self) -> String {
        let number: u32 = self.study.as_str().rsplit('.').next().unwrap().parse().unwrap();
        format!("2020{:02}{:02}", number / 28 % 12 + 1, number % 28 + 1)
    }

    /// The request to store it.
    pub(super) fn store_rq(&self) -> Command {
        Command::CStoreRq(CStoreRq {
            message_id: MessageId(1),
            affected_sop_class_uid: self.class.clone(),
            affected_sop_instance_uid: self.instance.clone(),
            priority: Priority::Medium,
            move_originator: None,
        })
    }

    pub(super) fn data_set(&self, transfer_syntax: &Uid) -> Vec<u8> {
        self.header().encode(transfer_syntax).unwrap()
    }
}

/// The bytes that are sent for an instance, in a transfer syntax.
pub(super) type Instead = fn(&Held, &Uid) -> Vec<u8>;

/// What the peer does that others do not.
#[derive(Debug, Default)]
pub(super) struct Habits {
    /// Answers no C-FIND at IMAGE level.
    pub(super) no_image_level: bool,
    /// Tells SOP Classes in Study.
    pub(super) tells_classes: bool,
    /// Falls silent and closes after so many instances on an association; so many times.
    pub(super) closes_after: Option<usize>,
    pub(super) closings_left: AtomicUsize,
    /// Sends nothing more after so many instances, until it is told to cancel.
    pub(super) waits_for_cancel_after: Option<usize>,
    /// Begins another instance after so many, and falls silent for good; cancelling does not help.
    pub(super) hangs_after: Option<usize>,
    /// Begins this instance and falls silent, or does so before it has begun it.
    pub(super) hangs_at: Option<Uid>,
    pub(super) hangs_before_it_begins: bool,
    /// Tells what is in this study when it has sent something.
    pub(super) tells_after_sending: Option<Uid>,
    /// Aborts when it is asked what is in this study.
    pub(super) aborts_find_in: Option<Uid>,
    /// Names no instance of this series before it has sent something.
    pub(super) names_after_sending: Option<Uid>,
    /// Sends nothing before this many instances were named.
    pub(super) sends_after_naming: usize,
    /// Sends nothing before so many associations stand.
    pub(super) waits_for_associations: usize,
    /// Leaves associations beyond so many without an answer.
    pub(super) answers_associations: Option<usize>,
    /// Cannot send this one.
    pub(super) cannot_send: Option<Uid>,
    /// Sends this one besides, whatever was asked for.
    pub(super) sends_besides: Option<Held>,
    /// Rejects associations beyond so many at a time: local limit exceeded.
    pub(super) most_associations: Option<usize>,
    /// Fails whole requests of more than one instance with Cxxx, as some do when one of them is bad.
    pub(super) all_or_nothing: Option<Uid>,
    /// Cannot send these instances for now.
    pub(super) cannot_send_now: Mutex<BTreeSet<Uid>>,
    /// Aborts when it is asked for this study alone or among others.
    pub(super) dies_of: Option<Uid>,
    /// Counts the instances of studies and series; studies have so many more than there are.
    pub(super) counts: Option<u64>,
    /// Ends a query at STUDY level after so many answers, with this status.
    pub(super) ends_find_after: Option<(usize, Status)>,
    /// Sends this one once more behind itself, as other bytes or not.
    pub(super) repeats: Option<(Uid, Option<Instead>)>,
    /// Sends other bytes for this one.
    pub(super) instead: Option<(Uid, Instead)>,
    /// Has the UIDs of another study in this one.
    pub(super) lies_about: Option<Uid>,
    /// Aborts at this one, whenever it is its turn.
    pub(super) aborts_at: Option<Uid>,
    /// Sends no Failed SOP Instance UID List.
    pub(super) names_no_failures: bool,
    /// Fails every C-GET.
    pub(super) refuses_get: bool,
    /// Cannot send this one by C-GET.
    pub(super) fails_by_get: Option<Uid>,
    /// Accepts nothing compressed.
    pub(super) only_uncompressed: bool,
    /// Accepts no context for this class now.
    pub(super) refuses_class: Mutex<Option<Uid>>,
    /// Where it sends to by C-MOVE.
    pub(super) moves_to: Option<u16>,
    /// Does not look at C-CANCEL.
    pub(super) ignores_cancel: bool,
    /// How long each instance takes to send.
    pub(super) takes_its_time: std::time::Duration,
    /// Lets nobody in, and ends the associations there are with their next request.
    pub(super) is_away: AtomicBool,
}

impl Habits {
    /// The transfer syntax it takes of those proposed for a class.
    fn transfer_syntax(&self, class: &Uid, proposed: &[Uid]) -> Result<Uid, ContextResultReason> {
        if self.refuses_class.lock().unwrap().as_ref() == Some(class) {
            return Err(ContextResultReason::AbstractSyntaxNotSupported);
        }
        match self.only_uncompressed {
            true => uncompressed(class, proposed),
            false => first_proposed(class, proposed),
        }
    }
}

/// Takes the two plain transfer syntaxes.
fn uncompressed(_: &Uid, proposed: &[Uid]) -> Result<Uid, ContextResultReason> {
    let plain = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
    let accepted = proposed.iter().find(|syntax| plain.contains(syntax)).cloned();
    accepted.ok_or(ContextResultReason::TransferSyntaxesNotSupported)
}

pub(super) struct Peer {
    pub(super) held: Vec<Held>,
    pub(super) habits: Habits,
    pub(super) associations: watch::Sender<usize>,
    pub(super) has_sent: watch::Sender<bool>,
    /// Instances named at IMAGE level.
    pub(super) named: watch::Sender<usize>,
    /// Requests by C-GET: the level, and how many instances were named in it.
    pub(super) asked: Mutex<Vec<(String, usize)>>,
    /// Associations now.
    pub(super) open: AtomicUsize,
    /// SOP Instance UIDs sent, in order.
    pub(super) sent: Mutex<Vec<Uid>>,
    /// C-FIND requests by their level, C-GET requests as `GET`, C-MOVE requests as `MOVE`.
    pub(super) operations: Mutex<Vec<String>>,
    /// Abstract syntaxes of the presentation contexts proposed, by association.
    pub(super) proposed: Mutex<Vec<Vec<Uid>>>,
}

impl Peer {
    /// Two studies: one with a CT series of three and an MR series of two, one with a CT series of one.
    pub(super) fn new(habits: Habits) -> Arc<Peer> {
        Peer::with(habits, |_| {})
    }

    /// The same, but for what a test changes.
    pub(super) fn with(habits: Habits, change: impl FnOnce(&mut Vec<Held>)) -> Arc<Peer> {
        let mr =
            |number| Held { class: uids::MR_IMAGE_STORAGE, modality: "MR", ..Held::ct("1.2.1", 2, number) };
        let mut all = [1, 2, 3].map(|number| Held::ct("1.2.1", 1, number)).to_vec();
        all.extend([1, 2].map(mr));
        all.push(Held::ct("1.2.2", 1, 1));
        change(&mut all);
        Arc::new(Peer {
            held: all,
            habits,
            associations: watch::Sender::new(0),
            has_sent: watch::Sender::new(false),
            named: watch::Sender::new(0),
            asked: Mutex::default(),
            open: AtomicUsize::new(0),
            sent: Mutex::default(),
            operations: Mutex::default(),
            proposed: Mutex::default(),
        })
    }

    /// Serves on a free port, for as long as the test runs.
    pub(super) async fn serve(self: &Arc<Peer>) -> Node {
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

    pub(super) async fn associate(self: Arc<Peer>, incoming: crate::accept::Incoming) {
        if self.habits.is_away.load(Ordering::SeqCst) {
            return;
        }
        let Ok(requested) = incoming.request().await else { return };
        let open = self.open.fetch_add(1, Ordering::SeqCst);
        if self.habits.most_associations.is_some_and(|most| open >= most) {
            self.open.fetch_sub(1, Ordering::SeqCst);
            let (result, reason) = (RejectResult::Transient, RejectReason::LocalLimitExceeded);
            return requested.reject(AssociateRj { result, reason }).await;
        }
        if self.habits.answers_associations.is_some_and(|most| open >= most) {
            return std::future::pending().await;
        }
        let support = |class: &Uid, proposed: &[Uid]| self.habits.transfer_syntax(class, proposed);
        let Ok(association) = requested.accept(&Willing(support)).await else { return };
        let negotiated = association.negotiated();
        let accepted = negotiated.contexts.iter().map(|context| context.abstract_syntax.clone());
        let refused = negotiated.refused_contexts.iter().map(|context| context.abstract_syntax.clone());
        self.proposed.lock().unwrap().push(accepted.chain(refused).collect());
        self.associations.send_modify(|associations| *associations += 1);
        self.serve_association(association).await;
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) async fn serve_association(&self, mut association: Association) {
        while let Ok(Some(request)) = service::next_request(&mut association).await {
            if self.habits.is_away.load(Ordering::SeqCst) {
                return association.abort().await;
            }
            match request {
                Request::Find(context, rq, identifier) => {
                    let keys = identifier.unwrap();
                    let study = keys.uid(STUDY_INSTANCE_UID).filter(|_| keys.text(LEVEL).unwrap() != "STUDY");
                    if study.is_some() && study == self.habits.tells_after_sending {
                        let mut has_sent = self.has_sent.subscribe();
                        has_sent.wait_for(|has_sent| *has_sent).await.unwrap();
                    }
                    let series =
                        keys.uid(SERIES_INSTANCE_UID).filter(|_| keys.text(LEVEL).unwrap() == "IMAGE");
                    if series.is_some() && series == self.habits.names_after_sending {
                        let mut has_sent = self.has_sent.subscribe();
                        has_sent.wait_for(|has_sent| *has_sent).await.unwrap();
                    }
                    if study.is_some() && study == self.habits.aborts_find_in {
                        return association.abort().await;
                    }
                    self.find(&mut association, &context, &rq, &keys).await;
                }
                Request::Get(context, rq, identifier) => {
                    self.operations.lock().unwrap().push("GET".to_owned());
                    if self.habits.refuses_get {
                        self.end(&mut association, &context, &rq, Status::UNABLE_TO_PROCESS, &[]).await;
                        continue;
                    }
                    if !self.get(&mut association, &context, &rq, &identifier.unwrap()).await {
                        return association.abort().await;
                    }
                }
                Request::Move(context, rq, identifier) => {
                    self.operations.lock().unwrap().push("MOVE".to_owned());
                    if !self.send_by_move(&mut association, &context, &rq, &identifier.unwrap()).await {
                        return association.abort().await;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        let _ = association.respond_release().await;
    }

    pub(super) async fn find(
        &self,
        association: &mut Association,
        context: &Context,
        rq: &CFindRq,
        keys: &DataSet,
    ) {
        let level = keys.text(LEVEL).unwrap();
        self.operations.lock().unwrap().push(level.clone());
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
            if let Some(more) = self.habits.counts {
                let count =
                    |of: &dyn Fn(&Held) -> bool| self.held.iter().filter(|one| of(one)).count() as u64;
                let in_study = count(&|one| one.study == held.study) + more;
                header.set_text(STUDY_COUNT, &in_study.to_string());
                let in_series = count(&|one| one.series == held.series);
                header.set_text(SERIES_COUNT, &in_series.to_string());
            }
            if !keys.contains(SOP_CLASS_UID) {
                header.remove(SOP_CLASS_UID);
            }
            matches.insert(key.clone(), header);
        }
        for (count, found) in matches.values().enumerate() {
            if level == "STUDY"
                && let Some((most, status)) = self.habits.ends_find_after
                && count == most
            {
                return answer.finish(Err(Refusal::new(status, "no more"))).await.unwrap();
            }
            // Who has gone asks no more.
            if answer.pending(found, Status::PENDING).await.is_err() {
                return;
            }
        }
        let _ = answer.finish(Ok(())).await;
        if level == "IMAGE" {
            self.named.send_modify(|named| *named += matches.len());
        }
    }

    /// Answers whether the association is to go on.
    pub(super) async fn get(
        &self,
        association: &mut Association,
        context: &Context,
        rq: &CGetRq,
        keys: &DataSet,
    ) -> bool {
        let mut wanted: Vec<Held> = self.held.iter().filter(|held| fits(held, keys)).cloned().collect();
        if wanted.iter().any(|held| self.habits.dies_of.as_ref() == Some(&held.study)) {
            return false;
        }
        let spoiled = |bad: &Uid| wanted.len() > 1 && wanted.iter().any(|held| held.instance == *bad);
        if self.habits.all_or_nothing.as_ref().is_some_and(spoiled) {
            self.end(association, context, rq, Status::UNABLE_TO_PROCESS, &[]).await;
            return true;
        }
        wanted.extend(self.habits.sends_besides.clone());
        let level = keys.text(LEVEL).unwrap();
        self.asked.lock().unwrap().push((level, keys.uids(SOP_INSTANCE_UID).len()));
        let mut named = self.named.subscribe();
        named.wait_for(|named| *named >= self.habits.sends_after_naming).await.unwrap();
        // The first was for C-FIND.
        let mut associations = self.associations.subscribe();
        associations.wait_for(|stood| *stood > self.habits.waits_for_associations).await.unwrap();
        let mut failed = Vec::new();
        for (count, held) in wanted.iter().enumerate() {
            if self.habits.closes_after == Some(count)
                && self.habits.closings_left.load(Ordering::Relaxed) > 0
            {
                self.habits.closings_left.fetch_sub(1, Ordering::Relaxed);
                return false;
            }
            if self.habits.aborts_at.as_ref() == Some(&held.instance) {
                return false;
            }
            if self.habits.hangs_after == Some(count) {
                self.hang(association, held).await;
            }
            if self.habits.hangs_at.as_ref() == Some(&held.instance) {
                if self.habits.hangs_before_it_begins {
                    std::future::pending::<()>().await;
                }
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
            if !self.store(association, held, None).await {
                failed.push(held.instance.clone());
            }
            let repeats = self.habits.repeats.as_ref().filter(|(of, _)| *of == held.instance);
            if let Some((_, instead)) = repeats
                && !self.store(association, held, *instead).await
            {
                failed.push(held.instance.clone());
            }
        }
        let status = if failed.is_empty() { Status::SUCCESS } else { Status::WARNING };
        if self.habits.names_no_failures {
            failed.clear();
        }
        self.end(association, context, rq, status, &failed).await;
        true
    }

    /// Begins to send an instance whose data set never comes.
    pub(super) async fn hang(&self, association: &mut Association, held: &Held) {
        let context = association.negotiated().contexts.iter().find(|one| one.abstract_syntax == held.class);
        let context = context.cloned().unwrap();
        let store = held.store_rq();
        association.send(context.id, &store, Data::None).await.unwrap();
        association.flush().await.unwrap();
        std::future::pending().await
    }

    pub(super) async fn store(
        &self,
        association: &mut Association,
        held: &Held,
        instead: Option<Instead>,
    ) -> bool {
        let context = association
            .negotiated()
            .contexts
            .iter()
            .find(|context| context.abstract_syntax == held.class && context.requestor_is_scp)
            .cloned();
        let is_bad = |bad: &Option<Uid>| bad.as_ref() == Some(&held.instance);
        let can = !is_bad(&self.habits.cannot_send) && !is_bad(&self.habits.fails_by_get);
        let Some(context) = context.filter(|_| can) else {
            return false;
        };
        if self.habits.cannot_send_now.lock().unwrap().contains(&held.instance) {
            return false;
        }
        if held.only_in.as_ref().is_some_and(|only| *only != context.transfer_syntax) {
            return false;
        }
        let store = held.store_rq();
        let mut told = held.clone();
        if self.habits.lies_about.as_ref() == Some(&held.instance) {
            told.study = Uid::from_static("1.2.9");
        }
        let mut data = told.data_set(&context.transfer_syntax);
        let always = self.habits.instead.as_ref().filter(|(of, _)| *of == held.instance);
        if let Some(instead) = instead.or(always.map(|(_, instead)| *instead)) {
            data = instead(held, &context.transfer_syntax);
        }
        if !self.habits.takes_its_time.is_zero() {
            tokio::time::sleep(self.habits.takes_its_time).await;
        }
        if association.send(context.id, &store, Data::Bytes(&data)).await.is_err() {
            return false;
        }
        self.sent.lock().unwrap().push(held.instance.clone());
        self.has_sent.send_replace(true);
        loop {
            match association.receive().await {
                Ok(Received::Message(message)) => match message.command {
                    Command::CStoreRsp(response) => return response.status == Status::SUCCESS,
                    Command::CCancelRq(_) if self.habits.ignores_cancel => {}
                    other => panic!("{other:?}"),
                },
                _ => return false,
            }
        }
    }

    pub(super) async fn end(
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
pub(super) fn fits(held: &Held, keys: &DataSet) -> bool {
    let header = held.header();
    let date = header.text(STUDY_DATE).unwrap();
    let is_in = |range: &String| match range.split_once('-') {
        Some((from, to)) => (from.is_empty() || *from <= *date) && (to.is_empty() || *date <= *to),
        None => *range == date,
    };
    let ranges = keys.texts(STUDY_DATE);
    let is_in_range = ranges.is_empty() || ranges.iter().any(is_in);
    is_in_range
        && [STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID, MODALITY].iter().all(|tag| {
            let wanted = keys.texts(*tag);
            wanted.is_empty() || wanted.contains(&header.text(*tag).unwrap())
        })
}
