//! Takes over the state and the descriptors, and checks each descriptor for its kind. Nothing here acts:
//! dropping what was taken over closes copies of descriptors and changes nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use serde_json::Value;

use super::fds::{FdKind, HandoverFdError, HandoverFds};
use super::state::{
    GenerationState, MAX_STATE_BYTES, MasterData, OrphanState, ProcessState, UpgradeState, UpgradeStateError,
};
use crate::base::ids::{Generation, Life};
use crate::config::Settings;
use crate::lifeline;
use crate::master::control::ControlServerState;
use crate::master::listeners::ListenersState;
use crate::master::process::WorkerProcess;
use crate::master::process::generation::LoadedGeneration;
use crate::master::process::violations::Violations;
use crate::master::process::worker_output::WorkerOutput;
use crate::master::start::orphans::Orphan;
use crate::pool::Pool;
use crate::pool::snapshot::NotLoadable;
use crate::scoreboard::{BoardError, BoardView};
use crate::sys::notify::NotifySocket;
use crate::sys::{inherit, memfd};

/// Largest size of a generation's settings, in bytes.
const MAX_SETTINGS_BYTES: u64 = 16 << 20;

/// Why a binary cannot take over from another one.
#[derive(Debug, thiserror::Error)]
#[expect(
    private_interfaces,
    reason = "callers print the error and do not look into its parts"
)]
pub enum UpgradeError {
    /// No state was handed over.
    #[error("no state was handed over: {0}")]
    NotHandedOver(#[source] io::Error),
    /// The state is in a file that could still be changed.
    #[error("the state is not in a sealed memory file")]
    NotSealed,
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] UpgradeStateError),
    /// The pool in the state cannot be read.
    #[error(transparent)]
    Pool(#[from] NotLoadable),
    /// The running master is another program.
    #[error("this program is {own:?}, and the running master is {running:?}")]
    OtherProgram {
        /// This program's name.
        own: String,
        /// The name of the one that runs.
        running: String,
    },
    /// The running workers understand another version of the lifeline messages.
    #[error("the running workers understand messages of version {0}, expected {expected}; stop and start \
        instead", expected = lifeline::VERSION)]
    Lifeline(u32),
    /// A descriptor is not open, or of another kind.
    #[error(transparent)]
    Fd(#[from] HandoverFdError),
    /// A running worker's scoreboard is of another layout.
    #[error("worker {life}: {source}")]
    Board {
        /// The worker.
        life: Life,
        /// What was read.
        source: BoardError,
    },
    /// The settings of a running generation have a key that this program does not know.
    #[error("the settings of generation {generation} cannot be read: {reason}")]
    Settings {
        /// The generation.
        generation: Generation,
        /// What is wrong.
        reason: String,
    },
    /// The state contradicts itself.
    #[error("the state contradicts itself: {0}")]
    Contradiction(String),
    /// The operating system refused.
    #[error("failed to take over what was handed over: {0}")]
    System(#[from] io::Error),
}

/// The state with its descriptors, checked.
pub(super) struct TakenOver {
    pub(super) pool: Pool,
    pub(super) master: MasterData,
    pub(super) locks: Vec<OwnedFd>,
    pub(super) generations: BTreeMap<Generation, LoadedGeneration>,
    pub(super) listeners: ListenersState<OwnedFd>,
    pub(super) control: ControlServerState<OwnedFd>,
    pub(super) orphans: BTreeMap<u32, Orphan>,
    pub(super) processes: BTreeMap<Life, WorkerProcess>,
}

/// Takes over the state in this descriptor, as the program of this name.
pub(super) fn take_over(state: RawFd, program_name: &str) -> Result<TakenOver, UpgradeError> {
    let state = UpgradeState::parse(&text(state)?)?;
    if state.program_name != program_name {
        return Err(UpgradeError::OtherProgram {
            own: program_name.to_owned(),
            running: state.program_name,
        });
    }
    if state.lifeline != lifeline::VERSION {
        return Err(UpgradeError::Lifeline(state.lifeline));
    }
    let mut fds = state.fds;
    let taken_over = TakenOver {
        pool: state.pool.load()?,
        master: state.master,
        locks: each(state.locks, |fd| Ok(fds.take(fd, FdKind::File)?))?,
        generations: each(state.generations, |(number, state)| {
            generation(number, &state, &mut fds)
        })?,
        listeners: state.listeners.take_over(&mut fds)?,
        control: state.control.take_over(&mut fds)?,
        orphans: each(state.orphans, |state| orphan(state, &mut fds))?,
        processes: each(state.processes, |state| process(state, &mut fds))?,
    };
    taken_over.check()?;
    Ok(taken_over)
}

fn each<S, T, C: FromIterator<T>>(
    states: impl IntoIterator<Item = S>,
    take_over: impl FnMut(S) -> Result<T, UpgradeError>,
) -> Result<C, UpgradeError> {
    states.into_iter().map(take_over).collect()
}

fn text(number: RawFd) -> Result<Vec<u8>, UpgradeError> {
    let file = inherit::take(number).map_err(UpgradeError::NotHandedOver)?;
    match memfd::is_frozen(file.as_fd()) {
        Ok(true) => Ok(memfd::content(&file, MAX_STATE_BYTES)?),
        Ok(false) | Err(_) => Err(UpgradeError::NotSealed),
    }
}

fn generation(
    number: Generation,
    state: &GenerationState,
    fds: &mut HandoverFds,
) -> Result<(Generation, LoadedGeneration), UpgradeError> {
    let binary = fds.take(state.binary, FdKind::File)?;
    let frozen = fds.take(state.settings, FdKind::Memory)?;
    let settings = settings(&frozen).map_err(|reason| UpgradeError::Settings {
        generation: number,
        reason,
    })?;
    Ok((
        number,
        LoadedGeneration::restored(File::from(binary), frozen, settings),
    ))
}

/// Reads the settings. A key that the program that wrote them did not know has its default.
fn settings(frozen: &OwnedFd) -> Result<Settings, String> {
    let text = memfd::content(frozen, MAX_SETTINGS_BYTES).map_err(|error| error.to_string())?;
    let read: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let mut settings = serde_json::to_value(Settings::default()).map_err(|error| error.to_string())?;
    let Value::Object(sections) = read else {
        return Err("they are not an object".to_owned());
    };
    for (name, section) in sections {
        match (settings.get_mut(&name), section) {
            (Some(Value::Object(defaults)), Value::Object(keys)) => defaults.extend(keys),
            (_, section) => settings[name] = section,
        }
    }
    serde_json::from_value(settings).map_err(|error| error.to_string())
}

fn orphan(state: OrphanState, fds: &mut HandoverFds) -> Result<(u32, Orphan), UpgradeError> {
    let pidfd = fds.take(state.pidfd, FdKind::Process)?;
    Ok((
        state.number,
        Orphan {
            record: state.record,
            pidfd,
        },
    ))
}

fn process(state: ProcessState, fds: &mut HandoverFds) -> Result<(Life, WorkerProcess), UpgradeError> {
    let life = state.facts.life;
    let board_fd = fds.take(state.board, FdKind::Memory)?;
    let board = BoardView::open(board_fd.as_fd()).map_err(|source| UpgradeError::Board { life, source })?;
    let lifeline = state.lifeline.map(|fd| fds.take(fd, FdKind::Lifeline));
    let stderr = state.stderr.map(|fd| fds.take(fd, FdKind::Stderr));
    let log = state.log.map(|fd| fds.take(fd, FdKind::Log));
    let output = state.output.map(|fd| fds.take(fd, FdKind::Memory)).transpose()?;
    let process = WorkerProcess {
        facts: state.facts,
        pidfd: fds.take(state.pidfd, FdKind::Process)?,
        notify: NotifySocket::keep(fds.take(state.notify, FdKind::Notify)?)?,
        lifeline: lifeline.transpose()?,
        stderr: stderr.transpose()?.map(File::from),
        log: log.transpose()?.map(File::from),
        board,
        board_fd,
        // A ring of another layout shows nothing, and what writes to it serves on.
        output: output.and_then(|fd| WorkerOutput::restored(fd).ok()),
        violations: Violations::default(),
        listener_requests: Vec::new(),
    };
    Ok((life, process))
}

impl TakenOver {
    /// Checks that every generation and every worker that the pool names was handed over.
    fn check(&self) -> Result<(), UpgradeError> {
        let contradiction = |what: String| Err(UpgradeError::Contradiction(what));
        if let Some(number) = self
            .pool
            .loaded_generations()
            .find(|number| !self.generations.contains_key(number))
        {
            return contradiction(format!("generation {number} has no binary"));
        }
        // Each worker that the pool knows has a process, and no process is unknown to the pool.
        let lives: Vec<Life> = self.pool.lives().collect();
        if let Some(life) = self.processes.keys().find(|life| !lives.contains(life)) {
            return contradiction(format!("worker {life} is in no slot"));
        }
        if let Some(life) = lives.iter().find(|life| !self.processes.contains_key(life)) {
            return contradiction(format!("worker {life} has no process"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::state::tests::specimen;
    use super::*;

    fn read(change: impl FnOnce(&mut Value)) -> Result<Settings, String> {
        let mut value = serde_json::to_value(Settings::default()).expect("JSON");
        change(&mut value);
        let text = serde_json::to_vec(&value).expect("text");
        let frozen = memfd::create_sealed("settings", &text, text.len() as u64, true).expect("a memfd");
        settings(&frozen)
    }

    #[test]
    fn settings_are_read_back_and_a_new_key_has_its_default() {
        assert_eq!(read(|_| ()).expect("settings"), Settings::default());
        let older = read(|value| {
            let cluster = value["cluster"].as_object_mut().expect("a section");
            cluster.remove("restart_limit").expect("it was there");
            cluster.insert("workers".to_owned(), json!("3"));
            value
                .as_object_mut()
                .expect("sections")
                .remove("drill")
                .expect("it was there");
        });
        let older = older.expect("settings");
        let default = Settings::default();
        assert_eq!(older.cluster.restart_limit, default.cluster.restart_limit);
        assert_eq!(older.cluster.workers, crate::config::Workers::Count(3));
        assert_eq!(older.drill, default.drill);
    }

    /// The error of a new master with this program name for this state.
    fn refused(state: &Value, name: &str) -> UpgradeError {
        let text = serde_json::to_vec(state).expect("text");
        let memory = memfd::create_sealed("state", &text, text.len() as u64, true).expect("a memfd");
        let number = inherit::copy_as_after_exec(&memory);
        take_over(number, name).err().expect("refused")
    }

    #[test]
    fn another_program_does_not_take_over_these_workers() {
        let error = refused(&specimen(), "hello").to_string();
        assert_eq!(
            error,
            "this program is \"hello\", and the running master is \"cluster\""
        );
    }

    #[test]
    fn workers_with_another_version_of_the_messages_are_not_taken_over() {
        let mut state = specimen();
        state["lifeline"] = json!(lifeline::VERSION + 1);
        assert!(matches!(refused(&state, "cluster"), UpgradeError::Lifeline(_)));
    }

    #[test]
    fn the_applications_own_sections_are_kept() {
        let read = read(|value| value["app"] = json!({"shop": {"name": "here"}})).expect("settings");
        assert_eq!(read.app["shop"]["name"].as_str(), Some("here"));
    }

    #[test]
    fn a_key_that_this_program_does_not_know_is_refused() {
        let error = read(|value| value["cluster"]["colour"] = json!("red")).expect_err("refused");
        assert!(error.contains("colour"), "{error}");
        let error = read(|value| value["paint"] = json!({})).expect_err("refused");
        assert!(error.contains("paint"), "{error}");
    }
}
