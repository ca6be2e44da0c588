//! Tables for people.

use crate::printable::printable;
use comfy_table::{ContentArrangement, Table, presets};
use console::{measure_text_width, truncate_str};

/// Lays rows out in columns without borders. Nothing is wrapped or cut: what stands in a table is
/// there to be copied.
#[must_use]
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.to_vec());
    table.add_rows(
        rows.into_iter()
            .map(|row| row.iter().map(|cell| printable(cell)).collect::<Vec<_>>()),
    );
    let plain = |line: &str| {
        line.trim_end()
            .strip_prefix(' ')
            .map_or_else(|| line.trim_end().to_owned(), str::to_owned)
    };
    table.lines().map(|line| plain(&line) + "\n").collect()
}

/// As [`table`], for a screen of so many columns: what matters least is left out until it fits, in
/// the order of `expendable`; what is too long even then is cut.
#[must_use]
pub fn fitted(
    header: &[&str],
    rows: &[Vec<String>],
    screen: Option<usize>,
    expendable: &[usize],
) -> String {
    let mut shown: Vec<usize> = (0..header.len()).collect();
    let lay_out = |shown: &[usize]| {
        let header: Vec<&str> = shown.iter().map(|at| header[*at]).collect();
        table(
            &header,
            rows.iter()
                .map(|row| shown.iter().map(|at| row[*at].clone()).collect()),
        )
    };
    let mut text = lay_out(&shown);
    let Some(columns) = screen else { return text };
    let fits = |text: &str| text.lines().all(|line| measure_text_width(line) <= columns);
    for least in expendable {
        if fits(&text) {
            return text;
        }
        shown.retain(|at| at != least);
        text = lay_out(&shown);
    }
    text.lines()
        .map(|line| format!("{}\n", truncate_str(line, columns, "…")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::fitted;

    #[test]
    fn what_matters_least_goes_first_and_the_rest_is_cut() {
        let rows = [vec![
            "web".to_owned(),
            "8080".to_owned(),
            "missing".to_owned(),
        ]];
        let at = |screen| fitted(&["NAME", "PORT", "DRIFT"], &rows, screen, &[1]);
        assert_eq!(at(None), "NAME  PORT  DRIFT\nweb   8080  missing\n");
        assert_eq!(at(Some(19)), at(None));
        assert_eq!(at(Some(18)), "NAME  DRIFT\nweb   missing\n");
        assert_eq!(at(Some(10)), "NAME  DRI…\nweb   mis…\n");
    }
}
