//! The command of a program: which file it names, and why it cannot be started.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::config::Settings;
use crate::sys::paths;

/// Where a program is looked for when its environment has no `PATH`, as by the C library.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A command whose file was found.
#[derive(Debug)]
pub(super) struct ProgramCommand {
    /// The file, absolute.
    pub(super) file: CString,
    /// The arguments; the first is the name as it was typed.
    pub(super) arguments: Vec<CString>,
    /// The working directory.
    pub(super) directory: CString,
}

/// Why a command cannot be started. The words tell what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgramRefusal {
    #[error("the working directory {} cannot be used: {error}", .path.display())]
    Directory { path: PathBuf, error: io::Error },
    #[error(
        "there is no program {name:?} in PATH ({path}): check its name, or give its path, as in ./{name}"
    )]
    NotInPath { name: String, path: String },
    #[error("there is no program {}: check the path", .0.display())]
    Missing(PathBuf),
    #[error("{} is a directory, expected a program", .0.display())]
    Directories(PathBuf),
    #[error("{} is not executable: `chmod +x` makes it so, or name its interpreter, as in `sh {}`", .0.display(), .0.display())]
    NotExecutable(PathBuf),
    #[error("{} is no program of this machine: it is neither an executable of this architecture, nor does it \
             begin with a line such as `#!/bin/sh`", .0.display())]
    NoProgram(PathBuf),
    #[error("the interpreter {interpreter:?} that {} names in its first line is missing", .script.display())]
    NoInterpreter { script: PathBuf, interpreter: String },
    #[error("the command holds a NUL byte, which no argument can")]
    Nul,
    #[error("{} cannot be started: {error}", .file.display())]
    Other { file: PathBuf, error: io::Error },
}

impl ProgramCommand {
    /// Finds the program of a command, as a shell would: in `path` (the value of `PATH` in the environment of
    /// the program) unless its name has a slash. Names are relative to the working directory of the program.
    pub(super) fn find(
        command: &[String],
        directory: Option<&Path>,
        path: Option<&OsStr>,
    ) -> Result<ProgramCommand, ProgramRefusal> {
        let directory = working_directory(directory)?;
        let name = command.first().map_or("", String::as_str);
        let file = match name.contains('/') {
            true => existing(directory.join(name))?,
            false => in_path(name, path.unwrap_or(OsStr::new(DEFAULT_PATH)), &directory)?,
        };
        let nul = |_| ProgramRefusal::Nul;
        Ok(ProgramCommand {
            file: CString::new(file.into_os_string().into_vec()).map_err(nul)?,
            arguments: command
                .iter()
                .map(|argument| CString::new(argument.as_str()))
                .collect::<Result<_, _>>()
                .map_err(nul)?,
            directory: CString::new(directory.into_os_string().into_vec()).map_err(nul)?,
        })
    }

    /// The file of the program.
    pub(super) fn file(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.file.as_bytes()))
    }

    /// The working directory.
    pub(super) fn directory(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.directory.as_bytes()))
    }

    /// The reason why the kernel did not execute the file.
    pub(super) fn refusal(&self, error: io::Error) -> ProgramRefusal {
        let file = self.file().to_owned();
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOEXEC) => ProgramRefusal::NoProgram(file),
            Some(Errno::ENOENT) => match interpreter(&file) {
                Some(interpreter) => ProgramRefusal::NoInterpreter {
                    script: file,
                    interpreter,
                },
                None => ProgramRefusal::Missing(file),
            },
            Some(Errno::EACCES) => ProgramRefusal::NotExecutable(file),
            _ => ProgramRefusal::Other { file, error },
        }
    }
}

impl ProgramRefusal {
    /// Whether the next try may succeed without a person: the system was short of something.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            ProgramRefusal::Other { error, .. } | ProgramRefusal::Directory { error, .. } => {
                crate::sys::limits::is_exhaustion(error)
            }
            _ => false,
        }
    }
}

/// Why the program of these settings can be started by no worker, as far as that is known before there is
/// one: a worker of another user has another environment and other rights.
pub(crate) fn never_starts(settings: &Settings) -> Option<String> {
    let run = &settings.run;
    if !run.is_asked_for() || settings.cluster.user.is_some() {
        return None;
    }
    let path = run.env.get("PATH").map(OsString::from);
    let path = path.or_else(|| std::env::var_os("PATH"));
    let found = ProgramCommand::find(&run.command, run.directory.as_deref(), path.as_deref());
    found
        .err()
        .filter(|refusal| !refusal.is_passing())
        .map(|refusal| refusal.to_string())
}

/// The working directory, absolute. It is not resolved: a `current` link of a release directory is followed
/// anew by each worker.
fn working_directory(directory: Option<&Path>) -> Result<PathBuf, ProgramRefusal> {
    let path = directory.unwrap_or(Path::new("."));
    let refuse = |error| ProgramRefusal::Directory {
        path: path.to_owned(),
        error,
    };
    let absolute = std::path::absolute(path).map_err(refuse)?;
    match absolute.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(absolute),
        Ok(_) => Err(refuse(Errno::ENOTDIR.into())),
        Err(error) => Err(refuse(error)),
    }
}

fn existing(file: PathBuf) -> Result<PathBuf, ProgramRefusal> {
    match file.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ProgramRefusal::Missing(file)),
        Err(error) => Err(ProgramRefusal::Other { file, error }),
        Ok(metadata) if metadata.is_dir() => Err(ProgramRefusal::Directories(file)),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => {
            Err(ProgramRefusal::NotExecutable(file))
        }
        Ok(_) => Ok(file),
    }
}

fn in_path(name: &str, path: &OsStr, directory: &Path) -> Result<PathBuf, ProgramRefusal> {
    let folders = std::env::split_paths(path).map(|folder| directory.join(folder));
    paths::find_program(OsStr::new(name), folders).ok_or_else(|| ProgramRefusal::NotInPath {
        name: name.to_owned(),
        path: path.to_string_lossy().into_owned(),
    })
}

/// The interpreter in the first line of a script.
fn interpreter(script: &Path) -> Option<String> {
    let mut beginning = [0; 256];
    let length = File::open(script).ok()?.read(&mut beginning).ok()?;
    let line = beginning[..length].split(|&byte| byte == b'\n').next()?;
    let words = line.strip_prefix(b"#!")?;
    let text = String::from_utf8_lossy(words);
    text.split_whitespace().next().map(str::to_owned)
}

/// The command as a person would type it, for messages.
pub(super) fn shown(command: &[String]) -> String {
    command.join(" ").chars().take(200).collect()
}

/// The words of a command for those who look for Node in it.
pub(super) fn words(command: &[String]) -> Vec<OsString> {
    command.iter().map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn find(words: &[&str], directory: &Path) -> Result<ProgramCommand, ProgramRefusal> {
        let path = OsStr::new("/bin:/usr/bin:.");
        ProgramCommand::find(&command(words), Some(directory), Some(path))
    }

    fn file(directory: &Path, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = directory.join(name);
        std::fs::write(&path, content).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("set");
        path
    }

    #[test]
    fn a_name_is_looked_for_in_the_path_and_a_path_below_the_directory() {
        let directory = tempfile::tempdir().expect("a directory");
        let shell = find(&["sh", "-c", "true"], directory.path()).expect("found");
        assert!(shell.file().is_absolute() && shell.file().ends_with("sh"));
        assert_eq!(
            shell.arguments,
            [c"sh".to_owned(), c"-c".to_owned(), c"true".to_owned()]
        );
        let own = file(directory.path(), "start", "#!/bin/sh\n", 0o755);
        for name in ["./start", "start"] {
            let found = find(&[name], directory.path()).expect("found");
            assert_eq!(
                found.file().canonicalize().expect("there"),
                own.canonicalize().expect("there")
            );
        }
    }

    #[test]
    fn what_cannot_be_started_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        file(path, "plain", "text", 0o644);
        file(path, "script", "#!/no/such/interpreter -x\n", 0o755);
        std::fs::create_dir(path.join("folder")).expect("made");
        let refusal = |words: &[&str]| find(words, path).expect_err("refused").to_string();
        assert!(refusal(&["no-such-program"]).contains("in PATH (/bin:/usr/bin:.)"));
        assert!(refusal(&["./missing"]).starts_with("there is no program /"));
        assert!(refusal(&["./folder"]).contains("is a directory"));
        assert!(refusal(&["./plain"]).contains("is not executable"));
        assert!(refusal(&[""]).contains("in PATH"));
        let script = find(&["./script"], path).expect("found");
        let refused = script.refusal(Errno::ENOENT.into()).to_string();
        assert!(refused.contains("\"/no/such/interpreter\""), "{refused}");
        assert!(matches!(
            ProgramCommand::find(&command(&["sh"]), Some(&path.join("nowhere")), None),
            Err(ProgramRefusal::Directory { .. })
        ));
    }
}
