//! When a certificate is worth a look: before its end, at its end, and when its device is late to renew it.

use crate::config::AlertSettings;
use crate::inventory::certificates::{Listed, Source, Standing, WITHOUT_END};

const DAY: u64 = 86_400;

/// Something that comes in a certificate's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moment {
    /// Its device should have renewed it, at so many percent of its life.
    Late(u8),
    /// So many days are left.
    Days(u32),
    Ended,
}

impl Moment {
    /// When it comes.
    pub fn at(self, not_before: u64, not_after: u64) -> u64 {
        match self {
            Self::Late(percent) => not_before + not_after.saturating_sub(not_before) * u64::from(percent) / 100,
            Self::Days(days) => not_after.saturating_sub(u64::from(days) * DAY),
            Self::Ended => not_after + 1,
        }
    }
}

/// What has come of a certificate's moments, and what comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stand {
    /// The nearest to the end that has come.
    pub end: Option<Moment>,
    pub late: Option<Moment>,
    pub next: Option<Moment>,
}

pub(super) fn stand(settings: &AlertSettings, listed: &Listed, now: u64) -> Stand {
    let mut stand = Stand::default();
    let mut next_at = u64::MAX;
    for moment in moments(settings, listed) {
        let at = moment.at(listed.not_before, listed.not_after);
        if at > now {
            if at < next_at {
                (stand.next, next_at) = (Some(moment), at);
            }
            continue;
        }
        match moment {
            Moment::Late(_) => stand.late = Some(moment),
            // In order, so the last one is the nearest.
            Moment::Days(_) | Moment::Ended => stand.end = Some(moment),
        }
    }
    stand
}

fn moments(settings: &AlertSettings, listed: &Listed) -> Vec<Moment> {
    if listed.standing != Standing::Active || listed.not_after >= WITHOUT_END {
        return Vec::new();
    }
    let renews = listed.source == Source::Ldevid;
    let mut days = match listed.source {
        Source::Authority => settings.authority_days.clone(),
        _ => settings.expiry_days.clone(),
    };
    days.sort_unstable_by(|a, b| b.cmp(a));
    days.dedup();
    let life = listed.not_after.saturating_sub(listed.not_before);
    // A device renews at two thirds of the life; what is left then is nothing to be told of.
    days.retain(|days| !renews || 3 * u64::from(*days) * DAY < life);
    let mut moments: Vec<Moment> = days.into_iter().map(Moment::Days).collect();
    moments.push(Moment::Ended);
    if renews {
        moments.push(Moment::Late(settings.renewal_overdue_percent));
    }
    moments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(source: Source, not_before: u64, not_after: u64) -> Listed {
        Listed {
            fingerprint: String::new(),
            source,
            subject: String::new(),
            issuer: String::new(),
            issuer_name: String::new(),
            serial: String::new(),
            not_before,
            not_after,
            key_type: String::new(),
            is_ca: false,
            standing: Standing::Active,
            reason: None,
            device_id: None,
            device_serial: None,
            guid: None,
            profile: None,
            name: None,
            first_seen: 0,
            last_seen: 0,
            attention: Some(0),
        }
    }

    #[test]
    fn the_nearest_threshold_counts() {
        let settings = AlertSettings::default();
        let row = listed(Source::Upload, 0, 400 * DAY);
        let at = |day: u64| stand(&settings, &row, day * DAY);
        assert_eq!(at(1), Stand { end: None, late: None, next: Some(Moment::Days(30)) });
        assert_eq!(at(370).end, Some(Moment::Days(30)));
        assert_eq!(at(392).end, Some(Moment::Days(14)));
        assert_eq!(at(392).next, Some(Moment::Days(7)));
        assert_eq!(at(399).end, Some(Moment::Days(1)));
        assert_eq!(at(401), Stand { end: Some(Moment::Ended), late: None, next: None });
    }

    #[test]
    fn a_certificate_that_renews_itself_is_told_of_when_it_is_late() {
        let settings = AlertSettings::default();
        let row = listed(Source::Ldevid, 0, 90 * DAY);
        let at = |day: u64| stand(&settings, &row, day * DAY);
        // 30 days are a third of its life: that is when it renews.
        assert_eq!(at(61), Stand { end: None, late: None, next: Some(Moment::Late(80)) });
        assert_eq!(at(72), Stand { end: None, late: Some(Moment::Late(80)), next: Some(Moment::Days(14)) });
        assert_eq!(at(76).end, Some(Moment::Days(14)));
        // Of six seconds.
        let short = listed(Source::Ldevid, 100, 106);
        assert_eq!(stand(&settings, &short, 103).next, Some(Moment::Late(80)));
        assert_eq!(stand(&settings, &short, 107).end, Some(Moment::Ended));
    }

    #[test]
    fn what_is_not_in_use_or_never_ends_has_no_moments() {
        let settings = AlertSettings::default();
        let mut row = listed(Source::Ldevid, 0, 90 * DAY);
        row.standing = Standing::Revoked;
        assert_eq!(stand(&settings, &row, 100 * DAY), Stand::default());
        assert_eq!(stand(&settings, &listed(Source::Idevid, 0, WITHOUT_END), 1), Stand::default());
    }
}
