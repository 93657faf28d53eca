//! C-GET that the requestor cancels or leaves, or that we end ourselves. The clock is the test's: what is waited for in
//! vain takes its time there alone.

use std::future::{pending, ready};
use std::time::Duration;

use dicomet_net::Error;
use dicomet_net::service::next_request;
use dicomet_net::service::sub_operations::Pace;
use dicomet_proto::message::{CGetRsp, Command, Status};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::get::{GET_ID, Requestor, associate, counters, proposal, serve, serve_until};
use crate::shelf::{Content, cts};

/// What C-CANCEL may take.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Cancels, and gives the final response.
async fn cancelled(requestor: &mut Requestor) -> (CGetRsp, Vec<String>) {
    let began = Instant::now();
    requestor.cancel(GET_ID).await;
    let (response, failed) = requestor.finish().await;
    assert!(began.elapsed() < AT_ONCE, "after {:?}", began.elapsed());
    assert_eq!(response.status, Status::CANCEL);
    (response, failed)
}

#[tokio::test(start_paused = true)]
async fn cancel_while_it_is_planned_is_answered_at_once() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let asking = async {
        requestor.get().await;
        cancelled(&mut requestor).await
    };
    let serving = serve_until(acceptor, pending(), Pace::default(), pending());
    let ((response, failed), (_, report)) = tokio::join!(asking, serving);
    assert_eq!(response.counters, counters(Some(0), 0, 0, 0));
    assert_eq!(failed, [""; 0]);
    assert_eq!(report.unwrap().unwrap().status, Status::CANCEL);
}

#[tokio::test(start_paused = true)]
async fn a_requestor_that_leaves_while_it_is_planned_ends_it() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let asking = async {
        requestor.get().await;
        requestor.association.abort().await;
    };
    let serving = serve_until(acceptor, pending(), Pace::default(), pending());
    let ((), (_, report)) = tokio::join!(asking, serving);
    assert!(matches!(report, Err(Error::Aborted(_))), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn while_an_instance_is_being_opened_the_requestor_is_heard_and_hears() {
    let (mut requestor, acceptor) = associate(proposal(Some(16), true)).await;
    let mut shelf = cts(4);
    shelf.instances[2].content = Content::Stuck;
    let pace = Pace { pending_interval: Duration::from_secs(1), ..Pace::default() };
    let asking = async {
        requestor.get().await;
        let mut taken = Vec::new();
        for _ in 0..2 {
            let (message, request, _) = requestor.store_rq().await;
            taken.push((message.context_id, request));
        }
        // The responses come while the third is being opened: the next Pending counts them.
        for (context_id, request) in taken {
            requestor.store_rsp(context_id, &request, Status::SUCCESS).await;
        }
        loop {
            match requestor.message().await.command {
                Command::CGetRsp(response) if response.counters == counters(Some(2), 2, 0, 0) => break,
                Command::CGetRsp(response) => assert_eq!(response.status, Status::PENDING),
                other => panic!("unexpected {other:?}"),
            }
        }
        // And signs of life go on.
        let Command::CGetRsp(alive) = requestor.message().await.command else {
            panic!("expected a C-GET-RSP")
        };
        assert_eq!((alive.status, alive.counters), (Status::PENDING, counters(Some(2), 2, 0, 0)));
        cancelled(&mut requestor).await
    };
    let ((response, failed), _) = tokio::join!(asking, serve(acceptor, shelf, pace));
    assert_eq!(response.counters, counters(Some(2), 2, 0, 0));
    assert_eq!(failed, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_requestor_that_cancels_and_answers_nothing_more_is_answered_and_may_go_on() {
    let (mut requestor, acceptor) = associate(proposal(Some(2), true)).await;
    let asking = async {
        requestor.get().await;
        let (message, request, _) = requestor.store_rq().await;
        requestor.store_rq().await;
        let (response, failed) = cancelled(&mut requestor).await;
        // It answers late, which is nobody's response any more, and asks for something else.
        requestor.store_rsp(message.context_id, &request, Status::SUCCESS).await;
        requestor.get().await;
        (response, failed)
    };
    let serving = async {
        let (mut association, report) = serve(acceptor, cts(5), Pace::default()).await;
        report.unwrap();
        next_request(&mut association).await.unwrap()
    };
    let ((response, failed), next) = tokio::join!(asking, serving);
    assert_eq!(response.counters, counters(Some(3), 0, 2, 0));
    assert_eq!(failed, ["1.2.1", "1.2.2"]);
    assert!(matches!(next, Some(dicomet_net::service::Request::Get(..))), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn when_we_stop_what_was_begun_may_end_and_the_rest_is_reported() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let asking = async {
        requestor.get().await;
        requestor.take(Status::SUCCESS).await;
        let (message, request, _) = requestor.store_rq().await;
        stop.send(()).unwrap();
        requestor.store_rsp(message.context_id, &request, Status::SUCCESS).await;
        requestor.finish().await
    };
    let stop = async { drop(stopped.await) };
    let serving = serve_until(acceptor, ready(cts(5)), Pace::default(), stop);
    let ((response, failed), (_, report)) = tokio::join!(asking, serving);
    assert_eq!(response.status, Status::WARNING);
    assert_eq!(response.error_comment.as_deref(), Some("the archive is being stopped"));
    // The third may have been begun before we heard of it; it has an answer all the same.
    assert_eq!(response.counters, counters(None, 2, 3, 0));
    assert_eq!(failed, ["1.2.3", "1.2.4", "1.2.5"]);
    assert_eq!(report.unwrap().unwrap().sub_operations.failed, 3);
}

#[tokio::test(start_paused = true)]
async fn when_we_stop_a_requestor_that_answers_nothing_is_told_what_it_owes() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let asking = async {
        requestor.get().await;
        requestor.store_rq().await;
        requestor.finish().await
    };
    let stop = tokio::time::sleep(Duration::from_secs(1));
    let serving = serve_until(acceptor, ready(cts(3)), Pace::default(), stop);
    let ((response, failed), _) = tokio::join!(asking, serving);
    assert_eq!(response.status, Status::UNABLE_TO_PERFORM_SUB_OPERATIONS);
    assert_eq!(response.counters, counters(None, 0, 3, 0));
    assert_eq!(failed, ["1.2.1", "1.2.2", "1.2.3"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_with_nothing_left_to_begin_is_a_cancel_unless_all_is_answered_in_time() {
    for answers in [0, 1, 2] {
        let (mut requestor, acceptor) = associate(proposal(Some(16), true)).await;
        let asking = async {
            requestor.get().await;
            let first = requestor.store_rq().await;
            let second = requestor.store_rq().await;
            requestor.cancel(GET_ID).await;
            for (message, request, _) in [first, second].iter().take(answers) {
                requestor.store_rsp(message.context_id, request, Status::SUCCESS).await;
            }
            requestor.finish().await
        };
        let ((response, failed), _) = tokio::join!(asking, serve(acceptor, cts(2), Pace::default()));
        let answered = answers as u16;
        if answers == 2 {
            assert_eq!((response.status, failed.len()), (Status::SUCCESS, 0));
            assert_eq!(response.counters, counters(None, 2, 0, 0));
        } else {
            assert_eq!((response.status, failed.len()), (Status::CANCEL, 2 - answers));
            assert_eq!(response.counters, counters(Some(0), answered, 2 - answered, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_still_being_planned_when_we_stop_is_refused() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let asking = async {
        requestor.get().await;
        requestor.finish().await
    };
    let stop = tokio::time::sleep(Duration::from_secs(1));
    let serving = serve_until(acceptor, pending(), Pace::default(), stop);
    let ((response, _), (_, report)) = tokio::join!(asking, serving);
    assert_eq!(response.status, Status::UNABLE_TO_PERFORM_SUB_OPERATIONS);
    assert_eq!(response.error_comment.as_deref(), Some("the archive is being stopped"));
    assert!(report.unwrap().is_none());
}
