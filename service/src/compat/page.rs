//! Lists by `?limit=` (1 to 100, default 20) and `?offset=`.

use serde::Deserialize;

use super::refusal::Refusal;

const DEFAULT_LIMIT: u64 = 20;
const MAX_LIMIT: u64 = 100;

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub limit: u64,
    pub offset: u64,
}

/// The two parameters as they came.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct WindowQuery {
    pub limit: Option<u64>,
    pub offset: Option<u64>,
}

impl WindowQuery {
    /// With their defaults, and checked.
    pub fn window(self) -> Result<Window, Refusal> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Refusal::bad_request("limit", format!("`limit` must be between 1 and {MAX_LIMIT}.")));
        }
        let offset = self.offset.unwrap_or_default();
        let largest = i64::MAX.unsigned_abs();
        if offset > largest {
            return Err(Refusal::bad_request("offset", "`offset` is too large."));
        }
        Ok(Window { limit, offset })
    }
}

impl Window {
    /// This part of a list that is at hand as a whole.
    pub fn of<T>(self, all: Vec<T>) -> Vec<T> {
        let number = |value| usize::try_from(value).unwrap_or(usize::MAX);
        all.into_iter().skip(number(self.offset)).take(number(self.limit)).collect()
    }
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SortOrder {
    #[default]
    Asc,
    Desc,
}
