//! The judgement of what may be done in a table that Java workers may share.

use kcl_core::lease::Error;

use super::Evidence;

/// What an application may do in a table that Java workers may share. Ordered, the strictest last.
///
/// # Examples
/// ```
/// use kcl_dynamo::Coexistence;
///
/// // Stricter is greater, so a health check can compare.
/// assert!(Coexistence::KclLeads > Coexistence::LeasesOnly);
/// assert!(Coexistence::LeasesOnly > Coexistence::Exclusive);
/// assert_eq!(Coexistence::default(), Coexistence::Exclusive);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Coexistence {
    /// No Java workers have to be considered.
    #[default]
    Exclusive,
    /// Java workers in 2.x mode may share the leases: no rows besides leases are written.
    LeasesOnly,
    /// A Java fleet in 3.x mode is running, and its leader assigns the leases.
    KclLeads,
}

/// A Java fleet in 3.x mode is using the table.
///
/// Its leader assigns the leases and counts every owner, including those of this framework, so both
/// sides would move leases back and forth without end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a Java KCL 3.x fleet in 3.x mode is using the table `{table}` ({what}): stop it first, or run it with \
     CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X"
)]
pub struct KclIsLeading {
    /// The table.
    pub table: String,
    /// The evidence for it.
    pub what: String,
}

impl From<KclIsLeading> for Error {
    fn from(error: KclIsLeading) -> Self {
        Self::Fatal {
            message: error.to_string(),
            source: Some(Box::new(error)),
        }
    }
}

/// The client versions in `Migration3.0` with which a KCL has a leader that assigns leases.
const LED_VERSIONS: [&str; 2] = ["CLIENT_VERSION_3X", "CLIENT_VERSION_3X_WITH_ROLLBACK"];

/// The KCL leader ignores rows of worker metrics that are older than twice their write interval of
/// 30 s.
const FRESH_SECONDS: i64 = 60;

/// Judges the rows of a table at the time `now` (seconds since 1970). `leader_before` is the
/// version of the row `Leader` in an earlier scan. With [`Coexistence::KclLeads`], the text is the
/// evidence for it.
///
/// It is pure: the same rows at the same time give the same answer. The strictest sign decides,
/// because the mistakes are not equal: being too careful costs speed, and being careless makes two
/// fleets fight over the leases.
pub(crate) fn judge(
    evidence: &Evidence,
    now: i64,
    leader_before: Option<&str>,
) -> (Coexistence, String) {
    let version = evidence.client_version.as_deref().unwrap_or("");
    let is_3x = LED_VERSIONS.contains(&version);
    // A row from the future counts too: the clock of its writer is wrong by less than a day,
    // otherwise the KCL would remove the row.
    let fresh = evidence
        .metrics
        .iter()
        .find(|(_, at)| now - **at < FRESH_SECONDS);
    if let Some((worker, at)) = fresh.filter(|_| is_3x) {
        return (
            Coexistence::KclLeads,
            format!(
                "`Migration3.0` is at {version} and the worker `{worker}` wrote its metrics at {at}"
            ),
        );
    }
    if let (Some(before), Some(now)) = (leader_before, evidence.leader.as_deref())
        && before != now
    {
        return (Coexistence::KclLeads, "the row `Leader` changes".to_owned());
    }
    let may_be_2x = ["CLIENT_VERSION_UPGRADE_FROM_2X", "CLIENT_VERSION_2X"].contains(&version);
    if evidence.old_lease || evidence.legacy_table || may_be_2x {
        return (Coexistence::LeasesOnly, String::new());
    }
    (Coexistence::Exclusive, String::new())
}

/// By how much the clocks of two machines may differ, in seconds. A machine that is an hour off
/// cannot sign a call to AWS either.
const SKEW_SECONDS: i64 = 3600;

/// Whether there may be a leader whose metrics only look old because its clock differs: then the
/// row `Leader` decides, which depends on no clock.
pub(crate) fn is_in_doubt(evidence: &Evidence, now: i64) -> bool {
    let version = evidence.client_version.as_deref().unwrap_or("");
    let recent = || evidence.metrics.values().any(|at| now - at < SKEW_SECONDS);
    evidence.leader.is_some() && LED_VERSIONS.contains(&version) && recent()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(version: &str) -> Evidence {
        Evidence {
            kcl_row: true,
            client_version: Some(version.to_owned()),
            ..Evidence::default()
        }
    }

    fn with_metrics(version: &str, at: i64) -> Evidence {
        Evidence {
            metrics: [("java-1".to_owned(), at)].into(),
            ..evidence(version)
        }
    }

    #[test]
    fn an_empty_table_is_ours_alone() {
        assert_eq!(
            judge(&Evidence::default(), 1000, None).0,
            Coexistence::Exclusive
        );
    }

    #[test]
    fn a_fleet_in_3x_mode_leads_while_its_metrics_are_fresh() {
        for version in LED_VERSIONS {
            assert_eq!(
                judge(&with_metrics(version, 941), 1000, None).0,
                Coexistence::KclLeads
            );
            assert_eq!(
                judge(&with_metrics(version, 1030), 1000, None).0,
                Coexistence::KclLeads,
                "a clock that is ahead"
            );
            assert_eq!(
                judge(&with_metrics(version, 940), 1000, None).0,
                Coexistence::Exclusive,
                "it has stopped"
            );
            assert_eq!(
                judge(&evidence(version), 1000, None).0,
                Coexistence::Exclusive
            );
        }
        // Metrics are also written in 2.x mode.
        assert_eq!(
            judge(
                &with_metrics("CLIENT_VERSION_UPGRADE_FROM_2X", 999),
                1000,
                None
            )
            .0,
            Coexistence::LeasesOnly
        );
    }

    #[test]
    fn a_leader_that_moves_leads_and_one_that_stands_does_not() {
        let evidence = Evidence {
            leader: Some("b".to_owned()),
            ..evidence("CLIENT_VERSION_3X")
        };
        assert_eq!(judge(&evidence, 1000, Some("a")).0, Coexistence::KclLeads);
        assert_eq!(judge(&evidence, 1000, Some("b")).0, Coexistence::Exclusive);
        assert_eq!(judge(&evidence, 1000, None).0, Coexistence::Exclusive);
    }

    /// A leader with metrics of the last hour may be alive on another clock.
    #[test]
    fn a_leader_with_metrics_of_the_last_hour_is_in_doubt() {
        let with_leader = |version, at| Evidence {
            leader: Some("a".to_owned()),
            ..with_metrics(version, at)
        };
        for version in LED_VERSIONS {
            assert!(is_in_doubt(&with_leader(version, 6401), 10_000));
            assert!(
                !is_in_doubt(&with_leader(version, 6400), 10_000),
                "its row stayed when it was killed long ago"
            );
            assert!(
                !is_in_doubt(&with_metrics(version, 9000), 10_000),
                "it has stopped in good order"
            );
        }
        assert!(!is_in_doubt(
            &with_leader("CLIENT_VERSION_2X", 9000),
            10_000
        ));
    }

    #[test]
    fn whatever_may_be_of_2x_keeps_us_quiet() {
        let old = Evidence {
            old_lease: true,
            ..Evidence::default()
        };
        let legacy = Evidence {
            legacy_table: true,
            ..evidence("CLIENT_VERSION_3X")
        };
        for evidence in [
            old,
            legacy,
            evidence("CLIENT_VERSION_UPGRADE_FROM_2X"),
            evidence("CLIENT_VERSION_2X"),
        ] {
            assert_eq!(
                judge(&evidence, 1000, None).0,
                Coexistence::LeasesOnly,
                "{evidence:?}"
            );
        }
    }
}
