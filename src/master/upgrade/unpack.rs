//! The state and the descriptors are taken over and checked, each for what it claims to be. Nothing here acts: what is unpacked
//! is only held, and letting go of it again closes copies and changes nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::PathBuf;

use serde_json::Value;

use super::fds::{Luggage, LuggageError, What};
use super::state::{LARGEST, PackedGeneration, PackedOrphan, PackedProcess, State, StateError};
use crate::base::ids::{Generation as Number, Incarnation, Life};
use crate::config::Settings;
use crate::lifeline;
use crate::master::control::UnpackedDesk;
use crate::master::host::Kept;
use crate::master::listeners::UnpackedListeners;
use crate::master::process::Process;
use crate::master::process::generation::Generation;
use crate::master::process::violations::Oddities;
use crate::master::start::orphans::Orphan;
use crate::pool::Pool;
use crate::pool::saved::NotLoadable;
use crate::scoreboard::{BoardError, BoardView};
use crate::sys::notify::NotifySocket;
use crate::sys::{inherit, memfd};

/// Larger settings are a mistake, in bytes.
const LARGEST_SETTINGS: u64 = 16 << 20;

/// Why a binary cannot go on where another one was.
#[derive(Debug, thiserror::Error)]
#[expect(private_interfaces, reason = "whoever is told reads the words, not the parts")]
pub enum UpgradeError {
    /// There is no state.
    #[error("no state was handed over: {0}")]
    NotHandedOver(#[source] io::Error),
    /// Somebody could still change it.
    #[error("the state is in no sealed memory file, which nobody could change any more")]
    NotSealed,
    /// It is no state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The pool in it is none.
    #[error(transparent)]
    Pool(#[from] NotLoadable),
    /// It would serve something else.
    #[error("this program is {own:?}, and the running master is {running:?}")]
    OtherProgram {
        /// This program's name.
        own: String,
        /// The name of the one that runs.
        running: String,
    },
    /// The running workers speak another language.
    #[error("the running workers understand messages of version {0}, expected {expected}; stop and start instead", expected = lifeline::VERSION)]
    Lifeline(u32),
    /// A descriptor is not there, or not what it should be.
    #[error(transparent)]
    Luggage(#[from] LuggageError),
    /// A running worker's scoreboard is of another layout.
    #[error("worker {life}: {source}")]
    Board {
        /// Whose.
        life: Life,
        /// What was found.
        source: BoardError,
    },
    /// The settings of a running generation have a key that this program does not know, or lack one.
    #[error("the settings of generation {generation} cannot be read: {reason}")]
    Settings {
        /// Which.
        generation: Number,
        /// What is wrong.
        reason: String,
    },
    /// The state contradicts itself.
    #[error("the state contradicts itself: {0}")]
    Contradiction(String),
    /// The system said no.
    #[error("failed to take over what was handed over: {0}")]
    System(#[from] io::Error),
}

/// Everything, checked.
pub(super) struct Unpacked {
    pub(super) pool: Pool,
    pub(super) kept: Kept,
    pub(super) incarnation: Incarnation,
    pub(super) signals: Vec<i32>,
    pub(super) program: PathBuf,
    pub(super) credentials: Option<(u32, u32)>,
    pub(super) data_dir: PathBuf,
    pub(super) run_dir: PathBuf,
    pub(super) locks: Vec<OwnedFd>,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) generations: BTreeMap<Number, Generation>,
    pub(super) listeners: UnpackedListeners,
    pub(super) desk: UnpackedDesk,
    pub(super) orphans: BTreeMap<u32, Orphan>,
    pub(super) processes: BTreeMap<Life, Process>,
}

/// Takes over what came under this number, as the program of this name.
pub(super) fn unpack(state: RawFd, name: &str) -> Result<Unpacked, UpgradeError> {
    let state = State::parse(&text(state)?)?;
    if state.name != name {
        return Err(UpgradeError::OtherProgram {
            own: name.to_owned(),
            running: state.name,
        });
    }
    if state.lifeline != lifeline::VERSION {
        return Err(UpgradeError::Lifeline(state.lifeline));
    }
    let mut luggage = state.luggage;
    let unpacked = Unpacked {
        pool: state.pool.load()?,
        kept: state.kept,
        incarnation: state.incarnation,
        signals: state.signals,
        program: state.program,
        credentials: state.credentials,
        data_dir: state.data_dir,
        run_dir: state.run_dir,
        locks: each(state.locks, |fd| Ok(luggage.unpack(fd, What::File)?))?,
        pid_file: state.pid_file,
        generations: each(state.generations, |(number, packed)| {
            generation(number, &packed, &mut luggage)
        })?,
        listeners: state.listeners.unpack(&mut luggage)?,
        desk: state.desk.unpack(&mut luggage)?,
        orphans: each(state.orphans, |packed| orphan(packed, &mut luggage))?,
        processes: each(state.processes, |packed| process(packed, &mut luggage))?,
    };
    unpacked.check()?;
    Ok(unpacked)
}

fn each<P, T, C: FromIterator<T>>(
    packed: impl IntoIterator<Item = P>,
    unpack: impl FnMut(P) -> Result<T, UpgradeError>,
) -> Result<C, UpgradeError> {
    packed.into_iter().map(unpack).collect()
}

fn text(number: RawFd) -> Result<Vec<u8>, UpgradeError> {
    let file = inherit::take(number).map_err(UpgradeError::NotHandedOver)?;
    match memfd::is_frozen(file.as_fd()) {
        Ok(true) => Ok(memfd::content(&file, LARGEST)?),
        Ok(false) | Err(_) => Err(UpgradeError::NotSealed),
    }
}

fn generation(
    number: Number,
    packed: &PackedGeneration,
    luggage: &mut Luggage,
) -> Result<(Number, Generation), UpgradeError> {
    let binary = luggage.unpack(packed.binary, What::File)?;
    let frozen = luggage.unpack(packed.settings, What::Memory)?;
    let settings = settings(&frozen).map_err(|reason| UpgradeError::Settings {
        generation: number,
        reason,
    })?;
    Ok((number, Generation::kept(File::from(binary), frozen, settings)))
}

/// A key that this program has and the one that wrote the settings had not is at its default.
fn settings(frozen: &OwnedFd) -> Result<Settings, String> {
    let text = memfd::content(frozen, LARGEST_SETTINGS).map_err(|error| error.to_string())?;
    let read: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let mut settings = serde_json::to_value(Settings::default()).map_err(|error| error.to_string())?;
    let Value::Object(sections) = read else {
        return Err("they are no object".to_owned());
    };
    for (name, section) in sections {
        match (settings.get_mut(&name), section) {
            (Some(Value::Object(defaults)), Value::Object(keys)) => defaults.extend(keys),
            (_, section) => settings[name] = section,
        }
    }
    serde_json::from_value(settings).map_err(|error| error.to_string())
}

fn orphan(packed: PackedOrphan, luggage: &mut Luggage) -> Result<(u32, Orphan), UpgradeError> {
    let pidfd = luggage.unpack(packed.pidfd, What::Process)?;
    Ok((
        packed.place,
        Orphan {
            record: packed.record,
            pidfd,
        },
    ))
}

fn process(packed: PackedProcess, luggage: &mut Luggage) -> Result<(Life, Process), UpgradeError> {
    let life = packed.life;
    let board_fd = luggage.unpack(packed.board, What::Memory)?;
    let board = BoardView::open(board_fd.as_fd()).map_err(|source| UpgradeError::Board { life, source })?;
    let lifeline = packed.lifeline.map(|fd| luggage.unpack(fd, What::Lifeline));
    let stderr = packed.stderr.map(|fd| luggage.unpack(fd, What::Stderr));
    let process = Process {
        life,
        pid: packed.pid,
        started: packed.started,
        born: packed.born,
        pidfd: luggage.unpack(packed.pidfd, What::Process)?,
        notify: NotifySocket::keep(luggage.unpack(packed.notify, What::Notify)?)?,
        lifeline: lifeline.transpose()?,
        stderr: stderr.transpose()?.map(File::from),
        tail: packed.tail,
        board,
        board_fd,
        looked: packed.looked,
        generation: packed.generation,
        leaving: packed.leaving,
        weighed: packed.weighed,
        at_kill: packed.at_kill,
        figures_wanted: packed.figures_wanted,
        oddities: Oddities::default(),
    };
    Ok((life, process))
}

impl Unpacked {
    /// What the pool speaks of is there.
    fn check(&self) -> Result<(), UpgradeError> {
        let odd = |what: String| Err(UpgradeError::Contradiction(what));
        if let Some(number) = self
            .pool
            .generations()
            .find(|number| !self.generations.contains_key(number))
        {
            return odd(format!("generation {number} has no binary"));
        }
        // A life that could not be spawned has no process, and a worker that the pool does not know has one too many.
        let lives: Vec<Life> = self.pool.lives().collect();
        if let Some(life) = self.processes.keys().find(|life| !lives.contains(life)) {
            return odd(format!("worker {life} is in no slot"));
        }
        if let Some(life) = lives.iter().find(|life| !self.processes.contains_key(life)) {
            return odd(format!("worker {life} has no process"));
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
    fn settings_come_back_and_a_key_that_is_new_here_is_at_its_default() {
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

    /// What a new master of that name makes of a state of this text.
    fn unpacked(state: &Value, name: &str) -> UpgradeError {
        let text = serde_json::to_vec(state).expect("text");
        let memory = memfd::create_sealed("state", &text, text.len() as u64, true).expect("a memfd");
        // Under a number that nobody in this process has had, as after exec.
        let lowest = nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(700 + i32::try_from(name.len()).expect("short"));
        let number = nix::fcntl::fcntl(&memory, lowest).expect("a copy");
        unpack(number, name).err().expect("refused")
    }

    #[test]
    fn another_application_does_not_go_on_with_these_workers() {
        let told = unpacked(&specimen(), "hello").to_string();
        assert_eq!(
            told,
            "this program is \"hello\", and the running master is \"cluster\""
        );
    }

    #[test]
    fn workers_that_understand_other_messages_are_not_taken_over() {
        let mut state = specimen();
        state["lifeline"] = json!(lifeline::VERSION + 1);
        assert!(matches!(unpacked(&state, "cluster"), UpgradeError::Lifeline(_)));
    }

    #[test]
    fn the_applications_own_sections_are_as_they_were() {
        let read = read(|value| value["app"] = json!({"shop": {"name": "here"}})).expect("settings");
        assert_eq!(read.app["shop"]["name"].as_str(), Some("here"));
    }

    #[test]
    fn a_key_that_this_program_does_not_know_any_more_is_refused() {
        let told = read(|value| value["cluster"]["colour"] = json!("red")).expect_err("refused");
        assert!(told.contains("colour"), "{told}");
        let told = read(|value| value["paint"] = json!({})).expect_err("refused");
        assert!(told.contains("paint"), "{told}");
    }
}
