//! The configuration file, `config.toml` in the configuration folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;
use strsim::jaro_winkler;
use toml::Spanned;

use super::action::{ACTIONS, Action};
use super::context::Context;
use super::keymap::{Keymap, Rebinding};

/// Names at least this alike are offered in place of an unknown one.
const ALIKE: f64 = 0.75;

/// Actions by name, each with its keys.
type Keys = BTreeMap<Spanned<String>, Spanned<String>>;

/// What a person can settle once and for all.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// A theme of the program (`dark`, `light`, `high-contrast`, `monochrome`, `catppuccin`, `gruvbox`, `nord`,
    /// `solarized-dark`, `solarized-light`, `tokyo-night`) or of the folder `themes` beside this file.
    pub theme: Option<String>,
    /// Whether the mouse is used (default true).
    pub mouse: Option<bool>,
    /// Whether only ASCII is drawn (default false).
    pub ascii: Option<bool>,
    /// Whether the first start on the built-in model begins with the tour (default true).
    pub tour: Option<bool>,
    /// The most tokens to write (default 120).
    #[serde(alias = "max_tokens")]
    pub max_tokens: Option<usize>,
    /// Keys of actions wherever they count: `undo = "u ctrl-u"`, several separated by spaces; `""` leaves an action to the
    /// palette. `rankscope --print-config` lists all of them.
    #[schemars(with = "BTreeMap<String, String>")]
    pub keys: Keys,
    /// Keys of actions in one place: a table for each of layers, spectrum, text, list, explain, history, columns, copy, jobs, export, review, frontier, probes,
    /// comparison, question, typing.
    #[schemars(with = "BTreeMap<String, BTreeMap<String, String>>")]
    pub keys_in: BTreeMap<Spanned<String>, Keys>,
    /// The text that it was read from, to name lines.
    #[serde(skip)]
    text: String,
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
        let config: Self =
            toml::from_str(text).map_err(|error| anyhow::anyhow!("{}", error.to_string().trim().replace('\n', " ")))?;
        let config = Self { text: text.to_owned(), ..config };
        config.keymap()?;
        Ok(config)
    }

    /// The keys as they are with this configuration.
    ///
    /// # Errors
    /// A name or key that is not known, or two meanings of one key, with its line and what to do.
    pub fn keymap(&self) -> anyhow::Result<Keymap> {
        let mut changes = Vec::new();
        for (name, keys) in &self.keys {
            changes.push((self.rebinding(None, name, keys)?, keys.span()));
        }
        for (place, table) in &self.keys_in {
            let context = Context::ALL.into_iter().find(|context| context.name() == place.get_ref());
            let names = || Context::ALL.iter().map(|context| context.name().to_owned());
            let context = context.ok_or_else(|| self.unknown("place", place, names()))?;
            for (name, keys) in table {
                changes.push((self.rebinding(Some(context), name, keys)?, keys.span()));
            }
        }
        let (changes, spans): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
        Keymap::default().with(&changes).map_err(|(at, error)| {
            let line = spans.get(at).map_or(1, |span| self.line(span));
            anyhow::anyhow!("line {line}: {error}")
        })
    }

    fn rebinding(
        &self,
        context: Option<Context>,
        name: &Spanned<String>,
        keys: &Spanned<String>,
    ) -> anyhow::Result<Rebinding> {
        let names = || ACTIONS.iter().map(|info| info.action.name());
        let action = Action::named(name.get_ref()).ok_or_else(|| self.unknown("action", name, names()))?;
        Ok(Rebinding { action, context, keys: keys.get_ref().clone() })
    }

    fn unknown(&self, what: &str, name: &Spanned<String>, known: impl Iterator<Item = String>) -> anyhow::Error {
        let likeness = |one: &str| jaro_winkler(one, name.get_ref());
        let nearest = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|one| likeness(one) >= ALIKE);
        let hint = nearest.map_or_else(
            || "rankscope --print-config lists all".to_owned(),
            |nearest| format!("did you mean \"{nearest}\"?"),
        );
        anyhow::anyhow!("line {}: no {what} is called \"{}\"; {hint}", self.line(&name.span()), name.get_ref())
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1)
    }
}

/// The configuration file as it is without one, every line a comment: what is uncommented unchanged changes nothing.
pub fn commented_default() -> String {
    let mut text = String::from(
        "# rankscope reads this file as config.toml in its configuration folder. All is commented out; what stands here is what\n\
         # counts without it.\n\n\
         # The colours: dark, light, high-contrast, monochrome, catppuccin, gruvbox, nord, solarized-dark, solarized-light,\n\
         # tokyo-night, or a file of the folder themes beside this one. Without it the terminal's background decides.\n\
         # theme = \"dark\"\n\n\
         # Whether the mouse is used.\n# mouse = true\n\n\
         # Whether only ASCII is drawn.\n# ascii = false\n\n\
         # Whether the first start on the built-in model begins with the tour.\n# tour = true\n\n\
         # The most tokens to write.\n# max-tokens = 120\n\n\
         # Keys of actions wherever they count; several are separated by spaces, \"\" leaves an action to the palette.\n\
         # Keys are spelled j, G, space, enter, f2, ctrl-r, alt-x, shift-left. ctrl-c always leaves.\n[keys]\n",
    );
    let alike = |info: &&super::action::Info| info.bindings.len() == 1 && info.action != Action::Interrupt;
    for info in ACTIONS.iter().filter(alike) {
        let keys = info.bindings.first().map_or("", |binding| binding.keys);
        text.push_str(&entry(info.action, keys, info.description));
    }
    let keymap = Keymap::default();
    for context in Context::ALL {
        let several = ACTIONS.iter().filter(|info| info.bindings.len() > 1 && keymap.counts(info.action, context));
        let lines: String = several
            .map(|info| entry(info.action, &keymap.keys(info.action, context).join(" "), info.description))
            .collect();
        if !lines.is_empty() {
            let _ = write!(text, "\n# {}\n[keys-in.{}]\n{lines}", context.title(), context.name());
        }
    }
    text
}

fn entry(action: Action, keys: &str, description: &str) -> String {
    format!("# {:32} # {description}\n", format!("{} = \"{keys}\"", action.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Config::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn mistakes_name_key_and_line() {
        let parsed = Config::parse("theme = \"light\"\nmouse = false").unwrap();
        assert_eq!((parsed.theme.as_deref(), parsed.mouse), (Some("light"), Some(false)));
        let error = refused("theme = \"light\"\nmuose = false");
        assert!(error.contains("line 2") && error.contains("muose"), "{error}");
    }

    #[test]
    fn keys_that_cannot_be_are_refused_with_their_line() {
        assert_eq!(refused("[keys]\nundoo = \"u\""), "line 2: no action is called \"undoo\"; did you mean \"undo\"?");
        let twice = refused("mouse = true\n[keys]\nundo = \"c\"");
        assert!(twice.starts_with("line 3: \"c\" would mean both") && twice.contains("\"layers\""), "{twice}");
        assert!(refused("[keys]\nundo = \"ctl-u\"").starts_with("line 2: \"ctl-u\" is no key"));
        let place = refused("[keys-in.layer]\nundo = \"u\"");
        assert_eq!(place, "line 1: no place is called \"layer\"; did you mean \"layers\"?");
        assert!(refused("[keys-in.jobs]\nundo = \"u\"").contains("does nothing in the place \"jobs\""));
    }

    #[test]
    fn the_printed_configuration_changes_nothing_and_says_all() {
        let printed = commented_default();
        let commented_out = Config::parse(&printed).unwrap();
        assert_eq!(commented_out.keymap().unwrap(), Keymap::default());
        let lines = printed.lines().map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.contains(" = ") => setting,
            _ => line,
        });
        let all = Config::parse(&lines.collect::<Vec<_>>().join("\n")).unwrap();
        assert_eq!(all.keymap().unwrap(), Keymap::default());
        assert_eq!((all.mouse, all.max_tokens), (Some(true), Some(120)));
        let named = all.keys.len() + all.keys_in.values().map(BTreeMap::len).sum::<usize>();
        let bound = Context::ALL.iter().map(|context| Keymap::default().in_context(*context).count()).sum::<usize>();
        assert!(named > ACTIONS.len() && named < bound);
    }
}
