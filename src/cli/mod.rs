//! The commands: a face on the same workbench as the screen.
//!
//! `args` defines every flag once; each command has a file; `session` opens models and reads policies for all of them.

mod arg_values;
mod args;
mod bench;
mod calibrate;
mod compare;
mod compare_text;
mod compress;
mod download;
mod extras;
mod failure;
mod figures;
mod frontier;
mod generate;
mod inspect;
mod interrupt;
mod locations;
mod logging;
mod logits;
mod memory;
mod mistyped;
mod output;
mod plan;
mod plan_json;
mod policy;
mod progress;
mod replay;
mod report;
mod report_args;
mod roundtrip;
mod sensitivity;
mod session;
mod spectrum;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use self::args::{Cli, Command, Common, LogArg, WorkbenchArgs};
use self::failure::Usage;
use self::interrupt::Interrupt;
use self::logging::Logging;
use self::session::Session;
use crate::compress::FactorCache;
use crate::control::Told;
use crate::linalg::kernel_family;
use crate::tui;
use crate::tui::log::LogBook;
use crate::workbench::{Locations, Source};

/// Runs the program; its exit status is 0 when done, 1 when the work failed, 2 for wrong use, 130 when interrupted.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let word = std::env::args().nth(1).unwrap_or_default();
            if let Some(meant) = mistyped::meant(&word).filter(|_| error.use_stderr()) {
                failure::say(format!("error: {}", mistyped::advice(&word, &meant)));
                return ExitCode::from(2);
            }
            // Help and version come this way too; a closed pipe is no error.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let interrupt = Interrupt::default();
    let (log, clock) = (log(&cli), Instant::now());
    let status = match run(cli, &interrupt, &log.book) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error, interrupt.is_interrupted()),
    };
    tracing::info!("the program ends after {:.2} s", clock.elapsed().as_secs_f64());
    status
}

/// Begins the log with what the program is and where it runs; of the command its name alone, since the rest may hold prompts.
fn log(cli: &Cli) -> Logging {
    let asked = cli.common.log.map_or_else(locations::log_level, Ok);
    let level = match &cli.command {
        Some(command) if command.is_plain() => LogArg::Off,
        _ => *asked.as_ref().unwrap_or(&LogArg::Info),
    };
    let log = Logging::begin(level, locations::locations().state.as_deref());
    let (command, threads) = (cli.command.as_ref().map_or("workbench", Command::name), rayon_threads(cli));
    let version = env!("CARGO_PKG_VERSION");
    let machine = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    tracing::info!("rankscope {version} begins: {command}, {threads} threads, {machine}, {} kernels", kernel_family());
    if let Err(word) = asked {
        failure::warn(format!("RANKSCOPE_LOG is \"{word}\", which is no level; info is taken"));
    }
    log
}

fn rayon_threads(cli: &Cli) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    cli.common.threads.map_or_else(all, usize::from)
}

fn run(cli: Cli, interrupt: &Interrupt, log: &LogBook) -> anyhow::Result<()> {
    Interrupt::outlive_size_limits()?;
    if let Some(threads) = cli.common.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    let Some(command) = cli.command else {
        return workbench(cli.workbench, &cli.common, interrupt, log);
    };
    let WorkbenchArgs { model, policy, original, theme, plain, ascii, print_config, statistics } = &cli.workbench;
    let options = policy.is_some() || original.is_some() || theme.is_some() || statistics.calibration.is_some();
    if model.is_some() || options || *ascii || *plain || *print_config {
        return Err(Usage("options and MODEL of the workbench stand before a command; put them after it".into()).into());
    }
    let _listening = interrupt.listen()?;
    let locations = Locations { family: cli.common.family.clone(), ..locations::locations() };
    let cache = FactorCache::new(locations.cache.clone());
    let (interrupt, told) = (interrupt.clone(), Told::default());
    let session = Session { common: cli.common, locations, interrupt, cache, told };
    match &command {
        Command::Inspect(args) => inspect::run(args, &session),
        Command::Spectrum(args) => spectrum::run(args, &session),
        Command::Roundtrip(args) => roundtrip::run(args, &session),
        Command::Generate(args) => generate::run(args, &session),
        Command::Logits(args) => logits::run(args, &session),
        Command::Compare(args) => compare::run(args, &session),
        Command::Sensitivity(args) => sensitivity::run(args, &session),
        Command::Calibrate(args) => calibrate::run(args, &session),
        Command::Plan(args) => plan::run(args, &session),
        Command::Compress(args) => compress::run(args, &session),
        Command::Report(args) => report::run(args, &session),
        Command::Replay(args) => replay::run(args, &session),
        Command::Bench(args) => bench::run(args, &session),
        Command::Policy(command) => policy::run(command, &session),
        Command::Completions { shell } => extras::completions(*shell),
        Command::Man => extras::man(),
        Command::Schema { file } => extras::schema(*file),
    }
}

fn workbench(args: WorkbenchArgs, common: &Common, interrupt: &Interrupt, log: &LogBook) -> anyhow::Result<()> {
    if args.print_config {
        return output::print(&tui::config::commented_default());
    }
    let word = args.model.as_deref().unwrap_or_default();
    if let Some(meant) = mistyped::meant(word) {
        return Err(Usage(mistyped::advice(word, &meant)).into());
    }
    if common.json {
        return Err(Usage("--json needs a command; see 'rankscope help'".into()).into());
    }
    if !args.plain && (!std::io::stdout().is_terminal() || !std::io::stdin().is_terminal()) {
        return Err(Usage(
            "the workbench needs a terminal; see 'rankscope help' for commands without a screen, or try --plain".into(),
        )
        .into());
    }
    if common.download {
        // The screen listens for signals itself.
        let _listening = interrupt.listen()?;
        args.model.iter().chain(&args.original).try_for_each(|model| download::fetch(model, interrupt))?;
    }
    let plain = args.plain;
    let options = options(args, common, log);
    if plain { tui::run_linear(options) } else { tui::run(options) }
}

/// What the workbench is opened with.
fn options(args: WorkbenchArgs, common: &Common, log: &LogBook) -> tui::Options {
    tui::Options {
        source: Source::parse(args.model.as_deref().unwrap_or("demo")),
        policy: args.policy,
        original: args.original.as_deref().map(Source::parse),
        theme: args.theme,
        ascii: args.ascii,
        calibration: args.statistics.calibration,
        log: log.clone(),
        locations: Locations { family: common.family.clone(), ..locations::locations() },
        config_dir: locations::config_dir(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workbench_reads_models_as_the_family_that_is_told() {
        for (line, family) in [(&["rankscope", "x"][..], None), (&["rankscope", "--as", "llama", "x"], Some("llama"))] {
            let cli = Cli::try_parse_from(line).unwrap();
            let options = options(cli.workbench, &cli.common, &LogBook::default());
            assert_eq!((options.source, options.locations.family.as_deref()), (Source::parse("x"), family));
        }
    }
}
