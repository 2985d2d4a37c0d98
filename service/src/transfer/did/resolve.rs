//! Fetches a document: https only, guarded addresses, no redirects, 64 KiB, 10 s.

use super::{Did, DidError, Document};
use crate::outbound::Guard;
use crate::transfer::client::{self, ServerKey};

const LIMIT: usize = 64 * 1024;

/// The document of a DID. `pin` is the SHA-256 of the TLS key that its web server must show, where somebody has told
/// it; without it, the server is held to the public CAs.
pub async fn resolve(guard: &Guard, did: &Did, pin: Option<[u8; 32]>) -> Result<Document, DidError> {
    match did {
        Did::Key { text, key } => {
            Ok(Document { id: text.clone(), keys: vec![key.clone()], push_root: None, pull_root: None })
        }
        Did::Web { text, url } => {
            let server = pin.map_or(ServerKey::PublicCa, ServerKey::Pinned);
            let bytes = client::fetch(guard, url, server, LIMIT).await?;
            Document::parse(text, &bytes)
        }
    }
}
