//! The line of texts that are kept.

use ratatui::layout::Rect;

use super::paint::{View, fit};
use crate::tui::theme::Role;
use crate::tui::ui::Target;
use crate::workbench::LiveView;

/// A name is no longer than this.
const LONGEST: u16 = 32;
/// What all prompts begin with is left out from so many characters on.
const LONG_START: usize = 8;

/// Draws the names of all texts, the one on the screen set off.
pub fn render(view: &mut View<'_>, area: Rect) {
    let (texts, place) = view.scene.texts;
    let count = u16::try_from(texts.len()).unwrap_or(u16::MAX).max(1);
    let each = (area.width.saturating_sub(1) / count).min(LONGEST);
    let room = usize::from(each.saturating_sub(2));
    let mut x = area.x;
    for (index, name) in names(texts).into_iter().enumerate() {
        let role = if index == place { Role::Cursor } else { Role::Dim };
        let end = view.put(x, area.y, area.right(), &format!(" {} ", fit(&name, room)), role);
        view.hit(Rect { x, y: area.y, width: end.saturating_sub(x), height: 1 }, Target::Text(index));
        x = end;
    }
}

/// Number and beginning of each; where prompts begin alike, what tells them apart.
fn names(texts: &[LiveView]) -> Vec<String> {
    let start = common_start(texts);
    let name = |(index, live): (usize, &LiveView)| {
        let branch = if live.earlier.is_empty() { String::new() } else { format!("↳{} ", live.earlier.len() + 1) };
        let rest = live.prompt.get(start..).filter(|_| start > 0).map(|rest| format!("…{rest}"));
        let prompt = rest.unwrap_or_else(|| live.prompt.clone());
        let harmless: String = prompt.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!("{} {branch}{harmless}", index + 1)
    };
    texts.iter().enumerate().map(name).collect()
}

/// Bytes of whole words that all prompts begin with, where these are long and some prompts differ.
fn common_start(texts: &[LiveView]) -> usize {
    let Some(first) = texts.first().map(|live| live.prompt.as_str()) else { return 0 };
    let mut common = first.len();
    for live in texts {
        let equal = first.chars().zip(live.prompt.chars()).take_while(|(a, b)| a == b);
        common = common.min(equal.map(|(c, _)| c.len_utf8()).sum());
    }
    let words = first.get(..common).and_then(|start| start.rfind(' ')).map_or(0, |space| space + 1);
    let differ = texts.iter().any(|live| live.prompt != first);
    if differ && words >= LONG_START { words } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::LiveToken;

    fn live(prompt: &str, earlier: usize) -> LiveView {
        let earlier = vec![LiveToken { id: 0, text: String::new() }; earlier];
        LiveView { prompt: prompt.into(), earlier, ..LiveView::default() }
    }

    #[test]
    fn a_name_tells_what_the_others_do_not_begin_with() {
        let of = |texts: &[LiveView]| names(texts);
        assert_eq!(of(&[live("Once upon a time a fox", 0), live("Once upon a time a hen", 0)]), ["1 …fox", "2 …hen"]);
        assert_eq!(of(&[live("One fox", 0), live("One\u{1b}hen", 0)]), ["1 One fox", "2 One hen"]);
        assert_eq!(
            of(&[live("Once upon a time", 0), live("Once upon a time", 4)]),
            ["1 Once upon a time", "2 ↳5 Once upon a time"]
        );
        assert_eq!(of(&[live("Éa éternité b", 0), live("Éa éternité ç", 0)]), ["1 …b", "2 …ç"]);
    }
}
