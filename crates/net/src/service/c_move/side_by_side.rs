//! Several pieces of work in one task, all polled in turn: whoever asked for them still drives them, and dropping
//! them ends them.

use std::future::{Future, poll_fn};
use std::task::Poll;

/// Does all of it; the results in the order of the work.
pub(super) async fn side_by_side<F: Future>(work: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<_> = work.into_iter().map(|work| (Box::pin(work), None)).collect();
    let mut first = 0;
    poll_fn(|cx| {
        let count = running.len();
        // Each is the first in its turn: what the runtime lets a task do at a time may be used up by the first.
        first += 1;
        let mut is_done = true;
        for place in (0..count).map(|place| (first + place) % count) {
            let (work, result) = &mut running[place];
            if result.is_none() {
                match work.as_mut().poll(cx) {
                    Poll::Ready(done) => *result = Some(done),
                    Poll::Pending => is_done = false,
                }
            }
        }
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn one_may_wait_for_another_and_results_keep_their_order() {
        let (tell, told) = oneshot::channel();
        let first: Pin<Box<dyn Future<Output = u8>>> = Box::pin(async { told.await.unwrap() });
        let second: Pin<Box<dyn Future<Output = u8>>> = Box::pin(async {
            tell.send(7).unwrap();
            8
        });
        assert_eq!(side_by_side(vec![first, second]).await, [7, 8]);
        assert_eq!(side_by_side(Vec::<std::future::Ready<u8>>::new()).await, [0; 0]);
    }
}
