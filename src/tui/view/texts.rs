//! The two texts, side by side line by line, each under its head.

use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::Alignment;
use super::abreast::wrap_abreast;
use super::more;
use super::paint::{View, width};
use super::pieces::{Ink, Text};
use super::table::offset;
use super::wrap::Piece;
use crate::linalg::Arithmetic;
use crate::tui::action::Action;
use crate::tui::format;
use crate::tui::theme::Role;
use crate::tui::ui::Target;
use crate::workbench::{LiveView, Pane};

/// From this width on a text's head says how it is written.
const MIN_NAMED_WIDTH: u16 = 52;
/// All policies stand side by side where each text has so much.
const MIN_COLUMN_WIDTH: u16 = 28;
const LOOP: &str = "↻";
/// Before a text that lies above what is shown.
const ABOVE: &str = "↑";

type Lines = Vec<Vec<Piece<Ink>>>;

/// Which text stands in a column: none, the original's; else that of a policy of the run.
type Side = Option<usize>;

/// Draws the original's text and, unless `alone`, those of the policies beside it, such that the cursor is seen; in the column
/// `bar`, how much lies above and below.
pub fn render(view: &mut View<'_>, area: Rect, bar: u16, cursor: Option<usize>, alone: bool) {
    if area.height < 2 {
        return;
    }
    let sides = sides(view, area.width, cursor.is_some(), alone);
    let columns = columns(area, u16::try_from(sides.len()).unwrap_or(1));
    for column in columns.iter().skip(1) {
        for y in area.y..area.bottom() {
            view.put(column.x.saturating_sub(1), y, area.right(), "│", Role::Dim);
        }
    }
    for (column, side) in columns.iter().zip(&sides) {
        head(view, *column, *side);
    }
    let texts = wrapped(view, &sides, cursor, &columns);
    let writing: Vec<bool> = sides.iter().map(|side| is_writing(view, *side)).collect();
    scroll(view, usize::from(area.height - 1), cursor, &texts, &writing);
    for (place, (column, lines)) in columns.iter().zip(&texts).enumerate() {
        body(view, *column, lines, place == 0);
    }
    let longest = texts.iter().map(Vec::len).max().unwrap_or_default();
    let below = Rect { y: area.y + 1, height: area.height - 1, ..area };
    more::bar(view, bar, below, view.facts.text_first, longest);
    if let Some(column) = columns.first() {
        empty_hint(view, *column);
    }
}

/// What has room: the original and all policies, those pinned first, or the one that is looked at.
fn sides(view: &View<'_>, width: u16, cursor: bool, alone: bool) -> Vec<Side> {
    let rivals = view.scene.run.rivals.len();
    let all = u16::try_from(rivals + 2).unwrap_or(u16::MAX).saturating_mul(MIN_COLUMN_WIDTH) <= width;
    let policies: Vec<Side> = match alone {
        true => Vec::new(),
        false if all && !cursor => (1..=rivals).chain([0]).map(Some).collect(),
        false => vec![Some(view.ui.policy_of(view.scene.run))],
    };
    [None].into_iter().chain(policies).collect()
}

/// The run as a policy has it.
fn run_of(run: &LiveView, policy: usize) -> &LiveView {
    policy.checked_sub(1).and_then(|rival| run.rivals.get(rival)).unwrap_or(run)
}

/// Whether a text may still grow.
fn is_writing(view: &View<'_>, side: Side) -> bool {
    let run = view.scene.run;
    run.running && pane_of(run_of(run, side.unwrap_or_default()), side).ended.is_none()
}

/// The text of a side.
fn pane_of(live: &LiveView, side: Side) -> &Pane {
    if side.is_some() { &live.compressed } else { &live.original }
}

/// So many columns with a line between them.
fn columns(area: Rect, count: u16) -> Vec<Rect> {
    let each = area.width.saturating_sub(count - 1) / count;
    (0..count)
        .map(|place| {
            let x = area.x + place * (each + 1);
            let width = if place + 1 == count { area.right().saturating_sub(x) } else { each };
            Rect { x, width, ..area }
        })
        .collect()
}

/// The texts as lines, all of one width.
fn wrapped(view: &View<'_>, sides: &[Side], cursor: Option<usize>, columns: &[Rect]) -> Vec<Lines> {
    let width = columns.iter().map(|column| column.width).min().unwrap_or_default();
    let texts: Vec<_> = sides.iter().map(|side| pieces(view, *side, cursor)).collect();
    let mut texts = wrap_abreast(&texts, usize::from(width.saturating_sub(2)));
    for lines in &mut texts {
        let used = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        lines.truncate(used);
    }
    texts
}

fn pieces(view: &View<'_>, side: Side, cursor: Option<usize>) -> Vec<Piece<Ink>> {
    let policy = side.unwrap_or_else(|| view.ui.policy_of(view.scene.run));
    let live = run_of(view.scene.run, policy);
    let words = view.facts.alignments.get(policy);
    let text = Text {
        pane: pane_of(live, side),
        branch: !live.earlier.is_empty(),
        first: live.first_difference.unwrap_or(usize::MAX),
        differs: words.map_or(&[], |words| words.differs(side.is_some())),
        meets: side.is_some().then(|| words.map_or(&[][..], Alignment::meets)),
        plan_changes: if side.is_some() { &live.plan_changes } else { &[] },
        cursor: cursor.filter(|_| side.is_none()),
    };
    text.pieces(live)
}

/// Finds the first line that is shown, and leaves behind where the tokens stand. Unless one has scrolled, the end is seen of
/// the text that is least far of those still written, and of the longest once all are done.
fn scroll(view: &mut View<'_>, page: usize, cursor: Option<usize>, texts: &[Lines], writing: &[bool]) {
    let longest = texts.iter().map(Vec::len).max().unwrap_or_default();
    view.facts.text_page = page;
    view.facts.text_overflow = longest.saturating_sub(page);
    view.facts.places = texts.first().map(places).unwrap_or_default();
    let place = cursor.and_then(|cursor| view.facts.places.get(cursor));
    let end = texts.iter().zip(writing).filter(|(_, writing)| **writing).map(|(lines, _)| lines.len()).min();
    view.facts.text_first = match place {
        Some((line, _)) => offset(view.facts.text_first, *line, page, longest),
        None => end.unwrap_or(longest).saturating_sub(view.ui.text_scroll.min(view.facts.text_overflow) + page),
    };
}

/// Line and column at which each token begins; a token without a text of its own stands where the next one does.
fn places(lines: &Lines) -> Vec<(usize, u16)> {
    let mut places = Vec::new();
    for (line, pieces) in lines.iter().enumerate() {
        let mut column = 0;
        for (text, ink) in pieces {
            while ink.token.is_some_and(|token| places.len() <= token) {
                places.push((line, column));
            }
            column += width(text);
        }
    }
    places
}

/// Draws the lines that are in sight; the tokens of the original's can be clicked.
fn body(view: &mut View<'_>, area: Rect, lines: &Lines, original: bool) {
    let first = view.facts.text_first;
    if !lines.is_empty() && first >= lines.len() {
        let above = format::plural(first + 1 - lines.len(), "line");
        view.put(area.x + 1, area.y + 1, area.right(), &format!("{ABOVE} ends {above} above"), Role::Dim);
    }
    for (y, line) in (area.y + 1..area.bottom()).zip(lines.iter().skip(first)) {
        let mut x = area.x + 1;
        for (text, ink) in line {
            let style = view.style(ink.role);
            let style = if ink.chosen { style.add_modifier(Modifier::REVERSED | Modifier::BOLD) } else { style };
            let end = view.put_styled(x, y, area.right(), text, style);
            if let Some(token) = ink.token.filter(|_| original) {
                view.hit(Rect { x, y, width: end - x, height: 1 }, Target::Token(token));
            }
            x = end;
        }
    }
}

fn empty_hint(view: &mut View<'_>, area: Rect) {
    let live = view.scene.live;
    let Some(opened) = view.scene.opened else { return };
    if let Some(reason) = opened.cannot_generate.as_ref().or(live.error.as_ref()) {
        let text = crate::checkpoint::escaped(reason, 400);
        let below = Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height - 1 };
        view.paragraph(below, &text, Role::Warning);
    } else if live.prompt.is_empty() && !live.running {
        let hint = format!("{} lets both models write", view.key(Action::Generate));
        view.put(area.x + 1, area.y + 1, area.right(), &hint, Role::Dim);
    }
}

/// What stands over a text. Of several policies each has its name and its mean KLD, the one that is looked at is set off.
fn head(view: &mut View<'_>, area: Rect, side: Side) {
    let run = view.scene.run;
    let live = run_of(run, side.unwrap_or_default());
    let pane = pane_of(live, side);
    let looked_at = !run.rivals.is_empty() && side == Some(view.ui.policy_of(run));
    let role = if looked_at { Role::Accent } else { Role::Title };
    let name = name(view, live, side, area.width);
    let after = view.put(area.x + 1, area.y, area.right(), &name, role);
    if let Some(policy) = side.filter(|_| !run.rivals.is_empty()) {
        view.hit(Rect { height: 1, ..area }, Target::Policy(policy));
    }
    let mut end = area.right().saturating_sub(1);
    for (text, role) in notes(pane, usize::from(end.saturating_sub(after + 1))).into_iter().rev() {
        end = view.put_right(after + 1, area.y, end, &text, role).saturating_sub(2);
    }
}

/// What is to be told of a text in so many columns, in the order in which it is shown.
fn notes(pane: &Pane, room: usize) -> Vec<(String, Role)> {
    let looping = pane.looping.map(|found| (format!("{LOOP} loop of {} × {}", found.period, found.repeats), Role::Bad));
    let speed = pane.tokens_per_s.map(|speed| (format!("{speed:.0} tok/s"), Role::Dim));
    let in_words = |reason: &'static str| match reason {
        "loop" => "stopped",
        // The model wrote its token for the end.
        "eos" => "ended",
        other => other,
    };
    let reason = pane.ended.map(|reason| (in_words(reason).to_owned(), Role::Dim));
    // By how much each says: a loop most.
    let mut notes: Vec<(u8, (String, Role))> = [(3, looping), (1, speed), (2, reason)]
        .into_iter()
        .filter_map(|(weight, note)| note.map(|note| (weight, note)))
        .collect();
    let wide =
        |notes: &[(u8, (String, Role))]| notes.iter().map(|(_, (text, _))| usize::from(width(text)) + 2).sum::<usize>();
    while wide(&notes) > room + 1 {
        let least = notes.iter().map(|(weight, _)| *weight).min();
        notes.retain(|(weight, _)| Some(*weight) != least);
    }
    notes.into_iter().map(|(_, note)| note).collect()
}

/// What a policy is called among several: its letter, or that it is the plans as they are.
pub fn policy_name(live: &LiveView) -> String {
    live.policy.map_or_else(|| "now".to_owned(), |letter| letter.to_string())
}

fn name(view: &View<'_>, live: &LiveView, side: Side, width: u16) -> String {
    let (several, arithmetic) = (!view.scene.run.rivals.is_empty(), view.scene.arithmetic);
    let fixed = view.scene.opened.is_some_and(|opened| opened.fixed);
    match side {
        None if fixed => "as opened".to_owned(),
        None => "original".to_owned(),
        Some(_) if several => {
            let name = policy_name(live);
            let known = live.means.count > 0;
            if known { format!("{name} · KLD {}", format::figure(live.means.kld)) } else { name }
        }
        Some(_) if fixed && view.scene.totals.changed == 0 => "the same".to_owned(),
        Some(_) if width < MIN_NAMED_WIDTH => "compressed".to_owned(),
        Some(_) if arithmetic == Arithmetic::Fast => "compressed, fast arithmetic".to_owned(),
        Some(_) => "compressed, writing freely".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_has_a_place_also_where_it_shows_nothing() {
        let ink = |token| Ink { role: Role::Text, token, chosen: false, meets: None };
        let line = vec![("ab".to_owned(), ink(None)), ("c".to_owned(), ink(Some(0))), ("d".to_owned(), ink(Some(2)))];
        assert_eq!(places(&vec![vec![], line, vec![("e".to_owned(), ink(Some(3)))]]), [(1, 2), (1, 3), (1, 3), (2, 0)]);
    }

    #[test]
    fn columns_fill_the_width() {
        let of =
            |width, count| columns(Rect::new(3, 0, width, 2), count).iter().map(|c| (c.x, c.width)).collect::<Vec<_>>();
        assert_eq!(of(80, 2), [(3, 39), (43, 40)]);
        assert_eq!(of(9, 1), [(3, 9)]);
        assert_eq!(of(0, 2), [(3, 0), (4, 0)]);
    }
}
