//! The footer: the keys that matter now, or the line that is being typed.

use ratatui::layout::Rect;

use super::comparison;
use super::frontier;
use super::paint::{View, width};
use super::probes;
use super::side_by_side::line_input;
use super::wrap::wrap;
use crate::tui::action::{Action, Info};
use crate::tui::context::Context;
use crate::tui::filter::offers;
use crate::tui::theme::Role;
use crate::tui::ui::{Field, Purpose, Target};

/// A reason takes no more lines than these.
const MOST_REASON_LINES: u16 = 3;

/// Draws the footer.
pub fn render(view: &mut View<'_>, area: Rect) {
    if let Some(field) = view.ui.field.clone().filter(|field| field.purpose != Purpose::Prompt) {
        typed(view, area, &field);
    } else {
        hints(view, area);
    }
}

fn hints(view: &mut View<'_>, area: Rect) {
    let context = view.ui.context();
    let mut infos: Vec<&Info> = view.ui.keymap.in_context(context).filter(|info| matters(view, info)).collect();
    // Those that must be there have room before the others have.
    infos.sort_by_key(|info| (!leads(view, info.action), info.footer));
    // Each hint ends in a gap, and the last one needs none.
    let mut room = area.width + 1;
    infos.retain(|info| {
        let rest = room.checked_sub(hint_width(view, info, context));
        room = rest.unwrap_or(room);
        rest.is_some()
    });
    infos.sort_by_key(|info| info.footer);
    infos.into_iter().fold(area.x + 1, |x, info| hint(view, x, area, info, context));
}

/// Whether an action is told however narrow the screen: the way out and the way to all the others, and, where plans are unsaved,
/// how they are saved or taken back.
fn leads(view: &View<'_>, action: Action) -> bool {
    match action {
        Action::Close | Action::Palette | Action::Help => true,
        Action::Export | Action::Undo => view.scene.unsaved,
        _ => false,
    }
}

fn matters(view: &View<'_>, info: &Info) -> bool {
    match info.action {
        Action::Stop => view.scene.live.running,
        Action::RetryJob => view.scene.jobs.iter().any(|job| job.retryable),
        Action::CancelJob if view.ui.context() == Context::Frontier => frontier::at_work(view).is_some(),
        Action::CancelJob if view.ui.context() == Context::Probes => probes::at_work(view).is_some(),
        Action::CancelJob if view.ui.context() == Context::Comparison => comparison::at_work(view).is_some(),
        Action::TryAlone => view.ui.context() == Context::Layers && is_untried(view),
        Action::Branch => view.ui.token_cursor(view.scene.live).is_some(),
        Action::NextPolicy => !view.scene.run.rivals.is_empty(),
        Action::NextText => view.scene.texts.0.len() > 1,
        Action::EditPrompt => view.ui.context() == Context::Text,
        Action::Generate => !view.scene.live.running,
        Action::Undo => view.scene.unsaved && view.ui.context() != Context::Text,
        Action::TakeSnapshot => view.ui.context() == Context::History,
        _ => info.footer > 0,
    }
}

/// Whether what each layer does alone could be known, and is not.
fn is_untried(view: &View<'_>) -> bool {
    let runs = view.scene.opened.is_some_and(|opened| opened.cannot_generate.is_none());
    runs && !view.scene.rows.is_empty() && view.scene.rows.iter().all(|row| row.damage.is_none())
}

fn hint_width(view: &View<'_>, info: &Info, context: Context) -> u16 {
    let key = view.ui.keymap.shown(info.action, context);
    width(&key) + 1 + width(info.title) + 2
}

fn hint(view: &mut View<'_>, x: u16, area: Rect, info: &Info, context: Context) -> u16 {
    let key = view.ui.keymap.shown(info.action, context);
    let after = view.put(x, area.y, area.right(), &key, Role::Key);
    let end = view.put(after + 1, area.y, area.right(), info.title, Role::Dim);
    let place = Rect { x, y: area.y, width: end.saturating_sub(x), height: 1 };
    view.hit(place, Target::Action(info.action));
    end + 2
}

fn typed(view: &mut View<'_>, area: Rect, field: &Field) {
    let offered = offered(view, field);
    let ways = ways_out(view, field.purpose);
    let (hint, role) = match &field.error {
        Some(error) => (error.as_str(), Role::Error),
        None if !offered.is_empty() => (offered.as_str(), Role::Dim),
        None => (ways.as_str(), Role::Dim),
    };
    let label = label(view, field.purpose);
    // Where the reason has no room beside the line, it stands below it.
    let below = field.error.is_some() && usize::from(width(hint)) > usize::from(area.width) * 6 / 10;
    let room = area.width.saturating_sub(2);
    let lines = if below { wrap(&[(hint.to_owned(), role)], usize::from(room)).len() } else { 0 };
    let lines = u16::try_from(lines).unwrap_or(MOST_REASON_LINES).min(MOST_REASON_LINES);
    let line = Rect { y: area.y.saturating_sub(lines), ..area };
    view.clear(Rect { height: lines + 1, ..line });
    let start = view.put(line.x + 1, line.y, line.right(), &label, Role::Title) + 1;
    let end = if below {
        view.paragraph(Rect { x: area.x + 1, y: line.y + 1, width: room, height: lines }, hint, role);
        line.right()
    } else {
        view.put_right(start, area.y, area.right().saturating_sub(1), hint, role)
    };
    line_input(view, start, line.y, end.saturating_sub(1), &field.input);
}

/// The keys that end the typing, with what they do to what was typed.
fn ways_out(view: &View<'_>, purpose: Purpose) -> String {
    let key = |action| view.ui.keymap.shown(action, Context::Input);
    let (take, leave) =
        if matches!(purpose, Purpose::Filter | Purpose::Log) { ("keep", "clear") } else { ("take", "leave") };
    format!("{} {take}  {} {leave}", key(Action::Enter), key(Action::Leave))
}

/// What the last word of a filter may become, as much as has room in half the line.
fn offered(view: &View<'_>, field: &Field) -> String {
    if field.purpose != Purpose::Filter || field.input.value().is_empty() {
        return String::new();
    }
    let offers = offers(field.input.value(), view.scene.rows);
    let key = view.ui.keymap.shown(Action::Complete, Context::Input);
    let mut text = String::new();
    for offer in offers {
        let longer = if text.is_empty() { format!("{key} {offer}") } else { format!("{text} {offer}") };
        if width(&longer) > view.buffer.area().width / 2 {
            break;
        }
        text = longer;
    }
    text
}

fn label(view: &View<'_>, purpose: Purpose) -> String {
    let layers = || match view.ui.listing.targets().len() {
        1 => "this layer".to_owned(),
        count => format!("{count} layers"),
    };
    match purpose {
        Purpose::Filter => "Filter".to_owned(),
        Purpose::Log => "Entries with".to_owned(),
        Purpose::Rank => format!("Rank of {}{}", layers(), largest_rank(view)),
        Purpose::Energy => format!("Energy to keep in {} (0.9 or 90%)", layers()),
        Purpose::Prompt => "Prompt".to_owned(),
        Purpose::MaxTokens => format!("Tokens to write (now {})", view.ui.max_tokens),
        Purpose::Sampling => {
            let now = view.ui.sampling;
            format!("Temperature and seed (0: greedy; now {} {})", now.temperature.unwrap_or(0.0), now.seed)
        }
        Purpose::Budget => "Budget (40%, 900MB, 4.5bpw: bits per weight)".to_owned(),
        Purpose::Frontier => "Write the frontier to (.svg, .json)".to_owned(),
        Purpose::Probes => "Probes (JSON Lines of prompt, expected)".to_owned(),
        Purpose::Text => "Text to compare over (empty: the evaluation text)".to_owned(),
        Purpose::Snapshot => "Name of the snapshot".to_owned(),
        Purpose::Open => "Open (folder, file, owner/name, demo)".to_owned(),
    }
}

fn largest_rank(view: &View<'_>) -> String {
    let ranks = view.ui.listing.targets().into_iter().filter_map(|index| view.scene.rows.get(index));
    ranks.map(|row| row.layer.max_rank()).min().map(|least| format!(" (1–{least})")).unwrap_or_default()
}
