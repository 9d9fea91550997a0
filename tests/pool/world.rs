//! A little simulated world around a pool: processes that boot, beat, drain, hang and die in simulated time, and the
//! invariants that hold after every event whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster::base::backoff::Backoff;
use cluster::base::ids::{Epoch, Generation, Incarnation, Life, Slot};
use cluster::base::time::Monotonic;
use cluster::pool::status::Doing;
use cluster::pool::{
    Activity, Announcement, Effect, Estate, Event, Exit, NotLoaded, Notice, Outcome, Policy, Pool, Request,
    Saved, Sight, Signal, StopMode, Ticket, Verdict,
};

/// A signal: nobody waits.
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
        heartbeat_timeout: ms(5_000),
        lock_hold_timeout: ms(400),
        ready_timeout: ms(10_000),
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
    pub(crate) sight: Sight,
}

pub(crate) struct World {
    pub(crate) pool: Pool,
    pub(crate) now: Monotonic,
    pub(crate) processes: BTreeMap<Life, Process>,
    pub(crate) programs: BTreeMap<Generation, Program>,
    /// What the next `Load` finds.
    pub(crate) next_load: Result<(Program, Policy), NotLoaded>,
    pub(crate) steered: Vec<Slot>,
    pub(crate) weights: Vec<(Slot, u16)>,
    pub(crate) announced: Vec<Announcement>,
    pub(crate) bequeathed: Vec<(Life, Estate)>,
    pub(crate) owed: BTreeSet<Estate>,
    pub(crate) verdicts: BTreeMap<Ticket, Verdict>,
    /// Who was told to accept for which slot.
    pub(crate) adopters: BTreeMap<Slot, Life>,
    /// What a canary's readiness answers; the rest of the world is always ready.
    pub(crate) readiness: Result<(), String>,
    pub(crate) probes: Vec<Life>,
    /// What the binary on disk says of itself when it rehearses, and what executing it comes to.
    pub(crate) rehearsal: Result<(), String>,
    pub(crate) execution: Result<String, String>,
    /// How often another binary took over.
    pub(crate) masters: u32,
    /// How many tickets were given out.
    pub(crate) asked: u64,
    /// What happens at one instant is handed over together.
    pub(crate) batches: bool,
    pub(crate) exit: Option<Outcome>,
    pub(crate) boot_time: Duration,
    pub(crate) drain_time: Duration,
    /// Workers never say Inherited.
    pub(crate) deaf_heirs: bool,
    pub(crate) wakes: u64,
    pub(crate) least_serving: usize,
    pub(crate) kills: Vec<Life>,
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

impl World {
    /// A started pool whose first programs behave like that.
    pub(crate) fn start(policy: Policy, program: Program, seed: u64) -> World {
        let now = Monotonic(1_000_000_000_000);
        let max_draining = policy.max_draining;
        let pool = Pool::new(policy.clone(), INCARNATION, FIRST, now, seed);
        let mut world = World {
            pool,
            now,
            processes: BTreeMap::new(),
            programs: BTreeMap::from([(FIRST, program)]),
            next_load: Ok((Program::Good, policy)),
            steered: Vec::new(),
            weights: Vec::new(),
            adopters: BTreeMap::new(),
            asked: 0,
            batches: false,
            readiness: Ok(()),
            probes: Vec::new(),
            rehearsal: Ok(()),
            execution: Ok("2.0".to_owned()),
            masters: 0,
            announced: Vec::new(),
            bequeathed: Vec::new(),
            owed: BTreeSet::from([Estate::Before(INCARNATION)]),
            verdicts: BTreeMap::new(),
            exit: None,
            boot_time: ms(20),
            drain_time: ms(50),
            deaf_heirs: false,
            wakes: 0,
            least_serving: usize::MAX,
            kills: Vec::new(),
            listeners: 0,
            loaded: BTreeSet::from([FIRST]),
            epochs: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            max_draining,
        };
        let mut effects = Vec::new();
        world.pool.start(now, &mut effects);
        world.perform(effects);
        world
    }

    /// One that serves already.
    pub(crate) fn serving(workers: u16) -> World {
        let mut world = World::start(policy(workers), Program::Good, 42);
        world.run(ms(100));
        assert_eq!(world.serving_slots(), usize::from(workers));
        world
    }

    pub(crate) fn serving_slots(&self) -> usize {
        self.doings()
            .iter()
            .filter(|doing| **doing == Doing::Serving)
            .count()
    }

    pub(crate) fn doings(&self) -> Vec<Doing> {
        self.pool.slots().map(|slot| slot.doing).collect()
    }

    pub(crate) fn life_in(&self, slot: u16) -> Life {
        self.pool
            .slots()
            .nth(usize::from(slot))
            .and_then(|slot| slot.worker)
            .expect("somebody is in it")
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
        if self.pool.hands_over() {
            self.hand_over();
            let execution = self.execution.clone();
            self.happen(Event::Upgraded(execution));
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

    /// Somebody asks, and waits for the verdict under this ticket.
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
        self.run_until("verdict", |world| world.verdict(ticket).is_some());
        self.verdicts[&ticket].clone()
    }

    /// Something will happen then.
    pub(crate) fn schedule(&mut self, after: Duration, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), event);
    }

    pub(crate) fn crash(&mut self, life: Life, exit: Exit) {
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

    /// Lets that much time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = self.now.max(end);
    }

    /// Lets time pass until that holds; panics when it does not within a simulated hour.
    pub(crate) fn run_until(&mut self, what: &str, holds: impl Fn(&World) -> bool) {
        let end = self.now + ms(3_600_000);
        while !holds(self) {
            assert!(
                self.step(end),
                "{what}: did not come; {:?} {:?}",
                self.doings(),
                self.announced.last()
            );
        }
    }

    /// The next thing that happens before `end`, if any.
    pub(crate) fn step(&mut self, end: Monotonic) -> bool {
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        let due = self.pool.next_deadline(self.now);
        let Some(next) = queued.into_iter().chain(due).min().filter(|next| *next <= end) else {
            return false;
        };
        if self.exit.is_some() {
            return false;
        }
        self.now = self.now.max(next);
        if queued.is_some_and(|queued| queued <= next) {
            let (_, event) = self.queue.pop_first().expect("it was looked at");
            let mut events = vec![event];
            while self.batches
                && let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= next)
            {
                events.push(entry.remove());
            }
            events.retain(|event| self.comes(event));
            self.happen_all(events);
        } else {
            self.wakes += 1;
            self.look();
        }
        true
    }

    /// What a shell does when the deadline is reached.
    pub(crate) fn look(&mut self) {
        let lives: Vec<Life> = self.pool.lives().collect();
        let mut events: Vec<Event> = lives.iter().filter_map(|life| self.sight_of(*life)).collect();
        events.push(Event::Ticked);
        self.happen_all(events);
    }

    fn sight_of(&self, life: Life) -> Option<Event> {
        let process = self.processes.get(&life).filter(|process| process.ready)?;
        let grid = 250_000_000;
        let alive = process.hung.unwrap_or(self.now);
        let beat = Monotonic(alive.0 / grid * grid);
        let beat = if process.starved { Monotonic(0) } else { beat };
        let sight = Sight {
            beat,
            lock_held_since: process.lock,
            // Who hangs is answering something.
            in_flight: process.sight.in_flight.max(u32::from(process.hung.is_some())),
            ..process.sight
        };
        Some(Event::Observed { life, sight })
    }

    /// Events of processes that are gone by now do not come; the others do.
    fn comes(&self, event: &Event) -> bool {
        let about = match event {
            Event::Notified { life, .. } | Event::Died { life, .. } | Event::Spawned { life, .. } => {
                Some(*life)
            }
            Event::Inherited { heir, .. } => Some(*heir),
            Event::SpawnFailed { .. }
            | Event::Observed { .. }
            | Event::Examined { .. }
            | Event::OrphanEnded { .. }
            | Event::Asked { .. }
            | Event::Probed { .. }
            | Event::Loaded(_)
            | Event::Rehearsed(_)
            | Event::Upgraded(_)
            | Event::Ticked => None,
        };
        let silent = |process: &Process| {
            process.hung.is_some()
                && !matches!(
                    event,
                    Event::Died {
                        exit: Exit::Signal(9),
                        ..
                    }
                )
        };
        about.is_none_or(|life| !self.processes.get(&life).is_none_or(silent))
    }

    /// What an event means for the world itself.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Died { life, .. } => {
                if self.processes.remove(life).is_some() {
                    self.owed.insert(Estate::Life(*life));
                }
            }
            Event::OrphanEnded { life } => {
                self.owed.insert(Estate::Life(*life));
            }
            Event::Notified {
                life,
                notice: Notice::Ready,
            } => {
                if let Some(process) = self.processes.get_mut(life) {
                    process.ready = true;
                }
            }
            Event::Notified {
                life,
                notice: Notice::Stopping,
            } => self.terminate(*life),
            Event::Inherited { heir, estate } => {
                if self.pool.estates().contains(&(*estate, Some(*heir))) {
                    self.owed.remove(estate);
                }
            }
            Event::Notified {
                notice: Notice::Status(_),
                ..
            }
            | Event::Ticked
            | Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::Observed { .. }
            | Event::Examined { .. }
            | Event::Asked { .. }
            | Event::Probed { .. }
            | Event::Rehearsed(_)
            | Event::Upgraded(_)
            | Event::Loaded(_) => {}
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            assert!(self.exit.is_none(), "nothing follows Exit: {effect:?}");
            match effect {
                Effect::Spawn { life, generation } => self.spawn(life, generation),
                Effect::Signal {
                    life,
                    signal: Signal::Terminate,
                } => self.terminate(life),
                Effect::Signal {
                    life,
                    signal: Signal::Kill,
                } => {
                    self.kills.push(life);
                    // The shell looks at a board once more when its worker is gone.
                    if let Some(last_sight) = self.sight_of(life) {
                        self.schedule(ms(1), last_sight);
                    }
                    self.schedule(
                        ms(1),
                        Event::Died {
                            life,
                            exit: Exit::Signal(9),
                            oom: false,
                        },
                    );
                }
                Effect::Examine { life } => self.examine(life),
                Effect::Steer(weights) => {
                    assert_ne!(self.weights, weights, "steered again without need");
                    self.steered = slots(&weights);
                    self.weights = weights;
                }
                Effect::Listen { slots } => {
                    assert!(slots > self.listeners, "listeners only grow");
                    self.listeners = slots;
                }
                Effect::Load(generation) => self.load(generation),
                Effect::Rehearse => {
                    let verdict = self.rehearsal.clone();
                    self.schedule(ms(30), Event::Rehearsed(verdict));
                }
                Effect::Unload(generation) => {
                    assert!(self.loaded.remove(&generation), "unloaded twice: {generation}");
                    assert!(
                        self.processes
                            .values()
                            .all(|process| process.generation != generation)
                    );
                }
                Effect::Bequeath { heir, estate } => self.bequeath(heir, estate),
                Effect::Announce(announcement) => self.announced.push(announcement),
                Effect::Serve(generation) => {
                    assert!(self.loaded.contains(&generation), "serves what is not loaded");
                }
                Effect::Tell(_) | Effect::Close | Effect::Hasten => {}
                Effect::Adopt { by, slot } => {
                    assert!(slot.0 < self.listeners, "slot {slot} has no listener");
                    assert_ne!(by.slot, slot, "its own queue");
                    let ready = self.processes.get(&by).is_some_and(|process| process.ready);
                    assert!(ready, "{by} cannot adopt");
                    let before = self.adopters.insert(slot, by);
                    assert!(
                        before.is_none_or(|before| !self.processes.contains_key(&before)),
                        "two adopters"
                    );
                }
                Effect::Disown { by, slot } => assert_eq!(self.adopters.remove(&slot), Some(by)),
                Effect::Probe { life } => {
                    self.probes.push(life);
                    let verdict = self.readiness.clone();
                    if verdict != Err("silence".to_owned()) {
                        self.schedule(ms(1), Event::Probed { life, verdict });
                    }
                }
                Effect::Answer { ticket, verdict } => {
                    assert!(
                        self.verdicts.insert(ticket, verdict).is_none(),
                        "{ticket:?} was answered twice"
                    );
                }
                Effect::Exit(outcome) => {
                    assert!(self.processes.is_empty(), "left workers behind");
                    self.exit = Some(outcome);
                }
            }
        }
    }

    fn spawn(&mut self, life: Life, generation: Generation) {
        assert!(!self.pool.is_stopping(), "nobody is started while stopping");
        assert!(life.slot.0 < self.listeners, "{life} has no listener");
        assert!(
            self.loaded.contains(&generation),
            "{life} of an unloaded generation"
        );
        assert_eq!(life.incarnation, INCARNATION);
        let epoch = self.epochs.insert(life.slot, life.epoch);
        assert!(epoch.unwrap_or_default() < life.epoch, "{life} does not grow");
        let program = self.programs[&generation];
        if program == Program::CannotSpawn {
            self.schedule(
                ms(0),
                Event::SpawnFailed {
                    life,
                    reason: "ENOEXEC".to_owned(),
                },
            );
            return;
        }
        let process = Process {
            generation,
            ready: false,
            hung: None,
            starved: false,
            lock: None,
            terminated: false,
            sight: Sight {
                connections: 3,
                ..Sight::default()
            },
        };
        self.processes.insert(life, process);
        self.schedule(ms(0), Event::Spawned { life, pid: 1000 });
        let ready = Event::Notified {
            life,
            notice: Notice::Ready,
        };
        let boot = self.boot_time;
        match program {
            Program::Good => self.schedule(boot, ready),
            Program::ExitsAtBoot => self.schedule(
                boot,
                Event::Died {
                    life,
                    exit: Exit::Code(1),
                    oom: false,
                },
            ),
            Program::NeverReady | Program::CannotSpawn => {}
            Program::DiesAfterReady(after) => {
                self.schedule(boot, ready);
                self.schedule(
                    boot + after,
                    Event::Died {
                        life,
                        exit: Exit::Signal(11),
                        oom: false,
                    },
                );
            }
            Program::GoesByItself => {
                self.schedule(boot, ready);
                self.schedule(
                    boot + ms(5),
                    Event::Notified {
                        life,
                        notice: Notice::Stopping,
                    },
                );
            }
        }
    }

    fn terminate(&mut self, life: Life) {
        let after = self.drain_time;
        let Some(process) = self.processes.get_mut(&life) else {
            return;
        };
        let exit = if process.ready {
            // Who takes time to drain is answering something.
            process.sight.in_flight = process.sight.in_flight.max(1);
            Exit::Code(0)
        } else {
            Exit::Signal(15)
        };
        if !std::mem::replace(&mut process.terminated, true) && process.hung.is_none() {
            self.schedule(
                after,
                Event::Died {
                    life,
                    exit,
                    oom: false,
                },
            );
        }
    }

    fn examine(&mut self, life: Life) {
        let starved = self.processes.get(&life).is_some_and(|process| process.starved);
        let activity = if starved {
            Activity::Starved
        } else {
            Activity::Blocked
        };
        self.schedule(ms(0), Event::Examined { life, activity });
    }

    fn load(&mut self, generation: Generation) {
        let verdict = self.next_load.clone().map(|(program, policy)| {
            self.programs.insert(generation, program);
            self.loaded.insert(generation);
            policy
        });
        self.schedule(ms(5), Event::Loaded(verdict));
    }

    fn bequeath(&mut self, heir: Life, estate: Estate) {
        assert!(
            self.processes.get(&heir).is_some_and(|heir| heir.ready),
            "{heir} can inherit nothing"
        );
        self.bequeathed.push((heir, estate));
        if !self.deaf_heirs {
            self.schedule(ms(3), Event::Inherited { heir, estate });
        }
    }

    /// What holds after every event.
    fn check(&mut self) {
        let known: BTreeSet<Life> = self.pool.lives().collect();
        assert_eq!(known.len(), self.pool.lives().count(), "two with one identity");
        assert!(
            self.processes.keys().all(|life| known.contains(life)),
            "somebody was forgotten"
        );
        for slot in &self.steered {
            let ready = |(life, process): (&Life, &Process)| life.slot == *slot && process.ready;
            assert!(
                self.processes.iter().any(ready),
                "slot {slot} is routed and nobody is ready in it"
            );
        }
        assert!(
            !self.pool.is_upgrading() || self.pool.newcomer().is_none() && !self.pool.is_reloading(),
            "an upgrade is mixed with something"
        );
        let draining = self
            .pool
            .leaving()
            .filter(|worker| worker.doing == Doing::Draining)
            .count();
        assert!(
            self.pool.is_stopping() || draining <= usize::from(self.max_draining),
            "{draining} drain"
        );
        let due = self.pool.next_deadline(self.now);
        assert!(
            due.is_none_or(|due| due > self.now),
            "what is due has been dealt with"
        );
        let owed: BTreeSet<Estate> = self.pool.estates().iter().map(|(estate, _)| *estate).collect();
        // What earlier incarnations left is looked through a second time.
        self.owed
            .extend(owed.iter().filter(|estate| matches!(estate, Estate::Before(_))));
        assert_eq!(owed, self.owed, "what is owed is remembered");
        self.least_serving = self.least_serving.min(self.serving_slots());
        self.check_queues();
    }

    /// Every queue is somebody's as long as there is anybody.
    fn check_queues(&self) {
        let serving: BTreeSet<Life> = self
            .pool
            .slots()
            .filter_map(|slot| slot.worker)
            .chain(self.pool.newcomer())
            .filter(|worker| worker.doing == Doing::Serving)
            .map(|worker| worker.life)
            .collect();
        let manned: BTreeSet<Slot> = serving.iter().map(|life| life.slot).collect();
        for slot in (0..self.listeners).map(Slot) {
            let own = manned.contains(&slot);
            let adopter = self
                .adopters
                .get(&slot)
                .filter(|by| self.processes.contains_key(by));
            assert!(
                !(own && adopter.is_some()),
                "slot {slot} has its own worker and an adopter"
            );
            assert!(
                own || serving.is_empty() || adopter.is_some_and(|by| serving.contains(by)),
                "slot {slot}'s queue is nobody's; {adopter:?}"
            );
        }
        let said: BTreeMap<Slot, Life> = self.pool.adoptions().collect();
        let heard = self
            .adopters
            .iter()
            .filter(|(_, by)| self.processes.contains_key(by));
        assert_eq!(said, heard.map(|(slot, by)| (*slot, *by)).collect());
    }

    /// All is as it should be: every slot serves the current generation and nothing is left over.
    pub(crate) fn is_at_rest(&self) -> bool {
        let serves = |slot: cluster::pool::status::SlotStatus<'_>| {
            slot.doing == Doing::Drained
                || slot.doing == Doing::Serving
                    && !slot.breaker_open
                    && slot
                        .worker
                        .is_some_and(|worker| worker.generation == self.pool.generation())
        };
        self.pool.slots().all(serves)
            && self.steered.len() == self.serving_slots()
            && self.pool.newcomer().is_none()
            && self.pool.leaving().next().is_none()
            && !self.pool.is_reloading()
            && self.owed.is_empty()
            && self.loaded
                == self
                    .pool
                    .previous()
                    .into_iter()
                    .chain([self.pool.generation()])
                    .collect()
            && self.verdicts.len() as u64 == self.asked
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

    /// Heirs that were deaf hear what they were told.
    pub(crate) fn answer_estates(&mut self) {
        for (estate, heir) in self.pool.estates().to_vec() {
            if let Some(heir) = heir {
                self.schedule(ms(3), Event::Inherited { heir, estate });
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

fn slots(weights: &[(Slot, u16)]) -> Vec<Slot> {
    weights.iter().map(|(slot, _)| *slot).collect()
}
