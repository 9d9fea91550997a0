//! What `/proc` tells of a process.

use std::fs;

/// Places of numbers in `stat`, from the third field on, which is the first behind the name.
const USER: usize = 11;
const SYSTEM: usize = 12;

/// User and system time so far, in clock ticks of 10 ms.
pub(crate) fn cpu_ticks(pid: u32) -> Result<u64, String> {
    Ok(stat_number(pid, USER)? + stat_number(pid, SYSTEM)?)
}

/// A number of `/proc/PID/stat`.
pub(crate) fn stat_number(pid: u32, at: usize) -> Result<u64, String> {
    let stat = read(pid, "stat")?;
    // The second field is the program's name in brackets and may hold anything.
    let fields = stat
        .rsplit_once(") ")
        .map(|(_, fields)| fields)
        .ok_or("no fields in stat")?;
    let number = fields.split(' ').nth(at).and_then(|field| field.parse().ok());
    number.ok_or_else(|| "no times in stat".to_owned())
}

/// The proportional set size.
pub(crate) fn pss_kib(pid: u32) -> Result<u64, String> {
    field(&read(pid, "smaps_rollup")?, "Pss:")
}

/// Memory that belongs to this process alone and to no file: its heap, stacks and written data.
pub(crate) fn anonymous_kib(pid: u32) -> Result<u64, String> {
    field(&read(pid, "smaps_rollup")?, "Anonymous:")
}

/// How often the main thread went to sleep of its own will: once per wake-up.
pub(crate) fn voluntary_switches(pid: u32) -> Result<u64, String> {
    field(&read(pid, "status")?, "voluntary_ctxt_switches:")
}

/// Its children.
pub(crate) fn children(pid: u32) -> Result<Vec<u32>, String> {
    let list = read(pid, &format!("task/{pid}/children"))?;
    Ok(list
        .split_ascii_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect())
}

fn read(pid: u32, file: &str) -> Result<String, String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
}

fn field(text: &str, name: &str) -> Result<u64, String> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .ok_or_else(|| format!("no {name}"))?;
    let number = line
        .split_ascii_whitespace()
        .next()
        .and_then(|word| word.parse().ok());
    number.ok_or_else(|| format!("no number after {name}"))
}
