//! Connections for readers: each is used by one thread at a time and kept for the next.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::schema::open_for_reading;
use crate::{Error, Settings};

/// Connections that are kept while nobody uses them. More readers than this open their own.
const MAX_IDLE: usize = 8;

#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    settings: Settings,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, settings: &Settings) -> Readers {
        Readers { path, settings: settings.clone(), idle: Mutex::new(Vec::new()) }
    }

    /// Lends a connection. What is read within one call should be little: a reader that stays holds back the
    /// checkpoints of the writer.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_for_reading(&self.path, &self.settings)?,
        };
        let outcome = read(&connection);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
        outcome
    }
}
