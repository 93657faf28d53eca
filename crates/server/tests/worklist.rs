//! The modality worklist over loopback, asked by our own requestor (PS3.4 K.4.1).

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use dicomet_archive::Archive;
use dicomet_archive::worklist::WorklistItem;
use dicomet_net::association::Timeouts;
use dicomet_net::listen::Listener;
use dicomet_net::retrieve::{self, Caller, RetrieveError};
use dicomet_net::service::c_find::scu::Find;
use dicomet_net::{Association, Node};
use dicomet_proto::AeTitle;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::Status;
use dicomet_proto::query::{Level, Model, Query};
use dicomet_server::{Server, Settings};
use tokio::sync::oneshot;

const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
const STEP_SEQUENCE: Tag = Tag(0x0040, 0x0100);
const STATION: Tag = Tag(0x0040, 0x0001);

/// A server with this many items; it ends with the test.
struct Running {
    node: Node,
    _folder: tempfile::TempDir,
    _stop: oneshot::Sender<()>,
}

async fn serve(items: usize) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(folder.path(), dicomet_archive::Settings::default()).unwrap();
    let items: Vec<WorklistItem> = (1..=items).map(item).collect();
    archive.worklist().add(&items).unwrap();
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Timeouts::default()).await.unwrap();
    let node = format!("ARCHIVE@{}", listener.local_address()).parse().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let settings = Settings::new(AeTitle::new("ARCHIVE").unwrap());
    tokio::spawn(async move {
        let shutdown = async { drop(stopped.await) };
        Server::new(archive, settings).serve(listener, shutdown).await;
    });
    Running { node, _folder: folder, _stop: stop }
}

/// Stations CT1 and CT2 by turns; a name that Latin 1 has.
fn item(number: usize) -> WorklistItem {
    let keys = [
        "SpecificCharacterSet=ISO_IR 100".to_owned(),
        format!("PatientName=Müller^No{number}"),
        format!("PatientID=PAT{number}"),
        format!("StudyInstanceUID=2.999.{number}"),
        format!("RequestedProcedureID=R{number}"),
        "RequestedProcedureDescription=CT thorax".to_owned(),
        format!("ScheduledProcedureStepSequence.ScheduledStationAETitle=CT{}", 1 + number % 2),
        "ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate=20240131".to_owned(),
        "ScheduledProcedureStepSequence.ScheduledProcedureStepStartTime=1030".to_owned(),
        "ScheduledProcedureStepSequence.Modality=CT".to_owned(),
        "ScheduledProcedureStepSequence.ScheduledProcedureStepDescription=Thorax".to_owned(),
        format!("ScheduledProcedureStepSequence.ScheduledProcedureStepID=S{number}"),
    ];
    // A query's keys are written in the same way as an item's values.
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    WorklistItem::of_data_set(&query(&keys).keys).unwrap().remove(0)
}

fn query(keys: &[&str]) -> Query {
    keys.iter().fold(Query::new(Model::Worklist, Level::Study), |query, key| query.key(key).unwrap())
}

async fn associate(server: &Running) -> Association {
    retrieve::find::open(&server.node, &Caller::default(), &[Model::Worklist]).await.unwrap()
}

async fn found(server: &Running, query: &Query) -> Result<Vec<DataSet>, RetrieveError> {
    retrieve::find(&server.node, query, &Caller::default(), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modality_gets_what_is_scheduled_for_it() {
    let server = serve(7).await;
    let keys = [
        "PatientName",
        "ScheduledProcedureStepSequence.ScheduledStationAETitle=CT1",
        "ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate=20240131",
    ];
    let items = found(&server, &query(&keys)).await.unwrap();
    assert_eq!(items.len(), 3);
    for item in items {
        assert!(item.text(PATIENT_NAME).unwrap().starts_with("Müller^No"));
        // As the item came, for a modality that knows no UTF-8.
        assert_eq!(item.text(Tag(0x0008, 0x0005)).as_deref(), Some("ISO_IR 100"));
        let steps = item.items(STEP_SEQUENCE).unwrap();
        assert_eq!(steps.len(), 1);
        assert_eq!(steps[0].text(STATION).as_deref(), Some("CT1"));
        assert!(!item.contains(Tag(0x0008, 0x0054)), "a retrieve AE title is none of a worklist");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_is_answered_in_the_character_set_of_the_request() {
    let server = serve(1).await;
    // In Latin 1 it was put in; Turkish has the ü too.
    for asked in ["ISO_IR 192", "ISO_IR 148"] {
        let keys = [&format!("SpecificCharacterSet={asked}"), "PatientName=Mü*"];
        let items = found(&server, &query(&keys)).await.unwrap();
        assert_eq!(items[0].text(Tag(0x0008, 0x0005)).as_deref(), Some(asked));
        assert_eq!(items[0].text(PATIENT_NAME).as_deref(), Some("Müller^No1"));
    }
    let ascii = found(&server, &query(&["PatientID"])).await.unwrap();
    assert!(!ascii[0].contains(Tag(0x0008, 0x0005)), "ASCII needs no character set");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_scheduled_is_a_success_of_nothing() {
    let server = serve(1).await;
    assert!(found(&server, &query(&["PatientID=NOBODY"])).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identifier_that_is_none_of_the_model_is_a900_and_a_wrong_value_cxxx() {
    let server = serve(1).await;
    let mut two_steps = query(&["PatientID"]);
    two_steps.keys.set_items(STEP_SEQUENCE, vec![DataSet::new(), DataSet::new()]);
    let mut no_date = query(&["PatientID"]);
    no_date.keys.set_text(Tag(0x0008, 0x0020), "yesterday");
    for (query, expected) in [(two_steps, 0xA900), (query(&[]), 0xA900), (no_date, 0xC000)] {
        match found(&server, &query).await {
            Err(RetrieveError::Find { status, .. }) => assert_eq!(status.code(), expected),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_a_long_list() {
    let server = serve(3000).await;
    let mut association = associate(&server).await;
    let query = query(&["PatientName", "ScheduledProcedureStepSequence"]);
    let mut find = Find::start(&mut association, &query).await.unwrap();
    assert!(find.next().await.unwrap().is_some());
    find.cancel().await.unwrap();
    let mut more = 0;
    while find.next().await.unwrap().is_some() {
        more += 1;
    }
    assert!(more < 2999, "all {more} came all the same");
    assert_eq!(find.finish().await.unwrap().status, Status::CANCEL);
    association.release().await.unwrap();
}
