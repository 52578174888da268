//! Keys as text and back, and what a key means in a context.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::{ACTIONS, Action};
use super::context::Context;

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

/// What `key` does in `context`.
pub fn action_for(context: Context, key: KeyEvent) -> Option<Action> {
    let pressed = normal(key);
    let means = |name: &str| parse(name).map(normal) == Some(pressed);
    ACTIONS.iter().find(|info| info.keys_in(context).any(means)).map(|info| info.action)
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
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_action_is_described_bound_and_reached_by_each_of_its_keys() {
        for info in ACTIONS {
            assert!(!info.title.is_empty() && info.description.ends_with('.'), "{:?}", info.action);
            assert!(!info.bindings.is_empty(), "{:?} has no key", info.action);
            for context in Context::ALL {
                for key in info.keys_in(context) {
                    let event = parse(key).unwrap_or_else(|| panic!("{key} is no key"));
                    assert_eq!(action_for(context, event), Some(info.action), "{key} in {context:?}");
                }
            }
        }
    }

    #[test]
    fn no_key_means_two_things_in_a_context() {
        for context in Context::ALL {
            let mut owners = HashMap::new();
            for info in ACTIONS {
                for key in info.keys_in(context) {
                    let key = normal(parse(key).unwrap());
                    assert_eq!(owners.insert(key, info.action), None, "{key:?} is bound twice in {context:?}");
                }
            }
        }
    }

    #[test]
    fn no_character_is_a_command_where_text_is_typed() {
        for context in Context::ALL.into_iter().filter(|context| context.takes_text()) {
            for character in (' '..='~').map(|c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)) {
                assert_eq!(action_for(context, character), None, "{character:?} in {context:?}");
            }
        }
    }

    #[test]
    fn titles_are_unique_among_the_commands_of_a_context() {
        for context in Context::ALL {
            let titles: Vec<_> = ACTIONS.iter().filter(|info| info.counts_in(context)).map(|info| info.title).collect();
            let unique: std::collections::HashSet<_> = titles.iter().collect();
            assert_eq!(titles.len(), unique.len(), "{context:?}");
        }
    }

    #[test]
    fn shift_is_what_the_character_says() {
        let shifted = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT);
        assert_eq!(action_for(Context::Layers, shifted), Some(Action::End));
        let tab = KeyEvent::new(KeyCode::Tab, KeyModifiers::SHIFT);
        assert_eq!(action_for(Context::Layers, tab), Some(Action::PreviousPane));
    }
}
