//! Accepts connections, gives each association a task, and stops gracefully.

use std::future::Future;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use dicomet_archive::Archive;
use dicomet_archive::commitments::Due;
use dicomet_net::listen::Listener;
use dicomet_net::transcode::Converter;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::dicom::{self, Admission};
use crate::{Nodes, Settings, apart, reports};

/// An archive on the network.
#[derive(Clone)]
pub struct Server {
    pub(crate) archive: Archive,
    pub(crate) settings: Arc<Settings>,
    nodes: Arc<RwLock<Arc<Nodes>>>,
    pub(crate) converter: Converter,
}

impl Server {
    /// Puts an archive on the network, as soon as [`Server::serve`] runs.
    pub fn new(archive: Archive, settings: Settings) -> Server {
        let nodes = Arc::new(RwLock::new(Arc::new(settings.nodes.clone())));
        Server { archive, settings: Arc::new(settings), nodes, converter: Converter::default() }
    }

    /// The table of nodes, as it is now.
    pub fn nodes(&self) -> Arc<Nodes> {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another table of nodes in the place of the one before. Associations that are there keep what they were let
    /// in with.
    pub fn replace_nodes(&self, nodes: Nodes) {
        *self.nodes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(nodes);
    }

    /// Serves until `shutdown` is ready. Then nothing more is accepted, idle associations are aborted, and running
    /// operations have [`Settings::grace`] to end.
    pub async fn serve(&self, listener: Listener, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(false);
        let places = Arc::new(Semaphore::new(self.settings.max_associations));
        // Those beyond the limit are told so, which takes a task as well; beyond this limit they are dropped.
        let waiting_room = Arc::new(Semaphore::new(self.settings.max_associations.max(16)));
        let mut associations = JoinSet::new();
        let (due, coming) = mpsc::unbounded_channel();
        let mut reporter = JoinSet::new();
        // What an earlier process owes is read before any association can add to it.
        let reports = reports::deliver(self.clone(), self.due().await, coming, stopped.clone());
        reporter.spawn(async move {
            reports.await;
            Ok(())
        });
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(ended) = associations.join_next() => report(ended),
                accepted = listener.accept_apart() => {
                    let accepted = match accepted {
                        Ok(accepted) => accepted,
                        Err(error) => {
                            tracing::warn!(%error, "a connection was lost before it was looked at");
                            continue;
                        }
                    };
                    let admission = match places.clone().try_acquire_owned() {
                        Ok(place) => Admission::Place(place),
                        Err(_) => match waiting_room.clone().try_acquire_owned() {
                            Ok(place) => Admission::Full(place),
                            Err(_) => continue,
                        },
                    };
                    let (server, due, stopped) = (self.clone(), due.clone(), stopped.clone());
                    associations.spawn(apart::run(move || async move {
                        match accepted.incoming() {
                            Ok(incoming) => dicom::associate(server, incoming, admission, due, stopped).await,
                            Err(error) => tracing::warn!(%error, "a connection was lost before it was looked at"),
                        }
                    }));
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
            while let Some(ended) = reporter.join_next().await {
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
            reporter.shutdown().await;
        }
    }

    /// The reports on storage commitment that are due. Where they cannot be read, the log says so, and the archive is
    /// served all the same.
    async fn due(&self) -> Vec<Due> {
        let commitments = self.archive.commitments().clone();
        match tokio::task::spawn_blocking(move || commitments.due()).await {
            Ok(Ok(due)) => due,
            other => {
                tracing::error!(?other, "the reports that are due cannot be read");
                Vec::new()
            }
        }
    }
}

/// A task that panicked ends its association alone (or the reports); that must be seen.
fn report(ended: Result<io::Result<()>, tokio::task::JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "an association had no thread to run on"),
        Err(error) if error.is_panic() => tracing::error!("an association ended by a fault of ours: {error}"),
        Err(_) => {}
    }
}
