//! Sections of the configuration that belong to the application, as its own types.

use serde::de::DeserializeOwned;

use crate::config::Settings;

/// Why a section of the configuration is not what the application expects.
#[derive(Debug, thiserror::Error)]
#[error("failed to read [{section}]: {reason}")]
pub struct SectionError {
    section: String,
    reason: toml::de::Error,
}

/// Reads a section; an absent one is read as an empty one.
pub(super) fn read<T: DeserializeOwned>(settings: &Settings, name: &str) -> Result<T, SectionError> {
    let value = settings.app.get(name).cloned();
    let value = value.unwrap_or_else(|| toml::Value::Table(toml::Table::new()));
    value.try_into().map_err(|reason| SectionError {
        section: name.to_owned(),
        reason,
    })
}
