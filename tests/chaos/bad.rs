//! Bad reloads of six kinds, one after the other in one cluster under load. Each is backed out with its
//! reason, and costs nothing but what the bad worker itself did: 5xx that it answered while it was watched,
//! connections it had when it died.

use std::path::PathBuf;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::Kind;
use crate::common::put;
use crate::faulty;
use crate::stage::{Effort, Scene};
use crate::verdict::Verdict;

/// The cluster and the file its program is read from.
struct Shop {
    scene: Scene,
    program: PathBuf,
    good: PathBuf,
    directory: PathBuf,
}

pub(crate) fn reloads(effort: &Effort, kind: Kind) -> Verdict {
    let effort = Effort {
        // Twenty answers of the bad worker have to be seen on a busy machine, too.
        bake_time: "3s",
        ..effort.clone()
    };
    let plan = effort.plan();
    let directory = plan.directory().to_owned();
    let (program, good) = (directory.join("program"), directory.join("good"));
    for copy in [&program, &good] {
        put(effort.program(), copy);
    }
    let mut shop = Shop {
        scene: Scene::with(&effort, kind, plan.program(&program)),
        program,
        good,
        directory,
    };
    shop.bad_configuration();
    shop.no_program();
    shop.faulty(faulty::EXITS, "exited_at_boot");
    shop.faulty(faulty::HANGS, "never_ready");
    shop.dies_while_watched();
    shop.answers_errors();
    shop.scene.done(&["reload"]);
    shop.scene.close("bad reloads of 6 kinds")
}

impl Shop {
    fn is_backed_out(&self, because: &str) {
        let (code, said) = self.scene.tell(&["reload"]);
        assert_eq!(code, 5, "{because}: {said}");
        assert_eq!(said["cause"]["failure"], because, "{said}");
        self.scene.rest();
    }

    fn bad_configuration(&self) {
        let text = self.scene.cluster.config_text();
        self.scene.cluster.rewrite_config(&format!("{text}\n[http\n"));
        self.is_backed_out("bad_configuration");
        self.scene.cluster.rewrite_config(&text);
    }

    fn no_program(&self) {
        let text = self.directory.join("text");
        std::fs::write(&text, "no program at all").expect("written");
        put(&text, &self.program);
        self.is_backed_out("spawn_failed");
        put(&self.good, &self.program);
    }

    fn faulty(&self, fault: &str, because: &str) {
        std::fs::write(self.directory.join("fault"), fault).expect("written");
        put(&std::env::current_exe().expect("a program"), &self.program);
        self.is_backed_out(because);
        put(&self.good, &self.program);
    }

    fn dies_while_watched(&mut self) {
        let mark = self.scene.cluster.mark();
        let data = self.scene.cluster.data();
        let reload = std::process::Command::new(env!("CARGO_BIN_EXE_cluster"))
            .args(["reload", "--json", "--data-dir"])
            .arg(data)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("the command runs");
        let born = self.scene.cluster.wait_from(mark, "worker starting");
        let canary = i32::try_from(born["pid"].as_i64().expect("a pid")).expect("a pid");
        self.scene.cluster.wait_from(mark, "is watched for");
        self.scene.freeze(canary);
        kill(Pid::from_raw(canary), Signal::SIGKILL).expect("it lives");
        let said = reload.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(
            said.status.code() == Some(5) && text.contains("died_baking"),
            "{text}"
        );
        self.scene.rest();
    }

    /// Only who comes in on a new connection meets the new worker, so there have to be some.
    fn answers_errors(&mut self) {
        let began = Instant::now();
        let newcomers = (self.scene.kind == Kind::KeepAlive)
            .then(|| self.scene.beside(Kind::New, self.scene.effort.rate));
        self.faulty(faulty::ERRORS, "answers_worse");
        self.scene.forgive_errors(began..Instant::now());
        if let Some(newcomers) = newcomers {
            self.scene.take_in(newcomers);
        }
    }
}
