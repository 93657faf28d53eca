//! Anatomic Regions in Study Code Sequence (0008,0063), an optional key of the STUDY level (PS3.4 C.6.2.1.2): no
//! header has it, it is gathered from the Anatomic Region Sequence (0008,2218) of the instances of a study.
//!
//! It costs a look at the stored headers of the study, and only those pay who ask for it.

use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::query::Attribute;
use rusqlite::{Connection, Result};

use super::attributes::tags::{ANATOMIC_REGION, ANATOMIC_REGIONS_IN_STUDY};
use super::header::Read;

const CODE: [Tag; 2] = [Tag(0x0008, 0x0100), Tag(0x0008, 0x0102)];

/// Puts the regions of a study into a header; each once, in the order of arrival.
pub(crate) fn gather(index: &Connection, study: i64, into: &mut DataSet) -> Result<()> {
    let mut statement = index.prepare_cached(
        "SELECT series_header.common
         FROM series JOIN series_header ON series_header.series = series.id
         WHERE series.study = ?1
         UNION ALL
         SELECT instance_header.difference
         FROM series
             JOIN instance ON instance.series = series.id
             JOIN instance_header ON instance_header.instance = instance.id
         WHERE series.study = ?1",
    )?;
    let wanted = [Attribute { tag: ANATOMIC_REGION, creator: None }];
    let mut rows = statement.query([study])?;
    let mut regions: Vec<DataSet> = Vec::new();
    while let Some(row) = rows.next()? {
        let mut found = Read::default();
        found.add(row.get_ref(0)?.as_blob().unwrap_or_default(), &wanted);
        for region in found.data_set.items(ANATOMIC_REGION).unwrap_or_default() {
            if !regions.iter().any(|known| is_same_code(known, &region)) {
                regions.push(region);
            }
        }
    }
    if !regions.is_empty() {
        into.set_items(ANATOMIC_REGIONS_IN_STUDY, regions);
    }
    Ok(())
}

fn is_same_code(one: &DataSet, other: &DataSet) -> bool {
    CODE.iter().all(|tag| one.text(*tag) == other.text(*tag))
}
