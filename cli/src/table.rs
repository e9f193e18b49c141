//! Aligned tables of text.

use crate::output::{Output, Tone};

/// Between two columns.
const GAP: &str = "  ";

/// On which side a column's text stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table under construction.
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<(String, Tone)>>,
}

impl Table {
    /// A table with these columns. A heading that begins with `>` stands right, with its column.
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        let column = |name: &&'static str| match name.strip_prefix('>') {
            Some(name) => (name, Align::Right),
            None => (*name, Align::Left),
        };
        Self { columns: columns.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row; cells that are missing are empty.
    pub(crate) fn row<T: ToString>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.toned_row(cells.into_iter().map(|cell| (cell.to_string(), Tone::Plain)));
    }

    /// Adds a row whose cells have tones.
    pub(crate) fn toned_row(&mut self, cells: impl IntoIterator<Item = (String, Tone)>) {
        self.rows.push(cells.into_iter().map(|(text, tone)| (one_line(&text), tone)).collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The whole table, a line feed at the end of each line. Where the output has a width, the last column is cut
    /// to it.
    pub(crate) fn render(&self, output: &Output) -> String {
        let widths = self.widths();
        let mut text = String::new();
        let heading = self.columns.iter().map(|(name, _)| ((*name).to_owned(), Tone::Heading)).collect();
        for row in std::iter::once(&heading).chain(&self.rows) {
            self.render_row(row, &widths, output, &mut text);
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let cell = |row: &Vec<(String, Tone)>, at: usize| row.get(at).map_or(0, |(text, _)| width(text));
        let widest =
            |at: usize, name: &str| self.rows.iter().map(|row| cell(row, at)).fold(width(name), usize::max);
        self.columns.iter().enumerate().map(|(at, (name, _))| widest(at, name)).collect()
    }

    fn render_row(&self, row: &[(String, Tone)], widths: &[usize], output: &Output, text: &mut String) {
        let last = self.columns.len() - 1;
        let mut used = 0;
        let mut line = String::new();
        for (at, (_, align)) in self.columns.iter().enumerate() {
            let (cell, tone) = row.get(at).map_or(("", Tone::Plain), |(cell, tone)| (cell.as_str(), *tone));
            let room = output.width.map_or(usize::MAX, |width| width.saturating_sub(used));
            let cell = if at == last { cut(cell, room) } else { cell.to_owned() };
            let padding = " ".repeat(widths[at].saturating_sub(width(&cell)));
            let painted = output.paint(tone, &cell);
            match align {
                Align::Right => line.extend([padding.as_str(), painted.as_str()]),
                Align::Left => line.extend([painted.as_str(), padding.as_str()]),
            }
            line.push_str(GAP);
            used += widths[at] + GAP.len();
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// At most `room` characters, with a mark where something is missing. Never less than ten.
fn cut(text: &str, room: usize) -> String {
    let room = room.max(10);
    if width(text) <= room {
        return text.to_owned();
    }
    text.chars().take(room - 1).chain(std::iter::once('…')).collect()
}

/// Text of a venue or client may hold anything: control characters must not reach a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["name", ">count", "detail"]);
        table.row(["a", "1000", "short"]);
        table.row(["longer", "7", "a text that goes on and on"]);
        table
    }

    #[test]
    fn columns_align_and_lines_do_not_trail() {
        assert_eq!(
            sample().render(&Output::plain()),
            "name    count  detail\na        1000  short\nlonger      7  a text that goes on and on\n"
        );
    }

    #[test]
    fn the_last_column_is_cut_to_the_width() {
        let output = Output { width: Some(30), ..Output::plain() };
        let text = sample().render(&output);
        assert!(text.lines().all(|line| line.chars().count() <= 30), "{text}");
        assert!(text.ends_with("a text that go…\n"), "{text}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut table = Table::new(&["x"]);
        table.row(["a\x1b[31m\nb"]);
        assert_eq!(table.render(&Output::plain()), "x\na\u{fffd}[31m\u{fffd}b\n");
    }
}
