//! C-MOVE as SCP: PS3.4 C.4.2.3, PS3.7 9.1.4. The instances go to the move destination on associations that we
//! request there: what one association has room for, then the next; each over as many side by side as the
//! destination may have.
//!
//! A destination that cannot be reached, rejects, or falls silent fails what is left. One that ends an association in the
//! middle fails what it had not answered there; the rest goes over another one, as long as each gets further. Where it
//! rejects some of several associations, those that stand do the work. One that accepts no context
//! for some instances fails those alone. When the requestor goes away, sending stops (PS3.4 leaves it open).

use std::future::Future;
use std::time::Duration;

use dicomet_proto::AeTitle;
use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::{Context, Proposal};
use dicomet_proto::message::{CMoveRq, MessageId, Refusal};
use dicomet_proto::pdu::AsyncOperationsWindow;

use super::side_by_side::side_by_side;
use crate::association::Timeouts;
use crate::service::sub_operations::{
    Answer, Elsewhere, End, Halt, Instances, Leg, Operation, Pace, Prepared, Report, STOPPED, Supply, Tally,
};
use crate::{Association, Error, Node, connect};

/// How long the destination may take to answer our release.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);

/// A requestor that is the destination itself may look for our association only when it hears from us, and else once a
/// second (movescu 3.6.7 does).
const FIRST_PENDING: Duration = Duration::from_millis(20);

/// For the requestor: an association with the destination ended in the middle.
const LOST: &str = "the association with the move destination was lost";

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
    /// Associations at a time, at most.
    pub associations: usize,
}

/// What goes over associations with the same presentation contexts: see [`super::plan`].
#[derive(Debug)]
pub struct Portion<I> {
    /// SOP class and transfer syntax of each presentation context.
    pub contexts: Vec<(Uid, Uid)>,
    /// The instances.
    pub instances: I,
}

/// Answers a C-MOVE-RQ: with C-STORE sub-operations to the destination of what `planning` finds, and then the final
/// response; or with its refusal. A refusal has no report.
///
/// While it is planned, too, the requestor may cancel. When `stop` is ready nothing more is sent, and what is left is
/// reported as failed.
///
/// # Errors
/// [`Error`] when the requestor's association is at its end. A destination that fails is no error.
pub async fn answer<I: Instances>(
    association: &mut Association,
    context: &Context,
    request: &CMoveRq,
    planning: impl Future<Output = Result<(MoveDestination, Vec<Portion<I>>), Refusal>>,
    pace: &Pace,
    stop: impl Future<Output = ()> + Send,
) -> Result<Option<Report>, Error> {
    let mut answer = Answer::new(association, Operation::moving(context, request), pace, stop);
    match answer.prepare(planning).await? {
        Prepared::Ready((destination, portions)) => {
            answer.begin(portions.iter().map(|portion| portion.instances.total()).sum());
            send(&mut answer, &destination, portions, pace).await?;
        }
        Prepared::Refused => return Ok(None),
        Prepared::Cancelled => {}
    }
    answer.finish().await.map(Some)
}

/// Sends one portion after the other, or counts it as failed.
async fn send<I: Instances>(
    answer: &mut Answer<'_>,
    destination: &MoveDestination,
    portions: Vec<Portion<I>>,
    pace: &Pace,
) -> Result<(), Error> {
    let tally = answer.tally();
    let mut open = Vec::new();
    let mut lost = None;
    for Portion { contexts, instances } in portions {
        // First: a destination may take one association at a time (storescp does).
        answer.while_sending(side_by_side(open.drain(..).map(release).collect())).await?;
        let supply = Supply::new(instances, answer.tally());
        if lost.is_none() && !tally.is_halted() {
            answer.pending_within(FIRST_PENDING);
            let originator = answer.originator();
            let supply = &supply;
            let crew = Crew { destination, contexts: &contexts, supply, tally: &tally, pace, originator };
            match answer.while_sending(crew.work()).await? {
                Some(Ok(done)) => open = done,
                Some(Err(comment)) => lost = Some(comment),
                None => {}
            }
        }
        match tally.halted_by() {
            Some(Halt::Cancelled) => {}
            Some(Halt::Stopped) => supply.fail(STOPPED),
            None => supply.fail(lost.unwrap_or(LOST)),
        }
    }
    // The answer does not wait for it: a requestor that is the destination itself may close only when it has the answer
    // (movescu does). And its next request does not either: what is left is a farewell of bounded time.
    for association in open {
        tokio::spawn(release(association));
    }
    Ok(())
}

/// The associations that work on one portion.
struct Crew<'w, I: Instances> {
    destination: &'w MoveDestination,
    contexts: &'w [(Uid, Uid)],
    supply: &'w Supply<I>,
    tally: &'w Tally,
    pace: &'w Pace,
    originator: Option<(AeTitle, MessageId)>,
}

/// How one of several associations ended.
enum Ended {
    /// All is sent and answered; it still stands.
    Idle(Box<Association>),
    /// There was nothing to do for it.
    Needless,
    /// It never stood, for this reason.
    NotOpened(&'static str),
    /// It was lost.
    Lost,
}

impl<I: Instances> Crew<'_, I> {
    /// Sends until nothing is left, or none of the associations; gives those that still stand, or why there is none.
    async fn work(&self) -> Result<Vec<Association>, &'static str> {
        let wanted = u64::try_from(self.destination.associations.max(1)).unwrap_or(u64::MAX);
        let associations = (0..wanted.min(self.supply.left())).map(|_| self.work_over_one()).collect();
        let mut open = Vec::new();
        let mut comment = None;
        for ended in side_by_side(associations).await {
            match ended {
                Ended::Idle(association) => open.push(*association),
                Ended::Needless => {}
                Ended::NotOpened(why) => _ = comment.get_or_insert(why),
                Ended::Lost => comment = Some(LOST),
            }
        }
        match comment {
            Some(comment) if open.is_empty() => Err(comment),
            _ => Ok(open),
        }
    }

    /// Opens an association and sends over it; another one after it when it ends for a reason of ours, or in the middle of
    /// what it was of use for.
    async fn work_over_one(&self) -> Ended {
        loop {
            let proposal = proposal(self.destination, self.contexts);
            let node = &self.destination.node;
            // What others have done meanwhile needs no association any more: a destination that takes one at a time
            // would answer only when that has ended.
            let association = tokio::select! {
                biased;
                () = self.tally.halted() => return Ended::Needless,
                () = self.supply.emptied() => return Ended::Needless,
                connected = connect::connect(node, proposal, &self.destination.timeouts) => match connected {
                    Ok(association) => association,
                    Err(error) => {
                        tracing::warn!(destination = %node, %error, "no association with the move destination");
                        return Ended::NotOpened(comment(&error));
                    }
                },
            };
            self.tally.associated();
            if association.negotiated().contexts.is_empty() {
                self.tally.explain("the move destination accepts none of these SOP classes");
            }
            let originator = self.originator.clone();
            let mut given_up = GivenUp(Some(Elsewhere { association, originator }));
            let Some(line) = &mut given_up.0 else { return Ended::Lost };
            let mut leg = Leg::new(line, self.supply, self.tally, self.pace);
            let (ended, was_of_use) = (leg.run().await, leg.is_of_use());
            drop(leg);
            match ended {
                Ok(End::Answered) => match given_up.0.take() {
                    Some(line) => return Ended::Idle(Box::new(line.association)),
                    None => return Ended::Lost,
                },
                Ok(End::GivenUp) => return Ended::Needless,
                Err(Error::Source(_)) => {}
                Err(error) => {
                    tracing::warn!(destination = %node, %error, "lost the association with the move destination");
                    self.tally.explain(LOST);
                    if !was_of_use || matches!(error, Error::TimedOut { .. }) {
                        return Ended::Lost;
                    }
                }
            }
        }
    }
}

/// An association that is aborted when it is dropped: what was begun there is given up.
struct GivenUp(Option<Elsewhere>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        if let Some(mut line) = self.0.take() {
            line.association.abort_at_once();
        }
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
        async_operations_window: (destination.window != 1).then_some(window),
        ..Proposal::new(
            destination.calling_ae_title.clone(),
            destination.node.ae_title.clone(),
            contexts.iter().map(|(class, syntax)| (class.clone(), vec![syntax.clone()])).collect(),
        )
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
