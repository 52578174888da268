//! Models from the Hugging Face hub, fetched into its cache as `huggingface_hub` lays it out: each file once under
//! `blobs/`, by the tag that the hub gives it, and linked by name from `snapshots/REVISION/`.
//!
//! Nothing of a revision can be seen there before all of it has come. What an interrupted transfer has brought stays as
//! `blobs/TAG.incomplete`, and the next run goes on from there.

mod cache;
mod client;
mod listing;
mod transfer;

use std::path::{Path, PathBuf};

use self::cache::Repository;
use self::client::Client;
use self::listing::Listing;
use self::transfer::Blob;
use super::error::shown;
use super::file::{MAX_SMALL, read_small};
use super::folder::INDEX;
use super::index::Index;
use super::locate::folder_of;
use super::{CheckpointError, WriteError, escaped};
use crate::control::{Cancelled, Control};

/// The hub, and the cache that it is fetched into.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Its address, `https://huggingface.co` or a mirror's.
    pub endpoint: String,
    /// What opens models that are not open to everybody; sent to the endpoint alone.
    pub token: Option<String>,
    /// The cache (`.../huggingface/hub`).
    pub cache: PathBuf,
}

/// Why a model could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The hub does not answer.
    #[error("{endpoint} cannot be reached: {reason}; check the connection (and HF_ENDPOINT), then run it again")]
    Unreachable {
        /// Its address.
        endpoint: String,
        /// The reason.
        reason: String,
    },
    /// There is no such model.
    #[error("{endpoint} has no model {name}; check the spelling")]
    Missing {
        /// The hub's address.
        endpoint: String,
        /// As it was asked for.
        name: String,
    },
    /// The model is not open to everybody.
    #[error(
        "{endpoint} does not open {name} to everybody, or has no such model: accept its terms at {endpoint}/{name} where it asks for that, \
         and set HF_TOKEN to {token} that may read it"
    )]
    Closed {
        /// The hub's address.
        endpoint: String,
        /// As it was asked for.
        name: String,
        /// `a token`, or `another token` where there was one.
        token: &'static str,
    },
    /// What the hub has under that name cannot be used.
    #[error("{name}: {reason}")]
    Unusable {
        /// The model.
        name: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A file did not come as it was announced.
    #[error("{file} was not fetched: {reason}")]
    Broken {
        /// Its name.
        file: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The cache cannot be written.
    #[error("cannot write {}: {source}", shown(path))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The disk has no room for the model.
    #[error("{name}: {needed} more bytes are needed in {}, where {free} are free", shown(path))]
    NoRoom {
        /// The model.
        name: String,
        /// Bytes that are still to come.
        needed: u64,
        /// Bytes that there are.
        free: u64,
        /// The cache's folder.
        path: PathBuf,
    },
    /// The system lets us ask nothing.
    #[error("a request to the hub cannot be made: {0}")]
    Stopped(std::io::Error),
    /// The cache cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What came cannot be read.
    #[error(transparent)]
    Read(#[from] CheckpointError),
    /// Cancelled; what has come stays.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl HubError {
    /// For `map_err`: the system's reason why `path` cannot be written.
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

impl Hub {
    /// Fetches what running the model `name` (`owner/name`) needs of its newest revision, as far as the cache does not hold it:
    /// config, tokenizer, chat template, generation settings, weights in safetensors. Returns the snapshot's folder. Progress
    /// is in bytes.
    ///
    /// # Errors
    /// [`HubError`]: no such model, one that is closed, one without safetensors, a transfer that broke off too often, a full
    /// disk.
    pub fn fetch(&self, name: &str, control: &Control) -> Result<PathBuf, HubError> {
        let unusable = |reason: String| HubError::Unusable { name: escaped(name, 200), reason };
        let folder = folder_of(name).ok_or_else(|| unusable("this is no repository's name (owner/name)".to_owned()))?;
        let client = Client::new(self, name)?;
        let repository = Repository::new(&self.cache, &folder);
        let listing = Listing::read(&client.listing(control)?).map_err(unusable)?;
        let needed = listing.needed().map_err(unusable)?;
        let mut blobs = announced(&client, &repository, &listing, &needed, control)?;
        if let Some(index) = blobs.iter().find(|blob| blob.name == INDEX) {
            // Which files the weights are in is known once the index is there.
            transfer::fetch(&client, &listing.revision, &repository, index, &Control::new(), control)?;
            let parsed = Index::parse(&read_small(&repository.blob(&index.tag))?)
                .map_err(|reason| unusable(format!("{INDEX}: {reason}")))?;
            let shards = listing.shards(&parsed).map_err(unusable)?;
            blobs.extend(announced(&client, &repository, &listing, &shards, control)?);
        }
        control.set_total(blobs.iter().map(|blob| blob.bytes).sum());
        let (needed, free) = (blobs.iter().map(|blob| repository.missing(blob)).sum(), repository.free());
        if let Some(free) = free.filter(|free| *free < needed) {
            return Err(HubError::NoRoom { name: escaped(name, 200), needed, free, path: self.cache.clone() });
        }
        for blob in &blobs {
            transfer::fetch(&client, &listing.revision, &repository, blob, control, control)?;
        }
        repository.publish(&listing.revision, blobs.iter().map(|blob| (blob.name.as_str(), blob.tag.as_str())))
    }
}

/// What the hub says of these files, or the cache of those that it has.
fn announced(
    client: &Client,
    repository: &Repository,
    listing: &Listing,
    names: &[String],
    control: &Control,
) -> Result<Vec<Blob>, HubError> {
    let announced = |name: &String| {
        if let Some(blob) = repository.linked(&listing.revision, name) {
            return Ok(blob);
        }
        let blob = client.about(&listing.revision, name, control)?;
        if !name.ends_with(".safetensors") && blob.bytes > MAX_SMALL {
            return Err(client.broken(name, format!("it has {} bytes, which no such file has", blob.bytes)));
        }
        Ok(blob)
    };
    names.iter().map(announced).collect()
}
