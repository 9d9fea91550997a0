//! Children as they find themselves.

use std::io::Read;
use std::os::fd::AsFd;

use super::*;

fn run(args: &[&str], env: &[&str], fds: &[BorrowedFd<'_>]) -> (String, nix::sys::wait::WaitStatus) {
    run_as(None, args, env, fds)
}

fn run_as(
    credentials: Option<&Credentials>,
    args: &[&str],
    env: &[&str],
    fds: &[BorrowedFd<'_>],
) -> (String, nix::sys::wait::WaitStatus) {
    let shell = std::fs::File::open("/bin/sh").expect("a shell");
    let (args, env) = (texts(args), texts(env));
    output_of(Spawn {
        binary: Binary::Open(shell.as_fd()),
        fds,
        credentials,
        ..plain(shell.as_fd(), &args, &env)
    })
    .expect("a child")
}

fn texts(list: &[&str]) -> Vec<CString> {
    list.iter()
        .map(|text| CString::new(*text).expect("no NUL"))
        .collect()
}

fn plain<'a>(any: BorrowedFd<'a>, args: &'a [CString], env: &'a [CString]) -> Spawn<'a> {
    Spawn {
        binary: Binary::At(c"/bin/sh"),
        args,
        env,
        listen_pid: true,
        directory: None,
        signals: ChildSignals::Worker,
        stdio: [any; 3],
        fds: &[],
        keep: &[],
        bound: false,
        group: None,
        credentials: None,
    }
}

/// What a child says, and how it ends.
fn output_of(wanted: Spawn<'_>) -> io::Result<(String, nix::sys::wait::WaitStatus)> {
    let null = std::fs::File::open("/dev/null").expect("/dev/null");
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).expect("a pipe");
    let child = spawn(&Spawn {
        stdio: [null.as_fd(), writer.as_fd(), writer.as_fd()],
        ..wanted
    })?;
    drop(writer);
    let mut said = String::new();
    std::fs::File::from(reader)
        .read_to_string(&mut said)
        .expect("text");
    let status = nix::sys::wait::waitpid(Pid::from_raw(child.pid), None).expect("a status");
    Ok((said, status))
}

#[test]
fn the_child_gets_its_own_pid_and_environment_and_nothing_else() {
    let (said, status) = run(&["sh", "-c", "echo $LISTEN_PID $$ $A; env"], &["A=b"], &[]);
    let mut lines = said.lines();
    let words: Vec<_> = lines.next().expect("a line").split(' ').collect();
    assert_eq!(
        words[0], words[1],
        "LISTEN_PID is not the pid of the child: {said}"
    );
    assert_eq!(words[2], "b");
    let shell_made = ["LISTEN_PID", "A", "PWD", "_", "SHLVL", "OLDPWD"];
    assert!(
        lines.all(|line| shell_made.iter().any(|key| line.starts_with(&format!("{key}=")))),
        "{said}"
    );
    assert!(matches!(status, nix::sys::wait::WaitStatus::Exited(_, 0)));
}

#[test]
fn descriptors_arrive_from_three_on_and_no_stray_one_goes_along() {
    let (one, two) = nix::unistd::pipe2(OFlag::O_CLOEXEC).expect("a pipe");
    let stray = std::fs::File::open("/dev/null").expect("/dev/null");
    let (said, _) = run(
        &["sh", "-c", "echo /proc/$$/fd/*"],
        &["PATH=/bin:/usr/bin"],
        &[one.as_fd(), two.as_fd()],
    );
    let mut fds: Vec<i32> = said
        .split_whitespace()
        .filter_map(|path| path.rsplit('/').next()?.parse().ok())
        .collect();
    fds.sort_unstable();
    // The shell opens the directory itself, under some number from 5 on.
    assert_eq!(&fds[..5], &[0, 1, 2, 3, 4], "{said}");
    assert!(fds.len() <= 6, "a stray descriptor went along: {said}");
    drop(stray);
}

#[test]
fn whom_a_bound_child_leaves_behind_is_killed_with_its_group() {
    let binary = std::fs::File::open("/bin/sh").expect("a shell");
    let null = std::fs::File::open("/dev/null").expect("/dev/null");
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).expect("a pipe");
    let args = texts(&["sh", "-c", "sleep 600 &"]);
    let env = texts(&["PATH=/bin:/usr/bin"]);
    let child = spawn(&Spawn {
        binary: Binary::Open(binary.as_fd()),
        stdio: [null.as_fd(), writer.as_fd(), null.as_fd()],
        bound: true,
        ..plain(null.as_fd(), &args, &env)
    })
    .expect("a child");
    drop(writer);
    let exited = crate::sys::pidfd::exits_within(&child.pidfd, std::time::Duration::from_secs(20));
    assert!(exited, "the shell does not wait");
    kill_group(child.pid).expect("killed");
    nix::sys::wait::waitpid(Pid::from_raw(child.pid), None).expect("a status");
    let mut ready = [nix::poll::PollFd::new(
        reader.as_fd(),
        nix::poll::PollFlags::empty(),
    )];
    let hung_up = nix::poll::poll(&mut ready, 20_000_u16).expect("polled");
    assert_eq!(hung_up, 1, "somebody still has the pipe");
}

#[test]
fn a_file_that_is_no_program_is_an_error_here() {
    let file = tempfile::tempfile().expect("a file");
    let null = std::fs::File::open("/dev/null").expect("/dev/null");
    let args = [c"x".to_owned()];
    let error = spawn(&Spawn {
        binary: Binary::Open(file.as_fd()),
        ..plain(null.as_fd(), &args, &[])
    })
    .expect_err("an empty file was executed");
    assert!(
        matches!(error.raw_os_error(), Some(libc::EACCES | libc::ENOEXEC)),
        "{error}"
    );
}

#[test]
fn a_child_of_another_user_has_the_groups_that_it_is_given() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("SKIPPED: only root can start a child as another user");
    }
    let credentials = Credentials {
        uid: 65534,
        gid: 65534,
        groups: vec![65534, 4321],
    };
    let script = ["sh", "-c", "id -u; id -G"];
    let (said, _) = run_as(Some(&credentials), &script, &["PATH=/bin:/usr/bin"], &[]);
    assert_eq!(said, "65534\n65534 4321\n");
}

/// A file that is a program for the user alone who made it.
fn script(directory: &std::path::Path, text: &str) -> CString {
    use std::os::unix::fs::PermissionsExt;
    let path = directory.join("program");
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
    CString::new(path.into_os_string().into_encoded_bytes()).expect("no NUL")
}

#[test]
fn a_script_at_a_path_is_executed_in_its_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = script(directory.path(), "#!/bin/sh\necho $0; pwd; echo .$LISTEN_PID.\n");
    let inside = directory.path().canonicalize().expect("there");
    let inside = CString::new(inside.into_os_string().into_encoded_bytes()).expect("no NUL");
    let null = std::fs::File::open("/dev/null").expect("/dev/null");
    let args = texts(&["another name"]);
    let (said, _) = output_of(Spawn {
        binary: Binary::At(&path),
        directory: Some(&inside),
        listen_pid: false,
        ..plain(null.as_fd(), &args, &[])
    })
    .expect("a child");
    let path = path.to_str().expect("text");
    let inside = inside.to_str().expect("text");
    assert_eq!(said, format!("{path}\n{inside}\n..\n"));
    let (said, _) = output_of(Spawn {
        binary: Binary::At(c"./program"),
        directory: Some(&CString::new(inside).expect("no NUL")),
        ..plain(null.as_fd(), &args, &[])
    })
    .expect("a path that is relative to the directory");
    assert!(said.starts_with("./program\n"), "{said}");
}

#[test]
fn a_directory_that_cannot_be_entered_is_named() {
    let null = std::fs::File::open("/dev/null").expect("/dev/null");
    let args = texts(&["sh"]);
    let error = output_of(Spawn {
        directory: Some(c"/nowhere/at/all"),
        ..plain(null.as_fd(), &args, &[])
    })
    .expect_err("it does not exist");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    let error = output_of(Spawn {
        binary: Binary::At(c"/nowhere/at/all"),
        ..plain(null.as_fd(), &args, &[])
    })
    .expect_err("it does not exist");
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
}

/// The signals that the child ignores and blocks, as bits.
fn ignored_and_blocked(signals: ChildSignals) -> (u64, u64) {
    let null = std::fs::File::open("/dev/null").expect("/dev/null");
    let args = texts(&["cat", "/proc/self/status"]);
    let (said, _) = output_of(Spawn {
        binary: Binary::At(c"/bin/cat"),
        signals,
        ..plain(null.as_fd(), &args, &[])
    })
    .expect("a child");
    let bits = |key: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(key));
        u64::from_str_radix(line.expect(key).trim(), 16).expect("hexadecimal")
    };
    (bits("SigIgn:"), bits("SigBlk:"))
}

#[test]
fn a_program_that_knows_nothing_of_this_one_finds_every_signal_at_its_default() {
    assert_eq!(ignored_and_blocked(ChildSignals::Defaults), (0, 0));
    let (ignored, blocked) = ignored_and_blocked(ChildSignals::Worker);
    let hang_up = 1_u64 << (libc::SIGHUP - 1);
    assert_eq!((ignored & hang_up, blocked), (hang_up, 0));
}

#[test]
fn a_bound_child_of_another_user_dies_with_its_parent_too() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("SKIPPED: only root can start a child as another user");
    }
    let credentials = Credentials {
        uid: 65534,
        gid: 65534,
        groups: vec![],
    };
    let null = std::fs::File::open("/dev/null").expect("/dev/null");
    let args = texts(&["sleep", "600"]);
    // The parent of the child is a thread, which ends when the child has been started.
    let parent = std::thread::spawn(move || {
        spawn(&Spawn {
            binary: Binary::At(c"/bin/sleep"),
            bound: true,
            credentials: Some(&credentials),
            ..plain(null.as_fd(), &args, &[])
        })
        .expect("a child")
    });
    let child = parent.join().expect("the thread ends");
    let exited = crate::sys::pidfd::exits_within(&child.pidfd, std::time::Duration::from_secs(20));
    let _ = kill_group(child.pid);
    nix::sys::wait::waitpid(Pid::from_raw(child.pid), None).expect("a status");
    assert!(exited, "it lives on");
}
