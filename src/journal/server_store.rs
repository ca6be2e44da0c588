//! The database of a server: intent and outcome of its requests, and labels that it keeps for
//! containers, because engines cannot change labels.

use super::{JournalError, database, rows, rows::RowError};
use crate::event::now;
use rusqlite::{Connection, Params};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    path::{Path, PathBuf},
};

/// Statements that migrate a database from each older format to the next.
const MIGRATIONS: [&str; 2] = [
    "CREATE TABLE request (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, intent TEXT NOT NULL, ended INTEGER, outcome TEXT) STRICT;
     CREATE TABLE label (container TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (container, key)) STRICT;",
    "CREATE TABLE pending (name TEXT PRIMARY KEY, at INTEGER NOT NULL, request TEXT NOT NULL) STRICT;",
];
/// Requests with an outcome that are kept.
const KEPT: i64 = 1000;

/// Labels of containers, by ID of the container.
pub type Overlay = HashMap<String, BTreeMap<String, String>>;

/// What a request is about to do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Intent {
    /// Creates and starts a container, whose label has the ID of the request.
    Provision {
        /// Name of the container.
        name: String,
        /// Address of the engine.
        engine: String,
        /// A script runs in the container: without its outcome, the container cannot be used.
        has_init: bool,
    },
    /// Removes a container.
    Destroy {
        /// ID of the container.
        container: String,
        /// Address of the engine.
        engine: String,
    },
}

/// How a request ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestOutcome {
    /// It succeeded, with this container.
    Done(String),
    /// It failed for this reason, and left no container.
    Failed(String),
}

/// The open database of a server, with its lock.
pub struct ServerStore {
    connection: Connection,
    path: PathBuf,
    /// Held while this file is open.
    _lock: File,
}

impl ServerStore {
    pub(super) fn open(path: &Path, lock: File) -> Result<Self, JournalError> {
        Ok(Self {
            connection: database::open(path, &MIGRATIONS)?,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Stores what a request is about to do. It is on disk when this returns.
    ///
    /// # Errors
    ///
    /// If it cannot be stored.
    pub fn begin(&self, id: &str, intent: &Intent) -> Result<(), JournalError> {
        let intent = self.json(intent)?;
        let insert = "INSERT INTO request (id, at, intent) VALUES (?1, ?2, ?3)";
        self.execute(insert, (id, time(), intent))
    }

    /// Stores how a request ended.
    ///
    /// # Errors
    ///
    /// If it cannot be stored.
    pub fn finish(&self, id: &str, outcome: &RequestOutcome) -> Result<(), JournalError> {
        let outcome = self.json(outcome)?;
        let update = "UPDATE request SET ended = ?2, outcome = ?3 WHERE id = ?1";
        self.execute(update, (id, time(), outcome))
    }

    /// Forgets the oldest requests that have ended.
    ///
    /// # Errors
    ///
    /// If the database cannot be written.
    pub fn prune(&self) -> Result<(), JournalError> {
        let delete = "DELETE FROM request WHERE outcome IS NOT NULL AND seq <= (SELECT max(seq) FROM request) - ?1";
        self.execute(delete, [KEPT])
    }

    /// Returns the requests without an outcome, oldest first, with their IDs.
    ///
    /// # Errors
    ///
    /// If a row cannot be read.
    pub fn unfinished(&self) -> Result<Vec<(String, Intent)>, JournalError> {
        let query = "SELECT seq, id, intent FROM request WHERE outcome IS NULL ORDER BY seq";
        let rows = self.connection.prepare(query).and_then(|mut query| {
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            let rows = query.query_map([], row)?;
            rows.collect::<rusqlite::Result<Vec<(i64, String, String)>>>()
        });
        let rows = rows.map_err(|error| self.sqlite(error))?;
        rows.into_iter()
            .map(|(row, id, intent)| Ok((id, self.read(row, &intent)?)))
            .collect()
    }

    /// Returns the labels of all containers.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub fn overlay(&self) -> Result<Overlay, JournalError> {
        let query = "SELECT container, key, value FROM label";
        let rows = self.connection.prepare(query).and_then(|mut query| {
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, String, String)>>>()
        });
        let mut overlay = Overlay::new();
        for (container, key, value) in rows.map_err(|error| self.sqlite(error))? {
            overlay.entry(container).or_default().insert(key, value);
        }
        Ok(overlay)
    }

    /// Sets labels of a container: all of them, or none.
    ///
    /// # Errors
    ///
    /// If they cannot be stored.
    pub fn set_labels(
        &self,
        container: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), JournalError> {
        let insert = "INSERT OR REPLACE INTO label (container, key, value) SELECT ?1, key, value FROM json_each(?2)";
        self.execute(insert, (container, self.json(labels)?))
    }

    /// Forgets the labels of a container.
    ///
    /// # Errors
    ///
    /// If the database cannot be written.
    pub fn forget(&self, container: &str) -> Result<(), JournalError> {
        self.execute("DELETE FROM label WHERE container = ?1", [container])
    }

    /// Stores the request about a name that is carried out next, in place of an earlier one.
    ///
    /// # Errors
    ///
    /// If it cannot be stored.
    pub fn set_pending(&self, name: &str, request: &impl Serialize) -> Result<(), JournalError> {
        let insert = "INSERT OR REPLACE INTO pending (name, at, request) VALUES (?1, ?2, ?3)";
        self.execute(insert, (name, time(), self.json(request)?))
    }

    /// Forgets the request about a name.
    ///
    /// # Errors
    ///
    /// If the database cannot be written.
    pub fn clear_pending(&self, name: &str) -> Result<(), JournalError> {
        self.execute("DELETE FROM pending WHERE name = ?1", [name])
    }

    /// Returns the requests that are not carried out yet, by name.
    ///
    /// # Errors
    ///
    /// If a row cannot be read.
    pub fn pending<T: DeserializeOwned + Serialize>(
        &self,
    ) -> Result<Vec<(String, T)>, JournalError> {
        let query = "SELECT name, request FROM pending ORDER BY at";
        let rows = self.connection.prepare(query).and_then(|mut query| {
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, String)>>>()
        });
        let rows = rows.map_err(|error| self.sqlite(error))?;
        let read = |(name, request): (String, String)| Ok((name, self.read(0, &request)?));
        rows.into_iter().map(read).collect()
    }

    fn execute(&self, statement: &str, values: impl Params) -> Result<(), JournalError> {
        let done = self.connection.prepare_cached(statement);
        done.and_then(|mut statement| statement.execute(values))
            .map(drop)
            .map_err(|error| self.sqlite(error))
    }

    fn json(&self, value: &impl Serialize) -> Result<String, JournalError> {
        serde_json::to_string(value).map_err(|source| JournalError::Row {
            path: self.path.clone(),
            row: 0,
            source,
        })
    }

    fn read<T: DeserializeOwned + Serialize>(
        &self,
        row: i64,
        text: &str,
    ) -> Result<T, JournalError> {
        let path = self.path.clone();
        rows::read(text, true).map_err(|error| match error {
            RowError::Damaged(source) => JournalError::Row { path, row, source },
            RowError::Unknown(what) => JournalError::Unknown {
                path,
                row,
                what,
                version: None,
            },
        })
    }

    fn sqlite(&self, source: rusqlite::Error) -> JournalError {
        JournalError::Sqlite {
            path: self.path.clone(),
            source,
        }
    }
}

fn time() -> i64 {
    i64::try_from(now()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::{Holder, StateDir};
    use super::*;

    fn open(directory: &Path) -> Result<ServerStore, JournalError> {
        let state = StateDir::new(directory.to_owned());
        state.server("docker", &Holder::this_process("test", ""))
    }

    fn provision(name: &str) -> Intent {
        Intent::Provision {
            name: name.to_owned(),
            engine: "unix:///e".to_owned(),
            has_init: true,
        }
    }

    #[test]
    fn requests_without_an_outcome_survive_and_the_oldest_others_are_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).unwrap();
        store.begin("a", &provision("one")).unwrap();
        for n in 0..1005 {
            let id = format!("r{n}");
            store.begin(&id, &provision("x")).unwrap();
            store
                .finish(&id, &RequestOutcome::Done("c".to_owned()))
                .unwrap();
        }
        store.prune().unwrap();
        drop(store);
        let store = open(directory.path()).unwrap();
        assert_eq!(
            store.unfinished().unwrap(),
            [("a".to_owned(), provision("one"))]
        );
        let count = "SELECT count(*) FROM request";
        let count: i64 = store
            .connection
            .query_row(count, [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, 1001);
    }

    #[test]
    fn labels_are_kept_by_container() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).unwrap();
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        store
            .set_labels("c1", &labels(&[("a", "1"), ("b", "'x'")]))
            .unwrap();
        store.set_labels("c1", &labels(&[("a", "2")])).unwrap();
        store.set_labels("c2", &labels(&[("a", "3")])).unwrap();
        store.forget("c2").unwrap();
        drop(store);
        let overlay = open(directory.path()).unwrap().overlay().unwrap();
        assert_eq!(
            overlay,
            HashMap::from([("c1".to_owned(), labels(&[("a", "2"), ("b", "'x'")]))])
        );
    }

    #[test]
    fn last_request_about_a_name_is_kept_until_it_is_cleared() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).unwrap();
        for (name, request) in [("a", "1"), ("b", "2"), ("a", "3")] {
            store.set_pending(name, &request).unwrap();
        }
        store.clear_pending("b").unwrap();
        drop(store);
        let store = open(directory.path()).unwrap();
        let pending: Vec<(String, String)> = store.pending().unwrap();
        assert_eq!(pending, [("a".to_owned(), "3".to_owned())]);
    }

    #[test]
    fn second_server_and_newer_format_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).unwrap();
        assert!(matches!(
            open(directory.path()).err(),
            Some(JournalError::Locked { .. })
        ));
        store
            .connection
            .execute_batch("PRAGMA user_version=99")
            .unwrap();
        drop(store);
        let refused = open(directory.path()).err();
        assert!(matches!(
            refused,
            Some(JournalError::Format {
                found: 99,
                newest: 2,
                ..
            })
        ));
    }

    #[test]
    fn intent_that_this_version_does_not_know_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).unwrap();
        let newer = r#"{"action":"destroy","container":"c","engine":"e","gently":true}"#;
        let insert = "INSERT INTO request (id, at, intent) VALUES ('a', 1, ?1)";
        store.execute(insert, [newer]).unwrap();
        assert!(matches!(
            store.unfinished().err(),
            Some(JournalError::Unknown { .. })
        ));
    }
}
