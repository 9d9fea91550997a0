//! The configuration as text: the example file with every key at its default, and the values in effect with
//! the origin of each. The program can read both back.

use std::fmt::Write;

use super::effective::{EffectiveKey, Origin};
use super::key::{Key, Kind, Reload, Section};
use super::keys;
use super::value::Value;

/// Every key of every section with its meaning, bounds and default, as a file. `config/cluster.toml` is this
/// text.
#[must_use]
pub fn example(program: &str, app: &[Section]) -> String {
    let mut text = format!(
        "# Every key of {program}'s configuration at its default; a key without one is commented out.\n\
         # Durations and sizes carry their unit. Flags win over this file. A reload reads it again.\n\
         # Printed by `{program} check --keys`.\n"
    );
    for section in keys::SECTIONS.iter().chain(app) {
        push(
            &mut text,
            format_args!("\n# {}\n[{}]\n", section.doc, section.name),
        );
        for key in section.keys {
            push(&mut text, format_args!("{}", documented(key)));
        }
    }
    text
}

fn documented(key: &Key) -> String {
    let fixed = match key.reload {
        Reload::Applies => "",
        Reload::Refused => " Not changed by a reload.",
    };
    let default = key.default.and_then(|text| Value::from_text(key.kind, text).ok());
    let line = match default {
        Some(value) => format!("{} = {}", key.name, value.literal()),
        None => format!("# {} = {}", key.name, possible_value(key.kind)),
    };
    format!("\n# {}\n# Expected: {}.{fixed}\n{line}\n", key.doc, key.kind)
}

/// Every key as a row of a Markdown table, for `docs/reference/configuration.md`.
#[must_use]
pub fn markdown(app: &[Section]) -> String {
    let mut text = "| key | default | expected | reload | meaning |\n|---|---|---|---|---|\n".to_owned();
    for section in keys::SECTIONS.iter().chain(app) {
        for key in section.keys {
            let default = key.default.and_then(|text| Value::from_text(key.kind, text).ok());
            let default = default.map_or("not set".to_owned(), |value| format!("`{}`", value.literal()));
            let reload = match key.reload {
                Reload::Applies => "yes",
                Reload::Refused => "no",
            };
            let (kind, doc) = (
                key.kind.to_string().replace('|', "\\|"),
                key.doc.replace('|', "\\|"),
            );
            push(
                &mut text,
                format_args!(
                    "| `{}.{}` | {default} | {kind} | {reload} | {doc} |\n",
                    section.name, key.name
                ),
            );
        }
    }
    text
}

/// A possible value of that kind, for a line of the example that is commented out.
fn possible_value(kind: Kind) -> String {
    match kind {
        Kind::Switch => "false".to_owned(),
        Kind::Number { least, .. } => least.to_string(),
        Kind::Duration { least, .. } => Value::Duration(least).literal(),
        Kind::Size { least, .. } => Value::Size(least).literal(),
        Kind::Word(words) => format!("\"{}\"", words.first().copied().unwrap_or_default()),
        Kind::Text | Kind::Path => "\"…\"".to_owned(),
        Kind::Mode => "\"0600\"".to_owned(),
        Kind::Workers => "\"auto\"".to_owned(),
        Kind::Address => "\"127.0.0.1:9900\"".to_owned(),
        Kind::Addresses => "[\"127.0.0.1:8080\"]".to_owned(),
        Kind::Variables => "[]".to_owned(),
        Kind::Command => "[\"node\", \"app.js\"]".to_owned(),
        Kind::Assignments => "{ NODE_ENV = \"production\" }".to_owned(),
        Kind::Paths => "[\"src\"]".to_owned(),
        Kind::ReadyRule => "\"auto\"".to_owned(),
        Kind::HttpPath => "\"http:/healthz\"".to_owned(),
        Kind::StopSignal => "\"SIGTERM\"".to_owned(),
    }
}

/// The values in effect as a file. A comment on each line says where the value comes from.
#[must_use]
pub fn effective(entries: &[EffectiveKey]) -> String {
    let lines: Vec<String> = entries.iter().map(assignment).collect();
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    let mut section = "";
    for (entry, line) in entries.iter().zip(lines) {
        if entry.section != section {
            section = entry.section;
            let gap = if text.is_empty() { "" } else { "\n" };
            push(&mut text, format_args!("{gap}[{section}]\n"));
        }
        match &entry.origin {
            Origin::Default => push(&mut text, format_args!("{line:width$}  # default\n")),
            Origin::Set(location) => push(&mut text, format_args!("{line:width$}  # {location}\n")),
        }
    }
    text
}

fn assignment(entry: &EffectiveKey) -> String {
    match &entry.value {
        Some(value) => format!("{} = {}", entry.key.name, value.literal()),
        None => format!("# {} is not set", entry.key.name),
    }
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("writing to a String never fails");
}
