//! C-MOVE as SCP: PS3.4 C.4.2.3, PS3.7 9.1.4. The instances go to the move destination on associations that we
//! request there, one after the other.
//!
//! A destination that cannot be reached, rejects, or is lost fails what is left; it is not tried again within the
//! operation. One that accepts no context for some instances fails those alone. When the requestor goes away,
//! sending stops (PS3.4 leaves it open).

use std::time::Duration;

use dicomet_proto::AeTitle;
use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::{Context, Proposal};
use dicomet_proto::message::{CMoveRq, Refusal};
use dicomet_proto::pdu::AsyncOperationsWindow;

use crate::association::Timeouts;
use crate::service::sub_operations::{Answer, Destination, Instances, Line, Operation, Pace, Report};
use crate::{Association, Error, Node, connect};

/// How long the destination may take to answer our release.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);

/// Where the instances go, and as whom we call there.
#[derive(Debug, Clone)]
pub struct MoveDestination {
    /// The destination.
    pub node: Node,
    /// Our AE title.
    pub calling_ae_title: AeTitle,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Operations outstanding that we offer to have; 1 leaves the item out.
    pub window: u16,
}

/// A requestor that is the destination itself may look for our association only when it hears from us, and else once a
/// second (movescu 3.6.7 does).
const FIRST_PENDING: Duration = Duration::from_millis(20);

/// What goes over one association: see [`super::plan`].
#[derive(Debug)]
pub struct Portion<I> {
    /// SOP class and transfer syntax of each presentation context.
    pub contexts: Vec<(Uid, Uid)>,
    /// The instances.
    pub instances: I,
}

/// Answers a C-MOVE-RQ: with C-STORE sub-operations to the destination, and then the final response; or with the
/// refusal. A refusal has no report.
///
/// # Errors
/// [`Error`] when the requestor's association is at its end. A destination that fails is no error.
pub async fn answer<I: Instances>(
    association: &mut Association,
    context: &Context,
    request: &CMoveRq,
    outcome: Result<(MoveDestination, Vec<Portion<I>>), Refusal>,
    pace: &Pace,
) -> Result<Option<Report>, Error> {
    let operation = Operation::moving(context, request);
    let (destination, portions) = match outcome {
        Ok(work) => work,
        Err(refusal) => {
            operation.refuse(association, &refusal).await?;
            return Ok(None);
        }
    };
    let total = portions.iter().map(|portion| portion.instances.total()).sum();
    let mut sending = Sending {
        answer: Answer::new(association, operation, total, pace),
        destination,
        open: None,
        lost: None,
    };
    for mut portion in portions {
        if sending.answer.is_cancelled() {
            break;
        }
        sending.send(&mut portion).await?;
    }
    sending.finish().await.map(Some)
}

/// A C-MOVE under way.
struct Sending<'a> {
    answer: Answer<'a>,
    destination: MoveDestination,
    /// An association whose work is done.
    open: Option<Association>,
    /// Why there is no use in trying the destination again.
    lost: Option<&'static str>,
}

impl Sending<'_> {
    /// Sends one portion, or counts it as failed.
    async fn send<I: Instances>(&mut self, portion: &mut Portion<I>) -> Result<(), Error> {
        if let Some(open) = self.open.take() {
            // First: a destination may take one association at a time (storescp does).
            self.answer.meanwhile(Duration::ZERO, release(open)).await?;
        }
        if let Some(comment) = self.lost {
            self.answer.fail(&mut portion.instances, comment).await;
            return Ok(());
        }
        let proposal = proposal(&self.destination, &portion.contexts);
        let connecting = connect::connect(&self.destination.node, proposal, &self.destination.timeouts);
        self.answer.pending_within(FIRST_PENDING);
        match self.answer.meanwhile(Duration::ZERO, connecting).await? {
            Some(Ok(association)) => self.send_over(association, &mut portion.instances).await,
            Some(Err(error)) => {
                let destination = &self.destination.node;
                tracing::warn!(%destination, %error, "no association with the move destination");
                let comment = comment(&error);
                self.lost = Some(comment);
                self.answer.fail(&mut portion.instances, comment).await;
                Ok(())
            }
            // Cancelled before it stood.
            None => Ok(()),
        }
    }

    async fn send_over<I: Instances>(
        &mut self,
        mut other: Association,
        instances: &mut I,
    ) -> Result<(), Error> {
        if other.negotiated().contexts.is_empty() {
            self.answer.explain("the move destination accepts none of these SOP classes");
        }
        match self.answer.send(Destination::Other(&mut other), instances).await {
            Ok(Line::Lost) => {
                self.lost = Some("the association with the move destination was lost");
                other.abort().await;
                Ok(())
            }
            Ok(_) => {
                self.open = Some(other);
                Ok(())
            }
            Err(error) => {
                other.abort().await;
                Err(error)
            }
        }
    }

    /// Releases the destination, and answers without waiting for that: a requestor that is the destination itself may
    /// close only when it has the answer (movescu does).
    async fn finish(self) -> Result<Report, Error> {
        let releasing = async {
            if let Some(open) = self.open {
                release(open).await;
            }
        };
        let ((), report) = tokio::join!(releasing, self.answer.finish());
        report
    }
}

async fn release(association: Association) {
    match tokio::time::timeout(RELEASE_PATIENCE, association.release()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "releasing from the move destination"),
        Err(_) => tracing::debug!("the move destination did not answer the release"),
    }
}

fn proposal(destination: &MoveDestination, contexts: &[(Uid, Uid)]) -> Proposal {
    let window = AsyncOperationsWindow { invoked: destination.window, performed: 1 };
    Proposal {
        calling_ae_title: destination.calling_ae_title.clone(),
        called_ae_title: destination.node.ae_title.clone(),
        contexts: contexts.iter().map(|(class, syntax)| (class.clone(), vec![syntax.clone()])).collect(),
        role_selections: Vec::new(),
        async_operations_window: (destination.window != 1).then_some(window),
        extended_negotiations: Vec::new(),
        user_identity: None,
    }
}

/// For the requestor, in at most 64 characters: what its user can tell an administrator.
fn comment(error: &Error) -> &'static str {
    match error {
        Error::Connect { .. } => "cannot connect to the move destination",
        Error::Rejected(_) => "the move destination rejected the association",
        Error::TimedOut { .. } => "the move destination did not answer",
        _ => "no association with the move destination",
    }
}
