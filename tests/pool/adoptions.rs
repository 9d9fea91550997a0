//! Which worker accepts from the queue of a slot without a ready worker.

use cluster::base::ids::{Life, Slot};
use cluster::pool::{ProcessExit, Request, StopMode};

use crate::simulation::{Simulation, asked, ms};

fn adopter(simulation: &Simulation, slot: u16) -> Option<Life> {
    simulation.adopters.get(&Slot(slot)).copied()
}

#[test]
fn the_queue_of_the_dead_is_adopted_in_the_same_breath_and_given_back() {
    let mut simulation = Simulation::serving(3);
    assert!(simulation.adopters.is_empty());
    let victim = simulation.life_in(1);
    simulation.crash(victim, ProcessExit::Signal(9));
    assert!(adopter(&simulation, 1).is_some());
    simulation.run(ms(30));
    assert!(simulation.is_at_rest() && simulation.adopters.is_empty());
}

#[test]
fn a_late_workers_queue_is_adopted_until_it_beats_and_an_adopter_that_hangs_is_replaced() {
    let mut simulation = Simulation::serving(3);
    let (one, two) = (simulation.life_in(1), simulation.life_in(2));
    simulation.hang(one);
    simulation.run(ms(600));
    let first = adopter(&simulation, 1).expect("adopted");
    simulation.hang(first);
    simulation.run(ms(600));
    let third = if first == two { simulation.life_in(0) } else { two };
    assert_eq!(
        (adopter(&simulation, 1), adopter(&simulation, first.slot.0)),
        (Some(third), Some(third))
    );
    simulation.wake_up(one);
    simulation.wake_up(first);
    simulation.run(ms(300));
    assert!(simulation.adopters.is_empty());
}

#[test]
fn parked_listeners_stay_adopted_for_ever_and_fairly() {
    let mut simulation = Simulation::serving(6);
    simulation.happen(asked(Request::ScaleTo(2)));
    simulation.run(ms(10_000));
    let by = |simulation: &Simulation, who: u16| {
        simulation.adopters.values().filter(|by| by.slot.0 == who).count()
    };
    assert_eq!(
        (simulation.adopters.len(), by(&simulation, 0), by(&simulation, 1)),
        (4, 2, 2)
    );
    let victim = simulation.life_in(0);
    simulation.crash(victim, ProcessExit::Signal(9));
    assert_eq!((simulation.adopters.len(), by(&simulation, 1)), (5, 5));
    simulation.happen(asked(Request::ScaleTo(6)));
    simulation.run(ms(100));
    assert!(simulation.adopters.is_empty());
}

#[test]
fn a_queue_that_its_adopter_could_not_be_handed_goes_to_another_and_is_offered_again_until_a_worker_takes_it()
{
    let mut simulation = Simulation::serving(3);
    let first = simulation.life_in(0);
    simulation.unreachable.insert(first);
    simulation.happen(asked(Request::Drain(Slot(2))));
    assert_eq!(
        adopter(&simulation, 2),
        Some(first),
        "it is the first to be asked"
    );
    simulation.run(ms(1));
    assert_eq!(adopter(&simulation, 2), Some(simulation.life_in(1)));
    simulation.unreachable = simulation.pool.lives().collect();
    let victim = simulation.life_in(1);
    simulation.crash(victim, ProcessExit::Signal(9));
    simulation.run(ms(1));
    let adopted: Vec<Slot> = simulation.pool.adoptions().map(|(slot, _)| slot).collect();
    assert!(!adopted.contains(&Slot(2)), "no worker can be reached");
    simulation.unreachable.clear();
    simulation.run(ms(300));
    assert!(adopter(&simulation, 2).is_some(), "they were asked again");
}

#[test]
fn when_the_cluster_stops_no_worker_is_told_to_let_go_of_a_queue() {
    let mut simulation = Simulation::serving(2);
    simulation.happen(asked(Request::ScaleTo(1)));
    let by = simulation.life_in(0);
    simulation.stop(StopMode::Graceful);
    assert_eq!(adopter(&simulation, 1), Some(by));
}
