//! What packagers want: completions, the manual page, schemas.

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::args::{Cli, SchemaFile};
use super::output;
use crate::compress::Policy;
use crate::workbench::SessionRecord;

/// Prints completions for a shell.
///
/// # Errors
/// The system's.
pub fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rankscope", &mut text);
    output::print(&String::from_utf8_lossy(&text))
}

/// Prints the manual page: the program, then every command.
///
/// # Errors
/// The system's.
pub fn man() -> anyhow::Result<()> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    // The commands are sections of this page, not pages of their own.
    let own = String::from_utf8_lossy(&page).replace("rankscope\\-", "rankscope ").replace("(1)\n", "\n");
    page = own.into_bytes();
    for section in command.get_subcommands() {
        commands(section, &mut page)?;
    }
    output::print(&String::from_utf8_lossy(&page))
}

/// A section for a command, and for those below it.
fn commands(command: &Command, page: &mut Vec<u8>) -> anyhow::Result<()> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    page.extend(format!(".SH {}\n", name.to_uppercase()).into_bytes());
    let man = Man::new(command.clone());
    let mut section = Vec::new();
    man.render_synopsis_section(&mut section)?;
    man.render_description_section(&mut section)?;
    man.render_options_section(&mut section)?;
    page.extend(String::from_utf8_lossy(&section).replace(".SH ", ".SS ").into_bytes());
    command.get_subcommands().try_for_each(|below| commands(below, page))
}

/// Prints a JSON Schema.
///
/// # Errors
/// The system's.
pub fn schema(file: SchemaFile) -> anyhow::Result<()> {
    match file {
        SchemaFile::Policy => output::json(&Policy::schema()),
        SchemaFile::Session => output::json(&SessionRecord::schema()),
        SchemaFile::Config => output::json(&schemars::schema_for!(crate::tui::Config)),
    }
}
