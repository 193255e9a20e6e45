//! A table of text, aligned in columns.

/// A column of the table.
pub(crate) struct Column {
    title: String,
    cells: Vec<Option<String>>,
    side: Side,
}

/// Where the texts of a column stand: words left, numbers right.
enum Side {
    Left,
    Right,
}

impl Column {
    pub(crate) fn words(title: &str, words: impl Iterator<Item = String>) -> Self {
        Self {
            title: title.to_owned(),
            cells: words.map(Some).collect(),
            side: Side::Left,
        }
    }

    pub(crate) fn numbers(title: &str, decimals: usize, numbers: impl Iterator<Item = Option<f64>>) -> Self {
        let cell = |number: Option<f64>| number.map(|number| format!("{number:.decimals$}"));
        Self {
            title: title.to_owned(),
            cells: numbers.map(cell).collect(),
            side: Side::Right,
        }
    }

    pub(crate) fn holds_something(&self) -> bool {
        self.cells.iter().any(Option::is_some)
    }

    /// What stands in a line of the table; the title in line 0.
    fn text(&self, line: usize) -> &str {
        match line.checked_sub(1) {
            None => &self.title,
            Some(row) => self.cells[row].as_deref().unwrap_or("-"),
        }
    }
}

/// A line of the table; each column is as wide as its widest text.
pub(crate) fn aligned(columns: &[Column], line: usize) -> String {
    let padded = columns.iter().map(|column| {
        let widths = (0..=column.cells.len()).map(|line| column.text(line).chars().count());
        let (text, width) = (column.text(line), widths.max().unwrap_or(0));
        match column.side {
            Side::Left => format!("{text:<width$}"),
            Side::Right => format!("{text:>width$}"),
        }
    });
    let line = padded.collect::<Vec<_>>().join("  ");
    format!("{}\n", line.trim_end())
}
