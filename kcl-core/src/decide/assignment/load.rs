//! What a lease carries, in one number, and when a lease moves because of it.
//!
//! # The load of a lease
//!
//! The bytes per second of its shard, and 1,024 for each record per second. A record costs a worker
//! about as much as a kilobyte, whatever its size: it is copied out of its aggregate, handed out and
//! counted. It is also how Kinesis itself weighs a shard, which takes 1 MB or 1,000 records a
//! second. Below [`IDLE`] it counts as nothing.
//!
//! # When a lease moves
//!
//! Let M be what a worker carries over its capacity, and n how many leases it has. A lease may move
//! from A to B for one of two reasons:
//!
//! | | if | then |
//! |---|---|---|
//! | **relief** | A carries more than [`LIGHT`], has another lease, and B carries at least a tenth less | B ends with no more than A, or with at most nine tenths of what A had |
//! | **spread** | A has two leases more than B, and either the lease is idle and B is not the busier one, or B stays below half of [`LIGHT`], or both stay below [`LIGHT`] and end about alike | the counts come closer |
//!
//! In a fleet in which nothing is known of the loads, or all shards are idle, only spreads are left,
//! and they are exactly the balance by count.
//!
//! # Why moves end
//!
//! Take the M of all workers above [`LIGHT`], the others as 0, the greatest first, as a word; and
//! the sum of the squares of all n. A relief makes the word smaller in the order of a dictionary: A
//! was above `LIGHT`, and both end below what A had. A spread leaves it as it is or makes it smaller,
//! because B stays at 0 or the lease carries nothing, and it makes the sum smaller. So no state comes
//! again while the loads are the same, and there are finitely many. As with the balance by count,
//! what is pending counts as done, so it does not matter when which worker makes its moves. Workers
//! may differ in who they think is alive: what they compare are two workers, so nothing changes
//! but the median that [`LIGHT`] is counted by, and for as long as they differ.
//!
//! # Why noise moves nothing
//!
//! To undo a relief, B would have to carry a tenth more than A, after it ended with less. To undo a
//! spread by a relief, a worker at most nine tenths of `LIGHT` would have to come above it. A published load is
//! a mean over some [thirteen renewals](crate::decide::load_meter), in which noise of 20 % is 4 %; and
//! a lease that has moved rests for [`RESTS`].

use std::time::Duration;

use crate::model::Throughput;

use super::fleet::Fleet;
use super::planned_lease::PlannedLease;

/// A shard below this is idle: less than a record per second, which is less than what asking for its
/// records costs.
const IDLE: u64 = 1024;

/// No shard carries more. Kinesis takes 1 MB or 1,000 records per second and shard, which may be
/// many more user records; beyond that, it is nonsense.
const MOST: u64 = 16 << 20;

/// A worker of median capacity that carries less than this is not relieved: it is the sixteenth part
/// of what a single shard can carry. Shards that carry next to nothing are shared by their number.
pub(super) const LIGHT: f64 = 65_536.0;

/// How much less than the owner the receiver must carry, and have in the end if it then carries the
/// more of the two.
const TENTH_LESS: f64 = 0.9;

/// In one plan, a worker is relieved until the two are so close. Each move of a plan costs a drain,
/// and the last few would gain nothing.
const CLOSE: f64 = 0.98;

/// How much more the receiver of an idle lease may carry: workers that differ by less carry the same.
pub(super) const SAME: f64 = 1.1;

/// How long a lease that has changed hands is not moved again to relieve its owner: twice the time in
/// which half of what its former owner has measured is replaced.
pub(super) const RESTS: Duration = Duration::from_secs(60);

/// What a lease carries.
pub(super) fn load(throughput: Throughput) -> u64 {
    let load = throughput.weight().min(MOST);
    if load < IDLE { 0 } else { load }
}

/// Sets what each lease carries, if the fleet balances by load. One of which nothing is known, such
/// as that of a new shard, is taken for an average one.
pub(super) fn set_loads(leases: &mut [PlannedLease<'_>], fleet: &Fleet<'_>) {
    if fleet.weights.is_none() {
        return;
    }
    let known = |lease: &PlannedLease<'_>| lease.seen.row.throughput.map(load);
    let (mut sum, mut count) = (0, 0);
    for load in leases
        .iter()
        .filter(|lease| !lease.is_finished())
        .filter_map(known)
    {
        sum += load;
        count += 1;
    }
    let usual = sum.checked_div(count).unwrap_or_default();
    for lease in leases.iter_mut().filter(|lease| !lease.is_finished()) {
        lease.load = known(lease).unwrap_or(usual);
    }
}

/// What one worker has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share {
    /// How many leases.
    pub(super) count: usize,
    /// What they carry.
    pub(super) load: u64,
    /// How many of them it does not have yet: free leases that are meant for it, and those of workers
    /// that are gone. It needs no others in their place, but need not give anything away before it
    /// has them.
    pub(super) to_come: usize,
    /// What those carry.
    pub(super) load_to_come: u64,
    /// What a byte per second means to it.
    pub(super) weight: f64,
}

impl Share {
    /// What it carries over its capacity, with what is to come.
    pub(super) fn relative(&self) -> f64 {
        self.with(0)
    }

    /// The same, with a lease more.
    pub(super) fn with(&self, load: u64) -> f64 {
        (self.load + load) as f64 * self.weight
    }

    /// How many leases it has now.
    pub(super) fn has(&self) -> usize {
        self.count.saturating_sub(self.to_come)
    }

    /// What it carries over its capacity now.
    pub(super) fn burden(&self) -> f64 {
        self.without(0)
    }

    /// The same, with a lease less.
    fn without(&self, load: u64) -> f64 {
        self.load.saturating_sub(self.load_to_come + load) as f64 * self.weight
    }

    /// The lease that would leave both with the same: a greater one would only change which of the
    /// two has more.
    pub(super) fn half_way_to(&self, to: &Self) -> f64 {
        (self.burden() - to.relative()) / (self.weight + to.weight)
    }

    /// Whether `to` carries so much less that this worker may be relieved.
    pub(super) fn is_unlike(&self, to: &Self) -> bool {
        self.burden() > LIGHT && to.relative() <= self.burden() * TENTH_LESS
    }

    /// Whether a lease that carries `load` may move to `to` to relieve this worker, which was found
    /// [unlike](Self::is_unlike) it.
    pub(super) fn is_relieved_by(&self, to: &Self, load: u64) -> bool {
        let ends_with = to.with(load);
        load > 0
            && self.has() > 1
            && self.burden() > LIGHT
            && to.relative() < self.burden() * CLOSE
            && (ends_with <= self.without(load) || ends_with <= self.burden() * TENTH_LESS)
    }

    /// Whether a lease that carries `load` may move to `to` because this worker has more leases.
    pub(super) fn is_spread_to(&self, to: &Self, load: u64) -> bool {
        let is_idle = load == 0 && to.relative() <= self.relative() * SAME;
        let ends_with = to.with(load);
        // A tenth below the limit, or noise would make it a worker to be relieved.
        let stays_light = self.burden() <= LIGHT && ends_with <= LIGHT * TENTH_LESS;
        let ends_alike = stays_light && ends_with <= self.without(load) * SAME;
        self.has() >= to.count + 2 && (is_idle || ends_with <= LIGHT / 2.0 || ends_alike)
    }
}
