//! Machines: each has namespaces of its own for the network, the processes and the mounts. A machine that
//! dies takes all its processes with it, and since its links go down first, nobody is told.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A machine that runs until this value is dropped.
pub(crate) struct Machine {
    name: &'static str,
    /// Waits for the first process of the machine, and kills it when it is killed itself.
    holder: Child,
    /// The first process of the machine, as this process sees it.
    first: Pid,
}

impl Machine {
    /// Starts a machine without a link.
    pub(crate) fn start(name: &'static str) -> Machine {
        // It ends with this process, however that ends.
        let mut holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare"])
            .args([
                "--net",
                "--pid",
                "--mount",
                "--fork",
                "--mount-proc",
                "--kill-child",
            ])
            .args(["sh", "-c", "ip link set lo up && echo up && exec sleep 100000"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let mut said = String::new();
        let stdout = holder.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut said).expect("read");
        assert_eq!(said, "up\n", "{name} does not start");
        let holder_pid = holder.id();
        let children = format!("/proc/{holder_pid}/task/{holder_pid}/children");
        let children = std::fs::read_to_string(children).expect("read");
        let first = children.split_whitespace().next().expect("a child");
        Machine {
            name,
            holder,
            first: Pid::from_raw(first.parse().expect("a pid")),
        }
    }

    /// A command that runs on this machine.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.first.to_string(), "-n", "-p", "-m", "--", program])
            .stdin(Stdio::null());
        command
    }

    /// Runs a command there, which must end well.
    pub(crate) fn run(&self, line: &str) -> String {
        let output = self.command("sh").args(["-c", line]).output().expect("sh runs");
        assert!(output.status.success(), "{}: {line}: {output:?}", self.name);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The network of the machine, for threads that enter it later.
    pub(crate) fn network(&self) -> File {
        File::open(format!("/proc/{}/ns/net", self.first)).expect("opened")
    }

    /// Every process of the machine but its first, as this process sees them.
    fn processes(&self) -> Vec<Pid> {
        let own = namespace(self.first);
        let pids = std::fs::read_dir("/proc").expect("read").flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.map(Pid::from_raw)
            .filter(|pid| *pid != self.first && namespace(*pid) == own)
            .collect()
    }

    /// Stops or continues every process of the machine.
    pub(crate) fn signal_all(&self, signal: Signal) {
        for pid in self.processes() {
            // It may have ended.
            let _ = kill(pid, signal);
        }
    }

    /// Kills the machine with all that runs there.
    pub(crate) fn die(&mut self) {
        let _ = kill(self.first, Signal::SIGKILL);
        let _ = self.holder.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.die();
    }
}

/// Moves this thread into a network.
pub(crate) fn enter(network: &File) {
    setns(network, CloneFlags::CLONE_NEWNET).expect("root may");
}

fn namespace(pid: Pid) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// Connects two machines by a cable. Each end is named after the machine at the other end.
pub(crate) fn connect(one: (&Machine, &str), other: (&Machine, &str)) {
    let ((here, here_address), (there, there_address)) = (one, other);
    // A machine that died may have left its end of an earlier cable.
    for (machine, end) in [(here, there.name), (there, here.name)] {
        machine.run(&format!("ip link del {end} 2> /dev/null || true"));
    }
    let line = format!(
        "ip link add {} netns {} type veth peer name {} netns {}",
        there.name, here.first, here.name, there.first
    );
    let made = Command::new("sh").args(["-c", &line]).status();
    assert!(made.expect("sh runs").success(), "{line}");
    for (machine, address, end) in [
        (here, here_address, there.name),
        (there, there_address, here.name),
    ] {
        machine.run(&format!(
            "ip addr add {address}/30 dev {end} && ip link set {end} up"
        ));
    }
}
