//! Rules between keys: each value is possible alone, but not together with the other.

use super::address::Address;
use super::duration::format;
use super::ready::ReadyRule;
use super::run::RunSettings;
use super::settings::Settings;

/// Two or more values that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    /// The keys (`section.key`); the first is the one that the message blames.
    pub(super) keys: &'static [&'static str],
    /// What was read, what was expected and what to do.
    pub(super) message: String,
}

/// What contradicts itself in these settings, in words.
#[must_use]
pub fn contradictions(settings: &Settings) -> Vec<String> {
    let conflicts = conflicts(settings).into_iter();
    conflicts.map(|conflict| conflict.message).collect()
}

/// Every conflict of these settings.
pub(super) fn conflicts(settings: &Settings) -> Vec<Conflict> {
    [
        beats(settings),
        lock_above_interval(settings),
        lock_below_timeout(settings),
        backoff(settings),
        group(settings),
        pass_environment(settings),
        drill(settings),
        admin(settings),
        addresses(settings),
        without_a_command(settings),
        drill_of_a_program(settings),
        access_log_of_a_program(settings),
        delay_above_timeout(settings),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn beats(settings: &Settings) -> Option<Conflict> {
    let (timeout, interval) = (
        settings.cluster.heartbeat_timeout,
        settings.cluster.heartbeat_interval,
    );
    let least = interval * 2;
    (timeout <= least).then(|| Conflict {
        keys: &["cluster.heartbeat_timeout", "cluster.heartbeat_interval"],
        message: format!(
            "heartbeat_timeout is \"{}\", expected more than twice heartbeat_interval (\"{}\"), or a \
             worker that misses one beat is killed: raise the timeout above \"{}\" or lower the interval",
            format(timeout),
            format(interval),
            format(least)
        ),
    })
}

fn lock_above_interval(settings: &Settings) -> Option<Conflict> {
    let (hold, interval) = (
        settings.cluster.lock_hold_timeout,
        settings.cluster.heartbeat_interval,
    );
    (hold <= interval).then(|| Conflict {
        keys: &["cluster.lock_hold_timeout", "cluster.heartbeat_interval"],
        message: format!(
            "lock_hold_timeout is \"{}\", expected more than heartbeat_interval (\"{}\"), before which no \
             beat is late: raise the timeout or lower the interval",
            format(hold),
            format(interval)
        ),
    })
}

fn lock_below_timeout(settings: &Settings) -> Option<Conflict> {
    let (hold, timeout) = (
        settings.cluster.lock_hold_timeout,
        settings.cluster.heartbeat_timeout,
    );
    (hold > timeout).then(|| Conflict {
        keys: &["cluster.lock_hold_timeout", "cluster.heartbeat_timeout"],
        message: format!(
            "lock_hold_timeout is \"{}\", expected at most heartbeat_timeout (\"{}\"), which kills whether \
             a lock is held or not: lower the first or raise the second",
            format(hold),
            format(timeout)
        ),
    })
}

fn backoff(settings: &Settings) -> Option<Conflict> {
    let (first, longest) = (settings.cluster.backoff_first, settings.cluster.backoff_longest);
    (first > longest).then(|| Conflict {
        keys: &["cluster.backoff_first", "cluster.backoff_longest"],
        message: format!(
            "backoff_first is \"{}\", expected at most backoff_longest (\"{}\"): lower the first or raise \
             the second",
            format(first),
            format(longest)
        ),
    })
}

fn group(settings: &Settings) -> Option<Conflict> {
    let group = settings.cluster.group.as_ref()?;
    settings.cluster.user.is_none().then(|| Conflict {
        keys: &["cluster.group", "cluster.user"],
        message: format!(
            "group is {group:?} but user is not set, expected both or user alone: set user too, or remove \
             group"
        ),
    })
}

fn pass_environment(settings: &Settings) -> Option<Conflict> {
    let cluster = &settings.cluster;
    let alone = cluster.user.is_none() && !cluster.pass_environment.is_empty();
    alone.then(|| Conflict {
        keys: &["cluster.pass_environment", "cluster.user"],
        message: "pass_environment is set but user is not, expected both or neither: workers of the \
            master's own user get its whole environment; set user too, or remove pass_environment"
            .to_owned(),
    })
}

fn drill(settings: &Settings) -> Option<Conflict> {
    let open = settings
        .cluster
        .bind
        .iter()
        .find(|address| !address.is_loopback())?;
    settings.drill.routes.then(|| Conflict {
        keys: &["drill.routes", "cluster.bind"],
        message: format!(
            "drill.routes is true while bind has {open}, expected loopback addresses alone, because \
             whoever reaches /drill can crash workers: set routes = false, or bind 127.0.0.1, [::1] or \
             unix: only"
        ),
    })
}

fn admin(settings: &Settings) -> Option<Conflict> {
    let admin = settings.cluster.admin.as_ref()?;
    let chosen_by_the_kernel = matches!(admin, Address::Tcp(address) if address.port() == 0);
    let overlaps = |other: &&Address| other.covers(admin) || admin.covers(other);
    let other = settings.cluster.bind.iter().find(overlaps)?;
    (!chosen_by_the_kernel).then(|| Conflict {
        keys: &["cluster.admin", "cluster.bind"],
        message: format!(
            "admin is \"{admin}\" and bind has {other}, expected an address of its own for admin: \
             take another port"
        ),
    })
}

fn addresses(settings: &Settings) -> Option<Conflict> {
    let nowhere = settings.cluster.bind.is_empty() && !settings.run.is_asked_for();
    nowhere.then(|| Conflict {
        keys: &["cluster.bind"],
        message:
            "bind in [cluster] is empty, expected a list of addresses, as in [\"127.0.0.1:8080\"]: name at \
            least one address, for only a program of run.command asks for addresses by itself"
                .to_owned(),
    })
}

fn without_a_command(settings: &Settings) -> Option<Conflict> {
    let (run, none) = (&settings.run, RunSettings::default());
    let set = [
        (&["run.directory", "run.command"], run.directory != none.directory),
        (&["run.env", "run.command"], run.env != none.env),
        (&["run.listen", "run.command"], run.listen != none.listen),
        (&["run.ready", "run.command"], run.ready != none.ready),
        (&["run.probe", "run.command"], run.probe != none.probe),
        (
            &["run.stuck_timeout", "run.command"],
            run.stuck_timeout != none.stuck_timeout,
        ),
        (
            &["run.stop_signal", "run.command"],
            run.stop_signal != none.stop_signal,
        ),
        (&["run.preload", "run.command"], run.preload != none.preload),
        (&["run.log_file", "run.command"], run.log_file != none.log_file),
        (&["run.watch", "run.command"], run.watch != none.watch),
    ];
    let (keys, _) = set.into_iter().find(|(_, differs)| *differs)?;
    (!run.is_asked_for()).then(|| Conflict {
        keys,
        message: format!(
            "{} is set but run.command is not, expected both or neither: name the program, or remove the key",
            keys[0]
        ),
    })
}

fn drill_of_a_program(settings: &Settings) -> Option<Conflict> {
    (settings.drill.routes && settings.run.is_asked_for()).then(|| Conflict {
        keys: &["drill.routes", "run.command"],
        message: "drill.routes is true beside run.command, expected one of the two, because the routes of a \
            program are its own: remove routes"
            .to_owned(),
    })
}

fn access_log_of_a_program(settings: &Settings) -> Option<Conflict> {
    (settings.log.access && settings.run.is_asked_for()).then(|| Conflict {
        keys: &["log.access", "run.command"],
        message: "log.access is true beside run.command, expected one of the two, because a program's \
            requests are seen by the program alone: remove access, and have the program log them"
            .to_owned(),
    })
}

fn delay_above_timeout(settings: &Settings) -> Option<Conflict> {
    let (ReadyRule::Delay(delay), timeout) = (&settings.run.ready, settings.cluster.ready_timeout) else {
        return None;
    };
    (*delay >= timeout).then(|| Conflict {
        keys: &["run.ready", "cluster.ready_timeout"],
        message: format!(
            "ready is \"delay:{}\", expected less than ready_timeout (\"{}\"), after which a worker that is not \
             ready is killed: lower the delay or raise the timeout",
            format(*delay),
            format(timeout)
        ),
    })
}
