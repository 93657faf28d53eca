//! Wire tests: bytes, value, and back; what is tolerated; what is refused, and by which rule.

mod arbitrary;
mod dicom_ul;
mod pynetdicom;

use proptest::prelude::*;

use super::*;

/// The PDU at the front of `bytes`, which it must fill.
fn decode(bytes: &[u8]) -> Result<Pdu, DecodeError> {
    let header = Header::peek(bytes).unwrap();
    assert_eq!(header.length as usize, bytes.len() - HEADER_LENGTH);
    Pdu::decode(header.pdu_type.unwrap(), Bytes::copy_from_slice(&bytes[HEADER_LENGTH..]))
}

fn encode(pdu: &Pdu) -> Vec<u8> {
    let mut output = BytesMut::new();
    pdu.encode(&mut output);
    output.to_vec()
}

/// An item or sub-item, with a reserved byte that is not zero.
fn item(item_type: u8, content: &[u8]) -> Vec<u8> {
    let mut item = vec![item_type, 0xee];
    item.extend((content.len() as u16).to_be_bytes());
    item.extend(content);
    item
}

/// An A-ASSOCIATE-RQ or -AC of items, reserved bytes not zero.
fn associate(pdu_type: u8, items: &[Vec<u8>]) -> Vec<u8> {
    let mut content = vec![0x00, 0x01, 0xee, 0xee];
    content.extend(b"ARCHIVE         DICOMET         ");
    content.extend([0xee; 32]);
    content.extend(items.concat());
    let mut pdu = vec![pdu_type, 0xee];
    pdu.extend((content.len() as u32).to_be_bytes());
    pdu.extend(content);
    pdu
}

const APPLICATION_CONTEXT: &[u8] = b"1.2.840.10008.3.1.1.1";

fn application_context() -> Vec<u8> {
    item(0x10, APPLICATION_CONTEXT)
}

fn context(id: u8, names: &[Vec<u8>]) -> Vec<u8> {
    item(0x20, &[&[id, 0xee, 0xee, 0xee], &names.concat()[..]].concat())
}

fn verification() -> Vec<u8> {
    context(1, &[item(0x30, b"1.2.840.10008.1.1"), item(0x40, b"1.2.840.10008.1.2")])
}

fn user_information(sub_items: &[Vec<u8>]) -> Vec<u8> {
    item(0x50, &sub_items.concat())
}

fn maximum_length() -> Vec<u8> {
    item(0x51, &[0, 0, 0x40, 0])
}

fn request(items: &[Vec<u8>]) -> Result<AssociateRq, DecodeError> {
    match decode(&associate(1, items))? {
        Pdu::AssociateRq(associate_rq) => Ok(associate_rq),
        other => panic!("{other:?}"),
    }
}

fn request_with(sub_item: Vec<u8>) -> Result<UserInformation, DecodeError> {
    let items = [application_context(), verification(), user_information(&[maximum_length(), sub_item])];
    request(&items).map(|associate_rq| associate_rq.user_information)
}

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

use crate::Uid;

#[test]
fn the_short_pdus_are_bytes_and_back() {
    let cases: [(&[u8], Pdu); 8] = [
        (&[5, 0, 0, 0, 0, 4, 0, 0, 0, 0], Pdu::ReleaseRq),
        (&[6, 0, 0, 0, 0, 4, 0, 0, 0, 0], Pdu::ReleaseRp),
        (&[7, 0, 0, 0, 0, 4, 0, 0, 0, 0], Pdu::Abort(Abort { source: AbortSource::ServiceUser })),
        (
            &[7, 0, 0, 0, 0, 4, 0, 0, 2, 6],
            Pdu::Abort(Abort { source: AbortSource::ServiceProvider(AbortReason::InvalidPduParameterValue) }),
        ),
        (
            &[7, 0, 0, 0, 0, 4, 0, 0, 2, 3],
            Pdu::Abort(Abort { source: AbortSource::ServiceProvider(AbortReason::Other(3)) }),
        ),
        (
            &[3, 0, 0, 0, 0, 4, 0, 1, 1, 7],
            Pdu::AssociateRj(AssociateRj {
                result: RejectResult::Permanent,
                reason: RejectReason::CalledAeTitleNotRecognized,
            }),
        ),
        (
            &[3, 0, 0, 0, 0, 4, 0, 2, 3, 2],
            Pdu::AssociateRj(AssociateRj {
                result: RejectResult::Transient,
                reason: RejectReason::LocalLimitExceeded,
            }),
        ),
        (
            &[3, 0, 0, 0, 0, 4, 0, 9, 8, 7],
            Pdu::AssociateRj(AssociateRj {
                result: RejectResult::Other(9),
                reason: RejectReason::Other { source: 8, reason: 7 },
            }),
        ),
    ];
    for (bytes, pdu) in cases {
        assert_eq!(decode(bytes).unwrap(), pdu);
        assert_eq!(encode(&pdu), bytes);
    }
    // Reserved bytes are not tested.
    assert_eq!(decode(&[5, 9, 0, 0, 0, 4, 1, 2, 3, 4]), Ok(Pdu::ReleaseRq));
}

#[test]
fn presentation_data_values_are_bytes_and_back() {
    let bytes = [
        4, 0, 0, 0, 0, 17, // P-DATA-TF
        0, 0, 0, 6, 1, 3, 0xca, 0xfe, 0xba, 0xbe, // the last fragment of a command
        0, 0, 0, 3, 5, 0, 0xff, // a fragment of a data set, odd
    ];
    let value = |context_id, kind, position, data: &'static [u8]| PresentationDataValue {
        context_id,
        kind,
        position,
        data: Bytes::from_static(data),
    };
    let pdu = Pdu::DataTf(vec![
        value(1, FragmentKind::Command, Position::Last, b"\xca\xfe\xba\xbe"),
        value(5, FragmentKind::DataSet, Position::More, b"\xff"),
    ]);
    assert_eq!(decode(&bytes).unwrap(), pdu);
    assert_eq!(encode(&pdu), bytes);
}

#[test]
fn the_reserved_bits_of_the_message_control_header_are_not_tested() {
    let Pdu::DataTf(values) = decode(&[4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 1, 0xfe]).unwrap() else { panic!() };
    assert_eq!((values[0].kind, values[0].position), (FragmentKind::DataSet, Position::Last));
}

#[test]
fn items_stand_in_any_order_among_unknown_ones_with_reserved_bytes_set() {
    let class = b"\x00\x191.2.840.10008.5.1.4.1.1.2\x00\x01";
    let user = user_information(&[
        item(0x55, b"PEER\0\0"),
        item(0x54, class),
        item(0x99, b"whatever"),
        maximum_length(),
        item(0x52, b"1.2.3\0"),
        item(0x52, b"9.9.9"),
    ]);
    let associate_rq =
        request(&[item(0x77, b"unknown"), user, verification(), application_context()]).unwrap();
    assert_eq!(associate_rq.application_context.unwrap().as_str().as_bytes(), APPLICATION_CONTEXT);
    assert_eq!(&associate_rq.calling_ae_title, b"DICOMET         ");
    assert_eq!(&associate_rq.called_ae_title, b"ARCHIVE         ");
    let information = associate_rq.user_information;
    assert_eq!(information.maximum_length, Some(16_384));
    assert_eq!(information.implementation_class_uid, Some(uid("1.2.3")), "the first counts");
    assert_eq!(information.implementation_version_name.as_deref(), Some("PEER"));
    assert_eq!(information.unknown, [(0x99, Bytes::from_static(b"whatever"))]);
    let roles = &information.role_selections[0];
    assert_eq!(
        (roles.sop_class_uid.as_str(), roles.scu, roles.scp),
        ("1.2.840.10008.5.1.4.1.1.2", false, true)
    );
}

#[test]
fn a_name_that_is_no_uid_spoils_only_its_own_context() {
    let associate_rq = request(&[
        item(0x10, b"not a name"),
        context(1, &[item(0x30, b"x"), item(0x40, b"1.2.840.10008.1.2")]),
        context(3, &[item(0x30, b"1.2.3\0"), item(0x40, b"x"), item(0x40, b"1.2.840.10008.1.2 ")]),
        context(5, &[]),
        user_information(&[maximum_length()]),
    ])
    .unwrap();
    assert_eq!(associate_rq.application_context, None);
    let contexts = associate_rq.presentation_contexts;
    assert_eq!((contexts[0].id, &contexts[0].abstract_syntax), (1, &None));
    assert_eq!(contexts[1].abstract_syntax, Some(uid("1.2.3")));
    assert_eq!(contexts[1].transfer_syntaxes, [uid("1.2.840.10008.1.2")]);
    assert_eq!((contexts[2].id, &contexts[2].abstract_syntax), (5, &None));
}

#[test]
fn a_request_in_which_no_context_has_both_syntaxes_proposes_none() {
    let request = |contexts: &[Vec<u8>]| {
        let user = user_information(&[maximum_length()]);
        request(&[&[application_context()], contexts, &[user]].concat())
    };
    let (class, syntax) = (item(0x30, b"1.2.840.10008.1.1"), item(0x40, b"1.2.840.10008.1.2"));
    let (no_class, no_syntax) =
        (context(3, std::slice::from_ref(&syntax)), context(5, std::slice::from_ref(&class)));
    for (contexts, item) in [
        (vec![no_class.clone()], Item::AbstractSyntax),
        (vec![no_syntax.clone()], Item::TransferSyntax),
        (vec![no_syntax.clone(), no_class.clone()], Item::AbstractSyntax),
        (vec![context(1, &[item(0x30, b"x"), syntax.clone()])], Item::AbstractSyntax),
    ] {
        assert_eq!(request(&contexts), Err(DecodeError { item, rule: Rule::Missing }));
    }
    for (names, item) in [
        ([item(0x30, b""), syntax.clone()], Item::AbstractSyntax),
        ([class.clone(), item(0x40, b"")], Item::TransferSyntax),
    ] {
        let contexts = [verification(), context(7, &names)];
        assert_eq!(request(&contexts), Err(DecodeError { item, rule: Rule::TooShort }));
    }
    // UIDs that are not supported are for the negotiation.
    let unknown = context(1, &[item(0x30, b"1.2"), item(0x40, b"1.3")]);
    assert_eq!(request(&[unknown]).unwrap().presentation_contexts.len(), 1);
    assert_eq!(request(&[no_class, verification(), no_syntax]).unwrap().presentation_contexts.len(), 3);
}

#[test]
fn two_application_contexts_are_as_good_as_none() {
    let items =
        [application_context(), application_context(), verification(), user_information(&[maximum_length()])];
    assert_eq!(request(&items).unwrap().application_context, None);
}

#[test]
fn a_refused_context_needs_no_transfer_syntax() {
    let answers = [
        item(0x21, &[1, 0, 3, 0]),
        item(0x21, &[&[3, 0, 4, 0], &item(0x40, b"")[..]].concat()),
        item(0x21, &[&[5, 0, 0, 0], &item(0x40, b"1.2.840.10008.1.2")[..]].concat()),
        item(0x21, &[&[7, 0, 9, 0], &item(0x40, b"1.2")[..], &item(0x40, b"1.3")].concat()),
    ];
    let mut items = answers.to_vec();
    items.push(user_information(&[maximum_length()]));
    let Pdu::AssociateAc(associate_ac) = decode(&associate(2, &items)).unwrap() else { panic!() };
    let contexts = associate_ac.presentation_contexts;
    assert_eq!(contexts[0].result, ContextResultReason::AbstractSyntaxNotSupported);
    assert_eq!((&contexts[0].transfer_syntax, &contexts[1].transfer_syntax), (&None, &None));
    assert_eq!(contexts[2].transfer_syntax, Some(uid("1.2.840.10008.1.2")));
    assert_eq!(contexts[3].result, ContextResultReason::Other(9));
}

#[test]
fn a_peer_says_about_itself_what_it_likes_and_it_is_safe_to_print() {
    let name = |bytes| request_with(item(0x55, bytes)).unwrap().implementation_version_name;
    assert_eq!(name(b"\x1b[2J\xff").as_deref(), Some("?[2J?"));
    assert_eq!(name(b"SEVENTEEN_LETTERS").as_deref(), Some("SEVENTEEN_LETTER"));
    assert_eq!(name(b""), None);
    let information = request_with(item(0x52, b"none")).unwrap();
    assert_eq!(information.implementation_class_uid, None);
    assert_eq!(information.unknown, [(0x52, Bytes::from_static(b"none"))]);
}

#[test]
fn a_user_identity_of_unknown_type_is_read_and_never_shown() {
    let identity = request_with(item(0x58, b"\x63\x01\x00\x04user\x00\x06secret")).unwrap();
    assert!(!format!("{identity:?}").contains("secret"));
    let identity = identity.user_identity_request.unwrap();
    assert_eq!((identity.identity_type, identity.positive_response_requested), (0x63, true));
    assert_eq!((&identity.primary[..], &identity.secondary[..]), (&b"user"[..], &b"secret"[..]));
}

#[test]
fn a_length_that_lies_is_refused_by_item_and_rule() {
    let beyond = |item_type: u8, length: u16| {
        let [high, low] = length.to_be_bytes();
        vec![item_type, 0, high, low, b'1']
    };
    let user = || user_information(&[maximum_length()]);
    let cases: [(Result<AssociateRq, DecodeError>, Item, Rule); 12] = [
        (request(&[application_context(), user()]), Item::PresentationContext, Rule::Missing),
        (request(&[application_context(), verification()]), Item::UserInformation, Rule::Missing),
        (request(&[verification(), user(), user()]), Item::UserInformation, Rule::Repeated),
        (request(&[item(0x10, b""), verification(), user()]), Item::ApplicationContext, Rule::TooShort),
        (request(&[verification(), item(0x50, b"")]), Item::UserInformation, Rule::TooShort),
        (request(&[item(0x20, b"\x01\x00\x00"), user()]), Item::PresentationContext, Rule::TooShort),
        (request(&[verification(), user(), beyond(0x10, 2)]), Item::ApplicationContext, Rule::BeyondParent),
        (request(&[user(), beyond(0x20, 0xffff)]), Item::PresentationContext, Rule::BeyondParent),
        (request(&[context(1, &[beyond(0x30, 2)]), user()]), Item::AbstractSyntax, Rule::BeyondParent),
        (
            request(&[context(1, &[item(0x30, b"1.2"), beyond(0x40, 7)]), user()]),
            Item::TransferSyntax,
            Rule::BeyondParent,
        ),
        (
            request(&[context(1, &[item(0x30, b"1.2"), item(0x30, b"1.3")]), user()]),
            Item::AbstractSyntax,
            Rule::Repeated,
        ),
        (request(&[verification(), user(), vec![0x99, 0, 0]]), Item::AssociateRq, Rule::Trailing),
    ];
    for (found, item, rule) in cases {
        assert_eq!(found, Err(DecodeError { item, rule }));
    }
    let contexts: Vec<_> = (0..=255).step_by(2).chain([1]).map(|id| context(id, &[])).collect();
    assert_eq!(request(&contexts), Err(DecodeError { item: Item::PresentationContext, rule: Rule::TooMany }));
    assert_eq!(
        decode(&[1, 0, 0, 0, 0, 2, 0, 1]),
        Err(DecodeError { item: Item::AssociateRq, rule: Rule::TooShort })
    );
    for (pdu_type, item) in
        [(3, Item::AssociateRj), (5, Item::ReleaseRq), (6, Item::ReleaseRp), (7, Item::Abort)]
    {
        assert_eq!(
            decode(&[pdu_type, 0, 0, 0, 0, 3, 0, 0, 0]),
            Err(DecodeError { item, rule: Rule::TooShort })
        );
        assert_eq!(
            decode(&[pdu_type, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0]),
            Err(DecodeError { item, rule: Rule::TooLong })
        );
    }
}

#[test]
fn a_sub_item_that_is_too_short_is_refused_by_name() {
    let cases: [(u8, &[u8], Item); 12] = [
        (0x51, b"", Item::MaximumLength),
        (0x51, b"\x00\x00\x40", Item::MaximumLength),
        (0x53, b"\x00\x01\x00", Item::AsyncOperationsWindow),
        (0x54, b"", Item::RoleSelection),
        (0x54, b"\x00\x031.2\x01", Item::RoleSelection),
        (0x54, b"\x00\x091.2\x01\x01", Item::RoleSelection),
        (0x56, b"\xff\xff1.2", Item::ExtendedNegotiation),
        (0x57, b"\x00\x031.2\x00\x031.3", Item::CommonExtendedNegotiation),
        (0x57, b"\x00\x031.2\x00\x031.3\x00\x05\x00\x041.2", Item::CommonExtendedNegotiation),
        (0x58, b"\x01\x00\x00\x09user\x00\x00", Item::UserIdentityRequest),
        (0x58, b"\x01\x00\x00\x04user", Item::UserIdentityRequest),
        (0x59, b"\x00\x09ok", Item::UserIdentityResponse),
    ];
    for (item_type, content, name) in cases {
        assert_eq!(
            request_with(item(item_type, content)),
            Err(DecodeError { item: name, rule: Rule::TooShort }),
            "{item_type:02X}H"
        );
    }
}

#[test]
fn an_error_names_the_item_and_the_rule() {
    let error = request_with(item(0x51, b"")).unwrap_err();
    assert_eq!(error.to_string(), "sent a maximum length sub-item that ends before its last field");
    assert_eq!(error.abort_reason(), AbortReason::InvalidPduParameterValue);
}

#[test]
fn what_does_not_fit_into_an_item_is_left_out_whole() {
    let huge = Bytes::from(vec![b'x'; 70_000]);
    let information = UserInformation {
        maximum_length: Some(1),
        user_identity_request: Some(UserIdentityRequest {
            identity_type: 5,
            positive_response_requested: false,
            primary: huge.clone(),
            secondary: Bytes::new(),
        }),
        unknown: vec![(0x99, huge)],
        ..UserInformation::default()
    };
    let mut output = BytesMut::new();
    information.encode(&mut output);
    assert_eq!(output[..], [0x51, 0, 0, 4, 0, 0, 0, 1]);
}

proptest! {
    #[test]
    fn any_value_survives_the_wire(pdu in arbitrary::pdu()) {
        prop_assert_eq!(decode(&encode(&pdu)), Ok(pdu));
    }

    #[test]
    fn no_bytes_make_it_panic(pdu_type in 1_u8..8, content in prop::collection::vec(any::<u8>(), 0..300)) {
        let pdu_type = PduType::new(pdu_type).unwrap();
        let _ = Pdu::decode(pdu_type, content.into());
    }

    /// One or two bytes of a good PDU changed: what is read is written and read again as the same.
    #[test]
    fn a_damaged_pdu_is_refused_or_has_one_meaning(
        pdu in arbitrary::pdu(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
    ) {
        let mut bytes = encode(&pdu);
        for (place, value) in damage {
            let place = place.index(bytes.len());
            if place >= HEADER_LENGTH {
                bytes[place] = value;
            }
        }
        if let Ok(damaged) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&damaged)), Ok(damaged));
        }
    }
}
