//! Claiming for buyers whose client only pulls (voucher transfer, section 9.6, `claim_on_allocate`): what is allocated
//! to them is extended to their key as soon as it is made.

use std::net::{IpAddr, Ipv4Addr};

use super::{Asked, ClaimError, Claimant, Claims, store};
use crate::buyers;

/// So many at a time, that nothing else waits long.
const BATCH: u64 = 100;

impl Claims {
    /// Extends what is allocated and made to its buyer's key of the voucher's type. Replicas may do this at once: the
    /// device's row is locked, and a second claim gets the first one's bytes. Says how many there were.
    pub async fn claim_allocated(&self) -> Result<u64, ClaimError> {
        let mut count = 0;
        for waiting in store::allocated(&self.db, BATCH).await? {
            let buyer = buyers::get(&self.db, &waiting.buyer_id).await?;
            let claimant = Claimant { key: waiting.key, fingerprint: waiting.fingerprint, buyer };
            let asked = Asked { serial: waiting.serial, model: None, expect_guid: None };
            let here = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            match self.decide(&claimant, &asked, "claim-on-allocate", here).await? {
                Ok(_) => count += 1,
                Err(denied) => {
                    tracing::info!(serial = asked.serial, ?denied, "an allocated device is not claimed");
                }
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{Maker, key};
    use crate::db::Migrator;
    use fdo_protocol::crypto::KeyType;
    use fdo_service::db::testing::TestDatabase;

    #[tokio::test]
    async fn what_is_allocated_and_made_is_extended_once_to_a_key_that_fits() {
        for db in TestDatabase::all::<Migrator>().await {
            let maker = Maker::new(&db);
            let owner = key(KeyType::P256);
            maker.buyer("Acme", &[&owner]).await;
            maker.device("FL-256", Some(KeyType::P256)).await;
            maker.device("FL-384", Some(KeyType::P384)).await;
            maker.device("FL-NEW", None).await;
            maker.device("FL-FREE", Some(KeyType::P256)).await;
            maker.allocate(&["FL-256", "FL-384", "FL-NEW"], "Acme").await;
            assert_eq!(maker.claims.claim_allocated().await.unwrap(), 1, "{}", db.name());
            assert_eq!(maker.claims.claim_allocated().await.unwrap(), 0, "once");
            let claims = maker.claims.list(None, 10).await.unwrap();
            assert_eq!(claims.iter().map(|claim| claim.serial.as_str()).collect::<Vec<_>>(), ["FL-256"]);
        }
    }
}
