//! A thread of its own for each association, with a runtime of its own on it.
//!
//! An association that stores writes, syncs and commits where it reads: what one waits for on the disk, the others do
//! not wait for, and nothing is handed from thread to thread between the socket and the disk. (Handing over costs more
//! than a small instance does: some 40 microseconds each time, on a virtual machine of two cores.)

use std::future::Future;
use std::io;

use tokio::sync::oneshot;

/// Bytes of a thread's stack. Nothing recurses; what is not touched takes no memory.
const STACK_SIZE: usize = 2 << 20;

/// Runs what is made on a thread and a runtime of its own, to its end; dropped, what runs there is dropped too.
///
/// A system that has no thread or runtime to give is said in the log. Panics when what runs there does.
pub(crate) async fn run<F, W>(work: W)
where
    W: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()>,
{
    if let Err(error) = try_run(work).await {
        tracing::error!(%error, "an association has no thread to run on");
    }
}

async fn try_run<F, W>(work: W) -> io::Result<()>
where
    W: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()>,
{
    let (ended, end) = oneshot::channel();
    let (cut, is_cut) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("association".to_owned()).stack_size(STACK_SIZE);
    let handle = thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let outcome = runtime.map(|runtime| {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = is_cut => {}
                    () = work() => {}
                }
            });
            // What is being searched for, for an association that has ended, is waited for by nobody.
            runtime.shutdown_background();
        });
        let _ = ended.send(outcome);
    })?;
    // While this is waited for, the sender lives; no value ever comes.
    let outcome = end.await;
    drop(cut);
    match outcome {
        Ok(outcome) => outcome,
        Err(_) => match handle.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => Ok(()),
        },
    }
}
