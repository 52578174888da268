//! A command's name that is spelled wrong would be taken for a model's.

use clap::{Command, CommandFactory};

use super::args::Cli;
use crate::checkpoint::nearest;
use crate::workbench::Source;

/// The command that `word` may have been meant to be: it names no model here, and a command is called nearly so.
pub fn meant(word: &str) -> Option<String> {
    let names_a_model =
        matches!(Source::parse(word), Source::Demo) || word.contains('/') || std::path::Path::new(word).exists();
    if names_a_model || word.starts_with('-') {
        return None;
    }
    let command = Cli::command();
    let near = nearest(word, command.get_subcommands().map(Command::get_name));
    near.filter(|name| *name != word).map(str::to_owned)
}

/// What is said about it.
pub fn advice(word: &str, meant: &str) -> String {
    let word = crate::checkpoint::escaped(word, 60);
    format!("{word} is neither a command nor a model here; did you mean 'rankscope {meant}'?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_names_no_model_is_taken_for_a_command() {
        assert_eq!(meant("inspct").as_deref(), Some("inspect"));
        assert_eq!(meant("Comapre").as_deref(), Some("compare"));
        for model in ["demo", "EleutherAI/inspct", "src", "--inspect", "inspect", "mistral-7b", ""] {
            assert_eq!(meant(model), None, "{model}");
        }
    }
}
