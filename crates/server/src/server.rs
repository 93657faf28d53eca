//! Accepts connections, gives each association a task, and stops gracefully.

use std::future::Future;
use std::sync::Arc;

use dicomet_archive::Archive;
use dicomet_net::listen::Listener;
use dicomet_net::transcode::Converter;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::Settings;
use crate::dicom::{self, Admission};

/// An archive on the network.
#[derive(Clone)]
pub struct Server {
    pub(crate) archive: Archive,
    pub(crate) settings: Arc<Settings>,
    pub(crate) converter: Converter,
}

impl Server {
    /// Puts an archive on the network, as soon as [`Server::serve`] runs.
    pub fn new(archive: Archive, settings: Settings) -> Server {
        Server { archive, settings: Arc::new(settings), converter: Converter::default() }
    }

    /// Serves until `shutdown` is ready. Then nothing more is accepted, idle associations are aborted, and running
    /// operations have [`Settings::grace`] to end.
    pub async fn serve(&self, listener: Listener, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(false);
        let places = Arc::new(Semaphore::new(self.settings.max_associations));
        // Those beyond the limit are told so, which takes a task as well; beyond this limit they are dropped.
        let waiting_room = Arc::new(Semaphore::new(self.settings.max_associations.max(16)));
        let mut associations = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(ended) = associations.join_next() => report(ended),
                incoming = listener.accept() => {
                    let admission = match places.clone().try_acquire_owned() {
                        Ok(place) => Admission::Place(place),
                        Err(_) => match waiting_room.clone().try_acquire_owned() {
                            Ok(place) => Admission::Full(place),
                            Err(_) => continue,
                        },
                    };
                    associations.spawn(dicom::associate(self.clone(), incoming, admission, stopped.clone()));
                }
            }
        }
        drop(listener);
        tracing::info!(associations = associations.len(), "stopping");
        stop.send_replace(true);
        let ended = tokio::time::timeout(self.settings.grace, async {
            while let Some(ended) = associations.join_next().await {
                report(ended);
            }
        })
        .await;
        if ended.is_err() {
            tracing::warn!(
                associations = associations.len(),
                "operations did not end in time and are cut off"
            );
            associations.shutdown().await;
        }
    }
}

/// A task that panicked ends its association alone; that must be seen.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("an association ended by a fault of ours: {error}");
    }
}
