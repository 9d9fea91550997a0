//! The options of the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use super::tamper::Tampering;

/// The highest rate of one fault per minute: one every ten milliseconds, which no machine exceeds.
const MOST_PER_MINUTE: i64 = 6_000;

fn rate() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(0..=MOST_PER_MINUTE)
}

/// Start a cluster of its own in a scratch directory, place orders from a seeded workload, kill, stop, reload
/// and starve it meanwhile, let it rest, and check that stock, money and every answer add up. Exit code 0:
/// they do; 1: they do not, and the story of the order that broke is printed, or far less was tried than was
/// asked for, which proves nothing.
#[derive(Clone, Debug, Parser)]
#[command(name = "torture", no_binary_name = false)]
pub(super) struct TortureOptions {
    /// Decides the workload and the faults; the same seed tries the same again.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) seed: u64,
    /// How long faults happen, in seconds.
    #[arg(long, default_value_t = 60, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) secs: u64,
    /// Workers of the cluster.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) workers: u16,
    /// Clients that place orders, each one after the other.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) clients: u16,
    /// Editors of the stock, each of whom makes one change after the other.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=64))]
    pub(super) editors: u16,
    /// Workers killed (SIGKILL) per minute.
    #[arg(long, default_value_t = 45, value_name = "PER_MINUTE", value_parser = rate())]
    pub(super) kills: u32,
    /// Workers stopped for a while (SIGSTOP, up to 3 s, SIGCONT) per minute.
    #[arg(long, default_value_t = 12, value_name = "PER_MINUTE", value_parser = rate())]
    pub(super) stops: u32,
    /// Reloads (SIGHUP) per minute.
    #[arg(long, default_value_t = 6, value_name = "PER_MINUTE", value_parser = rate())]
    pub(super) reloads: u32,
    /// Masters killed, and started again at once, per minute.
    #[arg(long, default_value_t = 4, value_name = "PER_MINUTE", value_parser = rate())]
    pub(super) master_kills: u32,
    /// Master and every worker killed at once, and started again, per minute.
    #[arg(long, default_value_t = 2, value_name = "PER_MINUTE", value_parser = rate())]
    pub(super) outages: u32,
    /// The disk filled up for a while (up to 2 s) per minute, where the system lets this process mount a disk
    /// of its own.
    #[arg(long, default_value_t = 2, value_name = "PER_MINUTE", value_parser = rate())]
    pub(super) full_disks: u32,
    /// Has the databases at a PostgreSQL server: the URL of databases that are empty, with {service} in place
    /// of orders, inventory, payments and sandbox. No disk is filled then. For the verdict, the databases are
    /// moved to files, as `cluster move` does.
    #[arg(long, value_name = "URL")]
    pub(super) postgres: Option<String>,
    /// With --postgres: links to the server cut right at a COMMIT, per minute.
    #[arg(long, default_value_t = 60, value_name = "PER_MINUTE", value_parser = rate())]
    pub(super) cuts: u32,
    /// With --postgres: a command that restarts the server, and takes `fast` or `immediate` as its last word.
    #[arg(long, value_name = "COMMAND", requires = "postgres")]
    pub(super) restart_server: Option<String>,
    /// How often the server is restarted in the whole run.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(super) restarts: u32,
    /// Of a hundred calls to the payment provider, how many go wrong (in four ways).
    #[arg(long, default_value_t = 12, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(super) provider_faults: u8,
    /// Of a hundred orders, how many pay with a card that is declined.
    #[arg(long, default_value_t = 10, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(super) declines: u8,
    /// Where the cluster lives; must not exist yet. Without it: below the system's temporary directory,
    /// removed when all is well.
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Keep the directory also when all is well.
    #[arg(long)]
    pub(super) keep: bool,
    /// Spoil one record before the verdict, which must then find a violation: the test of the verdict itself.
    #[arg(long, value_name = "WHAT")]
    pub(super) tamper: Option<Tampering>,
    /// Print the verdict as one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

impl TortureOptions {
    /// Parses the arguments, of which the first is the program's name.
    pub(super) fn parse(arguments: Vec<OsString>) -> Result<TortureOptions, clap::Error> {
        TortureOptions::try_parse_from(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_switch_is_parsed_and_the_default_rates_are_high_enough() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let options =
            TortureOptions::parse(words("torture --seed 7 --secs 5 --master-kills 0 --json")).unwrap();
        assert_eq!((options.seed, options.secs, options.master_kills), (7, 5, 0));
        assert!(options.kills * 10 >= 300 && options.provider_faults >= 10);
        assert!(TortureOptions::parse(words("torture --provider-faults 101")).is_err());
        assert!(TortureOptions::parse(words("torture --kills 4294967295")).is_err());
    }
}
