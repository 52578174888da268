//! Whatever a person does, and in whatever order: nothing panics, and the state stays one that makes sense.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rankscope::tui::context::Context;
use rankscope::tui::ui::Purpose;
use rankscope::workbench::JobState;
use std::time::{Duration, Instant};

use crate::support::Desk;

/// Events in all, over all seeds.
const EVENTS: usize = 10_000;
const SEEDS: usize = 5;
const SIZES: [(u16, u16); 8] = [(1, 1), (39, 9), (40, 10), (60, 16), (80, 24), (120, 36), (200, 50), (17, 90)];
const NAMED: [KeyCode; 17] = [
    KeyCode::Enter,
    KeyCode::Esc,
    KeyCode::Tab,
    KeyCode::BackTab,
    KeyCode::Backspace,
    KeyCode::Delete,
    KeyCode::Up,
    KeyCode::Down,
    KeyCode::Left,
    KeyCode::Right,
    KeyCode::Home,
    KeyCode::End,
    KeyCode::PageUp,
    KeyCode::PageDown,
    KeyCode::F(1),
    KeyCode::F(2),
    KeyCode::Insert,
];

struct Storm {
    random: ChaCha8Rng,
    size: (u16, u16),
}

impl Storm {
    fn below(&mut self, limit: usize) -> usize {
        self.random.next_u32() as usize % limit.max(1)
    }

    fn event(&mut self) -> Event {
        match self.below(20) {
            0..=11 => {
                let character = char::from(u8::try_from(32 + self.below(95)).unwrap());
                Event::Key(KeyEvent::new(KeyCode::Char(character), KeyModifiers::NONE))
            }
            12..=14 => Event::Key(KeyEvent::new(NAMED[self.below(NAMED.len())], KeyModifiers::NONE)),
            15 => {
                let letter = char::from(b'a' + u8::try_from(self.below(26)).unwrap());
                Event::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL))
            }
            16 => Event::Paste(["木 kind:k", "\u{1b}[31m", "16", "e\u{301}\u{200f}א", ""][self.below(5)].to_owned()),
            _ => {
                let kind = match self.below(6) {
                    0 | 1 => MouseEventKind::Down(MouseButton::Left),
                    2 => MouseEventKind::Up(MouseButton::Left),
                    3 => MouseEventKind::Drag(MouseButton::Left),
                    4 => MouseEventKind::ScrollUp,
                    _ => MouseEventKind::ScrollDown,
                };
                let (column, row) = (self.below(self.size.0.into()), self.below(self.size.1.into()));
                let [column, row] = [column, row].map(|place| u16::try_from(place).unwrap());
                Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
            }
        }
    }
}

/// What would write files or open other models is left before it is pressed or clicked.
fn stay_harmless(desk: &mut Desk) {
    let writes = desk.app.ui.context() == Context::Export
        || desk.app.ui.field.as_ref().is_some_and(|field| matches!(field.purpose, Purpose::Frontier | Purpose::Open));
    if writes {
        desk.keys("<esc>");
    }
}

/// Cancels what is at work, and what begins when that has ended, until nothing is.
fn cancel_all(desk: &mut Desk) {
    loop {
        let jobs = desk.app.workbench.jobs();
        let running: Vec<_> = jobs.iter().filter(|job| job.state == JobState::Running).map(|job| job.id).collect();
        running.iter().for_each(|job| desk.app.workbench.cancel(*job));
        let changed = desk.app.drain(Instant::now());
        if running.is_empty() && !changed {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn check(desk: &Desk, size: (u16, u16)) {
    let (ui, rows) = (&desk.app.ui, desk.app.workbench.rows());
    assert!(ui.listing.cursor < rows.len() && ui.listing.order.iter().all(|index| *index < rows.len()));
    assert!(ui.listing.marked.iter().all(|index| *index < rows.len()));
    assert!(ui.listing.order.is_empty() || ui.listing.order.contains(&ui.listing.cursor));
    for row in rows {
        assert!(row.plan.rank <= row.layer.max_rank() && row.plan.meaningless().is_none(), "{}", row.plan);
    }
    for (area, _) in &desk.app.facts.hits {
        assert!(area.right() <= size.0 && area.bottom() <= size.1, "{area:?} on {size:?}");
    }
    assert!(desk.app.facts.cursor.is_none_or(|cursor| cursor.x < size.0 && cursor.y < size.1));
    let totals = desk.app.workbench.totals();
    assert_eq!(totals.changed, rows.iter().filter(|row| !row.plan.is_dense()).count());
}

#[test]
fn ten_thousand_keys_clicks_pastes_and_sizes() {
    for seed in 0..SEEDS {
        let mut desk = Desk::demo();
        let mut storm = Storm { random: ChaCha8Rng::seed_from_u64(seed as u64), size: (80, 24) };
        for at in 0..EVENTS / SEEDS {
            stay_harmless(&mut desk);
            let event = storm.event();
            desk.app.handle(&event, Instant::now());
            stay_harmless(&mut desk);
            desk.app.take_effects();
            if at % 7 == 0 {
                storm.size = SIZES[storm.below(SIZES.len())];
            }
            if at % 3 == 0 {
                desk.screen(storm.size.0, storm.size.1);
                check(&desk, storm.size);
            }
            if at % 20 == 19 {
                cancel_all(&mut desk);
            }
        }
        cancel_all(&mut desk);
        let edits = desk.app.workbench.history().done.len();
        desk.app.workbench.go_to_edit(0);
        assert!(edits >= 1000 || desk.app.workbench.rows().iter().all(|row| row.plan.is_dense()), "all is undone");
    }
}
