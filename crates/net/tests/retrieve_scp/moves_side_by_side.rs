//! C-MOVE over several associations at a time, where the destination allows it, and over another one after one of them.

use dicomet_net::Error;
use dicomet_net::service::c_move::scp::MoveDestination;
use dicomet_net::service::next_request;
use dicomet_net::service::sub_operations::Pace;
use dicomet_proto::message::Status;
use dicomet_proto::pdu::{AssociateRj, RejectReason, RejectResult};

use crate::moves::{accept, assert_failed, at, counters, cts, listener, moved, take, take_all};
use crate::shelf::Content;

/// A destination that may have so many associations, with one operation outstanding on each.
fn with(port: u16, associations: usize) -> MoveDestination {
    MoveDestination { associations, window: 1, ..at(port) }
}

#[tokio::test]
async fn associations_share_the_work_and_the_counters() {
    let (listener, port) = listener().await;
    let receiving = async {
        let mut three = [accept(&listener).await, accept(&listener).await, accept(&listener).await];
        // Each has its own instance before any is answered.
        let mut first = Vec::new();
        for destination in &mut three {
            first.push(take(destination, Status::SUCCESS).await.unwrap().affected_sop_instance_uid);
        }
        assert!(first[0] != first[1] && first[1] != first[2] && first[0] != first[2], "{first:?}");
        let [a, b, c] = three;
        let rest = async |mut destination| {
            let mut taken = 0;
            while take(&mut destination, Status::SUCCESS).await.is_some() {
                taken += 1;
            }
            destination.respond_release().await.unwrap();
            taken
        };
        let (a, b, c) = tokio::join!(rest(a), rest(b), rest(c));
        a + b + c
    };
    let moving = moved(with(port, 3), vec![cts(1..=30)], Pace::default());
    let ((response, report), taken) = tokio::join!(moving, receiving);
    assert_eq!(response.command.status, Status::SUCCESS);
    assert_eq!(response.command.counters, counters(None, 30, 0, 0));
    assert_eq!((taken, report.associations, report.bytes), (27, 3, 30_000));
}

#[tokio::test]
async fn there_are_no_more_associations_than_instances() {
    let (listener, port) = listener().await;
    let moving = moved(with(port, 8), vec![cts(1..=1)], Pace::default());
    let ((response, report), taken) = tokio::join!(moving, take_all(&listener));
    assert_eq!(response.command.counters, counters(None, 1, 0, 0));
    assert_eq!((taken.len(), report.associations), (1, 1));
}

#[tokio::test]
async fn where_further_associations_are_rejected_those_that_stand_do_the_work() {
    let (listener, port) = listener().await;
    let receiving = async {
        let first = listener.accept().await;
        for _ in 0..2 {
            let requested = listener.accept().await.request().await.unwrap();
            let reason = RejectReason::LocalLimitExceeded;
            requested.reject(AssociateRj { result: RejectResult::Transient, reason }).await;
        }
        crate::moves::take_all_of(first).await
    };
    let moving = moved(with(port, 3), vec![cts(1..=9)], Pace::default());
    let ((response, report), taken) = tokio::join!(moving, receiving);
    assert_eq!(response.command.status, Status::SUCCESS);
    assert_eq!(response.command.counters, counters(None, 9, 0, 0));
    assert_eq!((taken.len(), report.associations), (9, 1));
}

#[tokio::test]
async fn a_destination_that_answers_one_at_a_time_is_not_waited_for_when_all_is_sent() {
    let (listener, port) = listener().await;
    // The others are accepted by the system, and nobody ever answers them.
    let moving = moved(with(port, 4), vec![cts(1..=9)], Pace::default());
    let ((response, report), taken) = tokio::join!(moving, take_all(&listener));
    assert_eq!(response.command.status, Status::SUCCESS);
    assert_eq!((taken.len(), report.associations), (9, 1));
}

#[tokio::test]
async fn when_one_of_two_is_lost_the_other_sends_the_rest() {
    let (listener, port) = listener().await;
    let receiving = async {
        let (mut first, mut second) = (accept(&listener).await, accept(&listener).await);
        first.receive().await.unwrap();
        first.abort().await;
        let mut taken = 0;
        while take(&mut second, Status::SUCCESS).await.is_some() {
            taken += 1;
        }
        second.respond_release().await.unwrap();
        taken
    };
    let moving = moved(with(port, 2), vec![cts(1..=9)], Pace::default());
    let ((response, _), taken) = tokio::join!(moving, receiving);
    assert_eq!(response.command.status, Status::WARNING);
    assert_eq!(response.command.counters, counters(None, 8, 1, 0));
    assert_eq!((taken, response.failed.len()), (8, 1));
}

#[tokio::test]
async fn an_instance_that_turns_out_damaged_fails_alone_and_the_rest_goes_over_another_association() {
    let (listener, port) = listener().await;
    let mut portion = cts(1..=5);
    portion.instances.instances[2].content = Content::Damaged(300_000, 400_000);
    let receiving = async {
        let mut first = accept(&listener).await;
        // Two are sent, the third breaks off; none of the two is answered.
        let ended = loop {
            match first.receive().await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(ended, Error::Aborted(_)), "{ended:?}");
        let taken = take_all(&listener).await;
        taken.iter().map(|request| request.affected_sop_instance_uid.to_string()).collect::<Vec<_>>()
    };
    let moving = moved(at(port), vec![portion], Pace::default());
    let ((response, report), taken) = tokio::join!(moving, receiving);
    assert_eq!(response.command.status, Status::WARNING);
    assert_eq!(response.command.counters, counters(None, 4, 1, 0));
    assert_failed(&response, &["1.2.3"]);
    assert_eq!(taken, ["1.2.1", "1.2.2", "1.2.4", "1.2.5"]);
    assert_eq!((report.unreadable, report.associations), (1, 2));
}

#[tokio::test]
async fn the_next_request_does_not_wait_for_a_destination_that_does_not_answer_the_release() {
    let (listener, port) = listener().await;
    let receiving = async {
        let mut destination = accept(&listener).await;
        take(&mut destination, Status::SUCCESS).await.unwrap();
        assert!(next_request(&mut destination).await.unwrap().is_none());
        destination
    };
    // The answer is complete though the destination still holds its association.
    let moving = moved(at(port), vec![cts(1..=1)], Pace::default());
    let ((response, _), destination) = tokio::join!(moving, receiving);
    assert_eq!(response.command.status, Status::SUCCESS);
    drop(destination);
}
