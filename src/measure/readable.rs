//! Figures as people read them.

/// `128 x 512`.
pub fn shape(shape: &[usize]) -> String {
    if shape.is_empty() {
        return "scalar".to_owned();
    }
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ")
}

/// `2.78 MB`; MB = 10^6 bytes.
pub fn bytes(bytes: u64) -> String {
    scaled(bytes as f64, &[" B", " kB", " MB", " GB", " TB"])
}

/// `1.38 M`.
pub fn count(count: u64) -> String {
    scaled(count as f64, &["", " k", " M", " G", " T"])
}

/// `0.0123`, `1.2e-5`; a dash where there is no figure.
pub fn figure(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "-".to_owned()
    } else if size != 0.0 && !(1e-3..1e6).contains(&size) {
        format!("{value:.2e}")
    } else if size >= 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.4}")
    }
}

/// As [`figure`], for what may be missing.
pub fn maybe(value: Option<f64>) -> String {
    figure(value.unwrap_or(f64::NAN))
}

/// `98.1 %`.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", 100.0 * share) } else { "-".to_owned() }
}

fn scaled(mut value: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let unit_name = units.get(unit).copied().unwrap_or_default();
    match unit {
        0 => format!("{value:.0}{unit_name}"),
        _ => format!("{value:.2}{unit_name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        assert_eq!(bytes(2_776_696), "2.78 MB");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(999_999), "1.00 MB");
        assert_eq!(count(1_380_000), "1.38 M");
        assert_eq!(
            (figure(0.0123), figure(1.23e-5), figure(f64::NAN), figure(0.0)),
            ("0.0123".into(), "1.23e-5".into(), "-".into(), "0.0000".into())
        );
        assert_eq!(shape(&[2, 3]), "2 x 3");
    }
}
