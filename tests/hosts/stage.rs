//! The stage: a machine with PostgreSQL, two with a shop each, and one with the buyers, connected by cables.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio_postgres::NoTls;

use crate::machine::{Machine, connect, enter};

/// The lease of a host.
pub(crate) const LEASE: Duration = Duration::from_secs(5);
/// Longer than anything here takes on a machine that is busy with something else.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(90);
const PORT: u16 = 5432;

/// A machine with a shop, which can die and be started again with the disk that it had.
pub(crate) struct ShopHost {
    name: &'static str,
    number: u8,
    disk: PathBuf,
    machine: Mutex<Machine>,
    master: Mutex<Option<Child>>,
    skew: &'static str,
}

/// All machines.
pub(crate) struct Stage {
    directory: tempfile::TempDir,
    pub(crate) database: Machine,
    pub(crate) buyers: Machine,
    pub(crate) hosts: [ShopHost; 2],
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("whole")
}

impl Stage {
    /// Starts everything, and waits until both hosts serve.
    pub(crate) fn start() -> Stage {
        let directory = tempfile::tempdir().expect("a directory");
        // The server runs as another user.
        let modes = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), modes).expect("set");
        let (database, buyers) = (Machine::start("db"), Machine::start("buyers"));
        let host = |name, number, skew| ShopHost {
            name,
            number,
            disk: directory.path().join(name),
            machine: Mutex::new(Machine::start(name)),
            master: Mutex::default(),
            skew,
        };
        // One clock is an hour ahead, the other an hour behind.
        let hosts = [host("one", 1, "3600"), host("two", 2, "-3600")];
        let stage = Stage {
            directory,
            database,
            buyers,
            hosts,
        };
        stage.make_skew();
        stage.start_database();
        for host in &stage.hosts {
            stage.connect_host(host);
            host.start_shop(&stage.skew());
        }
        for host in &stage.hosts {
            host.wait_until_ready(&stage);
        }
        stage
    }

    fn skew(&self) -> PathBuf {
        self.directory.path().join("skew.so")
    }

    fn make_skew(&self) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/skew.c");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([self.skew(), source])
            .status();
        assert!(made.expect("cc runs").success());
    }

    fn connect_host(&self, host: &ShopHost) {
        let (machine, number) = (lock(&host.machine), host.number);
        connect(
            (&self.database, &format!("10.77.{number}.1")),
            (&machine, &format!("10.77.{number}.2")),
        );
        connect(
            (&self.buyers, &format!("10.78.{number}.1")),
            (&machine, &format!("10.78.{number}.2")),
        );
    }

    fn script(&self, words: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres/server");
        let server = self.directory.path().join("server");
        let line = words.replacen("DIR", server.to_str().expect("text"), 1);
        let mut command = self.database.command("env");
        command
            .arg("LISTEN=*")
            .arg("ALLOW=10.77.0.0/16")
            .arg(script)
            .args(line.split(' '))
            .stdout(Stdio::null());
        assert!(command.status().expect("the script runs").success(), "{words}");
    }

    fn start_database(&self) {
        self.script(&format!("start DIR {PORT}"));
        self.ask("postgres", |client| {
            Box::pin(async move {
                for service in ["orders", "inventory", "payments", "sandbox"] {
                    let make = format!("CREATE DATABASE shop_{service} TEMPLATE template0 ENCODING 'UTF8'");
                    client.batch_execute(&make).await?;
                }
                Ok(())
            })
        });
    }

    /// Restarts the database; `immediate` is as a crash.
    pub(crate) fn restart_database(&self, mode: &str) {
        self.script(&format!("restart DIR {mode}"));
    }

    /// Asks a database as its superuser, on the machine of the server.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        database: &str,
        ask: impl for<'a> FnOnce(
            &'a tokio_postgres::Client,
        )
            -> std::pin::Pin<Box<dyn Future<Output = Result<T, tokio_postgres::Error>> + 'a>>
        + Send
        + 'static,
    ) -> T {
        let url = format!("postgres://shop@127.0.0.1:{PORT}/{database}");
        let network = self.database.network();
        let asked = std::thread::spawn(move || {
            enter(&network);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
                tokio::spawn(connection);
                ask(&client).await
            })
        });
        asked.join().expect("no panic").expect("the database answers")
    }

    /// How many orders are under way that this host owns, or any host when there is none.
    pub(crate) fn under_way(&self, host: Option<&ShopHost>) -> i64 {
        let owner = host.map_or_else(|| "%".to_owned(), |host| format!("{}/%", host.id()));
        self.ask("shop_orders", move |client| {
            Box::pin(async move {
                let count = "SELECT count(*) FROM orders WHERE status = 10 AND owner LIKE $1";
                client.query_one(count, &[&owner]).await?.try_get(0)
            })
        })
    }

    /// Starts a machine anew that has died, with the disk that it had.
    pub(crate) fn start_again(&self, host: &ShopHost) {
        *lock(&host.machine) = Machine::start(host.name);
        self.connect_host(host);
        host.start_shop(&self.skew());
        host.wait_until_ready(self);
    }

    /// Waits until that is true.
    pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < TIMEOUT, "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
        began.elapsed()
    }
}

impl ShopHost {
    /// Where the buyers reach it.
    pub(crate) fn address(&self) -> String {
        format!("10.78.{}.2:8080", self.number)
    }

    /// Its id among the hosts.
    pub(crate) fn id(&self) -> String {
        std::fs::read_to_string(self.data_dir().join("host.id")).expect("it has one")
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.disk.join("data")
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.disk.join("log")).unwrap_or_default()
    }

    fn start_shop(&self, skew: &Path) {
        std::fs::create_dir_all(&self.disk).expect("made");
        let config = self.disk.join("cluster.toml");
        let number = self.number;
        std::fs::write(
            &config,
            format!(
                "[cluster]\nworkers = 2\nbind = [\"0.0.0.0:8080\"]\n\
                 [store]\nengine = \"postgres\"\n\
                 [postgres]\ncluster = \"shop\"\nhost_lease = \"{}s\"\n\
                 url = \"postgres://shop@10.77.{number}.1:{PORT}/shop_{{service}}?sslmode=disable\"\n",
                LEASE.as_secs()
            ),
        )
        .expect("written");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.disk.join("log"))
            .expect("opened");
        let mut command = lock(&self.machine).command("env");
        command
            .arg(format!("LD_PRELOAD={}", skew.display()))
            .arg(format!("SKEW_SECONDS={}", self.skew))
            .arg(env!("CARGO_BIN_EXE_cluster"))
            .args(["serve", "--config"])
            .arg(&config)
            .arg("--data-dir")
            .arg(self.data_dir())
            .stdout(Stdio::null())
            .stderr(log);
        *lock(&self.master) = Some(command.spawn().expect("started"));
    }

    fn wait_until_ready(&self, stage: &Stage) {
        let url = format!("http://{}/healthz/readiness", self.address());
        let network = stage.buyers.network();
        let (name, disk) = (self.name, self.disk.clone());
        let asked = std::thread::spawn(move || {
            enter(&network);
            let agent = crate::buyers::agent();
            let began = Instant::now();
            while !agent.get(&url).call().is_ok_and(|answer| answer.status() == 200) {
                let log = || std::fs::read_to_string(disk.join("log")).unwrap_or_default();
                assert!(began.elapsed() < TIMEOUT, "{name} is not ready:\n{}", log());
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        asked.join().expect("it becomes ready");
    }

    /// Runs a command there.
    pub(crate) fn run(&self, line: &str) -> String {
        lock(&self.machine).run(line)
    }

    /// The machine dies: its links go down, and then its processes are killed, so that nobody is told.
    pub(crate) fn die(&self) {
        let mut machine = lock(&self.machine);
        machine.run("ip link set db down; ip link set buyers down");
        machine.die();
        if let Some(mut master) = lock(&self.master).take() {
            let _ = master.wait();
        }
    }

    /// Stops or continues everything that runs there.
    pub(crate) fn signal_all(&self, signal: nix::sys::signal::Signal) {
        lock(&self.machine).signal_all(signal);
        // `nsenter` stops with what it has started, and goes on with nobody.
        if let Some(master) = lock(&self.master).as_ref() {
            let pid = i32::try_from(master.id()).expect("a pid");
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("it is there");
        }
    }

    /// Stops the shop as an operator does.
    pub(crate) fn stop(&self) {
        let stop = format!(
            "{} stop --data-dir {}",
            env!("CARGO_BIN_EXE_cluster"),
            self.data_dir().display()
        );
        self.run(&stop);
        if let Some(mut master) = lock(&self.master).take() {
            let ended = master.wait().expect("waited for");
            assert!(ended.success(), "{ended}:\n{}", self.log());
        }
    }
}
