//! Builds the new master from what it took over. From here on dropping a value has consequences: locks are
//! released and socket files removed.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use super::role::state_fd;
use super::take_over::{TakenOver, UpgradeError, take_over};
use crate::config::settings::LogSettings;
use crate::master::control::{ControlServer, EndedOutputs};
use crate::master::host::Host;
use crate::master::listeners::Listeners;
use crate::master::poller::{PollSource, Poller};
use crate::master::process::executable::{BinaryLocation, Executable};
use crate::master::process::spawn::Spawner;
use crate::master::process::strays::{Strays, runs_program};
use crate::master::report::lost_sockets::LostSockets;
use crate::master::report::systemd::ServiceManager;
use crate::master::start::build::Build;
use crate::master::start::directories::Directories;
use crate::master::start::launch::Launch;
use crate::master::start::orphans::{Orphans, WorkerRecords};
use crate::master::start::pid_file::PidFile;
use crate::master::start::startup::{PROCESSES_ONLY, SIGNALS, Started};
use crate::master::start::user;
use crate::master::upgrade::RehearsalStage;
use crate::pool::Event;
use crate::sys::lock::FileLock;
use crate::sys::signals::{Signals, allow_all};

/// A master that has taken over, with the events that it has to handle first.
pub(in crate::master) struct Resumed {
    pub(in crate::master) started: Started,
    pub(in crate::master) happened: Vec<Event>,
}

/// Takes over from the old master. Signal handlers are installed before signals are unblocked.
///
/// # Errors
/// When the state differs from the rehearsal's, or the operating system refuses something that the loop
/// needs. The workers drain then, as after any death of their master.
pub(in crate::master) fn go_on(
    launch: Launch,
    log: impl FnOnce(&LogSettings),
) -> Result<Resumed, UpgradeError> {
    let signals = Signals::hear(&SIGNALS, &PROCESSES_ONLY)?;
    let taken_over = take_over(state_fd()?, launch.program)?;
    if let Some(generation) = taken_over.generations.get(&taken_over.pool.generation()) {
        log(&generation.settings.log);
    }
    let pending: Vec<Signal> = taken_over
        .master
        .signals
        .iter()
        .filter_map(|&number| Signal::try_from(number).ok())
        .chain([Signal::SIGCHLD])
        .collect();
    let version = launch.version.to_owned();
    let mut started = assemble(taken_over, launch, signals)?;
    allow_all()?;
    let mut happened = vec![Event::Upgraded(Ok(version))];
    started.host.handle_signals(pending, &mut happened);
    Ok(Resumed { started, happened })
}

fn assemble(taken_over: TakenOver, launch: Launch, signals: Signals) -> Result<Started, UpgradeError> {
    let poller = Poller::new()?;
    poller.add(&signals, PollSource::Signals)?;
    let locks = taken_over.locks.into_iter().map(FileLock::keep);
    let locks = locks.collect::<io::Result<_>>()?;
    let data = taken_over.master;
    let mut host = Host {
        incarnation: data.incarnation,
        persisted: data.persisted,
        last_stop_signal: None,
        processes: taken_over.processes,
        generations: taken_over.generations,
        control: ControlServer::restored(taken_over.control, &poller)?,
        orphans: Orphans::restored(taken_over.orphans, &poller)?,
        listeners: Listeners::restored(taken_over.listeners),
        spawner: spawner(data.binary, data.credentials, data.data_dir.clone())?,
        records: WorkerRecords::in_dir(&data.run_dir),
        directories: Directories::restored(data.data_dir, data.run_dir, locks),
        pid_file: data.pid_file.map(PidFile::restored),
        build: Build::of_this_process(launch.version),
        service_manager: ServiceManager::from_environment([]),
        stub: None,
        strays: Strays::default(),
        ended_outputs: EndedOutputs::default(),
        file_watch: None,
        lost_sockets: LostSockets::default(),
        upgrade: RehearsalStage::None,
        records_outdated: true,
        launch: launch.named_from(&data.working_directory),
        working_directory: data.working_directory,
        poller,
        signals,
    };
    for process in host.processes.values() {
        host.poll_process(process)?;
    }
    for generation in host.generations.values() {
        let data_dir = &host.directories.data;
        host.strays.watch(runs_program(&generation.settings), data_dir);
    }
    Ok(Started {
        pool: taken_over.pool,
        host,
    })
}

fn spawner(
    binary: BinaryLocation,
    credentials: Option<(u32, u32)>,
    data_dir: PathBuf,
) -> io::Result<Spawner> {
    Ok(Spawner {
        program: Executable::located(binary),
        data_dir,
        credentials: credentials.map(|(uid, gid)| user::with_groups(uid, gid)),
        null: File::options().read(true).write(true).open("/dev/null")?.into(),
    })
}
