//! Messages cut and put together, well and badly.

use proptest::prelude::*;

use super::*;
use crate::pdu::{DataTf, Header, PduType};

fn id(id: u8) -> ContextId {
    ContextId::new(id).unwrap()
}

fn fragment(context_id: u8, kind: FragmentKind, position: Position, data: &'static [u8]) -> Fragment {
    Fragment { context_id: id(context_id), kind, position, data: Bytes::from_static(data) }
}

fn command(context_id: u8, position: Position, data: &'static [u8]) -> Fragment {
    fragment(context_id, FragmentKind::Command, position, data)
}

fn data(context_id: u8, position: Position, data: &'static [u8]) -> Fragment {
    fragment(context_id, FragmentKind::DataSet, position, data)
}

use Position::{Last, More};

/// An assembler that has given out a command on context 1, with a data set to follow.
fn expecting_data() -> Assembler {
    let mut assembler = Assembler::new();
    assembler.push(command(1, Last, b"C-STORE-RQ")).unwrap();
    assembler.command_read(DataSetType::Present);
    assembler
}

#[test]
fn a_command_in_one_fragment_is_not_copied() {
    let whole = command(1, Last, b"command");
    let Ok(Some(Assembled::Command { context_id, bytes })) = Assembler::new().push(whole.clone()) else {
        panic!()
    };
    assert_eq!((context_id, &bytes[..]), (id(1), &b"command"[..]));
    assert_eq!(bytes.as_ptr(), whole.data.as_ptr());
}

#[test]
fn a_command_in_pieces_is_put_together_and_its_data_set_is_passed_on_as_it_comes() {
    let mut assembler = Assembler::new();
    assert_eq!(assembler.push(command(3, More, b"com")), Ok(None));
    assert_eq!(assembler.push(command(3, More, b"")), Ok(None));
    let bytes = Bytes::from_static(b"command");
    assert_eq!(
        assembler.push(command(3, Last, b"mand")),
        Ok(Some(Assembled::Command { context_id: id(3), bytes }))
    );
    assembler.command_read(DataSetType::Present);
    assert!(assembler.expects_data());
    for (piece, position) in [(&b"a"[..], More), (b"", More), (b"bc", Last)] {
        let expected = Assembled::Data { data: Bytes::from_static(piece), position };
        assert_eq!(assembler.push(data(3, position, piece)), Ok(Some(expected)));
    }
    assert!(!assembler.expects_data());
    assert!(matches!(assembler.push(command(5, Last, b"next")), Ok(Some(Assembled::Command { .. }))));
}

#[test]
fn two_whole_messages_after_one_another_are_let_through() {
    let mut assembler = Assembler::new();
    for context_id in [1, 3] {
        assert!(matches!(assembler.push(command(context_id, Last, b"C-ECHO")), Ok(Some(_))));
        assembler.command_read(DataSetType::Null);
    }
}

#[test]
fn data_on_another_context_than_its_command_is_refused() {
    let refused = expecting_data().push(data(3, Last, b"a"));
    assert_eq!(refused, Err(FragmentError::OtherContext));
    assert_eq!(FragmentError::OtherContext.abort_reason(), AbortReason::UnexpectedPduParameter);
}

#[test]
fn interleaved_messages_are_refused() {
    assert_eq!(expecting_data().push(command(1, Last, b"b")), Err(FragmentError::UnexpectedCommand));
    assert_eq!(expecting_data().push(command(3, Last, b"b")), Err(FragmentError::UnexpectedCommand));
    let mut assembler = Assembler::new();
    assembler.push(command(1, More, b"a")).unwrap();
    assert_eq!(assembler.push(data(1, Last, b"b")), Err(FragmentError::UnexpectedData));
    let mut assembler = Assembler::new();
    assembler.push(command(1, More, b"a")).unwrap();
    assert_eq!(assembler.push(command(3, Last, b"b")), Err(FragmentError::OtherContext));
}

#[test]
fn data_without_a_command_that_announced_it_is_refused() {
    assert_eq!(Assembler::new().push(data(1, Last, b"a")), Err(FragmentError::UnexpectedData));
    let mut assembler = Assembler::new();
    assembler.push(command(1, Last, b"C-ECHO")).unwrap();
    assert_eq!(assembler.push(data(1, Last, b"a")), Err(FragmentError::UnexpectedData), "nobody said so");
    let mut assembler = Assembler::new();
    assembler.push(command(1, Last, b"C-ECHO")).unwrap();
    assembler.command_read(DataSetType::Null);
    assert_eq!(assembler.push(data(1, Last, b"a")), Err(FragmentError::UnexpectedData));
    let mut assembler = expecting_data();
    assembler.push(data(1, Last, b"a")).unwrap();
    assert_eq!(assembler.push(data(1, Last, b"a")), Err(FragmentError::UnexpectedData), "it has ended");
}

#[test]
fn a_command_set_is_held_up_to_its_limit_and_no_further() {
    let piece = |length| Fragment {
        context_id: id(1),
        kind: FragmentKind::Command,
        position: More,
        data: vec![0; length].into(),
    };
    let mut assembler = Assembler::new();
    assembler.push(piece(command_set::MAX_LENGTH)).unwrap();
    assert_eq!(assembler.push(piece(1)), Err(FragmentError::CommandTooLong));
    let at_once = Fragment { position: Last, ..piece(command_set::MAX_LENGTH + 1) };
    assert_eq!(Assembler::new().push(at_once), Err(FragmentError::CommandTooLong));
    assert_eq!(FragmentError::CommandTooLong.abort_reason(), AbortReason::InvalidPduParameterValue);
}

#[test]
fn a_length_is_cut_into_full_fragments_and_a_last_one() {
    let cuts = |length| cut(length, 10).collect::<Vec<_>>();
    assert_eq!(cuts(0), [(0, Last)]);
    assert_eq!(cuts(10), [(10, Last)]);
    assert_eq!(cuts(11), [(10, More), (1, Last)]);
    assert_eq!(cuts(30), [(10, More), (10, More), (10, Last)]);
    assert_eq!(cut(5 << 32, 1 << 18).count(), 5 << 14, "longer than 4 GiB");
    assert_eq!(cut(3, 0).count(), 3, "no endless loop");
}

#[test]
fn the_twelve_bytes_are_pdu_header_and_item_header() {
    assert_eq!(
        header(id(5), FragmentKind::Command, Last, 0x0102),
        [4, 0, 0, 0, 0x01, 0x08, 0, 0, 0x01, 0x04, 5, 3]
    );
    assert_eq!(header(id(5), FragmentKind::DataSet, More, 2), [4, 0, 0, 0, 0, 8, 0, 0, 0, 4, 5, 0]);
}

/// The values of the P-DATA-TFs in `bytes`, one list a PDU; none is longer than `max_pdu_length`.
fn pdus(mut bytes: &[u8], max_pdu_length: usize) -> Vec<Vec<Fragment>> {
    let mut pdus = Vec::new();
    while let Some(header) = Header::peek(bytes) {
        assert_eq!(header.pdu_type, Some(PduType::DataTf));
        let length = header.length as usize;
        assert!(length <= max_pdu_length);
        let content = Bytes::copy_from_slice(&bytes[HEADER_LENGTH..HEADER_LENGTH + length]);
        let values = DataTf::decode(content).unwrap().map(|value| Fragment {
            context_id: id(value.context_id),
            kind: value.kind,
            position: value.position,
            data: value.data,
        });
        pdus.push(values.collect());
        bytes = &bytes[HEADER_LENGTH + length..];
    }
    assert!(bytes.is_empty());
    pdus
}

#[test]
fn command_and_data_set_share_a_pdu_exactly_when_both_fit() {
    // Maximum length 32: two item headers leave 20 bytes.
    for (length, expected) in [(9, 1), (10, 1), (11, 2)] {
        let mut output = BytesMut::new();
        write_message(&mut output, id(1), &[1; 10], Some(&vec![2; length]), 26);
        assert_eq!(pdus(&output, 32).len(), expected, "{length}");
    }
    let mut output = BytesMut::new();
    write_message(&mut output, id(1), &[1; 10], None, 26);
    assert_eq!(pdus(&output, 32).concat().len(), 1);
    assert_eq!(packed_headers(id(1), usize::MAX, 1, usize::MAX), None);
}

proptest! {
    #[test]
    fn what_is_written_is_put_together_again(
        context in 0_usize..128,
        command in prop::collection::vec(any::<u8>(), 0..200),
        data_set in prop::option::of(prop::collection::vec(any::<u8>(), 0..500)),
        max_fragment_length in 1_usize..300,
    ) {
        let context_id = ContextId::of_index(context).unwrap();
        let mut output = BytesMut::new();
        write_message(&mut output, context_id, &command, data_set.as_deref(), max_fragment_length);
        let mut assembler = Assembler::new();
        let (mut commands, mut data, mut ends) = (Vec::new(), Vec::new(), 0);
        for fragment in pdus(&output, max_fragment_length + VALUE_HEADER_LENGTH).concat() {
            prop_assert_eq!(fragment.context_id, context_id);
            match assembler.push(fragment).unwrap() {
                Some(Assembled::Command { bytes, .. }) => {
                    commands.push(bytes.to_vec());
                    assembler.command_read(match data_set {
                        Some(_) => DataSetType::Present,
                        None => DataSetType::Null,
                    });
                }
                Some(Assembled::Data { data: piece, position }) => {
                    data.extend_from_slice(&piece);
                    ends += usize::from(position == Last);
                }
                None => {}
            }
        }
        prop_assert_eq!(commands, [command]);
        prop_assert_eq!(ends, usize::from(data_set.is_some()));
        prop_assert_eq!(data, data_set.unwrap_or_default());
    }

    #[test]
    fn no_order_of_fragments_makes_it_panic_or_mixes_contexts(
        order in prop::collection::vec((0_u8..3, any::<bool>(), any::<bool>(), any::<bool>()), 0..30),
    ) {
        let mut assembler = Assembler::new();
        let mut message = None;
        for (context, is_command, is_last, has_data) in order {
            let kind = if is_command { FragmentKind::Command } else { FragmentKind::DataSet };
            let position = if is_last { Last } else { More };
            match assembler.push(fragment(2 * context + 1, kind, position, b"ab")) {
                Ok(Some(Assembled::Command { context_id, .. })) => {
                    message = has_data.then_some(context_id);
                    assembler.command_read(if has_data { DataSetType::Present } else { DataSetType::Null });
                }
                Ok(Some(Assembled::Data { .. })) => {
                    prop_assert_eq!(message, Some(id(2 * context + 1)));
                    if is_last {
                        message = None;
                    }
                }
                Ok(None) => prop_assert!(is_command && !is_last),
                Err(_) => break,
            }
        }
    }
}
