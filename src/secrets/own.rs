//! Secrets that the scripts of one deployment created.

use serde_json::{Map as JsonMap, Value as Json};
use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
};

/// The secrets of one deployment, in a file that only its owner can read.
#[derive(Default)]
pub struct OwnSecrets {
    /// The file; none without a deployment.
    path: Option<PathBuf>,
    values: BTreeMap<String, String>,
}

/// Omits the values.
impl std::fmt::Debug for OwnSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.values.keys().collect();
        f.debug_struct("OwnSecrets")
            .field("names", &names)
            .finish_non_exhaustive()
    }
}

impl OwnSecrets {
    /// Reads the secrets from a file, if it exists.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn read(path: PathBuf) -> Result<Self, String> {
        let cannot =
            |what: &dyn std::fmt::Display| format!("cannot read {}: {what}", path.display());
        let json = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => "{}".to_owned(),
            read => read.map_err(|error| cannot(&error))?,
        };
        let values = serde_json::from_str(&json).map_err(|error| cannot(&error))?;
        Ok(Self {
            path: Some(path),
            values,
        })
    }

    /// Returns the text of a secret.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    /// Returns the names, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.values.keys().cloned().collect()
    }

    /// Returns the texts.
    pub fn values(&self) -> impl Iterator<Item = &String> {
        self.values.values()
    }

    /// Stores a secret.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        self.values.insert(name.to_owned(), text.to_owned());
        self.save()
    }

    /// Deletes a secret. Returns false if there is none with this name.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn delete(&mut self, name: &str) -> Result<bool, String> {
        let is_known = self.values.remove(name).is_some();
        self.save().map(|()| is_known)
    }

    fn save(&self) -> Result<(), String> {
        let Some(path) = &self.path else {
            return Err("there is no deployment that secrets could belong to".to_owned());
        };
        let json: JsonMap<String, Json> = self
            .values
            .iter()
            .map(|(name, text)| (name.clone(), text.as_str().into()))
            .collect();
        let saved = write(path, Json::from(json).to_string().as_bytes());
        saved.map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}

/// Replaces a file that only its owner can read.
fn write(path: &std::path::Path, text: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(std::path::Path::new("."));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    // Temporary files have the mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn secrets_survive_in_a_private_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets/d.json");
        let mut own = OwnSecrets::read(path.clone()).unwrap();
        own.set("token", "swordfish").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let mut again = OwnSecrets::read(path).unwrap();
        assert_eq!(again.get("token").as_deref(), Some("swordfish"));
        assert!(!format!("{again:?}").contains("swordfish"));
        assert_eq!(again.delete("token"), Ok(true));
        assert_eq!(again.delete("token"), Ok(false));
        assert!(OwnSecrets::default().set("a", "b").is_err());
    }
}
