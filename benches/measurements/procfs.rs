//! What `/proc` tells of a process.

use std::fs;

/// User and system time so far, in clock ticks of 10 ms.
pub(crate) fn cpu_ticks(pid: u32) -> Result<u64, String> {
    let stat = read(pid, "stat")?;
    // The second field is the program's name in brackets and may hold anything.
    let fields = stat
        .rsplit_once(") ")
        .map(|(_, fields)| fields)
        .ok_or("no fields in stat")?;
    let number = |at: usize| {
        fields
            .split(' ')
            .nth(at)
            .and_then(|field| field.parse::<u64>().ok())
    };
    // utime and stime are fields 14 and 15; the rest begins with field 3.
    number(11)
        .zip(number(12))
        .map(|(user, system)| user + system)
        .ok_or_else(|| "no times in stat".to_owned())
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
