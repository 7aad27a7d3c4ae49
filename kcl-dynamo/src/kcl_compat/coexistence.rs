use kcl_core::lease::Error;

use super::Evidence;

/// What an application may do in a table that Java workers may share, the strictest last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Coexistence {
    /// No Java worker is to be minded.
    #[default]
    Exclusive,
    /// Java workers in 2.x mode may share the leases: no row beside leases is written.
    LeasesOnly,
    /// A Java fleet in 3.x mode is at work, and its leader gives the leases away.
    KclLeads,
}

/// A Java fleet in 3.x mode is at work on the table.
///
/// Its leader assigns the leases and counts every owner, ours too: both sides would move them
/// without end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a fleet of the Java KCL 3.x in its own mode is at work on the table `{table}` ({what}): stop it first, or run it with \
     CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X"
)]
pub struct KclIsLeading {
    /// The table.
    pub table: String,
    /// What showed it.
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

/// The versions that a KCL with a leader runs as.
const LED_VERSIONS: [&str; 2] = ["CLIENT_VERSION_3X", "CLIENT_VERSION_3X_WITH_ROLLBACK"];

/// Rows of worker metrics count for the KCL's leader while they are younger than twice the 30 s in
/// which they are written.
const FRESH_SECONDS: i64 = 60;

/// Judges the rows of a table at this time (seconds since 1970). `leader_before` is the version of
/// the row `Leader` that an earlier scan has seen. With [`Coexistence::KclLeads`] comes what showed
/// it.
pub(crate) fn judge(
    evidence: &Evidence,
    now: i64,
    leader_before: Option<&str>,
) -> (Coexistence, String) {
    let version = evidence.client_version.as_deref().unwrap_or("");
    let is_3x = LED_VERSIONS.contains(&version);
    // A row from the future counts: the clock that wrote it is wrong by less than a day, or the KCL
    // would remove the row.
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

/// Within this the clocks of two machines may differ.
const SKEW_SECONDS: i64 = 3600;

/// Whether a leader may be at work whose metrics look old because its clock is not ours: then the
/// row `Leader` decides, which counts by no clock.
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
        // In 2.x mode metrics are written too.
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

    /// A leader with metrics of the last hour may live by another clock.
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
