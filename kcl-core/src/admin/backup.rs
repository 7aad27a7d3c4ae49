//! Leases in a file, for the day on which a table is lost or an application moves to another one.
//!
//! ```text
//!   scan --> Backup --> JSON --> Backup --> plan (compares, writes nothing) --> import (creates)
//! ```
//!
//! A checkpoint that goes back repeats records; one that goes forward skips them for good. So an
//! import changes no lease that exists: it creates what is missing, or refuses.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use crate::lease::{Error, LeaseTable, MalformedRow, ScanPage};
use crate::model::{Lease, LeaseKey, ShardId, Timestamp};

use super::{InvalidRecord, LeaseRecord};

/// The value of [`Backup::format`], so that a file of another kind is recognised.
const FORMAT: &str = "kcl-leases";
/// How many leases are created at once: few enough for a table whose writes are limited.
const TOGETHER: usize = 16;
/// The version of the format. A later one may contain what this version would lose, so it is
/// refused.
const VERSION: u32 = 1;

/// The leases of an application at one time: what `kcl export` writes.
///
/// The rows of workers are not in it: they tell who was alive, which is of no use later. Nor are
/// attributes that the framework does not know, such as `throughputKBps` of the Java KCL.
///
/// With the feature `serde` it can be serialized and deserialized.
///
/// # Examples
/// ```
/// use kcl_core::MemoryLeaseTable;
/// use kcl_core::admin::{Backup, import, read_table};
/// use kcl_core::lease::{Consistency, LeaseTable};
/// use kcl_core::model::{Checkpoint, Lease, LeaseKey, Timestamp};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kcl_core::BoxError> {
/// let (old, new) = (MemoryLeaseTable::new(), MemoryLeaseTable::new());
/// old.create(&Lease::new(LeaseKey::single("shardId-000000000000"), Checkpoint::TrimHorizon)).await?;
///
/// let rows = read_table(&old, Consistency::Strong).await?;
/// let backup = Backup::new("billing", &rows.leases, Timestamp::from_millis(0)).freed();
///
/// let plan = backup.plan(&read_table(&new, Consistency::Strong).await?)?;
/// assert_eq!(import(&new, &plan, |_| {}).await?.created, 1);
/// // A second time, there is nothing to do.
/// let again = backup.plan(&read_table(&new, Consistency::Strong).await?)?;
/// assert_eq!((again.create.len(), again.already_there.len()), (0, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Backup {
    /// `kcl-leases`.
    pub format: String,
    /// 1.
    pub version: u32,
    /// The application whose leases they are. [`plan`](Self::plan) does not compare it, so leases
    /// can be moved to another application.
    pub application: String,
    /// When they were read, in milliseconds since 1970. It is for people: a backup that is older
    /// than the stream's retention leads to records that have expired.
    pub taken_at: i64,
    /// The leases, by key.
    pub leases: Vec<LeaseRecord>,
}

/// What an import would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportPlan {
    /// The leases that are to be created, parents before their children.
    pub create: Vec<Lease>,
    /// The leases that the table has already, equal in every value.
    pub already_there: Vec<LeaseKey>,
}

/// What an import has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Imported {
    /// How many leases were created.
    pub created: usize,
    /// How many the table had already.
    pub already_there: usize,
}

/// Why a backup was not imported. Nothing was written, unless the variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// It is not a backup, or one of another version.
    #[error("it says `{format}`, version {version}: expected `{FORMAT}`, version {VERSION}")]
    Format {
        /// What it says that it is.
        format: String,
        /// The version.
        version: u32,
    },
    /// A record is not a valid lease.
    #[error(transparent)]
    Record(#[from] InvalidRecord),
    /// It contains a lease twice. Which of them counts cannot be known.
    #[error("the lease {0} is in it twice")]
    Twice(LeaseKey),
    /// The table has rows for these leases that differ from the backup. They may be newer: delete
    /// them only if that is what you mean.
    #[error(
        "the table has other rows for {} of its leases, such as {}: an import overwrites nothing",
        .0.len(), first(.0)
    )]
    InTheWay(Vec<LeaseKey>),
    /// The table has a malformed row for one of the leases.
    #[error("the table has a malformed row for one of its leases: an import overwrites nothing")]
    Malformed(#[source] Box<MalformedRow>),
    /// Another program created a different row for a lease after the plan was made: usually a
    /// worker that was started too early.
    #[error(
        "somebody has made another row for the lease {lease} meanwhile; {created} leases were \
         created before, and stay"
    )]
    Overtaken {
        /// The lease.
        lease: LeaseKey,
        /// How many are known to have been created.
        created: usize,
    },
    /// A write failed, or it is not known whether it succeeded. It is safe to plan and import again.
    #[error(
        "creating the lease {lease} failed; {created} leases were created before, and stay: \
         importing again goes on from there"
    )]
    Table {
        /// The lease.
        lease: LeaseKey,
        /// How many are known to have been created.
        created: usize,
        /// What the table said.
        #[source]
        source: Error,
    },
}

fn first(keys: &[LeaseKey]) -> String {
    keys.first().map(ToString::to_string).unwrap_or_default()
}

impl Backup {
    /// The backup of these leases, which were read at this time.
    #[must_use]
    pub fn new(application: &str, leases: &[Lease], taken_at: Timestamp) -> Self {
        let by_key: BTreeMap<&LeaseKey, &Lease> =
            leases.iter().map(|lease| (&lease.key, lease)).collect();
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            application: application.to_owned(),
            taken_at: taken_at.as_millis(),
            leases: by_key.into_values().map(LeaseRecord::from).collect(),
        }
    }

    /// The same leases without owners, tokens and pending hand-overs, for a fleet that should begin
    /// at once. Checkpoints and counters stay.
    ///
    /// Without it, workers wait until the leases of the old owners have expired: one failover time.
    #[must_use]
    pub fn freed(mut self) -> Self {
        for lease in &mut self.leases {
            (lease.owner, lease.checkpoint_owner, lease.token) = (None, None, None);
        }
        self
    }

    /// What is left to do so that a table with these rows has the leases of the backup. It writes
    /// nothing, so a program can show the plan first.
    ///
    /// # Errors
    /// It is not a valid backup, or a row of the table is in the way.
    pub fn plan(&self, rows: &ScanPage) -> Result<ImportPlan, ImportError> {
        if self.format != FORMAT || self.version != VERSION {
            return Err(ImportError::Format {
                format: self.format.clone(),
                version: self.version,
            });
        }
        let mut leases = BTreeMap::new();
        for record in &self.leases {
            let lease = Lease::try_from(record)?;
            if let Some(twice) = leases.insert(lease.key.clone(), lease) {
                return Err(ImportError::Twice(twice.key));
            }
        }
        let malformed = rows
            .malformed
            .iter()
            .find(|row| row.lease().is_some_and(|key| leases.contains_key(key)));
        if let Some(row) = malformed {
            return Err(ImportError::Malformed(Box::new(row.clone())));
        }
        let (mut in_the_way, mut already_there) = (Vec::new(), Vec::new());
        for row in &rows.leases {
            match leases.get(&row.key) {
                Some(lease) if is_same(lease, row) => already_there.push(row.key.clone()),
                Some(_) => in_the_way.push(row.key.clone()),
                None => {}
            }
        }
        if !in_the_way.is_empty() {
            return Err(ImportError::InTheWay(in_the_way));
        }
        already_there
            .iter()
            .for_each(|key| drop(leases.remove(key)));
        Ok(ImportPlan {
            create: parents_first(leases),
            already_there,
        })
    }
}

/// Whether two rows are the same lease. Parents and children are sets in some tables, so their
/// order does not count.
fn is_same(one: &Lease, other: &Lease) -> bool {
    let sorted = |lease: &Lease| {
        let mut lease = lease.clone();
        lease.parents.sort();
        lease.children.sort();
        lease
    };
    one == other || sorted(one) == sorted(other)
}

/// Puts parents before their children, so that whenever the import ends, no child's row exists
/// without its parent's: a worker that runs meanwhile would create the parent's lease itself, at
/// its initial position.
fn parents_first(mut leases: BTreeMap<LeaseKey, Lease>) -> Vec<Lease> {
    let mut order = Vec::with_capacity(leases.len());
    while !leases.is_empty() {
        let waits = |lease: &Lease| {
            let is_left =
                |parent: &ShardId| leases.contains_key(&lease.key.sibling(parent.clone()));
            lease.parents.iter().any(is_left)
        };
        let mut ready: BTreeSet<LeaseKey> = leases
            .values()
            .filter(|lease| !waits(lease))
            .map(|lease| lease.key.clone())
            .collect();
        if ready.is_empty() {
            // They wait for each other: there is no order among them.
            ready = leases.keys().cloned().collect();
        }
        order.extend(ready.iter().filter_map(|key| leases.remove(key)));
    }
    order
}

/// Creates the leases of a plan, each on the condition that no row with its key exists. `tell` is
/// called after each group of up to 16 with the number that was created so far.
///
/// It can be called again after any failure: a lease that exists exactly as planned is passed over.
///
/// # Errors
/// [`ImportError::Overtaken`] and [`ImportError::Table`]. What was created by then stays.
///
/// # Cancel safety
/// Leases that were created stay; plan and import again for the rest.
pub async fn import(
    table: &dyn LeaseTable,
    plan: &ImportPlan,
    mut tell: impl FnMut(usize),
) -> Result<Imported, ImportError> {
    let mut done = Imported {
        already_there: plan.already_there.len(),
        ..Imported::default()
    };
    let mut left = &plan.create[..];
    while !left.is_empty() {
        let (together, rest) = left.split_at(independent(left));
        left = rest;
        let creating = together.iter().map(|lease| create(table, lease));
        for (lease, created) in together.iter().zip(join_all(creating).await) {
            match created {
                Ok(true) => done.created += 1,
                Ok(false) => {
                    return Err(ImportError::Overtaken {
                        lease: lease.key.clone(),
                        created: done.created,
                    });
                }
                Err(source) => {
                    return Err(ImportError::Table {
                        lease: lease.key.clone(),
                        created: done.created,
                        source,
                    });
                }
            }
        }
        tell(done.created);
    }
    Ok(done)
}

/// How many of the first leases may be created at once: no child together with its own parent.
fn independent(leases: &[Lease]) -> usize {
    let mut keys = BTreeSet::new();
    for (count, lease) in leases.iter().enumerate() {
        let is_child = lease
            .parents
            .iter()
            .any(|parent| keys.contains(&lease.key.sibling(parent.clone())));
        if count == TOGETHER || is_child {
            return count;
        }
        keys.insert(lease.key.clone());
    }
    leases.len()
}

/// Creates a lease. Returns whether the table has it as planned. A lost answer is not a failure:
/// the row shows what became of the write.
async fn create(table: &dyn LeaseTable, lease: &Lease) -> Result<bool, Error> {
    match table.create(lease).await {
        Ok(_) => Ok(true),
        Err(Error::Conflict { row }) => Ok(row.is_some_and(|row| is_same(lease, &row))),
        Err(lost @ Error::Unknown { .. }) => match table.get(&lease.key).await? {
            Some(row) => Ok(is_same(lease, &row)),
            None => Err(lost),
        },
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryLeaseTable;
    use crate::admin::read_table;
    use crate::lease::{Consistency, RowKey};
    use crate::model::Checkpoint;

    fn lease(shard: &str, parents: &[&str]) -> Lease {
        let mut lease = Lease::new(LeaseKey::single(shard), Checkpoint::TrimHorizon)
            .owned_by("a".into(), "t".into());
        lease.parents = parents.iter().map(|id| ShardId::from(*id)).collect();
        lease
    }

    fn backup(leases: &[Lease]) -> Backup {
        Backup::new("app", leases, Timestamp::from_millis(7))
    }

    fn page(leases: impl IntoIterator<Item = Lease>) -> ScanPage {
        ScanPage {
            leases: leases.into_iter().collect(),
            ..ScanPage::default()
        }
    }

    #[tokio::test]
    async fn what_was_exported_is_imported_parents_first_and_once() {
        let leases = [lease("a", &["b"]), lease("b", &["c"]), lease("c", &[])];
        let plan = backup(&leases).plan(&ScanPage::default()).unwrap();
        let order: Vec<&str> = plan.create.iter().map(|it| it.key.shard.as_str()).collect();
        assert_eq!(order, ["c", "b", "a"]);
        let table = MemoryLeaseTable::new();
        let done = import(&table, &plan, |_| {}).await.unwrap();
        assert_eq!((done.created, done.already_there), (3, 0));
        let rows = read_table(&table, Consistency::Strong).await.unwrap();
        assert_eq!(backup(&rows.leases), backup(&leases));
        let again = backup(&leases).plan(&rows).unwrap();
        assert_eq!((again.create.len(), again.already_there.len()), (0, 3));
        let done = import(&table, &plan, |_| {}).await.unwrap();
        assert_eq!(done.created, 3, "as they are to be, whoever made them");
    }

    #[test]
    fn parents_that_go_in_a_circle_are_imported_all_the_same() {
        let leases = [lease("a", &["b"]), lease("b", &["a"])];
        let plan = backup(&leases).plan(&ScanPage::default()).unwrap();
        assert_eq!(plan.create.len(), 2);
    }

    #[tokio::test]
    async fn a_row_that_stands_there_is_never_overwritten() {
        let (ours, mut theirs) = (lease("a", &[]), lease("a", &[]));
        theirs.counter += 1;
        let refused = backup(std::slice::from_ref(&ours)).plan(&page([theirs.clone()]));
        assert!(refused.unwrap_err().to_string().contains("such as a"));
        let mut spoilt = ScanPage::default();
        let key = RowKey::Lease(ours.key.clone());
        spoilt.malformed = vec![MalformedRow::new(key, "checkpoint", Some("x"), "a number")];
        let refused = backup(std::slice::from_ref(&ours)).plan(&spoilt);
        assert!(matches!(refused, Err(ImportError::Malformed(_))));
        // Somebody makes the row after the table was read.
        let plan = backup(std::slice::from_ref(&ours))
            .plan(&ScanPage::default())
            .unwrap();
        let table = MemoryLeaseTable::new();
        table.create(&theirs).await.unwrap();
        let overtaken = import(&table, &plan, |_| {}).await;
        assert!(matches!(
            overtaken,
            Err(ImportError::Overtaken { created: 0, .. })
        ));
        assert_eq!(table.get(&ours.key).await.unwrap(), Some(theirs));
    }

    #[test]
    fn what_is_no_backup_is_refused() {
        let mut other = backup(&[]);
        other.version = 2;
        let said = other.plan(&ScanPage::default()).unwrap_err().to_string();
        assert!(
            said.contains("version 2: expected `kcl-leases`, version 1"),
            "{said}"
        );
        let mut twice = backup(&[lease("a", &[])]);
        twice.leases.push(twice.leases[0].clone());
        assert!(matches!(
            twice.plan(&ScanPage::default()),
            Err(ImportError::Twice(_))
        ));
        let mut broken = backup(&[lease("a", &[])]);
        broken.leases[0].checkpoint = "x".to_owned();
        assert!(matches!(
            broken.plan(&ScanPage::default()),
            Err(ImportError::Record(_))
        ));
    }

    #[test]
    fn freed_leases_have_no_owner_and_keep_their_place() {
        let freed = backup(&[lease("a", &[])]).freed();
        let lease = Lease::try_from(&freed.leases[0]).unwrap();
        assert_eq!((lease.owner, lease.token, lease.counter), (None, None, 1));
    }
}
