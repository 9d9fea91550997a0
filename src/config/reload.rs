//! The changes of the configuration that a reload cannot make. The key table says which they are.

use super::key::{Reload, Section};
use super::keys;
use super::settings::Settings;

/// The keys (`section.key`) that differ between `old` and `new` and that only a restart of the master can
/// change. If there is any, the whole reload is refused.
#[must_use]
pub fn changes_refused(app: &[Section], old: &Settings, new: &Settings) -> Vec<String> {
    let (old, new) = (table(old), table(new));
    let own = keys::SECTIONS.iter().map(|section| (section, false));
    own.chain(app.iter().map(|section| (section, true)))
        .flat_map(|(section, in_app)| section.keys.iter().map(move |key| (section, in_app, key)))
        .filter(|(_, _, key)| key.reload == Reload::Refused)
        .filter(|(section, in_app, key)| {
            let value = |table| find(table, *in_app, section.name, key.name);
            value(&old) != value(&new)
        })
        .map(|(section, _, key)| format!("{}.{}", section.name, key.name))
        .collect()
}

fn table(settings: &Settings) -> toml::Table {
    toml::Table::try_from(settings)
        .expect("settings are made of texts, numbers and switches, which TOML can hold")
}

fn find<'a>(table: &'a toml::Table, in_app: bool, section: &str, key: &str) -> Option<&'a toml::Value> {
    let table = if in_app {
        table.get("app")?.as_table()?
    } else {
        table
    };
    table.get(section)?.get(key)
}
