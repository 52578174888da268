//! A policy found for a budget: what it would change, layer by layer.

use ratatui::layout::Rect;

use super::more;
use super::paint::{View, fit, fit_end, width};
use super::popup;
use super::table::offset;
use crate::checkpoint::escaped;
use crate::compress::{Plan, Wording};
use crate::measure::{Notation, Priced};
use crate::tui::theme::Role;
use crate::tui::ui::Target;
use crate::tui::{column, format};
use crate::workbench::{Change, Review};

/// Width with the frame, unless plans need more.
const USUAL_WIDTH: u16 = 130;
/// Columns that a frame takes.
const FRAME_WIDTH: u16 = 4;
/// From this width within the frame on, bytes have columns of their own and words are written out.
const MIN_WORDY_WIDTH: u16 = 84;
const MARK_WIDTH: u16 = 5;
const BYTES_WIDTH: u16 = 9;
const DAMAGE_WIDTH: u16 = 9;
/// Names, or block and kind where there is no room for them.
const MIN_NAME_WIDTH: u16 = 28;
const SHORT_NAME_WIDTH: u16 = 9;
/// Lines about the change under the cursor.
const DETAILS: u16 = 5;
/// Below this height within the frame they do not repeat what its line says.
const MIN_FULL_HEIGHT: u16 = 16;
/// Lines of them that do.
const REPEATED: u16 = 2;
/// Below this height within the frame they are left out.
const MIN_DETAILED_HEIGHT: u16 = 11;

/// Where a line's parts lie.
#[derive(Debug, Clone, Copy)]
struct Columns {
    name: u16,
    now: u16,
    proposed: u16,
    /// With the bytes.
    wordy: bool,
    /// With names, not block and kind.
    named: bool,
    /// In how many words plans are told.
    wording: Wording,
    /// How KLDs are written.
    notation: Notation,
}

/// Draws the review.
pub fn render(view: &mut View<'_>, area: Rect, chosen: usize) {
    let Some(review) = view.scene.review else { return };
    let wide = full_width(review).saturating_add(FRAME_WIDTH).max(USUAL_WIDTH);
    let inner = popup::frame(view, area, (wide, area.height), &format!("Plan within {}", review.label));
    if inner.height < 3 {
        return;
    }
    let columns = columns(review, inner.width);
    totals(view, inner, review, columns.notation);
    let details = match inner.height {
        MIN_FULL_HEIGHT.. => DETAILS + 1,
        MIN_DETAILED_HEIGHT.. => DETAILS + 1 - REPEATED,
        _ => 0,
    };
    head(view, Rect { y: inner.y + 1, height: 1, ..inner }, columns);
    let list = Rect { y: inner.y + 2, height: inner.height - 2 - details, ..inner };
    let height = usize::from(list.height);
    let first = offset(chosen.saturating_sub(height / 2), chosen, height, review.changes.len());
    for (y, (index, change)) in (list.y..list.bottom()).zip(review.changes.iter().enumerate().skip(first)) {
        line(view, Rect { y, height: 1, ..list }, columns, change, index);
        if index == chosen {
            view.put(list.x, y, list.right(), "▸", Role::Accent);
            view.tint(Rect { y, height: 1, ..list }, Role::Cursor);
        }
    }
    more::on_frame(view, list, first, review.changes.len());
    if let Some(change) = review.changes.get(chosen).filter(|_| details > 0) {
        detail(view, Rect { y: list.bottom(), height: details, ..inner }, change, columns.notation);
    }
}

/// The sums of what is accepted.
fn totals(view: &mut View<'_>, area: Rect, review: &Review, notation: Notation) {
    let totals = review.totals();
    let measured = totals.measured.map(|kld| format!(", measured {}", notation.inline(kld))).unwrap_or_default();
    let forms = [(true, measured.as_str()), (false, measured.as_str()), (false, "")];
    let mut forms = forms.map(|(wordy, measured)| sums(review, notation, wordy, measured)).into_iter();
    let wide = |parts: &[(String, Role)]| parts.iter().map(|(text, _)| width(text)).fold(0, u16::saturating_add);
    let last = forms.next_back();
    let parts = forms.find(|parts| wide(parts) <= area.width).or(last).into_iter().flatten();
    parts.fold(area.x, |x, (text, role)| view.put(x, area.y, area.right(), &text, role));
}

/// Their parts, in more or fewer words, with what was `measured`.
fn sums(review: &Review, notation: Notation, wordy: bool, measured: &str) -> Vec<(String, Role)> {
    let totals = review.totals();
    let over = totals.bytes > review.budget_bytes;
    let (of, allowed, bits, predicted) = if wordy {
        (" accepted · ", " allowed", " bits/weight", "predicted KLD ")
    } else {
        (" · ", "", " bits", "KLD ")
    };
    let kld = totals.predicted.map_or_else(|| "?".to_owned(), |kld| notation.inline(kld));
    vec![
        (format!("{} of {}", totals.accepted, review.changes.len()), Role::Title),
        (of.to_owned(), Role::Dim),
        (format::bytes(totals.bytes), if over { Role::Bad } else { Role::Good }),
        (
            format!(" {} {}{allowed} · ", if over { "over" } else { "of" }, format::bytes(review.budget_bytes)),
            Role::Dim,
        ),
        (format!("{:.2}{bits}", totals.bits_per_weight), Role::Text),
        (format!(" · {predicted}"), Role::Dim),
        (kld, Role::Text),
        (measured.to_owned(), Role::Dim),
    ]
}

/// Columns for the plans now and proposed, told so.
fn plan_widths(review: &Review, wording: Wording) -> (u16, u16) {
    let widest = |plan: &dyn Fn(&Change) -> Plan| {
        review.changes.iter().map(|change| width(&plan(change).told(wording))).max().unwrap_or_default()
    };
    (widest(&|change| change.now).max(3), widest(&|change| change.proposed.plan).max(8))
}

/// Columns for all but the plans.
fn other_widths(wordy: bool, named: bool) -> u16 {
    let bytes = if wordy { 2 * BYTES_WIDTH + 3 + 1 } else { 0 };
    MARK_WIDTH + least_name(named) + 1 + 3 + 1 + DAMAGE_WIDTH + bytes
}

const fn least_name(named: bool) -> u16 {
    if named { MIN_NAME_WIDTH } else { SHORT_NAME_WIDTH }
}

/// The width within the frame at which plans and names are told in full.
fn full_width(review: &Review) -> u16 {
    let (now, proposed) = plan_widths(review, Wording::Full);
    let longest = review.changes.iter().map(|change| width(&name(change))).max().unwrap_or_default();
    let more = longest.saturating_sub(MIN_NAME_WIDTH);
    [now, proposed, more].into_iter().fold(other_widths(true, true), u16::saturating_add)
}

/// A layer's name as the list has it.
fn name(change: &Change) -> String {
    column::short(&escaped(&change.name, 200))
}

fn columns(review: &Review, room: u16) -> Columns {
    let wordy = room >= MIN_WORDY_WIDTH;
    let widths = plan_widths(review, Wording::Short);
    // The line under the list names the layer in full: what is proposed for it comes first.
    let named = wordy && other_widths(wordy, true) + widths.0 + widths.1 <= room;
    let plans = room.saturating_sub(other_widths(wordy, named));
    let told = Wording::ALL.into_iter().rev().map(|wording| (wording, plan_widths(review, wording)));
    let fits = |(_, (now, proposed)): &(Wording, (u16, u16))| now.saturating_add(*proposed) <= plans;
    let (wording, (now, proposed)) = told.into_iter().find(fits).unwrap_or((Wording::Short, widths));
    // What is proposed matters more than what is there.
    let proposed = proposed.min(plans.saturating_sub(now.min(8)));
    let now = now.min(plans.saturating_sub(proposed));
    let notation = Notation::of(review.changes.iter().map(|change| change.proposed.damage));
    let name = least_name(named) + plans - proposed - now;
    Columns { name, now, proposed, wordy, named, wording, notation }
}

fn head(view: &mut View<'_>, area: Rect, columns: Columns) {
    let texts = ["layer", "now", "proposed", "bytes now", "proposed", "KLD"].map(str::to_owned);
    cells(view, area, columns, &texts, [Role::Dim; 6], "");
}

fn line(view: &mut View<'_>, area: Rect, columns: Columns, change: &Change, index: usize) {
    let (mark, role) = if change.accepted { ("[x]", Role::Mark) } else { ("[ ]", Role::Dim) };
    view.hit(area, Target::Change(index));
    view.put(area.x + 1, area.y, area.right(), mark, role);
    view.hit(Rect { width: MARK_WIDTH, ..area }, Target::ChangeMark(index));
    let place =
        || format!("{:>3} {}", change.block.map_or_else(String::new, |block| block.to_string()), change.kind.name());
    let texts = [
        if columns.named { name(change) } else { place() },
        change.now.told(columns.wording),
        change.proposed.plan.told(columns.wording),
        format::bytes(change.bytes_now),
        format::bytes(change.proposed.bytes),
        columns.notation.write(change.proposed.damage),
    ];
    let plan = if change.accepted { Role::Changed } else { Role::Dim };
    let roles = [Role::Text, Role::Dim, plan, Role::Dim, plan, Role::Text];
    cells(view, area, columns, &texts, roles, "→");
}

fn cells(view: &mut View<'_>, area: Rect, columns: Columns, texts: &[String; 6], roles: [Role; 6], arrow: &str) {
    let [name, now, proposed, before, after, damage] = texts;
    let (y, end) = (area.y, area.right());
    let mut x = area.x + MARK_WIDTH;
    view.put(x, y, x + columns.name, &fit_end(name, usize::from(columns.name)), roles[0]);
    x += columns.name + 1;
    view.put(x, y, x + columns.now, &fit(now, usize::from(columns.now)), roles[1]);
    x += columns.now;
    view.put(x + 1, y, end, arrow, Role::Dim);
    x += 3;
    view.put(x, y, x + columns.proposed, &fit(proposed, usize::from(columns.proposed)), roles[2]);
    x += columns.proposed + 1;
    if columns.wordy {
        view.put_right(x, y, x + BYTES_WIDTH, before, roles[3]);
        view.put(x + BYTES_WIDTH + 1, y, end, arrow, Role::Dim);
        view.put_right(x + BYTES_WIDTH + 3, y, x + 2 * BYTES_WIDTH + 3, after, roles[4]);
        x += 2 * BYTES_WIDTH + 4;
    }
    view.put_right(x, y, x + DAMAGE_WIDTH, damage, roles[5]);
}

/// The long form where it has room.
fn either(room: u16, long: String, short: String) -> String {
    if width(&long) <= room { long } else { short }
}

/// The change under the cursor in full, with the two neighbours that were not chosen.
fn detail(view: &mut View<'_>, area: Rect, change: &Change, notation: Notation) {
    view.rule(area.x, area.y, area.right(), "─", Role::Dim);
    let damage = |damage: Option<f64>| damage.map_or_else(|| "?".to_owned(), |damage| notation.inline(damage));
    let bytes = format!("{} → {}", format::bytes(change.bytes_now), format::bytes(change.proposed.bytes));
    let cost = format!("KLD {} → {}", damage(change.damage_now), damage(Some(change.proposed.damage)));
    let rejected = |size: &str, other: Option<Priced>| match other {
        Some(Priced { plan, bytes, damage }) => {
            let rest = format!("{} · KLD {}", format::bytes(bytes), notation.inline(damage));
            let of = |plan: String| format!("next {size} {plan} · {rest}");
            either(area.width, of(plan.in_words()), of(plan.to_string()))
        }
        None => format!("next {size} none is worth it"),
    };
    let (now, proposed) = (change.now, change.proposed.plan);
    let in_words = format!("{} → {}", now.in_words(), proposed.in_words());
    let in_short = format!("{now} → {proposed}");
    let lines = [
        (escaped(&change.name, 200), Role::Title),
        (either(area.width, in_words, in_short), Role::Text),
        (format!("{bytes} · {cost}"), Role::Text),
        (rejected("smaller:", change.smaller), Role::Dim),
        (rejected("larger: ", change.larger), Role::Dim),
    ];
    let skipped = lines.len().saturating_sub(usize::from(area.height - 1));
    for (y, (text, role)) in (area.y + 1..area.bottom()).zip(lines.iter().skip(skipped)) {
        view.put(area.x, y, area.right(), &fit(text, usize::from(area.width)), *role);
    }
}
