//! What is done to a fleet.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::BoxError;
use kcl_core::model::Timestamp;
use kcl_core::{Clock, SystemClock};
use rustix::process::Signal;

use examples::consume::LeaseTableAt;
use examples::embedded::Reshard;

use crate::sim::Dice;

use super::deed::{Deed, What};
use super::fleet::{Fleet, Setup};
use super::member::{Member, MemberState};
use super::network::{HarmedService, Link, Trouble, Upstream};
use super::worker::GRACE;
use super::write_lock;

/// How often a process is stopped anew when it was stopped inside a write.
const FREEZE_TRIES: u32 = 20;

impl Fleet {
    /// Starts a worker process under a new name: `w1`, `w2` and so on. Returns its place.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn add(&mut self) -> io::Result<usize> {
        self.names += 1;
        self.add_named(&format!("w{}", self.names), &[])
    }

    /// Starts a worker process under this name, which another one may have had or may have still,
    /// with more options of `consume`.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn add_named(&mut self, name: &str, options: &[&str]) -> io::Result<usize> {
        let Setup {
            program,
            folder,
            lease_table,
            dynamo_endpoint,
            application,
            failover,
            ..
        } = &self.setup;
        let failover = humantime::format_duration(*failover)
            .to_string()
            .replace(' ', "");
        let table = lease_table.to_string();
        let place = self.members.len();
        let link = |upstream: &Option<Arc<Upstream>>, service: HarmedService| {
            let dice = || Dice::new(self.setup.links.unwrap_or(0), &format!("{service} {place}"));
            upstream
                .as_ref()
                .map(|upstream| Link::open(upstream, dice()))
                .transpose()
        };
        let stream_link = link(&self.stream_upstream, HarmedService::Stream)?;
        let table_link = link(&self.table_upstream, HarmedService::Table)?;
        let endpoint = stream_link
            .as_ref()
            .map_or_else(|| self.stream.endpoint().to_owned(), Link::endpoint);
        let dynamo_endpoint = table_link
            .as_ref()
            .map(Link::endpoint)
            .or_else(|| dynamo_endpoint.clone());
        let arguments = [
            "--stream",
            Self::STREAM,
            "--application",
            application,
            "--endpoint",
            &endpoint,
        ];
        let more = ["--lease-table", &table, "--failover", &failover];
        let dynamo = dynamo_endpoint
            .iter()
            .flat_map(|endpoint| ["--dynamo-endpoint", endpoint]);
        let arguments = arguments
            .into_iter()
            .chain(more)
            .chain(dynamo)
            .chain(options.iter().copied());
        let arguments: Vec<String> = arguments.map(ToOwned::to_owned).collect();
        let at = SystemClock.wall();
        let mut member = Member::start(program, name, place + 1, folder, &arguments)?;
        (member.stream_link, member.table_link) = (stream_link, table_link);
        self.members.push(member);
        self.deeds.push(Deed {
            at,
            member: place,
            what: What::Started,
            shards: Vec::new(),
        });
        Ok(place)
    }

    pub(super) fn note(&mut self, member: usize, what: What) -> Timestamp {
        let shards = self.owned_by(member);
        let at = SystemClock.wall();
        self.deeds.push(Deed {
            at,
            member,
            what,
            shards,
        });
        at
    }

    /// Kills a process (SIGKILL). When that was.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(&mut self, place: usize) -> io::Result<Timestamp> {
        let at = self.note(place, What::Killed);
        self.members[place].signal(Signal::KILL)?;
        self.members[place].state = MemberState::Stopping;
        Ok(at)
    }

    /// Tells a process to end gracefully (SIGTERM). When that was.
    ///
    /// # Errors
    /// The system refuses.
    pub fn stop(&mut self, place: usize) -> io::Result<Timestamp> {
        let at = self.note(place, What::Stopped);
        self.members[place].signal(Signal::TERM)?;
        self.members[place].state = MemberState::Stopping;
        Ok(at)
    }

    /// Stops a process where it is (SIGSTOP), so that it does not know. When that was.
    ///
    /// One that is found inside a write holds the write lock of the `SQLite` file, and nobody could
    /// go on: it is let go on, and stopped again.
    ///
    /// # Errors
    /// The system refuses, or the process is found inside a write again and again.
    pub async fn freeze(&mut self, place: usize) -> Result<Timestamp, BoxError> {
        for _ in 0..FREEZE_TRIES {
            let at = self.note(place, What::Frozen);
            self.members[place].signal(Signal::STOP)?;
            self.members[place].state = MemberState::Frozen;
            self.members[place].frozen().await?;
            let held = match &self.setup.lease_table {
                LeaseTableAt::Sqlite(path) => write_lock::is_held(path).await?,
                LeaseTableAt::Dynamo(_) => false,
            };
            if !held {
                return Ok(at);
            }
            self.locked_freezes += 1;
            self.wake(place)?;
            Self::pause().await;
        }
        Err(format!(
            "{} was in the middle of a write each of {FREEZE_TRIES} times",
            self.members[place].name
        )
        .into())
    }

    /// Harms the requests of a process. When that was; nothing where there is no way that could be
    /// harmed.
    pub fn harm(&mut self, place: usize, trouble: Trouble) -> Option<Timestamp> {
        let member = &self.members[place];
        let (link, what) = match trouble.service {
            HarmedService::Stream => (&member.stream_link, What::StreamHarmed),
            HarmedService::Table => (&member.table_link, What::TableHarmed(trouble.span)),
        };
        link.as_ref()?.harm(trouble);
        Some(self.note(place, what))
    }

    /// Harms nothing any more.
    pub fn heal(&self) {
        let links = self
            .members
            .iter()
            .flat_map(|member| [&member.stream_link, &member.table_link]);
        links.flatten().for_each(Link::heal);
    }

    /// Lets a process go on (SIGCONT). When that was.
    ///
    /// # Errors
    /// The system refuses.
    pub fn wake(&mut self, place: usize) -> io::Result<Timestamp> {
        let at = self.note(place, What::Woken);
        self.members[place].state = MemberState::Working;
        self.members[place].signal(Signal::CONT)?;
        Ok(at)
    }

    /// Changes the shards of the stream, and says how.
    ///
    /// # Errors
    /// The stream refuses.
    pub async fn reshard(&self, reshard: Reshard) -> Result<String, BoxError> {
        let said = reshard.carry_out(&self.stream).await?;
        self.producer.look_at_shards();
        Ok(said)
    }

    /// Ends all processes gracefully, wakes those that are frozen for it, and waits for their ends.
    /// Who does not end is killed.
    ///
    /// # Errors
    /// See [`refresh`](Self::refresh).
    pub async fn stop_all(&mut self) -> Result<(), BoxError> {
        for place in 0..self.members.len() {
            if self.members[place].state == MemberState::Frozen {
                self.wake(place)?;
            }
            if self.members[place].is_working() {
                self.stop(place)?;
            }
        }
        let gone = |fleet: &Self| fleet.members.iter().all(Member::is_gone);
        if self
            .until(
                "all processes have ended",
                GRACE + Duration::from_secs(5),
                gone,
            )
            .await
            .is_err()
        {
            for place in 0..self.members.len() {
                if !self.members[place].is_gone() {
                    self.kill(place)?;
                }
            }
        }
        self.refresh()
    }
}
