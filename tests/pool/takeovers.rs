//! Which worker takes over the work of the dead.

use cluster::pool::{OrphanedWork, ProcessExit};

use crate::simulation::{Simulation, ms};

const SIGKILL: ProcessExit = ProcessExit::Signal(9);

#[test]
fn what_earlier_incarnations_left_goes_to_the_first_ready_worker() {
    let simulation = Simulation::serving(2);
    assert!(matches!(simulation.assigned[..], [(_, OrphanedWork::Before(_))]));
}

#[test]
fn when_a_worker_dies_that_took_work_over_both_works_go_to_another() {
    let mut simulation = Simulation::serving(3);
    simulation.silent_takeovers = true;
    let victim = simulation.life_in(2);
    simulation.crash(victim, SIGKILL);
    let (by, _) = *simulation.assigned.last().expect("told");
    let before = simulation.assigned.len();
    simulation.crash(by, SIGKILL);
    let told: Vec<_> = simulation.assigned[before..].to_vec();
    assert_eq!(
        told.iter().map(|(_, work)| *work).collect::<Vec<_>>(),
        [OrphanedWork::Life(victim), OrphanedWork::Life(by)]
    );
    assert!(told.iter().all(|(next, _)| *next != by && *next != victim));
}

#[test]
fn a_worker_that_cannot_be_told_of_work_is_passed_over() {
    let mut simulation = Simulation::serving(3);
    simulation.unreachable = [simulation.life_in(0), simulation.life_in(1)].into();
    let victim = simulation.life_in(2);
    simulation.crash(victim, SIGKILL);
    simulation.run(ms(1));
    assert!(!simulation.is_at_rest(), "no worker could be told");
    simulation.unreachable.remove(&simulation.life_in(1));
    simulation.run(ms(300));
    let (by, work) = *simulation.assigned.last().expect("told again");
    assert!(by == simulation.life_in(1) || by == simulation.life_in(2), "{by}");
    assert_eq!(work, OrphanedWork::Life(victim));
    assert!(simulation.is_at_rest());
}

#[test]
fn a_worker_that_hangs_while_it_takes_over_is_not_waited_for() {
    let mut simulation = Simulation::serving(3);
    simulation.silent_takeovers = true;
    let victim = simulation.life_in(2);
    simulation.crash(victim, SIGKILL);
    let (by, _) = *simulation.assigned.last().expect("told");
    simulation.hang(by);
    simulation.run(ms(600));
    let (next, work) = *simulation.assigned.last().expect("told again");
    assert!(next != by && work == OrphanedWork::Life(victim));
}
