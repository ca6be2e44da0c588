//! Tables for people.

use comfy_table::{ContentArrangement, Table, presets};

/// Narrower than this a terminal has no real width, or none that a table fits in.
const NARROW: u16 = 40;

/// Lays rows out in columns without borders; wraps at the terminal's width, never off a terminal.
#[must_use]
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header.to_vec());
    if table.width().is_none_or(|width| width < NARROW) {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table.add_rows(rows);
    let lines: Vec<String> =
        table.lines().map(|line| line.trim_end().strip_prefix(' ').map_or_else(|| line.trim_end().to_owned(), str::to_owned)).collect();
    lines.join("\n") + "\n"
}
