//! Keys as text and back, and what a key means in a context: as the action list has it, or as the configuration changes it.

use std::collections::{BTreeMap, HashMap};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::{ACTIONS, Action, Info};
use super::context::Context;

/// Which keys do what, everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keymap {
    keys: BTreeMap<(Context, Action), Vec<String>>,
    actions: HashMap<(Context, KeyCode, KeyModifiers), Action>,
}

/// Other keys for an action, as the configuration asks for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebinding {
    /// The action.
    pub action: Action,
    /// Where; `None`: everywhere that it counts.
    pub context: Option<Context>,
    /// The keys, separated by spaces; none: it is reached by the palette alone.
    pub keys: String,
}

/// Why a rebinding cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No such key.
    #[error("\"{0}\" is no key; keys are spelled j, G, space, enter, f2, ctrl-r, alt-x, shift-left")]
    Unknown(String),
    /// A letter where letters are text.
    #[error("\"{key}\" is text in the place \"{context}\"; take a key with ctrl-, alt- or a name", context = .context.name())]
    Text {
        /// The key.
        key: String,
        /// The place.
        context: Context,
    },
    /// Two meanings.
    #[error(
        "\"{key}\" would mean both {one} and {other} in the place \"{context}\"; give one of them another key",
        one = .one.name(), other = .other.name(), context = .context.name()
    )]
    Twice {
        /// The key.
        key: String,
        /// Who has it.
        one: Action,
        /// Who should get it.
        other: Action,
        /// The place.
        context: Context,
    },
    /// An action without keys in that place.
    #[error("{action} does nothing in the place \"{context}\"", action = .action.name(), context = .context.name())]
    Nowhere {
        /// The action.
        action: Action,
        /// The place.
        context: Context,
    },
    /// The way out stays.
    #[error("ctrl-c always leaves; it cannot be changed")]
    WayOut,
}

impl Default for Keymap {
    /// The keys of the action list.
    fn default() -> Self {
        let mut keys = BTreeMap::new();
        for info in ACTIONS {
            for binding in info.bindings {
                let each = || binding.keys.split(' ').map(str::to_owned);
                binding.contexts.iter().for_each(|context| {
                    keys.entry((*context, info.action)).or_insert_with(Vec::new).extend(each());
                });
            }
        }
        let mut keymap = Self { keys, actions: HashMap::new() };
        // A test shows that the list itself has no key twice.
        let _ = keymap.index();
        keymap
    }
}

impl Keymap {
    /// These keys with some changed.
    ///
    /// # Errors
    /// The first rebinding that cannot be had, by its place among `changes`, and why.
    pub fn with(mut self, changes: &[Rebinding]) -> Result<Self, (usize, KeyError)> {
        for (at, change) in changes.iter().enumerate() {
            self.rebind(change).map_err(|error| (at, error))?;
        }
        self.index().map_err(|error| {
            let at = |error: &KeyError| match error {
                KeyError::Twice { one, other, .. } => {
                    changes.iter().rposition(|change| change.action == *other || change.action == *one)
                }
                _ => None,
            };
            (at(&error).unwrap_or_default(), error)
        })?;
        Ok(self)
    }

    fn rebind(&mut self, change: &Rebinding) -> Result<(), KeyError> {
        if change.action == Action::Interrupt {
            return Err(KeyError::WayOut);
        }
        let keys: Vec<String> = change.keys.split_whitespace().map(str::to_owned).collect();
        if let Some(unknown) = keys.iter().find(|key| parse(key).is_none()) {
            return Err(KeyError::Unknown(unknown.clone()));
        }
        let places: Vec<Context> = match change.context {
            Some(context) => vec![context],
            None => Context::ALL.into_iter().filter(|context| self.counts(change.action, *context)).collect(),
        };
        for context in places {
            let text = |key: &&String| context.takes_text() && is_text(key);
            let own = self
                .keys
                .get_mut(&(context, change.action))
                .ok_or(KeyError::Nowhere { action: change.action, context })?;
            match keys.iter().find(text) {
                Some(key) if change.context.is_some() => return Err(KeyError::Text { key: key.clone(), context }),
                // What is asked for everywhere is asked for where it can be.
                Some(_) => {
                    let possible: Vec<_> = keys.iter().filter(|key| !text(key)).cloned().collect();
                    if !possible.is_empty() {
                        *own = possible;
                    }
                }
                None => own.clone_from(&keys),
            }
        }
        Ok(())
    }

    fn index(&mut self) -> Result<(), KeyError> {
        self.actions.clear();
        for ((context, action), keys) in &self.keys {
            for key in keys {
                let Some((code, modifiers)) = parse(key).map(normal) else { continue };
                match self.actions.insert((*context, code, modifiers), *action) {
                    Some(one) if one != *action => {
                        return Err(KeyError::Twice { key: key.clone(), one, other: *action, context: *context });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// What `key` does in `context`.
    pub fn action_for(&self, context: Context, key: KeyEvent) -> Option<Action> {
        let (code, modifiers) = normal(key);
        self.actions.get(&(context, code, modifiers)).copied()
    }

    /// The keys that run an action in a context, the one to show first.
    pub fn keys(&self, action: Action, context: Context) -> &[String] {
        self.keys.get(&(context, action)).map_or(&[], Vec::as_slice)
    }

    /// Whether an action does something in a context, with or without a key.
    pub fn counts(&self, action: Action, context: Context) -> bool {
        self.keys.contains_key(&(context, action))
    }

    /// The actions that do something in a context, in the order of the list.
    pub fn in_context(&self, context: Context) -> impl Iterator<Item = &'static Info> {
        ACTIONS.iter().filter(move |info| self.counts(info.action, context))
    }

    /// The key to show for an action, as the screen shows keys; its title in the palette where it has none.
    pub fn shown(&self, action: Action, context: Context) -> String {
        self.keys(action, context).first().map_or_else(|| format!(":{}", action.title()), |key| shown(key))
    }
}

fn is_text(key: &str) -> bool {
    parse(key)
        .is_some_and(|key| matches!(key.code, KeyCode::Char(_)) && (key.modifiers - KeyModifiers::SHIFT).is_empty())
}

/// Parses a key as the action list spells it: `j`, `G`, `space`, `ctrl-r`, `backtab`, `f1`.
pub fn parse(key: &str) -> Option<KeyEvent> {
    let (modifiers, name) = match key {
        _ if key.chars().count() == 1 => (KeyModifiers::NONE, key),
        _ => modified(key),
    };
    let code = match name {
        "space" => KeyCode::Char(' '),
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "backtab" => KeyCode::BackTab,
        "backspace" => KeyCode::Backspace,
        "delete" => KeyCode::Delete,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pageup" => KeyCode::PageUp,
        "pagedown" => KeyCode::PageDown,
        _ => character_or_function(name)?,
    };
    Some(KeyEvent::new(code, modifiers))
}

fn modified(key: &str) -> (KeyModifiers, &str) {
    [("ctrl-", KeyModifiers::CONTROL), ("alt-", KeyModifiers::ALT), ("shift-", KeyModifiers::SHIFT)]
        .into_iter()
        .find_map(|(prefix, modifier)| key.strip_prefix(prefix).map(|name| (modifier, name)))
        .unwrap_or((KeyModifiers::NONE, key))
}

fn character_or_function(name: &str) -> Option<KeyCode> {
    let mut characters = name.chars();
    match (characters.next()?, characters.as_str()) {
        (only, "") => Some(KeyCode::Char(only)),
        ('f', number) => number.parse().ok().map(KeyCode::F),
        _ => None,
    }
}

/// A key without what terminals add differently: Shift on characters (the character says it) and on backtab.
pub fn normal(key: KeyEvent) -> (KeyCode, KeyModifiers) {
    let kept = KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT;
    let mut modifiers = key.modifiers & kept;
    let mut code = key.code;
    match code {
        KeyCode::Tab if modifiers.contains(KeyModifiers::SHIFT) => code = KeyCode::BackTab,
        KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => code = KeyCode::Char(c.to_ascii_lowercase()),
        _ => {}
    }
    if matches!(code, KeyCode::Char(_) | KeyCode::BackTab) {
        modifiers.remove(KeyModifiers::SHIFT);
    }
    (code, modifiers)
}

/// A key as the screen shows it: arrows as arrows, `ctrl-r` as `^r`.
pub fn shown(key: &str) -> String {
    match key {
        "enter" => "⏎".to_owned(),
        "up" => "↑".to_owned(),
        "down" => "↓".to_owned(),
        "left" => "←".to_owned(),
        "right" => "→".to_owned(),
        "tab" => "⇥".to_owned(),
        "backtab" => "⇤".to_owned(),
        "pageup" => "PgUp".to_owned(),
        "pagedown" => "PgDn".to_owned(),
        other => other.strip_prefix("ctrl-").map_or_else(|| other.to_owned(), |letter| format!("^{letter}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(action: Action, context: Option<Context>, keys: &str) -> Rebinding {
        Rebinding { action, context, keys: keys.into() }
    }

    #[test]
    fn every_action_is_described_bound_and_reached_by_each_of_its_keys() {
        let keymap = Keymap::default();
        for info in ACTIONS {
            assert!(!info.title.is_empty() && info.description.ends_with('.'), "{:?}", info.action);
            assert!(!info.bindings.is_empty(), "{:?} has no key", info.action);
            for context in Context::ALL {
                for key in keymap.keys(info.action, context) {
                    let event = parse(key).unwrap_or_else(|| panic!("{key} is no key"));
                    assert_eq!(keymap.action_for(context, event), Some(info.action), "{key} in {context:?}");
                }
            }
        }
    }

    #[test]
    fn no_key_means_two_things_in_a_context() {
        assert_eq!(Keymap::default().index(), Ok(()));
    }

    #[test]
    fn no_key_ends_something_here_and_something_else_there() {
        let keymap = Keymap::default();
        let mut owners: HashMap<(KeyCode, KeyModifiers), Action> = HashMap::new();
        for ((_, action), keys) in keymap.keys.iter().filter(|((_, action), _)| action.is_final()) {
            for key in keys {
                let owner = owners.entry(normal(parse(key).unwrap())).or_insert(*action);
                assert_eq!(owner, action, "{key} ends two different things");
            }
        }
        assert!(owners.len() > 5);
    }

    #[test]
    fn no_character_is_a_command_where_text_is_typed() {
        for context in Context::ALL.into_iter().filter(|context| context.takes_text()) {
            for character in (' '..='~').map(|c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)) {
                assert_eq!(Keymap::default().action_for(context, character), None, "{character:?} in {context:?}");
            }
        }
    }

    #[test]
    fn titles_and_names_are_unique() {
        let keymap = Keymap::default();
        for context in Context::ALL {
            let titles: Vec<_> = keymap.in_context(context).map(|info| info.title).collect();
            let unique: std::collections::HashSet<_> = titles.iter().collect();
            assert_eq!(titles.len(), unique.len(), "{context:?}");
        }
        for info in ACTIONS {
            assert_eq!(Action::named(&info.action.name()), Some(info.action));
        }
        assert_eq!(Action::RankUpMore.name(), "rank-up-more");
    }

    #[test]
    fn topics_stand_together() {
        let mut topics: Vec<_> = ACTIONS.iter().map(|info| info.topic.title()).collect();
        topics.dedup();
        let unique: std::collections::HashSet<_> = topics.iter().collect();
        assert_eq!(topics.len(), unique.len(), "{topics:?}");
    }

    #[test]
    fn shift_is_what_the_character_says() {
        let keymap = Keymap::default();
        let shifted = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT);
        assert_eq!(keymap.action_for(Context::Layers, shifted), Some(Action::End));
        let tab = KeyEvent::new(KeyCode::Tab, KeyModifiers::SHIFT);
        assert_eq!(keymap.action_for(Context::Layers, tab), Some(Action::PreviousPane));
    }

    #[test]
    fn keys_change_where_asked_and_what_cannot_be_is_told() {
        let pressed = |keymap: &Keymap, context, key: &str| keymap.action_for(context, parse(key).unwrap());
        let keymap = Keymap::default()
            .with(&[change(Action::Undo, None, "ctrl-u"), change(Action::PageUp, None, "pageup")])
            .unwrap();
        assert_eq!(pressed(&keymap, Context::Layers, "ctrl-u"), Some(Action::Undo));
        assert_eq!(pressed(&keymap, Context::Layers, "u"), None);
        assert_eq!(keymap.shown(Action::Undo, Context::Layers), "^u");
        let moved = Keymap::default().with(&[change(Action::MoveUp, None, "ctrl-k k")]).unwrap();
        assert_eq!(moved.keys(Action::MoveUp, Context::List), ["ctrl-k"]);
        let none = Keymap::default().with(&[change(Action::Undo, Some(Context::Layers), "")]).unwrap();
        assert!(none.counts(Action::Undo, Context::Layers) && none.shown(Action::Undo, Context::Layers) == ":undo");
        let refused = |change| Keymap::default().with(&[change]).unwrap_err().1;
        assert_eq!(refused(change(Action::Undo, None, "ctl-u")), KeyError::Unknown("ctl-u".into()));
        assert_eq!(refused(change(Action::Interrupt, None, "q")), KeyError::WayOut);
        let list = Some(Context::List);
        assert!(matches!(refused(change(Action::MoveUp, list, "k")), KeyError::Text { .. }));
        assert!(matches!(refused(change(Action::Undo, list, "ctrl-u")), KeyError::Nowhere { .. }));
        assert!(matches!(refused(change(Action::Undo, None, "c")), KeyError::Twice { .. }));
    }
}
