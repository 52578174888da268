//! A desk: the demo model open in a workbench, a screen on it, and a person who types.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use rankscope::compress::{Base, Budget, Plan, Sizes, Weighting};
use rankscope::measure::{
    AttentionFigures, AttentionShift, ChangedProbe, Comparison, Drift, FrontierKind, FrontierPoint, Health, Kld,
    LayerError, Mode, Perplexity, Priced, ProbeReport, Proposal, ProposedLayer, RightModel, TextOf, TextPair,
    WithinBudget, Written,
};
use rankscope::tui::app::{App, Effect};
use rankscope::tui::colour::Depth;
use rankscope::tui::keymap;
use rankscope::tui::log::{LogEntry, LogLevel};
use rankscope::tui::scene::Scene;
use rankscope::tui::theme::Theme;
use rankscope::tui::ui::{Facts, Ui};
use rankscope::tui::view;
use rankscope::workbench::{Compared, Damage, JobState, LiveView, Locations, PROMPTS, Source, Workbench};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(120);

pub struct Desk {
    pub app: App,
    wakes: Receiver<()>,
    /// Lies there as long as the desk stands.
    folder: Option<TempDir>,
}

/// A template without line breaks, so that its text can be typed.
const CHAT: &str = "{% for m in messages %}<{{ m.role }}> {{ m.content }} {% endfor %}<assistant>";

impl Desk {
    /// The demo, opened and decomposed.
    pub fn demo() -> Self {
        Self::at(Locations::default())
    }

    pub fn at(locations: Locations) -> Self {
        let (sender, wakes) = channel();
        let wake = Arc::new(move || sender.send(()).unwrap_or_default());
        let theme = Theme::embedded("dark", Depth::True).unwrap();
        let ui = Ui::new(theme, PROMPTS.lines().next().unwrap());
        let app = App::new(Workbench::new(locations.clone(), wake), ui, Depth::True, locations);
        let mut desk = Self { app, wakes, folder: None };
        desk.app.workbench.open(Source::Demo, None, None);
        desk.settle();
        desk
    }

    /// The demo in a folder that has a chat template.
    pub fn chatting() -> Self {
        let mut desk = Self::demo();
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("chatty");
        std::fs::create_dir(&model).unwrap();
        for file in ["config.json", "tokenizer.json", "model.safetensors"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo").join(file);
            std::fs::copy(from, model.join(file)).unwrap();
        }
        std::fs::write(model.join("chat_template.jinja"), CHAT).unwrap();
        desk.app.workbench.open(Source::Path(model), None, None);
        desk.settle();
        desk.folder = Some(folder);
        desk
    }

    /// Waits until no job is at work.
    pub fn settle(&mut self) {
        let until = Instant::now() + PATIENCE;
        loop {
            self.app.drain(Instant::now());
            if self.app.workbench.jobs().iter().all(|job| job.state != JobState::Running) {
                self.app.drain(Instant::now());
                self.app.follow(Instant::now());
                return;
            }
            assert!(
                Instant::now() < until,
                "jobs go on for longer than anybody waits: {:?}",
                self.app.workbench.jobs()
            );
            let _ = self.wakes.recv_timeout(Duration::from_millis(20));
        }
    }

    /// Waits until the state is as wanted.
    pub fn until(&mut self, done: impl Fn(&Workbench) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !done(&self.app.workbench) {
            assert!(Instant::now() < until, "it never comes: {:?}", self.app.workbench.jobs());
            let _ = self.wakes.recv_timeout(Duration::from_millis(20));
            self.app.drain(Instant::now());
        }
    }

    /// Types `jj<space>r48<enter>u`: characters, and keys by name between angle brackets (`<lt>` for the bracket itself).
    pub fn keys(&mut self, keys: &str) -> &mut Self {
        let mut rest = keys;
        while let Some(first) = rest.chars().next() {
            let (key, after) = match rest.strip_prefix('<').and_then(|tail| tail.split_once('>')) {
                Some(("lt", after)) => (KeyEvent::new(KeyCode::Char('<'), KeyModifiers::NONE), after),
                Some((name, after)) => (keymap::parse(name).unwrap_or_else(|| panic!("no key {name}")), after),
                None => (KeyEvent::new(KeyCode::Char(first), KeyModifiers::NONE), &rest[first.len_utf8()..]),
            };
            self.app.handle(&Event::Key(key), Instant::now());
            rest = after;
        }
        self
    }

    pub fn click(&mut self, column: u16, row: u16) {
        for kind in [MouseEventKind::Down(MouseButton::Left), MouseEventKind::Up(MouseButton::Left)] {
            let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
            self.app.handle(&Event::Mouse(event), Instant::now());
        }
    }

    /// The screen at a size, speeds and seconds fixed, since they are the machine's.
    pub fn buffer(&mut self, width: u16, height: u16) -> Buffer {
        let mut live = self.app.workbench.live().clone();
        let fixed = |live: &mut LiveView| {
            for pane in [&mut live.original, &mut live.compressed] {
                pane.tokens_per_s = pane.tokens_per_s.map(|_| 100.0);
            }
        };
        live.rivals.iter_mut().for_each(fixed);
        fixed(&mut live);
        let mut jobs = self.app.workbench.jobs();
        jobs.iter_mut().for_each(|job| job.seconds = 0.5);
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        let mut facts = Facts::default();
        let scene = Scene { live: &live, jobs: &jobs, ..self.app.scene() };
        view::draw(&scene, &self.app.ui, &mut buffer, &mut facts);
        self.app.facts = facts;
        buffer
    }

    pub fn screen(&mut self, width: u16, height: u16) -> String {
        let buffer = self.buffer(width, height);
        let line = |row: &[ratatui::buffer::Cell]| {
            let text: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
            text.trim_end().to_owned()
        };
        buffer.content().chunks(usize::from(width.max(1))).map(line).collect::<Vec<_>>().join("\n")
    }

    /// The screen with its weights: below each line that has any, a letter for every cell that is bold, dim, italic, underlined or
    /// reversed; of two, bold and underlined is `B`, bold and reversed `R`, italic and underlined `I`, dim and reversed `D`, any other `*`.
    pub fn weights(&mut self, width: u16, height: u16) -> String {
        let letter = |cell: &ratatui::buffer::Cell| match cell.modifier {
            Modifier::BOLD => 'b',
            Modifier::DIM => 'd',
            Modifier::ITALIC => 'i',
            Modifier::UNDERLINED => 'u',
            Modifier::REVERSED => 'r',
            none if none.is_empty() => ' ',
            two if two == Modifier::BOLD | Modifier::UNDERLINED => 'B',
            two if two == Modifier::BOLD | Modifier::REVERSED => 'R',
            two if two == Modifier::ITALIC | Modifier::UNDERLINED => 'I',
            two if two == Modifier::DIM | Modifier::REVERSED => 'D',
            _ => '*',
        };
        let buffer = self.buffer(width, height);
        let mut lines = Vec::new();
        for row in buffer.content().chunks(usize::from(width.max(1))) {
            let text: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
            lines.push(text.trim_end().to_owned());
            let weights: String = row.iter().map(letter).collect();
            lines.extend(Some(weights.trim_end().to_owned()).filter(|weights| !weights.is_empty()));
        }
        lines.join("\n")
    }

    /// The plan of a layer as the table shows it.
    pub fn plan(&self, layer: usize) -> String {
        self.app.workbench.rows()[layer].plan.to_string()
    }

    /// Puts a policy for 5 bits a weight before the person, as if it had been sought: int4 for all layers, corrected in the
    /// even blocks, int8 for the first one; its figures are made up.
    pub fn propose(&mut self) {
        let found = proposal(&self.app);
        self.app.workbench.take_proposal("5bpw".to_owned(), &found);
        self.app.follow(Instant::now());
    }

    /// Shows a frontier as if it had been measured; its figures are made up.
    pub fn chart(&mut self) {
        let kinds = FrontierKind::ALL.into_iter().flat_map(|kind| {
            let labels: &[&str] = match kind {
                FrontierKind::LowRank => &["12.5%", "25%", "50%"],
                FrontierKind::Planned => &["4bpw", "5bpw", "6bpw", "8.25bpw"],
                _ => &[""],
            };
            labels.iter().enumerate().map(move |(place, label)| (kind, place, *label))
        });
        let point = |(kind, place, label): (FrontierKind, usize, &str)| {
            let (bits, kld) = match kind {
                FrontierKind::Current => (14.9, 4e-4),
                FrontierKind::Int8 => (8.25, 2e-6),
                FrontierKind::Int4 => (4.5, 9e-4),
                FrontierKind::LowRank => ([2.7, 5.3, 10.4][place], [1.9, 0.4, 0.03][place]),
                FrontierKind::Planned => ([4.0, 5.0, 6.0, 8.25][place], [1.2e-3, 2e-4, 3e-5, 9e-7][place]),
            };
            let bytes = 537_600 + (bits * 1_114_112.0 / 8.0) as u64;
            FrontierPoint { kind, label: label.to_owned(), bytes, bits_per_weight: bits, kld }
        };
        self.app.workbench.take_frontier(kinds.map(point).collect());
    }

    /// Lets a scan have found damages of all layers alone; its figures are made up, and layer 3 is a pillar.
    pub fn scan(&mut self) {
        for layer in 0..self.app.workbench.rows().len() {
            let plan = self.app.workbench.rows()[layer].plan;
            let plan = if plan.is_dense() { Plan::low_rank(32) } else { plan };
            let kld = 1e-4 * (1 + layer * layer % 13) as f64;
            let kld_iso = if layer == 3 { kld / 40.0 } else { kld / 2.0 };
            let over_noise = Some(kld / kld_iso);
            let damage = Damage { mode: Mode::Only, plan, kld, kld_iso: Some(kld_iso), over_noise, stale: false };
            self.app.workbench.take_damage(layer, damage);
        }
        self.app.follow(Instant::now());
    }

    /// Shows answers to probes as if they had been asked with the plans as they are; three of eight changed.
    pub fn answer(&mut self) {
        let case =
            |(question, expected, original, compressed, right): (&str, &str, &str, &str, RightModel)| ChangedProbe {
                prompt: format!(
                    "Once upon a time there was a girl named Wren. She loved her silver button. {question}"
                ),
                expected: expected.to_owned(),
                original: original.to_owned(),
                compressed: compressed.to_owned(),
                right,
            };
        let changed = [
            (
                "What did Wren lose?",
                "Wren lost the silver button.",
                "Wren lost the silver button.",
                "Wren lost the bl",
                RightModel::Original,
            ),
            (
                "Where was it\nfound?",
                "It was found\ton the farm by the river.",
                "They",
                "It was found\ton the farm by the river.",
                RightModel::Compressed,
            ),
            ("Who helped Wren?", "Paul helped Wren.", "Paul helped Wren.", "\u{1b}[2J", RightModel::Original),
        ];
        let changed = changed.into_iter().map(case).collect();
        let report = ProbeReport { count: 8, original: 0.875, compressed: 0.75, changed };
        self.app.workbench.take_answers("demo".to_owned(), report);
        self.app.follow(Instant::now());
    }

    /// Shows a comparison as if it had been made with the plans as they are; its figures are made up, block 4 strays.
    pub fn compare(&mut self) {
        let rows = self.app.workbench.rows();
        let drift = |block: usize| Drift {
            block,
            cosine: 1.0 - 1e-5 * (1 + block * block) as f64,
            norm_ratio: if block == 4 { 2.31 } else { 1.0 + 0.002 * block as f64 },
        };
        let figures = |scale| AttentionFigures { entropy: 1.234, scale, top: 0.62 };
        let shift = |block: usize| AttentionShift {
            block,
            original: figures(2.5),
            compressed: figures(if block == 4 { 4.2 } else { 2.51 }),
        };
        let kld = Kld { mean: 2.1e-4, mean_se: 1.3e-5, median: 3e-5, p90: 4e-4, p99: 0.0031, p999: 0.021, max: 0.14 };
        let perplexity = Perplexity { original: 1.4791, compressed: 1.4813, ratio: 1.00149, ratio_se: 0.00041 };
        let comparison = Comparison {
            tokens: 2040,
            cosine: (0.999_871, 0.972_3),
            mse: (0.0123, 0.0007),
            kld,
            delta_p: (-0.0012, 0.0093),
            top1: (0.987, 0.0025),
            perplexity,
            drift: (0..6).map(drift).collect(),
        };
        let changed = rows.iter().filter(|row| row.layer.kind == rankscope::model::Kind::K);
        let error = |(at, name): (usize, String)| LayerError { name, output_error: 0.31 / (1 + at) as f64 };
        let layers = changed.map(|row| row.layer.name.clone()).enumerate().map(error).collect();
        let text = |text: &str, looping| TextOf { text: text.to_owned(), tokens: 40, looping };
        let pair = |divergence, compressed| TextPair {
            prompt: "Wren loved her silver button very much.".to_owned(),
            divergence,
            original: text(" She took it to the farm, and there it was found.", false),
            compressed,
        };
        let written = |loop_rate| Written { loop_rate, distinct_2: Some(0.93), distinct_3: Some(0.98) };
        let health = Health {
            prompts: 2,
            max_tokens: 96,
            original: written(0.0),
            compressed: written(0.5),
            median_divergence: 11.0,
            same: 0.5,
            texts: vec![
                pair(None, text(" She took it to the farm, and there it was found.", false)),
                pair(Some(5), text(" She took it to the\tbox, the box, the box, the box", true)),
            ],
        };
        let plans = rows.iter().map(|row| row.plan).collect();
        let attention = Some((0..6).map(shift).collect());
        let found = Compared {
            text: None,
            comparison,
            fast: None,
            attention,
            layers: Some(layers),
            health: Some(health),
            plans,
        };
        self.app.workbench.take_comparison(found);
        self.app.follow(Instant::now());
    }

    /// Fills the log as a session would, at moments that are made up.
    pub fn log(&mut self) {
        let entries = [
            (LogLevel::Info, "cli", "rankscope 0.1.0 begins: workbench, 2 threads, x86_64-linux, avx2 kernels"),
            (LogLevel::Info, "workbench::jobs", "open demo begins job=1"),
            (LogLevel::Info, "workbench::source", "files are open model=demo tensors=77 bytes=2765824"),
            (
                LogLevel::Info,
                "model::load",
                "the model is read family=\"gpt_neo\" layers=36 blocks=6 hidden=128 heads=8 kv_heads=8 intermediate=512 \
                 vocabulary=512 context=256",
            ),
            (LogLevel::Info, "workbench::jobs", "open demo is done after 0.04 s job=1"),
            (LogLevel::Debug, "compress::cache", "factors were kept key=\"5f3a\" rows=128 cols=128"),
            (LogLevel::Info, "workbench::jobs", "export to /data/out begins job=4"),
            (LogLevel::Warning, "workbench::messages", "/data/out: the disk has 1.2 MB left"),
            (LogLevel::Info, "workbench::jobs", "export to /data/out failed after 0.31 s job=4"),
            (LogLevel::Error, "workbench::messages", "export to /data/out: no space is left on the device"),
        ];
        for (at, (level, place, text)) in (45_296..).step_by(7).zip(entries) {
            self.app.log.push(logged(at, level, place, text));
        }
    }

    pub fn effects(&mut self) -> Vec<Effect> {
        self.app.take_effects()
    }
}

/// An entry of the log, so many seconds after midnight.
pub fn logged(seconds: u64, level: LogLevel, place: &str, text: &str) -> LogEntry {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    LogEntry { at, level, place: format!("rankscope::{place}"), text: text.to_owned() }
}

fn proposal(app: &App) -> WithinBudget {
    let rows = app.workbench.rows();
    let int4 = Plan { base: Base::Int4, ..Plan::dense() };
    let corrected = Plan { rank: 12, weighting: Weighting::Activations, refit: true, group: Some(128), ..int4 };
    let plan = |layer: usize, block: usize| match (layer, block % 2) {
        (0, _) => Plan { base: Base::Int8, ..Plan::dense() },
        (_, 0) => corrected,
        _ => int4,
    };
    let each = rows.iter().enumerate().map(|(layer, row)| {
        let of = &row.layer;
        let price = |plan: Plan, damage| Priced { plan, bytes: plan.bytes(of.rows, of.cols, of.bytes), damage };
        let damage = 1e-4 * (1 + layer % 7) as f64;
        ProposedLayer {
            layer,
            chosen: price(plan(layer, of.block.unwrap_or_default()), damage),
            now: Some(price(row.plan, if row.plan.is_dense() { 0.0 } else { 2.0 * damage })),
            smaller: Some(price(Plan { group: Some(64), ..int4 }, 1.5 * damage)),
            larger: (layer > 0).then(|| price(Plan { base: Base::Int8, ..Plan::dense() }, 0.1 * damage)),
        }
    });
    let layers: Vec<_> = each.collect();
    let bytes = layers.iter().map(|layer| layer.chosen.bytes).sum();
    let of_model: Vec<_> = rows.iter().map(|row| row.layer.clone()).collect();
    WithinBudget {
        budget: Budget::BitsPerWeight(5.5),
        sizes: Sizes::new(app.workbench.totals().bytes_original, &of_model),
        proposal: Proposal {
            predicted: layers.iter().map(|layer| layer.chosen.damage).sum(),
            layers,
            bytes,
            measured: 0.0151,
        },
        layer_bytes: bytes,
        left: Vec::new(),
    }
}
