//! The configuration file, `config.toml` in the configuration folder.

use std::path::Path;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;

/// What a person can settle once and for all.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A theme of the program (`dark`, `light`, `high-contrast`, `monochrome`, `catppuccin`, `gruvbox`, `nord`,
    /// `solarized-dark`, `solarized-light`, `tokyo-night`) or of the folder `themes` beside this file.
    pub theme: Option<String>,
    /// Whether the mouse is used (default true).
    pub mouse: Option<bool>,
    /// The most tokens to write (default 120).
    pub max_tokens: Option<usize>,
}

impl Config {
    /// Reads the file in `folder`; a file that is not there is an empty one.
    ///
    /// # Errors
    /// A file that cannot be read, or says what it may not, with line and key.
    pub fn load(folder: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = folder.map(|folder| folder.join("config.toml")).filter(|path| path.exists()) else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not as it should be", path.display()))
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        toml::from_str(text).map_err(|error| anyhow::anyhow!("{}", error.to_string().trim().replace('\n', " ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_name_key_and_line() {
        let parsed = Config::parse("theme = \"light\"\nmouse = false").unwrap();
        assert_eq!((parsed.theme.as_deref(), parsed.mouse), (Some("light"), Some(false)));
        let error = Config::parse("theme = \"light\"\nmuose = false").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("muose"), "{error}");
    }
}
