//! Secrets: reading them, and keeping them out of all stored and displayed data.
//!
//! `get_secret` searches in this order: the environment (`DOCKCTL_SECRET_<NAME>`), then each path
//! given with `--secrets`, then the secrets that scripts of the deployment created. A path is a YAML or JSON file of names and values, or a directory with
//! one file per secret, as mounted by Docker and Kubernetes. Each secret that was read is redacted
//! wherever it appears.

mod own;
pub mod sensitive;
mod withhold;

pub use own::OwnSecrets;
pub use sensitive::SensitiveInputs;

use crate::{
    diagnostic::{Diagnostics, Sources},
    model::function::{
        EvaluationContext, WITHHELD, bind, concealed, is_call, python_text, withheld_digests,
    },
    syntax::{Value, parse},
};
use serde_json::{Value as Json, json};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Prefix of the environment variables for secrets.
pub const VARIABLE_PREFIX: &str = "DOCKCTL_SECRET_";
/// Placeholder for a redacted secret.
pub const PLACEHOLDER: &str = "********";
/// Minimum length of a redacted text. Shorter ones occur everywhere by chance.
pub(crate) const MIN_LENGTH: usize = 4;
/// Minimum length of a line of a secret that is redacted on its own. Shorter ones occur by chance.
const MIN_LINE_LENGTH: usize = 8;
/// Maximum size of a secret in its own file, in bytes.
const MAX_FILE_SIZE: u64 = 1 << 20;

/// Sources of secrets.
#[derive(Clone, Default)]
pub struct SecretSources {
    /// Environment variables `DOCKCTL_SECRET_<NAME>`, by full name. They take precedence.
    pub variables: BTreeMap<String, String>,
    /// Files of secrets, and directories with one file per secret.
    pub paths: Vec<PathBuf>,
}

/// Omits the values.
impl std::fmt::Debug for SecretSources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretSources")
            .field("variables", &self.variables.keys())
            .field("places", &self.paths)
            .finish()
    }
}

impl SecretSources {
    /// Returns the value of `DOCKCTL_SECRET_<name>`: with the exact name, otherwise with the name
    /// in uppercase and `_` for invalid characters.
    fn variable(&self, name: &str) -> Option<String> {
        let exact = self.variables.get(&format!("{VARIABLE_PREFIX}{name}"));
        exact
            .or_else(|| self.variables.get(&variable_name(name)))
            .cloned()
    }
}

/// Reads secrets, and redacts known sensitive values.
#[derive(Debug, Default)]
pub struct Secrets {
    sources: SecretSources,
    known: RefCell<BTreeSet<String>>,
    /// Texts of the secrets that were read, by name.
    named: RefCell<BTreeMap<String, String>>,
    /// Secrets that scripts of the deployment created.
    own: RefCell<OwnSecrets>,
    /// Withheld values of this run, by digest.
    withheld: RefCell<BTreeMap<String, Json>>,
    /// Withheld texts that are also searched for inside other texts, by digest.
    withheld_texts: RefCell<BTreeMap<String, String>>,
    /// True if some withheld value cannot be recognized in foreign text: it is too short or not a
    /// string.
    has_unrecognizable: Cell<bool>,
    /// Names of secrets of the deployment that cannot be read now. Text that contains them would not
    /// be recognized.
    missing: RefCell<BTreeSet<String>>,
    /// True if some withheld value of the deployment is not known now.
    lacks_withheld: Cell<bool>,
}

impl Secrets {
    /// Creates a reader of these sources.
    #[must_use]
    pub fn new(sources: SecretSources) -> Self {
        Self {
            sources,
            ..Self::default()
        }
    }

    /// Returns the text of a secret.
    ///
    /// # Errors
    ///
    /// If the secret does not exist or its source cannot be read. The message contains a hint.
    pub fn get(&self, name: &str) -> Result<String, String> {
        let found = self.find(name)?;
        // A name can contain a sensitive value.
        let place = if self.redact(name) == name {
            format!("set {}, or ", variable_name(name))
        } else {
            String::new()
        };
        let text = found.ok_or_else(|| {
            format!(
                "there is no secret `{}`: {place}pass a file or directory with --secrets PATH",
                self.redact(name)
            )
        })?;
        self.register(&text);
        self.named
            .borrow_mut()
            .insert(name.to_owned(), text.clone());
        Ok(text)
    }

    /// Searches the sources in order.
    fn find(&self, name: &str) -> Result<Option<String>, String> {
        if let Some(text) = self.sources.variable(name) {
            return Ok(Some(text));
        }
        let mut paths = self.sources.paths.iter();
        let found = paths.find_map(|place| from_path(place, name).transpose());
        let own = || self.own.borrow().get(name);
        Ok(found.transpose()?.or_else(own))
    }

    /// Returns true if a source other than the deployment's own secrets has a secret.
    #[must_use]
    pub fn is_provided(&self, name: &str) -> bool {
        let mut paths = self.sources.paths.iter();
        self.sources.variable(name).is_some()
            || paths.any(|place| matches!(from_path(place, name), Ok(Some(_))))
    }

    /// Uses the secrets that scripts of a deployment created, from now on, as the last source.
    pub fn use_own(&self, own: OwnSecrets) {
        own.values().for_each(|text| self.register(text));
        self.own.replace(own);
    }

    /// Returns the names of the secrets that scripts of the deployment created.
    #[must_use]
    pub fn own_names(&self) -> Vec<String> {
        self.own.borrow().names()
    }

    /// Stores a secret of the deployment.
    ///
    /// # Errors
    ///
    /// If it cannot be stored.
    pub fn set_own(&self, name: &str, text: &str) -> Result<(), String> {
        self.register(text);
        self.named
            .borrow_mut()
            .insert(name.to_owned(), text.to_owned());
        self.own.borrow_mut().set(name, text)
    }

    /// Deletes a secret of the deployment. Returns false if there is none with this name.
    ///
    /// # Errors
    ///
    /// If the change cannot be stored.
    pub fn delete_own(&self, name: &str) -> Result<bool, String> {
        self.named.borrow_mut().remove(name);
        self.own.borrow_mut().delete(name)
    }

    /// Replaces secrets and withheld texts in what a script wrote by expressions that return them.
    #[must_use]
    pub fn conceal(&self, json: Json) -> Json {
        match json {
            Json::String(text) => self.conceal_text(text),
            Json::Array(items) => items.into_iter().map(|item| self.conceal(item)).collect(),
            Json::Object(object) => object
                .into_iter()
                .map(|(key, value)| (key, self.conceal(value)))
                .collect(),
            other => other,
        }
    }

    fn conceal_text(&self, text: String) -> Json {
        let (named, withheld) = (self.named.borrow(), self.withheld_texts.borrow());
        let secrets = named
            .iter()
            .map(|(name, secret)| (secret, json!({ "get_secret": name })));
        let withheld = withheld
            .iter()
            .map(|(digest, secret)| (secret, json!({ WITHHELD: digest })));
        // Longest first, because one secret can be part of another.
        let mut calls: Vec<(&String, Json)> = secrets.chain(withheld).collect();
        calls.retain(|(secret, _)| secret.len() >= MIN_LENGTH && text.contains(secret.as_str()));
        calls.sort_by_key(|(secret, _)| std::cmp::Reverse(secret.len()));
        let mut parts = vec![Json::from(text)];
        for (secret, call) in &calls {
            parts = parts
                .into_iter()
                .flat_map(|part| split_at(part, secret, call))
                .collect();
        }
        match &parts[..] {
            [only @ Json::String(_)] => only.clone(),
            [only] => concealed(only),
            _ => concealed(&json!({ "concat": parts })),
        }
    }

    /// Returns true if some withheld value cannot be recognized in foreign text.
    #[must_use]
    pub fn has_unrecognizable_values(&self) -> bool {
        self.has_unrecognizable.get()
    }

    /// Registers a text for redaction, with its lines, and with its quoted and encoded forms.
    pub fn register(&self, text: &str) {
        let escaped = |text: &str| {
            let quoted = Json::from(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        };
        let mut known = self.known.borrow_mut();
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| line.len() >= MIN_LINE_LENGTH);
        for part in std::iter::once(text).chain(lines) {
            known.extend([
                part.to_owned(),
                escaped(part),
                escaped(&escaped(part)),
                percent_encoded(part),
                ascii_escaped(&escaped(part)),
                python_repr(part),
            ]);
        }
    }

    /// Registers all secrets that a definition refers to, and the results of functions of sensitive
    /// values: another run may have written them anywhere. If a secret cannot be read,
    /// [`Self::lacks_secrets`] returns true.
    pub fn register_all(&self, definition: &Json) {
        // Errors are ignored: `bind` has registered all results before the first run-time call.
        if is_call(definition) && !withheld_digests(definition).is_empty() {
            let _ = bind(definition, &SecretsOnly(self));
        }
        match definition {
            Json::Array(items) => items.iter().for_each(|item| self.register_all(item)),
            Json::Object(object) => {
                for (key, value) in object {
                    let known = match key.as_str() {
                        "get_secret" => value
                            .as_str()
                            .or_else(|| value[0].as_str())
                            .is_some_and(|name| self.get(name).is_ok()),
                        WITHHELD => value
                            .as_str()
                            .is_some_and(|digest| self.withheld(digest).is_ok()),
                        _ => true,
                    };
                    if !known && key == WITHHELD {
                        self.lacks_withheld.set(true);
                    } else if !known {
                        let name = value.as_str().or_else(|| value[0].as_str());
                        let name = name.unwrap_or_default().to_owned();
                        self.missing.borrow_mut().insert(name);
                    }
                    self.register_all(value);
                }
            }
            _ => {}
        }
    }

    /// Returns true if this run does not know some secret of the deployment.
    #[must_use]
    pub fn lacks_secrets(&self) -> bool {
        self.lacks_withheld.get() || !self.missing.borrow().is_empty()
    }

    /// Ignores missing secrets whose names fulfill a condition.
    pub fn ignore_missing(&self, is_ignored: impl Fn(&str) -> bool) {
        self.missing.borrow_mut().retain(|name| !is_ignored(name));
    }

    /// Registers a withheld value, which `digest` represents.
    pub fn withhold(&self, digest: String, value: &Json) {
        let is_found = value.as_str().is_some_and(|text| text.len() >= MIN_LENGTH);
        self.has_unrecognizable
            .set(self.has_unrecognizable.get() || !is_found);
        self.withheld.borrow_mut().insert(digest, value.clone());
    }

    /// Registers a withheld text, which is redacted and replaced by its digest inside other texts
    /// too.
    pub fn withhold_text(&self, digest: String, text: &str) {
        self.register(text);
        self.withhold(digest.clone(), &text.into());
        self.withheld_texts
            .borrow_mut()
            .insert(digest, text.to_owned());
    }

    /// Registers a sensitive value for redaction: a string of at least four bytes; of any other
    /// value, only parts of at least eight characters that are not just digits. Shorter ones occur
    /// everywhere by chance.
    pub fn register_value(&self, value: &Json) {
        match value {
            Json::String(text) => self.register(text),
            other => text_parts(other)
                .iter()
                .filter(|part| is_distinctive(part))
                .for_each(|part| self.register(part)),
        }
    }

    /// Returns the value of a digest.
    ///
    /// # Errors
    ///
    /// If this run does not have the value.
    pub fn withheld(&self, digest: &str) -> Result<Json, String> {
        let found = self.withheld.borrow().get(digest).cloned();
        found.ok_or_else(|| {
            "sensitive values are not stored: pass the value again with -i NAME=VALUE; if the blueprint contains it, run `dockctl update`"
                .to_owned()
        })
    }

    /// Replaces withheld texts in a value by calls with their digests, which are evaluated at run
    /// time.
    #[must_use]
    pub fn replace_withheld(&self, json: Json) -> Json {
        match json {
            Json::String(text) => self.replace_withheld_in_text(text),
            Json::Array(items) => items
                .into_iter()
                .map(|item| self.replace_withheld(item))
                .collect(),
            Json::Object(object) => object
                .into_iter()
                .map(|(key, value)| (key, self.replace_withheld(value)))
                .collect(),
            other => other,
        }
    }

    fn replace_withheld_in_text(&self, text: String) -> Json {
        let call = |digest: &String| json!({ WITHHELD: digest });
        let withheld = self.withheld_texts.borrow();
        if let Some((digest, _)) = withheld.iter().find(|(_, secret)| **secret == text) {
            return call(digest);
        }
        let inside = withheld.iter().find_map(|(digest, secret)| {
            Some((
                digest,
                text.split_once(secret.as_str())
                    .filter(|_| secret.len() >= MIN_LINE_LENGTH)?,
            ))
        });
        match inside {
            None => text.into(),
            Some((digest, (before, after))) => {
                let after = self.replace_withheld_in_text(after.to_owned());
                json!({ "concat": [before, call(digest), after] })
            }
        }
    }

    /// Returns the length of the longest redacted text, in bytes; 0 if there is none.
    #[must_use]
    pub fn longest_length(&self) -> usize {
        self.known
            .borrow()
            .iter()
            .map(String::len)
            .max()
            .unwrap_or_default()
    }

    /// Returns the start of a known secret that spans a position of a text, so that a cut there
    /// would hide it from [`Self::redact`].
    #[must_use]
    pub fn start_of_secret_across(&self, text: &str, at: usize) -> Option<usize> {
        let known = self.known.borrow();
        let secrets = known.iter().filter(|secret| secret.len() >= MIN_LENGTH);
        let spans = secrets.flat_map(|secret| {
            let starts = text.match_indices(secret.as_str()).map(|(start, _)| start);
            starts.filter(|start| *start < at && start + secret.len() > at)
        });
        spans.min()
    }

    /// Redacts known secrets in a text.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        // Longest first, because one secret can be part of another.
        let known = self.known.borrow();
        let mut secrets: Vec<&String> = known
            .iter()
            .filter(|secret| secret.len() >= MIN_LENGTH && text.contains(secret.as_str()))
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
            .iter()
            .fold(text.to_owned(), |text, secret| redact_one(&text, secret))
    }

    /// Redacts known secrets in bytes that may not be text. Other bytes stay as they are.
    #[must_use]
    pub fn redact_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let chunks = bytes.utf8_chunks();
        let parts = chunks.map(|it| [self.redact(it.valid()).as_bytes(), it.invalid()].concat());
        parts.flatten().collect()
    }

    /// Redacts known secrets in a JSON value.
    #[must_use]
    pub fn redact_json(&self, json: Json) -> Json {
        if self.known.borrow().is_empty() {
            return json;
        }
        match json {
            Json::String(text) => Json::String(self.redact(&text)),
            Json::Array(items) => items
                .into_iter()
                .map(|item| self.redact_json(item))
                .collect(),
            Json::Object(object) => Json::Object(
                object
                    .into_iter()
                    .map(|(key, value)| (self.redact(&key), self.redact_json(value)))
                    .collect(),
            ),
            other => other,
        }
    }
}

/// Splits a text at a secret, which a call replaces. Other parts stay as they are.
fn split_at(part: Json, secret: &str, call: &Json) -> Vec<Json> {
    let Json::String(text) = &part else {
        return vec![part];
    };
    let mut parts = Vec::new();
    for (at, piece) in text.split(secret).enumerate() {
        if at > 0 {
            parts.push(call.clone());
        }
        if !piece.is_empty() {
            parts.push(piece.into());
        }
    }
    if parts.is_empty() { vec![part] } else { parts }
}

/// Context with nothing but secrets.
struct SecretsOnly<'a>(&'a Secrets);

impl EvaluationContext for SecretsOnly<'_> {
    fn withheld(&self, digest: &str) -> Result<Json, String> {
        self.0.withheld(digest)
    }

    fn attribute(&self, _: &str, _: &[Json]) -> Result<Json, String> {
        Err("attributes are not available".to_owned())
    }

    fn attributes(&self, _: &str, _: &[Json]) -> Result<Vec<(String, Json)>, String> {
        Err("attributes are not available".to_owned())
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        self.0.get(name)
    }

    fn deployment(&self, _: &str, _: &Json) -> Result<Json, String> {
        Err("the deployment is not available".to_owned())
    }

    fn register_derived(&self, value: &Json) {
        self.0.register_value(value);
    }
}

/// Redacts a secret in a text, except inside an object ID: engines write IDs as 12 or 64
/// hexadecimal digits.
fn redact_one(text: &str, secret: &str) -> String {
    let mut result = String::new();
    let mut from = 0;
    for (at, _) in text.match_indices(secret) {
        result += &text[from..at];
        result += if is_in_id(text, at, at + secret.len()) {
            secret
        } else {
            PLACEHOLDER
        };
        from = at + secret.len();
    }
    result + &text[from..]
}

fn is_in_id(text: &str, start: usize, end: usize) -> bool {
    let digits = |bytes: &mut dyn Iterator<Item = &u8>| {
        bytes.take_while(|byte| byte.is_ascii_hexdigit()).count()
    };
    let is_hex = text[start..end]
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit());
    let (before, after) = (
        digits(&mut text.as_bytes()[..start].iter().rev()),
        digits(&mut text.as_bytes()[end..].iter()),
    );
    is_hex && before + after > 0 && matches!(before + after + end - start, 12 | 64)
}

/// Returns the strings and numbers in a value, including keys of mappings.
fn text_parts(value: &Json) -> Vec<String> {
    match value {
        Json::String(text) => vec![text.clone()],
        Json::Number(number) => vec![number.to_string()],
        Json::Array(items) => items.iter().flat_map(text_parts).collect(),
        Json::Object(entries) => entries
            .iter()
            .flat_map(|(key, value)| [key.clone()].into_iter().chain(text_parts(value)))
            .collect(),
        Json::Null | Json::Bool(_) => Vec::new(),
    }
}

fn is_distinctive(part: &str) -> bool {
    part.chars().count() >= MIN_LINE_LENGTH && !part.chars().all(|c| c.is_ascii_digit())
}

/// Escapes all other characters than ASCII, as Python writes JSON.
fn ascii_escaped(text: &str) -> String {
    let mut units = [0; 2];
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            let units = c.encode_utf16(&mut units);
            escaped.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    escaped
}

/// Returns a text as Python shows it inside of a list or a mapping, without its quotes.
fn python_repr(text: &str) -> String {
    let listed = python_text(&Json::from(vec![text]));
    listed[2..listed.len() - 2].to_owned()
}

/// Percent-encodes a text as engines do in URLs.
fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn variable_name(name: &str) -> String {
    let clean: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect();
    format!("{VARIABLE_PREFIX}{clean}")
}

fn from_path(place: &Path, name: &str) -> Result<Option<String>, String> {
    if place.is_dir() {
        from_directory(place, name)
    } else {
        from_file(place, name)
    }
}

/// Reads a secret from a directory with one file per secret. Removes one final line break: editors
/// add it.
fn from_directory(directory: &Path, name: &str) -> Result<Option<String>, String> {
    let safe = !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != "..";
    let path = directory.join(name);
    let Some(data) = path.metadata().ok().filter(|data| safe && data.is_file()) else {
        return Ok(None);
    };
    if data.len() > MAX_FILE_SIZE {
        return Err(format!(
            "the secret file {} is larger than {} MiB",
            path.display(),
            MAX_FILE_SIZE >> 20
        ));
    }
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read the secret file {}: {error}", path.display()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Some(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

fn from_file(path: &Path, name: &str) -> Result<Option<String>, String> {
    let mut sources = Sources::default();
    let file = sources
        .read(path)
        .map_err(|error| format!("secrets file: {error}"))?;
    // Do not quote the error: it could contain a secret.
    let root = parse(&sources, file, &mut Diagnostics::default()).map_err(|fault| {
        format!(
            "the secrets file {} is not valid YAML: see line {}",
            path.display(),
            sources.line_column(file, fault.span.start).0
        )
    })?;
    if root.as_map().is_none() {
        return Err(format!(
            "the secrets file {} must be a mapping of names to values",
            path.display()
        ));
    }
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_json().to_string(), str::to_owned)
    };
    Ok(root.get(name).map(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_from_files_and_directories() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("password"), "from a directory\n").unwrap();
        let file = directory.path().join("all.yaml");
        fs::write(&file, "password: from a file\nport: 22\nkeys: {a: 1}\n").unwrap();
        let secrets = Secrets::new(SecretSources {
            paths: vec![directory.path().to_owned(), file],
            ..SecretSources::default()
        });
        assert_eq!(secrets.get("password").unwrap(), "from a directory");
        assert_eq!(secrets.get("port").unwrap(), "22");
        assert_eq!(secrets.get("keys").unwrap(), r#"{"a":1}"#);
        assert!(
            secrets
                .get("other")
                .unwrap_err()
                .contains("DOCKCTL_SECRET_OTHER")
        );
        assert!(secrets.get("../password").is_err(), "a name is not a path");
    }

    #[test]
    fn function_results_of_sensitive_values_are_redacted() {
        let secrets = Secrets::default();
        secrets.withhold_text("d1".into(), "Glass-Horse");
        let own = json!({ WITHHELD: "d1" });
        secrets.register_all(&json!({ "env": { "A": { "string_upper": own }, "B": { "concat": [{ "get_attribute": ["x", "ip"] }, { "string_lower": own }] } } }));
        assert_eq!(
            secrets.redact("Glass-Horse GLASS-HORSE 10.0.0.1glass-horse"),
            format!("{PLACEHOLDER} {PLACEHOLDER} 10.0.0.1{PLACEHOLDER}")
        );
    }

    #[test]
    fn withheld_texts_are_replaced_by_their_digest() {
        let secrets = Secrets::default();
        secrets.withhold_text("d1".into(), "correct horse");
        let json = secrets.replace_withheld(
            json!({"a": "correct horse", "b": ["x=correct horse;"], "c": "horse"}),
        );
        let call = json!({"dockctl.withheld": "d1"});
        assert_eq!(
            json,
            json!({"a": call, "b": [{"concat": ["x=", call, ";"]}], "c": "horse"})
        );
        assert_eq!(secrets.withheld("d1").unwrap(), "correct horse");
        assert!(secrets.withheld("d2").is_err());
    }

    #[test]
    fn only_distinctive_parts_of_non_string_values_are_redacted() {
        let secrets = Secrets::default();
        for value in [
            json!(7),
            json!(1_234_567_890),
            json!(["short", "glass-horse"]),
            json!({ "key-of-it": { "x": 1.234_567_8 } }),
            json!("abcd"),
        ] {
            secrets.register_value(&value);
        }
        let text = "7 1234567890 short glass-horse key-of-it 1.2345678 x abcd abc";
        assert_eq!(
            secrets.redact(text),
            "7 1234567890 short ******** ******** ******** x ******** abc"
        );
    }

    #[test]
    fn object_ids_are_not_redacted() {
        let secrets = Secrets::default();
        secrets.register("beef");
        let id = format!("{}beef", "0".repeat(60));
        for text in [
            format!("container {id}"),
            format!("sha256:{id},"),
            "is 00beef000000".to_owned(),
        ] {
            assert_eq!(secrets.redact(&text), text);
        }
        assert_eq!(
            secrets.redact("beef 00beef beef-0"),
            "******** 00******** ********-0"
        );
        secrets.register(&id);
        assert_eq!(
            secrets.redact(&format!("key {id}")),
            "key ********",
            "a secret can look like an ID"
        );
    }

    #[test]
    fn known_secrets_are_redacted() {
        let secrets = Secrets::default();
        secrets.register("hunter2");
        secrets.register("hunter2-long");
        let json = json!({"a": ["x=hunter2-long", {"b": "hunter2"}], "n": 2});
        assert_eq!(
            secrets.redact_json(json),
            json!({"a": ["x=********", {"b": "********"}], "n": 2})
        );
    }

    #[test]
    fn quoted_and_wrapped_secrets_are_redacted() {
        let secrets = Secrets::default();
        secrets.register("a\"b\\c d");
        assert_eq!(
            secrets.redact(r#"exec "a\"b\\c d": no; {"text": "a\\\"b\\\\c d"}; ?x=a%22b%5Cc%20d"#),
            r#"exec "********": no; {"text": "********"}; ?x=********"#
        );
        secrets.register("line1XyZ\nline2AbC\n");
        assert_eq!(secrets.redact("line1XyZ line2AbC"), "******** ********");
    }
}
