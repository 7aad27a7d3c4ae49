use crate::lease::{KeepAlive, WorkerRow};

/// Whether a lease that was judged free may be taken, by the row of its holder as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetGo {
    /// It may: the row says that the counter of the lease decides, and the condition of the take sees
    /// to that.
    Yes,
    /// It may, and so may every lease of this incarnation from now on: no heartbeat of it can land any
    /// more.
    ForEver,
    /// It may, after this row was killed.
    AfterKilling(WorkerRow),
    /// It may not: its holder is alive.
    No,
}

/// Judges by the row of the holder, read consistently after the lease was seen. `incarnation` is the
/// one that the lease's token names, and `still` the row that has stood still for long enough, if
/// heartbeats have held the lease.
///
/// A row that says "heartbeats" and is not the one that stood still is that of a live worker, or of
/// one that began to rely on its heartbeats after the observer last saw the row.
#[must_use]
pub fn is_let_go(incarnation: &str, still: Option<&WorkerRow>, now: Option<WorkerRow>) -> LetGo {
    let Some(row) = now.filter(|row| row.incarnation.as_str() == incarnation) else {
        // Of a holder that renewed its leases the row may be missing while it lives, so this is true
        // of the one lease whose counter has stood still.
        return if still.is_some() {
            LetGo::ForEver
        } else {
            LetGo::Yes
        };
    };
    match row.keep_alive {
        KeepAlive::Killed => LetGo::ForEver,
        KeepAlive::Heartbeats if still == Some(&row) => LetGo::AfterKilling(row),
        KeepAlive::Heartbeats => LetGo::No,
        KeepAlive::Unknown | KeepAlive::Renewals if still.is_none() => LetGo::Yes,
        // It went over to renewals, and its leases have not been watched since.
        KeepAlive::Unknown | KeepAlive::Renewals => LetGo::No,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn row(keep_alive: KeepAlive, counter: u64) -> WorkerRow {
        WorkerRow {
            counter,
            keep_alive,
            ..WorkerRow::new("a".into(), "i".into(), Duration::from_secs(10))
        }
    }

    #[test]
    fn only_the_row_that_stood_still_is_killed() {
        let still = row(KeepAlive::Heartbeats, 7);
        let now = |counter| Some(row(KeepAlive::Heartbeats, counter));
        let judge = |now| is_let_go("i", Some(&still), now);
        assert_eq!(judge(now(7)), LetGo::AfterKilling(still.clone()));
        assert_eq!(judge(now(8)), LetGo::No, "a heartbeat that was not seen");
        assert_eq!(judge(Some(still.killed())), LetGo::ForEver);
        assert_eq!(judge(None), LetGo::ForEver);
        let renews = Some(row(KeepAlive::Renewals, 8));
        assert_eq!(judge(renews), LetGo::No, "it is judged by counters now");
        let another = WorkerRow {
            incarnation: "j".into(),
            ..still.clone()
        };
        assert_eq!(judge(Some(another)), LetGo::ForEver);
    }

    #[test]
    fn a_holder_that_relies_on_heartbeats_by_now_keeps_its_lease() {
        let judge = |now| is_let_go("i", None, now);
        assert_eq!(judge(Some(row(KeepAlive::Renewals, 7))), LetGo::Yes);
        assert_eq!(judge(None), LetGo::Yes);
        assert_eq!(judge(Some(row(KeepAlive::Heartbeats, 7))), LetGo::No);
        let killed = Some(row(KeepAlive::Heartbeats, 7).killed());
        assert_eq!(judge(killed), LetGo::ForEver);
    }
}
