//! The log has a line for each operation, with status and figures, also for what does not come to its end; and for what is refused.

#![allow(clippy::unwrap_used)]

mod support;

use dicomet_proto::dataset::dictionary::uids;
use dicomet_testkit::peer::{
    Field, Peer, abort, associate_rq, command_number, command_set, p_data_command, p_data_data_set, pdu_type,
    release_rq,
};
use tempfile::TempDir;

use support::{
    LONG_ANSWERS, Running, c_echo_rq, c_store_rq, find_without_reading, instance, line, logged,
    with_long_answers,
};

async fn start() -> (Running, TempDir) {
    let data = tempfile::tempdir().unwrap();
    (Running::start(data.path(), |_| ()).await, data)
}

/// Stops the server, after which all lines are there.
async fn stop(server: Running) {
    let (_at_once, serving) = server.stop();
    serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_aborted_has_its_line_with_what_came() {
    let (server, _data) = start().await;
    let mut peer = server.associate("ABORTS").await;
    let data_set = instance(1).data_set();
    peer.send(&p_data_command(3, true, &c_store_rq(1))).await;
    peer.send(&p_data_data_set(3, false, &data_set[..100])).await;
    peer.send(&abort(0, 0)).await;
    // The server closes once it has read as far as that.
    peer.expect_end().await;
    stop(server).await;
    let operation = line(&["calling=\"ABORTS\"", "C-STORE not answered", "message_id=1"]);
    assert!(operation.contains("received_bytes=100 is_stored=false seconds="), "{operation}");
    line(&["calling=\"ABORTS\"", "association ended", "store=1", "stored_bytes=0"]);
    assert!(!operation.contains("Bowen"), "{operation}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_whose_requestor_leaves_has_its_line_with_the_matches_that_were_sent() {
    let data = tempfile::tempdir().unwrap();
    with_long_answers(data.path());
    let server = Running::start(data.path(), |_| ()).await;
    // It reads nothing, and leaves when some matches are on their way.
    let mut peer = find_without_reading(server.port, "LEAVES").await;
    peer.expect_command().await;
    drop(peer);
    stop(server).await;
    let operation = line(&["calling=\"LEAVES\"", "C-FIND not answered", "message_id=9"]);
    let (_, matches) = operation.split_once("matches=").unwrap();
    let matches: usize = matches.split(' ').next().unwrap().parse().unwrap();
    assert!(matches > 0 && matches < LONG_ANSWERS, "{operation}");
    line(&["calling=\"LEAVES\"", "association ended", "find=1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_before_any_service_has_it_is_logged_and_counted() {
    let (server, _data) = start().await;
    let mut peer = server.associate("REFUSED").await;
    let of_another_class = c_echo_rq("1.2.840.10008.5.1.4.1.1.2");
    let unknown = command_set(&[
        (0x0002, Field::Uid("1.2.840.10008.1.1")),
        (0x0100, Field::Number(0x0140)),
        (0x0110, Field::Number(8)),
        (0x0800, Field::Number(0x0101)),
    ]);
    let without_class = command_set(&[
        (0x0100, Field::Number(0x0030)),
        (0x0110, Field::Number(9)),
        (0x0800, Field::Number(0x0101)),
    ]);
    for (command, status) in [(of_another_class, 0x0122), (unknown, 0x0211), (without_class, 0x0212)] {
        peer.send(&p_data_command(1, true, &command)).await;
        let (_, response, _) = peer.expect_command().await;
        assert_eq!(command_number(&response, 0x0900), Some(status));
        line(&["calling=\"REFUSED\"", "request refused", &format!("status={status:04X}")]);
    }
    peer.send(&p_data_command(1, true, &c_echo_rq("1.2.840.10008.1.1"))).await;
    peer.expect_command().await;
    peer.send(&release_rq()).await;
    peer.expect(pdu_type::RELEASE_RP).await;
    stop(server).await;
    line(&["calling=\"REFUSED\"", "association ended", "echo=1", "refused=3", "end=\"released\""]);
    line(&["calling=\"REFUSED\"", "C-ECHO answered", "status=0000 seconds="]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_values_odd_length_is_kept_and_logged() {
    let (server, _data) = start().await;
    let mut peer = server.associate("ODD").await;
    let mut data_set = instance(4).data_set();
    // (0010,1030) Patient's Weight, DS, of three bytes: in its place behind Patient ID.
    let place = data_set.windows(4).position(|tag| tag == [0x20, 0, 0x0D, 0]).unwrap();
    data_set.splice(place..place, *b"\x10\x00\x30\x10DS\x03\x00123");
    peer.send(&p_data_command(3, true, &c_store_rq(4))).await;
    peer.send(&p_data_data_set(3, true, &data_set)).await;
    let (_, response, _) = peer.expect_command().await;
    assert_eq!(command_number(&response, 0x0900), Some(0));
    stop(server).await;
    line(&["calling=\"ODD\"", "C-STORE answered", "status=0000 bytes=", "odd_lengths=1"]);
    assert!(logged(&["calling=\"ODD\"", "trailing_zeros"]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_to_who_is_not_known_is_logged_with_the_destination() {
    let (server, _data) = start().await;
    let (retrieve, implicit) = (uids::STUDY_ROOT_MOVE, uids::IMPLICIT_VR_LITTLE_ENDIAN);
    let mut peer = Peer::connect(server.port).await;
    let contexts = [(1, retrieve.as_str(), &[implicit.as_str()][..])];
    peer.send(&associate_rq("ARCHIVE", "MOVES", &contexts, &[])).await;
    peer.expect(pdu_type::ASSOCIATE_AC).await;
    let command = command_set(&[
        (0x0002, Field::Uid(retrieve.as_str())),
        (0x0100, Field::Number(0x0021)),
        (0x0110, Field::Number(5)),
        (0x0600, Field::Text("NOBODY")),
        (0x0700, Field::Number(0)),
        (0x0800, Field::Number(0)),
    ]);
    peer.send(&p_data_command(1, true, &command)).await;
    // (0008,0052) Query/Retrieve Level.
    peer.send(&p_data_data_set(1, true, b"\x08\x00\x52\x00\x06\x00\x00\x00STUDY ")).await;
    let (_, response, _) = peer.expect_command().await;
    assert_eq!(command_number(&response, 0x0900), Some(0xA801));
    stop(server).await;
    line(&["calling=\"MOVES\"", "C-MOVE refused", "message_id=5 destination=NOBODY status=A801 comment="]);
}
