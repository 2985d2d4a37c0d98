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
