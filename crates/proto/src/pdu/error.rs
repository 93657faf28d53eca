//! What is wrong with a PDU: the item, and the rule that it breaks.
//!
//! Both are named by constants of ours; nothing that the peer sent is ever quoted.

use super::AbortReason;

/// A PDU that cannot be read: Evt19 of PS3.8 Table 9-10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.what())]
pub struct DecodeError {
    /// The PDU, item or sub-item.
    pub item: Item,
    /// The rule that it breaks.
    pub rule: Rule,
}

/// The rule that an item breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It ends before its last field, or is empty where it must not be.
    TooShort,
    /// It is longer than it may be, or than its fields.
    TooLong,
    /// Its length reaches beyond the PDU or item that contains it.
    BeyondParent,
    /// Bytes follow its last item that are too few for another.
    Trailing,
    /// It is not there, but must be.
    Missing,
    /// It is there twice, but may be only once.
    Repeated,
    /// There are more of them than there are numbers for them.
    TooMany,
}

impl DecodeError {
    /// The reason to give in A-ABORT (PS3.8 Table 9-26).
    pub const fn abort_reason(self) -> AbortReason {
        match self.rule {
            Rule::Repeated => AbortReason::UnexpectedPduParameter,
            _ => AbortReason::InvalidPduParameterValue,
        }
    }
}

/// Declares [`Item`] with the standard's name of each, and the sentence for each item and rule: constants, so
/// that an event can carry them.
macro_rules! items {
    ($($item:ident $name:literal,)*) => {
        /// A PDU, item or sub-item, by the standard's name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Item {
            $(#[doc = $name] $item,)*
        }

        impl DecodeError {
            /// What the peer did, as the end of a sentence that begins with "it".
            pub const fn what(self) -> &'static str {
                match self.item {
                    $(Item::$item => match self.rule {
                        Rule::TooShort => concat!("sent ", $name, " that ends before its last field"),
                        Rule::TooLong => concat!("sent ", $name, " that is longer than allowed"),
                        Rule::BeyondParent => {
                            concat!("sent ", $name, " that reaches beyond what contains it")
                        }
                        Rule::Trailing => concat!("sent ", $name, " with bytes after its last item"),
                        Rule::Missing => concat!("left out ", $name),
                        Rule::Repeated => concat!("sent ", $name, " twice"),
                        Rule::TooMany => concat!("sent ", $name, " more often than possible"),
                    },)*
                }
            }
        }
    };
}

items! {
    AssociateRq "an A-ASSOCIATE-RQ PDU",
    AssociateAc "an A-ASSOCIATE-AC PDU",
    AssociateRj "an A-ASSOCIATE-RJ PDU",
    DataTf "a P-DATA-TF PDU",
    ReleaseRq "an A-RELEASE-RQ PDU",
    ReleaseRp "an A-RELEASE-RP PDU",
    Abort "an A-ABORT PDU",
    PresentationDataValue "a presentation data value item",
    ApplicationContext "an application context item",
    PresentationContext "a presentation context item",
    AbstractSyntax "an abstract syntax sub-item",
    TransferSyntax "a transfer syntax sub-item",
    UserInformation "a user information item",
    MaximumLength "a maximum length sub-item",
    ImplementationClassUid "an implementation class UID sub-item",
    AsyncOperationsWindow "an asynchronous operations window sub-item",
    RoleSelection "an SCP/SCU role selection sub-item",
    ImplementationVersionName "an implementation version name sub-item",
    ExtendedNegotiation "a SOP class extended negotiation sub-item",
    CommonExtendedNegotiation "a SOP class common extended negotiation sub-item",
    UserIdentityRequest "a user identity request sub-item",
    UserIdentityResponse "a user identity response sub-item",
    Unknown "an item of unknown type",
}
