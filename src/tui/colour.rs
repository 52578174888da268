//! Colours for as many as the terminal has: 16 million, 256, 16, or none.

use ratatui::style::Color;

/// How many colours the terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// 16 million.
    True,
    /// The 256 of xterm.
    Indexed,
    /// The 16 of old.
    Basic,
    /// None: `NO_COLOR`, or a terminal without.
    None,
}

impl Depth {
    /// What the terminal on stdout shows, as its environment tells.
    pub fn of_terminal() -> Self {
        match supports_color::on(supports_color::Stream::Stdout) {
            Some(level) if level.has_16m => Self::True,
            Some(level) if level.has_256 => Self::Indexed,
            Some(_) => Self::Basic,
            None => Self::None,
        }
    }
}

/// Whether the terminal's paper is light, as `COLORFGBG` has it (`15;0`, `0;default;15`): the last of its parts is one of the 16
/// colours, of which the greys and the bright ones are light.
pub fn is_light(ink_and_paper: &str) -> Option<bool> {
    let (_, paper) = ink_and_paper.rsplit_once(';')?;
    paper.trim().parse().ok().filter(|paper: &u8| *paper < 16).map(|paper| paper == 7 || paper > 8)
}

/// Reads `#rrggbb name`: the exact colour, and the name (optional) of the one to take where only 16 are shown.
///
/// # Errors
/// What is no colour.
pub fn parse(text: &str, depth: Depth) -> Result<Option<Color>, String> {
    let (exact, basic) = text.split_once(' ').unwrap_or((text, text));
    let read =
        |word: &str| word.parse::<Color>().map_err(|_| format!("\"{word}\" is no colour; write #rrggbb or a name"));
    let (exact, basic) = (read(exact)?, read(basic)?);
    Ok(match (depth, exact) {
        (Depth::None, _) => None,
        (Depth::Indexed, Color::Rgb(r, g, b)) => Some(Color::Indexed(nearest_indexed([r, g, b]))),
        (Depth::Basic, _) => Some(match basic {
            Color::Rgb(r, g, b) => nearest_basic([r, g, b]),
            named => named,
        }),
        _ => Some(exact),
    })
}

/// Whether a text in this ink can be read on this paper: 4.5 : 1, as WCAG asks for. Of colours that the terminal chooses that is
/// not known.
pub fn is_readable(ink: Color, paper: Color) -> bool {
    contrast(ink, paper).is_some_and(|contrast| contrast >= LEAST_CONTRAST)
}

const LEAST_CONTRAST: f64 = 4.5;

/// The contrast of two colours (WCAG 2.2), where both are exact.
pub fn contrast(one: Color, other: Color) -> Option<f64> {
    let (one, other) = (luminance(one)?, luminance(other)?);
    Some((one.max(other) + 0.05) / (one.min(other) + 0.05))
}

/// Relative luminance (WCAG 2.2).
fn luminance(colour: Color) -> Option<f64> {
    let rgb = match colour {
        Color::Rgb(r, g, b) => [r, g, b],
        Color::Indexed(index) => exact(index)?,
        _ => return None,
    };
    let [r, g, b] = rgb.map(|c| {
        let c = f64::from(c) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    });
    Some(0.2126 * r + 0.7152 * g + 0.0722 * b)
}

const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The nearest of the 6 x 6 x 6 cube and the 24 greys; the first 16 differ from terminal to terminal and are left out.
fn nearest_indexed(rgb: [u8; 3]) -> u8 {
    let known = (16_u8..=255).filter_map(|index| exact(index).map(|candidate| (index, candidate)));
    known.min_by_key(|(_, candidate)| distance(rgb, *candidate)).map_or(7, |(index, _)| index)
}

/// One of the 256, but for the first 16.
fn exact(index: u8) -> Option<[u8; 3]> {
    match index {
        ..16 => None,
        16..232 => {
            let place = index - 16;
            Some([place / 36, place / 6 % 6, place % 6].map(step))
        }
        232.. => Some([8 + 10 * (index - 232); 3]),
    }
}

fn step(index: u8) -> u8 {
    STEPS.get(usize::from(index)).copied().unwrap_or_default()
}

fn nearest_basic(rgb: [u8; 3]) -> Color {
    let candidates = [
        (Color::Black, [0, 0, 0]),
        (Color::Red, [170, 0, 0]),
        (Color::Green, [0, 170, 0]),
        (Color::Yellow, [170, 120, 0]),
        (Color::Blue, [0, 0, 200]),
        (Color::Magenta, [170, 0, 170]),
        (Color::Cyan, [0, 170, 170]),
        (Color::Gray, [180, 180, 180]),
        (Color::DarkGray, [100, 100, 100]),
        (Color::White, [255, 255, 255]),
    ];
    candidates
        .into_iter()
        .min_by_key(|(_, candidate)| distance(rgb, *candidate))
        .map_or(Color::Gray, |(colour, _)| colour)
}

fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    a.into_iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_comes_down_the_ladder() {
        let at = |depth| parse("#ff8800 yellow", depth).unwrap();
        assert_eq!(at(Depth::True), Some(Color::Rgb(255, 136, 0)));
        assert_eq!(at(Depth::Indexed), Some(Color::Indexed(208)));
        assert_eq!(at(Depth::Basic), Some(Color::Yellow));
        assert_eq!(at(Depth::None), None);
    }

    #[test]
    fn what_can_be_read_is_known_of_exact_colours() {
        let (white, black) = (Color::Rgb(255, 255, 255), Color::Indexed(16));
        assert_eq!((contrast(white, black), contrast(Color::Reset, black)), (Some(21.0), None));
        assert!(
            is_readable(white, black) && !is_readable(Color::Indexed(238), black) && !is_readable(Color::Red, black)
        );
    }

    #[test]
    fn without_a_name_the_nearest_of_sixteen_is_taken() {
        assert_eq!(parse("#fafafa", Depth::Basic).unwrap(), Some(Color::White));
        assert!(parse("#ff88", Depth::True).is_err());
    }

    #[test]
    fn terminals_that_tell_their_paper_by_the_environment_are_understood() {
        let told = ["15;0", "0;15", "0;default;15", "12;8", "0;7", "default;default", "15", "", "0;99"];
        let read = told.map(is_light);
        assert_eq!(read, [Some(false), Some(true), Some(true), Some(false), Some(true), None, None, None, None]);
    }
}
