//! Accepts connections, gives each association a thread (`apart`), and stops gracefully.

use std::future::Future;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use dicomet_archive::Archive;
use dicomet_archive::commitments::Due;
use dicomet_net::listen::Listener;
use dicomet_net::transcode::Converter;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::places::{Closed, Places};
use crate::{Nodes, Settings, apart, dicom, reports};

/// How long associations have to send their A-ABORT when their time is over, and to log; then they are dropped.
const LAST_WORDS: Duration = Duration::from_secs(2);

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
    /// operations have [`Settings::grace`] to end; those that do not are cut off with A-ABORT.
    pub async fn serve(&self, listener: Listener, shutdown: impl Future<Output = ()>) {
        self.serve_until(listener, shutdown, std::future::pending()).await;
    }

    /// As [`Server::serve`]; when `at_once` is ready after `shutdown`, running operations are cut off then.
    pub async fn serve_until(
        &self,
        listener: Listener,
        shutdown: impl Future<Output = ()>,
        at_once: impl Future<Output = ()>,
    ) {
        let (stop, stopped) = watch::channel(false);
        let (end, over) = watch::channel(false);
        let places = Places::new(self.settings.max_associations, self.settings.max_associations_per_host());
        let mut closed = Closed::default();
        let mut tasks = Tasks::default();
        let (due, coming) = mpsc::unbounded_channel();
        // What an earlier process owes is read before any association can add to it.
        let owed = self.due().await;
        tasks.reporter.spawn(reports::deliver(self.clone(), owed, coming, stopped.clone(), over.clone()));
        tokio::pin!(shutdown);
        loop {
            let next_line = closed.next_line();
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(ended) = tasks.associations.join_next() => report(ended),
                () = sleep_until(next_line.unwrap_or_else(Instant::now)), if next_line.is_some() => closed.tell(),
                accepted = listener.accept_apart() => {
                    let connection = accepted.map(|accepted| {
                        (places.connect(Some(accepted.peer_address().ip())), accepted)
                    });
                    match connection {
                        Ok((Ok(connection), accepted)) => {
                            let (server, due) = (self.clone(), due.clone());
                            let (stopped, over) = (stopped.clone(), over.clone());
                            tasks.associations.spawn(apart::run(move || async move {
                                match accepted.incoming() {
                                    Ok(incoming) => {
                                        dicom::associate(server, incoming, connection, due, stopped, over).await;
                                    }
                                    Err(error) => lost(&error),
                                }
                            }));
                        }
                        Ok((Err(full), _)) => closed.count(full),
                        Err(error) => lost(&error),
                    }
                }
            }
        }
        drop(listener);
        tracing::info!(associations = tasks.associations.len(), "stopping");
        stop.send_replace(true);
        tokio::select! {
            biased;
            () = tasks.ended() => return,
            () = sleep(self.settings.grace) => {
                tracing::warn!(associations = tasks.associations.len(), "operations did not end in time and are cut off");
            }
            () = at_once => {
                tracing::warn!(associations = tasks.associations.len(), "told to stop at once: operations are cut off");
            }
        }
        end.send_replace(true);
        if timeout(LAST_WORDS, tasks.ended()).await.is_err() {
            tracing::error!(
                associations = tasks.associations.len(),
                "associations that do not end are left behind"
            );
            tasks.associations.abort_all();
            tasks.reporter.abort_all();
        }
    }

    /// The reports on storage commitment that are due. Where they cannot be read, the log says so, and the archive is
    /// served all the same.
    async fn due(&self) -> Vec<Due> {
        let commitments = self.archive.commitments().clone();
        match tokio::task::spawn_blocking(move || commitments.due()).await {
            Ok(Ok(due)) => due,
            Ok(Err(error)) => {
                tracing::error!(%error, "the reports that are due cannot be read");
                Vec::new()
            }
            Err(_) => {
                tracing::error!("reading the reports that are due ended by a fault of ours");
                Vec::new()
            }
        }
    }
}

fn lost(error: &io::Error) {
    tracing::warn!(%error, "a connection was lost before it was looked at");
}

/// What runs beside the listener.
#[derive(Default)]
struct Tasks {
    associations: JoinSet<()>,
    reporter: JoinSet<()>,
}

impl Tasks {
    /// Waits until all have ended. Cancel safe.
    async fn ended(&mut self) {
        while let Some(ended) = self.associations.join_next().await {
            report(ended);
        }
        // Last: associations hand over to it what they still owe.
        while let Some(ended) = self.reporter.join_next().await {
            report(ended);
        }
    }
}

/// A task that panicked ends its association alone (or the reports); that must be seen. What a panic says may quote a data
/// set, and is not repeated here.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("an association ended by a fault of ours");
    }
}
