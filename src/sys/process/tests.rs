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
    let binary = std::fs::File::open("/bin/sh").expect("a shell");
    let null = std::fs::File::open("/dev/null").expect("/dev/null");
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).expect("a pipe");
    let text = |list: &[&str]| {
        list.iter()
            .map(|arg| CString::new(*arg).expect("no NUL"))
            .collect::<Vec<_>>()
    };
    let child = spawn(&Spawn {
        binary: binary.as_fd(),
        args: &text(args),
        env: &text(env),
        stdio: [null.as_fd(), writer.as_fd(), writer.as_fd()],
        fds,
        keep: &[],
        bound: false,
        credentials,
    })
    .expect("a child");
    drop(writer);
    let mut said = String::new();
    std::fs::File::from(reader)
        .read_to_string(&mut said)
        .expect("text");
    let status = nix::sys::wait::waitpid(Pid::from_raw(child.pid), None).expect("a status");
    (said, status)
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
    let child = spawn(&Spawn {
        binary: binary.as_fd(),
        args: &["sh", "-c", "sleep 600 &"].map(|text| CString::new(text).expect("no NUL")),
        env: &[c"PATH=/bin:/usr/bin".to_owned()],
        stdio: [null.as_fd(), writer.as_fd(), null.as_fd()],
        fds: &[],
        keep: &[],
        bound: true,
        credentials: None,
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
    let stdio = [null.as_fd(), null.as_fd(), null.as_fd()];
    let error = spawn(&Spawn {
        binary: file.as_fd(),
        args: &args,
        env: &[],
        stdio,
        fds: &[],
        keep: &[],
        bound: false,
        credentials: None,
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
