//! What the archive accepts in negotiation: PS3.8 9.3, PS3.7 D.3.3.
//!
//! Query/retrieve in a transfer syntax that we can read, plain ones first; storage in whatever is proposed, for an
//! instance is kept byte for byte. A requestor that takes the storage SCP role will be sent instances: of several
//! transfer syntaxes in one context, the one that most of its class are stored in fits best.

use bytes::Bytes;
use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::{Negotiated, Support};
use dicomet_proto::dataset::dictionary::{storage_sop_classes, uids};
use dicomet_proto::pdu::{
    AssociateRq, AsyncOperationsWindow, ContextResultReason, ExtendedNegotiation, RoleSelection,
};

use crate::Server;
use crate::settings::SopClasses;

/// Patient/Study Only (retired), FIND and GET.
const PATIENT_STUDY_ONLY_FIND: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.2.3.1");
const PATIENT_STUDY_ONLY_GET: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.2.3.3");

/// The arc of the standard's own UIDs, PS3.5 9.
const DICOM_ARC: &str = "1.2.840.10008.";

/// The arc below which nearly all storage SOP classes lie; one that is newer than our dictionary does, too.
const STORAGE_ARC: &str = "1.2.840.10008.5.1.4.1.1.";

/// Transfer syntaxes of identifiers, the best first. Deflated and big endian are taken only when nothing else is
/// offered: some requestors offer them and cannot read them well.
const IDENTIFIER_SYNTAXES: [Uid; 4] = [
    uids::EXPLICIT_VR_LITTLE_ENDIAN,
    uids::IMPLICIT_VR_LITTLE_ENDIAN,
    uids::EXPLICIT_VR_BIG_ENDIAN,
    uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
];

/// The services of the archive, as an acceptor.
pub(super) struct ArchiveSupport {
    sop_classes: SopClasses,
    max_window: u16,
}

/// The service that an abstract syntax asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Verification,
    Find,
    Retrieve,
    Storage,
}

impl ArchiveSupport {
    pub(super) fn new(server: &Server, request: &AssociateRq) -> ArchiveSupport {
        let _ = request;
        ArchiveSupport {
            sop_classes: server.settings.sop_classes,
            max_window: server.settings.max_window.max(1),
        }
    }

    fn service(&self, abstract_syntax: &Uid) -> Option<Service> {
        if *abstract_syntax == uids::VERIFICATION {
            return Some(Service::Verification);
        }
        let finds = [&uids::STUDY_ROOT_FIND, &uids::PATIENT_ROOT_FIND, &PATIENT_STUDY_ONLY_FIND];
        if finds.contains(&abstract_syntax) {
            return Some(Service::Find);
        }
        let retrieves = [&uids::STUDY_ROOT_GET, &uids::PATIENT_ROOT_GET, &PATIENT_STUDY_ONLY_GET];
        if retrieves.contains(&abstract_syntax) {
            return Some(Service::Retrieve);
        }
        let uid = abstract_syntax.as_str();
        let standard = uid.starts_with(STORAGE_ARC) || storage_sop_classes().contains(abstract_syntax);
        let private = !uid.starts_with(DICOM_ARC);
        (standard || (private && self.sop_classes == SopClasses::Any)).then_some(Service::Storage)
    }
}

impl Support for ArchiveSupport {
    fn transfer_syntax(&self, abstract_syntax: &Uid, proposed: &[Uid]) -> Result<Uid, ContextResultReason> {
        let chosen = match self.service(abstract_syntax) {
            None => return Err(ContextResultReason::AbstractSyntaxNotSupported),
            Some(Service::Storage | Service::Verification) => proposed.first(),
            Some(Service::Find | Service::Retrieve) => {
                IDENTIFIER_SYNTAXES.iter().find(|syntax| proposed.contains(syntax))
            }
        };
        chosen.cloned().ok_or(ContextResultReason::TransferSyntaxesNotSupported)
    }

    fn roles(&self, asked: &RoleSelection) -> RoleSelection {
        // The requestor may be SCU of all that we provide, and SCP of storage, which a C-GET needs.
        let scp = asked.scp && self.service(&asked.sop_class_uid) == Some(Service::Storage);
        RoleSelection { sop_class_uid: asked.sop_class_uid.clone(), scu: asked.scu, scp }
    }

    fn extended_negotiation(&self, asked: &ExtendedNegotiation) -> Option<ExtendedNegotiation> {
        let service = self.service(&asked.sop_class_uid)?;
        if !matches!(service, Service::Find | Service::Retrieve) {
            return None;
        }
        // PS3.4 C.5.1.1 and C.5.3.1: byte 1 is relational queries or retrieval, which the index answers as any
        // other. Nothing else that may be asked for in the bytes after it is granted.
        let mut information = vec![0; asked.information.len()];
        if let (Some(granted), Some(1)) = (information.first_mut(), asked.information.first()) {
            *granted = 1;
        }
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

/// Whether relational queries were granted for an information model.
pub(super) fn is_relational(negotiated: &Negotiated, sop_class: &Uid) -> bool {
    negotiated
        .extended_negotiations
        .iter()
        .any(|granted| granted.sop_class_uid == *sop_class && granted.information.first() == Some(&1))
}
