//! What a repair sets aside: files under `quarantine/`, and a line of JSON for each thing that was done.
//!
//! Nothing is deleted here, ever; whoever has read `quarantine/findings.jsonl` may.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::Finding;
use crate::blob::sync_folder;
use crate::folder::Layout;

/// Moves a file into the quarantine, durably; answers its name below the archive's folder.
pub(super) fn set_aside(layout: &Layout, file: &Path) -> io::Result<PathBuf> {
    let target = free_name(layout, file)?;
    fs::rename(file, &target)?;
    sync_folder(&layout.quarantine)?;
    if let Some(folder) = file.parent() {
        sync_folder(folder)?;
    }
    Ok(below(layout, &target))
}

/// Gives a file that is to be replaced a name in the quarantine as well, durably; answers that below the archive's folder.
pub(super) fn keep(layout: &Layout, file: &Path) -> io::Result<PathBuf> {
    let target = free_name(layout, file)?;
    // Not every file system has a second name for a file.
    if fs::hard_link(file, &target).is_err() {
        fs::copy(file, &target)?;
        File::open(&target)?.sync_all()?;
    }
    sync_folder(&layout.quarantine)?;
    Ok(below(layout, &target))
}

fn free_name(layout: &Layout, file: &Path) -> io::Result<PathBuf> {
    make(layout)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut target = layout.quarantine.join(&name);
    for again in 1_u32.. {
        // Not 'exists': it would overwrite a link that leads nowhere.
        if fs::symlink_metadata(&target).is_err() {
            break;
        }
        target = layout.quarantine.join(format!("{name}.{again}"));
    }
    Ok(target)
}

fn below(layout: &Layout, target: &Path) -> PathBuf {
    target.strip_prefix(&layout.root).unwrap_or(target).to_owned()
}

/// Notes what was found and done. UIDs and file names, nothing of a patient.
pub(super) fn note(layout: &Layout, finding: &Finding, done: &str) -> io::Result<()> {
    make(layout)?;
    let instance = finding.instance.as_ref();
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let line = json!({
        "at": at,
        "damage": finding.damage.as_str(),
        "study_instance_uid": instance.map(|named| named.study.as_str()),
        "series_instance_uid": instance.map(|named| named.series.as_str()),
        "sop_instance_uid": instance.map(|named| named.sop_instance.as_str()),
        "file": finding.file.to_string_lossy(),
        "detail": finding.detail,
        "done": done,
    });
    let mut file =
        OpenOptions::new().append(true).create(true).open(layout.quarantine.join("findings.jsonl"))?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_data()
}

fn make(layout: &Layout) -> io::Result<()> {
    if !layout.quarantine.is_dir() {
        fs::create_dir_all(&layout.quarantine)?;
        sync_folder(&layout.root)?;
    }
    Ok(())
}
