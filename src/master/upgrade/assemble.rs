//! The new master from what was unpacked: it watches what the old one watched, and goes on. From here on letting go has
//! consequences: locks are freed, paths removed.

use std::fs::File;
use std::io;

use nix::sys::signal::Signal;

use super::arrival::state_fd;
use super::unpack::{Unpacked, UpgradeError, unpack};
use crate::config::settings::LogSettings;
use crate::master::control::Desk;
use crate::master::host::World;
use crate::master::listeners::Listeners;
use crate::master::poller::{Source, Watch};
use crate::master::process::generation::Program;
use crate::master::process::spawn::Nursery;
use crate::master::start::build::Build;
use crate::master::start::directories::Directories;
use crate::master::start::launch::Launch;
use crate::master::start::orphans::{Orphans, Records};
use crate::master::start::pid_file::PidFile;
use crate::master::start::startup::{SIGNALS, Started};
use crate::master::upgrade::Upgrade;
use crate::pool::Event;
use crate::sys::lock::FileLock;
use crate::sys::process::Credentials;
use crate::sys::signals::{Signals, allow_all};

/// A master that goes on: what it was made of, what it has to deal with first, and how it is to log.
pub(in crate::master) struct GoingOn {
    pub(in crate::master) started: Started,
    pub(in crate::master) happened: Vec<Event>,
}

/// Goes on where the old master was. Signals are heard before any is let in.
///
/// # Errors
/// When the state is not what the rehearsal saw, or the system refuses what the loop stands on. The workers drain then, as after
/// any death of their master.
pub(in crate::master) fn go_on(
    launch: Launch,
    log: impl FnOnce(&LogSettings),
) -> Result<GoingOn, UpgradeError> {
    let signals = Signals::hear(&SIGNALS)?;
    let unpacked = unpack(state_fd()?, launch.program)?;
    if let Some(generation) = unpacked.generations.get(&unpacked.pool.generation()) {
        log(&generation.settings.log);
    }
    let waiting: Vec<Signal> = unpacked
        .signals
        .iter()
        .filter_map(|&number| Signal::try_from(number).ok())
        .chain([Signal::SIGCHLD])
        .collect();
    let version = launch.version.to_owned();
    let mut started = assemble(unpacked, launch, signals)?;
    allow_all()?;
    let mut happened = vec![Event::Upgraded(Ok(version))];
    started.world.heed(waiting, &mut happened);
    Ok(GoingOn { started, happened })
}

fn assemble(unpacked: Unpacked, launch: Launch, signals: Signals) -> Result<Started, UpgradeError> {
    let watch = Watch::new()?;
    watch.add(&signals, Source::Signals)?;
    let locks = unpacked.locks.into_iter().map(FileLock::keep);
    let locks = locks.collect::<io::Result<_>>()?;
    let world = World {
        incarnation: unpacked.incarnation,
        kept: unpacked.kept,
        stop_heard: None,
        processes: unpacked.processes,
        generations: unpacked.generations,
        desk: Desk::kept(unpacked.desk, &watch)?,
        orphans: Orphans::kept(unpacked.orphans, &watch)?,
        listeners: Listeners::kept(unpacked.listeners),
        nursery: nursery(unpacked.program, unpacked.credentials)?,
        records: Records::of(&unpacked.run_dir),
        directories: Directories::kept(unpacked.data_dir, unpacked.run_dir, locks),
        pid_file: unpacked.pid_file.map(PidFile::kept),
        build: Build::of_this_process(launch.version),
        upgrade: Upgrade::None,
        unrecorded: true,
        launch,
        watch,
        signals,
    };
    for process in world.processes.values() {
        world.watch_process(process)?;
    }
    Ok(Started {
        pool: unpacked.pool,
        world,
    })
}

fn nursery(path: std::path::PathBuf, credentials: Option<(u32, u32)>) -> io::Result<Nursery> {
    Ok(Nursery {
        program: Program {
            path,
            ..Program::running()?
        },
        credentials: credentials.map(|(uid, gid)| Credentials { uid, gid }),
        null: File::options().read(true).write(true).open("/dev/null")?.into(),
    })
}
