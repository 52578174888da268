//! Names and metadata from files, made safe to show. STUB.

/// `text` with control, bidi and zero-width characters escaped (`\u{1b}`) and cut to `limit` characters with `…`.
pub fn escaped(_text: &str, _limit: usize) -> String { todo!() }
