//! What a fleet is waited for.

use std::time::Duration;

use kcl_core::BoxError;
use kcl_core::{Clock, SystemClock};

use super::deed::{Deed, What};
use super::fleet::{Fleet, span};
use super::verdict::ShardParents;

/// What was waited for did not come.
#[derive(Debug, thiserror::Error)]
#[error("not within {}: {what}", humantime::format_duration(*.limit))]
pub struct NotInTime {
    /// What.
    what: String,
    /// How long it was waited for.
    limit: Duration,
}

/// How often what the processes have written is read while something is waited for.
const REFRESH_EVERY: Duration = Duration::from_millis(10);

/// How often it is looked whether all is there: with many records that takes its time.
const JUDGED_EVERY: Duration = Duration::from_millis(250);

impl Fleet {
    /// Waits for a moment, in which others write.
    pub async fn pause() {
        SystemClock
            .sleep_until(SystemClock.now() + REFRESH_EVERY)
            .await;
    }

    /// Waits until something is so. Looks at what was written before each question.
    ///
    /// # Errors
    /// [`NotInTime`], or what [`refresh`](Self::refresh) says.
    pub async fn until(
        &mut self,
        what: &str,
        limit: Duration,
        mut is: impl FnMut(&Self) -> bool,
    ) -> Result<(), BoxError> {
        let deadline = SystemClock.now() + limit;
        loop {
            self.refresh()?;
            if is(self) {
                return Ok(());
            }
            if SystemClock.now() >= deadline {
                return Err(NotInTime {
                    what: what.to_owned(),
                    limit,
                }
                .into());
            }
            Self::pause().await;
        }
    }

    /// Whether each open shard is read, by a process that works, and all have as many as they
    /// should.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_balanced() && self.is_read()
    }

    /// Whether the leases that are not done belong to the processes that work, evenly.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let names: Vec<&str> = self
            .working()
            .map(|place| self.members[place].name.as_str())
            .collect();
        self.seen().is_balanced(&names)
    }

    /// Whether each lease that is not done is read by its owner: its processor is initialized, and
    /// has had a record if there are any.
    #[must_use]
    pub fn is_read(&self) -> bool {
        let needs_records = self.producer.rate() > 0;
        let seen = self.seen();
        let mut live = seen.live().peekable();
        live.peek().is_some()
            && live.all(|lease| {
                let owner = lease.actual_owner().and_then(|owner| {
                    self.working()
                        .rev()
                        .find(|place| self.members[*place].name == *owner)
                });
                let tenancy = owner.and_then(|place| self.history.open_in(place, &lease.key.shard));
                tenancy.is_some_and(|tenancy| !needs_records || !tenancy.given.is_empty())
            })
    }

    /// Waits until the fleet is [settled](Self::is_settled), and stays so for a moment.
    ///
    /// # Errors
    /// See [`until`](Self::until).
    pub async fn settle(&mut self, limit: Duration) -> Result<(), BoxError> {
        let mut since = None;
        let is = |fleet: &Self| {
            let now = SystemClock.now();
            if !fleet.is_settled() {
                since = None;
                return false;
            }
            now.since(*since.get_or_insert(now)) >= Duration::from_millis(100)
        };
        self.until(
            "every shard is read, and all workers have as many as they should",
            limit,
            is,
        )
        .await
    }

    /// Puts nothing more, and waits until everything that was put is handed out, or until nothing
    /// has come for `patience`.
    ///
    /// # Errors
    /// See [`refresh`](Self::refresh).
    pub async fn drain(&mut self, patience: Duration) -> Result<(), BoxError> {
        self.producer.set_rate(0);
        let (mut given, mut since) = (0, SystemClock.now());
        let mut judged = None;
        loop {
            self.refresh()?;
            let now = SystemClock.now();
            if std::mem::replace(&mut given, self.history.given()) != self.history.given() {
                since = now;
            }
            // Records that came twice count twice, so the count alone does not tell.
            let may_be_all = self.producer.is_resting() && given >= self.producer.count();
            let is_due = judged.is_none_or(|judged| now.since(judged) >= JUDGED_EVERY);
            if may_be_all && is_due {
                if self.judge(&ShardParents::new()).lost == 0 {
                    return Ok(());
                }
                judged = Some(SystemClock.now());
            }
            if now.since(since) >= patience {
                return Ok(());
            }
            Self::pause().await;
        }
    }

    /// How long after this deed the last of the process's shards was read by another one; nothing
    /// while some are not.
    #[must_use]
    pub fn moved_after(&self, deed: &Deed) -> Option<Duration> {
        let first = |shard| self.history.first_elsewhere(shard, deed.member, deed.at);
        let last = deed
            .shards
            .iter()
            .map(first)
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .max()?;
        Some(span(deed.at, last))
    }

    /// Waits until every shard of the process that was stopped or killed last is read by another
    /// one: how long after the deed that was.
    ///
    /// # Errors
    /// See [`until`](Self::until).
    pub async fn moved(&mut self, limit: Duration) -> Result<Duration, BoxError> {
        let is_last = |deed: &&Deed| matches!(deed.what, What::Killed | What::Stopped);
        let deed = self
            .deeds
            .iter()
            .rfind(is_last)
            .cloned()
            .ok_or("no process was killed, frozen or stopped")?;
        self.until(
            "every shard that it had is read by another worker",
            limit,
            |fleet| fleet.moved_after(&deed).is_some(),
        )
        .await?;
        Ok(self.moved_after(&deed).unwrap_or_default())
    }
}
