//! A disk that is full, for tests: so many bytes below a folder, and no more until there is room again.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

static LEFT: LazyLock<Mutex<HashMap<PathBuf, usize>>> = LazyLock::new(Mutex::default);

/// From now on there is room for so many bytes below this folder; `None` for any number.
pub(in crate::retrieve) fn limit(folder: &Path, bytes: Option<usize>) {
    let mut left = LEFT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    match bytes {
        Some(bytes) => _ = left.insert(folder.to_owned(), bytes),
        None => _ = left.remove(folder),
    }
}

/// Takes room for what is written to a file.
pub(super) fn take(path: &Path, bytes: usize) -> io::Result<()> {
    let mut left = LEFT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for (_, left) in left.iter_mut().filter(|(folder, _)| path.starts_with(folder)) {
        *left = left.checked_sub(bytes).ok_or(io::ErrorKind::StorageFull)?;
    }
    Ok(())
}
