//! The whole list in one answer, a part at a time, so that a million rows need no more memory than a thousand.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::routes::CertificateView;
use super::store::WITHOUT_END;
use super::{Filter, store};
use crate::app::App;
use fdo_service::database::DbErr;

/// Rows that are read at a time.
const ROWS: u64 = 2_000;

/// The form of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Csv,
    /// One array.
    Json,
}

/// Where an export stands.
pub struct Export {
    filter: Filter,
    format: Format,
    now: u64,
    after: Option<(u64, String)>,
    begun: bool,
    ended: bool,
}

impl Export {
    pub fn new(filter: Filter, format: Format, now: u64) -> Self {
        Self { filter, format, now, after: None, begun: false, ended: false }
    }

    /// The next part of the text; none after the last.
    pub async fn next(&mut self, app: &App) -> Result<Option<String>, DbErr> {
        if self.ended {
            return Ok(None);
        }
        let rows = store::list(&app.db, &self.filter, self.after.take(), ROWS, self.now).await?;
        let mut text = String::new();
        if !self.begun {
            text.push_str(match self.format {
                Format::Csv => HEAD,
                Format::Json => "[",
            });
        }
        for (place, row) in rows.iter().enumerate() {
            let first = !self.begun && place == 0;
            let view = CertificateView::new(row.clone(), self.now);
            match self.format {
                Format::Csv => csv(&mut text, &view),
                Format::Json => {
                    text.push_str(if first { "\n" } else { ",\n" });
                    text.push_str(&serde_json::to_string(&view).map_err(|error| DbErr::Json(error.to_string()))?);
                }
            }
        }
        self.begun = true;
        self.ended = (rows.len() as u64) < ROWS;
        if self.ended && self.format == Format::Json {
            text.push_str("\n]\n");
        }
        self.after = rows.last().map(|last| (last.not_after, last.fingerprint.clone()));
        Ok(Some(text))
    }
}

const HEAD: &str = "fingerprint,source,status,subject,issuer,serial,not_before,not_after,key_type,ca,device_serial,\
                    device_id,guid,profile,name,reason,first_seen,last_seen\r\n";

fn csv(text: &mut String, view: &CertificateView) {
    let date = |seconds: u64| {
        let time =
            i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
    };
    let maybe = |text: &Option<String>| text.clone().unwrap_or_default();
    let cells = [
        view.fingerprint.clone(),
        view.source.to_string(),
        view.status.to_string(),
        view.subject.clone(),
        view.issuer.clone(),
        view.serial.clone(),
        view.not_before.map(date).unwrap_or_default(),
        view.not_after.map(|end| date(end.min(WITHOUT_END))).unwrap_or_default(),
        view.key_type.clone(),
        view.is_ca.to_string(),
        maybe(&view.device_serial),
        maybe(&view.device_id),
        maybe(&view.guid),
        maybe(&view.profile),
        maybe(&view.name),
        maybe(&view.reason),
        date(view.first_seen),
        date(view.last_seen),
    ];
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        write_cell(text, cell);
    }
    text.push_str("\r\n");
}

/// Names come from strangers, and spreadsheets run what begins like a formula (CWE-1236): such a cell gets an apostrophe.
fn write_cell(text: &mut String, cell: &str) {
    let formula =
        cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
    let quoted = cell.contains([',', '"', '\r', '\n']);
    let guard = if formula { "'" } else { "" };
    // Writing to a String cannot fail.
    let _ = match quoted {
        true => write!(text, "\"{guard}{}\"", cell.replace('"', "\"\"")),
        false => write!(text, "{guard}{cell}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        for (cell, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=1+1", "'=1+1"),
            ("+49", "'+49"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
            ("\tx", "'\tx"),
            ("", ""),
        ] {
            let mut text = String::new();
            write_cell(&mut text, cell);
            assert_eq!(text, written);
        }
    }
}
