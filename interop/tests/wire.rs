//! Our bytes read by pynetdicom, and its bytes read by us: all seven PDUs with every user-information item, and
//! the command sets of all services. `interop/python/wire.py` is the other side.

#![allow(clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};
use dicom_core::Tag;
use dicomet_interop::process::run;
use dicomet_interop::pynetdicom::script;
use dicomet_proto::message::*;
use dicomet_proto::pdu::*;
use dicomet_proto::{AeTitle, Uid};
use serde_json::{Value, json};

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";
const MOVE: &str = "1.2.840.10008.5.1.4.1.2.2.2";
const GET: &str = "1.2.840.10008.5.1.4.1.2.2.3";
const COMMITMENT: &str = "1.2.840.10008.1.20.1";
const COMMITMENT_INSTANCE: &str = "1.2.840.10008.1.20.1.1";
const VERIFICATION: &str = "1.2.840.10008.1.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

fn uid(text: &str) -> Uid {
    text.parse().unwrap()
}

fn ae_title(text: &str) -> AeTitle {
    AeTitle::new(text).unwrap()
}

/// The bytes of a title in an A-ASSOCIATE-RQ, bytes 11 to 26.
fn padded(text: &str) -> [u8; 16] {
    format!("{text:<16}").into_bytes().try_into().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |index: usize| u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap();
    (0..text.len() / 2).map(byte).collect()
}

fn encoded(pdu: &Pdu) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    pdu.encode(&mut bytes);
    bytes.to_vec()
}

fn decoded(bytes: &[u8]) -> Pdu {
    let header = Header::peek(bytes).unwrap();
    assert_eq!(header.length as usize, bytes.len() - HEADER_LENGTH);
    Pdu::decode(header.pdu_type.unwrap(), Bytes::copy_from_slice(&bytes[HEADER_LENGTH..])).unwrap()
}

/// One JSON value a line.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What pynetdicom understands of these lines.
fn understood(given: &[Value]) -> Vec<Value> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text: Vec<_> = given.iter().map(Value::to_string).collect();
    std::fs::write(file.path(), text.join("\n")).unwrap();
    let answers = lines(&run(script("wire.py").arg("read").arg(file.path())).expect_success().stdout);
    assert_eq!(answers.len(), given.len());
    answers
}

/// Writes each, lets pynetdicom read it, and compares what it understands and what it would write itself.
fn assert_understood(cases: Vec<(Value, Value)>) {
    let (given, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    for ((given, expected), answer) in given.iter().zip(expected).zip(understood(&given)) {
        assert_eq!(answer["means"], expected, "{given}");
        let ours = given.get("pdu").or(given.get("command")).unwrap();
        assert_eq!(answer["again"], *ours, "pynetdicom writes the same as other bytes");
    }
}

fn user_information() -> UserInformation {
    UserInformation {
        maximum_length: Some(131_072),
        implementation_class_uid: Some(uid("2.999.1")),
        implementation_version_name: Some("DICOMET_0_1".to_owned()),
        async_operations_window: Some(AsyncOperationsWindow { invoked: 16, performed: 1 }),
        role_selections: vec![RoleSelection { sop_class_uid: uid(CT), scu: false, scp: true }],
        extended_negotiations: vec![ExtendedNegotiation {
            sop_class_uid: uid(FIND),
            information: Bytes::from_static(&[1, 0, 1]),
        }],
        ..UserInformation::default()
    }
}

fn user_information_means() -> Value {
    json!({
        "maximum_length": 131_072,
        "implementation_class_uid": "2.999.1",
        "implementation_version_name": "DICOMET_0_1",
        "window": [16, 1],
        "roles": [[CT, false, true]],
        "extended": [[FIND, "010001"]],
        "common_extended": [],
        "identity": null,
        "identity_response": null,
    })
}

#[test]
fn pynetdicom_reads_our_association_request_with_every_item() {
    let request = AssociateRq {
        protocol_version: 1,
        called_ae_title: padded("PYNETDICOM"),
        calling_ae_title: padded("DICOMET"),
        application_context: Some(uid("1.2.840.10008.3.1.1.1")),
        presentation_contexts: vec![
            ProposedContext {
                id: 1,
                abstract_syntax: Some(uid(GET)),
                transfer_syntaxes: vec![uid(IMPLICIT)],
            },
            ProposedContext {
                id: 255,
                abstract_syntax: Some(uid(CT)),
                transfer_syntaxes: vec![uid(EXPLICIT), uid(IMPLICIT)],
            },
        ],
        user_information: UserInformation {
            common_extended_negotiations: vec![CommonExtendedNegotiation {
                sop_class_uid: uid(CT),
                service_class_uid: uid("1.2.840.10008.4.2"),
                related_general_sop_class_uids: vec![uid("2.999.2"), uid("2.999.33")],
            }],
            user_identity_request: Some(UserIdentityRequest {
                identity_type: 2,
                positive_response_requested: true,
                primary: Bytes::from_static(b"user"),
                secondary: Bytes::from_static(b"secret"),
            }),
            ..user_information()
        },
    };
    let mut information = user_information_means();
    information["common_extended"] = json!([[CT, "1.2.840.10008.4.2", ["2.999.2", "2.999.33"]]]);
    information["identity"] = json!([2, true, hex(b"user"), hex(b"secret")]);
    let means = json!({
        "type": "A-ASSOCIATE-RQ",
        "called": "PYNETDICOM",
        "calling": "DICOMET",
        "application_context": "1.2.840.10008.3.1.1.1",
        "contexts": [[1, GET, [IMPLICIT]], [255, CT, [EXPLICIT, IMPLICIT]]],
        "user_information": information,
    });
    assert_understood(vec![(json!({ "pdu": hex(&encoded(&Pdu::AssociateRq(request))) }), means)]);
}

#[test]
fn pynetdicom_reads_our_association_acceptance_with_every_item() {
    let result = |id: u8, result: ContextResultReason, transfer_syntax: &str| ContextResult {
        id,
        result,
        transfer_syntax: Some(uid(transfer_syntax)),
    };
    let acceptance = AssociateAc {
        protocol_version: 1,
        called_ae_title: padded("DICOMET"),
        calling_ae_title: padded("PYNETDICOM"),
        application_context: Some(uid("1.2.840.10008.3.1.1.1")),
        presentation_contexts: vec![
            result(1, ContextResultReason::Acceptance, EXPLICIT),
            result(3, ContextResultReason::AbstractSyntaxNotSupported, IMPLICIT),
            result(5, ContextResultReason::TransferSyntaxesNotSupported, IMPLICIT),
        ],
        user_information: UserInformation {
            user_identity_response: Some(Bytes::from_static(b"welcome")),
            ..user_information()
        },
    };
    let mut information = user_information_means();
    information["identity_response"] = json!(hex(b"welcome"));
    let means = json!({
        "type": "A-ASSOCIATE-AC",
        "called": "DICOMET",
        "calling": "PYNETDICOM",
        "application_context": "1.2.840.10008.3.1.1.1",
        "contexts": [[1, 0, EXPLICIT], [3, 3, IMPLICIT], [5, 4, IMPLICIT]],
        "user_information": information,
    });
    assert_understood(vec![(json!({ "pdu": hex(&encoded(&Pdu::AssociateAc(acceptance))) }), means)]);
}

#[test]
fn pynetdicom_reads_our_other_pdus() {
    let rejection = |result, reason| Pdu::AssociateRj(AssociateRj { result, reason });
    let value = |context_id, kind, position, data| PresentationDataValue {
        context_id,
        kind,
        position,
        data: Bytes::from_static(data),
    };
    let rejected = |result: u8, source: u8, reason: u8| json!({ "type": "A-ASSOCIATE-RJ", "result": result, "source": source, "reason": reason });
    let aborted = |source: u8, reason: u8| json!({ "type": "A-ABORT", "source": source, "reason": reason });
    let cases = [
        (rejection(RejectResult::Permanent, RejectReason::CalledAeTitleNotRecognized), rejected(1, 1, 7)),
        (rejection(RejectResult::Permanent, RejectReason::CallingAeTitleNotRecognized), rejected(1, 1, 3)),
        (rejection(RejectResult::Permanent, RejectReason::ProtocolVersionNotSupported), rejected(1, 2, 2)),
        (rejection(RejectResult::Transient, RejectReason::TemporaryCongestion), rejected(2, 3, 1)),
        (rejection(RejectResult::Transient, RejectReason::LocalLimitExceeded), rejected(2, 3, 2)),
        (
            Pdu::DataTf(vec![
                value(1, FragmentKind::Command, Position::Last, b"abcd"),
                value(3, FragmentKind::DataSet, Position::More, b"ef"),
                value(3, FragmentKind::DataSet, Position::Last, b"gh"),
            ]),
            json!({ "type": "P-DATA-TF", "values": [[1, true, true, hex(b"abcd")],
                    [3, false, false, hex(b"ef")], [3, false, true, hex(b"gh")]] }),
        ),
        (Pdu::ReleaseRq, json!({ "type": "A-RELEASE-RQ" })),
        (Pdu::ReleaseRp, json!({ "type": "A-RELEASE-RP" })),
        (Pdu::Abort(Abort { source: AbortSource::ServiceUser }), aborted(0, 0)),
        (
            Pdu::Abort(Abort { source: AbortSource::ServiceProvider(AbortReason::UnexpectedPdu) }),
            aborted(2, 2),
        ),
        (
            Pdu::Abort(Abort { source: AbortSource::ServiceProvider(AbortReason::InvalidPduParameterValue) }),
            aborted(2, 6),
        ),
    ];
    let case = |(pdu, means): (Pdu, Value)| (json!({ "pdu": hex(&encoded(&pdu)) }), means);
    assert_understood(cases.into_iter().map(case).collect());
}

#[test]
fn pynetdicom_reads_our_requests() {
    let (message_id, priority) = (MessageId(7), Priority::Medium);
    let request = |class: &str, field: u16| json!({ "AffectedSOPClassUID": class, "CommandField": field, "MessageID": 7 });
    let with = |mut means: Value, more: Value| {
        means.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        means
    };
    let data = json!({ "Priority": 0, "CommandDataSetType": 1 });
    let cases = [
        (
            Command::CEchoRq(CEchoRq { message_id, affected_sop_class_uid: uid(VERIFICATION) }),
            with(request(VERIFICATION, 0x0030), json!({ "CommandDataSetType": 0x0101 })),
        ),
        (
            Command::CStoreRq(CStoreRq {
                message_id,
                affected_sop_class_uid: uid(CT),
                affected_sop_instance_uid: uid("2.999.1"),
                priority,
                move_originator: Some((ae_title("MOVER"), MessageId(3))),
            }),
            with(
                with(request(CT, 0x0001), data.clone()),
                json!({ "AffectedSOPInstanceUID": "2.999.1", "MoveOriginatorMessageID": 3,
                        "MoveOriginatorApplicationEntityTitle": "MOVER" }),
            ),
        ),
        (
            Command::CFindRq(CFindRq { message_id, affected_sop_class_uid: uid(FIND), priority }),
            with(request(FIND, 0x0020), data.clone()),
        ),
        (
            Command::CGetRq(CGetRq { message_id, affected_sop_class_uid: uid(GET), priority }),
            with(request(GET, 0x0010), data.clone()),
        ),
        (
            Command::CMoveRq(CMoveRq {
                message_id,
                affected_sop_class_uid: uid(MOVE),
                priority,
                move_destination: ae_title("DICOMET"),
            }),
            with(with(request(MOVE, 0x0021), data.clone()), json!({ "MoveDestination": "DICOMET" })),
        ),
        (
            Command::NActionRq(NActionRq {
                message_id,
                requested_sop_class_uid: uid(COMMITMENT),
                requested_sop_instance_uid: uid(COMMITMENT_INSTANCE),
                action_type_id: 1,
                action_information: DataSetType::Present,
            }),
            json!({ "RequestedSOPClassUID": COMMITMENT, "CommandField": 0x0130, "MessageID": 7,
                    "CommandDataSetType": 1, "RequestedSOPInstanceUID": COMMITMENT_INSTANCE, "ActionTypeID": 1 }),
        ),
        (
            Command::NEventReportRq(NEventReportRq {
                message_id,
                affected_sop_class_uid: uid(COMMITMENT),
                affected_sop_instance_uid: uid(COMMITMENT_INSTANCE),
                event_type_id: 2,
                event_information: DataSetType::Present,
            }),
            json!({ "AffectedSOPClassUID": COMMITMENT, "CommandField": 0x0100, "MessageID": 7,
                    "CommandDataSetType": 1, "AffectedSOPInstanceUID": COMMITMENT_INSTANCE, "EventTypeID": 2 }),
        ),
        (
            Command::CCancelRq(CCancelRq { message_id }),
            json!({ "CommandField": 0x0FFF, "MessageIDBeingRespondedTo": 7, "CommandDataSetType": 0x0101 }),
        ),
    ];
    let case = |(command, means): (Command, Value)| (json!({ "command": hex(&command.encode()) }), means);
    assert_understood(cases.into_iter().map(case).map(any_data_set_type).collect());
}

/// Command Data Set Type is 0101H for none and anything else for one; we need not choose pynetdicom's 1.
fn any_data_set_type((given, mut means): (Value, Value)) -> (Value, Value) {
    if means["CommandDataSetType"] == 1 {
        let bytes = unhex(given["command"].as_str().unwrap());
        let at = bytes.windows(8).position(|head| head == [0, 0, 0, 8, 2, 0, 0, 0]).unwrap() + 8;
        let number = u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        assert_ne!(number, 0x0101);
        means["CommandDataSetType"] = json!(number);
    }
    (given, means)
}

#[test]
fn pynetdicom_reads_our_responses() {
    let message_id = MessageId(7);
    let none = json!(0x0101);
    let cases = [
        (
            Command::CEchoRsp(CEchoRsp {
                message_id,
                affected_sop_class_uid: Some(uid(VERIFICATION)),
                status: Status::SUCCESS,
            }),
            json!({ "AffectedSOPClassUID": VERIFICATION, "CommandField": 0x8030, "MessageIDBeingRespondedTo": 7,
                    "CommandDataSetType": none, "Status": 0 }),
        ),
        (
            Command::CStoreRsp(CStoreRsp {
                message_id,
                affected_sop_class_uid: Some(uid(CT)),
                affected_sop_instance_uid: Some(uid("2.999.1")),
                status: Status::OUT_OF_RESOURCES,
                error_comment: Some("disk full".to_owned()),
                offending_elements: vec![Tag(0x0008, 0x0018)],
            }),
            json!({ "AffectedSOPClassUID": CT, "CommandField": 0x8001, "MessageIDBeingRespondedTo": 7,
                    "CommandDataSetType": none, "Status": 0xA700, "OffendingElement": "(0008,0018)",
                    "ErrorComment": "disk full", "AffectedSOPInstanceUID": "2.999.1" }),
        ),
        (
            Command::CFindRsp(CFindRsp {
                message_id,
                affected_sop_class_uid: Some(uid(FIND)),
                status: Status::PENDING,
                identifier: DataSetType::Present,
                error_comment: None,
                offending_elements: Vec::new(),
            }),
            json!({ "AffectedSOPClassUID": FIND, "CommandField": 0x8020, "MessageIDBeingRespondedTo": 7,
                    "CommandDataSetType": 1, "Status": 0xFF00 }),
        ),
        (
            Command::CGetRsp(CGetRsp {
                message_id,
                affected_sop_class_uid: Some(uid(GET)),
                status: Status::WARNING,
                counters: Counters { remaining: None, completed: Some(3), failed: Some(2), warning: Some(1) },
                identifier: DataSetType::Present,
                error_comment: None,
                offending_elements: Vec::new(),
            }),
            json!({ "AffectedSOPClassUID": GET, "CommandField": 0x8010, "MessageIDBeingRespondedTo": 7,
                    "CommandDataSetType": 1, "Status": 0xB000, "NumberOfCompletedSuboperations": 3,
                    "NumberOfFailedSuboperations": 2, "NumberOfWarningSuboperations": 1 }),
        ),
        (
            Command::CMoveRsp(CMoveRsp {
                message_id,
                affected_sop_class_uid: Some(uid(MOVE)),
                status: Status::PENDING,
                counters: Counters {
                    remaining: Some(4),
                    completed: Some(3),
                    failed: Some(2),
                    warning: Some(1),
                },
                identifier: DataSetType::Null,
                error_comment: None,
                offending_elements: Vec::new(),
            }),
            json!({ "AffectedSOPClassUID": MOVE, "CommandField": 0x8021, "MessageIDBeingRespondedTo": 7,
                    "CommandDataSetType": none, "Status": 0xFF00, "NumberOfRemainingSuboperations": 4,
                    "NumberOfCompletedSuboperations": 3, "NumberOfFailedSuboperations": 2,
                    "NumberOfWarningSuboperations": 1 }),
        ),
    ];
    let case = |(command, means): (Command, Value)| (json!({ "command": hex(&command.encode()) }), means);
    assert_understood(cases.into_iter().map(case).map(any_data_set_type).collect());
}

#[test]
fn pynetdicom_reads_our_responses_of_storage_commitment() {
    let message_id = MessageId(7);
    let means = |field: u16, status: u16| {
        json!({ "AffectedSOPClassUID": COMMITMENT, "CommandField": field, "MessageIDBeingRespondedTo": 7,
                "CommandDataSetType": 0x0101, "Status": status, "AffectedSOPInstanceUID": COMMITMENT_INSTANCE })
    };
    let mut action = means(0x8130, 0x0213);
    action["ActionTypeID"] = json!(1);
    action["ErrorComment"] = json!("too many");
    let mut event = means(0x8100, 0);
    event["EventTypeID"] = json!(2);
    let cases = [
        (
            Command::NActionRsp(NActionRsp {
                message_id,
                affected_sop_class_uid: Some(uid(COMMITMENT)),
                affected_sop_instance_uid: Some(uid(COMMITMENT_INSTANCE)),
                action_type_id: Some(1),
                status: Status::RESOURCE_LIMITATION,
                action_reply: DataSetType::Null,
                error_comment: Some("too many".to_owned()),
            }),
            action,
        ),
        (
            Command::NEventReportRsp(NEventReportRsp {
                message_id,
                affected_sop_class_uid: Some(uid(COMMITMENT)),
                affected_sop_instance_uid: Some(uid(COMMITMENT_INSTANCE)),
                event_type_id: Some(2),
                status: Status::SUCCESS,
                event_reply: DataSetType::Null,
                error_comment: None,
            }),
            event,
        ),
    ];
    let case = |(command, means): (Command, Value)| (json!({ "command": hex(&command.encode()) }), means);
    assert_understood(cases.into_iter().map(case).collect());
}

/// Our writing is held against expectations above; with that, reading is right when nothing is lost on the way
/// from pynetdicom through our values back to it.
#[test]
fn what_pynetdicom_writes_means_the_same_after_we_read_and_wrote_it() {
    let theirs = lines(&run(script("wire.py").arg("write")).expect_success().stdout);
    assert!(theirs.len() >= 32);
    let ours: Vec<_> = theirs
        .iter()
        .map(|one| match one["pdu"].as_str() {
            Some(pdu) => json!({ "pdu": hex(&encoded(&decoded(&unhex(pdu)))) }),
            None => {
                let command = Command::decode(&unhex(one["command"].as_str().unwrap())).unwrap();
                assert!(!matches!(command, Command::Unknown(_)), "{one}");
                json!({ "command": hex(&command.encode()) })
            }
        })
        .collect();
    for ((theirs, ours), answer) in theirs.iter().zip(&ours).zip(understood(&ours)) {
        let mut means = theirs["means"].clone();
        if means["CommandDataSetType"] == 1 {
            assert_ne!(answer["means"]["CommandDataSetType"], 0x0101);
            means["CommandDataSetType"] = answer["means"]["CommandDataSetType"].clone();
        }
        assert_eq!(answer["means"], means, "{ours}");
    }
}
