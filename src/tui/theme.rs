//! Themes: styles by meaning, from `themes/*.toml`, for as many colours as the terminal has.

use std::collections::BTreeMap;

use ratatui::style::{Modifier, Style};
use serde::Deserialize;

use super::colour::{self, Depth};

macro_rules! roles {
    ($($role:ident $key:literal $description:literal;)+) => {
        /// What a style means.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Role { $(#[doc = $description] $role,)+ }

        impl Role {
            /// Every role with its key in a theme's file.
            pub const ALL: &[(Self, &str)] = &[$((Self::$role, $key),)+];
        }
    };
}

roles! {
    Ground "ground" "Ink and paper of the whole screen; plain: the terminal's own.";
    Text "text" "Ordinary text.";
    Dim "dim" "What matters less: rules, units, column heads.";
    Accent "accent" "The one accent: the focused pane, the program's name.";
    Title "title" "Titles and names.";
    Cursor "cursor" "The line under the cursor.";
    CursorAway "cursor_away" "The line under the cursor of a pane that has not the focus.";
    Mark "mark" "Selected layers.";
    Changed "changed" "A plan that is not dense.";
    Good "good" "A figure that is fine.";
    Fair "fair" "A figure to look at.";
    Bad "bad" "A figure that warns.";
    Prompt "prompt" "The prompt within a text.";
    Differs "differs" "Text that differs from the original's.";
    First "first" "The marker of the first difference.";
    Looping "looping" "Text that repeats itself.";
    Curve "curve" "Singular values that are kept.";
    Beyond "beyond" "Singular values that are cut off.";
    ErrorCurve "error_curve" "The curve of error against rank.";
    Cut "cut" "The line at the current rank.";
    Noise "noise" "The noise edge.";
    Key "key" "Keys in the footer and the help.";
    Input "input" "A field that is being typed into.";
    Popup "popup" "The frame of a dialog.";
    Info "info" "A message.";
    Warning "warning" "A warning.";
    Error "error" "A failure.";
}

/// One theme, ready to draw with.
#[derive(Debug, Clone, PartialEq)]
pub struct Theme {
    /// Its name.
    pub name: String,
    styles: Vec<Style>,
}

/// Why a theme could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ThemeError {
    /// The file is not what it should be.
    #[error("theme {name}: {reason}")]
    File {
        /// The theme.
        name: String,
        /// What and where.
        reason: String,
    },
    /// No theme of that name.
    #[error("no theme \"{name}\"; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own in the theme's file")]
struct StyleText {
    fg: Option<String>,
    bg: Option<String>,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    reversed: bool,
}

/// The themes that are part of the program: name and text.
pub const EMBEDDED: [(&str, &str); 10] = [
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("monochrome", include_str!("../../themes/monochrome.toml")),
    ("catppuccin", include_str!("../../themes/catppuccin.toml")),
    ("gruvbox", include_str!("../../themes/gruvbox.toml")),
    ("nord", include_str!("../../themes/nord.toml")),
    ("solarized-dark", include_str!("../../themes/solarized-dark.toml")),
    ("solarized-light", include_str!("../../themes/solarized-light.toml")),
    ("tokyo-night", include_str!("../../themes/tokyo-night.toml")),
];

impl Theme {
    /// An embedded theme for a terminal of so many colours. Without any colour every theme is the monochrome one, which tells
    /// by weight, underline and reversal what the others tell by colour.
    ///
    /// # Errors
    /// [`ThemeError`].
    pub fn embedded(name: &str, depth: Depth) -> Result<Self, ThemeError> {
        let source = if depth == Depth::None { "monochrome" } else { name };
        let unknown = || ThemeError::Unknown { name: name.to_owned(), known: names().collect::<Vec<_>>().join(", ") };
        if !names().any(|known| known == name) {
            return Err(unknown());
        }
        let (_, text) = EMBEDDED.iter().find(|(known, _)| *known == source).ok_or_else(unknown)?;
        Ok(Self { name: name.to_owned(), ..Self::parse(source, text, depth)? })
    }

    /// Reads a theme's text; roles that it leaves out stay plain.
    ///
    /// # Errors
    /// [`ThemeError::File`] with the line or the role.
    pub fn parse(name: &str, text: &str, depth: Depth) -> Result<Self, ThemeError> {
        let failed = |reason: String| ThemeError::File { name: name.to_owned(), reason };
        let file: BTreeMap<String, StyleText> =
            toml::from_str(text).map_err(|error| failed(error.to_string().replace('\n', " ")))?;
        if let Some(key) = file.keys().find(|key| !Role::ALL.iter().any(|(_, known)| known == key)) {
            return Err(failed(format!("unknown role \"{key}\"")));
        }
        let style = |(_, key): &(Role, &str)| file.get(*key).map_or(Ok(Style::new()), |text| text.style(depth));
        let mut styles: Vec<Style> = Role::ALL.iter().map(style).collect::<Result<_, _>>().map_err(failed)?;
        // Sixteen colours have no shade of the paper that every text could be read on.
        if let Some(away) = styles.get_mut(Role::CursorAway as usize).filter(|_| depth == Depth::Basic) {
            *away = Style { fg: None, bg: None, ..away.add_modifier(Modifier::UNDERLINED) };
        }
        Ok(Self { name: name.to_owned(), styles })
    }

    /// The style of a role.
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(role as usize).copied().unwrap_or_default()
    }

    /// The name of the theme after this one.
    pub fn next_name(&self) -> &'static str {
        let here = names().position(|name| name == self.name).unwrap_or_default();
        names().cycle().nth(here + 1).unwrap_or("dark")
    }
}

/// The names of the embedded themes.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    EMBEDDED.iter().map(|(name, _)| *name)
}

impl StyleText {
    fn style(&self, depth: Depth) -> Result<Style, String> {
        let mut style = Style::new();
        style.fg = self.fg.as_deref().map(|text| colour::parse(text, depth)).transpose()?.flatten();
        style.bg = self.bg.as_deref().map(|text| colour::parse(text, depth)).transpose()?.flatten();
        let modifiers = [
            (self.bold, Modifier::BOLD),
            (self.dim, Modifier::DIM),
            (self.italic, Modifier::ITALIC),
            (self.underline, Modifier::UNDERLINED),
            (self.reversed, Modifier::REVERSED),
        ];
        Ok(modifiers.into_iter().filter(|(wanted, _)| *wanted).fold(style, |style, (_, one)| style.add_modifier(one)))
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::Color;

    use super::*;

    #[test]
    fn every_embedded_theme_styles_every_role() {
        for (name, text) in EMBEDDED {
            let theme = Theme::parse(name, text, Depth::True).unwrap();
            let file: BTreeMap<String, StyleText> = toml::from_str(text).unwrap();
            for (role, key) in Role::ALL {
                assert!(file.contains_key(*key), "{name} lacks {key}");
                let Style { fg, bg, .. } = theme.style(*role);
                let lies_over = matches!(role, Role::Cursor | Role::CursorAway | Role::Input | Role::First);
                assert!(bg.is_none() || lies_over || *role == Role::Ground, "{name} {key}");
                // A dark theme may be drawn on a light terminal that does not tell its background.
                assert!(bg.is_none() || fg.is_some(), "{name} {key} has paper and the terminal's ink");
            }
        }
    }

    #[test]
    fn text_stands_out_from_its_paper() {
        for (name, text) in EMBEDDED.iter().filter(|(name, _)| !["high-contrast", "monochrome"].contains(name)) {
            let theme = Theme::parse(name, text, Depth::True).unwrap();
            // Ours leave the terminal's background as it is; this is what they are made for.
            let usual = if *name == "light" { Color::Rgb(255, 255, 255) } else { Color::Rgb(13, 17, 23) };
            let paper = theme.style(Role::Ground).bg.unwrap_or(usual);
            // What lies beyond the cut is bars, not text.
            for (role, key) in Role::ALL.iter().filter(|(role, _)| *role != Role::Beyond) {
                let style = theme.style(*role);
                let Some(ink) = style.fg else { continue };
                let found = colour::contrast(ink, style.bg.unwrap_or(paper)).unwrap();
                assert!(found >= 4.5, "{name} {key}: {found:.2}");
            }
        }
    }

    #[test]
    fn what_warns_and_what_is_changed_keep_their_colour_under_the_cursor_of_another_pane() {
        for name in names().filter(|name| !["high-contrast", "monochrome"].contains(name)) {
            let theme = Theme::embedded(name, Depth::True).unwrap();
            let paper = theme.style(Role::CursorAway).bg.unwrap();
            for role in [Role::Accent, Role::Mark, Role::Changed, Role::Good, Role::Fair, Role::Bad] {
                let ink = theme.style(role).fg.unwrap();
                assert!(colour::is_readable(ink, paper), "{name} {role:?}: {:?}", colour::contrast(ink, paper));
            }
        }
    }

    #[test]
    fn without_colour_no_theme_has_any() {
        for name in names() {
            let theme = Theme::embedded(name, Depth::None).unwrap();
            for (role, _) in Role::ALL {
                assert_eq!((theme.style(*role).fg, theme.style(*role).bg), (None, None), "{name} {role:?}");
            }
            assert!(theme.style(Role::Cursor).add_modifier.contains(Modifier::REVERSED));
        }
    }

    #[test]
    fn what_differs_is_told_without_colour_in_every_theme() {
        for (name, text) in EMBEDDED {
            let theme = Theme::parse(name, text, Depth::True).unwrap();
            assert!(theme.style(Role::Differs).add_modifier.contains(Modifier::UNDERLINED), "{name}");
        }
    }

    #[test]
    fn with_sixteen_colours_the_cursor_of_another_pane_is_underlined() {
        for name in names() {
            let away = Theme::embedded(name, Depth::Basic).unwrap().style(Role::CursorAway);
            assert!(
                away.fg.is_none() && away.bg.is_none() && away.add_modifier.contains(Modifier::UNDERLINED),
                "{name}"
            );
        }
    }

    #[test]
    fn mistakes_are_named() {
        let unknown = Theme::parse("own", "txet = { fg = \"red\" }", Depth::True).unwrap_err().to_string();
        assert_eq!(unknown, "theme own: unknown role \"txet\"");
        let colour = Theme::parse("own", "text = { fg = \"reddish\" }", Depth::True).unwrap_err().to_string();
        assert!(colour.contains("reddish"), "{colour}");
        assert!(Theme::embedded("darkest", Depth::True).unwrap_err().to_string().contains("high-contrast"));
    }
}
