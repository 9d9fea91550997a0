//! Reads the bytes of a file and the flags into settings, or into every problem that they have. The file wins
//! over the defaults, and flags win over the file.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::effective::{Effective, EffectiveKey, Origin};
use super::invalid::InvalidValue;
use super::key::{Key, Section};
use super::overrides::{Override, Overrides};
use super::problem::{ConfigProblem, ConfigProblems, Location};
use super::relations::{self, Conflict};
use super::settings::Settings;
use super::source::{ConfigFile, SourceText, quote};
use super::value::Value;
use super::{keys, unknown};

/// Reads the supervisor's sections and the application's. Without a file there are only defaults and flags.
///
/// # Errors
/// Every problem of the file and the flags.
pub fn read(
    app: &[Section],
    file: Option<ConfigFile<'_>>,
    overrides: &Overrides,
) -> Result<Effective, ConfigProblems> {
    let mut reader = ConfigReader::new(app);
    if let Some(source) = file {
        reader.file(source);
    }
    for one in overrides.list() {
        reader.flag(one);
    }
    reader.finish()
}

struct ConfigReader {
    sections: Vec<Section>,
    entries: Vec<EffectiveKey>,
    problems: Vec<ConfigProblem>,
    /// Indices of the keys whose value was refused. They keep their default, and no conflict with it is
    /// reported.
    refused: Vec<usize>,
}

impl ConfigReader {
    fn new(app: &[Section]) -> ConfigReader {
        let sections: Vec<Section> = keys::SECTIONS.iter().chain(app).copied().collect();
        let mut reader = ConfigReader {
            sections,
            entries: Vec::new(),
            problems: Vec::new(),
            refused: Vec::new(),
        };
        for section in reader.sections.clone() {
            for key in section.keys {
                reader.declare(section.name, key);
            }
        }
        reader
    }

    fn declare(&mut self, section: &'static str, key: &'static Key) {
        if self.index(section, key.name).is_some() {
            self.problem(
                Location::Program,
                format!("{} is declared twice in [{section}]", key.name),
            );
        }
        let value = key
            .default
            .map(|text| Value::from_text(key.kind, text))
            .transpose()
            .unwrap_or_else(|_| {
                self.problem(
                    Location::Program,
                    format!("the default of {} in [{section}] is not {}", key.name, key.kind),
                );
                None
            });
        self.entries.push(EffectiveKey {
            section,
            key,
            value,
            origin: Origin::Default,
        });
    }

    fn index(&self, section: &str, key: &str) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.section == section && entry.key.name == key)
    }

    fn problem(&mut self, location: Location, message: String) {
        self.problems.push(ConfigProblem { location, message });
    }

    fn file(&mut self, source: ConfigFile<'_>) {
        let text = match source.text() {
            Ok(text) => text,
            Err(problem) => return self.problems.push(problem),
        };
        let (table, errors) = DeTable::parse_recoverable(text.text);
        for error in &errors {
            let location = text.location(error.span().map_or(0, |span| span.start));
            self.problem(location, format!("not TOML: {}", quote(error.message())));
        }
        let syntax_problems = self.problems.len();
        for (name, value) in table.get_ref() {
            self.section(text, name, value);
        }
        self.drop_follow_up_problems(syntax_problems);
    }

    /// Drops the problems that only follow from a syntax error on the same line: such a line may leave half a
    /// key or a value of the wrong type behind.
    fn drop_follow_up_problems(&mut self, syntax_problems: usize) {
        let lines: Vec<Option<usize>> = self.problems[..syntax_problems]
            .iter()
            .map(|problem| line(&problem.location))
            .collect();
        let mut index = 0;
        self.problems.retain(|problem| {
            index += 1;
            index <= syntax_problems || !lines.contains(&line(&problem.location))
        });
    }

    fn section(
        &mut self,
        text: SourceText<'_>,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let location = text.location(name.span().start);
        let Some(section) = self
            .sections
            .iter()
            .find(|section| section.name == name.get_ref().as_ref())
            .copied()
        else {
            let message = unknown::section(&self.sections, name.get_ref(), value.get_ref().is_table());
            return self.problem(location, message);
        };
        let Some(table) = value.get_ref().as_table() else {
            let message = format!(
                "{} is {}, expected a section: write its keys below a line [{}]",
                section.name,
                text.quote(value.span()),
                section.name
            );
            return self.problem(location, message);
        };
        for (key, value) in table {
            match self.index(section.name, key.get_ref()) {
                Some(index) => self.assign(text, index, key.span(), value),
                None => {
                    let message = unknown::key(&self.sections, &section, key.get_ref());
                    self.problem(text.location(key.span().start), message);
                }
            }
        }
    }

    fn assign(
        &mut self,
        text: SourceText<'_>,
        index: usize,
        key: Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) {
        match Value::from_toml(self.entries[index].key.kind, value.get_ref()) {
            Ok(good) => self.set(index, good, text.location(key.start)),
            Err(refusal) => {
                let span = refusal.span.clone().unwrap_or_else(|| value.span());
                self.refuse(index, text.location(span.start), &text.quote(span), &refusal);
            }
        }
    }

    fn set(&mut self, index: usize, value: Value, location: Location) {
        let entry = &mut self.entries[index];
        entry.value = Some(value);
        entry.origin = Origin::Set(location);
        self.refused.retain(|&other| other != index);
    }

    fn refuse(&mut self, index: usize, location: Location, read: &str, refusal: &InvalidValue) {
        let EffectiveKey { section, key, .. } = &self.entries[index];
        let hint = refusal
            .hint
            .as_ref()
            .map(|hint| format!("; {hint}"))
            .unwrap_or_default();
        let message = format!(
            "{} in [{section}] is {read}, expected {}{hint}",
            key.name, key.kind
        );
        self.problem(location, message);
        self.refused.push(index);
    }

    fn flag(
        &mut self,
        Override {
            flag,
            key: name,
            text,
        }: &Override,
    ) {
        let location = Location::Flag(flag.clone());
        let Some((section, key)) = name.split_once('.') else {
            return self.problem(
                location,
                format!("{name:?} names no section, expected SECTION.KEY=VALUE"),
            );
        };
        let Some(known) = self.sections.iter().find(|known| known.name == section).copied() else {
            let message = unknown::section(&self.sections, section, true);
            return self.problem(location, message);
        };
        let Some(index) = self.index(section, key) else {
            let message = unknown::key(&self.sections, &known, key);
            return self.problem(location, message);
        };
        match Value::from_text(self.entries[index].key.kind, text) {
            Ok(value) => {
                let value = value.added_to(self.entries[index].value.take());
                self.set(index, value, location);
            }
            Err(refusal) => self.refuse(index, location, &format!("\"{}\"", quote(text)), &refusal),
        }
    }

    fn finish(mut self) -> Result<Effective, ConfigProblems> {
        if self.runs_a_program() {
            self.default_for_a_program();
            self.leave_out_the_application();
        }
        let mut settings = match self.settings() {
            Ok(settings) => settings,
            Err(error) => {
                self.problem(
                    Location::Program,
                    format!("the key table does not fit the settings: {error}"),
                );
                return Err(ConfigProblems::of(self.problems));
            }
        };
        let roles = settings.bind_internal();
        for conflict in roles.into_iter().chain(relations::conflicts(&settings)) {
            self.conflict(conflict);
        }
        if self.problems.is_empty() {
            Ok(Effective {
                settings,
                entries: self.entries,
            })
        } else {
            Err(ConfigProblems::of(self.problems))
        }
    }

    fn runs_a_program(&self) -> bool {
        let command = self.index("run", "command");
        command.is_some_and(|index| self.entries[index].value.is_some())
    }

    fn default_for_a_program(&mut self) {
        for (section, key, text) in keys::RUN_DEFAULTS {
            let index = self
                .index(section, key)
                .filter(|&index| self.entries[index].origin == Origin::Default);
            if let Some(index) = index {
                let entry = &mut self.entries[index];
                entry.value = Value::from_text(entry.key.kind, text).ok();
            }
        }
    }

    /// Nothing reads the application's sections where its workers run a program. What stands in them is a
    /// mistake: the file is that of another cluster.
    fn leave_out_the_application(&mut self) {
        let own = keys::SECTIONS.len();
        for section in self.sections.split_off(own) {
            let (left_out, kept) = self
                .entries
                .drain(..)
                .partition::<Vec<_>, _>(|entry| entry.section == section.name);
            self.entries = kept;
            let set = left_out.into_iter().find_map(|entry| match entry.origin {
                Origin::Set(location) => Some((entry.key.name, location)),
                Origin::Default => None,
            });
            if let Some((key, location)) = set {
                let message = format!(
                    "{key} in [{}] is set beside run.command, expected one of the two, because a program \
                     reads none of the application's keys: remove one of them",
                    section.name
                );
                self.problem(location, message);
            }
        }
    }

    fn conflict(&mut self, Conflict { keys, message }: Conflict) {
        let involved: Vec<usize> = keys
            .iter()
            .filter_map(|name| name.split_once('.'))
            .filter_map(|(section, key)| self.index(section, key))
            .collect();
        if involved.iter().any(|index| self.refused.contains(index)) {
            return;
        }
        let location = involved
            .iter()
            .find_map(|&index| match &self.entries[index].origin {
                Origin::Set(location) => Some(location.clone()),
                Origin::Default => None,
            });
        self.problem(location.unwrap_or(Location::Program), message);
    }

    /// The settings that serde reads from all values, with the application's sections in a table of their
    /// own.
    fn settings(&self) -> Result<Settings, toml::de::Error> {
        let mut own = toml::Table::new();
        let mut app = toml::Table::new();
        for section in &self.sections {
            let is_own = keys::SECTIONS.iter().any(|known| known.name == section.name);
            let entries = self.entries.iter().filter(|entry| entry.section == section.name);
            let table: toml::Table = entries
                .filter_map(|entry| Some((entry.key.name.to_owned(), entry.value.as_ref()?.normalised())))
                .collect();
            let target = if is_own { &mut own } else { &mut app };
            target.insert(section.name.to_owned(), table.into());
        }
        own.insert("app".to_owned(), app.into());
        own.try_into()
    }
}

fn line(location: &Location) -> Option<usize> {
    match location {
        Location::File { line, .. } => Some(*line),
        Location::Program | Location::Flag(_) => None,
    }
}
