//! Receiving: a storage SCP for the time of a retrieve by C-MOVE, to which the peer sends on associations of its own.
//!
//! It takes what was asked for and nothing else: an instance that the ledger does not expect is refused, whoever
//! sends it. So it matters little that anybody who reaches the port may open an association.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::{Support, first_proposed};
use dicomet_proto::pdu::{
    AssociateRj, AsyncOperationsWindow, ContextResultReason, RejectReason, RejectResult, RoleSelection,
};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::report::Event;
use super::shared::Shared;
use super::take::Carrier;
use crate::accept::Incoming;
use crate::listen::Listener;
use crate::service::{Purpose, Request, c_echo, c_store, next_request};
use crate::{Association, Error};

/// Associations at a time; a peer opens one, or a few.
const MAX_ASSOCIATIONS: usize = 64;

/// A peer may call a C-MOVE done before it has sent all: so long nothing may happen until we believe it.
const QUIET: Duration = Duration::from_secs(2);

/// The storage SCP; ends when dropped.
pub(super) struct Receiver {
    accepting: JoinHandle<()>,
    /// Dropped, nothing more is accepted.
    open: oneshot::Sender<()>,
    shared: Arc<Shared>,
    state: Arc<State>,
}

struct State {
    activity: watch::Sender<Activity>,
    /// Our side cannot store any more.
    fatal: Mutex<Option<String>>,
    /// The instance at which the peer fell silent last.
    stalled: Mutex<Option<Uid>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Activity {
    /// Instances that are coming.
    coming: usize,
    /// Instances that were taken.
    taken: u64,
}

impl Receiver {
    /// Opens it.
    ///
    /// # Errors
    /// What the system says about the address.
    pub(super) async fn open(address: SocketAddr, shared: Arc<Shared>) -> io::Result<Receiver> {
        let listener = Listener::bind(address, shared.caller.timeouts.clone()).await?;
        let state = Arc::new(State {
            activity: watch::Sender::new(Activity::default()),
            fatal: Mutex::new(None),
            stalled: Mutex::new(None),
        });
        let (open, closed) = oneshot::channel();
        let accepting = accept_all(listener, Arc::clone(&shared), Arc::clone(&state), closed);
        Ok(Receiver { accepting: tokio::spawn(accepting), open, shared, state })
    }

    /// Ends it, with the associations there are. Afterwards, whoever begins anew finds the folder free.
    pub(super) async fn close(self) {
        let Receiver { accepting, open, .. } = self;
        drop(open);
        if let Err(error) = accepting.await {
            tracing::debug!(%error, "the storage SCP did not end by itself");
        }
    }

    /// How many instances were taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.state.activity.borrow().taken
    }

    /// Why nothing more can be stored, if so.
    pub(super) fn fatal(&self) -> Option<String> {
        self.state.fatal.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// The instance at which the peer fell silent, if it did; told once.
    pub(super) fn take_stalled(&self) -> Option<Uid> {
        self.state.stalled.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
    }

    /// Waits until nothing has come for so long. What is coming ends by the time limits of its association.
    pub(super) async fn falls_silent(&self, limit: Duration) {
        let mut activity = self.state.activity.subscribe();
        loop {
            let is_coming = activity.borrow_and_update().coming > 0;
            let changed = activity.changed();
            match is_coming {
                true => _ = changed.await,
                false if tokio::time::timeout(limit, changed).await.is_err() => return,
                false => {}
            }
        }
    }

    /// Waits until so many were taken, or all that is awaited is here, or nothing more comes.
    pub(super) async fn settle(&self, awaited: Option<u64>, is_here: impl Fn() -> bool) {
        let mut activity = self.state.activity.subscribe();
        loop {
            let Activity { coming, taken } = *activity.borrow_and_update();
            if coming == 0 && (awaited.is_some_and(|awaited| taken >= awaited) || is_here()) {
                return;
            }
            // What is coming ends by the time limits of its association.
            let patience = if coming > 0 { self.shared.caller.timeouts.progress } else { QUIET };
            if tokio::time::timeout(patience, activity.changed()).await.is_err() {
                return;
            }
        }
    }
}

async fn accept_all(
    listener: Listener,
    shared: Arc<Shared>,
    state: Arc<State>,
    mut closed: oneshot::Receiver<()>,
) {
    let mut associations = JoinSet::new();
    loop {
        tokio::select! {
            incoming = listener.accept() => {
                let is_full = associations.len() >= MAX_ASSOCIATIONS;
                associations.spawn(receive(incoming, Arc::clone(&shared), Arc::clone(&state), is_full));
            }
            Some(_) = associations.join_next() => {}
            _ = &mut closed => return associations.shutdown().await,
        }
    }
}

async fn receive(incoming: Incoming, shared: Arc<Shared>, state: Arc<State>, is_full: bool) {
    if let Err(error) = receive_from(incoming, &shared, &state, is_full).await {
        tracing::debug!(%error, "an association of the storage SCP ended");
    }
}

async fn receive_from(
    incoming: Incoming,
    shared: &Shared,
    state: &State,
    is_full: bool,
) -> Result<(), Error> {
    let requested = incoming.request().await?;
    if is_full {
        let reason = RejectReason::LocalLimitExceeded;
        requested.reject(AssociateRj { result: RejectResult::Transient, reason }).await;
        return Ok(());
    }
    let mut association = requested.accept(&Storage { window: shared.window }).await?;
    let negotiated = association.negotiated();
    shared.tell(Event::Associated {
        accepted: negotiated.contexts.len(),
        proposed: negotiated.contexts.len() + negotiated.refused_contexts.len(),
        window: negotiated.async_operations_window.invoked,
    });
    while let Some(request) = next_request(&mut association).await? {
        match request {
            Request::Store(context, rq) => {
                let coming = Coming::begin(state);
                let refused = match shared.take(&mut association, &context, &rq).await {
                    Ok(refused) => refused,
                    Err(error) => {
                        if matches!(error, Error::TimedOut { .. }) {
                            let mut stalled =
                                state.stalled.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                            *stalled = Some(rq.affected_sop_instance_uid.clone());
                        }
                        return Err(error);
                    }
                };
                if let Some(refused) = &refused {
                    shared.note_refusal(&rq, &refused.refusal);
                    if refused.fatal {
                        let mut fatal = state.fatal.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                        fatal.get_or_insert_with(|| refused.refusal.comment().to_owned());
                    }
                }
                let outcome = refused.map_or(Ok(()), |refused| Err(refused.refusal));
                c_store::scp::answer(&mut association, &context, &rq, outcome).await?;
                coming.end();
            }
            Request::Echo(context, rq) => c_echo::answer(&mut association, &context, &rq).await?,
            // Their SOP classes are not accepted, so that `next_request` has refused them already.
            Request::Find(..)
            | Request::Get(..)
            | Request::Move(..)
            | Request::Action(..)
            | Request::EventReport(..) => {}
        }
    }
    association.respond_release().await
}

/// An instance that is coming; however that ends.
struct Coming<'s>(&'s State);

impl Coming<'_> {
    fn begin(state: &State) -> Coming<'_> {
        state.activity.send_modify(|activity| activity.coming += 1);
        Coming(state)
    }

    fn end(self) {
        self.0.activity.send_modify(|activity| activity.taken += 1);
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.0.activity.send_modify(|activity| activity.coming -= 1);
    }
}

impl Carrier for Association {
    async fn data(&mut self) -> Result<Option<Bytes>, Error> {
        self.receive_data().await
    }

    /// The C-MOVE is cancelled on its own association.
    async fn cancel(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Takes every SOP class but those of query and retrieve and of storage commitment, in the transfer syntax that the peer puts first.
struct Storage {
    window: u16,
}

impl Support for Storage {
    fn transfer_syntax(&self, abstract_syntax: &Uid, proposed: &[Uid]) -> Result<Uid, ContextResultReason> {
        match Purpose::of(abstract_syntax) {
            Purpose::Storage | Purpose::Verification => first_proposed(abstract_syntax, proposed),
            _ => Err(ContextResultReason::AbstractSyntaxNotSupported),
        }
    }

    fn roles(&self, asked: &RoleSelection) -> RoleSelection {
        RoleSelection { scp: false, ..asked.clone() }
    }

    fn async_operations_window(&self, asked: AsyncOperationsWindow) -> AsyncOperationsWindow {
        let invoked = match (asked.invoked, self.window) {
            (0, ours) => ours,
            (asked, 0) => asked,
            (asked, ours) => asked.min(ours),
        };
        AsyncOperationsWindow { invoked, performed: 1 }
    }
}
