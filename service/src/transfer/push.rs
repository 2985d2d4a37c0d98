//! One pushed voucher on the wire (section 3): a multipart body, written by the holder and read by the recipient.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use actix_web::{HttpRequest, web};
use fdo_protocol::voucher::Voucher;
use futures_util::stream;
use multer::{Constraints, Field, Multipart, SizeLimit};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use super::{VOUCHER, VOUCHER_LIMIT, body, parse_timestamp, timestamp};

/// The parts beside the voucher, and the boundaries between them.
const FRAME: usize = 16 * 1024;
const MOST_PARTS: usize = 16;
const TEXT: usize = 256;

/// A voucher with what its holder says about it; no signature covers that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    pub bytes: Vec<u8>,
    /// The GUID that the holder says it has, to be compared with the voucher's.
    pub guid: Option<String>,
    pub serial: Option<String>,
    pub model: Option<String>,
    pub manufacturer: Option<String>,
    pub timestamp: Option<u64>,
}

/// The answer to a push.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PushAnswer {
    pub status: String,
    #[serde(default)]
    pub voucher_id: String,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub timestamp: String,
}

impl Pushed {
    /// The body of a push, and its media type.
    pub fn to_body(&self, rng: &mut dyn CryptoRng) -> (String, Vec<u8>) {
        let mut random = [0_u8; 16];
        rng.fill_bytes(&mut random);
        let boundary = format!("voucher-{}", hex::encode(random));
        let name = self.guid.as_deref().unwrap_or("voucher");
        let mut body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"voucher\"; filename=\"{name}.fdoov\"\r\n\
             Content-Type: {VOUCHER}\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(&self.bytes);
        let at = self.timestamp.map(timestamp);
        let texts = [
            ("guid", self.guid.as_ref()),
            ("serial", self.serial.as_ref()),
            ("model", self.model.as_ref()),
            ("manufacturer", self.manufacturer.as_ref()),
            ("timestamp", at.as_ref()),
        ];
        for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text?))) {
            // A control character could end the part; the receiver refuses it anyway.
            let text = super::said(text, TEXT);
            let part =
                format!("\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}");
            body.extend_from_slice(part.as_bytes());
        }
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        (format!("multipart/form-data; boundary={boundary}"), body)
    }

    /// Reads a push. Call it only when the sender is known: it holds up to 10 MiB.
    pub async fn read(request: &HttpRequest, body: web::Payload) -> Result<Self, Refusal> {
        if request.headers().get(CONTENT_ENCODING).is_some_and(|value| value != "identity") {
            return Err(body::unsupported("send the body without a content encoding"));
        }
        let named = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !body::media_type(request).is_some_and(|named| named.eq_ignore_ascii_case("multipart/form-data")) {
            return Err(body::unsupported("send multipart/form-data with a part `voucher`"));
        }
        let boundary = multer::parse_boundary(named)
            .map_err(|_| Refusal::bad_request("multipart/form-data needs a boundary"))?;
        let bytes = body::read(body, VOUCHER_LIMIT + FRAME).await?;
        Self::parse(bytes, boundary).await
    }

    async fn parse(body: web::Bytes, boundary: String) -> Result<Self, Refusal> {
        let whole = stream::once(async move { Ok::<_, std::convert::Infallible>(body) });
        let limits = SizeLimit::new().for_field("voucher", VOUCHER_LIMIT as u64).per_field(FRAME as u64);
        let mut parts = Multipart::with_constraints(whole, boundary, Constraints::new().size_limit(limits));
        let (mut pushed, mut voucher) = (Self::default(), None);
        let mut count = 0;
        while let Some(part) = parts.next_field().await.map_err(|error| malformed(&error))? {
            count += 1;
            if count > MOST_PARTS {
                return Err(Refusal::bad_request("the body has too many parts"));
            }
            let name = part.name().unwrap_or_default().to_owned();
            match name.as_str() {
                "voucher" => {
                    known_type(&part)?;
                    let bytes = part.bytes().await.map_err(|error| malformed(&error))?;
                    once(&mut voucher, bytes.to_vec(), &name)?;
                }
                "serial" => once(&mut pushed.serial, text(part).await?, &name)?,
                "model" => once(&mut pushed.model, text(part).await?, &name)?,
                "manufacturer" => once(&mut pushed.manufacturer, text(part).await?, &name)?,
                "guid" => once(&mut pushed.guid, text(part).await?, &name)?,
                "timestamp" => {
                    let at = parse_timestamp(&text(part).await?);
                    let at = at.ok_or_else(|| Refusal::bad_request("`timestamp` is RFC 3339"))?;
                    once(&mut pushed.timestamp, at, &name)?;
                }
                // Parts of later drafts are passed over; their size is bounded.
                _ => drop(part.bytes().await.map_err(|error| malformed(&error))?),
            }
        }
        let file = voucher.ok_or_else(|| Refusal::bad_request("there is no part `voucher`"))?;
        pushed.bytes = one_voucher(&file)?;
        for text in [&mut pushed.serial, &mut pushed.model, &mut pushed.manufacturer, &mut pushed.guid] {
            *text = text.take().filter(|text| !text.is_empty());
        }
        Ok(pushed)
    }
}

/// The one voucher of a file, in CBOR or PEM.
fn one_voucher(file: &[u8]) -> Result<Vec<u8>, Refusal> {
    let start = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let found = Voucher::bodies_in_file(start);
    let mut bodies = found.map_err(|error| Refusal::bad_request(&format!("the part `voucher`: {error}")))?;
    match (bodies.pop(), bodies.is_empty()) {
        (Some(body), true) => Ok(body),
        _ => Err(Refusal::bad_request("push one voucher at a time")),
    }
}

fn once<T>(place: &mut Option<T>, value: T, name: &str) -> Result<(), Refusal> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::bad_request(&format!("there are two parts `{name}`"))),
    }
}

fn known_type(part: &Field<'_>) -> Result<(), Refusal> {
    match part.content_type().map(actix_web::mime::Mime::essence_str) {
        None | Some(VOUCHER | "application/octet-stream" | "application/x-pem-file") => Ok(()),
        Some(_) => Err(body::unsupported("the part `voucher` is application/x-fdo-voucher")),
    }
}

async fn text(part: Field<'_>) -> Result<String, Refusal> {
    let name = part.name().unwrap_or_default().to_owned();
    let bytes = part.bytes().await.map_err(|error| malformed(&error))?;
    let text = std::str::from_utf8(&bytes).ok().map(str::trim);
    match text.filter(|text| text.chars().count() <= TEXT && !text.chars().any(char::is_control)) {
        Some(text) => Ok(text.to_owned()),
        None => Err(Refusal::bad_request(&format!(
            "`{name}` has at most {TEXT} characters, none of them a control character"
        ))),
    }
}

fn malformed(error: &multer::Error) -> Refusal {
    match error {
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "a voucher has at most 10 MiB")
        }
        error => Refusal::bad_request(&format!("the multipart body: {error}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::host::random::Random;

    async fn parse(pushed: &Pushed, change: impl Fn(String) -> String) -> Result<Pushed, Refusal> {
        let (media_type, body) = pushed.to_body(&mut Random::seeded(1).rng());
        let boundary = multer::parse_boundary(media_type).unwrap();
        // The bytes are Latin-1 to this test, so that a text can be changed in them.
        let changed = change(body.iter().map(|byte| char::from(*byte)).collect());
        let body: Vec<u8> = changed.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        Pushed::parse(body.into(), boundary).await
    }

    fn sent() -> Pushed {
        Pushed {
            bytes: vec![0x85, 13, 10, 45, 45],
            guid: Some("00".repeat(16)),
            serial: Some("SN 1".into()),
            model: Some("lamp".into()),
            manufacturer: None,
            timestamp: Some(1_700_000_000),
        }
    }

    #[tokio::test]
    async fn what_is_written_is_read_again() {
        assert_eq!(parse(&sent(), |body| body).await.unwrap(), sent());
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused() {
        type Change = fn(String) -> String;
        let changes: [(&str, Change); 7] = [
            ("no voucher", |body| body.replace("name=\"voucher\"", "name=\"other\"")),
            ("two serials", |body| body.replace("name=\"model\"", "name=\"serial\"")),
            ("a control character", |body| body.replace("SN 1", "SN\u{7}1")),
            ("a long text", |body| body.replace("SN 1", &"x".repeat(257))),
            ("no end", |body| body.trim_end().trim_end_matches('-').to_owned()),
            ("neither CBOR nor PEM", |body| body.replace('\u{85}', "\u{84}")),
            ("no time", |body| body.replace("2023-", "x-")),
        ];
        for (what, change) in changes {
            assert_eq!(parse(&sent(), change).await.unwrap_err().status(), 400, "{what}");
        }
        let other = parse(&sent(), |body| body.replace(VOUCHER, "text/html")).await;
        assert_eq!(other.unwrap_err().status(), 415);
        let long = Pushed { bytes: vec![0x85; VOUCHER_LIMIT + 1], ..Pushed::default() };
        assert_eq!(parse(&long, |body| body).await.unwrap_err().status(), 413);
    }
}
