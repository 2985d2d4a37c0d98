//! Lists in pages: `?limit=` (1 to 1000, default 100) and an opaque `cursor`; answers `{items, next}`.

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;

/// What a caller asks for.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PageQuery {
    pub limit: Option<u64>,
    pub cursor: Option<String>,
}

impl PageQuery {
    /// How many items to return; fetch one more to know whether there is a next page.
    pub fn limit(&self) -> Result<u64, Problem> {
        match self.limit {
            None => Ok(DEFAULT_LIMIT),
            Some(limit @ 1..=MAX_LIMIT) => Ok(limit),
            Some(_) => Err(Problem::bad_request("limit", format!("`limit` must be between 1 and {MAX_LIMIT}."))),
        }
    }

    /// The key that the page begins after.
    pub fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, Problem> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let key = Base64UrlUnpadded::decode_vec(cursor).ok().and_then(|json| serde_json::from_slice(&json).ok());
        key.map(Some)
            .ok_or_else(|| Problem::bad_request("cursor", "`cursor` must be the `next` of an earlier page."))
    }
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// From rows fetched with `limit + 1`; `key` is what the next page begins after.
    pub fn from_rows<K: Serialize>(mut rows: Vec<T>, limit: u64, key: impl FnOnce(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).and_then(|last| serde_json::to_vec(&key(last)).ok());
        Self { items: rows, next: next.map(|json| Base64UrlUnpadded::encode_string(&json)) }
    }

    /// The same page of other items.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_to_the_next_page() {
        let page = Page::from_rows(vec![1, 2, 3], 2, |last| *last);
        assert_eq!(page.items, [1, 2]);
        let query = PageQuery { cursor: page.next, ..PageQuery::default() };
        assert_eq!(query.after::<i32>().unwrap(), Some(2));
        assert!(query.after::<String>().is_err());
        assert!(Page::from_rows(vec![1, 2], 2, |last| *last).next.is_none());
        assert!(PageQuery { limit: Some(0), cursor: None }.limit().is_err());
        assert!(PageQuery { limit: Some(1001), cursor: None }.limit().is_err());
    }
}
