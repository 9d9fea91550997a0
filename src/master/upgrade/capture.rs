//! The old master writes down everything. Whoever adds a field to the world or to a process is asked here, by the compiler,
//! whether it goes along.

use std::os::fd::OwnedFd;

use nix::sys::signal::Signal;

use super::fds::{Luggage, What};
use super::state::{LARGEST, PackedGeneration, PackedOrphan, PackedProcess, State, VERSION};
use crate::lifeline;
use crate::master::host::World;
use crate::master::process::Process;
use crate::master::process::generation::Generation;
use crate::master::process::spawn::Nursery;
use crate::master::start::orphans::Orphan;
use crate::pool::{Pool, Saved};
use crate::sys::memfd;

/// The state in a sealed memory file, and what goes along with it.
pub(super) struct Captured {
    pub(super) state: OwnedFd,
    pub(super) luggage: Luggage,
    pub(super) bytes: usize,
}

/// Writes it down. Nothing of the world changes.
pub(super) fn capture(pool: &Pool, world: &World, signals: &[Signal]) -> std::io::Result<Captured> {
    let state = state(pool, world, signals);
    let text = state.text();
    if text.len() as u64 > LARGEST {
        let detail = format!(
            "the state has {} bytes, at most {LARGEST} can be handed over",
            text.len()
        );
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, detail));
    }
    Ok(Captured {
        state: memfd::create_sealed("cluster-state", &text, text.len() as u64, true)?,
        luggage: state.luggage,
        bytes: text.len(),
    })
}

fn state(pool: &Pool, world: &World, signals: &[Signal]) -> State {
    let mut luggage = Luggage::default();
    let World {
        incarnation,
        kept,
        stop_heard: _soon_forgotten,
        watch: _made_anew,
        signals: _given_beside,
        processes,
        generations,
        listeners,
        nursery,
        orphans,
        records: _in_the_run_directory,
        unrecorded: _written_anew,
        launch,
        build: _the_new_ones_own,
        desk,
        upgrade: _over_there_it_is_done,
        pid_file,
        directories,
    } = world;
    let Nursery {
        program,
        credentials,
        null: _opened_anew,
    } = nursery;
    State {
        version: VERSION,
        name: launch.program.to_owned(),
        lifeline: lifeline::VERSION,
        pool: Saved::of(pool),
        kept: kept.clone(),
        incarnation: *incarnation,
        signals: signals.iter().map(|&signal| signal as i32).collect(),
        program: program.path.clone(),
        credentials: credentials.map(|credentials| (credentials.uid, credentials.gid)),
        data_dir: directories.data.clone(),
        run_dir: directories.run.clone(),
        locks: directories
            .locks()
            .map(|lock| luggage.pack(lock, What::File))
            .collect(),
        pid_file: pid_file.as_ref().map(|file| file.path().to_owned()),
        generations: generations
            .iter()
            .map(|(number, generation)| (*number, pack_generation(generation, &mut luggage)))
            .collect(),
        listeners: listeners.pack(&mut luggage),
        desk: desk.pack(&mut luggage),
        orphans: orphans
            .all()
            .map(|(place, orphan)| pack_orphan(place, orphan, &mut luggage))
            .collect(),
        processes: processes
            .values()
            .map(|process| pack_process(process, &mut luggage))
            .collect(),
        luggage,
    }
}

fn pack_generation(generation: &Generation, luggage: &mut Luggage) -> PackedGeneration {
    PackedGeneration {
        binary: luggage.pack(&generation.binary(), What::File),
        settings: luggage.pack(&generation.frozen_settings(), What::Memory),
    }
}

fn pack_orphan(place: u32, orphan: &Orphan, luggage: &mut Luggage) -> PackedOrphan {
    PackedOrphan {
        place,
        record: orphan.record.clone(),
        pidfd: luggage.pack(&orphan.pidfd, What::Process),
    }
}

fn pack_process(process: &Process, luggage: &mut Luggage) -> PackedProcess {
    let Process {
        life,
        pid,
        started,
        born,
        pidfd,
        notify,
        lifeline,
        stderr,
        tail,
        board: _mapped_anew,
        board_fd,
        looked,
        generation,
        leaving,
        weighed,
        at_kill,
        figures_wanted,
        oddities: _begun_anew,
    } = process;
    PackedProcess {
        life: *life,
        pid: *pid,
        started: *started,
        born: *born,
        generation: *generation,
        looked: *looked,
        leaving: *leaving,
        weighed: *weighed,
        at_kill: at_kill.clone(),
        figures_wanted: *figures_wanted,
        tail: tail.clone(),
        pidfd: luggage.pack(pidfd, What::Process),
        notify: luggage.pack(notify, What::Notify),
        lifeline: lifeline.as_ref().map(|fd| luggage.pack(fd, What::Lifeline)),
        stderr: stderr.as_ref().map(|fd| luggage.pack(fd, What::Stderr)),
        board: luggage.pack(board_fd, What::Memory),
    }
}
