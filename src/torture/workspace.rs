//! The scratch directory of a torture run, with the configuration and the catalog of the cluster.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::TortureError;
use super::options::TortureOptions;
use super::server::TorturedServer;
use super::workload::Workload;
use crate::sys::private_file;

pub(super) const CONFIG: &str = "cluster.toml";
pub(super) const DATA: &str = "data";
pub(super) const LOG: &str = "log";
/// The directory to which the databases are copied from a small disk.
pub(super) const RESCUED: &str = "data-rescued";
const CATALOG: &str = "catalog.toml";

/// Makes the directory, which must not exist yet.
pub(super) fn prepare(
    options: &TortureOptions,
    workload: &Workload,
    server: Option<&TorturedServer>,
) -> Result<PathBuf, TortureError> {
    let path = options.dir.clone().unwrap_or_else(|| {
        let name = format!("cluster-torture-{}-{}", options.seed, std::process::id());
        std::env::temp_dir().join(name)
    });
    let failed = |reason| TortureError::Scratch {
        path: path.display().to_string(),
        reason,
    };
    fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
    let data = path.join(DATA);
    fs::DirBuilder::new().mode(0o700).create(&data).map_err(failed)?;
    private_file::write(&path.join(CATALOG), workload.catalog().as_bytes()).map_err(failed)?;
    private_file::write(&path.join(CONFIG), config(options, &path, server).as_bytes()).map_err(failed)?;
    private_file::create(&path.join(LOG)).map_err(failed)?;
    Ok(path)
}

/// The configuration. Workers die again and again here, which must not open the restart breaker.
fn config(options: &TortureOptions, path: &Path, server: Option<&TorturedServer>) -> String {
    let store = server.map_or_else(String::new, |server| {
        format!(
            "[store]\nengine = \"postgres\"\n[postgres]\nurl = {:?}\n",
            server.url()
        )
    });
    let share = |part: u8| options.provider_faults / 4 + u8::from(options.provider_faults % 4 > part);
    format!(
        "[cluster]\nworkers = {}\nbind = [\"127.0.0.1:0\"]\ndata_dir = {:?}\nbake_time = \"50ms\"\nearly_death = \"10ms\"\n\
         restart_limit = 1000\ndrain_timeout = \"5s\"\n[drill]\nroutes = true\n[log]\nformat = \"json\"\n\
         [shop]\nidempotency_retention = \"30d\"\ncatalog = {:?}\n[provider_faults]\nfail = {}\nlose = {}\nlate = {}\nslow = {}\n{store}",
        options.workers,
        path.join(DATA),
        path.join(CATALOG),
        share(0),
        share(1),
        share(2),
        share(3),
    )
}
