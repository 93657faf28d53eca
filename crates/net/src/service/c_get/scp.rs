//! C-GET as SCP: PS3.4 C.4.3.3, PS3.7 9.1.3. The instances go back on the association of the request.

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::message::{CGetRq, Refusal};

use crate::service::sub_operations::{self, Destination, Instances, Operation, Pace, Report};
use crate::{Association, Error};

/// Answers a C-GET-RQ: with the instances, by C-STORE sub-operations, and then the final response; or with the
/// refusal. A refusal has no report.
///
/// # Errors
/// [`Error`]; the association is then at its end.
pub async fn answer<I: Instances>(
    association: &mut Association,
    context: &Context,
    request: &CGetRq,
    outcome: Result<I, Refusal>,
    pace: &Pace,
) -> Result<Option<Report>, Error> {
    let operation = Operation::get(context, request);
    match outcome {
        Ok(instances) => {
            sub_operations::perform(association, Destination::Requestor, operation, instances, pace)
                .await
                .map(Some)
        }
        Err(refusal) => {
            operation.refuse(association, &refusal).await?;
            Ok(None)
        }
    }
}
