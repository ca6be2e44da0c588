//! Selects one of the variants of an image: those for different platforms.

use crate::{
    plugins::docker::{
        declare::{image::GivenName, platform::Platform},
        drive::images::{archive::invalid, saved::SavedImage},
    },
    printable::truncated,
};
use std::io;

/// Longest list of platforms in an error, in characters.
const MAX_LISTED: usize = 300;

/// Selection of an image of a tarball or a directory.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// Platform of the image.
    pub platform: Platform,
    /// The blueprint requests the platform. Otherwise it is that of the engine, and an only image
    /// for another one is selected too.
    pub is_requested: bool,
    /// Name of the image, if the blueprint gives it one.
    pub name: Option<GivenName>,
}

/// One variant of an image.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    /// Equal only for equal contents.
    pub id: String,
    pub platform: Platform,
    pub image: SavedImage,
}

/// Returns the variant for the platform.
///
/// # Errors
///
/// Returns an error if there is none, or several with different contents.
pub(crate) fn select(variants: Vec<Variant>, meant: &Selection) -> io::Result<SavedImage> {
    let wanted = &meant.platform;
    let fitting = || variants.iter().filter(|it| it.platform.satisfies(wanted));
    let exact = fitting().find(|it| it.platform == *wanted);
    let preferred = || fitting().find(|it| it.platform.is_preferred_variant());
    let first = exact.or_else(preferred).or_else(|| fitting().next());
    let Some(first) = first else {
        return only_other(variants, meant);
    };
    let is_twin = |it: &Variant| it.platform == first.platform && it.id != first.id;
    if variants.iter().any(is_twin) {
        return Err(invalid(format!(
            "it contains several images of the same name for {wanted}"
        )));
    }
    Ok(first.image.clone())
}

/// Returns the only variant, although it is for another platform.
fn only_other(variants: Vec<Variant>, meant: &Selection) -> io::Result<SavedImage> {
    let found: Vec<String> = variants.iter().map(|it| it.platform.to_string()).collect();
    match variants.into_iter().next() {
        None => Err(invalid("it contains no image")),
        Some(only) if found.len() == 1 && !meant.is_requested => Ok(only.image),
        Some(_) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "contains no image for {}: found {}",
                meant.platform,
                truncated(&found.join(", "), MAX_LISTED)
            ),
        )),
    }
}
