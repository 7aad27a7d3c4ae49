use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::BoxError;
use kcl_core::model::{ShardId, Timestamp};
use tokio::task::JoinSet;

use examples::consume::LeaseTableAt;
use examples::embedded::Embedded;

use super::deed::{Deed, What};
use super::history::DeliveryHistory;
use super::member::Member;
use super::network::{Harm, Upstream};
use super::producer::Producer;
use super::table_log::checkpoints_that_went_back;
use super::table_watch::{TableSeen, TableWatch};
use super::verdict::{ShardParents, Verdict};

/// How often the table is looked at.
const LOOK_AT_ONCE: Duration = Duration::from_millis(20);
const LOOK_IN_PEACE: Duration = Duration::from_millis(250);

/// What a [`Fleet`] is made with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program that has the command `worker`.
    pub program: PathBuf,
    /// Where traces, logs and, unless told, the lease table are.
    pub folder: PathBuf,
    /// The lease table.
    pub lease_table: LeaseTableAt,
    /// The endpoint of DynamoDB, where it is not that of AWS.
    pub dynamo_endpoint: Option<String>,
    /// The application of the leases.
    pub application: String,
    /// The failover time of the workers.
    pub failover: Duration,
    /// The shards of the stream.
    pub shards: u32,
    /// Records a second and shard.
    pub rate: u64,
    /// Puts a link that can be harmed between each process and its services. Their chance comes
    /// from this seed.
    pub links: Option<u64>,
}

/// Worker processes on one lease table and one embedded stream, and everything that is known of
/// them.
///
/// Nothing is known by itself: [`refresh`](Self::refresh), and what waits, reads what the processes
/// have written.
#[derive(Debug)]
pub struct Fleet {
    pub(super) setup: Setup,
    pub(super) stream: Arc<Embedded>,
    pub(super) producer: Arc<Producer>,
    watch: Arc<TableWatch>,
    pub(super) members: Vec<Member>,
    pub(super) names: usize,
    pub(super) deeds: Vec<Deed>,
    pub(super) history: DeliveryHistory,
    pub(super) locked_freezes: u32,
    /// What the links lead to: the stream, and DynamoDB.
    pub(super) stream_upstream: Option<Arc<Upstream>>,
    pub(super) table_upstream: Option<Arc<Upstream>>,
    tasks: JoinSet<Result<(), BoxError>>,
}

impl Fleet {
    /// The name of the stream.
    pub const STREAM: &str = "fleet";

    /// Starts the stream and the producer, and no worker.
    ///
    /// # Errors
    /// The stream cannot be started, or the lease table not be opened.
    pub async fn start(setup: Setup) -> Result<Self, BoxError> {
        let stream =
            Arc::new(Embedded::in_memory(Self::STREAM, i32::try_from(setup.shards)?).await?);
        let producer = Arc::new(Producer::new(&stream, setup.rate));
        let table = setup
            .lease_table
            .open_for(&setup.application, setup.dynamo_endpoint.as_deref())
            .await?;
        // A table that is looked at for long is looked at in peace.
        let watch = Arc::new(TableWatch::new(
            table,
            if setup.links.is_some() {
                LOOK_IN_PEACE
            } else {
                LOOK_AT_ONCE
            },
        ));
        let stream_upstream = setup
            .links
            .map(|_| Arc::new(Upstream::new(stream.endpoint())));
        let dynamo = setup
            .dynamo_endpoint
            .as_deref()
            .filter(|_| setup.links.is_some());
        let table_upstream = dynamo.map(|endpoint| Arc::new(Upstream::new(endpoint)));
        let mut tasks = JoinSet::new();
        let (puts, looks) = (Arc::clone(&producer), Arc::clone(&watch));
        tasks.spawn(async move { puts.run().await });
        tasks.spawn(async move {
            looks.run().await;
            Ok(())
        });
        let (members, deeds, history) = (Vec::new(), Vec::new(), DeliveryHistory::default());
        Ok(Self {
            setup,
            stream,
            producer,
            watch,
            members,
            names: 0,
            deeds,
            history,
            locked_freezes: 0,
            stream_upstream,
            table_upstream,
            tasks,
        })
    }

    /// The failover time of the workers.
    #[must_use]
    pub const fn failover(&self) -> Duration {
        self.setup.failover
    }

    /// What it was made with.
    #[must_use]
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &Embedded {
        &self.stream
    }

    /// What puts records.
    #[must_use]
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// All processes that were started, in that order.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The processes that work, by their places among all.
    #[must_use]
    pub fn working(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.members
            .iter()
            .enumerate()
            .filter(|(_, member)| member.is_working())
            .map(|(place, _)| place)
    }

    /// The processes that ended although nobody told them to, by their places among all.
    pub fn ended_alone(&self) -> impl Iterator<Item = usize> {
        let told = |place| {
            self.deeds.iter().any(|deed| {
                deed.member == place && matches!(deed.what, What::Killed | What::Stopped)
            })
        };
        (0..self.members.len()).filter(move |place| self.members[*place].is_gone() && !told(*place))
    }

    /// What was done to them, and what they did.
    #[must_use]
    pub fn deeds(&self) -> &[Deed] {
        &self.deeds
    }

    /// What they were given, as of the last refresh.
    #[must_use]
    pub const fn history(&self) -> &DeliveryHistory {
        &self.history
    }

    /// What the lease table shows now.
    #[must_use]
    pub fn seen(&self) -> tokio::sync::watch::Ref<'_, TableSeen> {
        self.watch.seen()
    }

    /// How often a process was found stopped inside a write, and was let go on and stopped again.
    #[must_use]
    pub const fn locked_freezes(&self) -> u32 {
        self.locked_freezes
    }

    /// How many requests to the stream and to DynamoDB were harmed in this way.
    #[must_use]
    pub fn harmed(&self, harm: Harm) -> u64 {
        [&self.stream_upstream, &self.table_upstream]
            .into_iter()
            .flatten()
            .map(|upstream| upstream.harmed(harm))
            .sum()
    }

    /// Takes in what the processes have written.
    ///
    /// # Errors
    /// A file cannot be read, or the producer has failed.
    pub fn refresh(&mut self) -> Result<(), BoxError> {
        for place in 0..self.members.len() {
            let member = &mut self.members[place];
            if member.is_gone() {
                continue;
            }
            for line in member.news()? {
                self.history.take_in(place, line);
            }
            if self.members[place].is_gone() {
                self.note(place, What::Ended);
            }
        }
        match self.tasks.try_join_next() {
            Some(ended) => {
                ended?.and_then(|()| Err("a task of the fleet ended unexpectedly".into()))
            }
            None => Ok(()),
        }
    }

    /// The shards that a process has, as the table shows it.
    #[must_use]
    pub fn owned_by(&self, place: usize) -> Vec<ShardId> {
        self.seen().owned_by(self.members[place].name.as_str())
    }

    /// When a process was started.
    #[must_use]
    pub fn started(&self, place: usize) -> Timestamp {
        let is_start = |deed: &&Deed| deed.member == place && deed.what == What::Started;
        self.deeds
            .iter()
            .find(is_start)
            .map_or(Timestamp::from_millis(0), |deed| deed.at)
    }

    /// When the lease table was read last.
    #[must_use]
    pub fn seen_at(&self) -> Timestamp {
        self.seen().at.unwrap_or(Timestamp::from_millis(0))
    }

    pub(super) fn judge(&self, parents: &ShardParents) -> Verdict {
        Verdict::of(&self.history, &self.producer.put(), parents, &self.deeds)
    }

    /// Judges what was handed out so far. What was not handed out yet counts as lost:
    /// [`drain`](Self::drain) before.
    ///
    /// # Errors
    /// The shards cannot be listed.
    pub async fn verdict(&mut self) -> Result<Verdict, BoxError> {
        self.refresh()?;
        let mut parents = ShardParents::new();
        for shard in self.stream.shards().await? {
            let of = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()]
                .into_iter()
                .flatten();
            let of: Vec<ShardId> = of.map(ShardId::from).collect();
            if !of.is_empty() {
                parents.insert(shard.shard_id().into(), of);
            }
        }
        let mut verdict = self.judge(&parents);
        verdict.went_back =
            checkpoints_that_went_back(self.members.iter().flat_map(|member| &member.calls));
        verdict
            .went_back
            .extend(self.seen().backwards.iter().cloned());
        Ok(verdict)
    }
}

/// The time from one moment to a later one.
pub(super) fn span(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(to.as_millis() - from.as_millis()).unwrap_or(0))
}
