//! C-GET as SCP: PS3.4 C.4.3.3, PS3.7 9.1.3. The instances go back on the association of the request.

use std::future::Future;

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::message::{CGetRq, Refusal};

use crate::service::sub_operations::{
    Answer, Halt, Instances, Operation, Pace, Prepared, Report, STOPPED, Supply,
};
use crate::{Association, Error};

/// Answers a C-GET-RQ: with the instances that `planning` finds, by C-STORE sub-operations, and then the final response;
/// or with its refusal. A refusal has no report.
///
/// While it is planned, too, the requestor may cancel. When `stop` is ready nothing more is sent, and what is left is
/// reported as failed.
///
/// # Errors
/// [`Error`]; the association is then at its end.
pub async fn answer<I: Instances>(
    association: &mut Association,
    context: &Context,
    request: &CGetRq,
    planning: impl Future<Output = Result<I, Refusal>>,
    pace: &Pace,
    stop: impl Future<Output = ()> + Send,
) -> Result<Option<Report>, Error> {
    let mut answer = Answer::new(association, Operation::get(context, request), pace, stop);
    match answer.prepare(planning).await? {
        Prepared::Ready(instances) => {
            let tally = answer.tally();
            answer.begin(instances.total());
            let supply = Supply::new(instances, tally.clone());
            answer.send_back(&supply).await?;
            if tally.halted_by() == Some(Halt::Stopped) {
                supply.fail(STOPPED);
            }
        }
        Prepared::Refused => return Ok(None),
        Prepared::Cancelled => {}
    }
    answer.finish().await.map(Some)
}
