//! Ctrl-C and SIGTERM while a transfer runs.

use dicomet_net::retrieve::Stop;
use tokio::sync::watch;

use crate::exit::Exit;
use crate::output;

/// The first Ctrl-C cancels, the second aborts, each with its words; the third ends the process.
pub async fn interrupts(stop: watch::Sender<Stop>, words: [&'static str; 2]) {
    for (next, words) in [Stop::Cancel, Stop::Abort].into_iter().zip(words) {
        interrupted().await;
        output::tell(words);
        stop.send_replace(next);
    }
    interrupted().await;
    std::process::exit(Exit::Failed as i32);
}

/// Ctrl-C, or the signal that ends a service.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
