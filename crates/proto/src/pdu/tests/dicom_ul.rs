//! An independent reader and writer: dicom-ul 0.10.1. What we write it reads as the same values, and what it
//! writes we read as the same values. It has no asynchronous operations window, no common extended negotiation
//! and no user identity response of its own: these it carries as unknown sub-items.

use ::dicom_ul::pdu as ul;
use proptest::prelude::*;

use super::*;

/// The value of dicom-ul that says the same; `None` where it has none for something.
fn same(pdu: &Pdu) -> Option<ul::Pdu> {
    Some(match pdu {
        Pdu::AssociateRq(rq) => ul::Pdu::AssociationRQ(ul::AssociationRQ {
            protocol_version: rq.protocol_version,
            calling_ae_title: title(&rq.calling_ae_title),
            called_ae_title: title(&rq.called_ae_title),
            application_context_name: rq.application_context.as_ref()?.to_string(),
            presentation_contexts: rq.presentation_contexts.iter().map(proposed).collect::<Option<_>>()?,
            user_variables: user_variables(&rq.user_information)?,
        }),
        Pdu::AssociateAc(ac) => ul::Pdu::AssociationAC(ul::AssociationAC {
            protocol_version: ac.protocol_version,
            calling_ae_title: title(&ac.calling_ae_title),
            called_ae_title: title(&ac.called_ae_title),
            application_context_name: ac.application_context.as_ref()?.to_string(),
            presentation_contexts: ac.presentation_contexts.iter().map(answered).collect::<Option<_>>()?,
            user_variables: user_variables(&ac.user_information)?,
        }),
        Pdu::AssociateRj(rj) => ul::Pdu::AssociationRJ(ul::AssociationRJ {
            result: match rj.result {
                RejectResult::Permanent => ul::AssociationRJResult::Permanent,
                RejectResult::Transient => ul::AssociationRJResult::Transient,
                RejectResult::Other(_) => return None,
            },
            source: reject_source(rj.reason)?,
        }),
        Pdu::DataTf(values) => ul::Pdu::PData { data: values.iter().map(data_value).collect() },
        Pdu::ReleaseRq => ul::Pdu::ReleaseRQ,
        Pdu::ReleaseRp => ul::Pdu::ReleaseRP,
        Pdu::Abort(abort) => ul::Pdu::AbortRQ { source: abort_source(abort.source)? },
    })
}

fn title(field: &[u8; 16]) -> String {
    String::from_utf8(field.to_vec()).unwrap().trim().to_owned()
}

fn proposed(context: &ProposedContext) -> Option<ul::PresentationContextProposed> {
    Some(ul::PresentationContextProposed {
        id: context.id,
        abstract_syntax: context.abstract_syntax.as_ref()?.to_string(),
        transfer_syntaxes: context.transfer_syntaxes.iter().map(Uid::to_string).collect(),
    })
}

fn answered(context: &ContextResult) -> Option<ul::PresentationContextResult> {
    use ul::PresentationContextResultReason as Reason;
    Some(ul::PresentationContextResult {
        id: context.id,
        reason: match context.result {
            ContextResultReason::Acceptance => Reason::Acceptance,
            ContextResultReason::UserRejection => Reason::UserRejection,
            ContextResultReason::NoReason => Reason::NoReason,
            ContextResultReason::AbstractSyntaxNotSupported => Reason::AbstractSyntaxNotSupported,
            ContextResultReason::TransferSyntaxesNotSupported => Reason::TransferSyntaxesNotSupported,
            ContextResultReason::Other(_) => return None,
        },
        transfer_syntax: context.transfer_syntax.as_ref()?.to_string(),
    })
}

/// In the order of our writer.
fn user_variables(information: &UserInformation) -> Option<Vec<ul::UserVariableItem>> {
    use ul::UserVariableItem as Item;
    let mut items = Vec::new();
    items.extend(information.maximum_length.map(Item::MaxLength));
    items.extend(
        information
            .implementation_class_uid
            .as_ref()
            .map(|uid| Item::ImplementationClassUID(uid.to_string())),
    );
    if let Some(window) = information.async_operations_window {
        let content = [window.invoked.to_be_bytes(), window.performed.to_be_bytes()].concat();
        items.push(Item::Unknown(0x53, content));
    }
    items.extend(information.role_selections.iter().map(|roles| {
        let granted = ul::RequestorRoles { scu: roles.scu, scp: roles.scp };
        Item::ScuScpRoleSelectionSubItem(roles.sop_class_uid.to_string(), granted)
    }));
    items.extend(information.implementation_version_name.clone().map(Item::ImplementationVersionName));
    items.extend(information.extended_negotiations.iter().map(|negotiation| {
        Item::SopClassExtendedNegotiationSubItem(
            negotiation.sop_class_uid.to_string(),
            negotiation.information.to_vec(),
        )
    }));
    if !information.common_extended_negotiations.is_empty() {
        return None; // Read with pynetdicom.
    }
    if let Some(identity) = &information.user_identity_request {
        items.push(Item::UserIdentityItem(ul::UserIdentity::new(
            identity.positive_response_requested,
            match identity.identity_type {
                1 => ul::UserIdentityType::Username,
                2 => ul::UserIdentityType::UsernamePassword,
                3 => ul::UserIdentityType::KerberosServiceTicket,
                4 => ul::UserIdentityType::SamlAssertion,
                5 => ul::UserIdentityType::Jwt,
                _ => return None,
            },
            identity.primary.to_vec(),
            identity.secondary.to_vec(),
        )));
    }
    if let Some(response) = &information.user_identity_response {
        let content = [&(response.len() as u16).to_be_bytes(), &response[..]].concat();
        items.push(Item::Unknown(0x59, content));
    }
    items.extend(information.unknown.iter().map(|(kind, content)| Item::Unknown(*kind, content.to_vec())));
    Some(items)
}

fn reject_source(reason: RejectReason) -> Option<ul::AssociationRJSource> {
    use ul::AssociationRJServiceProviderASCEReason as Acse;
    use ul::AssociationRJServiceProviderPresentationReason as Presentation;
    use ul::AssociationRJServiceUserReason as User;
    use ul::AssociationRJSource as Source;
    Some(match reason {
        RejectReason::NoReason => Source::ServiceUser(User::NoReasonGiven),
        RejectReason::ApplicationContextNotSupported => {
            Source::ServiceUser(User::ApplicationContextNameNotSupported)
        }
        RejectReason::CallingAeTitleNotRecognized => Source::ServiceUser(User::CallingAETitleNotRecognized),
        RejectReason::CalledAeTitleNotRecognized => Source::ServiceUser(User::CalledAETitleNotRecognized),
        RejectReason::AcseNoReason => Source::ServiceProviderASCE(Acse::NoReasonGiven),
        RejectReason::ProtocolVersionNotSupported => {
            Source::ServiceProviderASCE(Acse::ProtocolVersionNotSupported)
        }
        RejectReason::TemporaryCongestion => {
            Source::ServiceProviderPresentation(Presentation::TemporaryCongestion)
        }
        RejectReason::LocalLimitExceeded => {
            Source::ServiceProviderPresentation(Presentation::LocalLimitExceeded)
        }
        RejectReason::Other { .. } => return None,
    })
}

fn abort_source(source: AbortSource) -> Option<ul::AbortRQSource> {
    use ul::AbortRQServiceProviderReason as Reason;
    Some(match source {
        AbortSource::ServiceUser => ul::AbortRQSource::ServiceUser,
        AbortSource::Other(_) => return None,
        AbortSource::ServiceProvider(reason) => ul::AbortRQSource::ServiceProvider(match reason {
            AbortReason::NotSpecified => Reason::ReasonNotSpecified,
            AbortReason::UnrecognizedPdu => Reason::UnrecognizedPdu,
            AbortReason::UnexpectedPdu => Reason::UnexpectedPdu,
            AbortReason::UnrecognizedPduParameter => Reason::UnrecognizedPduParameter,
            AbortReason::UnexpectedPduParameter => Reason::UnexpectedPduParameter,
            AbortReason::InvalidPduParameterValue => Reason::InvalidPduParameter,
            AbortReason::Other(_) => return None,
        }),
    })
}

fn data_value(value: &PresentationDataValue) -> ul::PDataValue {
    ul::PDataValue {
        presentation_context_id: value.context_id,
        value_type: match value.kind {
            FragmentKind::Command => ul::PDataValueType::Command,
            FragmentKind::DataSet => ul::PDataValueType::Data,
        },
        is_last: value.position == Position::Last,
        data: value.data.to_vec(),
    }
}

/// What dicom-ul has a value for: half of the associations that [`arbitrary`] makes have something it lacks.
fn sayable() -> impl Strategy<Value = (Pdu, ul::Pdu)> {
    arbitrary::pdu().prop_filter_map("dicom-ul has no value for it", |mut pdu| {
        let information = match &mut pdu {
            Pdu::AssociateRq(rq) => {
                rq.presentation_contexts.iter_mut().for_each(|context| {
                    context.abstract_syntax.get_or_insert(Uid::from_static("1.2.840.10008.1.1"));
                });
                Some(&mut rq.user_information)
            }
            Pdu::AssociateAc(ac) => {
                ac.presentation_contexts.iter_mut().for_each(|context| {
                    context.transfer_syntax.get_or_insert(Uid::from_static("1.2.840.10008.1.2"));
                });
                Some(&mut ac.user_information)
            }
            _ => None,
        };
        if let Some(information) = information {
            information.common_extended_negotiations.clear();
            if let Some(identity) = &mut information.user_identity_request {
                identity.identity_type = identity.identity_type % 5 + 1;
            }
        }
        same(&pdu).map(|theirs| (pdu, theirs))
    })
}

proptest! {
    #[test]
    fn what_we_write_it_reads((ours, theirs) in sayable()) {
        let read = ul::read_pdu(&encode(&ours)[..], ul::MAXIMUM_PDU_SIZE, true).unwrap();
        prop_assert_eq!(read, Some(theirs));
    }

    #[test]
    fn what_it_writes_we_read((ours, theirs) in sayable()) {
        let mut bytes = Vec::new();
        ul::write_pdu(&mut bytes, &theirs).unwrap();
        prop_assert_eq!(decode(&bytes), Ok(ours));
    }
}
