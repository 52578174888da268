//! A plan as a command line states it: `base=none,rank=128,factors=int8`.

use std::str::FromStr;

use super::words::{BASES, FACTORS, SWITCH, WEIGHTINGS, hint, quoted, value_of};
use super::{Base, Plan};

/// Why a text is no plan: what is wrong and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(String);

const KEYS: [&str; 7] = ["base", "rank", "factors", "group", "weighting", "norm_correction", "refit"];

/// `base=none,rank=128,factors=int8`: the keys of a policy's rule, in any order, each once. The base is none where a rank is
/// given; the others as in a rule.
impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let mut plan = Self::default();
        let (mut seen, mut base) = (Vec::new(), None);
        for setting in text.split(',') {
            let (key, value) = setting.split_once('=').ok_or_else(|| {
                PlanError(format!("{} is no setting; write key=value, as in base=none,rank=128", quoted(setting)))
            })?;
            let (key, value) = (key.trim(), value.trim());
            if seen.contains(&key) {
                return Err(PlanError(format!("key {} is given twice; leave out one", quoted(key))));
            }
            seen.push(key);
            set(&mut plan, &mut base, key, value).map_err(PlanError)?;
        }
        plan.base = match base {
            Some(base) => base,
            None if plan.rank > 0 => Base::None,
            None => return Err(PlanError("a plan needs a base or a rank; give base=int8, or rank=128".into())),
        };
        plan.meaningless().map_or(Ok(plan.normalized()), |reason| Err(PlanError(reason.into())))
    }
}

fn set(plan: &mut Plan, base: &mut Option<Base>, key: &str, value: &str) -> Result<(), String> {
    let named = |reason: String| format!("key \"{key}\": {reason}");
    match key {
        "base" => *base = Some(value_of(BASES, value).map_err(named)?),
        "rank" => plan.rank = whole(value, 0).map_err(named)?,
        "factors" => plan.factors = value_of(FACTORS, value).map_err(named)?,
        "group" => plan.group = Some(whole(value, 1).map_err(named)?),
        "weighting" => plan.weighting = value_of(WEIGHTINGS, value).map_err(named)?,
        "norm_correction" => plan.norm_correction = value_of(SWITCH, value).map_err(named)?,
        "refit" => plan.refit = value_of(SWITCH, value).map_err(named)?,
        _ => return Err(format!("unknown key {}; {}", quoted(key), hint(key, &KEYS))),
    }
    Ok(())
}

fn whole(value: &str, least: usize) -> Result<usize, String> {
    let number = value.parse().ok().filter(|number| *number >= least);
    number.ok_or_else(|| format!("{} is no whole number of at least {least}", quoted(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::Factors;

    fn error(text: &str) -> String {
        text.parse::<Plan>().unwrap_err().to_string()
    }

    #[test]
    fn settings_come_in_any_order() {
        assert_eq!("base=none,rank=128,factors=int8".parse(), Ok(Plan::low_rank(128)));
        assert_eq!("rank=8, factors=f16".parse(), Ok(Plan { factors: Factors::F16, ..Plan::low_rank(8) }));
        assert_eq!("base=dense".parse(), Ok(Plan::dense()));
        let full = Plan { base: Base::Int8, group: Some(64), norm_correction: true, ..Plan::low_rank(4) };
        assert_eq!("norm_correction=true,group=64,rank=4,base=int8".parse(), Ok(full));
    }

    #[test]
    fn what_is_wrong_is_named_with_a_way_out() {
        assert_eq!(error("bse=int8"), "unknown key \"bse\"; did you mean \"base\"?");
        assert_eq!(error("base=int9"), "key \"base\": \"int9\" is not known; did you mean \"int8\"?");
        assert_eq!(error("rank=-1"), "key \"rank\": \"-1\" is no whole number of at least 0");
        assert_eq!(error("rank=1,rank=2"), "key \"rank\" is given twice; leave out one");
        assert!(error("").contains("key=value"));
        assert!(error("factors=f16").contains("base=int8"));
        assert!(error("base=none").contains("stores nothing"));
        assert!(error("base=dense,rank=3").contains("leave out"));
        assert!(!error("base=\u{1b}[31m").contains('\u{1b}'));
    }
}
