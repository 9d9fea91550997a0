//! The environment of a program: the worker's own without what is meant for the worker, what the
//! configuration adds, and what the program is told.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use super::node::preload::NodeVariables;
use crate::base::ids::{Generation, Life};

/// The data directory: commands of the program find the cluster by it, and the next master finds by it what
/// the program has left behind.
const DATA_DIR: &str = "CLUSTER_DATA_DIR";

/// Variables of the worker that no program inherits, beside all others that begin with `CLUSTER_`.
const WORKERS_OWN: &[&str] = &[
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "NODE_CHANNEL_FD",
    "NODE_CHANNEL_SERIALIZATION_MODE",
    "NODE_UNIQUE_ID",
];

/// What a program is told by its environment.
#[derive(Debug)]
pub(super) struct ToldVariables<'a> {
    pub(super) life: Life,
    /// The generation of the configuration it was started from.
    pub(super) generation: Generation,
    /// Where it may say `READY=1` and `WATCHDOG=1`.
    pub(super) notify: &'a str,
    /// How often it has to say `WATCHDOG=1` once it has begun to.
    pub(super) watchdog: Duration,
    /// The names of its listeners, if they are passed as descriptors.
    pub(super) listeners: Option<Vec<String>>,
    /// The host and the port of the first TCP address that is configured.
    pub(super) address: Option<(String, u16)>,
    /// What a Node program is told beside it.
    pub(super) node: Option<NodeVariables<'a>>,
}

/// The variables of a program.
#[derive(Clone, Debug, Default)]
pub(super) struct ProgramEnvironment {
    variables: BTreeMap<OsString, OsString>,
}

impl ProgramEnvironment {
    /// What the program would have without being told anything: of `inherited`, and of the configuration.
    pub(super) fn new(
        inherited: impl Iterator<Item = (OsString, OsString)>,
        configured: &BTreeMap<String, String>,
    ) -> ProgramEnvironment {
        let is_meant_for_us = |name: &OsStr| {
            let is_ours = name.as_encoded_bytes().starts_with(b"CLUSTER_") && name != DATA_DIR;
            is_ours || WORKERS_OWN.iter().any(|own| name == *own)
        };
        let mut variables: BTreeMap<OsString, OsString> =
            inherited.filter(|(name, _)| !is_meant_for_us(name)).collect();
        let configured = configured.iter();
        variables.extend(configured.map(|(name, value)| (name.into(), value.into())));
        ProgramEnvironment { variables }
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// Adds what the program is told. `PORT`, `HOST` and `NODE_APP_INSTANCE` stay as somebody has set them.
    pub(super) fn tell(&mut self, told: &ToldVariables<'_>) {
        self.set("CLUSTER_LIFE", told.life.to_string());
        self.set("CLUSTER_SLOT", told.life.slot.to_string());
        self.set("CLUSTER_GENERATION", told.generation.to_string());
        self.set("NOTIFY_SOCKET", told.notify);
        self.set("WATCHDOG_USEC", told.watchdog.as_micros().to_string());
        if let Some(names) = &told.listeners {
            self.set("LISTEN_FDS", names.len().to_string());
            self.set("LISTEN_FDNAMES", names.join(":"));
        }
        if let Some((host, port)) = &told.address {
            self.set_default("HOST", host.clone());
            self.set_default("PORT", port.to_string());
        }
        if let Some(node) = &told.node {
            self.set_default("NODE_APP_INSTANCE", told.life.slot.to_string());
            for (name, value) in node.list() {
                self.set(name, value);
            }
        }
    }

    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.insert(name.into(), value.into());
    }

    fn set_default(&mut self, name: &str, value: String) {
        self.variables.entry(name.into()).or_insert_with(|| value.into());
    }

    /// The variables as exec takes them.
    pub(super) fn for_exec(&self) -> io::Result<Vec<CString>> {
        let lines = self.variables.iter().map(|(name, value)| {
            let mut line = name.clone();
            line.push("=");
            line.push(value);
            CString::new(line.into_vec()).map_err(io::Error::other)
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> ToldVariables<'static> {
        ToldVariables {
            life: Life::of(7, 2, 3),
            generation: Generation(4),
            notify: "@notify",
            watchdog: Duration::from_secs(5),
            listeners: Some(vec!["127.0.0.1_80".to_owned()]),
            address: Some(("127.0.0.1".to_owned(), 80)),
            node: None,
        }
    }

    #[test]
    fn nothing_of_the_worker_reaches_the_program() {
        let inherited = [
            ("CLUSTER_LIFELINE_FD", "5"),
            ("CLUSTER_WORKER", "1"),
            ("CLUSTER_DATA_DIR", "/data"),
            ("NOTIFY_SOCKET", "@worker"),
            ("LISTEN_PID", "1"),
            ("NODE_CHANNEL_FD", "9"),
            ("HOME", "/root"),
            ("PORT", "3000"),
        ];
        let inherited = inherited.map(|(name, value)| (name.into(), value.into()));
        let configured = BTreeMap::from([("MODE".to_owned(), "fast".to_owned())]);
        let mut environment = ProgramEnvironment::new(inherited.into_iter(), &configured);
        environment.tell(&told());
        let text: Vec<String> = environment
            .for_exec()
            .expect("no NUL")
            .into_iter()
            .map(|line| line.into_string().expect("text"))
            .collect();
        assert_eq!(
            text,
            [
                "CLUSTER_DATA_DIR=/data",
                "CLUSTER_GENERATION=4",
                "CLUSTER_LIFE=7/2/3",
                "CLUSTER_SLOT=2",
                "HOME=/root",
                "HOST=127.0.0.1",
                "LISTEN_FDNAMES=127.0.0.1_80",
                "LISTEN_FDS=1",
                "MODE=fast",
                "NOTIFY_SOCKET=@notify",
                "PORT=3000",
                "WATCHDOG_USEC=5000000",
            ]
        );
    }
}
