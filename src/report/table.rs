//! Tables for people.

use comfy_table::{ContentArrangement, Table, presets};

/// Lays rows out in columns without borders. Nothing is wrapped or cut: what stands in a table is there to be copied.
#[must_use]
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header.to_vec());
    table.add_rows(rows);
    let plain = |line: &str| line.trim_end().strip_prefix(' ').map_or_else(|| line.trim_end().to_owned(), str::to_owned);
    table.lines().map(|line| plain(&line) + "\n").collect()
}
