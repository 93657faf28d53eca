#![allow(clippy::unwrap_used)]

use std::time::Duration;

use dicomet_proto::association::{ContextId, Limits};
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::{CCancelRq, CEchoRq, CStoreRq, CStoreRsp, Command, MessageId, Priority, Status};
use dicomet_proto::{Uid, pdu::AbortSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::testing::{data, message, pair, pair_with_limits, requestor_alone};

const PIPE: usize = 64 * 1024;

fn verification() -> ContextId {
    ContextId::new(1).unwrap()
}

fn ct() -> ContextId {
    ContextId::new(5).unwrap()
}

fn echo_rq(id: u16) -> Command {
    let affected_sop_class_uid = uids::VERIFICATION;
    Command::CEchoRq(CEchoRq { message_id: MessageId(id), affected_sop_class_uid })
}

fn store_rq(id: u16) -> Command {
    Command::CStoreRq(CStoreRq {
        message_id: MessageId(id),
        affected_sop_class_uid: uids::CT_IMAGE_STORAGE,
        affected_sop_instance_uid: Uid::from_static("1.2.3"),
        priority: Priority::Medium,
        move_originator: None,
    })
}

fn store_rsp(id: u16) -> Command {
    Command::CStoreRsp(CStoreRsp {
        message_id: MessageId(id),
        affected_sop_class_uid: None,
        affected_sop_instance_uid: None,
        status: Status::SUCCESS,
        error_comment: None,
        offending_elements: Vec::new(),
    })
}

/// Bytes that show when a piece is lost, doubled or out of place.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

#[tokio::test]
async fn a_message_arrives_as_it_was_sent_whatever_the_size_of_pipe_and_data() {
    for pipe in [7, 1000, PIPE] {
        for length in [0, 1, 2, 4096, output::MAX_FRAGMENT, output::MAX_FRAGMENT + 1, 600_001] {
            let (mut requestor, mut acceptor) = pair(pipe).await;
            let bytes = pattern(length);
            let send = async {
                requestor.send(ct(), &store_rq(1), Data::Bytes(&bytes)).await.unwrap();
                requestor.send(ct(), &store_rq(2), Data::Source(&mut &bytes[..])).await.unwrap();
                requestor.release().await.unwrap();
            };
            let receive = async {
                for id in [1, 2] {
                    assert_eq!(message(&mut acceptor).await.command, store_rq(id));
                    assert!(data(&mut acceptor).await == bytes, "{length} bytes through {pipe}");
                }
                assert_eq!(acceptor.receive().await.unwrap(), Received::ReleaseRequested);
                acceptor.respond_release().await.unwrap();
            };
            tokio::join!(send, receive);
        }
    }
}

#[tokio::test]
async fn a_peer_with_a_small_maximum_length_gets_small_pdus() {
    for max_pdu_length in [8, 100, 16_384] {
        let limits = Limits { max_pdu_length, ..Limits::default() };
        let (mut requestor, mut acceptor) = pair_with_limits(PIPE, limits).await;
        let bytes = pattern(50_000);
        let send = async {
            requestor.send(ct(), &store_rq(1), Data::Source(&mut &bytes[..])).await.unwrap();
            requestor.flush().await.unwrap();
        };
        let receive = async {
            message(&mut acceptor).await;
            assert!(data(&mut acceptor).await == bytes);
        };
        tokio::join!(send, receive);
    }
}

#[tokio::test(start_paused = true)]
async fn small_messages_leave_together_and_only_when_they_must() {
    let (mut requestor, mut acceptor) = pair(PIPE).await;
    for id in 1..=3 {
        requestor.send(verification(), &echo_rq(id), Data::None).await.unwrap();
    }
    assert_eq!(acceptor.try_receive().unwrap(), None);
    requestor.flush().await.unwrap();
    for id in 1..=3 {
        assert_eq!(message(&mut acceptor).await.command, echo_rq(id));
    }
}

#[tokio::test]
async fn both_sides_may_send_at_once_through_the_smallest_pipe() {
    let (mut requestor, mut acceptor) = pair(16).await;
    let bytes = pattern(400_000);
    let each = async |association: &mut Association| {
        association.send(ct(), &store_rq(1), Data::Source(&mut &bytes[..])).await.unwrap();
        association.flush().await.unwrap();
        message(association).await;
        assert!(data(association).await == bytes);
    };
    tokio::join!(each(&mut requestor), each(&mut acceptor));
}

#[tokio::test]
async fn a_cancel_is_seen_while_we_send_and_what_came_before_it_stays() {
    let (mut requestor, mut acceptor) = pair(1000).await;
    let bytes = pattern(300_000);
    let cancel = Command::CCancelRq(CCancelRq { message_id: MessageId(9) });
    let one = async {
        requestor.send(verification(), &echo_rq(1), Data::None).await.unwrap();
        requestor.send(verification(), &cancel, Data::None).await.unwrap();
        message(&mut requestor).await;
        assert!(data(&mut requestor).await == bytes);
    };
    let other = async {
        acceptor.send(ct(), &store_rq(1), Data::Bytes(&bytes)).await.unwrap();
        acceptor.flush().await.unwrap();
        assert!(!acceptor.cancel_requested(MessageId(8)).unwrap());
        assert!(acceptor.cancel_requested(MessageId(9)).unwrap());
        assert!(!acceptor.cancel_requested(MessageId(9)).unwrap());
        assert_eq!(message(&mut acceptor).await.command, echo_rq(1));
    };
    tokio::join!(one, other);
}

#[tokio::test]
async fn try_receive_sees_what_is_there_and_passes_over_data_that_nobody_took() {
    let (mut requestor, mut acceptor) = pair(PIPE).await;
    assert_eq!(acceptor.try_receive().unwrap(), None);
    requestor.send(ct(), &store_rq(1), Data::Bytes(&pattern(1000))).await.unwrap();
    requestor.send(verification(), &echo_rq(2), Data::None).await.unwrap();
    requestor.flush().await.unwrap();
    for command in [store_rq(1), echo_rq(2)] {
        let received = acceptor.try_receive().unwrap().unwrap();
        assert!(matches!(received, Received::Message(message) if message.command == command));
    }
    assert_eq!(acceptor.try_receive().unwrap(), None);
}

#[tokio::test]
async fn a_data_set_beyond_the_limit_is_passed_over() {
    let (mut requestor, mut acceptor) = pair(PIPE).await;
    let send = async {
        requestor.send(ct(), &store_rq(1), Data::Bytes(&pattern(300_000))).await.unwrap();
        requestor.send(verification(), &echo_rq(2), Data::None).await.unwrap();
        requestor.flush().await.unwrap();
    };
    let receive = async {
        message(&mut acceptor).await;
        assert_eq!(acceptor.receive_data_whole(299_999).await.unwrap(), None);
        assert_eq!(acceptor.receive_data().await.unwrap(), None);
        assert_eq!(message(&mut acceptor).await.command, echo_rq(2));
    };
    tokio::join!(send, receive);
}

#[tokio::test]
async fn nothing_is_lost_when_a_receive_is_dropped_in_the_middle() {
    let (mut requestor, mut acceptor) = pair(3).await;
    let bytes = pattern(3000);
    let send = async {
        requestor.send(ct(), &store_rq(1), Data::Bytes(&bytes)).await.unwrap();
        requestor.flush().await.unwrap();
    };
    let receive = async {
        let received = loop {
            tokio::select! {
                biased;
                received = acceptor.receive() => break received.unwrap(),
                () = tokio::task::yield_now() => {}
            }
        };
        assert!(matches!(received, Received::Message(message) if message.command == store_rq(1)));
        let mut taken = Vec::new();
        loop {
            tokio::select! {
                biased;
                piece = acceptor.receive_data() => match piece.unwrap() {
                    Some(piece) => taken.extend_from_slice(&piece),
                    None => break,
                },
                () = tokio::task::yield_now() => {}
            }
        }
        assert!(taken == bytes);
    };
    tokio::join!(send, receive);
}

#[tokio::test]
async fn a_message_that_was_cut_off_is_the_last() {
    let (mut requestor, acceptor) = pair(100).await;
    let bytes = pattern(1_000_000);
    {
        let command = store_rq(1);
        let send = requestor.send(ct(), &command, Data::Bytes(&bytes));
        tokio::pin!(send);
        assert!(futures_poll_once(send.as_mut()).await.is_none());
    }
    let error = requestor.send(verification(), &echo_rq(2), Data::None).await.unwrap_err();
    assert!(matches!(error, Error::NotInThisState(_)), "{error}");
    drop(acceptor);
}

/// Polls a future once, and lets it be.
async fn futures_poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match future.as_mut().poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn a_source_that_fails_aborts_and_no_last_fragment_leaves() {
    struct Failing(u64);
    impl Source for Failing {
        fn remaining(&self) -> u64 {
            self.0
        }
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let (mut requestor, mut acceptor) = pair(PIPE).await;
    let error = requestor.send(ct(), &store_rq(1), Data::Source(&mut Failing(10))).await.unwrap_err();
    assert!(matches!(error, Error::Source(_)), "{error}");
    message(&mut acceptor).await;
    let error = acceptor.receive_data().await.unwrap_err();
    assert!(matches!(error, Error::Aborted(abort) if abort.source == AbortSource::ServiceUser), "{error}");
}

#[tokio::test]
async fn a_source_that_ends_early_is_an_error_and_not_a_shorter_data_set() {
    struct Short;
    impl Source for Short {
        fn remaining(&self) -> u64 {
            10
        }
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Ok(0)
        }
    }
    let (mut requestor, _acceptor) = pair(PIPE).await;
    let error = requestor.send(ct(), &store_rq(1), Data::Source(&mut Short)).await.unwrap_err();
    assert!(matches!(&error, Error::Source(error) if error.kind() == std::io::ErrorKind::UnexpectedEof));
}

#[tokio::test]
async fn a_peer_that_closes_in_the_middle_of_a_data_set_does_not_end_it() {
    let (mut requestor, mut acceptor) = pair(100).await;
    {
        let command = store_rq(1);
        let bytes = pattern(1_000_000);
        tokio::select! {
            _ = requestor.send(ct(), &command, Data::Bytes(&bytes)) => unreachable!(),
            received = acceptor.receive() => { received.unwrap(); }
        }
    }
    drop(requestor);
    let error = loop {
        match acceptor.receive_data().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a cut data set passed for a whole one"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::ConnectionClosed), "{error}");
}

#[tokio::test]
async fn what_arrived_before_an_abort_is_received_before_it() {
    let (mut requestor, mut acceptor) = pair(PIPE).await;
    requestor.send(ct(), &store_rsp(4), Data::None).await.unwrap();
    let (_, received) = tokio::join!(requestor.abort(), acceptor.receive());
    assert!(matches!(received.unwrap(), Received::Message(message) if message.command == store_rsp(4)));
    assert!(matches!(acceptor.receive().await.unwrap_err(), Error::Aborted(_)));
}

#[tokio::test]
async fn an_abort_is_seen_by_who_only_sends() {
    let (mut requestor, acceptor) = pair(1000).await;
    let bytes = pattern(1_000_000);
    let command = store_rq(1);
    let send = requestor.send(ct(), &command, Data::Bytes(&bytes));
    let (sent, ()) = tokio::join!(send, acceptor.abort());
    assert!(matches!(sent.unwrap_err(), Error::Aborted(_)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up() {
    let (mut requestor, _peer) = requestor_alone(1000).await;
    let error = requestor.send(ct(), &store_rq(1), Data::Bytes(&pattern(1_000_000))).await.unwrap_err();
    assert_eq!(error.to_string(), "the peer did not take our data within 60 s");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_nothing_is_given_up_and_told() {
    let (mut requestor, mut peer) = requestor_alone(1000).await;
    let error = requestor.receive().await.unwrap_err();
    assert_eq!(error.to_string(), "the peer did not send a response within 60 s");
    let mut rest = Vec::new();
    drop(requestor);
    peer.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, [7, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_byte_now_and_then_is_no_progress() {
    let (mut requestor, mut peer) = requestor_alone(1000).await;
    let drip = async {
        // The header of a P-DATA-TF of 1000 bytes, and then nearly nothing.
        let _ = peer.write_all(&[4, 0, 0, 0, 3, 232]).await;
        loop {
            tokio::time::sleep(Duration::from_secs(10)).await;
            if peer.write_all(&[0]).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        received = requestor.receive() => assert!(matches!(received, Err(Error::TimedOut { .. }))),
        () = drip => {}
    }
}

#[tokio::test(start_paused = true)]
async fn waits_that_are_dropped_again_and_again_add_up() {
    let (mut requestor, _peer) = requestor_alone(1000).await;
    for _ in 0..59 {
        let second = Duration::from_secs(1);
        assert!(tokio::time::timeout(second, requestor.receive()).await.is_err());
        // What the owner does meanwhile does not count.
        tokio::time::sleep(Duration::from_secs(100)).await;
    }
    let received = tokio::time::timeout(Duration::from_secs(2), requestor.receive()).await;
    assert!(matches!(received, Ok(Err(Error::TimedOut { .. }))));
}

#[tokio::test]
async fn both_may_ask_for_release_at_once() {
    let (requestor, acceptor) = pair(PIPE).await;
    let (one, other) = tokio::join!(requestor.release(), acceptor.release());
    one.unwrap();
    other.unwrap();
}

#[tokio::test]
async fn data_that_arrives_after_our_release_request_is_passed_over() {
    let (requestor, mut acceptor) = pair(PIPE).await;
    acceptor.send(ct(), &store_rq(1), Data::Bytes(&pattern(200_000))).await.unwrap();
    let answer = async {
        loop {
            if acceptor.receive().await.unwrap() == Received::ReleaseRequested {
                return acceptor.respond_release().await;
            }
        }
    };
    let (released, answered) = tokio::join!(requestor.release(), answer);
    released.unwrap();
    answered.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_does_not_wait_for_company_that_comes_late() {
    let (mut requestor, mut acceptor) = pair(PIPE).await;
    tokio::time::advance(Duration::from_millis(1)).await;
    requestor.send(verification(), &echo_rq(1), Data::None).await.unwrap();
    assert!(acceptor.try_receive().unwrap().is_some());
}

#[test]
fn an_association_moves_between_threads() {
    fn assert_send<T: Send>(_: T) {}
    fn send(association: &mut Association) -> impl Future<Output = Result<(), Error>> + Send {
        let command = echo_rq(1);
        async move { association.send(verification(), &command, Data::None).await }
    }
    let _ = |mut association: Association| {
        assert_send(send(&mut association));
        assert_send(association.receive_data());
        assert_send(crate::service::next_request(&mut association));
        assert_send(association.release());
    };
}

#[tokio::test]
async fn message_ids_never_are_zero() {
    let (mut requestor, _acceptor) = pair(PIPE).await;
    requestor.last_message_id = u16::MAX - 1;
    assert_eq!(requestor.next_message_id(), MessageId(u16::MAX));
    assert_eq!(requestor.next_message_id(), MessageId(1));
}
