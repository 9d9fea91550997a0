//! How long: until a hang is noticed, until somebody is served again after the only program was killed, and
//! from nothing to the first answer.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::arms::{Arm, Runner};
use crate::client;
use crate::options::Extent;
use crate::restarts::{kill_and_ask, median};
use crate::running::Running;
use crate::table::Table;

/// `heartbeat_timeout` of the configuration as it comes.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(5);
/// So long after the hang began the program has to be gone at the latest: the time-out counts from the last
/// beat, and the look at the beats and the kill take their time, too.
const NOTICED: Duration = Duration::from_millis(5_100);

/// A request that makes the event loop spin; until the program is gone. Whoever does not notice is left alone
/// after three times the time-out.
pub(crate) fn hang(arm: &'static Arm, extent: &Extent, table: &mut Table) -> Result<(), String> {
    let running = Running::start(arm, 2)?;
    std::thread::sleep(Duration::from_secs(1));
    let programs = running.programs();
    let mut stream = TcpStream::connect(running.address()).map_err(|error| error.to_string())?;
    stream
        .write_all(client::get("/spin").as_bytes())
        .map_err(|error| error.to_string())?;
    let patience = HEARTBEAT_TIMEOUT * if extent.quick { 2 } else { 3 };
    let noticed = running.until_one_is_gone(&programs, patience);
    let seconds = noticed.map_or(f64::INFINITY, |time| time.as_secs_f64());
    let figure = format!("{}: a hang is noticed after", arm.title);
    if arm.runner == Runner::Cluster {
        table.at_most(&figure, seconds, NOTICED.as_secs_f64(), "s");
    } else {
        table.fact(&figure, seconds, "s");
    }
    Ok(())
}

/// From nothing to the first answer, and how long nobody is served after the only program was killed.
pub(crate) fn restarts(arm: &'static Arm, extent: &Extent, table: &mut Table) -> Result<(), String> {
    let running = Running::start(arm, 1)?;
    table.fact(
        &format!("{}: from nothing to the first 200", arm.title),
        running.began.as_secs_f64() * 1e3,
        "ms",
    );
    let request = client::get("/");
    let kills = (0..extent.restarts)
        .map(|_| kill_and_ask(running.address(), || Ok(running.programs()), &request, 200));
    table.fact(
        &format!("{}: kill -9 of the only worker to the next 200", arm.title),
        median(kills.collect::<Result<_, _>>()?),
        "ms",
    );
    Ok(())
}
