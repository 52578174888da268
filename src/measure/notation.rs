//! How the figures of one column are written: all alike, so that they can be compared at a glance.

/// Decimals of a figure that is no smaller than a thousandth.
const USUAL: usize = 4;
/// More decimals than these are harder to read than an exponent.
const MOST: usize = 6;
/// What is smaller does not set how a column is written, unless all of it is.
const FLOOR: f64 = 1e-6;
/// A column whose largest figure is smaller would have one digit of it, and of the others none.
const SMALL: f64 = 1e-5;

/// How figures that stand below one another are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// With blanks for so many decimals, whose point is the same for all; each with as many digits as say something.
    Decimals(usize),
    /// With an exponent of so many digits.
    Exponents(usize),
    /// As per cent, with so many decimals.
    PerCent(usize),
}

impl Default for Notation {
    fn default() -> Self {
        Self::Decimals(USUAL)
    }
}

impl Notation {
    /// For figures whose order of magnitude matters, such as a KLD.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let known = values.into_iter().map(f64::abs).filter(|size| *size > 0.0 && size.is_finite());
        let (least, most, finest) = known.fold((f64::INFINITY, 0.0_f64, 0), |(least, most, finest), size| {
            let decimals = if size < FLOOR { USUAL } else { decimals(size).min(MOST) };
            (least.min(size), most.max(size), finest.max(decimals))
        });
        if most == 0.0 {
            return Self::default();
        }
        if most < SMALL {
            let digits = |size: f64| size.log10().floor().abs().max(1.0).log10().floor() as usize + 1;
            Self::Exponents(digits(least).max(digits(most)))
        } else {
            Self::Decimals(finest)
        }
    }

    /// For shares of 1, such as an error.
    pub fn of_shares(values: impl IntoIterator<Item = f64>) -> Self {
        let small = values.into_iter().any(|share| share > 0.0 && share < 0.01);
        Self::PerCent(if small { 2 } else { 1 })
    }

    /// A figure, as wide as its column wants it on the right of the point.
    pub fn write(self, value: f64) -> String {
        if !value.is_finite() {
            return "?".to_owned();
        }
        match self {
            Self::Decimals(room) => {
                let last = 10_f64.powf(-(room as f64));
                if value != 0.0 && value.abs() < 0.5 * last {
                    return format!("<{last:.room$}");
                }
                let shown = if value == 0.0 { 0 } else { decimals(value.abs()).min(room) };
                let blank = room - shown + usize::from(shown == 0 && room > 0);
                format!("{value:.shown$}{}", " ".repeat(blank))
            }
            Self::Exponents(_) if value == 0.0 => "0".to_owned(),
            Self::Exponents(digits) => exponent(value, digits),
            Self::PerCent(_) if value == 0.0 => "0%".to_owned(),
            Self::PerCent(decimals) if value.abs() < 0.5 * 10_f64.powf(-2.0 - decimals as f64) => {
                format!("<{:.decimals$}%", 10_f64.powf(-(decimals as f64)))
            }
            Self::PerCent(decimals) => format!("{:.decimals$}%", 100.0 * value),
        }
    }

    /// As [`Notation::write`], for the middle of a line.
    pub fn inline(self, value: f64) -> String {
        self.write(value).trim_end().to_owned()
    }
}

/// Decimals that say something: two digits at least, four where a person expects them.
fn decimals(size: f64) -> usize {
    match size {
        _ if size >= 100.0 => 0,
        _ if size >= 1.0 => 2,
        _ if size >= 0.001 => USUAL,
        _ => (1.0 - size.max(f64::MIN_POSITIVE).log10().floor()) as usize,
    }
}

/// `1.6e-05` for two digits; the sign stands before every exponent, so that all are as wide.
fn exponent(value: f64, digits: usize) -> String {
    let text = format!("{value:.1e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
    format!("{mantissa}e{sign}{power:0>digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(notation: impl Fn(&[f64]) -> Notation, values: &[f64]) -> Vec<String> {
        let notation = notation(values);
        values.iter().map(|value| notation.write(*value)).collect()
    }

    #[test]
    fn decimals_stand_below_one_another() {
        let shown = column(|values| Notation::of(values.iter().copied()), &[0.000_016, 0.0123, 3.414, 0.0, 0.000_21]);
        assert_eq!(shown, ["0.000016", "0.0123  ", "3.41    ", "0       ", "0.00021 "]);
        assert_eq!(column(|values| Notation::of(values.iter().copied()), &[250.4, 3.0]), ["250   ", "3.00"]);
        assert_eq!(Notation::of([0.0, f64::NAN]).write(0.5), "0.5000");
    }

    #[test]
    fn a_figure_below_a_millionth_changes_no_other() {
        let of = |values: &[f64]| column(|values| Notation::of(values.iter().copied()), values);
        assert_eq!(of(&[6.13, 1e-12, 0.0]), ["6.13  ", "<0.0001", "0     "]);
        assert_eq!(of(&[0.5, 4.6e-7]), ["0.5000", "<0.0001"]);
        assert_eq!(of(&[0.5, 4.1e-6, 4e-7]), ["0.5000  ", "0.000004", "<0.000001"]);
    }

    #[test]
    fn where_the_largest_would_have_one_digit_all_have_exponents_of_one_width() {
        let of = |values: &[f64]| column(|values| Notation::of(values.iter().copied()), values);
        assert_eq!(of(&[3.1e-7, 4.6e-8, 0.0]), ["3.1e-7", "4.6e-8", "0"]);
        assert_eq!(of(&[4.6e-7, 3e-11, f64::NAN]), ["4.6e-07", "3.0e-11", "?"]);
        assert_eq!(of(&[3.2e-6, 1.4e-7]), ["3.2e-6", "1.4e-7"]);
        assert_eq!(of(&[2.3e-5, 1.4e-7]), ["0.000023", "<0.000001"]);
    }

    #[test]
    fn what_is_less_than_the_last_decimal_is_told_so() {
        assert_eq!(Notation::of([0.5]).write(0.000_03), "<0.0001");
        assert_eq!(Notation::of([0.5]).write(0.000_06), "0.0001");
    }

    #[test]
    fn shares_have_as_many_decimals_as_the_smallest_needs() {
        let of = |values: &[f64]| column(|values| Notation::of_shares(values.iter().copied()), values);
        assert_eq!(of(&[0.478, 0.0087, 0.0, 0.000_01]), ["47.80%", "0.87%", "0%", "<0.01%"]);
        assert_eq!(of(&[0.478, 0.099, 1.41]), ["47.8%", "9.9%", "141.0%"]);
    }

    #[test]
    fn in_a_line_nothing_is_left_blank() {
        assert_eq!(Notation::of([0.5, 0.000_016]).inline(0.5), "0.5000");
    }
}
