//! What the archive accepts in negotiation: PS3.8 9.3, PS3.7 D.3.3.
//!
//! Query/retrieve in a transfer syntax that we can read, plain ones first. Storage in whatever the requestor puts
//! first, for an instance is kept byte for byte; but where the requestor is to receive (C-GET), in one that most
//! of what is stored can be sent in.

use std::collections::HashSet;

use bytes::Bytes;
use dicomet_net::transcode;
use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::{Negotiated, Support};
use dicomet_proto::dataset::dictionary::{storage_sop_classes, uids};
use dicomet_proto::pdu::{
    AssociateRq, AsyncOperationsWindow, ContextResultReason, ExtendedNegotiation, RoleSelection,
};
use dicomet_proto::query::{ExtendedMatching, Model, Operation};

use super::composite;
use crate::Settings;
use crate::nodes::{Operation as Allowed, Operations};
use crate::settings::SopClasses;

/// The arc of the standard's own UIDs, PS3.5 9.
const DICOM_ARC: &str = "1.2.840.10008.";

/// The arc below which nearly all storage SOP classes lie; one that is newer than our dictionary does, too.
const STORAGE_ARC: &str = "1.2.840.10008.5.1.4.1.1.";

/// What lies below that arc and is not stored: Inventory - FIND, MOVE and GET, Inventory Creation, Repository Query, and the
/// well-known instance of Storage Management.
const OTHER_SERVICES: [Uid; 6] = [
    Uid::from_static("1.2.840.10008.5.1.4.1.1.201.2"),
    Uid::from_static("1.2.840.10008.5.1.4.1.1.201.3"),
    Uid::from_static("1.2.840.10008.5.1.4.1.1.201.4"),
    Uid::from_static("1.2.840.10008.5.1.4.1.1.201.5"),
    Uid::from_static("1.2.840.10008.5.1.4.1.1.201.6"),
    Uid::from_static("1.2.840.10008.5.1.4.1.1.201.1.1"),
];

/// Transfer syntaxes of identifiers, the best first. Deflated and big endian are taken only when nothing else is
/// offered: some requestors offer them and cannot read them well.
static IDENTIFIER_SYNTAXES: [Uid; 4] = [
    uids::EXPLICIT_VR_LITTLE_ENDIAN,
    uids::IMPLICIT_VR_LITTLE_ENDIAN,
    uids::EXPLICIT_VR_BIG_ENDIAN,
    uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
];

/// SOP classes of videos: what no other transfer syntax than a video's can be made of.
const VIDEO_CLASSES: [Uid; 3] = [
    Uid::from_static("1.2.840.10008.5.1.4.1.1.77.1.1.1"),
    Uid::from_static("1.2.840.10008.5.1.4.1.1.77.1.2.1"),
    Uid::from_static("1.2.840.10008.5.1.4.1.1.77.1.4.1"),
];

/// The services of the archive, as an acceptor.
pub(super) struct ArchiveSupport {
    sop_classes: SopClasses,
    max_window: u16,
    allow: Operations,
    /// SOP classes of which the requestor proposes to be SCP: it is going to retrieve.
    received: HashSet<Uid>,
}

/// The service that an abstract syntax asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Verification,
    Find,
    Get,
    Move,
    /// By C-GET or by C-MOVE.
    Composite(Allowed),
    Worklist,
    Commitment,
    Storage,
}

impl ArchiveSupport {
    /// What is supported for a requestor that may do this.
    pub(super) fn new(settings: &Settings, allow: Operations) -> ArchiveSupport {
        ArchiveSupport {
            sop_classes: settings.sop_classes,
            max_window: settings.max_window.max(1),
            allow,
            received: HashSet::new(),
        }
    }

    /// With what a requestor proposes besides its presentation contexts.
    pub(super) fn for_request(
        settings: &Settings,
        allow: Operations,
        request: &AssociateRq,
    ) -> ArchiveSupport {
        let roles = request.user_information.role_selections.iter();
        let received = roles.filter(|role| role.scp).map(|role| role.sop_class_uid.clone()).collect();
        ArchiveSupport { received, ..ArchiveSupport::new(settings, allow) }
    }

    /// Whether a context for the service is of use to a requestor with its rights.
    fn is_allowed(&self, service: Service) -> bool {
        let allow = self.allow;
        match service {
            Service::Verification => allow.contains(Allowed::Echo),
            Service::Find => allow.contains(Allowed::Find),
            Service::Get => allow.contains(Allowed::Get),
            Service::Move => allow.contains(Allowed::Move),
            Service::Composite(operation) => allow.contains(operation),
            Service::Worklist => allow.contains(Allowed::Worklist),
            Service::Commitment => allow.contains(Allowed::Store),
            // Instances of a C-GET come back on these contexts.
            Service::Storage => allow.contains(Allowed::Store) || allow.contains(Allowed::Get),
        }
    }

    fn service(&self, abstract_syntax: &Uid) -> Option<Service> {
        if *abstract_syntax == uids::VERIFICATION {
            return Some(Service::Verification);
        }
        if *abstract_syntax == uids::STORAGE_COMMITMENT_PUSH_MODEL {
            return Some(Service::Commitment);
        }
        if let Some(operation) = composite::operation(abstract_syntax) {
            return Some(Service::Composite(operation));
        }
        match Model::of_sop_class(abstract_syntax) {
            Some((Model::Worklist, _)) => return Some(Service::Worklist),
            Some((_, Operation::Find)) => return Some(Service::Find),
            Some((_, Operation::Get)) => return Some(Service::Get),
            Some((_, Operation::Move)) => return Some(Service::Move),
            None => {}
        }
        self.is_storage(abstract_syntax).then_some(Service::Storage)
    }

    /// Whether instances of a SOP class are stored: those of PS3.6 always; by setting private ones, and those of the
    /// standard that are newer than our PS3.6.
    fn is_storage(&self, sop_class: &Uid) -> bool {
        let uid = sop_class.as_str();
        let is_private = !uid.starts_with(DICOM_ARC);
        let is_newer = uid.starts_with(STORAGE_ARC) && !OTHER_SERVICES.contains(sop_class);
        storage_sop_classes().contains(sop_class)
            || (self.sop_classes == SopClasses::Any && (is_private || is_newer))
    }
}

impl Support for ArchiveSupport {
    fn transfer_syntax(&self, abstract_syntax: &Uid, proposed: &[Uid]) -> Result<Uid, ContextResultReason> {
        let chosen = match self.service(abstract_syntax) {
            None => return Err(ContextResultReason::AbstractSyntaxNotSupported),
            Some(service) if !self.is_allowed(service) => return Err(ContextResultReason::UserRejection),
            Some(Service::Storage) if self.received.contains(abstract_syntax) => {
                to_receive_in(abstract_syntax, proposed)
            }
            Some(Service::Storage | Service::Verification) => proposed.first(),
            Some(
                Service::Find
                | Service::Get
                | Service::Move
                | Service::Composite(_)
                | Service::Worklist
                | Service::Commitment,
            ) => IDENTIFIER_SYNTAXES.iter().find(|syntax| proposed.contains(syntax)),
        };
        chosen.cloned().ok_or(ContextResultReason::TransferSyntaxesNotSupported)
    }

    fn roles(&self, asked: &RoleSelection) -> RoleSelection {
        // The requestor may be SCU of all that we provide, and SCP of storage, which a C-GET needs.
        let is_storage = self.service(&asked.sop_class_uid) == Some(Service::Storage);
        let scp = asked.scp && is_storage && self.allow.contains(Allowed::Get);
        let scu = asked.scu && (!is_storage || self.allow.contains(Allowed::Store));
        RoleSelection { sop_class_uid: asked.sop_class_uid.clone(), scu, scp }
    }

    fn extended_negotiation(&self, asked: &ExtendedNegotiation) -> Option<ExtendedNegotiation> {
        let service = self.service(&asked.sop_class_uid)?;
        // PS3.4 C.5.1.1 and C.5.3.1: byte 1 is relational queries or retrieval, which the index answers as any
        // other. Of the bytes after it those of matching are granted, of a worklist the first three (K.5); timezones
        // are not adjusted, images not converted.
        let is_granted = |index: usize| match service {
            Service::Find => index == 0 || ExtendedMatching::is_known(index),
            Service::Worklist => index <= ExtendedMatching::FUZZY_NAMES,
            _ => index == 0,
        };
        if !matches!(service, Service::Find | Service::Get | Service::Move | Service::Worklist) {
            return None;
        }
        let asked_bytes = asked.information.iter().enumerate();
        let information: Vec<u8> =
            asked_bytes.map(|(index, byte)| u8::from(*byte == 1 && is_granted(index))).collect();
        Some(ExtendedNegotiation {
            sop_class_uid: asked.sop_class_uid.clone(),
            information: Bytes::from(information),
        })
    }

    fn async_operations_window(&self, asked: AsyncOperationsWindow) -> AsyncOperationsWindow {
        let bound = |asked| if asked == 0 { self.max_window } else { self.max_window.min(asked) };
        AsyncOperationsWindow { invoked: bound(asked.invoked), performed: bound(asked.performed) }
    }
}

/// The transfer syntax of a context to retrieve over. Of several in one context only one can be taken, before it is
/// known what will be asked for: an uncompressed one, which nearly everything can be converted to. The first one
/// would be Implicit VR with pynetdicom, which costs private elements their VR, and JPEG with `getscu +xy`, in
/// which nothing can be sent that is stored uncompressed.
fn to_receive_in<'a>(sop_class: &Uid, proposed: &'a [Uid]) -> Option<&'a Uid> {
    let uncompressed = || {
        let written = proposed.iter().filter(|syntax| IDENTIFIER_SYNTAXES.contains(syntax));
        written.min_by_key(|syntax| transcode::rank(syntax))
    };
    let compressed = || proposed.iter().find(|syntax| !IDENTIFIER_SYNTAXES.contains(syntax));
    if VIDEO_CLASSES.contains(sop_class) {
        compressed().or_else(uncompressed)
    } else {
        uncompressed().or_else(compressed)
    }
}

/// Whether relational queries were granted for an information model.
pub(super) fn is_relational(negotiated: &Negotiated, sop_class: &Uid) -> bool {
    granted(negotiated, sop_class).and_then(<[u8]>::first) == Some(&1)
}

/// What was granted about matching for an information model.
pub(super) fn extended_matching(negotiated: &Negotiated, sop_class: &Uid) -> ExtendedMatching {
    ExtendedMatching::of_information(granted(negotiated, sop_class).unwrap_or_default())
}

fn granted<'a>(negotiated: &'a Negotiated, sop_class: &Uid) -> Option<&'a [u8]> {
    let all = &negotiated.extended_negotiations;
    all.iter().find(|granted| granted.sop_class_uid == *sop_class).map(|granted| granted.information.as_ref())
}

#[cfg(test)]
mod tests {
    use dicomet_proto::AeTitle;

    use super::*;

    fn support() -> ArchiveSupport {
        support_for(Operations::ALL)
    }

    fn support_for(allow: Operations) -> ArchiveSupport {
        ArchiveSupport::new(&Settings::new(AeTitle::new("TEST").unwrap()), allow)
    }

    fn uid(text: &str) -> Uid {
        Uid::new(text).unwrap()
    }

    #[test]
    fn query_retrieve_never_takes_a_private_syntax_and_deflated_only_alone() {
        let implicit = uids::IMPLICIT_VR_LITTLE_ENDIAN;
        let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
        let deflated = uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
        let private = uid("1.3.6.1.4.1.5962.300.2");
        let chosen = |proposed: &[&Uid]| {
            let proposed: Vec<Uid> = proposed.iter().map(|uid| (*uid).clone()).collect();
            support().transfer_syntax(&uids::STUDY_ROOT_GET, &proposed)
        };
        assert_eq!(chosen(&[&private, &deflated, &implicit, &explicit]), Ok(explicit));
        assert_eq!(chosen(&[&deflated, &implicit]), Ok(implicit));
        assert_eq!(chosen(&[&deflated]), Ok(deflated));
        assert_eq!(chosen(&[&private]), Err(ContextResultReason::TransferSyntaxesNotSupported));
    }

    #[test]
    fn storage_is_taken_in_what_the_requestor_puts_first() {
        let proposed = [uid("1.2.840.10008.1.2.4.90"), uids::EXPLICIT_VR_LITTLE_ENDIAN];
        for class in [uids::CT_IMAGE_STORAGE, uid("1.3.12.2.1107.5.9.1"), uid("1.2.840.10008.5.1.4.1.1.9999")]
        {
            assert_eq!(support().transfer_syntax(&class, &proposed), Ok(proposed[0].clone()));
        }
    }

    #[test]
    fn storage_is_received_uncompressed_where_there_is_a_choice_but_for_videos() {
        let (jpeg, mpeg) = (uid("1.2.840.10008.1.2.4.50"), uid("1.2.840.10008.1.2.4.102"));
        let (implicit, explicit) = (uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN);
        let video = uid("1.2.840.10008.5.1.4.1.1.77.1.4.1");
        let mut receiving = support();
        receiving.received = HashSet::from([uids::CT_IMAGE_STORAGE, video.clone()]);
        let chosen = |class: &Uid, proposed: &[&Uid]| {
            let proposed: Vec<Uid> = proposed.iter().map(|uid| (*uid).clone()).collect();
            receiving.transfer_syntax(class, &proposed)
        };
        let ct = uids::CT_IMAGE_STORAGE;
        assert_eq!(chosen(&ct, &[&jpeg, &implicit, &explicit]), Ok(explicit.clone()));
        assert_eq!(chosen(&ct, &[&jpeg, &implicit]), Ok(implicit.clone()));
        assert_eq!(chosen(&ct, &[&jpeg, &mpeg]), Ok(jpeg.clone()));
        assert_eq!(chosen(&video, &[&implicit, &mpeg]), Ok(mpeg.clone()));
        // What is not received is stored, in what comes first.
        assert_eq!(chosen(&uids::MR_IMAGE_STORAGE, &[&implicit, &explicit]), Ok(implicit.clone()));
    }

    #[test]
    fn services_that_are_not_offered_are_refused_and_private_classes_by_setting() {
        let proposed = [uids::EXPLICIT_VR_LITTLE_ENDIAN];
        let refused = Err(ContextResultReason::AbstractSyntaxNotSupported);
        // Storage Commitment Pull Model (retired), MPPS, Print.
        for class in ["1.2.840.10008.1.20.2", "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.5.1.1.9"] {
            assert_eq!(support().transfer_syntax(&uid(class), &proposed), refused, "{class}");
        }
        let mut settings = Settings::new(AeTitle::new("TEST").unwrap());
        settings.sop_classes = SopClasses::Standard;
        let strict = ArchiveSupport::new(&settings, Operations::ALL);
        for unknown in ["1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.9999"] {
            assert_eq!(strict.transfer_syntax(&uid(unknown), &proposed), refused, "{unknown}");
            assert!(support().transfer_syntax(&uid(unknown), &proposed).is_ok(), "{unknown}");
        }
        assert!(strict.transfer_syntax(&uids::CT_IMAGE_STORAGE, &proposed).is_ok());
        // Inventory Storage is one of its kind, its neighbours are not.
        let inventory = |number| uid(&format!("1.2.840.10008.5.1.4.1.1.201.{number}"));
        for support in [support(), strict] {
            assert!(support.transfer_syntax(&inventory(1), &proposed).is_ok());
            for number in 2..=6 {
                assert_eq!(support.transfer_syntax(&inventory(number), &proposed), refused, "{number}");
            }
        }
    }

    #[test]
    fn find_get_and_move_are_taken_in_each_model() {
        for class in (1..=3).flat_map(|model| (1..=3).map(move |service| format!("{model}.{service}"))) {
            let class = uid(&format!("1.2.840.10008.5.1.4.1.2.{class}"));
            let chosen = support().transfer_syntax(&class, &[uids::IMPLICIT_VR_LITTLE_ENDIAN]);
            assert_eq!(chosen, Ok(uids::IMPLICIT_VR_LITTLE_ENDIAN), "{class}");
        }
    }

    #[test]
    fn the_scp_role_is_granted_for_storage_alone() {
        let roles =
            |class: Uid| support().roles(&RoleSelection { sop_class_uid: class, scu: true, scp: true });
        assert!(roles(uids::CT_IMAGE_STORAGE).scp);
        assert!(roles(uids::CT_IMAGE_STORAGE).scu);
        assert!(!roles(uids::STUDY_ROOT_GET).scp);
        let commitment = roles(uids::STORAGE_COMMITMENT_PUSH_MODEL);
        assert!(commitment.scu && !commitment.scp);
    }

    #[test]
    fn contexts_of_what_is_not_allowed_are_refused_and_storage_stays_for_c_get() {
        let implicit = [uids::IMPLICIT_VR_LITTLE_ENDIAN];
        let reads = support_for([Allowed::Find, Allowed::Get].into_iter().collect());
        let refused = Err(ContextResultReason::UserRejection);
        assert_eq!(reads.transfer_syntax(&uids::STUDY_ROOT_MOVE, &implicit), refused);
        assert_eq!(reads.transfer_syntax(&uids::VERIFICATION, &implicit), refused);
        assert!(reads.transfer_syntax(&uids::STUDY_ROOT_FIND, &implicit).is_ok());
        assert!(reads.transfer_syntax(&uids::CT_IMAGE_STORAGE, &implicit).is_ok());
        let both = RoleSelection { sop_class_uid: uids::CT_IMAGE_STORAGE, scu: true, scp: true };
        let granted = reads.roles(&both);
        assert_eq!((granted.scu, granted.scp), (false, true));
        let commitment = uids::STORAGE_COMMITMENT_PUSH_MODEL;
        assert_eq!(reads.transfer_syntax(&commitment, &implicit), refused);
        let writes = support_for([Allowed::Store].into_iter().collect());
        assert!(writes.transfer_syntax(&commitment, &implicit).is_ok());
        let granted = writes.roles(&both);
        assert_eq!((granted.scu, granted.scp), (true, false));
    }

    #[test]
    fn an_unlimited_window_becomes_ours() {
        let window = |invoked, performed| {
            support().async_operations_window(AsyncOperationsWindow { invoked, performed })
        };
        assert_eq!(window(0, 65_535), AsyncOperationsWindow { invoked: 1024, performed: 1024 });
        assert_eq!(window(1, 16), AsyncOperationsWindow { invoked: 1, performed: 16 });
    }

    #[test]
    fn what_the_index_can_do_is_granted_and_nothing_else() {
        let granted = |class: Uid, asked: &'static [u8]| {
            let information = Bytes::from_static(asked);
            let asked = ExtendedNegotiation { sop_class_uid: class, information };
            support().extended_negotiation(&asked).map(|granted| granted.information.to_vec())
        };
        assert_eq!(granted(uids::STUDY_ROOT_FIND, &[1; 8]), Some(vec![1, 1, 1, 0, 0, 1, 1, 0]));
        assert_eq!(granted(uids::STUDY_ROOT_FIND, &[0, 1, 2]), Some(vec![0, 1, 0]));
        assert_eq!(granted(uids::STUDY_ROOT_GET, &[1, 1]), Some(vec![1, 0]));
        assert_eq!(granted(uids::MODALITY_WORKLIST_FIND, &[1; 8]), Some(vec![1, 1, 1, 0, 0, 0, 0, 0]));
        assert_eq!(granted(uids::CT_IMAGE_STORAGE, &[1, 1, 1]), None);
    }
}
