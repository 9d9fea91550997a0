//! A master's answers as text for people, or as JSON for programs. Pure.

use super::logs_form;
use super::table::{self, escaped, size, span};
use crate::base::millis::ms;
use crate::control::{ControlAnswer, ControlCommand, ControlReply, Death, DeathReport, Failed};
use crate::pool::{Done, Failure, Outcome, Replaced, Rolled};

/// The bytes to print for an answer to `command`.
pub(super) fn rendered(command: ControlCommand, answer: &ControlAnswer, json: bool) -> Vec<u8> {
    if json {
        ControlReply::new(answer.clone()).line()
    } else {
        text(command, answer).into_bytes()
    }
}

/// The text for an answer to `command`.
#[must_use]
pub fn text(command: ControlCommand, answer: &ControlAnswer) -> String {
    match answer {
        ControlAnswer::Status(status) => table::text(status, None),
        ControlAnswer::Why(why) => deaths(why),
        ControlAnswer::Output(report) => logs_form::plain(report),
        ControlAnswer::Begun => "begun; the master's log reports how it ends\n".to_owned(),
        ControlAnswer::Done(done) => self::done(done),
        ControlAnswer::Failed(failed) => self::failed(command, failed),
        ControlAnswer::Refused { reason } => format!("refused: {}\n", escaped(reason)),
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
            after,
        } => {
            let from = from.map_or_else(String::new, |from| format!(", in place of {from}"));
            format!("slot {slot} has worker {to}{from}, after {}\n", span(ms(*after)))
        }
        Done::Drained { slot, life, after } => match life {
            Some(life) => format!(
                "worker {life} of slot {slot} is gone after {}; `restart {slot}` fills the slot again\n",
                span(ms(*after))
            ),
            None => format!("slot {slot} is empty; `restart {slot}` fills it again\n"),
        },
        Done::Upgraded { version: to, after } => format!(
            "upgraded: the master runs version {to} after {}, with the same workers; `reload` gives them \
             the new binary, too\n",
            span(ms(*after))
        ),
        Done::Stopped { outcome, counted } => stopped(*outcome, *counted).to_owned(),
    }
}

/// Nobody counts the requests of programs, so only their ends are told.
fn stopped(outcome: Outcome, counted: bool) -> &'static str {
    match (outcome, counted) {
        (Outcome::Stopped, true) => "stopped; every request was answered\n",
        (Outcome::Stopped, false) => "stopped; every program ended by itself when it was asked to\n",
        (Outcome::Cut | Outcome::NeverReady, true) => "stopped; some requests were cut\n",
        (Outcome::Cut | Outcome::NeverReady, false) => {
            "stopped; a program was killed before it had ended, and what it was answering was cut\n"
        }
    }
}

fn rolled(verb: &str, rolled: &Rolled) -> String {
    let (generation, from, after) = (rolled.generation, rolled.from, span(ms(rolled.after)));
    let slots: String = rolled.slots.iter().map(replaced).collect();
    let slots = match rolled.runs_programs && verb == "rolled back" {
        true => {
            slots
                + "  the command and the configuration are those from before; the program's own files are as \
                   they are on disk\n"
        }
        false => slots,
    };
    format!("{verb}: generation {generation} serves in place of {from}, after {after}\n{slots}")
}

fn replaced(replaced: &Replaced) -> String {
    let Replaced { slot, life, .. } = replaced;
    let (ready, placed) = (span(ms(replaced.ready_after)), span(ms(replaced.replaced_after)));
    format!("  slot {slot}: worker {life} was ready after {ready}, in place at {placed}\n")
}

fn failed(command: ControlCommand, failed: &Failed) -> String {
    let reason = escaped(&failed.reason);
    if matches!(failed.cause, Failure::NotExecuted { .. }) {
        return format!("backed out, the master goes on as it was: {reason}\n");
    }
    // Only these two commands try another generation.
    let tried = match command {
        ControlCommand::Reload | ControlCommand::Rollback => format!(" of generation {}", failed.generation),
        _ => String::new(),
    };
    let after = span(ms(failed.after));
    let given_back = match failed.slots.len() {
        0 => String::new(),
        many => format!(" ({many} replaced slots were given back)"),
    };
    format!(
        "backed out{tried} after {after}, what served before serves on{given_back}: {reason}\n{}",
        lines("its last lines", &failed.stderr)
    )
}

fn deaths(why: &DeathReport) -> String {
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
        let process = death
            .process
            .as_deref()
            .map_or_else(String::new, |name| format!("{}: ", escaped(name)));
        text += &format!("  right before the kill: {process}state {state}{channel}\n");
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
    let oom = match (death.memory.oom_kill, death.memory.oom_kill_maybe_elsewhere) {
        (false, _) => "",
        (true, false) => "; the kernel killed a process of it because memory ran out",
        (true, true) => "; the kernel killed a process on this machine because memory ran out",
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::base::ids::Generation;

    fn backed_out(command: ControlCommand, reason: &str) -> String {
        let failed = Failed {
            reason: reason.to_owned(),
            cause: Failure::Stopped,
            generation: Generation(2),
            after: Duration::from_millis(7),
            slots: Vec::new(),
            stderr: Vec::new(),
        };
        text(command, &ControlAnswer::Failed(Box::new(failed)))
    }

    #[test]
    fn only_a_reload_or_rollback_backs_out_of_a_generation() {
        let text = backed_out(ControlCommand::Reload, "no");
        assert!(text.starts_with("backed out of generation 2 after"), "{text}");
        let text = backed_out(ControlCommand::Scale { to: 4 }, "no");
        assert!(text.starts_with("backed out after"), "{text}");
    }

    #[test]
    fn a_quoted_reason_neither_moves_the_cursor_nor_begins_a_line() {
        let reason = "a\u{1b}[31m\r\nreloaded: generation 3 serves\n".to_owned();
        for text in [
            backed_out(ControlCommand::Upgrade, &reason),
            text(ControlCommand::Upgrade, &ControlAnswer::Refused { reason }),
        ] {
            assert!(
                text.ends_with("a\\u{1b}[31m\\r\n  reloaded: generation 3 serves\n"),
                "{text:?}"
            );
        }
    }
}
