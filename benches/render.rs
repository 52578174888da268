//! What a key costs until its frame is drawn, with the 36 layers of the built-in model, with 150 and with 5,000.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on fails")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use rankscope::tui::app::App;
use rankscope::tui::colour::Depth;
use rankscope::tui::theme::Theme;
use rankscope::tui::ui::Ui;
use rankscope::workbench::{JobState, Locations, Source, Workbench};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use safetensors::tensor::{Dtype, TensorView};

const SCREEN: Rect = Rect { x: 0, y: 0, width: 200, height: 50 };
const SIDE: usize = 8;
const KINDS: [&str; 5] =
    ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.up_proj"];

/// A file of so many layers of 8 x 8.
fn model(folder: &std::path::Path, layers: usize) -> Source {
    let bytes: Vec<u8> = (0..SIDE * SIDE).flat_map(|at| ((at * 7 % 11) as f32 - 5.0).to_le_bytes()).collect();
    let view = || TensorView::new(Dtype::F32, vec![SIDE, SIDE], &bytes).unwrap();
    let name = |at: usize| format!("model.layers.{}.{}.weight", at / KINDS.len(), KINDS[at % KINDS.len()]);
    let tensors: Vec<(String, TensorView<'_>)> = (0..layers).map(|at| (name(at), view())).collect();
    let path = folder.join(format!("{layers}.safetensors"));
    safetensors::serialize_to_file(tensors, None, &path).unwrap();
    Source::Path(path)
}

fn opened(source: Source) -> App {
    let ui = Ui::new(Theme::embedded("dark", Depth::True).unwrap(), "Once");
    let workbench = Workbench::new(Locations::default(), Arc::new(|| ()));
    let mut app = App::new(workbench, ui, Depth::True, Locations::default());
    app.workbench.open(source, None, None);
    loop {
        app.drain(Instant::now());
        if app.workbench.opened().is_some() && app.workbench.jobs().iter().all(|job| job.state != JobState::Running) {
            app.drain(Instant::now());
            return app;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn cycle(app: &mut App, buffer: &mut Buffer, key: char) {
    let event = Event::Key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE));
    app.handle(&event, Instant::now());
    buffer.reset();
    app.draw(buffer);
}

fn render(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let sources = [(36, Source::Demo), (150, model(folder.path(), 150)), (5000, model(folder.path(), 5000))];
    for (layers, source) in sources {
        let mut app = opened(source);
        let mut buffer = Buffer::empty(SCREEN);
        for (view, before) in [("table", ""), ("grouped", "O"), ("map", "Om")] {
            before.chars().for_each(|key| cycle(&mut app, &mut buffer, key));
            let mut keys = "jk".chars().cycle();
            c.bench_function(&format!("a key and its frame, {layers} layers, {view}"), |b| {
                b.iter(|| cycle(&mut app, &mut buffer, keys.next().unwrap()));
            });
        }
    }
}

criterion_group!(benches, render);
criterion_main!(benches);
