//! The old master writes down its state. The destructuring below makes the compiler ask, for every new field
//! of the host or of a process, whether the field is handed over.

use std::os::fd::OwnedFd;

use nix::sys::signal::Signal;

use super::fds::{FdKind, HandoverFds};
use super::state::{
    GenerationState, MAX_STATE_BYTES, MasterData, OrphanState, ProcessState, UpgradeState, VERSION,
};
use crate::lifeline;
use crate::master::host::{Host, Persisted};
use crate::master::process::WorkerProcess;
use crate::master::process::generation::LoadedGeneration;
use crate::master::process::spawn::Spawner;
use crate::master::start::orphans::Orphan;
use crate::pool::{Pool, Saved};
use crate::sys::memfd;

/// The state in a sealed memory file, and the descriptors that are handed over with it.
pub(super) struct Captured {
    pub(super) state: OwnedFd,
    pub(super) fds: HandoverFds,
    pub(super) bytes: usize,
}

/// Writes down the state. The host is not changed.
pub(super) fn capture(pool: &Pool, host: &Host, signals: &[Signal]) -> std::io::Result<Captured> {
    let state = state(pool, host, signals);
    let text = state.to_json();
    if text.len() as u64 > MAX_STATE_BYTES {
        let detail = format!(
            "the state has {} bytes, at most {MAX_STATE_BYTES} can be handed over",
            text.len()
        );
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, detail));
    }
    Ok(Captured {
        state: memfd::create_sealed("cluster-state", &text, text.len() as u64, true)?,
        fds: state.fds,
        bytes: text.len(),
    })
}

fn state(pool: &Pool, host: &Host, signals: &[Signal]) -> UpgradeState {
    let mut fds = HandoverFds::default();
    let Host {
        incarnation,
        persisted,
        last_stop_signal: _forgotten,
        poller: _created_again,
        signals: _handed_over_as_numbers,
        processes,
        generations,
        listeners,
        spawner,
        orphans,
        stub: _ends_with_this_binary,
        records: _in_the_run_directory,
        records_outdated: _written_again,
        launch,
        working_directory,
        build: _the_new_binarys_own,
        control,
        service_manager: _created_from_the_environment,
        strays: _watched_again,
        lost_sockets: _told_again,
        upgrade: _ends_with_the_hand_over,
        file_watch: _begun_again_with_the_settings,
        ended_outputs: _their_last_lines_are_in_the_post_mortems,
        pid_file,
        directories,
    } = host;
    let Spawner {
        program,
        credentials,
        null: _opened_again,
        data_dir: _that_of_the_directories,
    } = spawner;
    UpgradeState {
        version: VERSION,
        program_name: launch.program.to_owned(),
        lifeline: lifeline::VERSION,
        pool: Saved::of(pool),
        master: MasterData {
            persisted: Persisted {
                log_lines_dropped: host.log_lines_dropped(),
                ..persisted.clone()
            },
            incarnation: *incarnation,
            signals: signals.iter().map(|&signal| signal as i32).collect(),
            binary: program.location.clone(),
            working_directory: working_directory.clone(),
            credentials: credentials
                .as_ref()
                .map(|credentials| (credentials.uid, credentials.gid)),
            data_dir: directories.data.clone(),
            run_dir: directories.run.clone(),
            pid_file: pid_file.as_ref().map(|file| file.path().to_owned()),
        },
        generations: generations
            .iter()
            .map(|(number, generation)| (*number, generation_state(generation, &mut fds)))
            .collect(),
        locks: directories
            .locks()
            .map(|lock| fds.add(lock, FdKind::File))
            .collect(),
        listeners: listeners.state(&mut fds),
        control: control.state(&mut fds),
        orphans: orphans
            .all()
            .map(|(number, orphan)| orphan_state(number, orphan, &mut fds))
            .collect(),
        processes: processes
            .values()
            .map(|process| process_state(process, &mut fds))
            .collect(),
        fds,
    }
}

fn generation_state(generation: &LoadedGeneration, fds: &mut HandoverFds) -> GenerationState {
    GenerationState {
        binary: fds.add(&generation.binary(), FdKind::File),
        settings: fds.add(&generation.frozen_settings(), FdKind::Memory),
    }
}

fn orphan_state(number: u32, orphan: &Orphan, fds: &mut HandoverFds) -> OrphanState {
    OrphanState {
        number,
        record: orphan.record.clone(),
        pidfd: fds.add(&orphan.pidfd, FdKind::Process),
    }
}

fn process_state(process: &WorkerProcess, fds: &mut HandoverFds) -> ProcessState {
    let WorkerProcess {
        facts,
        pidfd,
        notify,
        lifeline,
        stderr,
        log,
        board: _mapped_again,
        board_fd,
        output,
        violations: _begun_again,
        listener_requests: _answered_when_read,
    } = process;
    ProcessState {
        facts: facts.clone(),
        pidfd: fds.add(pidfd, FdKind::Process),
        notify: fds.add(notify, FdKind::Notify),
        lifeline: lifeline.as_ref().map(|fd| fds.add(fd, FdKind::Lifeline)),
        stderr: stderr.as_ref().map(|fd| fds.add(fd, FdKind::Stderr)),
        log: log.as_ref().map(|fd| fds.add(fd, FdKind::Log)),
        board: fds.add(board_fd, FdKind::Memory),
        output: output.as_ref().map(|output| fds.add(&output.fd, FdKind::Memory)),
    }
}
