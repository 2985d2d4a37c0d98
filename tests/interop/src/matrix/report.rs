//! The measured matrix as tables, held against what is expected and against what the documents say.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::cell::Place;

const BEGIN: &str = "<!-- matrix: written by `just interop` -->";
const END: &str = "<!-- end of matrix -->";

/// What came of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Green,
    /// With what was seen.
    Red(String),
}

impl Outcome {
    pub fn of(result: anyhow::Result<()>) -> Self {
        match result {
            Ok(()) => Self::Green,
            Err(error) => Self::Red(format!("{error:#}")),
        }
    }
}

/// Cells that cannot be green, each with the peer's defect, or with the reason why we differ.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    #[serde(default)]
    cell: Vec<Expected>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// As the run prints it: table / row / column.
    name: String,
    /// What the peer does wrong and how it was seen, or why we do otherwise.
    #[serde(alias = "reason")]
    defect: String,
}

impl Expectations {
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let read: Self = toml::from_str(&text).with_context(|| file.display().to_string())?;
        match read.cell.iter().find(|expected| expected.defect.trim().is_empty()) {
            Some(expected) => bail!("{}: {} has no reason", file.display(), expected.name),
            None => Ok(read),
        }
    }

    /// Leaves out those whose names do not fit.
    pub fn retain(&mut self, fits: impl Fn(&str) -> bool) {
        self.cell.retain(|expected| fits(&expected.name));
    }

    fn find(&self, cell: &Place) -> Option<&Expected> {
        let name = cell.to_string();
        self.cell.iter().find(|expected| expected.name == name)
    }
}

/// Tables, and what is wrong with them.
#[derive(Debug, Default)]
pub struct Report {
    pub tables: String,
    pub complaints: Vec<String>,
}

impl Report {
    pub fn new(seen: &[(Place, Outcome)], expected: &Expectations) -> Self {
        let mut report = Self::default();
        let mut defects: Vec<&str> = Vec::new();
        let cells: Vec<&Place> = seen.iter().map(|(place, _)| place).collect();
        let marks: Vec<String> = seen
            .iter()
            .map(|(cell, outcome)| match (outcome, expected.find(cell)) {
                (Outcome::Green, None) => "yes".to_owned(),
                (Outcome::Green, Some(_)) => {
                    report.complaints.push(format!("{cell}: is green; take it out of expected.toml"));
                    "yes".to_owned()
                }
                (Outcome::Red(_), Some(expected)) => {
                    let at = defects.iter().position(|defect| *defect == expected.defect).unwrap_or_else(|| {
                        defects.push(&expected.defect);
                        defects.len() - 1
                    });
                    format!("no ({})", at + 1)
                }
                (Outcome::Red(why), None) => {
                    report.complaints.push(format!("{cell}: {why}"));
                    "**no**".to_owned()
                }
            })
            .collect();
        for name in &expected.cell {
            if !cells.iter().any(|cell| cell.to_string() == name.name) {
                report.complaints.push(format!("expected.toml names {}, which is no cell", name.name));
            }
        }
        for table in distinct(cells.iter().map(|cell| cell.0[0].as_str())) {
            report.table(table, &cells, &marks);
        }
        for (at, defect) in defects.iter().enumerate() {
            let _ = writeln!(report.tables, "({}) {}\n", at + 1, defect.trim());
        }
        report.tables = report.tables.trim_end().to_owned();
        report
    }

    fn table(&mut self, name: &str, cells: &[&Place], marks: &[String]) {
        let inside: Vec<_> = cells.iter().zip(marks).filter(|(cell, _)| cell.0[0] == name).collect();
        let columns = distinct(inside.iter().map(|(cell, _)| cell.0[2].as_str()));
        let out = &mut self.tables;
        let _ = writeln!(out, "| {name} | {} |", columns.join(" | "));
        let _ = writeln!(out, "|---|{}", "---|".repeat(columns.len()));
        for row in distinct(inside.iter().map(|(cell, _)| cell.0[1].as_str())) {
            let mark = |column: &&str| {
                let found = inside.iter().find(|(cell, _)| cell.0[1] == row && cell.0[2] == **column);
                found.map_or("-", |(_, mark)| mark.as_str()).to_owned()
            };
            let _ = writeln!(out, "| {row} | {} |", columns.iter().map(mark).collect::<Vec<_>>().join(" | "));
        }
        let _ = writeln!(out);
    }

    /// Compares the document's tables with these.
    pub fn compare(&mut self, document: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(document).with_context(|| document.display().to_string())?;
        let (_, told, _) = split(&text)?;
        if told.trim() != self.tables {
            let advice = "run `just interop --write` and commit what it wrote";
            self.complaints.push(format!("{} does not show what was measured: {advice}", document.display()));
        }
        Ok(())
    }

    /// Writes these into the document.
    pub fn write(&self, document: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(document).with_context(|| document.display().to_string())?;
        let (before, _, after) = split(&text)?;
        Ok(std::fs::write(document, format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", self.tables))?)
    }
}

/// What is before, between and after the marks.
fn split(text: &str) -> anyhow::Result<(&str, &str, &str)> {
    let (before, rest) = text.split_once(BEGIN).context("the document has no place for the matrix")?;
    let (told, after) = rest.split_once(END).context("the document's matrix has no end")?;
    Ok((before, told, after))
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    names.fold(Vec::new(), |mut seen, name| {
        if !seen.contains(&name) {
            seen.push(name);
        }
        seen
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seen(outcomes: &[Outcome]) -> Vec<(Place, Outcome)> {
        let columns = ["A128GCM", "A256GCM"].into_iter().zip(outcomes);
        columns.map(|(cipher, outcome)| (Place::new("table", "ec256", cipher), outcome.clone())).collect()
    }

    fn expecting(name: &str) -> Expectations {
        Expectations { cell: vec![Expected { name: name.to_owned(), defect: "it is wrong".to_owned() }] }
    }

    #[test]
    fn a_red_cell_is_a_complaint_unless_it_is_the_peers_fault() {
        let seen = seen(&[Outcome::Green, Outcome::Red("seen".to_owned())]);
        let red = Report::new(&seen, &Expectations::default());
        assert!(red.complaints.len() == 1 && red.complaints[0].contains("seen"), "{red:?}");
        let excused = Report::new(&seen, &expecting(&seen[1].0.to_string()));
        assert!(excused.complaints.is_empty() && excused.tables.contains("(1) it is wrong"), "{excused:?}");
    }

    #[test]
    fn an_expected_failure_that_is_green_or_no_cell_is_a_complaint() {
        let seen = seen(&[Outcome::Green]);
        let green = Report::new(&seen, &expecting(&seen[0].0.to_string()));
        assert!(green.complaints[0].contains("is green"), "{green:?}");
        let nothing = Report::new(&seen, &expecting("no / such / cell"));
        assert!(nothing.complaints[0].contains("no cell"), "{nothing:?}");
    }

    #[test]
    fn the_document_is_held_against_what_was_measured() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("before\n{BEGIN}\nold\n{END}\nafter\n")).unwrap();
        let mut report = Report::new(&seen(&[Outcome::Green]), &Expectations::default());
        report.compare(file.path()).unwrap();
        assert_eq!(report.complaints.len(), 1);
        report.write(file.path()).unwrap();
        report.complaints.clear();
        report.compare(file.path()).unwrap();
        assert!(report.complaints.is_empty(), "{report:?}");
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.starts_with("before\n") && text.ends_with("\nafter\n"), "{text}");
    }
}
