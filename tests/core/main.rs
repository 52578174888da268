//! What holds below the faces: parity with the reference, files from outside, exports, the walls between the rooms.
#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

mod architecture;
mod chat_templates;
mod checkpoint_bad_files;
#[cfg(unix)]
mod checkpoint_changed;
mod checkpoint_write;
mod compress_export;
mod compress_golden;
mod dependencies;
mod model_formats;
mod model_golden;
mod model_stored;
