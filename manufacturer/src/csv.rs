//! Lists as CSV (RFC 4180): a header line that names the columns, quoted fields where needed, bounded.

/// Rows of one file.
const MAX_ROWS: usize = 100_000;

/// A list that cannot be read; the text names the line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsvError {
    #[error("the file is empty; its first line must name the columns, such as: {0}")]
    Empty(String),
    #[error("unknown column {0:?}; known ones are: {1}")]
    Column(String, String),
    #[error("the column {0:?} is missing")]
    Missing(&'static str),
    #[error("line {0}: {1}")]
    Line(usize, &'static str),
    #[error("more than {MAX_ROWS} rows; split the file")]
    TooLong,
}

/// One row: its line in the file, and the fields in the order in which the columns were asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Row<const N: usize> {
    pub line: usize,
    pub fields: [Option<String>; N],
}

/// Reads a file whose columns, in any order, are among `columns`; the first of these must be there.
pub fn parse<const N: usize>(text: &str, columns: [&'static str; N]) -> Result<Vec<Row<N>>, CsvError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let known = columns.join(",");
    let (_, header) = lines.next().ok_or_else(|| CsvError::Empty(known.clone()))?;
    let mut places = Vec::new();
    for name in fields(1, header)? {
        let name = name.trim().to_ascii_lowercase();
        let place = columns.iter().position(|column| *column == name);
        places.push(place.ok_or_else(|| CsvError::Column(name, known.clone()))?);
    }
    if !places.contains(&0) {
        return Err(CsvError::Missing(columns[0]));
    }
    let mut rows = Vec::new();
    for (index, line) in lines {
        if rows.len() == MAX_ROWS {
            return Err(CsvError::TooLong);
        }
        let line_number = index + 1;
        let values = fields(line_number, line)?;
        if values.len() != places.len() {
            return Err(CsvError::Line(line_number, "it has another number of fields than the first line"));
        }
        let mut row = Row { line: line_number, fields: [const { None }; N] };
        for (place, value) in places.iter().zip(values) {
            let value = value.trim();
            row.fields[*place] = (!value.is_empty()).then(|| value.to_owned());
        }
        rows.push(row);
    }
    Ok(rows)
}

fn fields(number: usize, line: &str) -> Result<Vec<String>, CsvError> {
    let mut all = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.trim().is_empty() => {
                field.clear();
                quoted = true;
            }
            '"' => return Err(CsvError::Line(number, "a quote stands inside a field that is not quoted")),
            ',' if !quoted => all.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    if quoted {
        return Err(CsvError::Line(number, "a quote is not closed; fields over several lines are not read"));
    }
    all.push(field);
    Ok(all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_in_any_order_and_quotes_are_read() {
        let rows = parse("Model,serial\r\n\"a, \"\"b\"\"\",S-1\r\n\r\n,S-2\r\n", ["serial", "model"]).unwrap();
        assert_eq!(rows[0].fields, [Some("S-1".to_owned()), Some("a, \"b\"".to_owned())]);
        assert_eq!((rows[1].line, &rows[1].fields), (4, &[Some("S-2".to_owned()), None]));
    }

    #[test]
    fn wrong_files_are_told_by_line() {
        assert!(matches!(parse("", ["serial"]), Err(CsvError::Empty(_))));
        assert!(matches!(parse("sreial\n", ["serial"]), Err(CsvError::Column(..))));
        assert_eq!(parse("model\n", ["serial", "model"]), Err(CsvError::Missing("serial")));
        assert!(matches!(parse("serial\na,b\n", ["serial"]), Err(CsvError::Line(2, _))));
        assert!(matches!(parse("serial\n\"a\n", ["serial"]), Err(CsvError::Line(2, _))));
    }
}
