//! Numbers as the screen shows them.

/// Bytes with three digits and a decimal unit: `32.8 kB`, `1.23 MB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{count} B") } else { format!("{} {name}", three_digits(value)) }
}

/// A count with three digits and a unit: `1.38M`, `2.7B`, `124M`.
pub fn count(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{}k", three_digits(count as f64 / 1e3)),
        1_000_000..1_000_000_000 => format!("{}M", three_digits(count as f64 / 1e6)),
        _ => format!("{}B", three_digits(count as f64 / 1e9)),
    }
}

fn three_digits(value: f64) -> String {
    match value {
        _ if value < 9.995 => format!("{value:.2}"),
        _ if value < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A share as per cent, six characters at most: `51.2%`, `0.87%`, `100%`.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value {
        _ if !value.is_finite() => "?".to_owned(),
        _ if value == 0.0 => "0%".to_owned(),
        _ if value < 0.01 => "<0.01%".to_owned(),
        _ if value < 9.995 => format!("{value:.2}%"),
        _ if value < 99.95 => format!("{value:.1}%"),
        _ => format!("{value:.0}%"),
    }
}

/// A small quantity with its order of magnitude kept: `0.0123`, `1.2e-5`, `3.41`.
pub fn figure(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "?".to_owned(),
        0.0 => "0".to_owned(),
        size if size < 0.0001 => format!("{value:.1e}"),
        size if size < 1.0 => format!("{value:.4}"),
        size if size < 100.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}

/// A time to wait: `12 s`, `4 min`, `2.5 h`.
pub fn duration(seconds: f64) -> String {
    match seconds {
        _ if !seconds.is_finite() => "?".to_owned(),
        _ if seconds < 90.0 => format!("{seconds:.0} s"),
        _ if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// `1 layer`, `6 layers`.
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_three_digits_and_never_show_a_thousand() {
        let shown: Vec<_> = [0, 999, 1_000, 32_768, 999_499, 999_600, 2_765_824, 5_312_000_000].map(bytes).into();
        assert_eq!(shown, ["0 B", "999 B", "1.00 kB", "32.8 kB", "999 kB", "1.00 MB", "2.77 MB", "5.31 GB"]);
    }

    #[test]
    fn shares_stay_within_six_characters() {
        let shown: Vec<_> = [0.0, 0.000_01, 0.0087, 0.0999, 0.512, 0.9996, 1.41, f64::NAN].map(percent).into();
        assert_eq!(shown, ["0%", "<0.01%", "0.87%", "9.99%", "51.2%", "100%", "141%", "?"]);
    }

    #[test]
    fn figures_keep_their_order_of_magnitude() {
        let shown: Vec<_> = [0.0, 0.000_012, 0.0123, 3.414, 250.2].map(figure).into();
        assert_eq!(shown, ["0", "1.2e-5", "0.0123", "3.41", "250"]);
    }
}
