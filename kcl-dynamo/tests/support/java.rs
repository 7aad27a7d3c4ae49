#![expect(clippy::disallowed_methods, reason = "a worker on a paused clock")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Dynamo, FAILOVER};

/// Which KCL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kcl {
    /// 1.x or 2.x: knows no hand-over. A lease that it takes keeps every attribute that it does not
    /// know, `checkpointOwner` too.
    V2,
    /// 3.0 to 3.4 with `CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X`: as the next one, and its metrics
    /// are in another table. With its renewals it stores what its shards carry.
    V3Old,
    /// 3.5 with `CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X`: takes as 2.x does, writes metrics, and
    /// hands a lease over when it is asked for it.
    V3Compatible,
}

/// A worker of the Java KCL in 2.x mode, as far as the lease table sees one: its renewals, its
/// taker and its hand-overs, with the conditions, the periods and the arithmetic of the KCL's
/// source.
pub struct Java {
    pub seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// What happened to it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The leases that it holds, by its own mind.
    pub holds: Vec<String>,
    /// How often it took a lease.
    pub takes: usize,
    /// How often a renewal was refused: somebody had taken the lease.
    pub lost: usize,
    /// How often it passed a lease on.
    pub handed_over: usize,
    /// How often it could not, as it was not asked any more.
    pub hand_overs_failed: usize,
}

/// Its renewals: a third of the failover time.
const RENEW: Duration = Duration::from_millis(3308);
/// Its taker: twice the failover time.
const TAKE: Duration = Duration::from_millis(20_050);
/// How long its handlers take to stop.
const DRAIN: Duration = Duration::from_secs(4);

struct Worker {
    dynamo: Dynamo,
    id: String,
    kcl: Kcl,
    /// The leases that it holds with their counters, and since when it drains one that it is asked
    /// for.
    held: BTreeMap<String, (u64, Option<Instant>)>,
    /// Every lease as its taker saw it: the counter, and since when; nothing for one that had no
    /// owner at first sight.
    aged: BTreeMap<String, (u64, Option<Instant>)>,
    dice: u64,
    seen: Arc<Mutex<Seen>>,
}

impl Java {
    /// Starts one. Its first look for leases comes `after`.
    pub fn start(dynamo: &Dynamo, id: &str, kcl: Kcl, after: Duration) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let worker = Worker {
            dynamo: dynamo.clone(),
            id: id.to_owned(),
            kcl,
            held: BTreeMap::new(),
            aged: BTreeMap::new(),
            dice: id.bytes().map(u64::from).sum(),
            seen: Arc::clone(&seen),
        };
        Self {
            seen,
            task: tokio::spawn(worker.run(after)),
        }
    }

    /// Ends it. A KCL of these versions leaves its leases as they are.
    pub fn stop(self) {
        self.task.abort();
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

fn number(row: &Value, attribute: &str) -> u64 {
    row[attribute]["N"].as_str().unwrap_or("0").parse().unwrap()
}

fn owner(row: &Value) -> Option<&str> {
    row["leaseOwner"]["S"].as_str()
}

impl Worker {
    async fn run(mut self, after: Duration) {
        // What bears its name is its own, from the start.
        for row in self
            .rows()
            .iter()
            .filter(|row| owner(row) == Some(&self.id) && row["checkpointOwner"].is_null())
        {
            self.held
                .insert(key(row), (number(row, "leaseCounter"), None));
        }
        let (mut renew, mut take) = (Instant::now(), Instant::now() + after);
        loop {
            tokio::time::sleep_until(renew.min(take)).await;
            if Instant::now() >= renew {
                renew += RENEW;
                self.renew();
            }
            if Instant::now() >= take {
                take += TAKE;
                self.take_leases();
            }
            self.seen.lock().unwrap().holds = self.held.keys().cloned().collect();
        }
    }

    fn rows(&self) -> Vec<Value> {
        let rows = self
            .dynamo
            .ask("Scan", json!({ "TableName": "application" }));
        rows["Items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["checkpoint"].is_object())
            .cloned()
            .collect()
    }

    fn get(&self, lease: &str) -> Value {
        let get = json!({ "TableName": "application", "Key": { "leaseKey": { "S": lease } }, "ConsistentRead": true });
        self.dynamo.ask("GetItem", get)["Item"].clone()
    }

    fn update(&self, lease: &str, update: &str, condition: &str, values: &Value) -> bool {
        let body = json!({
            "TableName": "application", "Key": { "leaseKey": { "S": lease } }, "UpdateExpression": update,
            "ConditionExpression": condition, "ExpressionAttributeValues": values,
        });
        self.dynamo.try_ask("UpdateItem", body).is_ok()
    }

    fn renew(&mut self) {
        for (lease, (counter, draining)) in self.held.clone() {
            let knows_hand_over = self.kcl != Kcl::V2;
            let condition = if knows_hand_over && draining.is_none() {
                "leaseCounter = :n AND attribute_not_exists(checkpointOwner)"
            } else {
                "leaseCounter = :n"
            };
            let values = json!({ ":n": { "N": counter.to_string() }, ":m": { "N": (counter + 1).to_string() } });
            // Of a shard that is not idle it is another number each time.
            let renewal = match self.kcl {
                Kcl::V3Old => "SET leaseCounter = :m, throughputKBps = :m",
                _ => "SET leaseCounter = :m",
            };
            if self.update(&lease, renewal, condition, &values) {
                self.held.insert(lease.clone(), (counter + 1, draining));
                if draining.is_some_and(|since| since.elapsed() >= DRAIN) {
                    self.hand_over(&lease);
                }
                continue;
            }
            let row = self.get(&lease);
            let asked =
                row["checkpointOwner"]["S"] == self.id.as_str() && owner(&row) != Some(&self.id);
            if knows_hand_over
                && asked
                && self.update(&lease, renewal, "leaseCounter = :n", &values)
            {
                self.held.insert(lease, (counter + 1, Some(Instant::now())));
                continue;
            }
            self.held.remove(&lease);
            self.seen.lock().unwrap().lost += 1;
        }
    }

    /// It drops the lease whether that worked or not.
    fn hand_over(&mut self, lease: &str) {
        let row = self.get(lease);
        let done = row["checkpointOwner"]["S"] == self.id.as_str()
            && self.update(
                lease,
                "SET leaseOwner = :b REMOVE checkpointOwner ADD leaseCounter :one",
                "leaseOwner = :b AND checkpointOwner = :me",
                &json!({ ":b": row["leaseOwner"], ":me": { "S": self.id }, ":one": { "N": "1" } }),
            );
        self.held.remove(lease);
        let mut seen = self.seen.lock().unwrap();
        seen.handed_over += usize::from(done);
        seen.hand_overs_failed += usize::from(!done);
    }

    fn random(&mut self, below: usize) -> usize {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.dice >> 33).unwrap() % below
    }

    /// One of several, each as likely.
    fn pick(&mut self, from: &mut Vec<Value>) -> Value {
        let at = self.random(from.len());
        from.swap_remove(at)
    }

    fn age(&self, row: &Value) -> Duration {
        match self.aged.get(&key(row)) {
            Some((_, Some(since))) => since.elapsed(),
            _ => Duration::MAX,
        }
    }

    fn take_leases(&mut self) {
        let rows = self.rows();
        for row in &rows {
            let counter = number(row, "leaseCounter");
            let seen = self.aged.get(&key(row));
            if seen.is_none_or(|(before, _)| *before != counter) {
                let since = (seen.is_some() || owner(row).is_some()).then(Instant::now);
                self.aged.insert(key(row), (counter, since));
            }
        }
        let (available, busy): (Vec<_>, Vec<_>) = rows
            .iter()
            .cloned()
            .partition(|row| owner(row).is_none() || self.age(row) > FAILOVER);
        let mut loads: BTreeMap<String, usize> = BTreeMap::from([(self.id.clone(), 0)]);
        busy.iter()
            .filter_map(owner)
            .for_each(|owner| *loads.entry(owner.to_owned()).or_default() += 1);
        let target = if loads.len() >= rows.len() {
            1
        } else {
            rows.len().div_ceil(loads.len())
        };
        let need = target.saturating_sub(loads[&self.id]);
        let mut very_old: Vec<_> = available
            .iter()
            .filter(|row| self.age(row) > FAILOVER * 3)
            .cloned()
            .collect();
        if !very_old.is_empty() {
            while !very_old.is_empty() {
                let row = self.pick(&mut very_old);
                self.take(&row);
            }
        } else if !available.is_empty() {
            let mut available = available;
            for _ in 0..need.min(available.len()) {
                let row = self.pick(&mut available);
                self.take(&row);
            }
        } else if need > 0 {
            let others = loads.iter().filter(|(id, _)| **id != self.id);
            let Some((fullest, load)) = others.max_by_key(|(_, load)| **load) else {
                return;
            };
            let excess = load.saturating_sub(target);
            let steal = if excess > 0 {
                need.min(excess)
            } else {
                usize::from(need > 1 && *load == target)
            };
            let mut theirs: Vec<_> = busy
                .into_iter()
                .filter(|row| owner(row) == Some(fullest))
                .collect();
            if steal > 0 {
                let row = self.pick(&mut theirs);
                self.take(&row);
            }
        }
    }

    fn take(&mut self, row: &Value) {
        let (lease, counter) = (key(row), number(row, "leaseCounter"));
        let mut update = "SET leaseCounter = :m, leaseOwner = :me".to_owned();
        if self.kcl != Kcl::V2 {
            update.push_str(" REMOVE checkpointOwner");
        }
        let mut values = json!({
            ":n": { "N": counter.to_string() }, ":m": { "N": (counter + 1).to_string() }, ":me": { "S": self.id },
        });
        if owner(row).is_some_and(|owner| owner != self.id) {
            update.push_str(" ADD ownerSwitchesSinceCheckpoint :one");
            values[":one"] = json!({ "N": "1" });
        }
        if self.update(&lease, &update, "leaseCounter = :n", &values) {
            self.held.insert(lease, (counter + 1, None));
            self.seen.lock().unwrap().takes += 1;
        }
    }
}

fn key(row: &Value) -> String {
    row["leaseKey"]["S"].as_str().unwrap().to_owned()
}
