//! The places that a fault is shown with. What stands in a file that is none of the user's
//! (bundled, or from the network) is shown with the import that leads there.

use super::{Diagnostic, Span};
use crate::diagnostic::Sources;

/// The other places; of a fault in a file that is none of the user's, the import too.
pub(super) fn with_import(diagnostic: &Diagnostic, sources: &Sources) -> Vec<(Span, String)> {
    let own = sources.own(diagnostic.span);
    let is_new = own != diagnostic.span && diagnostic.related.iter().all(|(span, _)| *span != own);
    diagnostic
        .related
        .iter()
        .cloned()
        .chain(is_new.then(|| (own, "imported here".to_owned())))
        .collect()
}

/// The other places; what stands in a file that is none of the user's is told at the import that
/// leads there.
pub(super) fn beside_import(diagnostic: &Diagnostic, own: Span) -> Vec<(Span, String)> {
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
