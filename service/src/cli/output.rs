//! Results on standard output: tables for people, JSON for scripts. A reader that goes away is no error.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use super::CliError;

/// Where and how results are written.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
}

impl Output {
    /// A value: as JSON, or as the table that `table` makes of it.
    pub fn print<T: Serialize + ?Sized>(
        &self,
        value: &T,
        table: impl FnOnce(&T) -> Table,
    ) -> Result<(), CliError> {
        if self.json { self.value(value) } else { write(&table(value).to_string()) }
    }

    /// A value as JSON, whatever the mode.
    pub fn value<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), CliError> {
        let mut text = serde_json::to_string_pretty(value).map_err(|error| CliError::Answer(error.to_string()))?;
        text.push('\n');
        write(&text)
    }

    /// A line for people; silent in JSON mode.
    pub fn line(&self, text: impl fmt::Display) -> Result<(), CliError> {
        if self.json { Ok(()) } else { write(&format!("{text}\n")) }
    }

    /// Bytes as they are, such as a downloaded file.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        quiet(io::stdout().lock().write_all(bytes))
    }
}

fn write(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    quiet(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// `fdo-owner device list | head` must not end in an error.
fn quiet(result: io::Result<()>) -> Result<(), CliError> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(CliError::Stdout(error)),
        _ => Ok(()),
    }
}

/// Rows under a head, in aligned columns.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row. What devices sent may stand in it, so control characters are replaced.
    #[must_use]
    pub fn row<I: IntoIterator<Item = S>, S: fmt::Display>(mut self, cells: I) -> Self {
        let clean =
            |cell: S| cell.to_string().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        self.rows.push(cells.into_iter().map(clean).collect());
        self
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_control_characters_do_not_pass() {
        let table = Table::new(&["SERIAL", "STATE"]).row(["é1", "born"]).row(["long-serial", "\u{1b}[31m"]);
        assert_eq!(table.to_string(), "SERIAL       STATE\né1           born\nlong-serial  \u{fffd}[31m\n");
    }
}
