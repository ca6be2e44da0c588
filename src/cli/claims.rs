//! Claims, as text and as JSON.

use crate::{
    discovery::{Claim, RecoveredDeployment},
    printable::printable,
    report::count,
};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

/// Returns a paragraph for each claim.
pub(crate) fn claims_text(claims: &[Claim]) -> String {
    claims.iter().map(paragraph).collect()
}

fn paragraph(claim: &Claim) -> String {
    let mut text = format!(
        "  {}: {}\n",
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
    let _ = writeln!(text, "    since:      {}", printable(&claim.created_at));
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
