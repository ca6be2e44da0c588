//! Tables for people.

use super::charset::Charset;
use crate::printable::printable;
use comfy_table::{ContentArrangement, Table, presets};
use console::{measure_text_width, truncate_str};

/// Formats rows as columns without borders. Cells are never wrapped or cut, so that readers can
/// copy them.
#[must_use]
pub fn table(
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    charset: Charset,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.to_vec());
    table.add_rows(rows.into_iter().map(|row| {
        row.iter()
            .map(|cell| shown(cell, charset))
            .collect::<Vec<_>>()
    }));
    let plain = |line: &str| {
        line.trim_end()
            .strip_prefix(' ')
            .map_or_else(|| line.trim_end().to_owned(), str::to_owned)
    };
    table.lines().map(|line| plain(&line) + "\n").collect()
}

fn shown(cell: &str, charset: Charset) -> String {
    let line = printable(cell).replace('\n', "\\n");
    charset.show(&line).into_owned()
}

/// The screen that shows a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Screen {
    /// Width in columns; `None` for no limit.
    pub columns: Option<usize>,
    /// Characters that the screen can show.
    pub charset: Charset,
}

/// Formats rows like [`table`], to fit a screen. Removes columns in the order of `expendable` until
/// the others fit, then cuts lines that are still too long.
#[must_use]
pub fn table_to_fit(
    header: &[&str],
    rows: &[Vec<String>],
    screen: Screen,
    expendable: &[usize],
) -> String {
    let mut kept: Vec<usize> = (0..header.len()).collect();
    let lay_out = |shown: &[usize]| {
        let header: Vec<&str> = shown.iter().map(|at| header[*at]).collect();
        table(
            &header,
            rows.iter()
                .map(|row| shown.iter().map(|at| row[*at].clone()).collect()),
            screen.charset,
        )
    };
    let mut text = lay_out(&kept);
    let Some(columns) = screen.columns else {
        return text;
    };
    let fits = |text: &str| text.lines().all(|line| measure_text_width(line) <= columns);
    for least in expendable {
        if fits(&text) {
            return text;
        }
        kept.retain(|at| at != least);
        text = lay_out(&kept);
    }
    cut(
        &text,
        Screen {
            columns: Some(columns),
            ..screen
        },
    )
}

/// Cuts lines that are wider than a screen.
#[must_use]
pub fn cut(text: &str, screen: Screen) -> String {
    let columns = screen.columns.unwrap_or(usize::MAX);
    let tail = screen.charset.show("…");
    text.lines()
        .map(|line| format!("{}\n", truncate_str(line, columns, &tail)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Screen, table_to_fit};
    use crate::report::charset::Charset;

    #[test]
    fn expendable_columns_are_dropped_first_then_lines_are_cut() {
        let rows = [vec![
            "web".to_owned(),
            "8080".to_owned(),
            "missing".to_owned(),
        ]];
        let at = |columns| {
            let screen = Screen {
                columns,
                ..Screen::default()
            };
            table_to_fit(&["NAME", "PORT", "DRIFT"], &rows, screen, &[1])
        };
        assert_eq!(at(None), "NAME  PORT  DRIFT\nweb   8080  missing\n");
        assert_eq!(at(Some(19)), at(None));
        assert_eq!(at(Some(18)), "NAME  DRIFT\nweb   missing\n");
        assert_eq!(at(Some(10)), "NAME  DRI…\nweb   mis…\n");
    }

    #[test]
    fn an_ascii_table_has_no_other_characters() {
        let rows = [vec!["web".to_owned(), "8080→80/tcp".to_owned()]];
        let screen = |columns| Screen {
            columns,
            charset: Charset::Ascii,
        };
        let at = |columns| table_to_fit(&["NAME", "PORTS"], &rows, screen(columns), &[]);
        assert_eq!(at(None), "NAME  PORTS\nweb   8080->80/tcp\n");
        assert_eq!(at(Some(12)), "NAME  PORTS\nweb   808...\n");
    }
}
