//! Connections for readers: each is used by one thread at a time and kept for the next.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::schema::open_for_reading;
use crate::{Error, Settings, Stop};

/// Connections that are kept while nobody uses them. More readers than this open their own.
const MAX_IDLE: usize = 8;

/// Steps of the index between two looks for a stop: some hundred microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

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

    /// The database.
    pub(crate) fn path(&self) -> &Path {
        &self.path
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

    /// Lends a connection as [`Readers::with`]. Statements end with [`Error::Stopped`] once there is a stop.
    pub(crate) fn until<T>(
        &self,
        stop: &Stop,
        read: impl FnOnce(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        stop.check()?;
        let asked = stop.clone();
        self.with(move |index| {
            index.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || asked.is_stopped()))?;
            let outcome = read(index);
            index.progress_handler(0, None::<fn() -> bool>)?;
            outcome
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::index::schema::open_for_writing;

    #[test]
    fn a_stop_ends_a_statement_that_would_never_end_and_the_connection_serves_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.sqlite");
        drop(open_for_writing(&path, &Settings::default()).unwrap());
        let readers = Readers::new(path, &Settings::default());
        let (stop, (begun, has_begun)) = (Stop::default(), mpsc::channel());
        let outcome = std::thread::scope(|scope| {
            let searching = scope.spawn(|| {
                readers.until(&stop, |index| {
                    begun.send(()).unwrap();
                    let endless = "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number)
                         SELECT COUNT(*) FROM number";
                    Ok(index.query_row(endless, [], |row| row.get::<_, i64>(0))?)
                })
            });
            has_begun.recv().unwrap();
            stop.stop();
            searching.join().unwrap()
        });
        assert!(matches!(outcome, Err(Error::Stopped)), "{outcome:?}");
        assert!(matches!(readers.until(&stop, |_| Ok(())), Err(Error::Stopped)));
        let idle = readers.with(|index| Ok(index.query_row("SELECT 1", [], |row| row.get::<_, i64>(0))?));
        assert_eq!(idle.unwrap(), 1);
        assert_eq!(readers.idle.lock().unwrap().len(), 1);
    }
}
