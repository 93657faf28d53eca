//! Places for associations over loopback: 127.0.0.1 and 127.0.0.2 are two hosts.

#![allow(clippy::unwrap_used)]

mod support;

use dicomet_server::settings::CalledAeTitles;
use dicomet_testkit::peer::{Peer, associate_rq, pdu_type};
use tokio::net::{TcpSocket, TcpStream};

use support::{Running, line, request};

const FIRST: [u8; 4] = [127, 0, 0, 1];
const SECOND: [u8; 4] = [127, 0, 0, 2];

async fn connect(server: &Running, from: [u8; 4]) -> Peer<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    Peer::new(socket.connect(([127, 0, 0, 1], server.port).into()).await.unwrap())
}

async fn expect_local_limit_exceeded(peer: &mut Peer<TcpStream>) {
    let rejection = peer.expect(pdu_type::ASSOCIATE_RJ).await;
    // Transient, by the presentation layer: PS3.8 Table 9-21.
    assert_eq!(rejection.body, [0, 2, 3, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_gets_its_part_of_the_places_and_no_more() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |settings| {
        settings.max_associations = 3;
        settings.of_one_host = Some(2);
    })
    .await;
    let mut greedy = Vec::new();
    for _ in 0..2 {
        let mut peer = connect(&server, FIRST).await;
        peer.send(&request("GREEDY")).await;
        peer.expect(pdu_type::ASSOCIATE_AC).await;
        greedy.push(peer);
    }
    let mut one_more = connect(&server, FIRST).await;
    one_more.send(&request("ONE_MORE")).await;
    expect_local_limit_exceeded(&mut one_more).await;
    let mut other = connect(&server, SECOND).await;
    other.send(&request("OTHER_HOST")).await;
    other.expect(pdu_type::ASSOCIATE_AC).await;
    let mut full = connect(&server, SECOND).await;
    full.send(&request("FULL")).await;
    expect_local_limit_exceeded(&mut full).await;
    drop((greedy, one_more, other, full));
    let (_at_once, serving) = server.stop();
    serving.await.unwrap();
    line(&["calling=\"ONE_MORE\"", "why=\"its host has as many", "association rejected"]);
    line(&["calling=\"FULL\"", "why=\"there are as many", "association rejected"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_is_rejected_keeps_nobody_from_a_place() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |settings| {
        settings.max_associations = 1;
        settings.called = CalledAeTitles::Own;
    })
    .await;
    let silent = connect(&server, FIRST).await;
    let mut rejected = connect(&server, FIRST).await;
    let verification = [(1, "1.2.840.10008.1.1", &["1.2.840.10008.1.2"][..])];
    rejected.send(&associate_rq("ANOTHER", "REJECTED", &verification, &[])).await;
    rejected.expect(pdu_type::ASSOCIATE_RJ).await;
    // Both connections are still there.
    let mut peer = connect(&server, FIRST).await;
    peer.send(&request("WELCOME")).await;
    peer.expect(pdu_type::ASSOCIATE_AC).await;
    drop((silent, rejected, peer));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_those_that_are_told_are_closed_and_logged() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |settings| settings.max_associations = 1).await;
    // One place, and sixteen that are told that there is none.
    let mut silent = Vec::new();
    for _ in 0..17 {
        silent.push(connect(&server, FIRST).await);
    }
    connect(&server, FIRST).await.expect_end().await;
    line(&["closed unheard", "connections=1", "there are as many"]);
}
