//! The beats for children of these tests.

use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use nix::sys::signal::Signal;

use super::*;
use crate::agent::facts::{ProgramListeners, UsedMode};
use crate::agent::pulse::PulseSource;
use crate::agent::test_program::{TestProgram, listener};
use crate::base::ids::{Generation, Life, Slot};
use crate::scoreboard::{Board, BoardView};
use crate::worker::Identity;

const INTERVAL: Duration = Duration::from_millis(20);
/// As old is no beat that is stamped every 20 ms.
const OLD: Duration = Duration::from_millis(400);

fn facts(program: &TestProgram, listener: &TcpListener) -> ProgramFacts {
    let listeners = ProgramListeners::default();
    let socket = listener.try_clone().expect("a descriptor");
    listeners.add(socket.into()).expect("a listener");
    ProgramFacts {
        pid: program.pid,
        slot: Slot(0),
        mode: UsedMode::Fds,
        listeners,
    }
}

fn settings(stuck_timeout: Duration) -> Settings {
    let mut settings = Settings::default();
    settings.cluster.heartbeat_interval = INTERVAL;
    settings.cluster.heartbeat_timeout = Duration::from_secs(60);
    settings.run.stuck_timeout = stuck_timeout;
    settings
}

/// A worker that beats for a program, and the master's sight of its beats.
struct Beaten {
    task: tokio::task::JoinSet<String>,
    pulse: Pulse,
    view: BoardView,
    /// Kept, so that the last beat stays to be seen when the task has ended.
    _cell: Cell,
}

impl Beaten {
    fn start(program: ProgramFacts, stuck_timeout: Duration) -> Beaten {
        let fd = Board::create_fd("test").expect("a memfd");
        let view = BoardView::open(std::os::fd::AsFd::as_fd(&fd)).expect("a board");
        let cell = Board::open(fd)
            .expect("a board")
            .cell("runtime")
            .expect("a free cell");
        let identity = Identity {
            life: Life::of(1, 0, 1),
            generation: Generation(1),
        };
        let worker = Worker::detached(identity, settings(stuck_timeout));
        let pulse = Pulse::default();
        let mut task = tokio::task::JoinSet::new();
        task.spawn(beat_for(program, pulse.clone(), worker, cell.clone()));
        Beaten {
            task,
            pulse,
            view,
            _cell: cell,
        }
    }

    /// The age of the last beat.
    fn age(&self) -> Duration {
        let now = clock::now();
        now.since(self.view.vitals(now).beat.unwrap_or_default())
    }

    async fn until(&self, what: &str, is_so: impl Fn(Duration) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_so(self.age()) {
            assert!(Instant::now() < deadline, "not within a minute: {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(test);
}

#[test]
fn a_stopped_program_has_no_beats_until_it_goes_on() {
    let (listener, _) = listener();
    let mut program = TestProgram::start(&listener);
    program.ask("pid");
    run(async {
        let beaten = Beaten::start(facts(&program, &listener), OLD);
        beaten.until("it beats", |age| age < INTERVAL * 2).await;
        program.signal(Signal::SIGSTOP);
        beaten.until("it does not beat", |age| age > OLD).await;
        program.signal(Signal::SIGCONT);
        beaten.until("it beats again", |age| age < INTERVAL * 2).await;
    });
}

#[test]
fn a_program_that_takes_nothing_is_late_and_never_hung_until_it_is_given_up() {
    let (listener, _) = listener();
    let mut program = TestProgram::start(&listener);
    program.ask("pid");
    run(async {
        let mut beaten = Beaten::start(facts(&program, &listener), OLD);
        beaten.until("it beats", |age| age < INTERVAL * 2).await;
        let _waits = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
        let reason = tokio::time::timeout(Duration::from_secs(60), beaten.task.join_next());
        let reason = reason
            .await
            .expect("within a minute")
            .expect("it ran")
            .expect("no panic");
        assert!(reason.contains("run.stuck_timeout"), "{reason}");
        let age = beaten.age();
        assert!(age > INTERVAL, "its last beat is only {age:?} old");
        assert!(
            age < OLD,
            "a busy program has beats, and this one's last is {age:?} old"
        );
    });
}

#[test]
fn a_program_with_a_pulse_has_the_beats_of_its_pulse() {
    let (listener, _) = listener();
    let mut program = TestProgram::start(&listener);
    program.ask("pid");
    run(async {
        let beaten = Beaten::start(facts(&program, &listener), OLD);
        for _ in 0..20 {
            beaten
                .until("it beats", |age| {
                    beaten.pulse.beat(PulseSource::Node);
                    age < Duration::from_millis(5)
                })
                .await;
        }
        beaten.until("it does not beat", |age| age > OLD).await;
        beaten.pulse.beat(PulseSource::Node);
        beaten.until("it beats again", |age| age < INTERVAL * 2).await;
        beaten.pulse.forget(PulseSource::Node);
        beaten
            .until("another source vouches", |age| age < INTERVAL / 4)
            .await;
    });
}

#[test]
fn what_waits_is_seen_until_the_program_takes_it_whoever_empties_the_queue() {
    let (listener, _) = listener();
    let address = listener.local_addr().expect("an address");
    let mut program = TestProgram::start(&listener);
    program.ask("pid");
    let mut watch = ProgramWatch::new(facts(&program, &listener), HealthTimes::of(&settings(OLD)));
    let mut look = |busy| watch.look(HealthLook::default(), Duration::ZERO, busy).queue;
    assert_eq!(look(false), QueueSeen::Empty);
    let _first = TcpStream::connect(address).expect("connected");
    let _second = TcpStream::connect(address).expect("connected");
    assert_eq!(look(false), QueueSeen::Empty, "one look tells nothing");
    assert_eq!(look(false), QueueSeen::Waiting(2));
    let _other = listener.accept().expect("accepted");
    assert_eq!(look(true), QueueSeen::Waiting(1), "another slot's worker took it");
    program.ask("accept");
    assert_eq!(look(true), QueueSeen::Taken);
    assert_eq!(
        look(true),
        QueueSeen::Empty,
        "nothing waits, and it does not wait either"
    );
    program.ask("watch");
    program.tell("wait");
    let deadline = Instant::now() + Duration::from_secs(60);
    // The new epoll set is none of its sockets.
    while look(true) != QueueSeen::Taken {
        assert!(Instant::now() < deadline, "it waits for its listener again");
    }
}
