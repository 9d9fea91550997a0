//! A little simulation around a pool: processes that boot, beat, drain, hang and die in simulated time,
//! and the invariants that hold after every event whatever happens.

mod effects;
mod invariants;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster::base::backoff::Backoff;
use cluster::base::ids::{Epoch, Generation, Incarnation, Life, Slot};
use cluster::base::time::Monotonic;
use cluster::pool::status::WorkerState;
use cluster::pool::{
    Announcement, Event, Failure, NotLoaded, OrphanedWork, Outcome, Policy, Pool, ProcessExit, Request,
    Sample, Saved, StopMode, Ticket, Verdict,
};

/// A signal: no client waits.
pub(crate) fn asked(request: Request) -> Event {
    Event::Asked {
        ticket: Ticket::NOBODY,
        request,
    }
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn policy(workers: u16) -> Policy {
    Policy {
        workers,
        heartbeat_interval: ms(250),
        late_after: ms(281),
        heartbeat_timeout: ms(5_000),
        lock_hold_timeout: ms(400),
        ready_timeout: ms(10_000),
        stop_delay: ms(0),
        drain_timeout: ms(30_000),
        bake_time: ms(1_000),
        early_death: ms(1_000),
        backoff: Backoff {
            first: ms(100),
            longest: ms(5_000),
        },
        restart_limit: 5,
        restart_window: ms(60_000),
        max_draining: 4,
        max_requests: None,
        max_rss: None,
        max_age: None,
        runs_programs: false,
    }
}

/// Why a request failed.
pub(crate) fn failure(verdict: Verdict) -> Failure {
    match verdict {
        Verdict::Failed { reason, .. } => reason,
        other => panic!("it did not fail: {other:?}"),
    }
}

/// How the programs of a generation behave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Program {
    Good,
    /// Leaves with code 1 instead of becoming ready.
    ExitsAtBoot,
    NeverReady,
    /// Is killed by a signal that long after it was ready.
    DiesAfterReady(Duration),
    /// The system refuses to start it.
    CannotSpawn,
    /// Says READY, then STOPPING, and drains.
    GoesByItself,
}

/// One process.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) generation: Generation,
    pub(crate) ready: bool,
    pub(crate) hung: Option<Monotonic>,
    pub(crate) starved: bool,
    pub(crate) lock: Option<Monotonic>,
    pub(crate) terminated: bool,
    /// What its scoreboard says, beats and locks aside.
    pub(crate) sample: Sample,
}

pub(crate) struct Simulation {
    pub(crate) pool: Pool,
    pub(crate) now: Monotonic,
    pub(crate) processes: BTreeMap<Life, Process>,
    pub(crate) programs: BTreeMap<Generation, Program>,
    /// What the next `Load` finds.
    pub(crate) next_load: Result<(Program, Policy), NotLoaded>,
    pub(crate) steered: Vec<Slot>,
    pub(crate) weights: Vec<(Slot, u16)>,
    pub(crate) announced: Vec<Announcement>,
    pub(crate) assigned: Vec<(Life, OrphanedWork)>,
    pub(crate) owed: BTreeSet<OrphanedWork>,
    pub(crate) verdicts: BTreeMap<Ticket, Verdict>,
    /// The worker that was told to accept for each slot.
    pub(crate) adopters: BTreeMap<Slot, Life>,
    /// The workers that cannot be reached, and the queues that could not be handed over since the last look.
    pub(crate) unreachable: BTreeSet<Life>,
    not_handed: BTreeSet<Slot>,
    /// What a canary's readiness answers; the rest of the simulation is always ready.
    pub(crate) readiness: Result<(), String>,
    pub(crate) probes: Vec<Life>,
    /// What the binary on disk says of itself when it rehearses, and what executing it comes to.
    pub(crate) rehearsal: Result<(), String>,
    pub(crate) execution: Result<String, String>,
    /// What the master after a hand-over says first.
    upgraded: Option<Result<String, String>>,
    /// How often another binary took over.
    pub(crate) masters: u32,
    /// How many tickets were given out.
    pub(crate) asked: u64,
    /// What happens at one instant is handed over together.
    pub(crate) batches: bool,
    pub(crate) exit: Option<Outcome>,
    pub(crate) boot_time: Duration,
    pub(crate) drain_time: Duration,
    /// Workers never say TakenOver.
    pub(crate) silent_takeovers: bool,
    pub(crate) wakes: u64,
    pub(crate) least_serving: usize,
    pub(crate) kills: Vec<Life>,
    /// Whether the stub runs.
    pub(crate) stub: bool,
    /// The workers that were told that the cluster will stop.
    pub(crate) forewarned: BTreeSet<Life>,
    listeners: u16,
    loaded: BTreeSet<Generation>,
    epochs: BTreeMap<Slot, Epoch>,
    queue: BTreeMap<(Monotonic, u64), Event>,
    sequence: u64,
    max_draining: u16,
}

const INCARNATION: Incarnation = Incarnation(7);
pub(crate) const FIRST: Generation = Generation(1);
pub(crate) const SECOND: Generation = Generation(2);

impl Simulation {
    /// A started pool whose first programs behave like that.
    pub(crate) fn start(policy: Policy, program: Program, seed: u64) -> Simulation {
        let now = Monotonic(1_000_000_000_000);
        let max_draining = policy.max_draining;
        let pool = Pool::new(policy.clone(), INCARNATION, FIRST, now, seed);
        let mut simulation = Simulation {
            pool,
            now,
            processes: BTreeMap::new(),
            programs: BTreeMap::from([(FIRST, program)]),
            next_load: Ok((Program::Good, policy)),
            steered: Vec::new(),
            weights: Vec::new(),
            adopters: BTreeMap::new(),
            unreachable: BTreeSet::new(),
            not_handed: BTreeSet::new(),
            asked: 0,
            batches: false,
            readiness: Ok(()),
            probes: Vec::new(),
            rehearsal: Ok(()),
            execution: Ok("2.0".to_owned()),
            upgraded: None,
            masters: 0,
            announced: Vec::new(),
            assigned: Vec::new(),
            owed: BTreeSet::from([OrphanedWork::Before(INCARNATION)]),
            verdicts: BTreeMap::new(),
            exit: None,
            boot_time: ms(20),
            drain_time: ms(50),
            silent_takeovers: false,
            wakes: 0,
            least_serving: usize::MAX,
            kills: Vec::new(),
            stub: false,
            forewarned: BTreeSet::new(),
            listeners: 0,
            loaded: BTreeSet::from([FIRST]),
            epochs: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            max_draining,
        };
        let mut effects = Vec::new();
        simulation.pool.start(now, &mut effects);
        simulation.perform(effects);
        simulation
    }

    /// A simulation whose workers serve already.
    pub(crate) fn serving(workers: u16) -> Simulation {
        let mut simulation = Simulation::start(policy(workers), Program::Good, 42);
        simulation.run(ms(100));
        assert_eq!(simulation.serving_slots(), usize::from(workers));
        simulation
    }

    pub(crate) fn serving_slots(&self) -> usize {
        self.states()
            .iter()
            .filter(|state| **state == WorkerState::Serving)
            .count()
    }

    pub(crate) fn states(&self) -> Vec<WorkerState> {
        self.pool.slots().map(|slot| slot.state).collect()
    }

    pub(crate) fn life_in(&self, slot: u16) -> Life {
        self.pool
            .slots()
            .nth(usize::from(slot))
            .and_then(|slot| slot.worker)
            .expect("a worker is in it")
            .life
    }

    pub(crate) fn generations_in_slots(&self) -> Vec<u32> {
        self.pool
            .slots()
            .map(|slot| slot.worker.map_or(0, |worker| worker.generation.0))
            .collect()
    }

    /// Something happens now.
    pub(crate) fn happen(&mut self, event: Event) {
        self.happen_all(vec![event]);
    }

    /// All this was gathered in one round.
    pub(crate) fn happen_all(&mut self, events: Vec<Event>) {
        events.iter().for_each(|event| self.note(event));
        let mut effects = Vec::new();
        self.pool.handle_all(self.now, events, &mut effects);
        self.perform(effects);
        self.check();
        if let Some(upgraded) = self.upgraded.take() {
            self.happen(Event::Upgraded(upgraded));
        }
    }

    /// The pool goes to another binary as text, and is the same there.
    pub(crate) fn hand_over(&mut self) {
        let text = serde_json::to_string(&Saved::of(&self.pool)).expect("a pool can be written");
        let saved: Saved = serde_json::from_str(&text).expect("and read");
        let pool = saved.load().expect("and gone on with");
        assert_eq!(pool, self.pool);
        self.pool = pool;
        self.masters += 1;
    }

    /// A client asks, and waits for the verdict under this ticket.
    pub(crate) fn ask(&mut self, request: Request) -> Ticket {
        self.asked += 1;
        let ticket = Ticket(self.asked);
        self.happen(Event::Asked { ticket, request });
        ticket
    }

    pub(crate) fn verdict(&self, ticket: Ticket) -> Option<&Verdict> {
        self.verdicts.get(&ticket)
    }

    /// Lets time pass until the verdict comes.
    pub(crate) fn await_verdict(&mut self, ticket: Ticket) -> Verdict {
        self.run_until("verdict", |simulation| simulation.verdict(ticket).is_some());
        self.verdicts[&ticket].clone()
    }

    pub(crate) fn crash(&mut self, life: Life, exit: ProcessExit) {
        self.happen(Event::Died {
            life,
            exit,
            oom: false,
        });
    }

    pub(crate) fn hang(&mut self, life: Life) {
        let now = self.now;
        self.processes.get_mut(&life).expect("it lives").hung = Some(now);
    }

    pub(crate) fn hold_lock(&mut self, life: Life) {
        let now = self.now;
        self.processes.get_mut(&life).expect("it lives").lock = Some(now);
    }

    pub(crate) fn wake_up(&mut self, life: Life) {
        self.processes.get_mut(&life).expect("it lives").hung = None;
    }

    pub(crate) fn stop(&mut self, mode: StopMode) {
        self.happen(asked(Request::Stop(mode)));
    }

    pub(crate) fn was_announced(&self, wanted: impl Fn(&Announcement) -> bool) -> bool {
        self.announced.iter().any(wanted)
    }

    pub(crate) fn anybody_hangs(&self) -> bool {
        self.processes.values().any(|process| process.hung.is_some())
    }

    pub(crate) fn max_draining(&self) -> u16 {
        self.max_draining
    }

    /// Workers that kept silent say that they have taken over.
    pub(crate) fn answer_takeovers(&mut self) {
        for (work, by) in self.pool.takeovers().to_vec() {
            if let Some(by) = by {
                self.schedule(ms(3), Event::TakenOver { by, work });
            }
        }
    }

    /// How many times that was said.
    pub(crate) fn count(&self, wanted: impl Fn(&Announcement) -> bool) -> usize {
        self.announced
            .iter()
            .filter(|announcement| wanted(announcement))
            .count()
    }
}
