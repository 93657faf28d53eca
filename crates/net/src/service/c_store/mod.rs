//! C-STORE, as SCU and as SCP.

pub(crate) mod outstanding;
pub mod scp;
pub mod scu;
mod width;

use dicomet_proto::Uid;
use dicomet_proto::message::CStoreRsp;

pub use outstanding::WINDOW;

/// What a response speaks of, where that is not what was sent. PS3.7 9.1.1.1: it may leave the SOP class and instance out;
/// what is there is that of the request.
pub(crate) fn other_than_asked<'r>(
    response: &'r CStoreRsp,
    sop_class: &Uid,
    sop_instance: &Uid,
) -> Option<&'r Uid> {
    let class = response.affected_sop_class_uid.as_ref().filter(|class| *class != sop_class);
    let instance = response.affected_sop_instance_uid.as_ref();
    instance.filter(|instance| *instance != sop_instance).or(class)
}
