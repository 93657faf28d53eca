//! How a server stops: what is under way ends or is cut off with A-ABORT within the limit, and the log says which.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::time::Duration;

use dicomet_archive::Archive;
use dicomet_testkit::instance::Pixels;
use dicomet_testkit::peer::{Peer, command_number, p_data_command, p_data_data_set, pdu_type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use support::{Running, c_echo_rq, c_store_rq, instance, line, logged, request};

/// Bytes of a data set in one PDU.
const PIECE: usize = 15_000;

/// No test waits for it.
const LONG: Duration = Duration::from_secs(600);

/// An instance for which a file is begun before all of it is there.
fn large(number: u16) -> Vec<u8> {
    instance(number.into()).pixels(Pixels::Native(3_000_000)).data_set()
}

/// Begins to store a large instance; gives the rest of its data set. The server is at it when this returns.
async fn half_stored(peer: &mut Peer<TcpStream>, number: u16, data: &Path) -> Vec<u8> {
    let data_set = large(number);
    let (first, rest) = data_set.split_at(data_set.len() / 2);
    peer.send(&p_data_command(3, true, &c_store_rq(number))).await;
    for piece in first.chunks(PIECE) {
        peer.send(&p_data_data_set(3, false, piece)).await;
    }
    while std::fs::read_dir(data.join("incoming")).unwrap().count() == 0 {
        tokio::task::yield_now().await;
    }
    rest.to_vec()
}

async fn ends(serving: JoinHandle<()>) {
    tokio::time::timeout(Duration::from_secs(30), serving).await.expect("it ends").unwrap();
}

/// Waits until an association is what the server waits for: it aborts idle ones as soon as it is told to stop.
async fn expect_stopping(idle: &mut Peer<TcpStream>) {
    idle.expect(pdu_type::ABORT).await;
    idle.expect_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_ends_and_is_answered_and_what_is_idle_is_aborted() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |settings| settings.grace = LONG).await;
    let mut idle = server.associate("IDLE").await;
    let mut storing = server.associate("STORING").await;
    let rest = half_stored(&mut storing, 1, data.path()).await;
    let (_at_once, serving) = server.stop();
    expect_stopping(&mut idle).await;
    for piece in rest.chunks(PIECE) {
        storing.send(&p_data_data_set(3, false, piece)).await;
    }
    storing.send(&p_data_data_set(3, true, &[])).await;
    let (_, response, _) = storing.expect_command().await;
    assert_eq!(command_number(&response, 0x0900), Some(0));
    expect_stopping(&mut storing).await;
    ends(serving).await;
    line(&["calling=\"IDLE\"", "association ended", "store=0", "end=\"aborted: the archive stops\""]);
    line(&["calling=\"STORING\"", "C-STORE answered", "message_id=1"]);
    line(&["calling=\"STORING\"", "association ended", "store=1", "end=\"aborted: the archive stops\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_within_the_grace_is_aborted_and_the_log_says_how_far_it_came() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |settings| settings.grace = Duration::from_millis(300)).await;
    let mut stalled = server.associate("STALLED").await;
    let sent = large(2).len() - half_stored(&mut stalled, 2, data.path()).await.len();
    let (_at_once, serving) = server.stop();
    expect_stopping(&mut stalled).await;
    ends(serving).await;
    let operation = line(&["calling=\"STALLED\"", "C-STORE not answered", "is_stored=false"]);
    let received = operation.split("received_bytes=").nth(1).unwrap().split(' ').next().unwrap();
    let received: usize = received.parse().unwrap();
    assert!((1024 * 1024..=sent).contains(&received), "{operation}");
    assert!(operation.contains("end=\"cut off: the archive stops\""), "{operation}");
    line(&[
        "calling=\"STALLED\"",
        "association ended",
        "stored_bytes=0",
        "end=\"cut off: the archive stops\"",
    ]);
    let archive = Archive::open(data.path(), dicomet_archive::Settings::default()).unwrap();
    drop(archive);
    assert_eq!(std::fs::read_dir(data.path().join("incoming")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_twice_does_not_wait_for_the_grace() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |settings| settings.grace = LONG).await;
    let mut idle = server.associate("IDLE2").await;
    let mut stalled = server.associate("STALLED2").await;
    half_stored(&mut stalled, 3, data.path()).await;
    let (at_once, serving) = server.stop();
    expect_stopping(&mut idle).await;
    at_once.send(()).unwrap();
    expect_stopping(&mut stalled).await;
    ends(serving).await;
    line(&["calling=\"STALLED2\"", "association ended", "end=\"cut off: the archive stops\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_has_always_sent_its_next_request_does_not_keep_it_from_stopping() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |settings| settings.grace = LONG).await;
    let mut idle = server.associate("IDLE3").await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let mut peer = Peer::new(&mut stream);
    peer.send(&request("BUSY")).await;
    peer.expect(pdu_type::ASSOCIATE_AC).await;
    let (mut reading, mut writing) = stream.into_split();
    let echo = p_data_command(1, true, &c_echo_rq("1.2.840.10008.1.1"));
    let sending = tokio::spawn(async move {
        let many = echo.repeat(100);
        while writing.write_all(&many).await.is_ok() {}
    });
    let answered = tokio::spawn(async move {
        let mut answered = 0;
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = reading.read(&mut bytes).await {
            answered += read;
        }
        answered
    });
    // It is at work: some echos are answered.
    while logged(&["calling=\"BUSY\"", "C-ECHO answered"]).is_empty() {
        tokio::task::yield_now().await;
    }
    let (_at_once, serving) = server.stop();
    expect_stopping(&mut idle).await;
    ends(serving).await;
    assert!(answered.await.unwrap() > 0);
    sending.await.unwrap();
    line(&["calling=\"BUSY\"", "association ended", "end=\"aborted: the archive stops\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_has_not_said_anything_does_not_keep_it_from_stopping() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |settings| settings.grace = LONG).await;
    let mut silent = Peer::connect(server.port).await;
    let mut idle = server.associate("IDLE4").await;
    let (_at_once, serving) = server.stop();
    expect_stopping(&mut idle).await;
    silent.expect_end().await;
    ends(serving).await;
    assert!(logged(&["cut off"]).iter().all(|line| !line.contains("IDLE4")));
}
