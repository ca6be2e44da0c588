//! Claims, as text and as JSON.

use crate::{
    discovery::{Claim, RecoveredDeployment},
    operate::error::Claimed,
    printable::printable,
    report::count,
};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

/// Returns a paragraph for each claim.
pub(crate) fn claims_text(claims: &[Claim]) -> String {
    claims.iter().map(paragraph).collect()
}

/// Returns a paragraph for each claim, below a heading; empty without claims.
pub(crate) fn claims_with_heading(claimed: &Claimed) -> String {
    if claimed.claims.is_empty() {
        return String::new();
    }
    format!(
        "objects on the engine labeled with `{}`:\n{}",
        claimed.deployment,
        claims_text(&claimed.claims)
    )
}

fn paragraph(claim: &Claim) -> String {
    let mut text = format!(
        "  deployment ID {}: {}\n",
        printable(&claim.id),
        printable(&claim.objects.join(", "))
    );
    let made_by = claim
        .created_by
        .as_ref()
        .map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let _ = writeln!(
        text,
        "    blueprint:  {}",
        printable(&claim.blueprint.display().to_string())
    );
    let _ = writeln!(text, "    created by: {}", printable(&made_by));
    // Engines report fractions of a second.
    let since = claim.created_at.split('.').next().unwrap_or_default();
    let since = printable(since.trim_end_matches('Z'));
    let _ = writeln!(text, "    created:    {since}Z");
    text
}

/// Returns the claims as JSON.
pub(crate) fn claims_json(claims: &[Claim]) -> Json {
    json!(claims)
}

/// Returns a line for each object that could not be recovered.
pub(crate) fn unrecovered_lines(recovered: &RecoveredDeployment) -> String {
    let line = |(name, why): &(String, String)| {
        format!("  not recovered: {}: {}\n", printable(name), printable(why))
    };
    recovered.not_recovered.iter().map(line).collect()
}

/// Returns the recovered instances, and the objects that could not be recovered.
pub(crate) fn recovered_text(recovered: &RecoveredDeployment) -> String {
    let names: Vec<&str> = recovered.instances.keys().map(String::as_str).collect();
    format!(
        "  recovered: {} ({})\n{}",
        count(names.len(), "instance"),
        printable(&names.join(", ")),
        unrecovered_lines(recovered)
    )
}
