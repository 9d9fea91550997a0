//! Sections of the configuration that belong to the application, as its own types.

use serde::de::DeserializeOwned;

use super::Settings;

/// Why a section of the configuration is not what the application expects.
#[derive(Debug, thiserror::Error)]
#[error("failed to read [{section}]: {reason}")]
pub struct SectionError {
    section: String,
    reason: toml::de::Error,
}

impl Settings {
    /// A section of the application; an absent one is read as an empty one.
    ///
    /// # Errors
    /// When the section does not fit the type.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, SectionError> {
        let value = self.app.get(name).cloned();
        let value = value.unwrap_or_else(|| toml::Value::Table(toml::Table::new()));
        value.try_into().map_err(|reason| SectionError {
            section: name.to_owned(),
            reason,
        })
    }
}
