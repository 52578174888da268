//! Where things are kept on this machine, read from the environment once.

use std::path::PathBuf;

use clap::ValueEnum;
use directories::{BaseDirs, ProjectDirs};

use super::args::LogArg;
use crate::checkpoint::Hub;
use crate::workbench::Locations;

/// The hub itself.
const ENDPOINT: &str = "https://huggingface.co";

/// The folders of this person on this machine (XDG on Linux), and the Hugging Face cache (`HF_HUB_CACHE`, `HF_HOME`).
pub fn locations() -> Locations {
    let own = own_folders();
    let state = own.as_ref().map(|own| own.state_dir().unwrap_or_else(|| own.data_local_dir()).to_path_buf());
    Locations { cache: own.as_ref().map(|own| own.cache_dir().join("factors")), state, hub: hub(), family: None }
}

/// How much is logged, where the command line does not say (`RANKSCOPE_LOG`); what it says instead where that is no level.
pub fn log_level() -> Result<LogArg, String> {
    match std::env::var("RANKSCOPE_LOG").ok().filter(|value| !value.is_empty()) {
        None => Ok(LogArg::Info),
        Some(word) => LogArg::from_str(&word, true).map_err(|_| word),
    }
}

/// The folder of `config.toml` and `themes`.
pub fn config_dir() -> Option<PathBuf> {
    own_folders().map(|own| own.config_dir().to_path_buf())
}

fn own_folders() -> Option<ProjectDirs> {
    ProjectDirs::from("", "", "rankscope")
}

/// The hub that models are fetched from (`HF_ENDPOINT`, `HF_TOKEN`); `None` where there is no place for its cache.
pub fn hub_access() -> Option<Hub> {
    let text =
        |name: &str| std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
    Some(Hub { endpoint, token: text("HF_TOKEN"), cache: hub()? })
}

/// As `huggingface_hub` looks for it: `HF_HUB_CACHE`, `HF_HOME/hub`, `XDG_CACHE_HOME/huggingface/hub`, `~/.cache/...`.
fn hub() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || BaseDirs::new().map(|base| base.home_dir().join(".cache"));
    folder("HF_HUB_CACHE").or_else(|| {
        let root = folder("HF_HOME").or_else(|| Some(folder("XDG_CACHE_HOME").or_else(home)?.join("huggingface")));
        root.map(|root| root.join("hub"))
    })
}
