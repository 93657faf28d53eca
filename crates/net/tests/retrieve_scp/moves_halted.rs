//! C-MOVE that the requestor cancels or leaves, or that we end ourselves.

use std::time::Duration;

use dicomet_net::Error;
use dicomet_net::association::Received;
use dicomet_net::service::sub_operations::Pace;
use dicomet_net::service::{Request, c_store, next_request};
use dicomet_proto::message::Status;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::moves::{
    LIMIT, accept, ask, assert_failed, associate, at, counters, cts, last, listener, serve, serve_until,
    take, until_done,
};

#[tokio::test]
async fn cancel_ends_what_was_begun_and_releases_the_destination() {
    let (listener, port) = listener().await;
    let mut destination = at(port);
    destination.window = 1;
    let pace = Pace { pending_interval: Duration::ZERO, ..Pace::default() };
    let (mut requestor, archive) = associate().await;
    let (cancelled, is_cancelled) = oneshot::channel();
    let asking = async {
        let mut moving = ask(&mut requestor).await;
        let first = moving.next_within(LIMIT).await.unwrap().unwrap();
        assert_eq!(first.command.counters.completed, Some(1));
        moving.cancel().await.unwrap();
        cancelled.send(()).unwrap();
        last(&mut moving).await
    };
    let receiving = async {
        let mut destination = accept(&listener).await;
        take(&mut destination, Status::SUCCESS).await.unwrap();
        // The second is under way when the cancel comes.
        is_cancelled.await.unwrap();
        let mut taken = 1;
        while take(&mut destination, Status::SUCCESS).await.is_some() {
            taken += 1;
        }
        destination.respond_release().await.unwrap();
        taken
    };
    let serving = serve(archive, Ok((destination, vec![cts(1..=9), cts(10..=10)])), pace);
    let (response, _, taken) = tokio::join!(asking, serving, receiving);
    assert_eq!(response.command.status, Status::CANCEL);
    assert_eq!(response.command.counters, counters(Some(10 - taken), taken, 0, 0));
    assert!(taken < 10);
    assert_failed(&response, &[]);
}

#[tokio::test]
async fn cancel_does_not_wait_for_a_destination_that_stalls() {
    let (listener, port) = listener().await;
    let pace = Pace { max_outstanding: 1, ..Pace::default() };
    let (begun, is_begun) = oneshot::channel();
    let (mut requestor, archive) = associate().await;
    let asking = async {
        let mut moving = ask(&mut requestor).await;
        is_begun.await.unwrap();
        moving.cancel().await.unwrap();
        let cancelled = Instant::now();
        let response = last(&mut moving).await;
        // Some 50 ms. An abort that waited for the destination would take a second.
        assert!(cancelled.elapsed() < Duration::from_millis(900), "after {:?}", cancelled.elapsed());
        response
    };
    let stalling = async {
        let mut destination = accept(&listener).await;
        destination.receive().await.unwrap();
        begun.send(()).unwrap();
        // It hears that it was given up, and nothing of an end.
        assert!(matches!(next_request(&mut destination).await, Err(Error::Aborted(_))));
    };
    let serving = serve(archive, Ok((at(port), vec![cts(1..=3)])), pace);
    let (response, _, ()) = tokio::join!(asking, serving, stalling);
    assert_eq!(response.command.status, Status::CANCEL);
    assert_eq!(response.command.counters, counters(Some(2), 0, 1, 0));
    assert_failed(&response, &["1.2.1"]);
}

#[tokio::test]
async fn cancel_while_connecting_sends_nothing() {
    let (listener, port) = listener().await;
    let pace = Pace { keep_alive: Duration::from_millis(20), ..Pace::default() };
    let (mut requestor, archive) = associate().await;
    let asking = async {
        let mut moving = ask(&mut requestor).await;
        moving.next_within(LIMIT).await.unwrap().unwrap();
        moving.cancel().await.unwrap();
        last(&mut moving).await
    };
    let silent = async {
        let incoming = listener.accept().await;
        std::future::pending::<()>().await;
        drop(incoming);
    };
    let serving = serve(archive, Ok((at(port), vec![cts(1..=3)])), pace);
    let (response, _) = until_done(async { tokio::join!(asking, serving) }, silent).await;
    assert_eq!(response.command.status, Status::CANCEL);
    assert_eq!(response.command.counters, counters(Some(3), 0, 0, 0));
    assert_failed(&response, &[]);
}

#[tokio::test]
async fn when_the_requestor_goes_away_the_destination_gets_no_more() {
    let (listener, port) = listener().await;
    let (mut requestor, archive) = associate().await;
    let mut destination = at(port);
    destination.window = 1;
    let (begun, is_begun) = oneshot::channel();
    let asking = async {
        ask(&mut requestor).await;
        is_begun.await.unwrap();
        requestor.abort().await;
    };
    let receiving = async {
        let mut destination = accept(&listener).await;
        let Received::Message(_) = destination.receive().await.unwrap() else { panic!("expected a message") };
        begun.send(()).unwrap();
        next_request(&mut destination).await.unwrap_err()
    };
    let serving = serve(archive, Ok((destination, vec![cts(1..=9)])), Pace::default());
    let ((), report, error) = tokio::join!(asking, serving, receiving);
    assert!(matches!(report, Err(Error::Aborted(_))), "{report:?}");
    assert!(matches!(error, Error::Aborted(_)), "{error:?}");
}

#[tokio::test]
async fn when_we_stop_what_was_begun_may_end_and_the_rest_is_reported() {
    let (listener, port) = listener().await;
    let pace = Pace { max_outstanding: 1, stop_grace: Duration::from_secs(30), ..Pace::default() };
    let (stop, stopped) = oneshot::channel::<()>();
    let (mut requestor, archive) = associate().await;
    let asking = async { last(&mut ask(&mut requestor).await).await };
    let receiving = async {
        let mut destination = accept(&listener).await;
        take(&mut destination, Status::SUCCESS).await.unwrap();
        // The second is under way when we are stopped.
        let Some(Request::Store(context, request)) = next_request(&mut destination).await.unwrap() else {
            panic!("expected a C-STORE-RQ");
        };
        stop.send(()).unwrap();
        c_store::scp::answer(&mut destination, &context, &request, Ok(())).await.unwrap();
        assert!(next_request(&mut destination).await.unwrap().is_none());
        destination.respond_release().await.unwrap();
    };
    let stop = async { drop(stopped.await) };
    let serving = serve_until(archive, Ok((at(port), vec![cts(1..=4), cts(5..=5)])), pace, stop);
    let (response, report, ()) = tokio::join!(asking, serving, receiving);
    assert_eq!(response.command.status, Status::WARNING);
    assert_eq!(response.command.counters, counters(None, 2, 3, 0));
    assert_eq!(response.command.error_comment.as_deref(), Some("the archive is being stopped"));
    assert_failed(&response, &["1.2.3", "1.2.4", "1.2.5"]);
    assert_eq!(report.unwrap().unwrap().sub_operations.failed, 3);
}
