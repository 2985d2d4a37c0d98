//! What an EST service answered, in HTTP's terms, and what that means.

use time::OffsetDateTime;
use time::PrimitiveDateTime;
use time::macros::format_description;

use super::EstError;

/// A sentence of the server is kept to so many characters.
const MAX_REASON: usize = 200;

/// An HTTP answer within its limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
    /// The header `Date`.
    pub date: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// What became of a request for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolled {
    /// Certificates, in DER, the device's own among them.
    Issued(Vec<Vec<u8>>),
    /// It is not decided yet; ask the same again after so many seconds, if the server says how many.
    Pending(Option<u64>),
}

impl Answer {
    /// The body of a 200; `None` for a 202.
    ///
    /// # Errors
    /// [`EstError::Busy`] where asking later may help, [`EstError::Refused`] where it does not.
    pub fn accepted(&self, now: u64) -> Result<Option<&[u8]>, EstError> {
        let reason = || reason(self.status, &self.body);
        let retry_after = self.retry_after.as_deref().and_then(|text| seconds(text, now));
        match self.status {
            200 => Ok(Some(&self.body)),
            202 => Ok(None),
            429 | 500.. => Err(EstError::Busy { status: self.status, reason: reason(), retry_after }),
            400..500 => Err(EstError::Refused { status: self.status, reason: reason() }),
            _ => Err(EstError::Unusable(format!("HTTP status {}", self.status))),
        }
    }

    /// The seconds of `Retry-After`, if the server says so.
    pub fn retry_seconds(&self, now: u64) -> Option<u64> {
        seconds(self.retry_after.as_deref()?, now)
    }

    /// The server's time, unix seconds.
    pub fn server_time(&self) -> Option<u64> {
        http_date(self.date.as_deref()?)
    }
}

/// `Retry-After` is a number of seconds or a date.
fn seconds(text: &str, now: u64) -> Option<u64> {
    let text = text.trim();
    text.parse().ok().or_else(|| http_date(text).map(|at| at.saturating_sub(now)))
}

fn http_date(text: &str) -> Option<u64> {
    let format =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    let at: OffsetDateTime = PrimitiveDateTime::parse(text.trim(), &format).ok()?.assume_utc();
    u64::try_from(at.unix_timestamp()).ok()
}

/// What the server says of it, for people: its text, or the detail of its problem document.
fn reason(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * 1024)]);
    let detail = serde_json::from_slice::<serde_json::Value>(body).ok();
    let detail = detail.as_ref().and_then(|problem| problem.get("detail")?.as_str());
    let text = detail.unwrap_or(&text).trim();
    if text.is_empty() {
        return match status {
            401 => "it wants to know who asks".to_owned(),
            403 => "this device may not".to_owned(),
            404 => "there is no such service".to_owned(),
            _ => "it gives no reason".to_owned(),
        };
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_REASON).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_478_400;

    fn answer(status: u16, retry_after: Option<&str>, body: &str) -> Answer {
        Answer { status, retry_after: retry_after.map(str::to_owned), date: None, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn statuses_say_what_to_do_next() {
        assert_eq!(answer(200, None, "x").accepted(NOW).unwrap(), Some(&b"x"[..]));
        assert_eq!(answer(202, Some("5"), "").accepted(NOW).unwrap(), None);
        for (status, retry) in [(429, Some(7)), (503, None)] {
            let told = retry.map(|_| "7");
            let Err(EstError::Busy { retry_after, .. }) = answer(status, told, "").accepted(NOW) else { panic!() };
            assert_eq!(retry_after, retry);
        }
        let problem = r#"{"title":"Forbidden","detail":"the device is blocked\u001b[31m"}"#;
        for (body, said) in [("revoked\r\n", "revoked"), (problem, "the device is blocked [31m"), ("", "may not")]
        {
            let error = answer(403, None, body).accepted(NOW).unwrap_err();
            assert!(error.is_refusal() && error.to_string().contains(said), "{error}");
        }
        assert!(matches!(answer(302, None, "").accepted(NOW), Err(EstError::Unusable(_))));
        let long = answer(400, None, &"x".repeat(100_000)).accepted(NOW).unwrap_err().to_string();
        assert!(long.len() < 300);
    }

    #[test]
    fn retry_after_is_a_number_or_a_date() {
        let now = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(now, 784_111_777);
        assert_eq!(answer(202, Some("Sun, 06 Nov 1994 08:50:37 GMT"), "").retry_seconds(now), Some(60));
        assert_eq!(answer(202, Some("Sun, 06 Nov 1994 08:00:00 GMT"), "").retry_seconds(now), Some(0));
        assert_eq!(answer(202, Some(" 120 "), "").retry_seconds(now), Some(120));
        for text in ["", "soon", "-1", "99999999999999999999999"] {
            assert_eq!(answer(202, Some(text), "").retry_seconds(now), None, "{text}");
        }
    }
}
