//! What was asked for, and what has been reported of it. Shared by the association that asks and those on which a
//! peer reports.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dicomet_proto::Uid;
use dicomet_proto::commitment::{Reference, Report, Request};
use dicomet_proto::message::{Refusal, Status};
use tokio::sync::watch;

use super::Outcome;

/// The ledger of one run.
#[derive(Debug)]
pub(super) struct Ledger {
    books: Mutex<Books>,
    /// Transactions that a report is still awaited for.
    open: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Books {
    /// By Transaction UID; `None` is a transaction that was settled.
    transactions: HashMap<Uid, Option<Vec<Reference>>>,
    outcome: Outcome,
}

impl Ledger {
    pub(super) fn new() -> Ledger {
        Ledger { books: Mutex::default(), open: watch::Sender::new(0) }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request, before it is sent: the report may come before the response.
    pub(super) fn asked(&self, request: &Request) {
        let references = Some(request.references.clone());
        self.books().transactions.insert(request.transaction.clone(), references);
        self.open.send_modify(|open| *open += 1);
    }

    /// Notes that the peer did not take a request on.
    pub(super) fn refused(&self, transaction: &Uid, status: Status) {
        let mut books = self.books();
        let Some(references) = books.transactions.get_mut(transaction).and_then(Option::take) else { return };
        books.outcome.failed.extend(references.into_iter().map(|reference| (reference, status)));
        drop(books);
        self.open.send_modify(|open| *open -= 1);
    }

    /// Takes a report. What was asked for counts, whatever else it lists. The same report again is no fault: an
    /// archive that did not get our response sends it once more.
    ///
    /// # Errors
    /// [`Refusal`] with 0115 for a transaction that is none of ours.
    pub(super) fn reported(&self, report: Report) -> Result<(), Refusal> {
        let mut books = self.books();
        let Some(transaction) = books.transactions.get_mut(&report.transaction) else {
            return Err(Refusal::new(Status::INVALID_ARGUMENT_VALUE, "the Transaction UID is none of ours"));
        };
        let Some(references) = transaction.take() else { return Ok(()) };
        let failed: HashMap<&Reference, Status> =
            report.failed.iter().map(|(reference, reason)| (reference, *reason)).collect();
        let committed: HashMap<&Uid, &Uid> =
            report.committed.iter().map(|one| (&one.sop_instance, &one.sop_class)).collect();
        for reference in references {
            // What is in both lists is not safe.
            if let Some(reason) = failed.get(&reference) {
                books.outcome.failed.push((reference, *reason));
            } else if committed.get(&reference.sop_instance) == Some(&&reference.sop_class) {
                books.outcome.committed.push(reference);
            } else {
                books.outcome.left_out.push(reference);
            }
        }
        drop(books);
        self.open.send_modify(|open| *open -= 1);
        Ok(())
    }

    /// Waits until nothing is awaited any more.
    pub(super) async fn settled(&self) {
        // The sender is here, so that this ends with nothing open alone.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    /// Whether nothing is awaited.
    pub(super) fn is_settled(&self) -> bool {
        *self.open.borrow() == 0
    }

    /// Closes the books: what is still awaited was not reported.
    pub(super) fn close(&self) -> Outcome {
        let mut books = std::mem::take(&mut *self.books());
        let left = books.transactions.into_values().flatten().flatten();
        books.outcome.unreported.extend(left);
        books.outcome
    }
}

#[cfg(test)]
mod tests {
    use dicomet_proto::dataset::dictionary::uids;

    use super::*;

    fn reference(number: usize) -> Reference {
        let sop_instance = Uid::new(format!("2.999.{number}")).unwrap();
        Reference { sop_class: uids::CT_IMAGE_STORAGE, sop_instance }
    }

    fn asked(transaction: &'static str, numbers: std::ops::Range<usize>) -> (Ledger, Report) {
        let (ledger, transaction) = (Ledger::new(), Uid::from_static(transaction));
        let references = numbers.map(reference).collect();
        ledger.asked(&Request { transaction: transaction.clone(), references });
        let report =
            Report { transaction, retrieve_ae_title: None, committed: Vec::new(), failed: Vec::new() };
        (ledger, report)
    }

    #[test]
    fn what_is_listed_as_failed_too_is_not_committed() {
        let (ledger, report) = asked("2.999.77", 1..4);
        let committed = vec![reference(1), reference(2), reference(99)];
        let failed = vec![(reference(2), Status::NO_SUCH_SOP_INSTANCE)];
        ledger.reported(Report { committed, failed, ..report }).unwrap();
        assert!(ledger.is_settled());
        let outcome = ledger.close();
        assert_eq!(outcome.committed, [reference(1)]);
        assert_eq!(outcome.failed, [(reference(2), Status::NO_SUCH_SOP_INSTANCE)]);
        assert_eq!(outcome.left_out, [reference(3)]);
        assert!(outcome.unreported.is_empty());
    }

    #[test]
    fn an_instance_committed_under_another_class_is_not_committed() {
        let (ledger, report) = asked("2.999.77", 1..2);
        let other = Reference { sop_class: uids::MR_IMAGE_STORAGE, ..reference(1) };
        ledger.reported(Report { committed: vec![other], ..report }).unwrap();
        assert_eq!(ledger.close().left_out, [reference(1)]);
    }

    #[test]
    fn a_forged_transaction_is_refused_and_a_repeated_one_changes_nothing() {
        let (ledger, report) = asked("2.999.77", 1..2);
        let forged = Report { transaction: Uid::from_static("2.999.78"), ..report.clone() };
        assert_eq!(ledger.reported(forged).unwrap_err().status, Status::INVALID_ARGUMENT_VALUE);
        assert!(!ledger.is_settled());
        ledger.reported(Report { committed: vec![reference(1)], ..report.clone() }).unwrap();
        ledger.reported(report).unwrap();
        assert_eq!(ledger.close().committed, [reference(1)]);
    }
}
