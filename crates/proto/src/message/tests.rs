//! Commands as bytes, as values, and back; against command sets that another implementation made.

use proptest::prelude::*;

use super::command_set::{ArgumentFault, element};
use super::*;
use crate::dataset::Tag;
use crate::{AeTitle, Uid};

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";
const MOVE: &str = "1.2.840.10008.5.1.4.1.2.2.2";
const GET: &str = "1.2.840.10008.5.1.4.1.2.2.3";
const COMMITMENT: &str = "1.2.840.10008.1.20.1";
const COMMITMENT_INSTANCE: &str = "1.2.840.10008.1.20.1.1";

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

fn ae_title(text: &str) -> AeTitle {
    AeTitle::new(text).unwrap()
}

fn counters(remaining: Option<u16>, completed: u16) -> Counters {
    Counters { remaining, completed: Some(completed), failed: Some(1), warning: Some(2) }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Command sets as pynetdicom 3.0.4 writes them, with the values it was given: a message class of
/// `pynetdicom.dimse_messages`, `primitive_to_message`, `dsutils.encode(message.command_set, True, True)`.
fn made_by_pynetdicom() -> Vec<(&'static str, Command)> {
    vec![
        (
            "0000000004000000380000000000020012000000312e322e3834302e31303030382e312e3100000000010200000030000000\
             100102000000070000000008020000000101",
            Command::CEchoRq(CEchoRq {
                message_id: MessageId(7),
                affected_sop_class_uid: uid("1.2.840.10008.1.1"),
            }),
        ),
        (
            "0000000004000000420000000000020012000000312e322e3834302e31303030382e312e3100000000010200000030800000\
             20010200000007000000000802000000010100000009020000000000",
            Command::CEchoRsp(CEchoRsp {
                message_id: MessageId(7),
                affected_sop_class_uid: Some(uid("1.2.840.10008.1.1")),
                status: Status::SUCCESS,
            }),
        ),
        (
            "00000000040000005a000000000002001a000000312e322e3834302e31303030382e352e312e342e312e312e320000000001\
             0200000001000000100102000000070000000007020000000200000000080200000001000000001008000000312e322e332e\
             3400",
            Command::CStoreRq(CStoreRq {
                message_id: MessageId(7),
                affected_sop_class_uid: uid(CT),
                affected_sop_instance_uid: uid("1.2.3.4"),
                priority: Priority::Low,
                move_originator: None,
            }),
        ),
        (
            "000000000400000072000000000002001a000000312e322e3834302e31303030382e352e312e342e312e312e320000000001\
             0200000001000000100102000000080000000007020000000100000000080200000001000000001008000000312e322e332e\
             343500003010060000004d4f5645522000003110020000000300",
            Command::CStoreRq(CStoreRq {
                message_id: MessageId(8),
                affected_sop_class_uid: uid(CT),
                affected_sop_instance_uid: uid("1.2.3.45"),
                priority: Priority::High,
                move_originator: Some((ae_title("MOVER"), MessageId(3))),
            }),
        ),
        (
            "000000000400000080000000000002001a000000312e322e3834302e31303030382e352e312e342e312e312e320000000001\
             0200000001800000200102000000070000000008020000000101000000090200000000a90000010908000000080018000800\
             1600000002090e000000446f6573206e6f74206d617463680000001008000000312e322e332e3400",
            Command::CStoreRsp(CStoreRsp {
                message_id: MessageId(7),
                affected_sop_class_uid: Some(uid(CT)),
                affected_sop_instance_uid: Some(uid("1.2.3.4")),
                status: Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
                error_comment: Some("Does not match".to_owned()),
                offending_elements: vec![Tag(0x0008, 0x0018), Tag(0x0008, 0x0016)],
            }),
        ),
        (
            "00000000040000004c000000000002001c000000312e322e3834302e31303030382e352e312e342e312e322e322e31000000\
             0001020000002000000010010200000009000000000702000000000000000008020000000100",
            Command::CFindRq(CFindRq {
                message_id: MessageId(9),
                affected_sop_class_uid: uid(FIND),
                priority: Priority::Medium,
            }),
        ),
        (
            "00000000040000004c000000000002001c000000312e322e3834302e31303030382e352e312e342e312e322e322e31000000\
             00010200000020800000200102000000090000000008020000000100000000090200000000ff",
            Command::CFindRsp(CFindRsp {
                message_id: MessageId(9),
                affected_sop_class_uid: Some(uid(FIND)),
                status: Status::PENDING,
                identifier: DataSetType::Present,
                error_comment: None,
                offending_elements: vec![],
            }),
        ),
        (
            "00000000040000004c000000000002001c000000312e322e3834302e31303030382e352e312e342e312e322e322e31000000\
             0001020000002080000020010200000009000000000802000000010100000009020000000000",
            Command::CFindRsp(CFindRsp {
                message_id: MessageId(9),
                affected_sop_class_uid: Some(uid(FIND)),
                status: Status::SUCCESS,
                identifier: DataSetType::Null,
                error_comment: None,
                offending_elements: vec![],
            }),
        ),
        (
            "00000000040000004c000000000002001c000000312e322e3834302e31303030382e352e312e342e312e322e322e33000000\
             000102000000100000001001020000000a000000000702000000000000000008020000000100",
            Command::CGetRq(CGetRq {
                message_id: MessageId(10),
                affected_sop_class_uid: uid(GET),
                priority: Priority::Medium,
            }),
        ),
        (
            "000000000400000074000000000002001c000000312e322e3834302e31303030382e352e312e342e312e322e322e33000000\
             000102000000108000002001020000000a0000000008020000000101000000090200000000ff0000201002000000f4010000\
             21100200000014000000221002000000010000002310020000000200",
            Command::CGetRsp(CGetRsp {
                message_id: MessageId(10),
                affected_sop_class_uid: Some(uid(GET)),
                status: Status::PENDING,
                counters: counters(Some(500), 20),
                identifier: DataSetType::Null,
                error_comment: None,
                offending_elements: vec![],
            }),
        ),
        (
            "00000000040000006a000000000002001c000000312e322e3834302e31303030382e352e312e342e312e322e322e33000000\
             000102000000108000002001020000000a0000000008020000000100000000090200000000b0000021100200000008020000\
             221002000000010000002310020000000200",
            Command::CGetRsp(CGetRsp {
                message_id: MessageId(10),
                affected_sop_class_uid: Some(uid(GET)),
                status: Status::WARNING,
                counters: counters(None, 520),
                identifier: DataSetType::Present,
                error_comment: None,
                offending_elements: vec![],
            }),
        ),
        (
            "00000000040000005a000000000002001c000000312e322e3834302e31303030382e352e312e342e312e322e322e32000000\
             000102000000210000001001020000000b00000000060600000053544f524520000000070200000000000000000802000000\
             0100",
            Command::CMoveRq(CMoveRq {
                message_id: MessageId(11),
                affected_sop_class_uid: uid(MOVE),
                priority: Priority::Medium,
                move_destination: ae_title("STORE"),
            }),
        ),
        (
            "00000000040000005c000000000002001c000000312e322e3834302e31303030382e352e312e342e312e322e322e32000000\
             000102000000218000002001020000000b0000000008020000000101000000090200000001a80000020908000000556e6b6e\
             6f776e20",
            Command::CMoveRsp(CMoveRsp {
                message_id: MessageId(11),
                affected_sop_class_uid: Some(uid(MOVE)),
                status: Status::MOVE_DESTINATION_UNKNOWN,
                counters: Counters::default(),
                identifier: DataSetType::Null,
                error_comment: Some("Unknown".to_owned()),
                offending_elements: vec![],
            }),
        ),
        (
            "00000000040000001e0000000000000102000000ff0f00002001020000000b0000000008020000000101",
            Command::CCancelRq(CCancelRq { message_id: MessageId(11) }),
        ),
        (
            "0000000004000000620000000000020014000000312e322e3834302e31303030382e312e32302e3100000001020000000001\
             00001001020000000c00000000080200000001000000001016000000312e322e3834302e31303030382e312e32302e312e31\
             00000210020000000100",
            Command::NEventReportRq(NEventReportRq {
                message_id: MessageId(12),
                affected_sop_class_uid: uid(COMMITMENT),
                affected_sop_instance_uid: uid(COMMITMENT_INSTANCE),
                event_type_id: 1,
                event_information: DataSetType::Present,
            }),
        ),
        (
            "00000000040000006c0000000000020014000000312e322e3834302e31303030382e312e32302e3100000001020000000081\
             00002001020000000c0000000008020000000101000000090200000000000000001016000000312e322e3834302e31303030\
             382e312e32302e312e3100000210020000000100",
            Command::NEventReportRsp(NEventReportRsp {
                message_id: MessageId(12),
                affected_sop_class_uid: Some(uid(COMMITMENT)),
                affected_sop_instance_uid: Some(uid(COMMITMENT_INSTANCE)),
                event_type_id: Some(1),
                status: Status::SUCCESS,
                event_reply: DataSetType::Null,
                error_comment: None,
            }),
        ),
        (
            "0000000004000000620000000000030014000000312e322e3834302e31303030382e312e32302e3100000001020000003001\
             00001001020000000d00000000080200000001000000011016000000312e322e3834302e31303030382e312e32302e312e31\
             00000810020000000100",
            Command::NActionRq(NActionRq {
                message_id: MessageId(13),
                requested_sop_class_uid: uid(COMMITMENT),
                requested_sop_instance_uid: uid(COMMITMENT_INSTANCE),
                action_type_id: 1,
                action_information: DataSetType::Present,
            }),
        ),
        (
            "00000000040000006c0000000000020014000000312e322e3834302e31303030382e312e32302e3100000001020000003081\
             00002001020000000d0000000008020000000101000000090200000013020000001016000000312e322e3834302e31303030\
             382e312e32302e312e3100000810020000000100",
            Command::NActionRsp(NActionRsp {
                message_id: MessageId(13),
                affected_sop_class_uid: Some(uid(COMMITMENT)),
                affected_sop_instance_uid: Some(uid(COMMITMENT_INSTANCE)),
                action_type_id: Some(1),
                status: Status::RESOURCE_LIMITATION,
                action_reply: DataSetType::Null,
                error_comment: None,
            }),
        ),
    ]
}

/// N-CREATE-RQ, made in the same way.
const N_CREATE_RQ: &str = "00000000040000004e0000000000020018000000312e322e3834302e31303030382e332e312e322e332e3300000000010200\
             0000400100001001020000000c00000000080200000001000000001008000000322e3939392e3100";

#[test]
fn commands_of_another_implementation_are_read() {
    for (hex, command) in made_by_pynetdicom() {
        assert_eq!(Command::decode(&bytes(hex)), Ok(command));
    }
}

#[test]
fn our_bytes_are_those_of_another_implementation() {
    for (hex, command) in made_by_pynetdicom() {
        assert_eq!(command.encode(), bytes(hex), "{command:?}");
    }
}

#[test]
fn a_service_not_known_here_is_well_formed_and_can_be_refused() {
    let command = Command::decode(&bytes(N_CREATE_RQ)).unwrap();
    let Command::Unknown(unknown) = &command else { panic!("{command:?}") };
    assert_eq!((unknown.command_field, unknown.message_id), (0x0140, Some(MessageId(12))));
    assert_eq!(command.data_set_type(), DataSetType::Present);

    let refusal = Command::refusal(0x0140, MessageId(12), Status::UNRECOGNIZED_OPERATION);
    let Command::Unknown(read) = Command::decode(&refusal.encode()).unwrap() else { panic!() };
    assert_eq!((read.command_field, read.message_id), (0x8140, Some(MessageId(12))));
    assert_eq!(read.status, Some(Status::UNRECOGNIZED_OPERATION));
}

#[test]
fn a_refusal_of_a_known_service_is_read_as_its_response() {
    let refusal = Command::refusal(CStoreRq::COMMAND_FIELD, MessageId(3), Status::MISTYPED_ARGUMENT);
    let Command::CStoreRsp(read) = Command::decode(&refusal.encode()).unwrap() else { panic!() };
    assert_eq!((read.message_id, read.status), (MessageId(3), Status::MISTYPED_ARGUMENT));
}

/// Command Field (0000,0100).
fn command_field(command: &[u8]) -> u16 {
    let head = [0, 0, 0, 1, 2, 0, 0, 0];
    let at = command.windows(8).position(|window| window == head).unwrap() + 8;
    u16::from_le_bytes([command[at], command[at + 1]])
}

/// The command set without one of its elements.
fn without(command: &[u8], tag: Tag) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut rest = command;
    while !rest.is_empty() {
        let length = 8 + usize::from(rest[4]) + 256 * usize::from(rest[5]);
        if rest[2..4] != tag.element().to_le_bytes() {
            kept.extend_from_slice(&rest[..length]);
        }
        rest = &rest[length..];
    }
    kept
}

#[test]
fn a_missing_argument_is_named_with_the_message_it_is_missing_from() {
    let mut missing = 0;
    for (hex, command) in made_by_pynetdicom() {
        let whole = bytes(hex);
        for element in [
            element::AFFECTED_SOP_CLASS_UID,
            element::MESSAGE_ID,
            element::MESSAGE_ID_BEING_RESPONDED_TO,
            element::MOVE_DESTINATION,
            element::PRIORITY,
            element::STATUS,
            element::AFFECTED_SOP_INSTANCE_UID,
            element::REQUESTED_SOP_CLASS_UID,
            element::REQUESTED_SOP_INSTANCE_UID,
            element::ACTION_TYPE_ID,
            element::EVENT_TYPE_ID,
        ] {
            let cut = without(&whole, element);
            if cut.len() == whole.len() {
                continue;
            }
            match Command::decode(&cut) {
                Ok(read) => assert!(u16::from_le_bytes([whole[28], whole[29]]) != 0 && read != command),
                Err(CommandError::MistypedArgument { element: named, message_id, data_set_type, .. }) => {
                    missing += 1;
                    assert_eq!(named, element);
                    let is_message_id =
                        [element::MESSAGE_ID, element::MESSAGE_ID_BEING_RESPONDED_TO].contains(&named);
                    assert_eq!(message_id.is_none(), is_message_id);
                    assert_eq!(data_set_type, command.data_set_type());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(missing, 47);
}

#[test]
fn an_argument_that_comes_twice_is_mistyped() {
    let (hex, _) = &made_by_pynetdicom()[2];
    let mut twice = bytes(hex);
    twice.extend_from_slice(b"\0\0\x00\x10\x06\0\0\x001.2.3\0");
    let error = Command::decode(&twice).unwrap_err();
    assert_eq!(
        error,
        CommandError::MistypedArgument {
            command_field: 0x0001,
            message_id: Some(MessageId(7)),
            element: element::AFFECTED_SOP_INSTANCE_UID,
            fault: ArgumentFault::Repeated,
            data_set_type: DataSetType::Present,
        }
    );
}

/// The final response of Orthanc 1.10.1 when an instance could not be sent.
#[test]
fn elements_of_a_data_set_behind_the_command_are_passed_over() {
    let (hex, command) = &made_by_pynetdicom()[0];
    let mut longer = bytes(hex);
    longer.extend_from_slice(b"\x08\0\0\0\x04\0\0\0\x16\0\0\0\x08\0\x58\0\x0E\0\0\x002.999.1.1.1.52");
    assert_eq!(Command::decode(&longer).as_ref(), Ok(command));
}

#[test]
fn a_sop_instance_uid_that_is_no_uid_is_an_invalid_sop_instance_and_one_that_lacks_is_mistyped() {
    let (hex, _) = &made_by_pynetdicom()[2];
    let lacking = without(&bytes(hex), element::AFFECTED_SOP_INSTANCE_UID);
    for (element, status) in [
        (&b"\0\0\x00\x10\x08\0\0\0../../.x"[..], Status::INVALID_SOP_INSTANCE),
        (b"", Status::MISTYPED_ARGUMENT),
        (b"\0\0\x00\x10\0\0\0\0", Status::MISTYPED_ARGUMENT),
        (b"\0\0\x00\x10\x02\0\0\0\0\0", Status::MISTYPED_ARGUMENT),
    ] {
        let hostile = [&lacking, element].concat();
        let error = Command::decode(&hostile).unwrap_err();
        assert_eq!(error.status(), Some(status), "{element:?}");
    }
    assert_eq!(CommandError::Malformed("").status(), None);
}

#[test]
fn a_data_set_where_there_is_none_and_none_where_there_must_be_is_mistyped() {
    for (hex, command) in made_by_pynetdicom() {
        let may_have_either = [0x8020, 0x8010, 0x8021, 0x0100, 0x8100, 0x0130, 0x8130];
        if may_have_either.contains(&command_field(&bytes(hex))) {
            continue;
        }
        let mut other = without(&bytes(hex), element::COMMAND_DATA_SET_TYPE);
        let (code, expected) = match command.data_set_type() {
            DataSetType::Null => (0x0000_u16, DataSetType::Present),
            DataSetType::Present => (0x0101, DataSetType::Null),
        };
        other.extend_from_slice(b"\0\0\x00\x08\x02\0\0\0");
        other.extend_from_slice(&code.to_le_bytes());
        match Command::decode(&other) {
            Err(CommandError::MistypedArgument { element, data_set_type, .. }) => {
                assert_eq!((element, data_set_type), (element::COMMAND_DATA_SET_TYPE, expected));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_request_that_does_not_say_whether_a_data_set_follows_is_mistyped() {
    let requests = made_by_pynetdicom().into_iter().filter(|(hex, _)| {
        let field = command_field(&bytes(hex));
        field < 0x8000 && field != CCancelRq::COMMAND_FIELD
    });
    let mut seen = 0;
    for (hex, command) in requests {
        let lacking = without(&bytes(hex), element::COMMAND_DATA_SET_TYPE);
        for unusable in [&b""[..], b"\0\0\x00\x08\0\0\0\0", b"\0\0\x00\x08\x04\0\0\0\x01\x01\0\0"] {
            let error = Command::decode(&[&lacking, unusable].concat()).unwrap_err();
            assert_eq!(error.status(), Some(Status::MISTYPED_ARGUMENT), "{command:?}");
            let CommandError::MistypedArgument { element, data_set_type, .. } = error else { panic!() };
            assert_eq!((element, data_set_type), (element::COMMAND_DATA_SET_TYPE, command.data_set_type()));
        }
        seen += 1;
    }
    assert!(seen >= 7, "{seen} kinds of requests");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Command::decode(&bytes);
    }

    #[test]
    fn a_damaged_command_never_panics_and_what_is_read_can_be_written(
        which in 0_usize..18,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        end in any::<prop::sample::Index>(),
    ) {
        let mut damaged = bytes(made_by_pynetdicom()[which].0);
        let at = at.index(damaged.len());
        damaged[at] = byte;
        for damaged in [&damaged[..], &damaged[..end.index(damaged.len())]] {
            if let Ok(command) = Command::decode(damaged) {
                let written = command.encode();
                prop_assert_eq!(Command::decode(&written).map(|again| again.encode()), Ok(written));
            }
        }
    }
}
