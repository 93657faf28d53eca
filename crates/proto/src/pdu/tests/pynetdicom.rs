//! An independent writer: pynetdicom 3.0.4.
//!
//! The PDUs were made once, by filling `pynetdicom.pdu_primitives.A_ASSOCIATE` with the items that the tests name and
//! writing `A_ASSOCIATE_RQ().from_primitive(primitive).encode()` (and `A_ASSOCIATE_AC`) as hexadecimal digits.

use bytes::Bytes;

use super::*;

const ASSOCIATE_RQ: &str = "
    01000000021f000100004449434f4d455420202020202020202050594e45544449434f4d202020202020000000000000
    000000000000000000000000000000000000000000000000000010000015312e322e3834302e31303030382e332e312e
    312e312000004f010000003000001b312e322e3834302e31303030382e352e312e342e312e322e322e3140000011312e
    322e3834302e31303030382e312e3240000013312e322e3834302e31303030382e312e322e3120000052030000003000
    0019312e322e3834302e31303030382e352e312e342e312e312e3240000013312e322e3834302e31303030382e312e32
    2e3140000016312e322e3834302e31303030382e312e322e342e3730500001155100000400003ffe52000020312e322e
    3832362e302e312e333638303034332e392e333831312e332e302e345500000e50594e45544449434f4d5f3330345300
    0004000500005400001d0019312e322e3834302e31303030382e352e312e342e312e312e32000156000020001b312e32
    2e3834302e31303030382e352e312e342e312e322e322e3101000157000072001d312e322e3834302e31303030382e35
    2e312e342e312e312e38382e32320011312e322e3834302e31303030382e342e32003e001d312e322e3834302e313030
    30382e352e312e342e312e312e38382e3131001d312e322e3834302e31303030382e352e312e342e312e312e38382e33
    335800001002010004757365720006736563726574";

const ASSOCIATE_AC: &str = "
    020000000133000100004449434f4d455420202020202020202050594e45544449434f4d202020202020000000000000
    000000000000000000000000000000000000000000000000000010000015312e322e3834302e31303030382e332e312e
    312e31210000190100000040000011312e322e3834302e31303030382e312e322100001e0300040040000016312e322e
    3834302e31303030382e312e322e342e3730500000935100000400003ffe52000020312e322e3832362e302e312e3336
    38303034332e392e333831312e332e302e345500000e50594e45544449434f4d5f33303453000004000100045400001d
    0019312e322e3834302e31303030382e352e312e342e312e312e32000156000020001b312e322e3834302e3130303038
    2e352e312e342e312e322e322e310100015900000400026f6b";

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const STUDY_ROOT_FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const JPEG_LOSSLESS: &str = "1.2.840.10008.1.2.4.70";

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<u32> = hexadecimal.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// What request and answer have in common.
fn assert_user_information(information: &UserInformation) {
    assert_eq!(information.maximum_length, Some(16_382));
    assert_eq!(information.implementation_class_uid, Some(uid("1.2.826.0.1.3680043.9.3811.3.0.4")));
    assert_eq!(information.implementation_version_name.as_deref(), Some("PYNETDICOM_304"));
    let roles = RoleSelection { sop_class_uid: uid(CT), scu: false, scp: true };
    assert_eq!(information.role_selections, [roles]);
    let extended = ExtendedNegotiation {
        sop_class_uid: uid(STUDY_ROOT_FIND),
        information: Bytes::from_static(&[1, 0, 1]),
    };
    assert_eq!(information.extended_negotiations, [extended]);
    assert_eq!(information.unknown, []);
}

#[test]
fn its_request_is_read() {
    let Pdu::AssociateRq(associate_rq) = decode(&bytes(ASSOCIATE_RQ)).unwrap() else { panic!() };
    assert_eq!(associate_rq.protocol_version, 1);
    assert_eq!(&associate_rq.calling_ae_title, b"PYNETDICOM      ");
    assert_eq!(&associate_rq.called_ae_title, b"DICOMET         ");
    assert_eq!(associate_rq.application_context, Some(uid("1.2.840.10008.3.1.1.1")));
    let proposed = |id, class, syntaxes: [&str; 2]| ProposedContext {
        id,
        abstract_syntax: Some(uid(class)),
        transfer_syntaxes: syntaxes.map(uid).to_vec(),
    };
    assert_eq!(
        associate_rq.presentation_contexts,
        [proposed(1, STUDY_ROOT_FIND, [IMPLICIT, EXPLICIT]), proposed(3, CT, [EXPLICIT, JPEG_LOSSLESS])]
    );
    let information = &associate_rq.user_information;
    assert_user_information(information);
    let window = AsyncOperationsWindow { invoked: 5, performed: 0 };
    assert_eq!(information.async_operations_window, Some(window));
    let common = CommonExtendedNegotiation {
        sop_class_uid: uid("1.2.840.10008.5.1.4.1.1.88.22"),
        service_class_uid: uid("1.2.840.10008.4.2"),
        related_general_sop_class_uids: vec![
            uid("1.2.840.10008.5.1.4.1.1.88.11"),
            uid("1.2.840.10008.5.1.4.1.1.88.33"),
        ],
    };
    assert_eq!(information.common_extended_negotiations, [common]);
    let identity = UserIdentityRequest {
        identity_type: 2,
        positive_response_requested: true,
        primary: Bytes::from_static(b"user"),
        secondary: Bytes::from_static(b"secret"),
    };
    assert_eq!(information.user_identity_request, Some(identity));
    let ours = encode(&Pdu::AssociateRq(associate_rq));
    assert_eq!(sorted(&ours), sorted(&bytes(ASSOCIATE_RQ)), "the sub-items stand in another order");
}

#[test]
fn its_answer_is_read() {
    let Pdu::AssociateAc(associate_ac) = decode(&bytes(ASSOCIATE_AC)).unwrap() else { panic!() };
    let answered = |id, result, syntax| ContextResult { id, result, transfer_syntax: Some(uid(syntax)) };
    assert_eq!(
        associate_ac.presentation_contexts,
        [
            answered(1, ContextResultReason::Acceptance, IMPLICIT),
            answered(3, ContextResultReason::TransferSyntaxesNotSupported, JPEG_LOSSLESS)
        ]
    );
    let information = &associate_ac.user_information;
    assert_user_information(information);
    let window = AsyncOperationsWindow { invoked: 1, performed: 4 };
    assert_eq!(information.async_operations_window, Some(window));
    assert_eq!(information.user_identity_response, Some(Bytes::from_static(b"ok")));
    let ours = encode(&Pdu::AssociateAc(associate_ac));
    assert_eq!(sorted(&ours), sorted(&bytes(ASSOCIATE_AC)), "the sub-items stand in another order");
}

fn sorted(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.sort_unstable();
    bytes
}
