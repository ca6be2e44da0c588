//! Claims, as text and as JSON.

use crate::{
    printable::printable,
    report::count,
    told::{Claim, Recovered},
};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

/// Returns a paragraph for each claim.
pub(crate) fn lines(claims: &[Claim]) -> String {
    claims.iter().map(paragraph).collect()
}

fn paragraph(claim: &Claim) -> String {
    let mut text = format!(
        "  {}: {}\n",
        printable(&claim.id),
        printable(&claim.objects.join(", "))
    );
    let made_by = claim
        .made_by
        .as_ref()
        .map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let _ = writeln!(
        text,
        "    blueprint:  {}",
        printable(&claim.blueprint.display().to_string())
    );
    let _ = writeln!(text, "    created by: {}", printable(&made_by));
    let _ = writeln!(text, "    since:      {}", printable(&claim.since));
    text
}

/// Returns the claims as JSON.
pub(crate) fn fields(claims: &[Claim]) -> Json {
    json!(claims)
}

/// Returns a line for each object that could not be recovered.
pub(crate) fn left_out(recovered: &Recovered) -> String {
    let line = |(name, why): &(String, String)| {
        format!("  not recovered: {}: {}\n", printable(name), printable(why))
    };
    recovered.left_out.iter().map(line).collect()
}

/// Returns the recovered instances, and the objects that could not be recovered.
pub(crate) fn words(recovered: &Recovered) -> String {
    let names: Vec<&str> = recovered.instances.keys().map(String::as_str).collect();
    format!(
        "  recovered: {} ({})\n{}",
        count(names.len(), "instance"),
        printable(&names.join(", ")),
        left_out(recovered)
    )
}
