//! Downloads files, with a time limit, a size limit, and a cache on disk keyed by the address.

use crate::web;
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Maximum time for one file, including retries.
const MAX_TIME: Duration = Duration::from_secs(30);
/// Maximum size of a file, in bytes.
const MAX_SIZE: u64 = 16 << 20;
/// Age up to which a cached file is used without a download.
const CACHE_LIFETIME: Duration = Duration::from_hours(24);
/// Maximum number of retries after a lost connection or a server error.
const MAX_RETRIES: usize = 4;

/// A file from the network.
pub(super) struct Fetched {
    /// Its text.
    pub text: String,
    /// The download error, if an old copy is used instead.
    pub stale: Option<String>,
}

/// Access to the network and the cache.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Never use the network.
    pub offline: bool,
    /// Directory of the cache; `None` disables it.
    pub cache: Option<PathBuf>,
}

impl Network {
    /// Returns the file at an address, from the cache or, within `time`, from the network.
    pub(super) fn fetch(&self, address: &str, time: Duration) -> Result<Fetched, String> {
        let place = self
            .cache
            .as_deref()
            .map(|directory| directory.join(key(address)));
        let cached = place.as_deref().and_then(read);
        match cached {
            Some((text, age)) if self.offline || age < CACHE_LIFETIME => {
                Ok(Fetched { text, stale: None })
            }
            None if self.offline => Err(
                "the file is not in the cache, and --offline disables all network access"
                    .to_owned(),
            ),
            cached => match (download(address, time.min(MAX_TIME)), cached) {
                (Ok(text), _) => {
                    if let Some(place) = place {
                        store(&place, &text);
                    }
                    Ok(Fetched { text, stale: None })
                }
                (Err(why), Some((text, _))) => Ok(Fetched {
                    text,
                    stale: Some(why),
                }),
                (Err(why), None) => Err(why),
            },
        }
    }
}

fn key(address: &str) -> String {
    Sha256::digest(address)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn read(place: &Path) -> Option<(String, Duration)> {
    let age = SystemTime::now()
        .duration_since(fs::metadata(place).ok()?.modified().ok()?)
        .unwrap_or_default();
    Some((fs::read_to_string(place).ok()?, age))
}

/// Writes a file to the cache. The file is renamed into place so that nobody reads a partial one.
/// Errors are ignored: dockctl works without a cache.
fn store(place: &Path, text: &str) {
    let part_file = place.with_extension(format!("{}.part", std::process::id()));
    let written = place
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&part_file, text));
    if written
        .and_then(|()| fs::rename(&part_file, place))
        .is_err()
    {
        let _ = fs::remove_file(&part_file);
    }
}

fn download(address: &str, time: Duration) -> Result<String, String> {
    use backon::{BlockingRetryable as _, ExponentialBuilder};
    if time.is_zero() {
        return Err("the imports of this blueprint exceeded their time limit".to_owned());
    }
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(time))
        .max_redirects(0);
    let config = config
        .user_agent(concat!("dockctl/", env!("CARGO_PKG_VERSION")))
        .build();
    let start = std::time::Instant::now();
    let is_retryable = |error: &ureq::Error| {
        let transient = match error {
            ureq::Error::StatusCode(code) => *code >= 500,
            ureq::Error::Io(error) => error.kind() != io::ErrorKind::PermissionDenied,
            ureq::Error::ConnectionFailed => true,
            _ => false,
        };
        transient && start.elapsed() < time
    };
    let mut response = (|| web::get(&config, address))
        .retry(
            ExponentialBuilder::default()
                .with_min_delay(Duration::from_millis(200))
                .with_max_times(MAX_RETRIES),
        )
        .when(is_retryable)
        .call()
        .map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    response
        .body_mut()
        .as_reader()
        .take(MAX_SIZE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(format!("the file is larger than {} MiB", MAX_SIZE >> 20));
    }
    let text = String::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text".to_owned())?;
    // Do not cache the page of a proxy or login portal.
    if text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with('<')
    {
        Err("the response is a web page, not YAML".to_owned())
    } else {
        Ok(text)
    }
}
