//! A master's answers in words, for people. Pure.

use super::table::{self, size, span};
use crate::control::{Answer, Death, Done, Failed, Replaced, Rolled, Why};
use crate::pool::Failure;

/// The words for an answer, and whether they are bad news.
#[must_use]
pub fn words(answer: &Answer) -> String {
    match answer {
        Answer::Status(status) => table::text(status, None),
        Answer::Why(why) => deaths(why),
        Answer::Begun => "begun; the master's log tells how it ends\n".to_owned(),
        Answer::Done(done) => self::done(done),
        Answer::Failed(failed) => self::failed(failed),
        Answer::Refused { reason } => format!("refused: {reason}\n"),
    }
}

fn done(done: &Done) -> String {
    match done {
        Done::Reloaded(rolled) => self::rolled("reloaded", rolled),
        Done::RolledBack(rolled) => self::rolled("rolled back", rolled),
        Done::Scaled { from, to } if from == to => format!("there were {to} workers already\n"),
        Done::Scaled { from, to } => format!("scaled from {from} to {to} workers\n"),
        Done::Restarted {
            slot,
            from,
            to,
            after_ms,
        } => {
            let from = from.map_or_else(String::new, |from| format!(", in place of {from}"));
            format!("slot {slot} has worker {to}{from}, after {}\n", span(*after_ms))
        }
        Done::Drained { slot, life, after_ms } => match life {
            Some(life) => format!(
                "worker {life} of slot {slot} is gone after {}; `restart {slot}` fills the slot again\n",
                span(*after_ms)
            ),
            None => format!("slot {slot} is empty; `restart {slot}` fills it again\n"),
        },
        Done::Upgraded { to, after_ms } => format!(
            "upgraded: the master runs version {to} after {}, with the same workers; `reload` gives them the new binary, too\n",
            span(*after_ms)
        ),
        Done::Stopped { whole: true } => "stopped; every request was answered\n".to_owned(),
        Done::Stopped { whole: false } => "stopped; some requests were cut\n".to_owned(),
    }
}

fn rolled(verb: &str, rolled: &Rolled) -> String {
    let (generation, from, after) = (rolled.generation, rolled.from, span(rolled.after_ms));
    let slots: String = rolled.slots.iter().map(replaced).collect();
    format!("{verb}: generation {generation} serves in place of {from}, after {after}\n{slots}")
}

fn replaced(replaced: &Replaced) -> String {
    let Replaced { slot, life, .. } = replaced;
    let (ready, placed) = (span(replaced.ready_after_ms), span(replaced.replaced_after_ms));
    format!("  slot {slot}: worker {life} was ready after {ready}, in place at {placed}\n")
}

fn failed(failed: &Failed) -> String {
    if matches!(failed.cause, Failure::NotExecuted { .. }) {
        return format!("backed out, the master goes on as it was: {}\n", failed.reason);
    }
    let (generation, after, reason) = (failed.generation, span(failed.after_ms), &failed.reason);
    let given_back = match failed.slots.len() {
        0 => String::new(),
        many => format!(" ({many} replaced slots were given back)"),
    };
    format!(
        "backed out of generation {generation} after {after}, what served before serves on{given_back}: {reason}\n{}",
        lines("its last words", &failed.stderr)
    )
}

fn deaths(why: &Why) -> String {
    let state = why.state.as_deref().unwrap_or("gone");
    let head = format!("slot {}: {state}\n", why.slot);
    match why.deaths.len() {
        0 => format!("{head}none of its workers has ended since the master started\n"),
        _ => why
            .deaths
            .iter()
            .fold(head, |text, death| text + "\n" + &self::death(death)),
    }
}

fn death(death: &Death) -> String {
    let mut text = format!(
        "{} ago: worker {} of generation {} ended after {}: {}\n  then: {}\n",
        span(death.ago_ms),
        death.life,
        death.generation,
        span(death.lived_ms),
        death.cause,
        death.decision
    );
    if let Some(state) = death.process_state {
        let channel = death
            .wait_channel
            .as_deref()
            .map_or_else(String::new, |name| format!(", waiting in {name}"));
        text += &format!("  right before the kill: state {state}{channel}\n");
    }
    text += &memory(death);
    text += &in_flight(death);
    text + &lines("stderr", &death.stderr)
}

fn memory(death: &Death) -> String {
    let Some(peak) = death.memory.peak_rss_bytes.map(size) else {
        return String::new();
    };
    let limit = death.memory.limit_bytes.map_or_else(String::new, |limit| {
        format!(", its group may have {}", size(limit))
    });
    let oom = if death.memory.oom_kill {
        "; the kernel killed for want of memory"
    } else {
        ""
    };
    format!("  memory: at most {peak}{limit}{oom}\n")
}

fn in_flight(death: &Death) -> String {
    let requests: Vec<String> = death
        .in_flight
        .iter()
        .map(|seen| format!("{} {} for {}", seen.method, seen.path, span(seen.age_ms)))
        .collect();
    let unlisted = match death.in_flight_unlisted {
        0 => None,
        more => Some(format!("{more} more")),
    };
    let all: Vec<String> = requests.into_iter().chain(unlisted).collect();
    lines("was answering", &all)
}

fn lines(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    lines.iter().fold(format!("  {title}:\n"), |text, line| {
        format!("{text}    {line}\n")
    })
}
