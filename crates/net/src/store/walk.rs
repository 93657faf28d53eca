//! The files below the paths that a user names, folder by folder in the order of their names.
//!
//! A symbolic link that is named is meant, and followed; one that is found in a folder may lead anywhere, and is
//! not. So a walk has no loops, and it never opens anything but folders.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

/// What a walk comes by.
#[derive(Debug)]
pub enum Step {
    /// A regular file, or whatever else that is no folder was named.
    File(Place),
    /// Something in a folder that is neither file nor folder.
    Other {
        /// Where.
        path: PathBuf,
        /// What it is, in words.
        what: &'static str,
    },
    /// A path, or a folder, that cannot be looked into.
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A path, and whether the user named it or a folder has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub path: PathBuf,
    /// Whether the user named it.
    pub is_named: bool,
}

/// A walk through files and folders. Holds in memory the names in the folders that it is in the middle of.
#[derive(Debug)]
pub struct Walk {
    ahead: VecDeque<Place>,
}

impl Walk {
    /// Begins with the paths that the user named.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Walk {
        Walk { ahead: paths.into_iter().map(|path| Place { path, is_named: true }).collect() }
    }

    fn enter(&mut self, folder: &Path) -> io::Result<()> {
        let mut paths =
            std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        for path in paths.into_iter().rev() {
            self.ahead.push_front(Place { path, is_named: false });
        }
        Ok(())
    }
}

impl Iterator for Walk {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            let place = self.ahead.pop_front()?;
            let metadata = match place.is_named {
                true => std::fs::metadata(&place.path),
                false => std::fs::symlink_metadata(&place.path),
            };
            let kind = match metadata {
                Ok(metadata) => metadata.file_type(),
                Err(error) => return Some(Step::Unreadable { path: place.path, error }),
            };
            if kind.is_dir() {
                if let Err(error) = self.enter(&place.path) {
                    return Some(Step::Unreadable { path: place.path, error });
                }
            } else if kind.is_file() || place.is_named {
                return Some(Step::File(place));
            } else {
                let what =
                    if kind.is_symlink() { "a symbolic link is not followed" } else { "not a regular file" };
                return Some(Step::Other { path: place.path, what });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn files(walk: Walk) -> Vec<String> {
        walk.map(|step| match step {
            Step::File(place) => place.path.file_name().unwrap().to_string_lossy().into_owned(),
            Step::Other { what, .. } => what.to_owned(),
            Step::Unreadable { error, .. } => format!("{:?}", error.kind()),
        })
        .collect()
    }

    #[test]
    fn folders_are_walked_in_the_order_of_their_names_and_links_in_them_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("b/c")).unwrap();
        for name in ["d", "b/2", "b/c/1", "a"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        symlink(folder.path(), folder.path().join("b/loop")).unwrap();
        let walked = files(Walk::new([folder.path().to_owned()]));
        assert_eq!(walked, ["a", "2", "1", "a symbolic link is not followed", "d"]);
    }

    #[test]
    fn a_link_that_is_named_is_followed_and_a_name_without_a_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("one"), "").unwrap();
        symlink(elsewhere.path(), folder.path().join("link")).unwrap();
        let walked = files(Walk::new([folder.path().join("link"), folder.path().join("nothing")]));
        assert_eq!(walked, ["one", "NotFound"]);
    }
}
