//! What is known of the instances, in SQLite: the narrow interface behind which another database could stand.
//!
//! [`record`] is what is known of one instance; [`writer`] takes records, [`commit`] commits many at once, by the
//! statements of [`write`], [`remove`], [`replace`] and [`restate`], within a [`quota`]; [`stated`] are the columns that
//! write and restate have in common; [`read`] has connections for readers; [`condition`] turns a query into SQL, of which
//! [`term`] lets the most selective key lead.

pub(crate) mod attributes;
pub(crate) mod commit;
pub(crate) mod condition;
pub(crate) mod fuzzy;
pub(crate) mod header;
mod name_parts;
pub(crate) mod normalise;
mod person_name;
pub(crate) mod quota;
pub(crate) mod read;
pub(crate) mod record;
pub(crate) mod regions;
pub(crate) mod remove;
pub(crate) mod replace;
mod restate;
pub(crate) mod schema;
pub(crate) mod settle;
mod stated;
mod term;
pub(crate) mod write;
pub(crate) mod writer;
