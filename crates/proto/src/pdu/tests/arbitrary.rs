//! Any PDU, as proptest makes it.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

pub(super) fn pdu() -> impl Strategy<Value = Pdu> {
    prop_oneof![
        4 => associate_rq().prop_map(Pdu::AssociateRq),
        4 => associate_ac().prop_map(Pdu::AssociateAc),
        1 => any::<[u8; 3]>().prop_map(associate_rj),
        2 => prop::collection::vec(value(), 1..5).prop_map(Pdu::DataTf),
        1 => Just(Pdu::ReleaseRq),
        1 => Just(Pdu::ReleaseRp),
        1 => any::<[u8; 2]>().prop_map(abort),
    ]
}

fn associate_rj([result, source, reason]: [u8; 3]) -> Pdu {
    let content = [0, result % 4, source % 4, reason % 8];
    Pdu::AssociateRj(AssociateRj::decode(&content).unwrap())
}

fn abort([source, reason]: [u8; 2]) -> Pdu {
    Pdu::Abort(Abort::decode(&[0, 0, source % 4, reason % 8]).unwrap())
}

fn uid() -> impl Strategy<Value = Uid> {
    "[1-9][0-9]{0,3}(\\.[0-9]{1,4}){1,8}".prop_map(|text| Uid::new(text).unwrap())
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn ae_title() -> impl Strategy<Value = [u8; 16]> {
    "[A-Z][A-Z0-9_]{0,15}".prop_map(|text| crate::AeTitle::new(&text).unwrap().to_padded())
}

fn value() -> impl Strategy<Value = PresentationDataValue> {
    (any::<u8>(), any::<bool>(), any::<bool>(), bytes()).prop_map(|(context_id, command, last, data)| {
        PresentationDataValue {
            context_id,
            kind: if command { FragmentKind::Command } else { FragmentKind::DataSet },
            position: if last { Position::Last } else { Position::More },
            data,
        }
    })
}

fn associate_rq() -> impl Strategy<Value = AssociateRq> {
    let whole =
        (any::<u8>(), uid(), uid()).prop_map(|(id, abstract_syntax, transfer_syntax)| ProposedContext {
            id,
            abstract_syntax: Some(abstract_syntax),
            transfer_syntaxes: vec![transfer_syntax],
        });
    let context = (any::<u8>(), prop::option::weighted(0.9, uid()), prop::collection::vec(uid(), 0..5))
        .prop_map(|(id, abstract_syntax, transfer_syntaxes)| ProposedContext {
            id,
            abstract_syntax,
            transfer_syntaxes,
        });
    (
        any::<u16>(),
        ae_title(),
        ae_title(),
        prop::option::weighted(0.9, uid()),
        (whole, prop::collection::vec(context, 0..5))
            .prop_map(|(whole, others)| others.into_iter().chain([whole]).collect()),
        user_information(),
    )
        .prop_map(
            |(protocol_version, called, calling, application_context, presentation_contexts, information)| {
                AssociateRq {
                    protocol_version,
                    called_ae_title: called,
                    calling_ae_title: calling,
                    application_context,
                    presentation_contexts,
                    user_information: information,
                }
            },
        )
}

fn associate_ac() -> impl Strategy<Value = AssociateAc> {
    let context = (any::<u8>(), 0_u8..7, prop::option::weighted(0.8, uid())).prop_map(
        |(id, result, transfer_syntax)| ContextResult {
            id,
            result: ContextResultReason::from_byte(result),
            transfer_syntax,
        },
    );
    (associate_rq(), prop::collection::vec(context, 0..6)).prop_map(|(rq, presentation_contexts)| {
        AssociateAc {
            protocol_version: rq.protocol_version,
            called_ae_title: rq.called_ae_title,
            calling_ae_title: rq.calling_ae_title,
            application_context: rq.application_context,
            presentation_contexts,
            user_information: rq.user_information,
        }
    })
}

/// The maximum length is always there: without any sub-item the item would be empty, which it may not be.
fn user_information() -> impl Strategy<Value = UserInformation> {
    let window =
        any::<(u16, u16)>().prop_map(|(invoked, performed)| AsyncOperationsWindow { invoked, performed });
    let role_selection = (uid(), any::<bool>(), any::<bool>())
        .prop_map(|(sop_class_uid, scu, scp)| RoleSelection { sop_class_uid, scu, scp });
    let extended = (uid(), bytes())
        .prop_map(|(sop_class_uid, information)| ExtendedNegotiation { sop_class_uid, information });
    let common = (uid(), uid(), prop::collection::vec(uid(), 0..3)).prop_map(
        |(sop_class_uid, service_class_uid, related_general_sop_class_uids)| CommonExtendedNegotiation {
            sop_class_uid,
            service_class_uid,
            related_general_sop_class_uids,
        },
    );
    let identity =
        (any::<u8>(), any::<bool>(), bytes(), bytes()).prop_map(|(kind, asked, primary, secondary)| {
            UserIdentityRequest {
                identity_type: kind,
                positive_response_requested: asked,
                primary,
                secondary,
            }
        });
    let unknown = (prop_oneof![0_u8..0x51, 0x5a_u8..], bytes());
    (
        any::<u32>(),
        prop::option::of(uid()),
        prop::option::of("[A-Z0-9_.]{1,16}"),
        prop::option::of(window),
        prop::collection::vec(role_selection, 0..4),
        prop::collection::vec(extended, 0..3),
        prop::collection::vec(common, 0..3),
        prop::option::of(identity),
        prop::option::of(bytes()),
        prop::collection::vec(unknown, 0..3),
    )
        .prop_map(
            |(length, class, version, window, roles, extended, common, identity, response, unknown)| {
                UserInformation {
                    maximum_length: Some(length),
                    implementation_class_uid: class,
                    implementation_version_name: version,
                    async_operations_window: window,
                    role_selections: roles,
                    extended_negotiations: extended,
                    common_extended_negotiations: common,
                    user_identity_request: identity,
                    user_identity_response: response,
                    unknown,
                }
            },
        )
}
