use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use kcl_core::BoxError;
use kcl_core::model::Moment;
use kcl_core::{Clock, SystemClock};

use examples::consume::LeaseTableAt;
use examples::embedded::Reshard;
use examples::exit::FAILED;

use super::fleet::{Fleet, Setup};
use super::keys::TerminalKeys;
use super::member::{Member, MemberState};
use super::network::Harm;
use super::options::Options;
use super::plan::{OPEN_SHARDS, Plan};
use super::report::Report;
use super::script::{Action, Script, Whom};
use super::signals::Signals;
use super::view::View;

/// What runs where nobody can press a key and no script is given: some of everything, at a failover
/// time of 3 s.
pub const SOME_OF_EVERYTHING: &str =
    "2s kill 1; 9s add; 14s split; 17s freeze 2; 28s stop 3; 32s merge";
const TICK: Duration = Duration::from_millis(50);
/// The end comes when the fleet has been at rest for so long.
const REST: Duration = Duration::from_secs(2);
/// How many workers read at the end of a soak, and how long they may take.
const CALM_WORKERS: usize = 4;
const A_LONG_END: Duration = Duration::from_secs(120);

/// Starts a fleet, does to it what the script or the keys say, and prints what came of it. Returns
/// the exit code.
///
/// # Errors
/// The fleet cannot be started, or something around it fails.
pub async fn show(options: &Options) -> Result<u8, BoxError> {
    let begun = SystemClock.now();
    let mut signals = Signals::catch()?;
    let mut temporary = tempfile::tempdir()?;
    let kept = temporary.path().to_owned();
    let folder = options.folder.as_deref().unwrap_or(&kept);
    std::fs::create_dir_all(folder)
        .map_err(|error| format!("cannot create the folder {}: {error}", folder.display()))?;
    let mut fleet = Fleet::start(setup(options, folder)?).await?;
    let mut show = Show::new(options)?;
    if options.soak.is_some() {
        std::fs::write(folder.join("script.txt"), show.script.to_string())?;
    }
    let ended = tokio::select! {
        biased;
        signal = signals.next() => {
            show.view.say(&format!("{signal}: ending"));
            Ok(())
        }
        ended = show.run(options, &mut fleet) => ended,
    };
    if let Err(error) = &ended {
        show.view.say(&format!("{error}: ending"));
    }
    let mut patience = fleet.failover() * 2 + Duration::from_secs(10);
    let rest = async {
        if options.soak.is_some() {
            show.calm(&mut fleet).await?;
            patience += A_LONG_END;
        }
        fleet.drain(patience).await?;
        fleet.stop_all().await?;
        fleet.verdict().await
    };
    let verdict = tokio::select! {
        biased;
        signal = signals.next() => return Err(format!("{signal} again: ending at once").into()),
        verdict = rest => verdict?,
    };
    show.view.end();
    drop(show);
    let report = Report::new(
        &fleet,
        verdict,
        options.soak,
        SystemClock.now().since(begun),
    );
    println!("\n{report}\n{}", sentence(&report));
    if options.soak.is_some() && !report.is_right() {
        temporary.disable_cleanup(true);
        println!("Traces and logs of the processes: {}", folder.display());
    }
    println!("{}", report.json());
    ended?;
    Ok(if report.is_right() { 0 } else { FAILED })
}

fn setup(options: &Options, folder: &Path) -> Result<Setup, BoxError> {
    let lease_table = options
        .lease_table
        .clone()
        .unwrap_or_else(|| LeaseTableAt::Sqlite(folder.join("leases.sqlite")));
    let dynamo_endpoint = options.dynamo_endpoint.clone();
    // The stream is new with each run: leases of an older run in the same table are not of it.
    let application = format!("fleet-{}", SystemClock.wall().as_millis());
    let Options {
        failover,
        shards,
        rate,
        soak,
        ..
    } = *options;
    let harmed = |script: &Script| {
        script
            .0
            .iter()
            .any(|(_, action)| matches!(action, Action::Harm(..)))
    };
    let links = soak.or_else(|| options.script.as_ref().is_some_and(harmed).then_some(0));
    let program = std::env::current_exe()?;
    let folder = folder.to_owned();
    Ok(Setup {
        program,
        folder,
        lease_table,
        dynamo_endpoint,
        application,
        failover,
        shards,
        rate,
        links,
    })
}

fn sentence(report: &Report) -> &'static str {
    if report.is_right() {
        "Every record was delivered in order, and again only where its owner was killed or frozen."
    } else {
        "The records delivered are not the records put."
    }
}

fn plan(options: &Options) -> Option<Plan> {
    let Options {
        workers,
        shards,
        failover,
        span,
        lease_table,
        dynamo_endpoint,
        off,
        ..
    } = options;
    let (seed, span) = (options.soak?, (*span)?);
    let harms = Harm::value_variants()
        .iter()
        .copied()
        .filter(|harm| !off.contains(harm))
        .collect();
    let table = matches!(lease_table, Some(LeaseTableAt::Dynamo(_))) && dynamo_endpoint.is_some();
    Some(Plan {
        seed,
        span,
        workers: *workers,
        shards: *shards,
        failover: *failover,
        harms,
        table,
    })
}

/// What is to come, and who shows it.
struct Show {
    view: View,
    keys: Option<TerminalKeys>,
    script: Script,
    /// Since when the fleet has been settled for the first time.
    begun: Option<Moment>,
    /// Who is to be woken when.
    frozen: Vec<(Moment, usize)>,
    chosen: Option<usize>,
    /// Since when nothing is to be done and the fleet is settled.
    rests: Option<Moment>,
    /// Who ended without being told to, as it was said.
    gone: Vec<usize>,
}

impl Show {
    fn new(options: &Options) -> Result<Self, BoxError> {
        let keys = TerminalKeys::open()?;
        let script = match (plan(options), &options.script, &keys) {
            (Some(plan), ..) => plan.script(),
            (None, Some(script), _) => script.clone(),
            (None, None, Some(_)) => Script::default(),
            (None, None, None) => SOME_OF_EVERYTHING.parse()?,
        };
        let (frozen, gone, begun, chosen, rests) = (Vec::new(), Vec::new(), None, None, None);
        Ok(Self {
            view: View::new(options.soak.is_some()),
            keys,
            script,
            begun,
            frozen,
            chosen,
            rests,
            gone,
        })
    }

    /// Until it is over.
    async fn run(&mut self, options: &Options, fleet: &mut Fleet) -> Result<(), BoxError> {
        for _ in 0..options.workers {
            fleet.add()?;
        }
        let Options {
            workers,
            shards,
            rate,
            ..
        } = options;
        let failover = humantime::format_duration(options.failover);
        self.view.say(&format!(
            "{workers} workers, {shards} shards, {rate} records a second and \
            shard, failover {failover}"
        ));
        let mut steps = std::mem::take(&mut self.script).0.into_iter().peekable();
        let scripted = options.script.is_some() || options.soak.is_some() || self.keys.is_none();
        if let Some(seed) = options.soak {
            self.view.say(&format!(
                "seed {seed}: {} steps, starting when all shards are being read",
                steps.len()
            ));
        }
        loop {
            SystemClock.sleep_until(SystemClock.now() + TICK).await;
            match self.keys.as_ref().and_then(TerminalKeys::pressed) {
                Some('q') => return Ok(()),
                Some(key) => self.press(key, fleet).await?,
                None => {}
            }
            fleet.refresh()?;
            self.notice_ends(fleet);
            self.chosen = self
                .chosen
                .filter(|place| !fleet.members()[*place].is_gone());
            let now = SystemClock.now();
            for (_, place) in self.frozen.extract_if(.., |(until, _)| *until <= now) {
                // It may have been killed meanwhile.
                if fleet.members()[place].state == MemberState::Frozen {
                    fleet.wake(place)?;
                    self.view
                        .say(&format!("{} continues", fleet.members()[place].name));
                }
            }
            if self.begun.is_none() && fleet.is_settled() {
                self.begun = Some(now);
                self.view.say("all shards are being read");
            }
            let Some(elapsed) = self.begun.map(|begun| now.since(begun)) else {
                self.view.show(fleet, self.chosen);
                continue;
            };
            if let Some((_, action)) = steps.next_if(|(time, _)| *time <= elapsed) {
                let done = self.act(action, fleet).await;
                // A soak goes on: what could not be done is not counted.
                match done {
                    Err(error) if options.soak.is_some() => {
                        self.view.say(&format!("{action}: {error}"));
                    }
                    done => done?,
                }
            }
            if options.soak.is_some() && fleet.working().count() < 2 {
                // Others ended by themselves, which the report tells. Those of the script keep
                // their numbers.
                let name = format!("spare{}", fleet.members().len());
                fleet.add_named(&name, &[])?;
                self.view.say(&format!("{name} started"));
            }
            let idle = steps.peek().is_none() && self.frozen.is_empty() && fleet.is_settled();
            self.rests = if idle { self.rests.or(Some(now)) } else { None };
            let rested = scripted
                && options.span.is_none()
                && self.rests.is_some_and(|since| now.since(since) >= REST);
            if rested || options.span.is_some_and(|span| elapsed >= span) {
                return Ok(());
            }
            self.view.show(fleet, self.chosen);
        }
    }

    /// The end of a soak: nothing is harmed any more, and a whole fleet reads all shards.
    async fn calm(&mut self, fleet: &mut Fleet) -> Result<(), BoxError> {
        fleet.heal();
        for (_, place) in std::mem::take(&mut self.frozen) {
            if fleet.members()[place].state == MemberState::Frozen {
                fleet.wake(place)?;
            }
        }
        while fleet.working().count() < CALM_WORKERS {
            fleet.add()?;
        }
        self.view
            .say("calm: no more faults until everything is read");
        if let Err(error) = fleet.settle(A_LONG_END).await {
            self.view.say(&error.to_string());
        }
        Ok(())
    }

    /// Says which processes have ended although nobody told them to.
    fn notice_ends(&mut self, fleet: &Fleet) {
        let gone: Vec<usize> = fleet.ended_alone().collect();
        for place in gone.iter().filter(|place| !self.gone.contains(place)) {
            let member = &fleet.members()[*place];
            let said = member.said();
            let said = said
                .lines()
                .rfind(|line| line.starts_with("error"))
                .unwrap_or("it gave no reason");
            self.view
                .say(&format!("{} ended unexpectedly: {said}", member.name));
        }
        self.gone = gone;
    }

    async fn press(&mut self, key: char, fleet: &mut Fleet) -> Result<(), BoxError> {
        if let Some(number) = key.to_digit(10) {
            let name = format!("w{number}");
            self.chosen = fleet
                .working()
                .rfind(|place| fleet.members()[*place].name.as_str() == name);
            return Ok(());
        }
        let whom = match self.chosen {
            Some(place) => fleet.members()[place]
                .name
                .as_str()
                .trim_start_matches('w')
                .parse()
                .map_or(Whom::Oldest, Whom::Number),
            None => Whom::Oldest,
        };
        let action = match key {
            'k' => Action::Kill(whom),
            'f' => Action::Freeze(whom, None),
            't' => Action::Stop(whom),
            'r' => Action::Restart(whom),
            'a' => Action::Add,
            's' => Action::Split,
            'm' => Action::Merge,
            _ => return Ok(()),
        };
        self.act(action, fleet).await
    }

    async fn act(&mut self, action: Action, fleet: &mut Fleet) -> Result<(), BoxError> {
        let said = match action {
            Action::Add => {
                let place = fleet.add()?;
                format!("{} started", fleet.members()[place].name)
            }
            // The script counts them too, but a merge may find no two that fit.
            Action::Split if fleet.stream().open_shards().await?.len() >= *OPEN_SHARDS.end() => {
                "not split: there are enough shards".to_owned()
            }
            Action::Split => fleet.reshard(Reshard::Split).await?,
            Action::Merge => fleet.reshard(Reshard::Merge).await?,
            Action::Kill(whom)
            | Action::Restart(whom)
            | Action::Freeze(whom, _)
            | Action::Stop(whom)
            | Action::Harm(whom, _) => {
                let also_frozen = matches!(
                    action,
                    Action::Kill(_) | Action::Restart(_) | Action::Harm(..)
                );
                let Some(place) = find(fleet, whom, also_frozen) else {
                    self.view.say(&format!("{whom} is not working"));
                    return Ok(());
                };
                let name = fleet.members()[place].name.to_string();
                match action {
                    Action::Restart(_) => {
                        fleet.kill(place)?;
                        fleet
                            .until("the process is gone", Duration::from_secs(10), |fleet| {
                                fleet.members()[place].is_gone()
                            })
                            .await?;
                        fleet.add_named(&name, &[])?;
                        format!("{name} killed and restarted under the same name")
                    }
                    Action::Freeze(_, time) => {
                        fleet.freeze(place).await?;
                        let time = time.unwrap_or_else(|| fleet.failover() * 2);
                        self.frozen.push((SystemClock.now() + time, place));
                        format!("{name} frozen for {}", humantime::format_duration(time))
                    }
                    Action::Harm(_, trouble) => match fleet.harm(place, trouble) {
                        Some(_) => format!("requests of {name} are harmed: {trouble}"),
                        None => format!("no connection of {name} can be harmed"),
                    },
                    Action::Stop(_) => {
                        fleet.stop(place)?;
                        format!("{name} told to stop")
                    }
                    _ => {
                        fleet.kill(place)?;
                        format!("{name} killed")
                    }
                }
            }
        };
        self.rests = None;
        self.view.say(&said);
        Ok(())
    }
}

fn find(fleet: &Fleet, whom: Whom, also_frozen: bool) -> Option<usize> {
    match whom {
        Whom::Oldest => fleet.working().next(),
        Whom::Number(number) => {
            let name = format!("w{number}");
            let is = |member: &Member| {
                member.is_working() || also_frozen && member.state == MemberState::Frozen
            };
            fleet
                .members()
                .iter()
                .rposition(|member| member.name.as_str() == name && is(member))
        }
    }
}
