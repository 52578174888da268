//! What an edit makes of a layer's plan. Pure: the screen asks, the workbench changes.

use crate::compress::{Base, Factors, Plan, Weighting};
use crate::measure::{Spectrum, energy_rank};

/// A change that a person asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PlanEdit {
    /// Low-rank where it is dense, dense where it is not.
    Compress,
    /// Dense.
    Dense,
    /// This base.
    Base(Base),
    /// This type of factors.
    Factors(Factors),
    /// The rank by so many.
    Step(isize),
    /// Twice the rank.
    Double,
    /// Half the rank.
    Halve,
    /// This rank.
    Rank(usize),
    /// The least rank that keeps this share of the energy.
    Energy(f64),
    /// Norm correction on or off.
    NormCorrection(bool),
    /// What the approximation minimises the error of.
    Weighting(Weighting),
    /// Group length of a quantized base; `None`: the usual one.
    Group(Option<usize>),
    /// Refitting U after Vh is quantized, on or off.
    Refit(bool),
}

/// What is known about the layer that is edited.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its plan now.
    pub plan: Plan,
    /// min(m, n).
    pub max_rank: usize,
    /// Its spectrum, once known.
    pub spectrum: Option<&'a Spectrum>,
    /// The plan that it last had while it was not dense.
    pub last: Option<Plan>,
}

/// A quarter of the largest rank, in steps of eight where there is room for them.
pub fn default_rank(max_rank: usize) -> usize {
    let quarter = max_rank / 4;
    let rounded = if quarter >= 8 { quarter / 8 * 8 } else { quarter };
    rounded.clamp(1, max_rank.max(1))
}

impl PlanEdit {
    /// The plan after this edit.
    ///
    /// # Errors
    /// Why the layer cannot have it, as a phrase.
    pub fn apply(self, subject: &Subject<'_>) -> Result<Plan, String> {
        let plan = subject.plan;
        match self {
            Self::Compress | Self::Step(_) | Self::Double | Self::Halve if plan.is_dense() => {
                Ok(low_rank_again(subject))
            }
            Self::Compress | Self::Dense => Ok(Plan::dense()),
            Self::Base(base) => Ok(on_base(subject, base)),
            Self::Factors(_) if plan.rank == 0 => Err("no low-rank part whose factors could change".to_owned()),
            Self::Factors(factors) => Ok(Plan { factors, ..plan }),
            Self::Step(by) => Ok(ranked(subject, plan.rank.saturating_add_signed(by))),
            Self::Double => Ok(ranked(subject, plan.rank.saturating_mul(2).max(1))),
            Self::Halve => Ok(ranked(subject, plan.rank / 2)),
            Self::Rank(rank) => typed_rank(subject, rank),
            Self::Energy(share) => {
                let spectrum = subject.spectrum.ok_or("its spectrum is not known yet")?;
                Ok(ranked(subject, energy_rank(&spectrum.values, share)))
            }
            Self::NormCorrection(_) if plan.rank == 0 => Err("no low-rank part that could be corrected".to_owned()),
            Self::NormCorrection(norm_correction) => Ok(Plan { norm_correction, ..plan }),
            Self::Group(_) if !plan.base_is_quantized() => Err("no quantized base that could have groups".to_owned()),
            Self::Group(group) => Ok(Plan { group, ..plan }.normalized()),
            Self::Refit(_) if plan.rank == 0 => Err("no low-rank part that could be refitted".to_owned()),
            Self::Refit(refit) => Ok(Plan { refit, ..plan }),
            Self::Weighting(weighting) => {
                let weighted = Plan { weighting, ..plan };
                let counts = Plan { weighting: Weighting::Activations, ..plan }.needs_statistics();
                counts.then_some(weighted).ok_or_else(|| "nothing in its plan that could be weighted".to_owned())
            }
        }
    }

    /// Its name in the list of edits: `rank 48`.
    pub fn name(self) -> String {
        match self {
            Self::Compress => "compress".to_owned(),
            Self::Dense => "dense".to_owned(),
            Self::Base(_) => "base".to_owned(),
            Self::Factors(_) => "factors".to_owned(),
            Self::Step(by) => format!("rank {by:+}"),
            Self::Double => "rank x2".to_owned(),
            Self::Halve => "rank /2".to_owned(),
            Self::Rank(rank) => format!("rank {rank}"),
            Self::Energy(share) => format!("energy {share}"),
            Self::NormCorrection(_) => "norm correction".to_owned(),
            Self::Weighting(_) => "weighting".to_owned(),
            Self::Group(_) => "groups".to_owned(),
            Self::Refit(_) => "refit".to_owned(),
        }
    }
}

fn low_rank_again(subject: &Subject<'_>) -> Plan {
    subject.last.unwrap_or_else(|| Plan::low_rank(default_rank(subject.max_rank)))
}

/// Dense plans have no rank, and a plan without a base keeps at least rank 1.
fn ranked(subject: &Subject<'_>, rank: usize) -> Plan {
    let base = if subject.plan.base == Base::Dense { Base::None } else { subject.plan.base };
    let least = usize::from(base == Base::None);
    Plan { base, rank: rank.clamp(least, subject.max_rank.max(least)), ..subject.plan }
}

fn typed_rank(subject: &Subject<'_>, rank: usize) -> Result<Plan, String> {
    if rank > subject.max_rank {
        return Err(format!("rank {rank} is above min(m, n) = {}", subject.max_rank));
    }
    if rank == 0 && subject.plan.base == Base::None {
        return Err("rank 0 without a base is nothing; make it dense instead".to_owned());
    }
    if rank == 0 && subject.plan.base == Base::Dense { Ok(subject.plan) } else { Ok(ranked(subject, rank)) }
}

fn on_base(subject: &Subject<'_>, base: Base) -> Plan {
    match base {
        Base::Dense => Plan::dense(),
        Base::None if subject.plan.rank > 0 => Plan { base, group: None, ..subject.plan },
        Base::None => low_rank_only(subject),
        Base::Int8 | Base::Int4 => Plan { base, group: None, ..subject.plan },
    }
}

fn low_rank_only(subject: &Subject<'_>) -> Plan {
    let last = subject.last.filter(|plan| plan.base == Base::None && plan.rank > 0);
    last.unwrap_or_else(|| Plan::low_rank(default_rank(subject.max_rank)))
}

/// The base after this one.
pub fn next_base(base: Base) -> Base {
    match base {
        Base::Dense => Base::Int8,
        Base::Int8 => Base::Int4,
        Base::Int4 => Base::None,
        Base::None => Base::Dense,
    }
}

/// The group length after this plan's: of INT8 one scale a row, then 128, 64, 32; of INT4 32, then 64, 128, 16.
pub fn next_group(plan: &Plan) -> Option<usize> {
    match (plan.base, plan.base_group()) {
        (Base::Int8, None) | (Base::Int4, Some(64)) => Some(128),
        (Base::Int8, Some(128)) | (Base::Int4, Some(32)) => Some(64),
        (Base::Int8, Some(64)) => Some(32),
        (Base::Int4, Some(128)) => Some(16),
        _ => None,
    }
}

/// The weighting after this one.
pub fn next_weighting(weighting: Weighting) -> Weighting {
    match weighting {
        Weighting::Plain => Weighting::Activations,
        Weighting::Activations => Weighting::Plain,
    }
}

/// The type of factors after this one.
pub fn next_factors(factors: Factors) -> Factors {
    match factors {
        Factors::Int8 => Factors::F16,
        Factors::F16 => Factors::F32,
        Factors::F32 => Factors::Int8,
    }
}

/// Reads a share of energy: `0.9`, `90%`, `90` (above 1, per cent).
///
/// # Errors
/// What to type instead.
pub fn parse_energy(text: &str) -> Result<f64, String> {
    const WANTED: &str = "type a share between 0 and 1, such as 0.9 or 90%";
    let text = text.trim();
    let (number, percent) = text.strip_suffix('%').map_or((text, false), |number| (number.trim_end(), true));
    let value: f64 = number.parse().map_err(|_| WANTED.to_owned())?;
    let share = if percent || value > 1.0 { value / 100.0 } else { value };
    if share > 0.0 && share <= 1.0 { Ok(share) } else { Err(WANTED.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(plan: Plan) -> Subject<'static> {
        Subject { plan, max_rank: 128, spectrum: None, last: None }
    }

    fn shown(edit: PlanEdit, plan: Plan) -> String {
        edit.apply(&subject(plan)).map_or_else(|reason| reason, |plan| plan.to_string())
    }

    #[test]
    fn compressing_takes_a_quarter_and_back() {
        assert_eq!(shown(PlanEdit::Compress, Plan::dense()), "r32 int8");
        assert_eq!(shown(PlanEdit::Compress, Plan::low_rank(48)), "dense");
        let last = Subject { last: Some(Plan::low_rank(48)), ..subject(Plan::dense()) };
        assert_eq!(PlanEdit::Compress.apply(&last).unwrap(), Plan::low_rank(48));
    }

    #[test]
    fn the_base_goes_round() {
        let mut plan = Plan::dense();
        let mut seen = Vec::new();
        for _ in 0..5 {
            plan = PlanEdit::Base(next_base(plan.base)).apply(&subject(plan)).unwrap();
            seen.push(plan.to_string());
        }
        assert_eq!(seen, ["int8", "int4", "r32 int8", "dense", "int8"]);
    }

    #[test]
    fn groups_go_round_and_need_a_quantized_base() {
        let round = |base, steps: usize| {
            let mut plan = Plan { base, ..Plan::dense() };
            let each = (0..steps).map(|_| {
                plan = PlanEdit::Group(next_group(&plan)).apply(&subject(plan)).unwrap();
                plan.base_group()
            });
            each.collect::<Vec<_>>()
        };
        assert_eq!(round(Base::Int8, 4), [Some(128), Some(64), Some(32), None]);
        assert_eq!(round(Base::Int4, 4), [Some(64), Some(128), Some(16), Some(32)]);
        assert!(shown(PlanEdit::Group(Some(64)), Plan::low_rank(4)).starts_with("no quantized base"));
        assert!(PlanEdit::Refit(true).apply(&subject(Plan::low_rank(4))).unwrap().refit);
        assert!(shown(PlanEdit::Refit(true), Plan::dense()).starts_with("no low-rank part"));
    }

    #[test]
    fn ranks_stay_between_nothing_and_all() {
        assert_eq!(shown(PlanEdit::Step(-8), Plan::low_rank(4)), "r1 int8");
        assert_eq!(shown(PlanEdit::Double, Plan::low_rank(100)), "r128 int8");
        assert_eq!(shown(PlanEdit::Rank(129), Plan::low_rank(4)), "rank 129 is above min(m, n) = 128");
        assert_eq!(shown(PlanEdit::Rank(48), Plan::dense()), "r48 int8");
        let int8 = Plan { base: Base::Int8, ..Plan::default() };
        assert_eq!(shown(PlanEdit::Rank(16), int8), "int8 + r16 int8");
        assert_eq!(shown(PlanEdit::Step(-1), int8), "int8");
    }

    #[test]
    fn a_step_on_a_dense_layer_begins_with_the_default() {
        assert_eq!(shown(PlanEdit::Step(1), Plan::dense()), "r32 int8");
    }

    #[test]
    fn energies_are_shares_or_per_cent() {
        assert_eq!(parse_energy("0.9"), Ok(0.9));
        assert_eq!(parse_energy(" 90 %"), Ok(0.9));
        assert_eq!(parse_energy("99"), Ok(0.99));
        assert!(parse_energy("0").is_err() && parse_energy("nan").is_err() && parse_energy("").is_err());
        assert!(PlanEdit::Energy(0.9).apply(&subject(Plan::dense())).is_err());
    }

    #[test]
    fn default_ranks_suit_small_layers_too() {
        assert_eq!([1, 3, 16, 31, 128, 2048].map(default_rank), [1, 1, 4, 7, 32, 512]);
    }
}
