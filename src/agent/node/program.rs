//! Whether a command starts Node: the variables of Node are set for no other program. It is decided by names,
//! by symbolic links, by `#!` lines, and for shells by the words of what they execute.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::sys::paths;

/// How much of a script is looked at, in bytes.
const SCRIPT_BYTES: u64 = 64 << 10;
/// How many programs may start each other in one command, as in `env nice sh -c …`.
const MAX_LAUNCHERS: usize = 8;

/// Commands that are written for Node and start the program.
const WRAPPERS: &[&str] = &[
    "npm",
    "npx",
    "yarn",
    "yarnpkg",
    "pnpm",
    "pnpx",
    "corepack",
    "tsx",
    "ts-node",
    "nodemon",
    "cross-env",
];
const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"];
/// Programs that become the program which their arguments name.
const LAUNCHERS: &[&str] = &[
    "env",
    "nice",
    "ionice",
    "nohup",
    "setsid",
    "stdbuf",
    "timeout",
    "taskset",
    "chrt",
    "numactl",
    "time",
    "tini",
    "dumb-init",
];

/// How a command comes to Node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeCommand {
    /// It is Node.
    Direct,
    /// It is a program that starts Node: npm, a shell, `env`.
    Wrapped,
    /// Nothing about it says Node.
    Not,
}

/// Where commands are looked for.
#[derive(Clone, Copy, Debug)]
pub struct CommandPlace<'a> {
    /// The value of `PATH` that the program gets.
    pub path: &'a OsStr,
    /// Its working directory.
    pub directory: &'a Path,
}

/// Decides about a command and its arguments.
#[must_use]
pub fn node_command(command: &[OsString], place: CommandPlace<'_>) -> NodeCommand {
    judge(command, place, MAX_LAUNCHERS)
}

fn judge(command: &[OsString], place: CommandPlace<'_>, depth: usize) -> NodeCommand {
    let Some((program, arguments)) = command.split_first().filter(|_| depth > 0) else {
        return NodeCommand::Not;
    };
    let name = base(program);
    if is_node(&name) {
        return NodeCommand::Direct;
    }
    if WRAPPERS.contains(&name.as_str()) {
        return NodeCommand::Wrapped;
    }
    if LAUNCHERS.contains(&name.as_str()) {
        return launched(arguments, place, depth);
    }
    if SHELLS.contains(&name.as_str()) {
        return shell(arguments, place, depth);
    }
    match find(program, place).map_or(FileKind::Other, |file| by_file(&file)) {
        FileKind::Node(kind) => kind,
        FileKind::HandsOn => handed_on(arguments, place, depth),
        FileKind::Other => NodeCommand::Not,
    }
}

/// What is known of a program by its file.
enum FileKind {
    /// It is Node, or starts it.
    Node(NodeCommand),
    /// A shell script that starts what its arguments name (`exec "$@"`), as the entry points of images do.
    HandsOn,
    Other,
}

/// What a script starts that hands its arguments on.
fn handed_on(arguments: &[OsString], place: CommandPlace<'_>, depth: usize) -> NodeCommand {
    match judge(arguments, place, depth - 1) {
        NodeCommand::Not => NodeCommand::Not,
        NodeCommand::Direct | NodeCommand::Wrapped => NodeCommand::Wrapped,
    }
}

/// Whether a shell script has `"$@"` or `$*` outside lines of comment.
fn hands_on(script: &str) -> bool {
    let mut lines = script.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.any(|line| line.contains("$@") || line.contains("$*"))
}

/// The name without its folder, as text.
fn base(program: &OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// `node`, `nodejs`, `node20`, `node-v22.1`.
fn is_node(name: &str) -> bool {
    let version = name.strip_prefix("nodejs").or_else(|| name.strip_prefix("node"));
    version.is_some_and(|version| {
        let mut letters = version.trim_start_matches(['-', 'v']).chars();
        letters.all(|letter| letter.is_ascii_digit() || letter == '.')
    })
}

/// `env A=1 nice -n 5 node app.js`: what follows the options and settings of the launcher.
fn launched(arguments: &[OsString], place: CommandPlace<'_>, depth: usize) -> NodeCommand {
    let starts = 0..arguments.len().min(MAX_LAUNCHERS * 2);
    let found = starts.map(|at| judge(&arguments[at..], place, depth - 1));
    let found = found.into_iter().find(|&kind| kind != NodeCommand::Not);
    found.map_or(NodeCommand::Not, |_| NodeCommand::Wrapped)
}

fn shell(arguments: &[OsString], place: CommandPlace<'_>, depth: usize) -> NodeCommand {
    let is_command = |text: &OsString| {
        let bytes = text.as_bytes();
        bytes.first() == Some(&b'-') && bytes.get(1) != Some(&b'-') && bytes.ends_with(b"c")
    };
    // What it executes, and the arguments of that: behind `-c TEXT` the first is its name.
    let (text, rest) = match arguments.iter().position(is_command) {
        Some(at) => {
            let text = arguments
                .get(at + 1)
                .map(|text| text.to_string_lossy().into_owned());
            (text, at + 3)
        }
        None => {
            let is_script = |text: &OsString| text.as_bytes().first() != Some(&b'-');
            let at = arguments.iter().position(is_script).unwrap_or(arguments.len());
            let script = arguments.get(at);
            (
                script.and_then(|script| beginning(&place.directory.join(script))),
                at + 1,
            )
        }
    };
    match text {
        Some(text) if speaks_of_node(&text) => NodeCommand::Wrapped,
        Some(text) if hands_on(&text) => handed_on(arguments.get(rest..).unwrap_or_default(), place, depth),
        _ => NodeCommand::Not,
    }
}

/// Whether a shell script has a word that is a command of Node's world, outside lines of comment.
fn speaks_of_node(script: &str) -> bool {
    let is_separator = |letter: char| !(letter.is_alphanumeric() || "_./@+-".contains(letter));
    let mut lines = script.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.any(|line| {
        line.split(is_separator).any(|word| {
            let name = base(OsStr::new(word));
            is_node(&name) || WRAPPERS.contains(&name.as_str()) || is_javascript(&name)
        })
    })
}

fn is_javascript(name: &str) -> bool {
    [".js", ".mjs", ".cjs"]
        .iter()
        .any(|end| name.ends_with(end) && name.len() > end.len())
}

fn find(program: &OsStr, place: CommandPlace<'_>) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(place.directory.join(program));
    }
    let folders = std::env::split_paths(place.path).map(|folder| place.directory.join(folder));
    paths::find_program(program, folders)
}

fn by_file(file: &Path) -> FileKind {
    let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    if is_node(&base(real.as_os_str())) {
        return FileKind::Node(NodeCommand::Direct);
    }
    let Some(text) = beginning(&real) else {
        return FileKind::Other;
    };
    let Some(interpreter) = text.strip_prefix("#!").and_then(|text| text.lines().next()) else {
        return FileKind::Other;
    };
    let names: Vec<String> = interpreter
        .split_whitespace()
        .map(|word| base(OsStr::new(word)))
        .collect();
    let is_wrapper = |name: &String| WRAPPERS.contains(&name.as_str());
    let is_shell = |name: &String| SHELLS.contains(&name.as_str());
    let is_script = names.iter().any(is_shell);
    if names.iter().any(|name| is_node(name)) {
        FileKind::Node(NodeCommand::Direct)
    } else if names.iter().any(is_wrapper) || (is_script && speaks_of_node(&text)) {
        FileKind::Node(NodeCommand::Wrapped)
    } else if is_script && hands_on(&text) {
        FileKind::HandsOn
    } else {
        FileKind::Other
    }
}

/// The beginning of a regular file, as text.
fn beginning(file: &Path) -> Option<String> {
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(file)
        .ok()?
        .take(SCRIPT_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn kind(folder: &Path, command: &[&str]) -> NodeCommand {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let place = CommandPlace {
            path: OsStr::new("bin"),
            directory: folder,
        };
        node_command(&command, place)
    }

    #[test]
    fn names_say_node() {
        let folder = tempfile::tempdir().expect("a folder");
        let kind = |command: &[&str]| kind(folder.path(), command);
        for name in ["node", "/usr/bin/nodejs", "node20", "node-v22.1.0"] {
            assert_eq!(kind(&[name, "app.js"]), NodeCommand::Direct, "{name}");
        }
        for command in [
            &["npm", "start"][..],
            &["/usr/bin/npx", "x"],
            &["env", "A=1", "node", "app.js"],
            &["nice", "-n", "5", "env", "npm", "start"],
            &["sh", "-c", "cd app && exec node app.js"],
            &["bash", "-ec", "yarn start"],
            &["sh", "-c", "./server.mjs"],
            &["sh", "-c", "umask 077; exec \"$@\"", "start", "node", "app.js"],
        ] {
            assert_eq!(kind(command), NodeCommand::Wrapped, "{command:?}");
        }
        for command in [
            &["python3", "app.py"][..],
            &["nodepad"],
            &["node_exporter"],
            &["sh", "-c", "uvicorn app:app"],
            &["sh", "-c", "exec \"$@\"", "node", "python3"],
            &["sh", "-c", "exec \"$@\""],
            &["sh", "-c", "# node\ngunicorn app"],
            &["env", "A=node", "python3"],
            &["sh"],
            &["env"],
            &["sh", "-c"],
            &[],
        ] {
            assert_eq!(kind(command), NodeCommand::Not, "{command:?}");
        }
    }

    #[test]
    fn links_and_first_lines_say_node() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("bin")).expect("made");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("set");
        };
        let kind = |command: &[&str]| kind(folder.path(), command);
        write("bin/tool", "#!/usr/bin/env -S node --enable-source-maps\n");
        write("bin/start", "#!/bin/sh\nset -e\nexec node \"$@\"\n");
        write("bin/serve", "#!/usr/bin/python3\nimport node\n");
        write("bin/node", "\x7fELF");
        write("run.sh", "npm start\n");
        write("entrypoint.sh", "#!/bin/sh\nset -e\n./migrate\nexec \"$@\"\n");
        write("plain.sh", "#!/bin/sh\n# exec \"$@\"\nuvicorn app:app\n");
        symlink("node", folder.path().join("bin/runtime")).expect("linked");
        assert_eq!(kind(&["tool"]), NodeCommand::Direct);
        assert_eq!(kind(&["runtime"]), NodeCommand::Direct);
        assert_eq!(kind(&["./bin/start"]), NodeCommand::Wrapped);
        assert_eq!(kind(&["sh", "run.sh"]), NodeCommand::Wrapped);
        assert_eq!(kind(&["./entrypoint.sh", "node", "app.js"]), NodeCommand::Wrapped);
        assert_eq!(
            kind(&["sh", "entrypoint.sh", "npm", "start"]),
            NodeCommand::Wrapped
        );
        assert_eq!(kind(&["./entrypoint.sh", "uvicorn", "app:app"]), NodeCommand::Not);
        assert_eq!(kind(&["./entrypoint.sh"]), NodeCommand::Not);
        assert_eq!(kind(&["./plain.sh", "node"]), NodeCommand::Not);
        assert_eq!(kind(&["serve"]), NodeCommand::Not);
        assert_eq!(kind(&["missing"]), NodeCommand::Not);
        assert_eq!(kind(&["./bin"]), NodeCommand::Not, "a folder");
    }
}
