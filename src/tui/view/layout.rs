//! Which region lies where: a ladder of sizes.

use ratatui::layout::Rect;

use crate::tui::ui::Pane;

/// Below this the screen says that it is too small.
pub const MIN_WIDTH: u16 = 40;
/// As above.
pub const MIN_HEIGHT: u16 = 10;
/// Below this height of the body only the focused pane is shown.
pub const MIN_SHARED_HEIGHT: u16 = 15;
/// From this width on the spectrum stands beside the layers.
pub const MIN_BESIDE_WIDTH: u16 = 110;
/// The table's columns need this much.
pub const TABLE_WIDTH: u16 = 80;
/// From this size on the map stands under the spectrum.
pub const MIN_RICH_WIDTH: u16 = 160;
/// As above.
pub const MIN_RICH_HEIGHT: u16 = 44;
/// The texts need no more than this where the layers could use it.
pub const MAX_TEXT_HEIGHT: u16 = 17;
/// With a cursor on a token, the texts take so much for the two distributions there.
pub const READING_HEIGHT: u16 = 17;
/// Less of the layers than this says nothing.
const MIN_LAYERS_HEIGHT: u16 = 4;
/// From this height on the header is set off by an empty line.
pub const MIN_AIRY_HEIGHT: u16 = 30;

/// Where everything lies; what has no room is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Regions {
    /// The header.
    pub header: Rect,
    /// The layers.
    pub layers: Option<Rect>,
    /// The spectrum.
    pub spectrum: Option<Rect>,
    /// A map of its own, beside the table.
    pub map: Option<Rect>,
    /// The texts.
    pub text: Option<Rect>,
    /// The footer's line.
    pub footer: Rect,
}

/// Lays the screen out; `None` where it is too small. `reading`: a token of a text is looked at.
pub fn regions(area: Rect, focus: Pane, lower: Pane, zoomed: bool, reading: bool) -> Option<Regions> {
    if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
        return None;
    }
    let header_height = if area.height >= MIN_AIRY_HEIGHT { 3 } else { 2 };
    let (header, rest) = split_rows(area, header_height);
    let (body, footer) = split_rows(rest, rest.height - 1);
    let header = Rect { height: 2, ..header };
    let empty = Regions { header, footer, ..Regions::default() };
    let crowded = reading && body.height < READING_HEIGHT + MIN_LAYERS_HEIGHT;
    Some(if zoomed || body.height < MIN_SHARED_HEIGHT || crowded {
        alone(empty, body, focus)
    } else if area.width < MIN_BESIDE_WIDTH {
        let upper = body.height * 52 / 100;
        let upper = if reading { upper.min(body.height - READING_HEIGHT) } else { upper };
        let (upper, below) = split_rows(body, upper);
        let regions = Regions { layers: Some(upper), ..empty };
        if lower == Pane::Spectrum {
            Regions { spectrum: Some(below), ..regions }
        } else {
            Regions { text: Some(below), ..regions }
        }
    } else {
        let text_height = (body.height * 44 / 100).min(MAX_TEXT_HEIGHT);
        let text_height = if reading { text_height.max(READING_HEIGHT) } else { text_height };
        shared(empty, body, text_height, area.width >= MIN_RICH_WIDTH && area.height >= MIN_RICH_HEIGHT)
    })
}

fn alone(empty: Regions, body: Rect, focus: Pane) -> Regions {
    match focus {
        Pane::Layers => Regions { layers: Some(body), ..empty },
        Pane::Spectrum => Regions { spectrum: Some(body), ..empty },
        Pane::Text => Regions { text: Some(body), ..empty },
    }
}

fn shared(empty: Regions, body: Rect, text_height: u16, rich: bool) -> Regions {
    let (upper, text) = split_rows(body, body.height - text_height);
    let (layers, right) = split_columns(upper, TABLE_WIDTH.max(upper.width * 60 / 100));
    let regions = Regions { layers: Some(layers), text: Some(text), ..empty };
    if !rich {
        return Regions { spectrum: Some(right), ..regions };
    }
    let (spectrum, map) = split_rows(right, right.height * 62 / 100);
    Regions { spectrum: Some(spectrum), map: Some(map), ..regions }
}

fn split_rows(area: Rect, first: u16) -> (Rect, Rect) {
    let first = first.min(area.height);
    (Rect { height: first, ..area }, Rect { y: area.y + first, height: area.height - first, ..area })
}

/// Two columns with a gap of two between them.
fn split_columns(area: Rect, first: u16) -> (Rect, Rect) {
    let first = first.min(area.width);
    let gap = 2.min(area.width - first);
    (Rect { width: first, ..area }, Rect { x: area.x + first + gap, width: area.width - first - gap, ..area })
}

/// A rectangle of at most this size in the middle of `area`.
pub fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ladder() {
        let at = |width, height| regions(Rect::new(0, 0, width, height), Pane::Layers, Pane::Text, false, false);
        assert_eq!(at(20, 6), None);
        let small = at(60, 16).unwrap();
        assert!(small.layers.is_some() && small.text.is_none());
        let useful = at(80, 24).unwrap();
        assert!(useful.layers.is_some() && useful.text.is_some() && useful.spectrum.is_none());
        let comfortable = at(120, 36).unwrap();
        assert!(comfortable.spectrum.is_some() && comfortable.text.is_some() && comfortable.map.is_none());
        assert!(at(200, 50).unwrap().map.is_some());
    }

    #[test]
    fn a_text_that_is_read_token_by_token_has_room_for_it_or_all_of_it() {
        for (width, height) in [(80, 24), (120, 24), (120, 36), (200, 50)] {
            let found = regions(Rect::new(0, 0, width, height), Pane::Text, Pane::Text, false, true).unwrap();
            assert!(found.text.unwrap().height >= READING_HEIGHT && found.layers.unwrap().height >= MIN_LAYERS_HEIGHT);
        }
        let low = regions(Rect::new(0, 0, 120, 22), Pane::Text, Pane::Text, false, true).unwrap();
        assert!(low.layers.is_none() && low.text.unwrap().height == 19);
    }

    proptest! {
        #[test]
        fn regions_stay_on_the_screen_and_apart(width in 0_u16..400, height in 0_u16..200, zoomed: bool, reading: bool, focus in 0..3_usize) {
            let area = Rect::new(0, 0, width, height);
            let focus = Pane::ALL[focus];
            let lower = if focus == Pane::Spectrum { focus } else { Pane::Text };
            if let Some(found) = regions(area, focus, lower, zoomed, reading) {
                let all = [Some(found.header), found.layers, found.spectrum, found.map, found.text, Some(found.footer)];
                let all: Vec<Rect> = all.into_iter().flatten().collect();
                for (i, one) in all.iter().enumerate() {
                    prop_assert_eq!(one.intersection(area), *one);
                    for other in &all[i + 1..] {
                        prop_assert!(!one.intersects(*other));
                    }
                }
            }
        }
    }
}
