//! A program for tests: this test binary once more, in a process of its own, with a listener of the test at
//! descriptor 3. It does what it is told over descriptor 4, one line a command, and answers each with a line.

use std::ffi::CString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::Signal;

use crate::sys::{descriptors, inherit, process, socket};

const ROLE: &str = "CLUSTER_TEST_PROGRAM=1";

/// A program that runs until this is dropped.
pub(crate) struct TestProgram {
    pub(crate) pid: i32,
    control: BufReader<UnixStream>,
}

impl TestProgram {
    /// Starts it with this listener.
    pub(crate) fn start(listener: &impl AsFd) -> TestProgram {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let binary = File::open("/proc/self/exe").expect("this program");
        let null = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .expect("/dev/null");
        let test = format!("{}::obey", module_path!().split_once("::").expect("a crate").1);
        let args = ["test", "--exact", &test, "--nocapture", "--test-threads=1"];
        let args = args.map(|arg| CString::new(arg).expect("no zero"));
        let child = process::spawn(&process::Spawn {
            binary: process::Binary::Open(binary.as_fd()),
            args: &args,
            env: &[CString::new(ROLE).expect("no zero")],
            listen_pid: false,
            directory: None,
            signals: process::ChildSignals::Defaults,
            stdio: [null.as_fd(), null.as_fd(), null.as_fd()],
            fds: &[listener.as_fd(), theirs.as_fd()],
            keep: &[],
            bound: true,
            group: None,
            credentials: None,
        });
        TestProgram {
            pid: child.expect("started").pid,
            control: BufReader::new(ours),
        }
    }

    /// Has it do something, without waiting for it.
    pub(crate) fn tell(&mut self, command: &str) {
        writeln!(self.control.get_mut(), "{command}").expect("it lives");
    }

    /// Its next answer.
    pub(crate) fn answer(&mut self) -> String {
        let mut line = String::new();
        self.control.read_line(&mut line).expect("it lives");
        line.trim_end().to_owned()
    }

    /// Has it do something, and waits until it is done.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.answer()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), signal).expect("it lives");
    }
}

impl Drop for TestProgram {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ended = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(self.pid), None);
    }
}

/// A listener as a slot has it, and the inode that names it.
pub(crate) fn listener() -> (TcpListener, u64) {
    let address = "127.0.0.1:0".parse().expect("an address");
    let listener = TcpListener::from(socket::listen(address).expect("a listener"));
    let own = nix::unistd::getpid().as_raw();
    let inode = descriptors::socket_at(own, listener.as_raw_fd()).expect("a socket");
    (listener, inode)
}

/// The program, when this is the process that was started to be it, and nothing in a run of the tests.
#[test]
fn obey() {
    if std::env::var_os("CLUSTER_TEST_PROGRAM").is_none() {
        return;
    }
    Obedient::take_over().obey();
}

struct Obedient {
    listener: TcpListener,
    control: BufReader<UnixStream>,
    epoll: Epoll,
    connections: Vec<TcpStream>,
    listeners: Vec<TcpListener>,
}

impl Obedient {
    fn take_over() -> Obedient {
        let take = |number| inherit::take(number).expect("it was started with it");
        Obedient {
            listener: TcpListener::from(take(3)),
            control: BufReader::new(UnixStream::from(take(4))),
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll set"),
            connections: Vec::new(),
            listeners: Vec::new(),
        }
    }

    fn obey(mut self) {
        loop {
            let mut command = String::new();
            if self.control.read_line(&mut command).expect("the test lives") == 0 {
                return;
            }
            let answer = self.act(command.trim_end());
            writeln!(self.control.get_mut(), "{answer}").expect("the test lives");
        }
    }

    fn act(&mut self, command: &str) -> String {
        match command {
            "accept" => {
                self.listener.set_nonblocking(false).expect("set");
                self.connections.push(self.listener.accept().expect("accepted").0);
            }
            "watch" => self
                .epoll
                .add(&self.listener, EpollEvent::new(EpollFlags::EPOLLIN, 0))
                .expect("added"),
            "unwatch" => self.epoll.delete(&self.listener).expect("taken out"),
            "wait" => {
                let mut events = [EpollEvent::empty()];
                self.epoll.wait(&mut events, EpollTimeout::NONE).expect("waited");
            }
            "listen" => {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
                let address = listener.local_addr().expect("an address").to_string();
                self.listeners.push(listener);
                return address;
            }
            "spin" => loop {
                std::hint::spin_loop();
            },
            "pid" => return format!("{} {}", std::process::id(), nix::unistd::gettid()),
            other => match other.strip_prefix("serve ") {
                Some(status) => self.serve(status.to_owned()),
                None => panic!("no such command: {other}"),
            },
        }
        "done".to_owned()
    }

    /// Answers every request with this status line from now on.
    fn serve(&self, status: String) {
        let listener = self.listener.try_clone().expect("a listener");
        std::thread::spawn(move || {
            listener.set_nonblocking(false).expect("set");
            for client in listener.incoming() {
                let mut client = client.expect("accepted");
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|read| read > 0) {
                    head.push(byte[0]);
                }
                // The test may have hung up.
                let _told = write!(client, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            }
        });
    }
}
