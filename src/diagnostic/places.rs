//! The related places of a diagnostic. A place in a file that does not belong to the user (bundled
//! or from the network) is shown together with the import that leads to the file.

use super::{Diagnostic, Span};
use crate::diagnostic::Sources;

/// Returns the related places. If the file is bundled or from the network, they include the import.
pub(super) fn with_import(diagnostic: &Diagnostic, sources: &Sources) -> Vec<(Span, String)> {
    let own = sources.own_place(diagnostic.span);
    let is_new = own != diagnostic.span && diagnostic.related.iter().all(|(span, _)| *span != own);
    diagnostic
        .related
        .iter()
        .cloned()
        .chain(is_new.then(|| (own, "imported here".to_owned())))
        .collect()
}

/// Returns the related places of a diagnostic that is reported at `own`. If `own` is the import of
/// a bundled or downloaded file, they include the place in that file.
pub(super) fn related_to_import(diagnostic: &Diagnostic, own: Span) -> Vec<(Span, String)> {
    let place = (own != diagnostic.span).then(|| (diagnostic.span, "found here".to_owned()));
    place
        .into_iter()
        .chain(
            diagnostic
                .related
                .iter()
                .filter(|(span, _)| *span != own)
                .cloned(),
        )
        .collect()
}
