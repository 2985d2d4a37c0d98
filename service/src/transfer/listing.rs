//! `GET Q` (section 4): which vouchers are listed, in pages whose continuation is sealed, ends, and fits one key only.

use base64ct::{Base64UrlUnpadded, Encoding};
use fdo_protocol::Guid;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::refusal::Refusal;
use super::{parse_timestamp, timestamp, voucher_id};
use crate::host::random::Random;
use crate::sessions::SealingKey;

const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;
const CONTINUATION_SECONDS: u64 = 3600;

/// The query of `GET Q`; what is not known is passed over.
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    pub limit: Option<u64>,
    pub continuation: Option<String>,
    pub since: Option<String>,
    pub until: Option<String>,
    pub status: Option<String>,
    pub fields: Option<String>,
}

/// Which vouchers to list, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    pub since: Option<u64>,
    pub until: Option<u64>,
    /// The voucher after which to begin: when it was made, and its GUID.
    pub after: Option<(u64, String)>,
    /// Only those that were not downloaded.
    pub pending: bool,
    /// One more than the page has, so that it is seen whether another one follows.
    pub limit: u64,
}

/// A voucher as the holder's tables have it.
#[derive(Clone, Debug)]
pub struct Listed {
    pub guid: Guid,
    pub serial: String,
    pub model: String,
    pub downloaded: bool,
    pub created: u64,
    pub size: usize,
    pub checksum: String,
}

/// The answer to `GET Q`.
#[derive(Debug, Serialize)]
pub struct VoucherList {
    vouchers: Vec<Map<String, Value>>,
    has_more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation: Option<String>,
}

/// What a continuation holds: the whole question with its new beginning, and its end.
#[derive(Serialize, Deserialize)]
struct Held {
    wanted: Wanted,
    expires: u64,
}

/// Makes and reads continuations.
pub struct Continuations {
    key: SealingKey,
    random: Random,
}

impl Continuations {
    pub fn new(key: &SealingKey, random: Random) -> Self {
        Self { key: key.derive("voucher transfer continuations"), random }
    }

    /// What a query of the holder of this key asks for.
    pub fn wanted(&self, query: &ListQuery, fingerprint: &str, now: u64) -> Result<Wanted, Refusal> {
        let time = |text: &Option<String>| {
            let parse =
                |text: &String| parse_timestamp(text).ok_or_else(|| Refusal::bad_request("times are RFC 3339"));
            text.as_ref().map(parse).transpose()
        };
        let (since, until) = (time(&query.since)?, time(&query.until)?);
        let pending = match query.status.as_deref() {
            None | Some("" | "all" | "downloaded") => false,
            Some("pending") => true,
            Some(_) => return Err(Refusal::bad_request("`status` is pending, downloaded or all")),
        };
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) + 1;
        let Some(text) = query.continuation.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(Wanted { since, until, after: None, pending, limit });
        };
        let foreign = || Refusal::bad_request("`continuation` is not of this key; begin again");
        let sealed = Base64UrlUnpadded::decode_vec(text).map_err(|_| foreign())?;
        let opened = self.key.open(fingerprint.as_bytes(), &sealed).map_err(|_| foreign())?;
        let held: Held = serde_json::from_slice(&opened).map_err(|_| foreign())?;
        if now >= held.expires {
            return Err(Refusal::bad_request("`continuation` has ended; begin again with `since`"));
        }
        // Filters may be repeated or left out, not changed on the way.
        let differs = |asked: Option<u64>, kept: Option<u64>| asked.is_some() && asked != kept;
        if differs(since, held.wanted.since)
            || differs(until, held.wanted.until)
            || query.status.is_some() && pending != held.wanted.pending
        {
            return Err(Refusal::bad_request("`continuation` goes on with other filters; begin again"));
        }
        Ok(Wanted { limit: query.limit.map_or(held.wanted.limit, |_| limit), ..held.wanted })
    }

    /// A page out of the rows that were found for `wanted`.
    pub fn page(
        &self,
        mut rows: Vec<Listed>,
        wanted: &Wanted,
        fields: Option<&str>,
        fingerprint: &str,
        now: u64,
    ) -> VoucherList {
        let limit = usize::try_from(wanted.limit.saturating_sub(1)).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let continuation = rows.last().filter(|_| has_more).map(|last| {
            let after = Some((last.created, last.guid.to_string()));
            let held = Held { wanted: Wanted { after, ..wanted.clone() }, expires: now + CONTINUATION_SECONDS };
            let plain = serde_json::to_vec(&held).unwrap_or_default();
            let sealed = self.key.seal(fingerprint.as_bytes(), &plain, &mut self.random.rng());
            Base64UrlUnpadded::encode_string(&sealed)
        });
        let fields: Option<Vec<&str>> = fields.map(|list| list.split(',').map(str::trim).collect());
        let vouchers = rows.iter().map(|row| item(row, fields.as_deref())).collect();
        VoucherList { vouchers, has_more, continuation }
    }
}

/// One voucher in the spellings of both drafts; with `fields`, only those that it names, and always the id.
fn item(row: &Listed, fields: Option<&[&str]>) -> Map<String, Value> {
    let status = if row.downloaded { "downloaded" } else { "pending" };
    let all: [(&str, Value); 10] = [
        ("voucher_id", voucher_id(&row.guid).into()),
        ("serial", row.serial.as_str().into()),
        ("serial_number", row.serial.as_str().into()),
        ("model", row.model.as_str().into()),
        ("model_number", row.model.as_str().into()),
        ("device_info", row.model.as_str().into()),
        ("status", status.into()),
        ("created_at", timestamp(row.created).into()),
        ("size_bytes", row.size.into()),
        ("checksum", row.checksum.as_str().into()),
    ];
    let wanted = |name: &str| name == "voucher_id" || fields.is_none_or(|fields| fields.contains(&name));
    all.into_iter().filter(|(name, _)| wanted(name)).map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn row(number: u8) -> Listed {
        let guid = Guid::from_bytes([number; 16]);
        let (serial, model) = (format!("SN-{number}"), "lamp".to_owned());
        Listed { guid, serial, model, downloaded: false, created: 100, size: 3, checksum: "sha256:00".into() }
    }

    #[test]
    fn a_continuation_is_of_one_key_one_question_and_one_hour() {
        let continuations = Continuations::new(&SealingKey::new([1; 32]), Random::seeded(1));
        let query = ListQuery {
            limit: Some(2),
            since: Some("1970-01-01T00:00:01Z".into()),
            status: Some("pending".into()),
            ..ListQuery::default()
        };
        let wanted = continuations.wanted(&query, "mine", 0).unwrap();
        assert_eq!((wanted.since, wanted.pending, wanted.limit), (Some(1), true, 3));
        let page = continuations.page(vec![row(1), row(2), row(3)], &wanted, None, "mine", 0);
        assert!(page.has_more && page.vouchers.len() == 2);
        assert_eq!(page.vouchers[0]["serial"], page.vouchers[0]["serial_number"]);
        let next = ListQuery { continuation: page.continuation, ..ListQuery::default() };
        let again = continuations.wanted(&next, "mine", 3599).unwrap();
        assert_eq!(again, Wanted { after: Some((100, Guid::from_bytes([2; 16]).to_string())), ..wanted });
        for (other, now) in [("theirs", 0), ("mine", 3600)] {
            assert!(continuations.wanted(&next, other, now).is_err(), "{other} {now}");
        }
        let changed = ListQuery { since: Some("1970-01-01T00:00:02Z".into()), ..next };
        assert!(continuations.wanted(&changed, "mine", 0).is_err());
        let forged = ListQuery { continuation: Some("AAAA".into()), ..ListQuery::default() };
        assert!(continuations.wanted(&forged, "mine", 0).is_err());
        let last = continuations.page(vec![row(3)], &again, None, "mine", 0);
        assert!(!last.has_more && last.continuation.is_none());
    }

    #[test]
    fn fields_are_chosen_and_the_id_is_always_there() {
        let item = item(&row(1), Some(&["serial", "no such"]));
        assert_eq!(item.keys().collect::<Vec<_>>(), ["serial", "voucher_id"]);
    }
}
