//! An acceptor that asks for nothing in return: what tests associate with, and programs that know their peers.

use super::Support;
use crate::Uid;
use crate::pdu::{AsyncOperationsWindow, ContextResultReason, RoleSelection};

/// Grants every role and every window that is asked for. Which transfer syntax to take for an abstract syntax, its
/// function says, as [`Support::transfer_syntax`] does.
///
/// It sets no bound of its own; what [`answer`](super::answer) never grants, it does not grant either.
#[derive(Debug, Clone, Copy)]
pub struct Willing<F>(pub F);

impl<F> Support for Willing<F>
where
    F: Fn(&Uid, &[Uid]) -> Result<Uid, ContextResultReason>,
{
    fn transfer_syntax(&self, abstract_syntax: &Uid, proposed: &[Uid]) -> Result<Uid, ContextResultReason> {
        (self.0)(abstract_syntax, proposed)
    }

    fn roles(&self, asked: &RoleSelection) -> RoleSelection {
        asked.clone()
    }

    fn async_operations_window(&self, asked: AsyncOperationsWindow) -> AsyncOperationsWindow {
        asked
    }
}

/// Takes every abstract syntax, in the transfer syntax that the peer puts first.
///
/// # Errors
/// [`ContextResultReason::TransferSyntaxesNotSupported`] when none is proposed.
pub fn first_proposed(_: &Uid, proposed: &[Uid]) -> Result<Uid, ContextResultReason> {
    proposed.first().cloned().ok_or(ContextResultReason::TransferSyntaxesNotSupported)
}

#[cfg(test)]
mod tests {
    use super::super::{Proposal, answer, associate_rq};
    use super::*;
    use crate::AeTitle;

    #[test]
    fn what_its_function_takes_has_the_roles_and_the_window_asked_for() {
        let [ct, mr, syntax] = ["1.2.1", "1.2.2", "1.2.3"].map(|uid| Uid::new(uid).unwrap());
        let window = AsyncOperationsWindow { invoked: 7, performed: 3 };
        let request = associate_rq(&Proposal {
            role_selections: vec![RoleSelection { sop_class_uid: ct.clone(), scu: false, scp: true }],
            async_operations_window: Some(window),
            ..Proposal::new(
                AeTitle::new("REQUESTOR").unwrap(),
                AeTitle::new("ACCEPTOR").unwrap(),
                [&ct, &mr].map(|class| (class.clone(), vec![syntax.clone()])).to_vec(),
            )
        });
        let only_ct = Willing(|class: &Uid, proposed: &[Uid]| {
            if *class == ct {
                first_proposed(class, proposed)
            } else {
                Err(ContextResultReason::UserRejection)
            }
        });
        let negotiated = answer(&request, &only_ct).unwrap().negotiated;
        let [context] = &negotiated.contexts[..] else { panic!("{:?}", negotiated.contexts) };
        assert_eq!((&context.abstract_syntax, &context.transfer_syntax), (&ct, &syntax));
        assert!(context.requestor_is_scp && !context.requestor_is_scu);
        assert_eq!(negotiated.async_operations_window, window);
        let [refused] = &negotiated.refused_contexts[..] else { panic!("{:?}", negotiated.refused_contexts) };
        assert_eq!((&refused.abstract_syntax, refused.reason), (&mr, ContextResultReason::UserRejection));
    }
}
