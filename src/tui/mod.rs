//! The screen: a face on the workbench that computes nothing.
//!
//! [`action`] lists all that a person can do; [`app`] turns events into state and effects; [`view`] draws that state, one file
//! per region; [`event_loop`] waits, folds and draws.

pub mod action;
pub mod app;
pub mod colour;
pub mod config;
pub mod context;
pub mod event_loop;
pub mod export_form;
pub mod keymap;
pub mod listing;
pub mod log;
pub mod replies;
pub mod scene;
pub mod svg;
pub mod theme;
pub mod ui;
pub mod view;

mod act;
mod clipboard;
mod column;
mod columns;
mod comparison;
mod copy;
mod dialogs;
mod edit;
mod explain;
mod figure;
mod filter;
mod format;
mod frontier;
mod history;
mod linear;
mod mouse;
mod own_theme;
mod plans;
mod probes;
mod review;
mod session;
mod terminal;
mod tokens;
mod tour;
mod typing;
mod widths;
mod writing;

use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use terminal_colorsaurus::{QueryOptions, ThemeMode, theme_mode};

use self::action::Action;
use self::app::App;
use self::clipboard::Clipboard;
use self::colour::Depth;
pub use self::config::Config;
use self::event_loop::Inbox;
pub use self::event_loop::Interrupted;
use self::keymap::Keymap;
use self::log::LogBook;
use self::own_theme::OwnTheme;
use self::replies::LateReplies;
use self::terminal::{PanicGuard, Screen};
use self::theme::Theme;
use self::ui::{Glyphs, Ui};
use crate::checkpoint::escaped;
use crate::control::{free_memory, give_way};
use crate::workbench::{Locations, PROMPTS, Severity, Source, Workbench};

/// How long a terminal may take to tell its background; an answer that comes later is taken out of the keys.
const BACKGROUND_PATIENCE: Duration = Duration::from_millis(400);

/// What the workbench is opened with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The model.
    pub source: Source,
    /// A policy to begin with.
    pub policy: Option<PathBuf>,
    /// For a compressed folder, the model that it came from.
    pub original: Option<Source>,
    /// The file that input statistics come from.
    pub calibration: Option<PathBuf>,
    /// The theme asked for.
    pub theme: Option<String>,
    /// Whether only ASCII is drawn.
    pub ascii: bool,
    /// What was logged so far, and what will be.
    pub log: LogBook,
    /// Where things are kept.
    pub locations: Locations,
    /// The folder of `config.toml` and `themes/`.
    pub config_dir: Option<PathBuf>,
}

/// Opens the workbench on the terminal and runs it until the person leaves.
///
/// # Errors
/// No terminal, a configuration or theme that is not as it should be, the terminal's own; [`Interrupted`] after a signal or Ctrl-C.
pub fn run(options: Options) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        anyhow::bail!("the workbench needs a terminal; the commands (rankscope --help) work without one");
    }
    let config = Config::load(options.config_dir.as_deref())?;
    let depth = Depth::of_terminal();
    let asked = options.theme.as_deref().or(config.theme.as_deref());
    let Chosen { theme, own, replies } = theme_for(asked, depth, options.config_dir.as_deref())?;
    let keymap = config.keymap()?;
    let inbox = Inbox::default();
    let mut app = start(options, theme, depth, (&config, keymap), inbox.waker());
    app.own_theme = own;
    let clipboard = Clipboard::of_this_build(inbox.refusals());
    app.system_clipboard = clipboard.is_systems();
    let mouse = app.ui.mouse;
    let guard = PanicGuard::install();
    let mut screen = Screen::enter(mouse).context("the terminal cannot be used")?;
    inbox.listen(replies)?;
    let ended = catch_unwind(AssertUnwindSafe(|| event_loop::run(&mut app, &mut screen, (&inbox, &clipboard))));
    app.keep_draft();
    drop(screen);
    drop(guard);
    match ended {
        Ok(result) => {
            app.workbench.shut_down();
            result
        }
        Err(panic) => resume_unwind(panic),
    }
}

/// The workbench line by line: questions on stdin, answers on stdout, no screen.
///
/// # Errors
/// A configuration that is not as it should be, the streams'.
pub fn run_linear(options: Options) -> anyhow::Result<()> {
    let config = Config::load(options.config_dir.as_deref())?;
    let keymap = config.keymap()?;
    let (waker, wakes) = linear::waker();
    let theme = Theme::embedded("monochrome", Depth::None)?;
    let mut app = start(options, theme, Depth::None, (&config, keymap), waker);
    app.ui.tour = None;
    let lines = linear::lines(std::io::BufReader::new(std::io::stdin()))?;
    let ended = linear::run(&mut app, &wakes, &lines, &mut std::io::stdout().lock());
    app.keep_draft();
    app.workbench.shut_down();
    ended
}

type Waker = Arc<dyn Fn() + Send + Sync>;

fn start(options: Options, theme: Theme, depth: Depth, (config, keymap): (&Config, Keymap), waker: Waker) -> App {
    let theme_asked = options.theme.is_some() || config.theme.is_some();
    let mut ui = Ui::new(theme, PROMPTS.lines().next().unwrap_or_default());
    ui.mouse = config.mouse.unwrap_or(true);
    ui.keymap = Arc::new(keymap);
    if options.ascii || config.ascii.unwrap_or(false) {
        ui.glyphs = Glyphs::Ascii;
    }
    ui.max_tokens = config.max_tokens.unwrap_or(ui.max_tokens);
    let mut workbench = Workbench::new(options.locations.clone(), waker);
    workbench.watch_memory(free_memory);
    workbench.begin_jobs_by(give_way);
    // The threads of the pool belong to whoever asked for it first.
    rayon::spawn_broadcast(|_| give_way());
    let mut app = App::new(workbench, ui, depth, options.locations.clone());
    app.log = options.log;
    if let Some(draft) = Workbench::last_draft(&options.locations) {
        app.arrange_as(&draft.layout, !theme_asked);
        if draft.model != options.source.name() && !draft.model.is_empty() {
            app.say(
                Severity::Info,
                format!(
                    "the last session worked on {}; {} opens it again",
                    escaped(&draft.model, 200),
                    app.key(Action::OpenModel)
                ),
            );
            app.ui.last_model = Some(draft.model.clone());
        }
        app.pending_draft = Some(draft);
    } else if options.source == Source::Demo && config.tour.unwrap_or(true) {
        app.ui.tour = Some(0);
    }
    if let Some(path) = options.calibration {
        app.workbench.use_calibration(path);
    }
    app.workbench.open(options.source, options.policy, options.original);
    if let Some(draft) = app.pending_draft.clone() {
        app.workbench.apply_draft(draft);
    }
    app
}

/// A theme, the file that it may come from, and what the terminal has not answered yet.
struct Chosen {
    theme: Theme,
    own: Option<OwnTheme>,
    replies: LateReplies,
}

fn theme_for(asked: Option<&str>, depth: Depth, config_dir: Option<&Path>) -> anyhow::Result<Chosen> {
    let Some(name) = asked else {
        let mode = (depth != Depth::None).then(|| theme_mode(with_patience()));
        let light = match &mode {
            Some(Ok(answer)) => *answer == ThemeMode::Light,
            // It did not say; some tell it to every program that they start.
            _ => std::env::var("COLORFGBG").ok().and_then(|told| colour::is_light(&told)).unwrap_or_default(),
        };
        let name = if light { "light" } else { "dark" };
        let replies = LateReplies::after(matches!(mode, Some(Err(_))));
        return Ok(Chosen { theme: Theme::embedded(name, depth)?, own: None, replies });
    };
    let replies = LateReplies::default();
    let own = config_dir.map(|folder| folder.join("themes").join(format!("{name}.toml"))).filter(|path| path.exists());
    match own {
        Some(path) => {
            let mut own = OwnTheme::new(name, path);
            let theme = own.read(depth).with_context(|| format!("cannot read {}", own.path().display()))?;
            Ok(Chosen { theme, own: Some(own), replies })
        }
        None => Ok(Chosen { theme: Theme::embedded(name, depth)?, own: None, replies }),
    }
}

fn with_patience() -> QueryOptions {
    let mut options = QueryOptions::default();
    options.timeout = BACKGROUND_PATIENCE;
    options
}
