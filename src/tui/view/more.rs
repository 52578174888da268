//! The sign that a list goes on beyond what is shown of it.

use ratatui::layout::Rect;

use super::paint::View;
use crate::tui::theme::Role;

const THUMB: &str = "┃";

/// Draws a bar at column `x` beside `list`: which of its `lines` lines are shown, from `first` on. None where all are.
pub fn bar(view: &mut View<'_>, x: u16, list: Rect, first: usize, lines: usize) {
    let Some((start, length)) = thumb(usize::from(list.height), first, lines) else { return };
    for y in (list.y..list.bottom()).skip(start).take(length) {
        view.put(x, y, x + 1, THUMB, Role::Title);
    }
}

/// As [`bar`], on the frame of the dialog that the list ends at.
pub fn on_frame(view: &mut View<'_>, list: Rect, first: usize, lines: usize) {
    bar(view, list.right() + 1, list, first, lines);
}

/// Where the thumb begins and how long it is; it touches an end only where the list does.
fn thumb(height: usize, first: usize, lines: usize) -> Option<(usize, usize)> {
    if lines <= height || height == 0 {
        return None;
    }
    let length = (height * height / lines).clamp(1, height.saturating_sub(1).max(1));
    let (free, hidden) = (height - length, lines - height);
    let start = match first.min(hidden) {
        0 => 0,
        first if first == hidden => free,
        first => (free * first / hidden).clamp(1, free.saturating_sub(1).max(1)).min(free),
    };
    Some((start, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_shown_whole_has_no_bar() {
        assert_eq!((thumb(5, 0, 5), thumb(0, 0, 9), thumb(5, 0, 0)), (None, None, None));
    }

    #[test]
    fn the_thumb_touches_an_end_only_where_the_list_does() {
        assert_eq!((thumb(10, 0, 20), thumb(10, 10, 20)), (Some((0, 5)), Some((5, 5))));
        for (height, lines) in [(3, 4), (4, 400), (22, 36), (10, 5000)] {
            for first in 0..=lines - height {
                let (start, length) = thumb(height, first, lines).unwrap();
                assert!(start + length <= height && length > 0);
                let (top, bottom) = (start == 0, start + length == height);
                let roomy = height - length >= 2;
                assert!((first > 0 || top) && (first < lines - height || bottom), "{height} {lines} {first}");
                assert!(
                    !roomy || (top == (first == 0) && bottom == (first == lines - height)),
                    "{height} {lines} {first}"
                );
            }
        }
    }
}
