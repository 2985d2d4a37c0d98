//! What rules read of other slices' rows, and what they note in the inventory.

use std::collections::BTreeMap;

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, Query};
use sea_orm::{Condition, JoinType, QueryOrder, QuerySelect};

use crate::alerts::schedule::Moment;
use crate::alerts::{Alert, FLEET, Kind};
use crate::config::AlertSettings;
use crate::db::entity::inventory_certificate::{Column, Entity};
use crate::db::entity::{alert, authority, certificate, crl, device, ocsp_responder, onboarding};
use crate::db::{signed, unsigned};
use crate::inventory::certificates::{Source, Standing};

const DAY: i64 = 86_400;

/// Says for each moment which certificates are looked at again then. What was withdrawn meanwhile stays so.
pub(super) async fn look_again(
    conn: &impl ConnectionTrait,
    next: &BTreeMap<Option<Moment>, Vec<String>>,
) -> Result<(), DbErr> {
    for (moment, fingerprints) in next {
        let at: Expr = match moment {
            None => Expr::value(None::<i64>),
            Some(Moment::Days(days)) => Expr::col(Column::NotAfter).sub(i64::from(*days) * DAY),
            Some(Moment::Ended) => Expr::col(Column::NotAfter).add(1_i64),
            Some(Moment::Late(percent)) => late_at(*percent),
        };
        for some in fingerprints.chunks(500) {
            Entity::update_many()
                .col_expr(Column::Attention, at.clone())
                .filter(Column::Fingerprint.is_in(some.iter().cloned()))
                .filter(Column::Attention.is_not_null())
                .exec(conn)
                .await?;
        }
    }
    Ok(())
}

/// When so many percent of a life are over.
fn late_at(percent: u8) -> Expr {
    let life = Expr::col(Column::NotAfter).sub(Expr::col(Column::NotBefore));
    Expr::col(Column::NotBefore).add(life.mul(i64::from(percent)).div(100_i64))
}

/// These are looked at in the next run.
pub(super) async fn look_now(conn: &impl ConnectionTrait, fingerprints: Vec<String>) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Attention, Expr::value(0_i64))
        .filter(Column::Fingerprint.is_in(fingerprints))
        .filter(Column::Status.eq(Standing::Active.name()))
        .exec(conn)
        .await
        .map(|_| ())
}

/// The open alerts of a kind that stand for many.
pub(super) async fn digests(conn: &impl ConnectionTrait, kind: Kind) -> Result<Vec<Alert>, DbErr> {
    let rows = alert::Entity::find()
        .filter(alert::Column::Closed.is_null())
        .filter(alert::Column::Kind.eq(kind.name()))
        .filter(alert::Column::Subject.eq(FLEET))
        .all(conn)
        .await?;
    rows.into_iter().map(Alert::try_from).collect()
}

/// The first certificates that an alert for many still stands for.
pub(super) async fn still(
    conn: &impl ConnectionTrait,
    settings: &AlertSettings,
    alert: &Alert,
    now: u64,
    limit: u64,
) -> Result<Vec<String>, DbErr> {
    let now = signed(now);
    let threshold = signed(alert.threshold) * DAY;
    let mut query = Entity::find().filter(Column::Status.eq(Standing::Active.name()));
    query = match alert.kind {
        Kind::CertificateExpired => query.filter(Column::NotAfter.lt(now)),
        Kind::RenewalOverdue => query
            .filter(Column::Source.eq(Source::Ldevid.name()))
            .filter(late_at(settings.renewal_overdue_percent).lte(now)),
        kind => {
            let within = query.filter(Column::NotAfter.gte(now)).filter(Column::NotAfter.lte(now + threshold));
            let life = Expr::col(Column::NotAfter).sub(Expr::col(Column::NotBefore));
            match kind {
                Kind::AuthorityExpires => within.filter(Column::Source.eq(Source::Authority.name())),
                _ => within
                    .filter(Column::Source.ne(Source::Authority.name()))
                    .filter(Column::Source.ne(Source::Ldevid.name()).or(life.gt(3 * threshold))),
            }
        }
    };
    query
        .select_only()
        .column(Column::Fingerprint)
        .order_by_asc(Column::NotAfter)
        .order_by_asc(Column::Fingerprint)
        .limit(limit)
        .into_tuple()
        .all(conn)
        .await
}

/// Whether a device was issued a certificate at that time or later, and has it.
pub(super) async fn has_newer(conn: &impl ConnectionTrait, device_id: &str, at: u64) -> Result<bool, DbErr> {
    use certificate::Column::{Created, DeviceId, Serial, Session, State};
    let newer: Option<String> = certificate::Entity::find()
        .select_only()
        .column(Serial)
        .filter(DeviceId.eq(device_id))
        .filter(Created.gte(signed(at)))
        .filter(State.eq("issued"))
        .filter(Session.is_null())
        .into_tuple()
        .one(conn)
        .await?;
    Ok(newer.is_some())
}

/// For so long a failed renewal of many devices is told of, unless there are more.
const DIGEST_SECONDS: i64 = 86_400;

/// Open alerts about renewals whose device has a newer certificate since, or is not to have one any more.
pub(super) async fn renewed(conn: &impl ConnectionTrait, now: u64, limit: u64) -> Result<Vec<Alert>, DbErr> {
    use alert::Column::{Last, Subject};
    let newer = Query::select()
        .expr(Expr::value(1))
        .from(certificate::Entity)
        .and_where(
            Expr::col((certificate::Entity, certificate::Column::DeviceId)).equals((alert::Entity, Subject)),
        )
        .and_where(Expr::col((certificate::Entity, certificate::Column::State)).eq("issued"))
        .and_where(Expr::col((certificate::Entity, certificate::Column::Session)).is_null())
        .and_where(
            Expr::col((certificate::Entity, certificate::Column::Created)).gte(Expr::col((alert::Entity, Last))),
        )
        .take();
    let ours = Query::select()
        .expr(Expr::value(1))
        .from(device::Entity)
        .and_where(Expr::col((device::Entity, device::Column::Id)).equals((alert::Entity, Subject)))
        .and_where(Expr::col((device::Entity, device::Column::State)).is_not_in(["blocked", "sold"]))
        .take();
    let over = Condition::any().add(Expr::exists(newer)).add(Expr::exists(ours).not());
    let of_one = Condition::all().add(Subject.ne(FLEET)).add(over);
    let of_many = Condition::all().add(Subject.eq(FLEET)).add(Last.lt(signed(now) - DIGEST_SECONDS));
    let rows = alert::Entity::find()
        .filter(alert::Column::Closed.is_null())
        .filter(alert::Column::Kind.eq(Kind::RenewalFailed.name()))
        .filter(Condition::any().add(of_one).add(of_many))
        .limit(limit)
        .all(conn)
        .await?;
    rows.into_iter().map(Alert::try_from).collect()
}

/// CRLs of a CA that should have been signed again by now.
pub(super) struct LateList {
    pub authority: String,
    pub shards: u64,
    /// The first end among them.
    pub next_update: u64,
}

/// Of CAs that are in use, those with CRLs whose life is over by three quarters. The list of everything (-1) is signed
/// when somebody asks for it.
pub(super) async fn late_lists(conn: &impl ConnectionTrait, now: u64) -> Result<Vec<LateList>, DbErr> {
    use crl::Column::{Authority, NextUpdate, Shard, ThisUpdate};
    let left = || Expr::col((crl::Entity, NextUpdate)).sub(signed(now));
    let life = || Expr::col((crl::Entity, NextUpdate)).sub(Expr::col((crl::Entity, ThisUpdate)));
    let on = crl::Entity::belongs_to(authority::Entity).from(Authority).to(authority::Column::Kind).into();
    let rows: Vec<(String, i64, i64)> = crl::Entity::find()
        .select_only()
        .column(Authority)
        .column_as(Expr::col((crl::Entity, Shard)).count(), "shards")
        .column_as(Expr::col((crl::Entity, NextUpdate)).min(), "first")
        .join(JoinType::InnerJoin, on)
        .filter(authority::Column::State.ne("retired"))
        .filter(Shard.gte(0))
        .filter(crl::Column::Number.gt(0))
        .filter(left().mul(4_i64).lt(life()))
        .group_by(Authority)
        .into_tuple()
        .all(conn)
        .await?;
    let late = |(authority, shards, first)| LateList {
        authority,
        shards: unsigned(shards),
        next_update: unsigned(first),
    };
    Ok(rows.into_iter().map(late).collect())
}

/// CAs whose newest responder's certificate was prepared before then and never signed.
pub(super) async fn unsigned_responders(conn: &impl ConnectionTrait, before: u64) -> Result<Vec<String>, DbErr> {
    use ocsp_responder::Column::{Authority, Created, Der};
    let newest = |signed_ones: bool| {
        let query = ocsp_responder::Entity::find()
            .select_only()
            .column(Authority)
            .column_as(Created.max(), "newest")
            .filter(if signed_ones { Der.is_not_null() } else { Der.is_null() })
            .group_by(Authority);
        async move { query.into_tuple::<(String, i64)>().all(conn).await }
    };
    let (done, open) = (newest(true).await?, newest(false).await?);
    let is_stuck = |(authority, prepared): &(String, i64)| {
        let later = done.iter().any(|(other, at)| other == authority && at >= prepared);
        *prepared < signed(before) && !later
    };
    Ok(open.into_iter().filter(is_stuck).map(|(authority, _)| authority).collect())
}

/// A device whose onboardings failed.
pub(super) struct Failing {
    pub device_id: String,
    pub serial: Option<String>,
    pub guid: String,
    pub reason: Option<String>,
    pub times: u64,
}

/// Devices that stand as failed, and failed at least so often since then.
pub(super) async fn failing(
    conn: &impl ConnectionTrait,
    since: u64,
    times: u64,
    limit: u64,
) -> Result<Vec<Failing>, DbErr> {
    use onboarding::Column as Run;
    let on = onboarding::Entity::belongs_to(device::Entity).from(Run::DeviceId).to(device::Column::Id).into();
    let number = || Expr::col((onboarding::Entity, Run::Id)).count();
    type Row = (String, Option<String>, String, Option<String>, i64);
    let rows: Vec<Row> = onboarding::Entity::find()
        .select_only()
        .column(device::Column::Id)
        .column(device::Column::Serial)
        .column(device::Column::Guid)
        .column(device::Column::Reason)
        .column_as(number(), "number")
        .join(JoinType::InnerJoin, on)
        .filter(Run::Finished.gte(signed(since)))
        .filter(Run::Outcome.eq("failed"))
        .filter(device::Column::State.eq("failed"))
        .group_by(device::Column::Id)
        .group_by(device::Column::Serial)
        .group_by(device::Column::Guid)
        .group_by(device::Column::Reason)
        .having(number().gte(signed(times)))
        .order_by_asc(device::Column::Id)
        .limit(limit)
        .into_tuple()
        .all(conn)
        .await?;
    let failing = |(device_id, serial, guid, reason, times): (_, _, _, _, i64)| Failing {
        device_id,
        serial,
        guid,
        reason,
        times: unsigned(times),
    };
    Ok(rows.into_iter().map(failing).collect())
}

/// A CRL of the issuing CA, and a responder's certificate that was never signed.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(in crate::alerts) async fn publish(conn: &impl ConnectionTrait, this_update: u64, next_update: u64) {
    use sea_orm::ActiveValue::Set;

    crl::Entity::delete_many().exec(conn).await.unwrap();
    for (shard, next_update) in [(-1, this_update + 1), (0, next_update), (1, next_update)] {
        let row = crl::ActiveModel {
            authority: Set("issuing".to_owned()),
            shard: Set(shard),
            number: Set(1),
            reserved: Set(1),
            der: Set(None),
            this_update: Set(signed(this_update)),
            next_update: Set(signed(next_update)),
        };
        crl::Entity::insert(row).exec_without_returning(conn).await.unwrap();
    }
}

/// A responder's certificate of the issuing CA.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(in crate::alerts) async fn prepare_responder(conn: &impl ConnectionTrait, at: u64, der: Option<Vec<u8>>) {
    use sea_orm::ActiveValue::Set;

    let row = ocsp_responder::ActiveModel {
        serial: Set(format!("{at:x}")),
        authority: Set("issuing".to_owned()),
        tbs: Set(Vec::new()),
        der: Set(der),
        not_after: Set(signed(at + 1)),
        created: Set(signed(at)),
    };
    ocsp_responder::Entity::insert(row).exec_without_returning(conn).await.unwrap();
}

/// A device whose onboarding failed at a time.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(in crate::alerts) async fn fail_onboarding(conn: &impl ConnectionTrait, device_id: &str, at: u64) {
    use sea_orm::ActiveValue::Set;

    use crate::inventory::{self, DeviceState, NewDevice};

    let guid = fdo_protocol::Guid::from_bytes([7; 16]);
    if inventory::find(conn, device_id).await.unwrap().is_none() {
        let new = NewDevice {
            id: device_id,
            serial: Some("SN-7"),
            guid,
            model: None,
            device_info: "camera",
            owner_key: "P-256",
            maker: None,
        };
        inventory::insert(conn, at, &new).await.unwrap();
    }
    let reason = Some("no network");
    inventory::record_state(conn, at, &guid, DeviceState::Failed, None, reason).await.unwrap();
    let row = onboarding::ActiveModel {
        id: Set(format!("run-{at}")),
        device_id: Set(device_id.to_owned()),
        guid: Set(guid.to_string()),
        new_guid: Set(guid.to_string()),
        started: Set(signed(at)),
        open_until: Set(signed(at)),
        finished: Set(Some(signed(at))),
        phase: Set("ended".to_owned()),
        outcome: Set(Some("failed".to_owned())),
        reason: Set(Some("no network".to_owned())),
        facts: Set("{}".to_owned()),
        transfers: Set("[]".to_owned()),
        certificate: Set(None),
    };
    onboarding::Entity::insert(row).exec_without_returning(conn).await.unwrap();
}
