//! What becomes of the pool's effects in the simulation: processes that boot, drain and die, each with
//! the events it leads to.

use cluster::base::ids::{Generation, Life, Slot};
use cluster::pool::{Activity, Effect, Event, Notification, OrphanedWork, ProcessExit, Sample, Signal};

use super::{INCARNATION, Process, Program, Simulation, ms};

impl Simulation {
    pub(super) fn perform(&mut self, effects: Vec<Effect>) {
        let is_last_step = |effect: &Effect| matches!(effect, Effect::Rehearse | Effect::HandOver);
        if let Some(at) = effects.iter().position(is_last_step) {
            assert_eq!(at + 1, effects.len(), "something follows {:?}", effects[at]);
        }
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
                } => self.kill(life),
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
                Effect::HandOver => {
                    self.hand_over();
                    self.stub = false;
                    self.upgraded = Some(self.execution.clone());
                }
                Effect::Unload(generation) => self.unload(generation),
                Effect::TakeOver { by, work } => self.assign_takeovers(by, work),
                Effect::Announce(announcement) => self.announced.push(announcement),
                Effect::Serve(generation) => {
                    assert!(self.loaded.contains(&generation), "serves what is not loaded");
                }
                Effect::StartStub => {
                    assert!(!self.stub, "one stub is enough");
                    self.stub = true;
                }
                Effect::StopStub => self.stub = false,
                Effect::Forewarn => self.forewarned.extend(self.processes.keys()),
                Effect::Tell(_) | Effect::Close | Effect::Hasten => {}
                Effect::Adopt { by, slot } => self.adopt(by, slot),
                Effect::Disown { by, slot } => assert_eq!(self.adopters.remove(&slot), Some(by)),
                Effect::Probe { life } => self.probe(life),
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

    fn kill(&mut self, life: Life) {
        self.kills.push(life);
        // The shell looks at a board once more when its worker is gone.
        if let Some(last_sample) = self.sample_of(life) {
            self.schedule(ms(1), last_sample);
        }
        let (exit, oom) = (ProcessExit::Signal(9), false);
        self.schedule(ms(1), Event::Died { life, exit, oom });
    }

    fn adopt(&mut self, by: Life, slot: Slot) {
        assert!(slot.0 < self.listeners, "slot {slot} has no listener");
        assert_ne!(by.slot, slot, "its own queue");
        let ready = self.processes.get(&by).is_some_and(|process| process.ready);
        assert!(ready, "{by} cannot adopt");
        if self.unreachable.contains(&by) {
            self.schedule(ms(0), Event::NotAdopted { by, slot });
        }
        let before = self.adopters.insert(slot, by);
        assert!(
            before.is_none_or(|before| !self.processes.contains_key(&before)),
            "two adopters"
        );
    }

    fn unload(&mut self, generation: Generation) {
        assert!(self.loaded.remove(&generation), "unloaded twice: {generation}");
        assert!(
            self.processes
                .values()
                .all(|process| process.generation != generation)
        );
    }

    fn probe(&mut self, life: Life) {
        self.probes.push(life);
        let verdict = self.readiness.clone();
        if verdict != Err("silence".to_owned()) {
            self.schedule(ms(1), Event::Probed { life, verdict });
        }
    }

    fn spawn(&mut self, life: Life, generation: Generation) {
        assert!(!self.pool.is_stopping(), "no worker is started while stopping");
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
            sample: Sample {
                connections: 3,
                ..Sample::default()
            },
        };
        self.processes.insert(life, process);
        self.schedule(ms(0), Event::Spawned { life, pid: 1000 });
        let ready = Event::Notified {
            life,
            notification: Notification::Ready,
        };
        let boot = self.boot_time;
        match program {
            Program::Good => self.schedule(boot, ready),
            Program::ExitsAtBoot => self.schedule(
                boot,
                Event::Died {
                    life,
                    exit: ProcessExit::Code(1),
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
                        exit: ProcessExit::Signal(11),
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
                        notification: Notification::Stopping,
                    },
                );
            }
        }
    }

    pub(super) fn terminate(&mut self, life: Life) {
        let after = self.drain_time;
        let Some(process) = self.processes.get_mut(&life) else {
            return;
        };
        let exit = if process.ready {
            // A worker that takes time to drain is answering something.
            process.sample.in_flight = process.sample.in_flight.max(1);
            ProcessExit::Code(0)
        } else {
            ProcessExit::Signal(15)
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
        self.schedule(ms(5), Event::Loaded(verdict.map(Box::new)));
    }

    fn assign_takeovers(&mut self, by: Life, work: OrphanedWork) {
        assert!(
            self.processes.get(&by).is_some_and(|by| by.ready),
            "{by} can take over nothing"
        );
        self.assigned.push((by, work));
        if self.unreachable.contains(&by) {
            self.schedule(ms(0), Event::NotTakenOver { by, work });
        } else if !self.silent_takeovers {
            self.schedule(ms(3), Event::TakenOver { by, work });
        }
    }
}

fn slots(weights: &[(Slot, u16)]) -> Vec<Slot> {
    weights.iter().map(|(slot, _)| *slot).collect()
}
